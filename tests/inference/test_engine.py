"""The engine: one end for every job whatever happens, faults, hanging up; and the process that runs it."""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from inference import device, engine
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import DeviceLost, OperatorError, PeerBroken
from inference.models.store import Store
from inference.protocol import (
    Batch,
    Cancel,
    Classify,
    Describe,
    Failed,
    Finished,
    Progress,
    Upscale,
    Variation,
    because,
    pack,
)
from inference.tasks import imagine
from tests.inference import tiny, tiny_editors, tiny_families
from tests.inference.conftest import ask_for, uploaded
from tests.inference.folders import data_folder, put
from tests.inference.peer import TIMEOUT_S, engine_process, environment
from tests.inference.serving import Serving


@pytest.fixture
def serving(known: Catalog, store: Store) -> Iterator[Serving]:
    serving = Serving(known, store)
    yield serving
    serving.peer.socket.close()
    assert serving.ended()


def test_ready_says_what_is_here_and_what_is_missing(serving: Serving) -> None:
    ready = serving.peer.ready()
    families = ["sd15", "sd21", "sdxl", "sdxl-turbo", "sd35", "flux-schnell", "flux-dev"]
    assert [model.name for model in ready.models] == [*families, *tiny_families.MODELS, *tiny_editors.OF_FAMILY]
    assert (ready.default_model, ready.missing) == ("sd15", ("absent",))
    assert (ready.max_count, ready.max_prompt_chars) == (4, 4000)
    assert ready.device.startswith("CPU")
    assert [tool.name for tool in ready.upscalers] == ["x4", "x2"]
    assert [tool.denoise for tool in ready.upscalers] == [True, False]
    assert [tool.name for tool in (*ready.describers, *ready.classifiers)] == ["florence", "clip"]
    assert len(ready.describers[0].tasks) == 10
    assert (ready.label_sets, ready.max_labels) == ({"colours": ("red", "blue")}, 50)


def test_a_bad_request_fails_alone_and_the_others_of_its_batch_are_painted(serving: Serving) -> None:
    serving.peer.ready()
    serving.peer.send(
        Batch((ask_for(1, width=37), ask_for(2), ask_for(3, model="absent", sampler="DDIM"), ask_for(4, steps=3)))
    )
    ends = serving.peer.ends(4)
    kinds = {job: end.kind if isinstance(end, Failed) else "finished" for job, end in ends.items()}
    assert kinds == {1: "invalid_input", 2: "finished", 3: "unavailable_model", 4: "finished"}


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_at_its_next_step(serving: Serving) -> None:
    peer = serving.peer
    peer.ready()
    peer.send(Batch((ask_for(1, steps=100, count=4),)), Batch((ask_for(2),)), Batch((ask_for(3),)))
    peer.until(lambda event: isinstance(event, Progress) and event.job == 1 and event.step > 2)
    peer.send(Cancel(2))
    waiting = peer.until(lambda event: isinstance(event, Failed))
    assert waiting[-1] == Failed(2, "cancelled", because("cancelled"))
    peer.send(Cancel(1))
    running = peer.until(lambda event: isinstance(event, Failed))
    assert running[-1] == Failed(1, "cancelled", because("cancelled"))
    assert isinstance(peer.ends(1)[3], Finished)
    peer.send(Cancel(3), Cancel(99), Batch((ask_for(1),)))
    assert isinstance(peer.ends(1)[1], Finished), "a number can be used again when its job has ended"


def test_every_job_ends_exactly_once_and_says_nothing_afterwards(serving: Serving) -> None:
    chance = random.Random(2)
    peer = serving.peer
    peer.ready()
    jobs = range(40)
    todo = [ask_for(job, seed=job, count=chance.randint(1, 2), **chance.choice(MIXED)) for job in jobs]
    while todo:
        size = chance.randint(1, 4)
        batch, todo = todo[:size], todo[size:]
        peer.send(Batch(tuple(batch)))
        peer.send(Batch((batch[0],)))  # a second time: ignored
        for _ in range(2):
            peer.send(Cancel(chance.randint(0, max(request.job for request in batch))))
    peer.socket.shutdown(socket.SHUT_WR)
    ends: Counter[int] = Counter()
    while (event := peer.event()) is not None:
        assert not isinstance(event, Progress) or not ends[event.job], "nothing comes after the end"
        if isinstance(event, Finished | Failed):
            ends[event.job] += 1
            if sum(ends.values()) == len(jobs):
                break
    assert ends == Counter(jobs)
    assert serving.ended()


MIXED: list[dict[str, object]] = [
    {},
    {"steps": 3},
    {"width": 37},
    {"variations": (Variation(3, 0.2),)},
    {"model": "sdxl", "sampler": "Euler"},
    {"model": "absent", "sampler": "DDIM"},
    {"sampler": "Euler a", "prompt": "a blue boat"},
]


def test_a_full_memory_names_a_smaller_size_and_the_engine_goes_on(
    serving: Serving, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = serving.peer
    peer.ready()
    unet = store.use("sd15", on_load=lambda: None).pipeline.unet
    forward = unet.forward

    def full_when_large(sample: torch.Tensor, *args: object, **kwargs: object) -> object:
        if sample.shape[-1] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(unet, "forward", full_when_large)
    peer.send(Batch((ask_for(1, width=64, height=64), ask_for(2))))
    ends = peer.ends(2)
    smaller = because("memory_for_size", width=64, height=64, smaller="40x40")
    assert ends[1] == Failed(1, "out_of_memory", smaller)
    assert isinstance(ends[2], Finished)


def test_a_bug_fails_its_jobs_and_the_engine_goes_on(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    peer = serving.peer
    peer.ready()
    with monkeypatch.context() as patched:
        patched.setattr(imagine, "run", lambda *_: 1 / 0)
        peer.send(Batch((ask_for(1), ask_for(2))))
        ends = peer.ends(2)
    assert all(isinstance(end, Failed) and end.kind == "internal" for end in ends.values())
    assert "ZeroDivisionError" in caplog.text
    assert isinstance(peer.paint(ask_for(3))[3], Finished)


def test_a_lost_device_fails_every_open_job_and_ends_the_engine(
    known: Catalog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(Device):
        is_cuda = True

        def is_alive(self) -> bool:
            return False

    def fault(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    store = Store(catalog=known, device=Lost(where=torch.device("cpu"), name="a GPU", memory_bytes=10**9))
    monkeypatch.setattr(engine.Engine, "_warm_up", lambda *_: None)
    monkeypatch.setattr(imagine, "run", fault)
    monkeypatch.setattr(Device, "release_cache", lambda _: None)
    serving = Serving(known, store)
    serving.peer.ready()
    serving.peer.send(Batch((ask_for(1), ask_for(2, steps=3), ask_for(3, width=64))))
    ends = serving.peer.ends(3)
    assert serving.ended()
    assert {end.kind for end in ends.values() if isinstance(end, Failed)} == {"internal"}
    assert isinstance(serving.raised, DeviceLost)


def test_a_peer_that_talks_nonsense_ends_the_engine(known: Catalog, store: Store) -> None:
    serving = Serving(known, store)
    serving.peer.ready()
    serving.peer.socket.sendall(b"\xff\xff\xff\xff")
    assert serving.ended()
    assert isinstance(serving.raised, PeerBroken)


def test_a_bot_that_only_stops_sending_still_gets_its_pictures(serving: Serving) -> None:
    serving.peer.ready()
    serving.peer.send(Batch((ask_for(1),)), Batch((ask_for(2),)))
    serving.peer.socket.shutdown(socket.SHUT_WR)
    assert all(isinstance(end, Finished) for end in serving.peer.ends(2).values())
    assert serving.ended()


def test_a_bot_that_hangs_up_leaves_nothing_running(serving: Serving) -> None:
    serving.peer.ready()
    serving.peer.send(Batch((ask_for(1, steps=150, count=4),)), Batch((ask_for(2, steps=150, count=4),)))
    serving.peer.until(lambda event: isinstance(event, Progress) and event.step > 1)
    serving.peer.socket.close()
    assert serving.ended()


def test_the_process_paints_quietly_and_dies_in_one_line_of_a_peer_that_talks_nonsense(models_toml: Path) -> None:
    long = "a prompt that goes on far beyond the window of the text encoder " * 5
    requests = (ask_for(1, count=2), ask_for(2, sampler="Euler a", model="sdxl"), ask_for(3, prompt=long))
    with engine_process(models_toml, cold=True) as (peer, process):
        assert peer.ready().default_model == "sd15"
        assert all(end.seconds > 0 for end in peer.paint(*requests).values())
        image, files = uploaded(tiny.picture(40, 30))
        others = (
            Upscale(job=1, model="x4", image=image, factor=3, denoise=0.5),
            Describe(job=2, model="florence", image=image, task="caption"),
            Describe(job=3, model="florence", image=image, task="find", text="a red house"),
            Classify(job=4, model="clip", image=image, labels=tuple("abcdef"), templates=("a {}", "{}")),
        )
        ends = peer.paint(*others, files=files)
        assert (ends[1].pictures[0].width, ends[4].pictures[0].seed) == (120, None)
        assert len(ends[4].answer.labels) == 6
        process.send_signal(signal.SIGINT)  # a Ctrl-C in the bot's terminal
        assert peer.paint(ask_for(1))
        peer.socket.sendall(pack(Progress(1, 2, 3)))
        assert process.wait(TIMEOUT_S) == 1
        (line,) = errors_of(process)
        assert "not our protocol" in line


def test_no_pickle_runs_whatever_the_environment_says_and_what_is_written_is_private(
    models_toml: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {marker}",)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"params": Evil()}))
    toml = tmp_path / "models.toml"
    text = models_toml.read_text().replace('path = "', f'path = "{models_toml.parent}/')
    toml.write_text(text.replace(f"{models_toml.parent}/x2.pth", str(tmp_path / "evil.pth")))
    image, files = uploaded(tiny.picture(40, 30))
    with engine_process(toml, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1") as (peer, process):
        peer.ready()
        put(files)
        peer.send(Batch((Upscale(job=1, model="x2", image=image, factor=2),)))
        assert isinstance(peer.ends(1)[1], Failed)
        status = Path(f"/proc/{process.pid}/status").read_text()
    assert "Umask:\t0077" in status
    assert not marker.exists()


def errors_of(process: subprocess.Popen[str]) -> list[str]:
    """What an ended process has written to stderr."""
    assert process.stderr is not None
    return process.stderr.read().splitlines()


SERVE = ["--fd", "{fd}", "--data", "{data}"]


@pytest.mark.parametrize(
    ("arguments", "changes", "words"),
    [
        (
            ["--fd", "{fd}", "--data", "{data}"],
            {"EASEL_MODELS": "/nowhere/models.toml"},
            "/nowhere/models.toml is not there",
        ),
        (
            ["--fd", "{fd}", "--data", "{data}"],
            {"EASEL_MODELS": "{broken}"},
            "models.one: Object missing required field",
        ),
        (SERVE, {"EASEL_MODELS": "{empty}"}, "the default model one has no weights on this machine: put them into"),
        (SERVE, {"EASEL_DEVICE": "gpu"}, "EASEL_DEVICE='gpu' names no device"),
        (["--fd", "0", "--data", "{data}"], {}, "--fd 0 is no open socket"),
        (["--fd", "{fd}"], {}, "names no data folder of a bot"),
        (["--fd", "{fd}", "--data", "/nowhere"], {}, "--data /nowhere names no data folder of a bot"),
        (["models", "fetch", "dall-e"], {}, "there is no model dall-e: choose one of sd15"),
        (["models", "fetch", "sd15"], {}, "Tiny 1.5 comes with its folder"),
    ],
)
def test_what_the_operator_must_mend_is_one_line_and_status_2(
    arguments: list[str], changes: dict[str, str], words: str, models_toml: Path, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    broken, empty = tmp_path / "broken.toml", tmp_path / "empty.toml"
    broken.write_text('default = "one"\n[models.one]\ntitle = "One"\n')
    absent = models_toml.read_text().split("[models.absent]")[1].split("\n[")[0]
    empty.write_text('default = "one"\n[models.one]\n' + absent)
    places = {"fd": str(theirs.fileno()), "data": str(data_folder()), "broken": str(broken), "empty": str(empty)}
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-m", "inference", *(argument.format(**places) for argument in arguments)],
            env=environment(models_toml, **{name: value.format(**places) for name, value in changes.items()}),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


def test_a_gpu_that_is_not_there_is_the_operators_to_mend() -> None:
    with pytest.raises(OperatorError, match="EASEL_DEVICE=cuda:99: torch sees"):
        device.choose("cuda:99", None)


def test_the_list_shows_what_is_here(models_toml: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inference", "models", "list"],
        env=environment(models_toml),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    rows = [[*row[:3], row[-1]] for row in map(str.split, done.stdout.splitlines())]
    assert rows[0][:3] == ["NAME", "FAMILY", "HERE"]
    assert ["sd15", "sd1", "yes", "sd15"] in rows
    assert ["absent", "sd1", "no", "absent"] in rows
    assert ["unfetched", "rrdb", "no", "https://example.org/releases/unfetched.pth"] in rows
    assert ["clip", "classifier", "yes", "clip"] in rows
