"""The fixed questions the starter is judged by: scenes never trained on, and the words that ask for them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from starter.captions import Shares, caption, describe
from starter.world import Scene


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sentence, the scene it asks for, and the seed to paint it with."""

    text: str
    scene: Scene
    seed: int


# What is asked, with how many prompts at full length.
KINDS: dict[str, int] = {"plain": 256, "paraphrased": 256, "unseen": 64}


def fixed_prompts(kind: str, number: int | None = None) -> list[Prompt]:
    """The first `number` prompts of a kind, over the whole world: all counts, sizes, places, times and styles.

    plain: everything said in the plainest words. paraphrased: the same in random words. unseen: plain, of pairs of
    thing and colour that were in no training picture.
    """
    rng = random.Random(f"starter prompts, {kind}")
    prompts = []
    for seed in range(KINDS[kind] if number is None else number):
        scene = Scene.sample(rng, held_out=kind == "unseen")
        text = caption(scene, rng, Shares(1, 1, 1, 1, 1, 1)) if kind == "paraphrased" else describe(scene)
        prompts.append(Prompt(text, scene, seed))
    return prompts
