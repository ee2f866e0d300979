"""Which pictures a step learns from, and what is left to chance in it: functions of the plan's seed and the number of
the batch alone, so that a run that is gone on with is the run that was never stopped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import torch

Of = Literal["order", "batch", "weights"]


def generator(seed: int, of: Of, number: int) -> torch.Generator:
    """The generator, on the CPU, of one of these things of a run with this seed."""
    # Far from each other, whatever the seeds: neighbouring ones would share what they draw.
    places = ("order", "batch", "weights")
    mixed = (seed * 0x9E3779B97F4A7C15 + (number * len(places) + places.index(of) + 1) * 0xBF58476D1CE4E5B9) % 2**63
    return torch.Generator("cpu").manual_seed(mixed)


class Batches:
    """The pictures of each batch: all of them once, in another order each time, then again."""

    def __init__(self, shapes: Sequence[tuple[int, ...]], size: int, seed: int) -> None:
        """`shapes` are those of each picture's latents: only those of one shape go into one batch."""
        self._shapes, self._size, self._seed = shapes, size, seed
        alike = defaultdict[tuple[int, ...], int](int)
        for shape in shapes:
            alike[shape] += 1
        self.in_a_round = sum(-(-number // size) for number in alike.values())
        self._round: tuple[int, list[list[int]]] = (-1, [])

    def of(self, number: int) -> list[int]:
        """The places of the pictures of the batch of this number, counted from 0."""
        which, place = divmod(number, self.in_a_round)
        if self._round[0] != which:
            self._round = which, self._ordered(which)
        return self._round[1][place]

    def _ordered(self, which: int) -> list[list[int]]:
        chance = generator(self._seed, "order", which)
        alike = defaultdict[tuple[int, ...], list[int]](list)
        for place in torch.randperm(len(self._shapes), generator=chance).tolist():
            alike[self._shapes[place]].append(place)
        batches = [
            places[start : start + self._size]
            for places in alike.values()
            for start in range(0, len(places), self._size)
        ]
        return [batches[place] for place in torch.randperm(len(batches), generator=chance).tolist()]
