"""Previews on a card: begun by a step and waited for by another thread, one at a time, and never late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from inference.catalog.reading import Catalog
from inference.models.handles import Setup
from inference.models.store import Store
from inference.painting import decoding, previews, setups
from inference.painting.callbacks import Pictures
from inference.painting.previews import _UnderWay
from inference.protocol import Imagine, Preview
from inference.tasks import imagine
from tests.inference.cards import card
from tests.inference.conftest import Record, ask_for, with_model
from tests.inference.test_session import Onlooker, paint

MAIN = threading.main_thread()


class Later(Onlooker):
    """Looks at previews when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Pictures] = []

    def preview(self, job: int, pictures: Pictures, width: int, height: int) -> None:
        self.kept.append(pictures)


@pytest.fixture
def on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview is due after every step, of a session that takes its device for a card."""
    load = setups.load

    def on_card(*given: Any) -> Setup:
        return replace(load(*given), device=card())

    monkeypatch.setattr(setups, "load", on_card)
    for name, value in (("FIRST_PREVIEW_S", 0.0), ("PREVIEW_INTERVAL_S", 0.0), ("PREVIEW_SHARE", 1e9)):
        monkeypatch.setattr(previews, name, value)


def shown(store: Store, request: Imagine) -> list[bytes]:
    """The previews of a job."""
    record = Record()
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    record.finished()
    return [event.image for event in record if isinstance(event, Preview)]


def test_none_is_begun_while_one_is_under_way_and_what_is_late_is_dropped(
    store: Store, on_a_card: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    onlooker, looked = Later(), []
    look = decoding.pictures
    monkeypatch.setattr(decoding, "pictures", lambda *given: looked.append(1) or look(*given))  # type: ignore[func-returns-value]
    made = paint(store, onlooker, ask_for(count=2, steps=5))
    assert len(made) == 2
    assert len(onlooker.kept) == 2, "one in the time of each picture"
    assert [pictures() for pictures in onlooker.kept] == [(), ()]
    assert not looked, "what nobody waited for in time is not looked at"


def test_one_that_was_looked_at_makes_room_for_the_next(store: Store, on_a_card: None) -> None:
    onlooker, seen = Later(), []

    def look(jobs: Any) -> list[int]:
        seen.extend([picture and picture.size for picture in pictures()] for pictures in onlooker.kept)
        onlooker.kept.clear()
        return list(jobs)

    onlooker.still_wanted = look  # type: ignore[method-assign]
    paint(store, onlooker, ask_for(count=2, steps=4))
    assert seen == [[(32, 32), None]] * 3 + [[(32, 32), (32, 32)]] * 3


@pytest.mark.usefixtures("many_previews")
def test_it_shows_what_it_shows_on_a_cpu(store: Store, request: pytest.FixtureRequest) -> None:
    wanted = ask_for(count=2, steps=3)
    on_a_cpu = shown(store, wanted)
    request.getfixturevalue("on_a_card")
    assert len(on_a_cpu) == 4
    assert shown(store, wanted) == on_a_cpu


@pytest.mark.usefixtures("many_previews", "on_a_card")
def test_the_checker_sees_it_before_anybody_and_no_step_waits_for_that(
    known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[Any] = []
    checked = Store(catalog=with_model(known, checker="lax"), device=store.device)
    network: Any = checked.use_checker("lax", lambda: None).network
    flags = type(network).flags
    says: Callable[..., bool] = flags

    def watched(*given: Any) -> bool:
        threads.append(threading.current_thread())
        return says(*given)

    monkeypatch.setattr(type(network), "flags", watched)
    assert len(shown(checked, ask_for(steps=4))) == 3
    assert [thread is MAIN for thread in threads] == [False] * 3 + [True], "the finished one is looked at by itself"
    says = lambda *given: threading.current_thread() is not MAIN  # noqa: E731
    assert shown(checked, ask_for(steps=4)) == []

    def broken(*given: Any) -> bool:
        if threading.current_thread() is not MAIN:
            raise FloatingPointError("it cannot tell")
        return False

    says = broken
    assert shown(checked, ask_for(steps=4)) == [], "what it cannot tell is shown to nobody"


@pytest.mark.usefixtures("many_previews", "on_a_card")
def test_after_one_that_is_no_number_the_next_is_made_of_larger_ones(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketch, asked = decoding.sketch, []

    def overflowing(*given: Any, precise: bool, **further: Any) -> torch.Tensor:
        asked.append(precise)
        made = sketch(*given, precise=precise, **further)
        return made if precise else made * torch.inf

    monkeypatch.setattr(decoding, "sketch", overflowing)
    assert len(shown(store, ask_for(steps=4))) == 2
    assert asked == [False, True, True]


def test_who_drops_one_waits_for_whoever_looks_at_it() -> None:
    looking, go_on, order = threading.Event(), threading.Event(), []

    def look() -> None:
        looking.set()
        assert go_on.wait(30)
        order.append("looked")

    under_way = _UnderWay(look)
    looks = threading.Thread(target=under_way.look)
    drops = threading.Thread(target=lambda: (under_way.drop(), order.append("dropped")))
    looks.start()
    assert looking.wait(30)
    drops.start()
    go_on.set()
    for thread in (looks, drops):
        thread.join(30)
    assert order == ["looked", "dropped"]
    assert under_way.look(), "it has come"
    late = _UnderWay(lambda: order.append("late"))
    late.drop()
    assert late.is_over
    assert not late.look()
    assert "late" not in order
