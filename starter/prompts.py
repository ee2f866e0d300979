"""The fixed questions the starter is judged by: scenes never trained on, and the words that ask for them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from starter.captions import Shares, caption, describe
from starter.world import SIZES, Scene


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sentence, the scene it asks for, and the seed to paint it with."""

    text: str
    scene: Scene
    seed: int


# What is asked, with how many prompts at full length.
KINDS: dict[str, int] = {"plain": 96, "paraphrased": 48, "counted": 48, "unseen": 32}


def fixed_prompts(kind: str, number: int | None = None) -> list[Prompt]:
    """The first `number` prompts of a kind.

    plain: one medium or large thing, everything said. paraphrased: the same in random words. counted: two or three
    things of any size. unseen: single things in a colour they never had in training.
    """
    rng = random.Random(f"starter prompts, {kind}")
    prompts = []
    for seed in range(KINDS[kind] if number is None else number):
        many = kind == "counted"
        scene = Scene.sample(
            rng,
            counts=(2, 3) if many else (1,),
            sizes=SIZES if many else SIZES[1:],
            held_out=kind == "unseen",
        )
        text = caption(scene, rng, Shares(1, 1, 1, 1, 1, 1)) if kind == "paraphrased" else describe(scene)
        prompts.append(Prompt(text, scene, seed))
    return prompts
