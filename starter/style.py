"""The style that the picture model learns from a LoRA alone: loading it, and what the judge thinks of it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from starter.captions import Shares, caption
from starter.judge import MODELS, Judge, judge_pictures
from starter.painter import Pipeline, paint
from starter.prompts import Prompt, fixed_prompts
from starter.world import LORA_STYLE

STYLE = MODELS / "style"


def load_style(pipeline: Pipeline, path: Path = STYLE, weight: float = 1.0) -> None:
    """Give the pipeline the style; `set_adapters` and `unload_lora_weights` change and end it."""
    pipeline.load_lora_weights(path, weight_name="pytorch_lora_weights.safetensors", adapter_name="style")
    pipeline.set_adapters("style", weight)


def style_prompts(number: int) -> list[Prompt]:
    """The plain prompts, with no word of any style."""
    rng = random.Random("starter prompts, style")
    unstyled = Shares(1, 1, 1, style=0, size=1, count=1)
    prompts = fixed_prompts("plain", number)
    return [replace(prompt, text=caption(prompt.scene, rng, unstyled)) for prompt in prompts]


def style_share(pipeline: Pipeline, judge: Judge, prompts: list[Prompt]) -> dict[str, float]:
    """The share judged to be of the style, and to show the thing, colour and place asked for."""
    seen = judge_pictures(judge, paint(pipeline, prompts))
    figures = {"style": sum(s["style"] == LORA_STYLE for s in seen) / len(seen)}
    for name in ("thing", "colour", "place"):
        figures[name] = sum(s[name] == getattr(p.scene, name) for s, p in zip(seen, prompts, strict=True)) / len(seen)
    return figures
