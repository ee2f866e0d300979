"""The starter's own set of prompts, for who measures models of its small world: what they ask for, and what is right.

They are the held-out prompts of `starter.prompts`, of its three kinds in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from PIL import Image

from starter.asked import JUDGED, UNSEEN, rights
from starter.judge import MODELS, Judge, judge_pictures, judge_shares, load_judge
from starter.prompts import KINDS, Prompt, fixed_prompts
from starter.render import render

REFERENCE_SEED = 500_000
"""The chance in the pictures that the renderer paints of the same scenes; no scene of the prompts has such a seed."""


@dataclass(frozen=True)
class Question:
    """A prompt of one of the kinds, with a seed of its own."""

    kind: str
    prompt: Prompt
    seed: int

    @property
    def text(self) -> str:
        return self.prompt.text


class HeldOut:
    """Prompts of the small world, in turn plain, in other words, and of pairs that no training picture had."""

    name = "starter-1"
    usual = 48
    home = MODELS.resolve()

    def asked(self, number: int) -> Sequence[Question]:
        """The first so many, each with its place as its seed."""
        of_each = -(-number // len(KINDS))
        kinds = [[(kind, prompt) for prompt in fixed_prompts(kind, of_each)] for kind in KINDS]
        in_turn = (each for together in zip(*kinds, strict=True) for each in together)
        return [Question(kind, prompt, seed) for seed, (kind, prompt) in enumerate(islice(in_turn, number))]

    def judged(self, asked: Sequence[Question], pictures: Iterator[Image.Image]) -> dict[str, list[bool]]:
        """Of each attribute whether it is right, for the pictures that ask for it."""
        hits: dict[str, list[bool]] = {name: [] for name in (*JUDGED, UNSEEN)}
        for one, picture in zip(asked, pictures, strict=True):
            seen = judge_pictures(self._judge, [picture])
            for name, right in rights(one.kind, [(one.prompt, seen[0])]).items():
                hits[name] += right
        return hits

    def kinds(self, pictures: Iterator[Image.Image]) -> Iterator[list[float]]:
        """The shares of the sixteen things, as the judge sees them."""
        for picture in pictures:
            yield judge_shares(self._judge, picture, "thing")

    def references(self, asked: Sequence[Question]) -> Iterator[Image.Image]:
        """The same scenes by the renderer, with other chances."""
        for one in asked:
            yield render(replace(one.prompt.scene, seed=REFERENCE_SEED + one.seed), 256)

    @cached_property
    def _judge(self) -> Judge:
        return load_judge()
