"""Folders to train on and runs over the tiny models, small enough for a suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.models.store import Store
from inference.training import datasets, plans
from inference.training.datasets import Dataset
from inference.training.plans import Plan
from tests.inference.conftest import with_model
from tests.inference.families.test_records import OF_EACH
from tests.inference.tiny import picture

CARD = """name = "spotted"
kind = "{kind}"
trigger = "zqx"
consent = "made by this test"
license = "MIT"
"""

TAUGHT = [name for name, family in FAMILIES.items() if family.training is not None]


def folder(place: Path, number: int = 5, kind: str = "style") -> Path:
    """A folder of so many pictures, the first of them without words of their own."""
    place.mkdir(parents=True, exist_ok=True)
    for which in range(number):
        picture(32, 32, seed=which).save(place / f"{which}.png")
        if which:
            (place / f"{which}.txt").write_text(f"picture {which} of a red house")
    (place / "card.toml").write_text(CARD.format(kind=kind))
    return place


def store_of(known: Catalog, family: str, cpu: Device, checker: str | None = None) -> Store:
    """A store of its own: what is trained in its model is nobody else's."""
    return Store(catalog=with_model(known, OF_EACH[family], upscaler=None, checker=checker), device=cpu)


def plan(store: Store, family: str, dataset: Dataset, **changes: Any) -> Plan:
    """A plan of a few steps at a rate that shows."""
    model = store.use(OF_EACH[family], lambda: None)
    training = FAMILIES[family].training
    assert training is not None
    values = plans.begin(model.entry, training, dataset.card.kind, None)
    values |= {"model": model.name, "hashes": dict(model.hashes), "dataset": dataset.digest, "card": dataset.card}
    values |= {"steps": 4, "epochs": 2, "batch": 2, "accumulate": 1, "rank": 2, "rate": 2e-2, "warm": 0, "previews": ()}
    return plans.make({**values, **changes})


def read(place: Path, **about: Any) -> Dataset:
    """A folder made and read."""
    return datasets.read(folder(place, **about))


class Quiet:
    """Watches a run, and stops it after so many steps, politely or not."""

    def __init__(self, stop_after: int | None = None, on_step: Callable[[int], None] = lambda step: None) -> None:
        self.steps: list[float] = []
        self.epochs: list[float] = []
        self.asked = 0
        self._stop_after, self._on_step = stop_after, on_step

    def give_way(self) -> None:
        self.asked += 1

    def is_stopped(self) -> bool:
        return len(self.steps) == self._stop_after

    def step(self, step: int, steps: int, loss: float) -> None:
        self.steps.append(loss)
        self._on_step(step)

    def epoch(self, epoch: int, epochs: int, loss: float, folder: Path) -> None:
        self.epochs.append(loss)
