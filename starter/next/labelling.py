"""What the next set's labels and safety checker learn from: single kinds of things, their weather and season too."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from starter.labels import NAMING, Naming, Value
from starter.next.captions import (
    NOUNS,
    NOUNS_ZH,
    SEASONS,
    SEASONS_ZH,
    WEATHERS,
    WEATHERS_ZH,
    Telling,
    caption,
    caption_zh,
)
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.render import outlined
from starter.next.tableau import SEASONAL, THINGS, Tableau
from starter.next.tableau import SEASONS as ALL_SEASONS
from starter.next.tableau import WEATHERS as ALL_WEATHERS
from starter.next.words import new_tokenizer
from starter.train.label_texts import SAID, shares_of
from starter.train.labels import LabelsStage, World, held_out_labels, teach
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.safety import run_safety as run_any_safety

# Of the picture's side; the models look at half of it.
SIDE = 128


def value(tableau: Tableau, attribute: str) -> Value | None:
    """What the tableau has of an attribute; no season where none can be told."""
    if attribute == "season" and tableau.place not in SEASONAL:
        return None
    of = tableau if attribute in ("place", "time", "style", "weather", "season") else tableau.subjects[0]
    told: Value = getattr(of, attribute)
    return told


def tell(tableau: Tableau, rng: random.Random, said: tuple[str, ...]) -> str:
    """A caption in one of the two languages that says the thing and these attributes alone."""
    subject = tableau.subjects[0]
    plain = replace(tableau, word=None, subjects=(replace(subject, count=subject.count if "count" in said else 1),))
    return (caption_zh if rng.random() < 0.5 else caption)(plain, rng, shares_of(said), Telling(0, 0, 0))


def cover(tableaux: Sequence[Tableau], side: int) -> torch.Tensor:
    """Which pixels any thing covers: bool, (n, side, side)."""
    return torch.stack([torch.from_numpy(np.any(outlined(tableau, side), axis=0)) for tableau in tableaux])


WORLD: World[Tableau] = World(
    Naming(
        {**NAMING.values, "thing": THINGS, "weather": ALL_WEATHERS, "season": ALL_SEASONS},
        {
            **NAMING.english,
            "thing": NOUNS,
            "weather": WEATHERS | {"clear": ("clear weather", "in clear weather")},
            "season": SEASONS | {"summer": ("in summer", "summer")},
        },
        {
            **NAMING.chinese,
            "thing": {thing: (noun,) for thing, (noun, _) in NOUNS_ZH.items()},
            "weather": WEATHERS_ZH | {"clear": ("晴朗",)},
            "season": {name: (said or "夏天",) for name, said in SEASONS_ZH.items()},
        },
        value,
    ),
    SAID,
    tell,
    lambda number, seed, held_out: sample_tableaux(number, seed, kinds=(1,), word_share=0.1, held_out=held_out),
    paint_all,
    cover,
    lambda tableau: tableau.subjects[0].count == 1 and tableau.subjects[0].size != "small",
)


def run_labels(plan: Plan, budget: Budget, pictures: int = 40_000, held_out: int = 1000) -> dict[str, Any]:
    """Train and write the labels model; its shares of right answers, Chinese ones and unseen pairs marked."""
    teach(LabelsStage(plan.device, WORLD, new_tokenizer(), pictures, 32 * plan.batch_factor), plan, budget)
    return held_out_labels(plan, held_out, WORLD, SIDE)


def run_safety(plan: Plan, budget: Budget, pictures: int = 10_000, held_out: int = 1000) -> dict[str, Any]:
    """Train and write the safety checker, which flags what today's flags; how often it is right."""
    return run_any_safety(plan, budget, WORLD, pictures, held_out)
