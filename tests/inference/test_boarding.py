"""A job that comes before those like it are being painted goes along, and nobody's picture is different for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from inference.painting import setups
from inference.painting.passes import Pass
from inference.protocol import Batch, Began, Cancel, Event, Failed, Finished, Input, because, sha256_of
from tests.inference import tiny
from tests.inference.conftest import ask_for, uploaded
from tests.inference.folders import hashes, put
from tests.inference.peer import TIMEOUT_S
from tests.inference.serving import Serving


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pass has four."""
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)


@pytest.fixture
def loading(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading takes until a further batch has come, once: what is tried again finds everything loaded."""
    load, waited = setups.load, threading.Event()

    def slowly(*args: Any) -> Any:
        setup, inbox = load(*args), serving.engine._inbox
        with inbox._changed:
            assert waited.is_set() or inbox._changed.wait_for(lambda: inbox._others, TIMEOUT_S)
        waited.set()
        return setup

    monkeypatch.setattr(setups, "load", slowly)


def until_ended(serving: Serving, *jobs: int) -> list[Event]:
    left = set(jobs)

    def is_last(event: Event) -> bool:
        if isinstance(event, Finished | Failed):
            left.discard(event.job)
        return not left

    return serving.peer.until(is_last)


def begun(events: list[Event]) -> list[tuple[int, ...]]:
    return [event.jobs for event in events if isinstance(event, Began)]


def ends(events: list[Event]) -> dict[int, Finished | Failed]:
    return {event.job: event for event in events if isinstance(event, Finished | Failed)}


def test_a_job_that_comes_while_models_are_loaded_goes_along_with_the_bytes_of_being_alone(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    one, other = ask_for(1), ask_for(2, seed=9, prompt="a cat", count=2)
    alone = {job: end.pictures for each in (one, other) for job, end in serving.peer.paint(each).items()}  # type: ignore[union-attr]
    request.getfixturevalue("loading")
    passes: list[int] = []
    denoise = Pass.denoise

    def counted(taken: Pass, slots: Any, after_step: Any) -> torch.Tensor:
        passes.append(len(slots))
        return denoise(taken, slots, after_step)

    monkeypatch.setattr(Pass, "denoise", counted)
    serving.peer.send(Batch((one,)), Batch((other,)))
    events = until_ended(serving, 1, 2)
    assert begun(events) == [(1,), (1, 2)]
    assert passes == [3]
    painted = {job: hashes(end.pictures) for job, end in ends(events).items()}  # type: ignore[union-attr]
    assert painted == {job: hashes(pictures) for job, pictures in alone.items()}


@pytest.mark.parametrize(
    ("first", "second"),
    [({"count": 4}, {}), ({"count": 2}, {"count": 3}), ({}, {"steps": 3})],
    ids=["full", "tight", "other"],
)
def test_what_does_not_fit_or_is_another_waits_for_its_turn(
    serving: Serving, loading: None, monkeypatch: pytest.MonkeyPatch, first: dict[str, Any], second: dict[str, Any]
) -> None:
    serving.peer.send(Batch((ask_for(1, **first),)), Batch((ask_for(2, **second),)))
    # The second has nobody to wait for.
    events = serving.peer.until(lambda event: isinstance(event, Began) and event.jobs == (2,))
    serving.peer.send(Batch((ask_for(3, steps=4),)), Batch((ask_for(4, steps=5),)), Cancel(3), Cancel(4))
    ended = ends(events + until_ended(serving, 2, 3, 4))
    assert begun(events) == [(1,), (2,)]
    assert isinstance(ended[1], Finished)
    assert isinstance(ended[2], Finished)


def test_one_that_goes_along_and_cannot_be_painted_fails_alone(serving: Serving, loading: None) -> None:
    image, files = uploaded(tiny.picture(40, 30))
    put(files)
    first, lost, other = (
        ask_for(job, image=each, strength=0.5)
        for job, each in enumerate((image, Input(sha256_of(b"gone"), 40, 30), image), 1)
    )
    serving.peer.send(Batch((first,)), Batch((lost, other)))
    events = until_ended(serving, 1, 2, 3)
    assert begun(events)[:2] == [(1,), (1, 2, 3)]
    assert [type(ends(events)[job]) for job in (1, 2, 3)] == [Finished, Failed, Finished]


def test_one_that_was_cancelled_before_it_could_go_along_is_not_painted(serving: Serving, loading: None) -> None:
    serving.peer.send(Batch((ask_for(1),)))
    serving.peer.until(lambda event: isinstance(event, Began))
    serving.engine._report.accept(2)
    serving.engine._report.cancel(2)
    serving.engine._inbox.put(Batch((ask_for(2, seed=2),)))
    ended = ends(until_ended(serving, 1, 2))
    assert isinstance(ended[1], Finished)
    assert ended[2] == Failed(2, "cancelled", because("cancelled"))


def test_whatever_breaks_the_pass_is_told_to_those_as_well_who_went_along(
    serving: Serving, loading: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Pass, "denoise", full)
    serving.peer.send(Batch((ask_for(1),)), Batch((ask_for(2, seed=2),)))
    ended = ends(until_ended(serving, 1, 2))
    assert [end.kind for end in ended.values() if isinstance(end, Failed)] == ["out_of_memory"] * 2
