"""Painting without a reporter: pictures with their recipes for whoever calls, and what is called meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.marks.marking import Marks
from inference.models.store import Store
from inference.painting import previews, session, setups
from inference.painting.callbacks import Pictures, Stage
from inference.painting.session import Failure, Painting
from inference.protocol import Hires, Imagine
from inference.tasks import imagine
from tests.inference.conftest import Record, ask_for, paint_from, with_model
from tests.inference.test_imagine import pixels


class Onlooker:
    """Hears all and wants all, except the jobs that were given up."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.steps: list[tuple[int, int, int, Stage]] = []
        self.previews: list[list[tuple[int, int] | None]] = []
        self.given_up: set[int] = set()

    def alive(self) -> None:
        self.calls.append("alive")

    def loading(self) -> None:
        self.calls.append("loading")

    def still_wanted(self, jobs: Iterable[int]) -> list[int]:
        return [job for job in jobs if job not in self.given_up]

    def give_way(self) -> None:
        self.calls.append("give way")

    def board(self, places: int) -> tuple[Sequence[Imagine], Mapping[str, bytes]]:
        self.calls.append(f"{places} free")
        return (), {}

    def step(self, job: int, step: int, steps: int, stage: Stage = "painting") -> None:
        self.steps.append((job, step, steps, stage))

    def preview(self, job: int, pictures: Pictures, width: int, height: int) -> None:
        if shown := pictures():
            self.previews.append([None if picture is None else picture.size for picture in shown])


def paint(store: Store, onlooker: Onlooker, *requests: Imagine) -> list[Painting]:
    made = list(session.paint(requests, {}, store, onlooker))
    assert all(isinstance(each, Painting) for each in made)
    return made  # type: ignore[return-value]


def test_pictures_come_in_order_with_the_recipe_that_a_job_of_them_has(store: Store) -> None:
    request = ask_for(count=3, prompt="a (red:1.2) house")
    made = paint(store, Onlooker(), request)
    assert [(each.request.job, each.index, each.notes) for each in made] == [(1, 0, ()), (1, 1, ()), (1, 2, ())]
    finished = paint_from({}, store, request)[1]
    for each in made:
        assert {**each.recipe, "watermark": finished.recipe["watermark"]} == finished.recipe
    record = Record(Marks(watermark=False))
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    unmarked = record.finished()[1].pictures
    assert [pixels(picture).tobytes() for picture in unmarked] == [each.image.tobytes() for each in made]


def test_every_step_gives_way_and_is_told(store: Store) -> None:
    onlooker = Onlooker()
    paint(store, onlooker, ask_for(steps=4, hires=Hires(64, 48, 0.5)))
    assert onlooker.calls.count("give way") == 6
    assert [step for _, step, _, stage in onlooker.steps if stage == "painting"] == [0, 1, 2, 3, 4, 5, 6]
    assert onlooker.steps[-1] == (1, 6, 6, "finishing")


def test_loading_is_told_before_the_first_step(known: Catalog, cpu: Device) -> None:
    onlooker, fresh = Onlooker(), Store(catalog=known, device=cpu)
    paint(fresh, onlooker, ask_for(1), ask_for(2, seed=9))
    assert [(job, stage) for job, _, _, stage in onlooker.steps[:2]] == [(1, "loading"), (2, "loading")]
    assert "loading" not in [stage for _, _, _, stage in onlooker.steps[2:]]


def test_what_nobody_wants_any_more_stops_and_the_other_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 1)
    onlooker = Onlooker()
    made = []
    for each in session.paint([ask_for(1, count=3), ask_for(2, seed=9)], {}, store, onlooker):
        made.append((each.request.job, each.index))  # type: ignore[union-attr]
        onlooker.given_up.add(1)
    assert made == [(1, 0), (2, 0)]
    assert max(step for job, step, _, _ in onlooker.steps if job == 1) == 2


def test_a_flagged_picture_is_a_failure_with_its_reason_and_is_shown_nowhere(
    known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "FIRST_PREVIEW_S", 0.0)
    checked = Store(catalog=with_model(known, checker="strict"), device=store.device)
    onlooker = Onlooker()
    made = list(session.paint([ask_for(count=2, steps=4)], {}, checked, onlooker))
    assert [isinstance(each, Failure) and each.error.kind for each in made] == ["unsafe", "unsafe"]
    assert not onlooker.previews


def test_previews_hold_what_there_is_so_far(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FIRST_PREVIEW_S", 0.0), ("PREVIEW_INTERVAL_S", 0.0), ("PREVIEW_SHARE", 1e9)):
        monkeypatch.setattr(previews, name, value)
    onlooker = Onlooker()
    paint(store, onlooker, ask_for(count=2, steps=3))
    assert onlooker.previews == [[(32, 32), None]] * 2 + [[(32, 32), (32, 32)]] * 2
