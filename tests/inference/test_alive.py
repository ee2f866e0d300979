"""Signs of life: they come from the thread that owns the device, while it gets on, and from nobody in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pytest
import torch

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange import reports
from inference.models.handles import Setup
from inference.models.store import Store
from inference.networks import describer
from inference.painting import wording
from inference.painting.passes import Slot
from inference.painting.session import Session
from inference.protocol import (
    INCOMING,
    Alive,
    Batch,
    Began,
    Cancel,
    Classify,
    Describe,
    Event,
    Failed,
    Finished,
    Holding,
    Lora,
    Progress,
    Spare,
    Upscale,
    because,
)
from inference.tasks import describe, imagine, upscale
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, uploaded
from tests.inference.folders import data_folder, put
from tests.inference.serving import Serving
from tests.inference.test_reports import SOON_S, Held


@pytest.fixture
def every_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many signs as there are occasions, not one a second."""
    monkeypatch.setattr(reports, "ALIVE_INTERVAL_S", 0.0)


def signs(events: list[Event]) -> list[bool]:
    """The signs of life among these events: whether something was being loaded, without repetitions."""
    found = [event.loading for event in events if isinstance(event, Alive)]
    return [loading for place, loading in enumerate(found) if place == 0 or found[place - 1] is not loading]


def in_step(store: Store, monkeypatch: pytest.MonkeyPatch, work: Callable[[int], None]) -> None:
    """Do this within every call of the denoiser, which is numbered from 1."""
    unet = store.use("sd15", on_load=lambda: None).pipeline.unet
    forward, calls = unet.forward, iter(range(1, 10_000))

    def slow(*args: object, **kwargs: object) -> object:
        work(next(calls))
        return forward(*args, **kwargs)

    monkeypatch.setattr(unet, "forward", slow)


def test_a_step_that_hangs_gives_no_sign_of_life_though_the_process_answers(
    serving: Serving, store: Store, monkeypatch: pytest.MonkeyPatch, every_sign: None
) -> None:
    hung, freed = threading.Event(), threading.Event()

    def hang(call: int) -> None:
        if call == 5:
            hung.set()
            assert freed.wait(SOON_S)

    # Until it has warmed up, the store is its thread's alone.
    serving.peer.until(lambda event: event == Alive(loading=False))
    in_step(store, monkeypatch, hang)
    serving.peer.send(Batch((ask_for(1, steps=20),)), *(Batch((ask_for(job),)) for job in (2, 3)))
    assert hung.wait(SOON_S)
    serving.peer.send(Cancel(2))
    before = serving.peer.until(lambda event: isinstance(event, Failed) and event.job == 2)
    assert signs(before)[-1] is False
    serving.peer.send(Cancel(3))
    assert serving.peer.until(lambda event: isinstance(event, Failed)) == [Failed(3, "cancelled", because("cancelled"))]
    freed.set()
    assert isinstance(serving.peer.ends(1)[1], Finished)


def test_steps_that_are_slow_give_a_sign_of_life_each(
    store: Store, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    clock_s = 0.0

    def minutes(_: int) -> None:
        nonlocal clock_s
        clock_s += 250.0

    monkeypatch.setattr(reports, "time", SimpleNamespace(monotonic=lambda: clock_s))
    in_step(store, monkeypatch, minutes)
    record.begin(ask_for(steps=6))
    imagine.run([ask_for(steps=6)], {}, store, record.report)
    record.finished()
    assert record.count(Alive(loading=False)) >= 6


def test_signs_come_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch, record: Record) -> None:
    clock_s = 100.0
    monkeypatch.setattr(reports, "time", SimpleNamespace(monotonic=lambda: clock_s))
    for _ in range(100):
        record.report.still_wanted([1])
        clock_s += 0.1
    assert 10 <= len(record) <= 11
    assert signs(record) == [False]


def test_loading_is_announced_and_its_end_too(known: Catalog, cpu: Device, record: Record, every_sign: None) -> None:
    store = Store(catalog=known, device=cpu)
    record.begin(ask_for())
    imagine.run([ask_for()], {}, store, record.report)
    record.finished()
    assert signs(record) == [True, False]
    last = max(place for place, event in enumerate(record) if event == Alive(loading=True))
    steps = [place for place, event in enumerate(record) if isinstance(event, Progress) and event.stage == "painting"]
    assert last < min(steps)


def test_the_warm_up_of_a_start_counts_as_loading(known: Catalog, cpu: Device) -> None:
    serving = Serving(known, Store(catalog=known, device=cpu))
    serving.peer.ready()
    events = serving.peer.until(lambda event: event == Alive(loading=False))
    assert events[0] == Alive(loading=True)
    serving.peer.socket.close()
    assert serving.ended()


def test_other_loras_and_compiling_count_as_loading(
    store: Store, cpu: Device, record: Record, every_sign: None
) -> None:
    request = ask_for(loras=(Lora("ink", 0.7),))
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    assert signs(record) == [True, False]
    again = Record()
    model = store.use("sd15", on_load=lambda: None)
    store.adapt(model, (), lambda: None)
    compiled = replace(model, policy=msgspec.structs.replace(model.policy, compile=True))
    plain = ask_for(steps=3)
    again.begin(plain)
    slots = [Slot(plain, 0, wording.draw(plain, 0, store.catalog))]
    session = Session(
        [slots], {}, Setup(model=compiled, device=cpu, batch=1), adapt=lambda _: None, callbacks=again.report
    )
    assert len(list(session.paint(lambda _: slots))) == 1
    assert signs(again) == [False, True, False]


def test_every_token_of_an_answer_and_every_tile_of_an_enlargement_is_a_sign(
    store: Store, monkeypatch: pytest.MonkeyPatch, every_sign: None
) -> None:
    monkeypatch.setattr(describer, "MAX_TELLING_TOKENS", 30)
    image, files = uploaded(tiny.picture(300, 200))
    store.use_describer("florence", lambda: None)
    store.use_upscaler("x2", lambda: None)
    told, enlarged = Record(), Record()
    asked = Describe(job=1, model="florence", image=image, task="caption")
    told.begin(asked)
    describe.run([asked], files, store, told.report)
    assert told.count(Alive(loading=False)) >= 30
    larger = Upscale(job=1, model="x2", image=image, factor=2)
    enlarged.begin(larger)
    upscale.run([larger], files, store, enlarged.report)
    assert enlarged.count(Alive(loading=False)) >= 2


def test_a_result_that_is_written_while_nothing_else_runs_may_take_its_time(serving: Serving) -> None:
    outputs = Held(data_folder() / INCOMING)
    serving.engine._report._outputs = outputs
    serving.peer.until(lambda event: event == Alive(loading=False))
    serving.peer.send(Batch((ask_for(1),)))
    assert outputs.asked.wait(SOON_S)
    serving.peer.until(lambda event: event == Alive(loading=True))
    outputs.let.set()
    assert isinstance(serving.peer.ends(1)[1], Finished)


def test_the_bot_knows_who_is_at_work_while_a_quick_job_interrupts_a_slow_one(serving: Serving) -> None:
    image, files = uploaded(tiny.picture(40, 30))
    put(files)
    quick = Classify(job=2, model="clip", image=image, labels=("a", "b"), templates=("{}",))
    serving.peer.send(Batch((ask_for(1, steps=60, count=2),)))
    events = serving.peer.until(lambda event: isinstance(event, Progress) and event.step > 1)
    serving.peer.send(Batch((quick,)))
    events += serving.peer.until(lambda event: isinstance(event, Finished) and event.job == 1)
    assert [event.jobs for event in events if isinstance(event, Began)] == [(1,), (2,), (1,)]


def test_a_job_that_is_postponed_begins_again(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    image, files = uploaded(tiny.picture(40, 30))
    put(files)
    asked = Describe(job=2, model="florence", image=image, task="caption")
    monkeypatch.setattr(describer, "MAX_TELLING_TOKENS", 8)
    run, tries = describe.run, []

    def full_at_first(*args: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(describe, "run", full_at_first)
    serving.peer.send(Batch((ask_for(1, steps=60, count=2),)))
    events = serving.peer.until(lambda event: isinstance(event, Progress) and event.step > 1)
    serving.peer.send(Batch((asked,)))
    events += serving.peer.until(lambda event: isinstance(event, Finished) and event.job == 2)
    assert [event.jobs for event in events if isinstance(event, Began)] == [(1,), (2,), (1,), (2,)]


def test_what_is_in_memory_is_told_when_that_has_changed(
    serving: Serving, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(until: int) -> list[Holding]:
        seen = serving.peer.until(lambda event: isinstance(event, Finished) and event.job == until)
        return [event for event in seen if isinstance(event, Holding)]

    told = serving.peer.until(lambda event: isinstance(event, Holding))[-1]
    assert isinstance(told, Holding)
    assert told.models == store.resident()
    assert "model sd15" in told.models
    assert (told.loads, told.budget_bytes) == (len(told.models), store.budget_bytes())
    serving.peer.send(Batch((ask_for(1),)))
    assert held(1) == []
    # It is told between two steps, and not when the job has ended.
    upscaler = "upscaler x2"
    store._drop(upscaler)
    store.use_upscaler("x2", on_load=lambda: None)
    in_step(store, monkeypatch, lambda call: store._drop(upscaler) if call == 2 else None)
    serving.peer.send(Batch((ask_for(2, steps=4),)))
    *came, left = held(2)
    assert upscaler not in left.models
    assert all(upscaler in one.models for one in came)
    assert bool(came) is (upscaler not in told.models)
    assert left.loads == told.loads + len(came)


def test_what_is_in_memory_goes_where_somebody_else_needs_it_once_nothing_waits(serving: Serving, store: Store) -> None:
    serving.peer.until(lambda event: isinstance(event, Holding))
    serving.peer.send(Batch((ask_for(1),)))
    for _ in range(2):
        # It is said each time, also where nothing was there: somebody waits for it.
        serving.peer.send(Spare())
    seen = serving.peer.until(lambda event: isinstance(event, Finished) and event.job == 1)
    # Pictures are on their way to the disk meanwhile: their end may be told later.
    if not any(isinstance(event, Holding) and not event.models for event in seen):
        serving.peer.until(lambda event: isinstance(event, Holding) and not event.models)
    assert store.resident() == {}
    serving.peer.send(Spare())
    serving.peer.until(lambda event: isinstance(event, Holding) and not event.models)
    serving.peer.send(Batch((ask_for(2),)))
    serving.peer.until(lambda event: isinstance(event, Finished) and event.job == 2)
