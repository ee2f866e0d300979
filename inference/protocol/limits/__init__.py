"""What an engine can be asked: one rule. The bot asks it before it accepts a request, the engine before it runs one.

Whatever depends on a machine comes from the engine's own `Ready`; what depends on nothing stands in `bounds`.
"""

from __future__ import annotations

from inference.protocol.events import Ready
from inference.protocol.limits import painting, tools
from inference.protocol.limits.bounds import (
    LEAST_STRENGTH,
    MAX_CLIP_SKIP,
    MAX_CONTROL_WEIGHT,
    MAX_COUNT,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_LORA_WEIGHT,
    MAX_PROMPT_CHARS,
    MAX_REFERENCE_PROPORTION,
    UNAVAILABLE,
    AddOnKind,
    ToolKind,
    unknown_add_on,
    unknown_model,
    unknown_tool,
)
from inference.protocol.limits.painting import size_fits, words_problem
from inference.protocol.pictures import Grid, Imagine
from inference.protocol.reasons import Reason
from inference.protocol.requests import Check, Classify, Compare, Describe, Mask, Upscale, Work

__all__ = [
    "LEAST_STRENGTH",
    "MAX_CLIP_SKIP",
    "MAX_CONTROL_WEIGHT",
    "MAX_COUNT",
    "MAX_LABELS",
    "MAX_LABEL_CHARS",
    "MAX_LORA_WEIGHT",
    "MAX_PROMPT_CHARS",
    "MAX_REFERENCE_PROPORTION",
    "UNAVAILABLE",
    "AddOnKind",
    "ToolKind",
    "problem",
    "size_fits",
    "unknown_add_on",
    "unknown_model",
    "unknown_tool",
    "words_problem",
]


def problem(request: Work, ready: Ready) -> Reason | None:
    """Why an engine that said this of itself cannot run this request; None where it can."""
    match request:
        case Imagine():
            problems = painting.of_imagine(request, ready)
        case Grid():
            problems = painting.of_grid(request, ready)
        case Upscale():
            problems = tools.of_upscale(request, ready)
        case Describe():
            problems = tools.of_describe(request, ready)
        case Mask():
            problems = tools.of_mask(request, ready)
        case Classify():
            problems = tools.of_classify(request, ready)
        case Compare():
            problems = tools.of_compare(request, ready)
        case Check():
            # Nobody else than the bot asks it.
            problems = iter(())
    return next(problems, None)
