"""Engines in a real Ray cluster on this machine: nodes with a processor each, real inference, the starter models."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from bot.engine.cluster.engine import LOOPBACK, ClusterEngine
from bot.engine.interface import Lane
from bot.engine.local import LocalEngine
from bot.errors import EngineDied, OperatorError
from inference.protocol import (
    INCOMING,
    PICTURES,
    Classify,
    Event,
    Failed,
    Finished,
    Imagine,
    Input,
    Progress,
    Ready,
    Request,
    place,
    sha256_of,
)
from starter.render import render
from tests import forkserver
from tests.e2e.asking import BOATS, png

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[ray]'")

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]

ENVIRON = {
    **os.environ,
    **LOOPBACK,
    "EASEL_MODELS": str(ROOT / "models.toml"),
    "EASEL_THREADS": "1",
    "EASEL_LOG_LEVEL": "WARNING",
}


class Cluster:
    """Nodes of a Ray cluster, which are processes of this machine. The first one has no room for engines."""

    def __init__(self) -> None:
        from ray import cluster_utils

        self._cluster = cluster_utils.Cluster()
        self._cluster.add_node(**LOCAL, num_cpus=0, include_dashboard=False, include_log_monitor=False)
        self.nodes: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        self.nodes.append(self._cluster.add_node(**LOCAL, num_cpus=1))

    def kill(self, node_id: str) -> None:
        """End a node, and all that runs on it, without a word."""
        [node] = [node for node in self.nodes if node.node_id == node_id]
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def actors(self) -> list[psutil.Process]:
        """The processes of hosts."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.cmdline()[0].startswith("ray::Host"):
                    found.append(process)
        return found

    def close(self) -> None:
        self._cluster.shutdown()


LOCAL: dict[str, Any] = {"node_ip_address": "127.0.0.1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LOOPBACK.items():
            patch.setenv(name, value)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # By which nodes start actors, and these their engines.
        patch.setattr(sys, "executable", forkserver.python())
        opened = Cluster()
        try:
            opened.add()
            opened.add()
            yield opened
        finally:
            opened.close()


def data_folder(parent: Path) -> Path:
    for name in (PICTURES, INCOMING):
        (parent / name).mkdir(parents=True)
    return parent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClusterEngine]:
    data = data_folder(tmp_path_factory.mktemp("data"))
    opened = ClusterEngine(ENVIRON, data, 300, address=cluster.address, device="cpu")
    keeping: asyncio.Task[None] | None = None
    try:
        await opened.start()
        keeping = asyncio.create_task(opened.keep())
        yield opened
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await opened.close()


def data_of(engine: ClusterEngine) -> Path:
    return engine._data


def picture(ready: Ready, job: int, **changes: object) -> Imagine:
    model = ready.models[0]
    values: dict[str, Any] = {
        "job": job,
        "model": model.name,
        "prompt": "a red house",
        "seed": 7,
        "steps": 4,
        "guidance": model.guidance,
        "sampler": model.sampler,
        "width": model.width,
        "height": model.height,
    }
    return Imagine(**(values | changes))


async def run(lane: Lane, *requests: Request) -> list[Event]:
    return [event async for event in lane.run(requests)]


def end(events: list[Event]) -> Finished:
    """The one good end."""
    [found] = [event for event in events if isinstance(event, Finished | Failed)]
    assert isinstance(found, Finished), found
    return found


def slow(engine: ClusterEngine) -> list[Lane]:
    return [lane for lane in engine.lanes if not lane.quick]


async def test_engines_of_the_cluster_paint_what_the_local_engine_paints_to_the_last_bit(
    engine: ClusterEngine, tmp_path: Path
) -> None:
    """And pictures travel both ways: what is worked on, and what has come of it."""
    boats = png(render(BOATS, 64))
    source = Input(sha256_of(boats), 64, 64)
    local = LocalEngine(ENVIRON, data_folder(tmp_path / "data"), 300, ("cpu",))
    for data in (data_of(engine), tmp_path / "data"):
        path = place(data / PICTURES, source.sha256)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(boats)
    await local.start()
    try:
        wanted: list[Request] = [
            picture(local.ready, 1, count=2),
            picture(local.ready, 2, image=source, strength=0.6),
        ]
        expected = [end(await run(local.lanes[0], one)) for one in wanted]
    finally:
        await local.close()
    lanes = slow(engine)
    assert len(lanes) == 2
    for lane in lanes:
        assert await lane.up()
        for one, other in zip(wanted, expected, strict=True):
            events = await run(lane, one)
            assert any(isinstance(event, Progress) for event in events)
            same = end(events)
            assert [each.sha256 for each in same.pictures] == [each.sha256 for each in other.pictures]
            for each in same.pictures:
                assert sha256_of((data_of(engine) / INCOMING / each.file).read_bytes()) == each.sha256


async def test_input_that_is_not_here_is_missed_by_the_engine_in_its_own_words(engine: ClusterEngine) -> None:
    gone = picture(engine.ready, 3, image=Input("0" * 64, 64, 64), strength=0.6)
    [failed] = [event for event in await run(slow(engine)[0], gone) if isinstance(event, Failed)]
    assert failed.reason.name == "input_lost"


async def test_cancel_is_honoured_between_steps_and_a_question_is_answered_meanwhile(engine: ClusterEngine) -> None:
    lane = slow(engine)[0]
    [quick] = [other for other in engine.lanes if other.quick and other.name.split(",")[0] == lane.name.split(",")[0]]
    boats = png(render(BOATS, 64))
    sha256 = sha256_of(boats)
    (data_of(engine) / PICTURES / sha256[:2]).mkdir(exist_ok=True)
    place(data_of(engine) / PICTURES, sha256).write_bytes(boats)
    classifier = engine.ready.classifiers[0].name
    image = Input(sha256, 64, 64)
    question = Classify(job=5, model=classifier, image=image, labels=("boat", "house"), templates=("{}",))
    events = lane.run([picture(engine.ready, 4, steps=50, count=4)])
    async for event in events:
        if isinstance(event, Progress) and event.step > 1:
            break
    answer = end(await run(quick, question)).answer
    assert answer.labels[0].label == "boat"
    await engine.cancel(4)
    ends = [event async for event in events if isinstance(event, Finished | Failed)]
    assert [(one.job, one.kind) for one in ends if isinstance(one, Failed)] == [(4, "cancelled")]


async def test_operator_sees_nodes_engines_and_the_queue(
    engine: ClusterEngine, cluster: Cluster, tmp_path: Path
) -> None:
    shown = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bot", "cluster"],
        cwd=ROOT,
        env={
            **ENVIRON,
            "DISCORD_TOKEN": "t",
            "EASEL_DATA": str(tmp_path),
            "EASEL_ENGINE": f"ray:{cluster.address}",
            "EASEL_DEVICE": "cpu",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = shown.stdout.splitlines()
    assert sum("here" in row and "127.0.0.1" in row for row in rows) == 3
    engines = [row for row in rows if row.startswith("engine ")]
    assert len(engines) == 2
    assert all("starter" in row and "CPU" in row and "nothing" in row for row in engines)
    assert rows[-1].startswith("JOBS")


async def begun(lane: Lane, wanted: Request, started: asyncio.Event) -> list[Event]:
    events = []
    async for event in lane.run([wanted]):
        events.append(event)
        if isinstance(event, Progress) and event.step > 1:
            started.set()
    return events


async def both_at_work(one: Lane, other: Lane, engine: ClusterEngine) -> list[asyncio.Task[list[Event]]]:
    started = [asyncio.Event(), asyncio.Event()]
    running = [
        asyncio.create_task(begun(lane, picture(engine.ready, 10 + place, steps=50, count=4), started[place]))
        for place, lane in enumerate((one, other))
    ]
    await asyncio.gather(*(each.wait() for each in started))
    return running


async def test_killed_actor_costs_its_own_job_a_try_and_comes_back(engine: ClusterEngine, cluster: Cluster) -> None:
    one, other = slow(engine)
    running = await both_at_work(one, other, engine)
    victim = cluster.actors()[0]
    victim.kill()
    results = await asyncio.gather(*running, return_exceptions=True)
    [death] = [result for result in results if isinstance(result, EngineDied)]
    [alive] = [result for result in results if isinstance(result, list)]
    assert len(end(alive).pictures) == 4
    assert death.at_work == {10 if isinstance(results[0], EngineDied) else 11}
    dead = (one, other)[results.index(death)]
    async with asyncio.timeout(90):
        assert await dead.up()
        assert end(await run(dead, picture(engine.ready, 12))).pictures
    assert [lane.name for lane in slow(engine)] == [one.name, other.name]


async def test_killed_node_costs_its_own_job_a_try_and_a_new_one_is_used_as_it_comes(
    engine: ClusterEngine, cluster: Cluster
) -> None:
    one, other = slow(engine)
    running = await both_at_work(one, other, engine)
    cluster.kill(cluster.nodes[0].node_id)
    results = await asyncio.gather(*running, return_exceptions=True)
    [death] = [result for result in results if isinstance(result, EngineDied)]
    [alive] = [result for result in results if isinstance(result, list)]
    assert len(end(alive).pictures) == 4
    assert len(death.at_work) == 1
    dead, well = (one, other) if isinstance(results[0], EngineDied) else (other, one)
    async with asyncio.timeout(90):
        while dead in engine.lanes:
            await engine.lanes_changed()
        assert not await dead.up()
        assert slow(engine) == [well]
        cluster.add()
        while len(slow(engine)) < 2:
            await engine.lanes_changed()
        new = slow(engine)[1]
        assert await new.up()
        assert end(await run(new, picture(engine.ready, 13))).pictures


async def test_nothing_of_the_cluster_listens_to_other_machines(cluster: Cluster) -> None:
    listening = []
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.Error):
            listening += [each.laddr.ip for each in process.net_connections("inet") if each.status == "LISTEN"]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


async def test_cluster_that_is_not_there_is_the_operators(tmp_path: Path) -> None:
    engine = ClusterEngine(ENVIRON, data_folder(tmp_path / "data"), 300, address="127.0.0.1:1", device="cpu")
    try:
        with pytest.raises(OperatorError):
            await engine.start()
    finally:
        await engine.close()
