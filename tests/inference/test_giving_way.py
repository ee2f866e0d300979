"""Quick jobs between the steps of a long one: they come through, and nobody's picture is any different for it."""

from __future__ import annotations

import zlib

import pytest
import torch
from PIL import Image

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import DeviceLost, InvalidInput, OutOfMemory
from inference.models.store import Store
from inference.networks import describer
from inference.painting import setups
from inference.pictures import images
from inference.protocol import (
    PICTURES,
    Batch,
    Cancel,
    Classify,
    Describe,
    Event,
    Failed,
    Finished,
    Imagine,
    Input,
    Progress,
    because,
    logs,
    place,
    sha256_of,
)
from inference.tasks import classify
from tests.inference import tiny
from tests.inference.conftest import ask_for, uploaded
from tests.inference.folders import data_folder, hashes, put
from tests.inference.peer import Peer
from tests.inference.serving import Serving

IMAGE, FILES = uploaded(tiny.picture(40, 30))


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights talk until they are stopped."""
    monkeypatch.setattr(describer, "MAX_TELLING_TOKENS", 8)


@pytest.fixture(autouse=True)
def files_there() -> None:
    put(FILES)


def labelled(job: int, image: Input = IMAGE) -> Classify:
    return Classify(job=job, model="clip", image=image, labels=("a", "b"), templates=("{}",))


def described(job: int) -> Describe:
    return Describe(job=job, model="florence", image=IMAGE, task="caption")


def long(job: int) -> Imagine:
    return ask_for(job, steps=60, count=2)


def painting(peer: Peer, job: int) -> None:
    """Wait until this job is at its steps."""
    peer.until(lambda event: isinstance(event, Progress) and event.job == job and event.step > 1)


def ended(events: list[Event]) -> list[int]:
    """The jobs in the order that they ended."""
    return [event.job for event in events if isinstance(event, Finished | Failed)]


def test_a_quick_job_ends_first_and_the_picture_has_the_same_bytes(serving: Serving) -> None:
    peer = serving.peer
    alone = peer.paint(long(1))[1].pictures
    before = torch.get_rng_state()
    peer.send(Batch((long(1),)), Batch((ask_for(2),)))
    painting(peer, 1)
    peer.send(Batch((described(3), labelled(4))))
    events = peer.until(lambda event: isinstance(event, Finished) and event.job == 2)
    assert ended(events) == [3, 4, 1, 2]
    finished = {event.job: event for event in events if isinstance(event, Finished)}
    assert hashes(finished[1].pictures) == hashes(alone)
    assert finished[3].answer.text or finished[3].answer.nothing
    assert finished[4].answer.labels
    assert torch.equal(torch.get_rng_state(), before), "nobody draws from the one source that all share"


def test_a_quick_job_that_waits_goes_before_what_has_not_begun(serving: Serving) -> None:
    peer = serving.peer
    peer.send(Batch((long(1),)))
    painting(peer, 1)
    peer.send(Batch((ask_for(2),)), Batch((labelled(3), ask_for(4))), Cancel(1))
    events = peer.until(lambda event: isinstance(event, Finished) and event.job == 4)
    assert sorted(ended(events)) == [1, 2, 3, 4]
    assert ended(events).index(3) < ended(events).index(2)


def test_a_cancel_reaches_both_the_long_job_and_the_quick_one(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serving.peer
    run = classify.run

    def cancelled_meanwhile(*args: object) -> None:
        serving.engine._report.cancel(1)
        serving.engine._report.cancel(2)
        run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(classify, "run", cancelled_meanwhile)
    peer.send(Batch((long(1),)))
    painting(peer, 1)
    peer.send(Batch((labelled(2),)))
    ends = peer.ends(2)
    assert {end.kind for end in ends.values() if isinstance(end, Failed)} == {"cancelled"}
    assert isinstance(peer.paint(ask_for(3))[3], Finished)


def test_whatever_breaks_in_a_quick_job_is_its_own(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    peer = serving.peer
    caplog.handler.addFilter(logs.note_jobs)
    monkeypatch.setattr(classify, "run", lambda *_: 1 / 0)
    peer.send(Batch((long(1),)))
    painting(peer, 1)
    peer.send(Batch((labelled(2), labelled(3, Input("0" * 64, 1, 1)))))
    ends = peer.ends(3)
    assert isinstance(ends[1], Finished)
    assert [ends[job].kind for job in (2, 3)] == ["internal", "invalid_input"]  # type: ignore[union-attr]
    assert "ZeroDivisionError" in caplog.text
    assert [record.jobs for record in caplog.records if record.exc_info] == [(2,)]  # type: ignore[attr-defined]


def test_a_quick_job_that_finds_the_memory_full_waits_for_its_turn(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serving.peer
    run, tries = classify.run, []

    def full_at_first(*args: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        run(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(classify, "run", full_at_first)
    peer.send(Batch((long(1),)), Batch((ask_for(2),)))
    painting(peer, 1)
    peer.send(Batch((labelled(3),)))
    events = peer.until(lambda event: isinstance(event, Finished) and event.job == 2)
    assert ended(events) == [1, 3, 2]
    assert all(isinstance(event, Finished) for event in events if isinstance(event, Finished | Failed))


def test_a_memory_that_stays_full_fails_the_quick_job_alone(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(classify, "run", full)
    serving.peer.send(Batch((long(1),)))
    painting(serving.peer, 1)
    serving.peer.send(Batch((labelled(2),)))
    ends = serving.peer.ends(2)
    assert isinstance(ends[1], Finished)
    assert isinstance(ends[2], Failed)
    assert (ends[2].kind, ends[2].reason) == ("out_of_memory", classify.too_large(labelled(2), serving.known))


def test_the_models_of_the_long_job_stay_while_a_quick_one_loads_its_own(known: Catalog, cpu: Device) -> None:
    sizes: dict[str, int] = {}
    for use in (Store.use, Store.use_classifier):
        alone = Store(catalog=known, device=cpu)
        use(alone, "sd15" if use is Store.use else "clip", lambda: None)
        sizes |= alone.resident()
    budget = sizes["model sd15"] + sizes["classifier clip"]
    for room, outcome in ((budget, ["model sd15", "classifier clip"]), (budget - 1000, ["model sd15"])):
        store = Store(catalog=known, device=cpu, vram_budget_bytes=room)
        store.use_upscaler("x2", lambda: None)
        with store.lease():
            store.use("sd15", lambda: None)
            with store.lease():
                if room < budget:
                    with pytest.raises(OutOfMemory, match="no_room_beside"):
                        store.use_classifier("clip", lambda: None)
                else:
                    store.use_classifier("clip", lambda: None)
            assert list(store.resident()) == outcome
        with store.lease():
            store.use_classifier("clip", lambda: None)
        assert "classifier clip" in store.resident(), "alone it fits"


def test_a_device_lost_in_a_quick_job_ends_everything(
    known: Catalog, store: Store, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(Device):
        is_cuda = True
        alive = True

        def is_alive(self) -> bool:
            return self.alive

        def settle(self) -> None:
            pass

        def release_cache(self) -> None:
            pass

    def fault(*_: object) -> None:
        object.__setattr__(lost, "alive", False)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    lost = Lost(where=cpu.where, name="a GPU", memory_bytes=10**12)
    monkeypatch.setattr(classify, "run", fault)
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 1)
    monkeypatch.setattr(Lost, "dtype", lambda *_: torch.float32)
    serving = Serving(known, Store(catalog=known, device=lost))
    serving.peer.ready()
    serving.peer.send(Batch((long(1),)), Batch((ask_for(3),)))
    painting(serving.peer, 1)
    serving.peer.send(Batch((labelled(2),)))
    ends = serving.peer.ends(3)
    assert serving.ended()
    assert {end.kind for end in ends.values() if isinstance(end, Failed)} == {"internal"}
    assert isinstance(serving.raised, DeviceLost)


@pytest.mark.parametrize("data", [None, b"another file"])
def test_inputs_that_are_missing_or_not_what_they_are_called_are_refused(serving: Serving, data: bytes | None) -> None:
    wanted = Input(sha256_of(f"not {data!r}".encode()), 40, 30)
    put({} if data is None else {wanted.sha256: data})
    serving.peer.send(Batch((labelled(1, wanted), ask_for(2))))
    ends = serving.peer.ends(2)
    assert ends[1] == Failed(1, "invalid_input", because("input_lost"))
    assert isinstance(ends[2], Finished)


def test_an_input_that_is_missing_fails_its_own_job_and_not_those_painted_beside_it(serving: Serving) -> None:
    gone = Input(sha256_of(b"gone"), 40, 30)
    requests = [ask_for(job, image=image, strength=0.5) for job, image in enumerate((IMAGE, gone, IMAGE), start=1)]
    assert len({request.pass_key for request in requests}) == 1
    serving.peer.send(Batch(tuple(requests)))
    ends = serving.peer.ends(3)
    assert [type(ends[job]) for job in (1, 2, 3)] == [Finished, Failed, Finished]


def test_an_input_is_read_only_when_its_jobs_turn_has_come(serving: Serving) -> None:
    late, files = uploaded(tiny.picture(40, 30, seed=5))
    serving.peer.send(Batch((long(1),)))
    painting(serving.peer, 1)
    serving.peer.send(Batch((ask_for(2, image=late, strength=0.5),)))
    put(files)
    assert all(isinstance(end, Finished) for end in serving.peer.ends(2).values())


def test_a_disk_that_does_not_give_an_input_is_told_to_member_and_operator(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = Input(sha256_of(b"a folder"), 40, 30)
    place(data_folder() / PICTURES, wanted.sha256).mkdir(parents=True)
    serving.peer.send(Batch((labelled(1, wanted),)))
    end = serving.peer.ends(1)[1]
    assert isinstance(end, Failed)
    assert end == Failed(1, "internal", because("input_unreadable"))
    assert "Is a directory" in caplog.text


def test_a_picture_that_is_larger_than_it_was_said_to_be_is_refused_before_it_is_decoded_and_without_noise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The header alone says 95 million pixels, at which Pillow warns; there is nothing behind it.
    header = b"IHDR" + (10_000).to_bytes(4, "big") + (9_500).to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    crc = zlib.crc32(header).to_bytes(4, "big")
    ends = b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
        for name, body in ((b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    data = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + crc + ends
    with pytest.raises(InvalidInput) as refused:
        images.read({"hash": data}, Input("hash", 40, 30))
    assert refused.value.reason == because("input_size")
    assert not caplog.records
    assert Image.MAX_IMAGE_PIXELS == 89_478_485, "a library's limit is nobody's to move"


@pytest.mark.parametrize(
    ("data", "size", "name"),
    [
        (b"no picture at all", (40, 30), "input_broken"),
        (FILES[IMAGE.sha256][:200], (40, 30), "input_broken"),
        (FILES[IMAGE.sha256], (41, 30), "input_size"),
        (FILES[IMAGE.sha256], (100_000, 100_000), "input_pixels"),
    ],
)
def test_inputs_are_decoded_with_suspicion(serving: Serving, data: bytes, size: tuple[int, int], name: str) -> None:
    sha256 = sha256_of(data)
    put({sha256: data})
    serving.peer.send(Batch((labelled(1, Input(sha256, *size)),)))
    end = serving.peer.ends(1)[1]
    assert isinstance(end, Failed)
    assert (end.kind, end.reason.name) == ("invalid_input", name)
