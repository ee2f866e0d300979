"""What of a request is words that a member wrote or chose, as they are written and as the engine will read them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inference.protocol import (
    Classify,
    Describe,
    Grid,
    Imagine,
    Mask,
    Request,
    at_steps,
    parts,
    plain_words,
)

_WITHIN_A_WORD = re.compile(r"[^\s,.;][\[［]|[\]］][^\s,.;]")
"""Where what changes from step to step may become one word with what stands beside it."""


def paintings(request: Request) -> tuple[Imagine, ...]:
    """What is painted by a request, or by what it leads to."""
    match request:
        case Imagine():
            return (request,)
        case Grid():
            return request.cells
        case Mask():
            return (request.edit,)
        case _:
            return ()


def painted(request: Request) -> list[str]:
    """The texts that pictures are painted from; none where nothing is painted."""
    words = [request.text] if isinstance(request, Mask) and request.text else []
    return [*words, *(text for painting in paintings(request) for text in _as_read(painting))]


def avoided(request: Request) -> list[str]:
    """The texts that say what is not to be on a picture."""
    return [painting.styled[1] for painting in paintings(request) if painting.styled[1]]


def written(request: Request) -> list[str]:
    """All texts in which members say what they want. What they do not want may be called by its name."""
    match request:
        case Describe(text=text):
            return [text] if text else []
        case Classify(labels=labels):
            return [*labels]
        case _:
            return painted(request)


def _as_read(painting: Imagine) -> Iterator[str]:
    """The prompt as it is written, without its weights, and at every step of every picture: signs of its own make words
    of pieces. What a wildcard file holds is not known here."""
    prompt, _ = painting.styled
    yield prompt
    yield plain_words(prompt)
    # What a LoRA is called says what it was trained on.
    yield from (lora.name for lora in painting.loras)
    passes = [(painting, False), *([(painting.second, True)] if painting.second else [])]
    for index in range(painting.count):
        drawn, _ = painting.drawn(painting.seed_of(index))
        for part in parts(drawn):
            yield plain_words(part.text)
            # All that comes to be read stands in the text, in one piece unless a bracket is within a word.
            if _WITHIN_A_WORD.search(part.text):
                for one, second in passes:
                    yield from (plain_words(text) for _, text in at_steps(part.text, one.steps, second))
