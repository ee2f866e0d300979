"""The bot's engine of one process, against processes that speak the protocol and misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot import environment, settings
from bot.engine import factory, last_seen
from bot.engine import link as link_module
from bot.engine import process as process_module
from bot.engine.fleet import Fleet, ProcessLane
from bot.engine.interface import Engine, Lane
from bot.engine.process import InferenceProcess
from bot.errors import EngineDied, OperatorError, Starting
from inference.protocol import Classify, Describe, Event, Failed, Finished, Imagine, Input, Progress, Ready, Request
from tests.bot.conftest import ready, request

PRELUDE = """
import os, signal, socket, sys, time
sys.path.insert(0, {root!r})
from inference.protocol import *
from tests.bot.conftest import ready
sock = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
def send(event):
    sock.sendall(pack(event))
def receive():
    def exactly(size):
        data = b""
        while len(data) < size:
            part = sock.recv(size - len(data))
            if not part:
                sys.exit(0)
            data += part
        return data
    return unpack_message(exactly(frame_bytes(exactly(4))))
def finish(job):
    send(Finished(job=job, pictures=(), recipe={{}}, seconds=0.1, answer=Answer()))
"""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., InferenceProcess]:
    """A process that runs this script, as every other one does that is started in the test."""

    def make(script: str, silence_s: float = 60.0, **environ: str) -> InferenceProcess:
        file = tmp_path / "engine.py"
        file.write_text(PRELUDE.format(root=str(ROOT)) + script)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{file}" "$@"\n')
        python.chmod(0o700)
        monkeypatch.setattr(link_module.sys, "executable", str(python))
        monkeypatch.setattr(process_module, "WATCH_EVERY_S", 0.05)
        return InferenceProcess({**os.environ, **environ}, tmp_path, silence_s)

    return make


@asynccontextmanager
async def running(engine: InferenceProcess) -> AsyncIterator[InferenceProcess]:
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def kept(engine: InferenceProcess) -> AsyncIterator[None]:
    """Start it again whenever it dies meanwhile."""
    keeping = asyncio.create_task(engine.keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def slow(number: int) -> Imagine:
    return request(job=number)


def quick(number: int) -> Classify:
    return Classify(job=number, model="clip", image=Input("0" * 64, 64, 64), labels=("a", "b"), templates=("{}",))


async def events(engine: InferenceProcess, *requests: Request) -> list[Event]:
    return [event async for event in engine.run(requests)]


async def test_as_many_pictures_share_a_pass_as_the_engine_says_for_their_size(
    engine_of: Callable[..., InferenceProcess],
) -> None:
    script = """
from msgspec.structs import replace
told = ready()
send(replace(told, models=(replace(told.models[0], batch=4),)))
receive()
"""
    async with running(engine_of(script)) as process:
        lane = ProcessLane(Fleet(), process, quick=False)
        assert lane.capacity(request()) == 4
        assert lane.capacity(request(width=128)) == 1
        assert lane.capacity(request(model="gone")) == 1
        assert lane.capacity(quick(1)) == 1


async def test_as_many_questions_share_a_pass_as_the_engine_says_of_their_model(
    engine_of: Callable[..., InferenceProcess],
) -> None:
    script = """
from msgspec.structs import replace
def tool(name, batch):
    return ToolInfo(name=name, title=name, scale=1, denoise=False, tasks=(), languages=(), batch=batch)
send(replace(ready(), describers=(tool("florence", 8),), classifiers=(tool("clip", 32), tool("florence", 2))))
receive()
"""
    image = Input("0" * 64, 8, 8)
    async with running(engine_of(script)) as process:
        lane = ProcessLane(Fleet(), process, quick=True)
        assert lane.capacity(Describe(job=1, model="florence", image=image, task="caption")) == 8
        assert lane.capacity(Classify(job=1, model="clip", image=image, labels=("a", "b"), templates=("{}",))) == 32
        assert lane.capacity(Classify(job=1, model="gone", image=image, labels=("a", "b"), templates=("{}",))) == 1


async def test_events_reach_the_run_that_waits_for_them(engine_of: Callable[..., InferenceProcess]) -> None:
    script = """
send(ready())
first, second = receive(), receive()
for batch in (second, first):
    for request in batch.requests:
        send(Began((request.job,)))
        finish(request.job)
receive()
"""
    async with running(engine_of(script)) as engine:
        of_first, of_second = await asyncio.gather(events(engine, slow(1)), events(engine, quick(2)))
    assert [event.job for event in of_first if isinstance(event, Finished)] == [1]
    assert [event.job for event in of_second if isinstance(event, Finished)] == [2]


async def test_only_what_was_at_work_is_blamed_for_the_death(engine_of: Callable[..., InferenceProcess]) -> None:
    script = """
send(ready())
batches = [receive(), receive()]
slow, quick = sorted(batches, key=lambda batch: batch.requests[0].quick)
send(Began((slow.requests[0].job,)))
send(Began((quick.requests[0].job,)))
time.sleep(0.2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    async with running(engine_of(script)) as engine:
        results = await asyncio.gather(events(engine, slow(1)), events(engine, quick(2)), return_exceptions=True)
        death = await engine.ended()
    assert all(isinstance(result, EngineDied) for result in results)
    # The quick one ran between two steps of the slow one.
    assert death.at_work == {2}
    assert "exit status -9" in str(death)


async def test_what_was_being_written_is_blamed_beside_what_the_device_had(
    engine_of: Callable[..., InferenceProcess],
) -> None:
    script = """
send(ready())
[one], [two], [three] = receive().requests, receive().requests, receive().requests
send(Began((one.job,)))
send(Progress(one.job, 8, 8, "finishing"))
send(Began((two.job,)))
sys.exit(1)
"""
    async with running(engine_of(script)) as engine:
        await asyncio.gather(*(events(engine, slow(number)) for number in (1, 2, 3)), return_exceptions=True)
        assert (await engine.ended()).at_work == {1, 2}


async def test_slow_job_that_goes_on_after_a_quick_one_is_blamed_and_the_quick_one_not(
    engine_of: Callable[..., InferenceProcess],
) -> None:
    script = """
send(ready())
batches = [receive(), receive()]
send(Began((1,)))
send(Began((2,)))
finish(2)
send(Began((1,)))
sys.exit(1)
"""
    async with running(engine_of(script)) as engine:
        await asyncio.gather(events(engine, slow(1)), events(engine, quick(2)), return_exceptions=True)
        assert (await engine.ended()).at_work == {1}


async def test_job_that_had_not_begun_is_not_blamed(engine_of: Callable[..., InferenceProcess]) -> None:
    script = "send(ready())\nreceive()\nsys.exit(1)\n"
    async with running(engine_of(script)) as engine:
        with pytest.raises(EngineDied) as raised:
            await events(engine, slow(1))
    assert raised.value.at_work == frozenset()


async def test_job_that_has_ended_is_not_blamed(engine_of: Callable[..., InferenceProcess]) -> None:
    script = """
send(ready())
[one, two] = receive().requests
send(Began((one.job,)))
send(Failed(one.job, "invalid_input", because("no_prompt")))
send(Began((two.job,)))
sys.exit(1)
"""
    async with running(engine_of(script)) as engine:
        with pytest.raises(EngineDied) as raised:
            await events(engine, slow(1), slow(2))
    assert raised.value.at_work == {2}


async def test_death_of_an_idle_engine_is_heard_of(engine_of: Callable[..., InferenceProcess]) -> None:
    async with running(engine_of("send(ready())\nsys.exit(1)\n")) as engine:
        death = await engine.ended()
        assert death.at_work == frozenset()
        with pytest.raises(EngineDied):
            await events(engine, slow(1))
        await engine.start()
        await engine.up()


async def test_engine_that_hangs_is_ended(
    engine_of: Callable[..., InferenceProcess], caplog: pytest.LogCaptureFixture
) -> None:
    script = """
send(ready())
[request] = receive().requests
send(Alive(False))
send(Began((request.job,)))
while True:
    signal.pause()
"""
    async with running(engine_of(script, silence_s=0.3)) as engine:
        with pytest.raises(EngineDied) as raised:
            await events(engine, slow(1))
    assert raised.value.at_work == {1}
    assert "gave no sign of life" in caplog.text


async def test_engine_that_gives_signs_of_life_may_take_its_time(engine_of: Callable[..., InferenceProcess]) -> None:
    script = """
send(ready())
[request] = receive().requests
send(Began((request.job,)))
for _ in range(15):
    send(Alive(False))
    time.sleep(0.1)
finish(request.job)
receive()
"""
    async with running(engine_of(script, silence_s=0.6)) as engine:
        assert await events(engine, slow(1))


async def test_engine_that_loads_may_be_silent_for_longer(engine_of: Callable[..., InferenceProcess]) -> None:
    script = """
send(ready())
[request] = receive().requests
send(Alive(True))
time.sleep(1.0)
send(Alive(False))
finish(request.job)
receive()
"""
    async with running(engine_of(script, silence_s=0.4)) as engine:
        assert await events(engine, slow(1))


async def test_idle_engine_may_be_silent_for_ever(engine_of: Callable[..., InferenceProcess]) -> None:
    script = """
send(ready())
send(Alive(False))
[request] = receive().requests
finish(request.job)
receive()
"""
    async with running(engine_of(script, silence_s=0.2)) as engine:
        await asyncio.sleep(0.6)
        assert await events(engine, slow(1))


async def test_its_condition_says_how_long_it_worked_was_silent_and_away_and_what_it_holds(
    engine_of: Callable[..., InferenceProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "RESTART_AFTER_S", (0.0,))
    script = """
send(ready())
send(Holding(models={"model starter": 5}, loads=1, budget_bytes=7, device_bytes=9))
[request] = receive().requests
send(Began((request.job,)))
time.sleep(0.2)
send(Progress(request.job, 1, 1, "finishing"))
receive()
finish(request.job)
[request] = receive().requests
send(Began((request.job,)))
time.sleep(0.2)
os._exit(1)
"""
    engine = engine_of(script)
    fleet = Fleet()
    fleet.add(engine)
    [before] = fleet.conditions
    assert (before.is_up, before.starts, before.pid, before.device, before.holding) == (False, 0, None, "", None)
    async with running(engine), kept(engine):
        [idle] = fleet.conditions
        assert (idle.is_up, idle.starts, idle.work_s, idle.silent_s) == (True, 1, 0.0, 0.0)
        assert idle.pid is not None
        async for event in engine.run([slow(1)]):
            if isinstance(event, Progress):
                first, _, [second] = fleet.conditions[0], await asyncio.sleep(0.1), fleet.conditions
                # Encoding needs no device.
                assert first.work_s == second.work_s >= 0.2
                assert second.silent_s > first.silent_s
                await engine.cancel(1)
        [done] = fleet.conditions
        assert (done.work_s, done.silent_s) == (second.work_s, 0.0)
        assert done.holding is not None
        assert done.holding.models == {"model starter": 5}
        with pytest.raises(EngineDied):
            await events(engine, slow(2))
        [away] = fleet.conditions
        assert not away.is_up
        assert away.away_s is not None
        assert away.work_s > done.work_s
        await engine.up()
        [again] = fleet.conditions
        assert (again.is_up, again.starts) == (True, 2)
        assert again.pid != idle.pid
        assert again.work_s == pytest.approx(away.work_s)


async def test_engine_that_speaks_nonsense_is_dead(engine_of: Callable[..., InferenceProcess]) -> None:
    async with running(engine_of('send(ready())\nsock.sendall(b"HTTP/1.1 200 OK")\nreceive()\n')) as engine:
        assert "nobody can read" in str(await engine.ended())


async def test_operators_mistake_ends_the_start(engine_of: Callable[..., InferenceProcess]) -> None:
    engine = engine_of("sys.exit(2)\n")
    with pytest.raises(OperatorError):
        await engine.start()
    await engine.close()


COUNT_STARTS = """
open("starts", "a").write(".")
starts = len(open("starts").read())
"""


async def test_process_that_dies_is_started_again_once_however_many_runs_it_had(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f"os.chdir({str(tmp_path)!r})\n{COUNT_STARTS}"
        + """
send(ready())
for _ in range(2):
    [request] = receive().requests
    if starts > 1:
        finish(request.job)
if starts > 1:
    receive()
"""
    )
    monkeypatch.setattr(process_module, "RESTART_AFTER_S", (0.0,))
    async with running(engine_of(script)) as engine, kept(engine):
        results = await asyncio.gather(events(engine, slow(1)), events(engine, quick(2)), return_exceptions=True)
        assert all(isinstance(result, EngineDied) for result in results)
        await engine.up()
        await asyncio.gather(events(engine, slow(1)), events(engine, quick(2)))
    assert (tmp_path / "starts").read_text() == ".."


async def test_process_that_does_not_start_is_tried_again_and_that_is_said(
    engine_of: Callable[..., InferenceProcess],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = (
        f"os.chdir({str(tmp_path)!r})\n{COUNT_STARTS}"
        + """
if starts in (2, 3):
    sys.exit(1)
send(ready())
if starts == 1:
    sys.exit(1)
receive()
"""
    )
    monkeypatch.setattr(process_module, "RESTART_AFTER_S", (0.0, 0.01))
    async with running(engine_of(script)) as engine, kept(engine):
        await engine.ended()
        await engine.up()
    assert (tmp_path / "starts").read_text() == "...."
    assert caplog.text.count("next try in 0.01 s") == 2


async def test_operators_mistake_ends_the_keeping(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f"os.chdir({str(tmp_path)!r})\n{COUNT_STARTS}"
        + """
if starts > 1:
    sys.exit(2)
send(ready())
sys.exit(1)
"""
    )
    monkeypatch.setattr(process_module, "RESTART_AFTER_S", (0.0,))
    async with running(engine_of(script)) as engine:
        with pytest.raises(OperatorError):
            await engine.keep()


def local(data: Path, **environ: str) -> Engine:
    given = {"DISCORD_TOKEN": "a", "EASEL_DATA": str(data), **environ}
    return factory.build(settings.read(given), {**os.environ, **environ})


async def test_lanes_of_the_local_engine_come_and_go_with_its_process(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_of("""
send(ready())
[request] = receive().requests
send(Began((request.job,)))
sys.exit(1)
""")
    monkeypatch.setattr(process_module, "RESTART_AFTER_S", (0.0,))
    engine = local(tmp_path)
    await engine.start()
    try:
        one, other = engine.lanes
        assert (one.quick, other.quick) == (False, True)
        assert one.capacity(slow(1)) == engine.ready.models[0].batch
        assert other.capacity(quick(1)) == 1
        await asyncio.gather(one.up(), other.up())
        with pytest.raises(EngineDied) as raised:
            async for _ in one.run([slow(1)]):
                pass
        assert raised.value.at_work == {1}
        await asyncio.gather(one.down(), other.down())
        keeping = asyncio.create_task(engine.keep())
        await asyncio.gather(one.up(), other.up())
        keeping.cancel()
    finally:
        await engine.close()


async def test_engine_gets_no_secrets(engine_of: Callable[..., InferenceProcess], tmp_path: Path) -> None:
    script = """
import json
open("seen.json", "w").write(json.dumps(dict(os.environ)))
send(ready())
receive()
"""
    secrets = {
        "DISCORD_TOKEN": "a",
        "Discord_Token": "b",
        "discord_token": "c",
        "HF_TOKEN": "d",
        "AWS_SECRET_ACCESS_KEY": "e",
        "DATABASE_URL": "f",
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "EASEL_DATA": "g",
    }
    async with running(engine_of(f"os.chdir({str(tmp_path)!r})\n{script}", **secrets, EASEL_DEVICE="cpu")):
        seen = (tmp_path / "seen.json").read_text()
    assert not [name for name in secrets if f'"{name}"' in seen]
    assert '"EASEL_DEVICE"' in seen
    assert '"PATH"' in seen


def test_variables_that_drivers_and_caches_need_are_handed_on() -> None:
    given = {"CUDA_VISIBLE_DEVICES": "1", "HF_HOME": "/models", "LC_ALL": "C", "OMP_NUM_THREADS": "4", "X": "y"}
    assert environment.of_engine(given) == {name: value for name, value in given.items() if name != "X"}


def test_cluster_gets_its_own_variables_besides_and_its_engines_do_not() -> None:
    given = {
        "RAY_AUTH_TOKEN": "a",
        "RAY_AUTH_MODE": "token",
        "EASEL_MODELS": "m",
        "DISCORD_TOKEN": "b",
        "HF_TOKEN": "c",
    }
    assert environment.of_cluster(given).keys() == {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "EASEL_MODELS"}
    assert environment.of_engine(given).keys() == {"EASEL_MODELS"}


async def test_each_device_has_an_engine_of_its_own(engine_of: Callable[..., InferenceProcess], tmp_path: Path) -> None:
    engine_of(
        f"os.chdir({str(tmp_path)!r})\n"
        + """
open("devices", "a").write(os.environ["EASEL_DEVICE"] + " ")
send(ready())
receive()
"""
    )
    engine = local(tmp_path, EASEL_DEVICE="cuda:0, cuda:1")
    await engine.start()
    try:
        assert len(engine.lanes) == 4
        assert len({lane.name for lane in engine.lanes}) == 4
    finally:
        await engine.close()
    assert sorted((tmp_path / "devices").read_text().split()) == ["cuda:0", "cuda:1"]


async def test_auto_is_every_card_of_the_machine_as_the_first_engine_counts_them(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path
) -> None:
    engine_of(
        f"os.chdir({str(tmp_path)!r})\n"
        + """
open("devices", "a").write(os.environ["EASEL_DEVICE"] + " ")
send(ready(cards=3, device="H200"))
receive()
"""
    )
    engine = local(tmp_path)
    await engine.start()
    try:
        assert len(engine.lanes) == 6
        assert engine.ready.device == "3 x H200"
    finally:
        await engine.close()
    assert sorted((tmp_path / "devices").read_text().split()) == ["auto", "cuda:1", "cuda:2"]


async def test_card_that_does_not_start_leaves_the_others_at_work_and_is_tried_again(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_of(
        f"os.chdir({str(tmp_path)!r})\n{COUNT_STARTS}"
        + """
if starts == 2:
    sys.exit(1)
send(ready(cards=2))
receive()
"""
    )
    monkeypatch.setattr(process_module, "RESTART_AFTER_S", (0.01,))
    engine = local(tmp_path)
    await engine.start()
    keeping = asyncio.create_task(engine.keep())
    try:
        for lane in engine.lanes:
            assert await lane.up()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await engine.close()
    assert (tmp_path / "starts").read_text() == "..."


async def test_device_that_is_not_there_ends_the_start_whatever_the_others_do(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path
) -> None:
    engine_of('sys.exit(2) if os.environ["EASEL_DEVICE"] == "cuda:7" else (send(ready()), receive())')
    engine = local(tmp_path, EASEL_DEVICE="cpu,cuda:7")
    with pytest.raises(OperatorError):
        await engine.start()
    await engine.close()


async def test_death_of_one_engine_costs_the_other_nothing(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_of("""
send(ready())
[request] = receive().requests
send(Began((request.job,)))
if request.job == 1:
    sys.exit(1)
finish(receive().job)
receive()
""")
    engine = local(tmp_path, EASEL_DEVICE="cpu,cpu")
    await engine.start()

    async def all_of(lane: Lane, wanted: Request) -> list[Event]:
        return [event async for event in lane.run([wanted])]

    try:
        one, _, other, _ = engine.lanes
        painting = asyncio.create_task(all_of(other, slow(2)))
        with pytest.raises(EngineDied) as raised:
            await all_of(one, slow(1))
        assert raised.value.at_work == {1}
        await one.down()
        # Past the dead one.
        await engine.cancel(2)
        assert any(isinstance(event, Finished) for event in await painting)
        assert engine.ready.models
    finally:
        await engine.close()


async def test_cancel_reaches_the_engine_that_has_the_job(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path
) -> None:
    engine_of("""
send(ready())
[request] = receive().requests
send(Progress(request.job, 0, 8))
while receive() != Cancel(request.job):
    pass
send(Failed(request.job, "cancelled", because("cancelled")))
receive()
""")
    engine = local(tmp_path, EASEL_DEVICE="cpu,cpu")
    await engine.start()

    async def ends(lane: Lane, job: int, begun: asyncio.Event) -> list[int]:
        ended = []
        async for event in lane.run([slow(job)]):
            begun.set()
            if isinstance(event, Failed):
                ended.append(event.job)
        return ended

    try:
        begun = [asyncio.Event(), asyncio.Event()]
        runs = [
            asyncio.create_task(ends(lane, job, event))
            for lane, job, event in zip(engine.lanes[::2], (1, 2), begun, strict=True)
        ]
        await asyncio.gather(*(each.wait() for each in begun))
        await engine.cancel(2)
        assert await runs[1] == [2]
        assert not runs[0].done()
        await engine.cancel(1)
        assert await runs[0] == [1]
    finally:
        await engine.close()


async def test_what_one_engine_alone_can_do_is_offered_and_goes_there(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path
) -> None:
    engine_of("""
from msgspec.structs import replace
told = ready()
if os.environ["EASEL_DEVICE"] == "cpu":
    larger = replace(told.models[0], max_size=told.models[0].max_size * 2, max_pixels=told.models[0].max_pixels * 4)
    enlarger = ToolInfo(name="x4", title="X4", scale=4, denoise=False, tasks=(), languages=(), batch=1)
    told = replace(told, models=(larger,), upscalers=(enlarger,))
send(told)
receive()
""")
    engine = local(tmp_path, EASEL_DEVICE="cpu,cuda")
    await engine.start()
    try:
        big, small = engine.lanes[0], engine.lanes[2]
        offered = engine.ready
        assert [model.name for model in offered.models] == [model.name for model in ready().models]
        assert offered.models[0].max_size == ready().models[0].max_size * 2
        assert [tool.name for tool in offered.upscalers] == ["x4"]
        assert [lane.takes(request(width=256, height=256)) for lane in (big, small)] == [True, False]
        assert [lane.takes(request()) for lane in (big, small)] == [True, True]
        other = ready().models[1]
        settled = {name: getattr(other, name) for name in ("sampler", "steps", "guidance", "width", "height")}
        of_other = request(model=other.name, **settled)
        assert [lane.takes(of_other) for lane in (big, small)] == [False, True]
        # What nobody can do has an answer all the same, from whoever is free.
        assert [lane.takes(request(model="gone")) for lane in (big, small)] == [True, True]
    finally:
        await engine.close()


async def test_what_an_engine_can_do_is_foreseen_by_what_it_was(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path
) -> None:
    engine_of("""
from msgspec.structs import replace
send(Waking(os.environ["PYTHONWORD"]))
if "PYTHONWORKS" in os.environ:
    send(replace(ready(), identity="same bytes"))
    receive()
""")

    async def foreseen(word: str, **more: str) -> Ready | None:
        """What is known of an engine with this fingerprint when it has said that and not yet what it can do."""
        process = InferenceProcess({**os.environ, "PYTHONWORD": word, **more}, tmp_path, 60.0)
        fleet = Fleet()
        fleet.add(process)
        with pytest.raises(Starting):
            _ = fleet.ready
        if more:
            async with running(process):
                assert fleet.ready == process.ready
                assert fleet.ready.identity == "same bytes"
        else:
            with pytest.raises(EngineDied):
                await process.start()
            if process.foreseen is not None:
                assert fleet.ready == process.foreseen
        return process.foreseen

    assert await foreseen("one") is None
    assert await foreseen("one", PYTHONWORKS="1") is None
    known = await foreseen("one")
    assert known is not None
    # What would be made is not foreseen: nothing is answered with what was made before.
    assert (known.identity, known.default_model) == ("", "starter")
    assert await foreseen("another") is None
    assert await foreseen("another", PYTHONWORKS="1") is None
    assert await foreseen("one") == await foreseen("another") == known


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b'[{"fingerprint": "one"}]', b"[" * 100_000, b"\xff"])
def test_damaged_memory_of_engines_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ready.json").write_bytes(content)
    assert last_seen.of(tmp_path, "one") is None
    last_seen.keep(tmp_path, "one", ready())
    assert last_seen.of(tmp_path, "one") == replace(ready(), identity="")
    assert [file.name for file in tmp_path.iterdir()] == ["ready.json"]


def test_newest_engines_are_remembered_and_a_full_disk_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(last_seen.KEPT + 1):
        last_seen.keep(tmp_path, str(number), ready())
    assert [last_seen.of(tmp_path, str(number)) is not None for number in (0, 1, last_seen.KEPT)] == [False, True, True]
    last_seen.keep(tmp_path / "nowhere", "one", ready())
    assert "is not kept for the next start" in caplog.text


async def test_engine_that_is_not_ready_is_ended_at_once(
    engine_of: Callable[..., InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_seen.keep(tmp_path, "one", ready())
    # Nobody waits for it to end in its own time.
    monkeypatch.setattr(link_module, "STOP_WITHIN_S", None)
    process = engine_of("send(Waking('one'))\nos.kill(os.getpid(), signal.SIGSTOP)\n")
    starting = asyncio.create_task(process.start())
    while process.foreseen is None:  # noqa: ASYNC110 — there is nothing to wait for
        await asyncio.sleep(0.01)
    child = process._link._process
    assert child is not None
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await process.close()
    assert child.returncode == -signal.SIGKILL


async def test_it_lets_go_of_what_it_holds_and_nobody_waits_for_one_that_cannot(
    engine_of: Callable[..., InferenceProcess],
) -> None:
    script = """
send(ready())
assert isinstance(receive(), Spare)
send(Holding(models={}, loads=1, budget_bytes=7, device_bytes=9))
assert isinstance(receive(), Spare)
os._exit(1)
"""
    async with running(engine_of(script)) as engine:
        await engine.spare()
        [held] = [engine.condition.holding]
        assert held is not None
        assert held.models == {}
        waiting = asyncio.create_task(engine.spare())
        await engine.ended()
        waiting.cancel()
        # It is dead: there is nothing to wait for.
        await engine.spare()
