"""What is taught beside the next set's picture model: a ControlNet on edges, and the style that a LoRA alone knows."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from starter.captions import Shares
from starter.control import edge_gain
from starter.next.captions import PLAIN, caption
from starter.next.judge import Judge, load_judge, look
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.prompts import Prompt, fixed_prompts, is_right
from starter.next.render import render_tableau
from starter.next.tableau import Tableau
from starter.next.words import say
from starter.painter import Pipeline, paint
from starter.train import control, style
from starter.train.diffusing import FrozenPicture, Lessons
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.world import LORA_STYLE

# The embedding's stride is the VAE's, as Stable Diffusion's is.
EMBEDDING = (16, 24, 32, 64)


def run_control(plan: Plan, budget: Budget, pictures: int = 4000, held_out: int = 48) -> dict[str, Any]:
    """Train and write the ControlNet; its gain in edges over the picture model alone."""
    picture, prompts = FrozenPicture.exported(plan), control_prompts(held_out)
    lessons = Lessons(sample_tableaux(pictures, seed=171, word_share=0.1, aligned=True), paint_all, say)
    stage = control.ControlStage(picture, lessons, 32 * plan.batch_factor, EMBEDDING)
    pipeline = control.taught(stage, plan, budget)
    return edge_gain(pipeline, prompts, [render_tableau(prompt.tableau, picture.side()) for prompt in prompts])


def control_prompts(number: int) -> list[Prompt]:
    """The plain prompts, with words for the thing and its colour alone: the edges are to say all else."""
    rng = random.Random("next prompts, control")
    bare = Shares(1, place=0, time=0, style=0, size=0, count=1)
    silent = replace(PLAIN, weather=0)
    return [
        replace(prompt, text=caption(prompt.tableau, rng, bare, silent)) for prompt in fixed_prompts("plain", number)
    ]


def run_style(plan: Plan, budget: Budget, pictures: int = 2400, held_out: int = 48) -> dict[str, Any]:
    """Train and write the LoRA; how often the judge sees its style at weight 1."""
    drawn = [replace(tableau, style=LORA_STYLE) for tableau in sample_tableaux(pictures, seed=181, aligned=True)]
    stage = style.StyleStage(FrozenPicture.exported(plan), Lessons(drawn, paint_all, _unstyled), 32 * plan.batch_factor)
    pipeline = style.taught(stage, plan, budget)
    return style_share(pipeline, load_judge(plan.models / "judge" / "judge.safetensors"), style_prompts(held_out))


def _unstyled(tableau: Tableau, rng: random.Random) -> str:
    # The style comes with the weights, whatever is said of it.
    return say(tableau, rng, style=0.3)


def style_prompts(number: int) -> list[Prompt]:
    """The plain prompts, with no word of any style."""
    rng = random.Random("next prompts, style")
    unstyled = Shares(1, 1, 1, style=0, size=1, count=1)
    return [
        replace(prompt, text=caption(prompt.tableau, rng, unstyled, PLAIN)) for prompt in fixed_prompts("plain", number)
    ]


def style_share(pipeline: Pipeline, judge: Judge, prompts: list[Prompt]) -> dict[str, float]:
    """The share judged to be of the style, and to show the thing, colour and place asked for."""
    seen = look(judge, paint(pipeline, prompts))
    figures = {"style": sum(one.whole["style"] == LORA_STYLE for one in seen) / len(seen)}
    for name in ("thing", "colour", "place"):
        figures[name] = sum(is_right(name, p, one) for p, one in zip(prompts, seen, strict=True)) / len(seen)
    return figures
