"""What the bot shows of itself after some jobs, and when its engine is stopped or killed: the real bot and engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from bot import folder
from bot.watch.metrics import Metrics
from sandbox.client.member import Member, text_of
from sandbox.community.beginning import GENERAL_ID
from starter.render import render
from tests import forkserver
from tests.bot.test_graphics import seen
from tests.bot.test_metrics import paid
from tests.bot.test_watching import free_address
from tests.e2e.asking import BOATS, QUICK, finished, painted, png, said
from tests.e2e.conftest import ROOT, Studio, running
from tests.e2e.test_settings import held, member, opened, use

pytestmark = pytest.mark.asyncio(loop_scope="module")

DASHBOARD = ROOT / "deploy" / "grafana" / "easel.json"
RULES = ROOT / "deploy" / "prometheus" / "easel.rules.yml"

barbara = member("Barbara")

ADDRESS = free_address()
SILENCE_S = 12

SMALL_DISK = """
import os, shutil
from pathlib import Path
asked = shutil.disk_usage
def disk_usage(path):
    return asked(path)._replace(free=int(Path(os.environ["EASEL_TEST_FREE"]).read_text()))
shutil.disk_usage = disk_usage
"""
"""Read by Python before anything else: a disk whose free bytes stand in a file."""

ADDED = {"instance", "job"}
"""Labels that Prometheus gives to what it reads."""


class SmallDisk:
    """A disk for the bot of which a test says how much is free."""

    def __init__(self, there: Path) -> None:
        (there / "sitecustomize.py").write_text(SMALL_DISK)
        self._free = there / "free"
        self.environ = {"PYTHONPATH": str(there), "EASEL_TEST_FREE": str(self._free)}
        self.leave(50)

    def leave(self, gb: float) -> None:
        self._free.write_text(str(int(gb * 1e9)))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> SmallDisk:
    return SmallDisk(tmp_path_factory.mktemp("disk"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory, disk: SmallDisk) -> AsyncIterator[Studio]:
    data: Path = tmp_path_factory.mktemp("metrics")
    (data / folder.BACKED_UP).touch()
    environ = {
        "EASEL_WATCH": str(ADDRESS),
        "EASEL_ENGINE_SILENCE_S": str(SILENCE_S),
        "EASEL_KEEP_GB": "1",
        **disk.environ,
    }
    async with running(data, **environ) as started:
        yield started


async def get(path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{ADDRESS}{path}") as answer:
        return answer.status, await answer.text()


async def scraped() -> dict[str, Metric]:
    """What Prometheus would read, by the names of its families."""
    status, text = await get("/metrics")
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(text)}


async def value(name: str, /, **labels: str) -> float:
    """The sum of all samples of this name that have these labels."""
    return sum(
        sample.value
        for family in (await scraped()).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def until(name: str, least: float, /, **labels: str) -> None:
    async with asyncio.timeout(120):
        while True:
            if await value(name, **labels) >= least:
                return
            await asyncio.sleep(0.2)


async def health(status: int, line: str) -> str:
    """Wait for /healthz to say this."""
    async with asyncio.timeout(120):
        while True:
            got, text = await get("/healthz")
            if got == status and line in text:
                return text
            await asyncio.sleep(0.2)


async def test_every_job_is_counted_by_command_and_outcome_and_timed_in_each_stage(
    studio: Studio, ada: Member, grace: Member
) -> None:
    await health(200, "ok     discord: connected")
    for seed in (1, 2):
        message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:{seed}"))
    await painted(grace, await grace.command(f"/imagine prompt:a red house {QUICK} seed:2"))
    upload = ("boats.png", png(render(BOATS, 256)))
    await said(ada, await ada.command("classify", {"labels": "house, boat"}, files={"image": upload}))
    with held(studio):
        cancelled = await ada.command("/imagine prompt:a long picture steps:50 seed:3")
        await ada.click(cancelled.message, "Cancel", until="acknowledged")
    await finished(ada, cancelled)
    assert "There is no model" in text_of((await ada.command("/imagine prompt:a house model:gone")).message)
    await ada.complete("imagine", "model", model="st")
    assert (await ada.click(message, "Edit")).modal is not None
    await until("easel_stage_seconds_count", 3, stage="delivery")

    expected = {
        ("imagine", "finished"): 3,
        ("imagine", "cancelled"): 1,
        ("classify", "finished"): 1,
    }
    found = {
        (sample.labels["command"], sample.labels["outcome"]): sample.value
        for sample in (await scraped())["easel_jobs"].samples
        if sample.name == "easel_jobs_total" and sample.value
    }
    assert found == expected
    assert await value("easel_made_before_total", command="imagine") == 1
    for stage in ("waiting", "painting", "encoding", "delivery"):
        assert await value("easel_stage_seconds_count", command="imagine", stage=stage) == 2, stage
        assert await value("easel_stage_seconds_count", command="classify", stage=stage) == 1, stage
    assert await value("easel_job_seconds_count") == 3
    whole = await value("easel_job_seconds_sum")
    assert whole == pytest.approx(await value("easel_stage_seconds_sum"), abs=0.5)
    assert await value("easel_pictures_total", command="imagine") == 3
    assert await value("easel_refusals_total", name="imagine", reason="no_model") == 1
    for kind, name, count in (
        ("command", "imagine", 5),
        ("command", "classify", 1),
        ("completion", "imagine", 1),
        ("button", "cancel", 1),
        ("button", "edit", 1),
    ):
        assert await value("easel_interactions_total", kind=kind, name=name) == count, name
        assert await value("easel_acknowledgement_seconds_count", kind=kind, name=name) == count, name
    assert await value("easel_members", window="1h") == 2
    assert await value("easel_engine_work_seconds_total") > 0
    assert await value("easel_engine_model_bytes", kind="model", model="starter") > 0
    assert await value("easel_pictures_limit_bytes") == 1e9
    assert await value("easel_event_loop_lag_seconds_count") > 0
    assert await value("easel_discord_requests_total", method="POST", status="200") > 0


async def test_what_is_shown_names_nobody_and_quotes_nothing(studio: Studio, ada: Member) -> None:
    refused = await ada.command(f"/imagine prompt:a hush-hush house model:secret {QUICK}")
    assert "secret" in text_of(refused.message)
    shown = (await get("/metrics"))[1] + (await get("/healthz"))[1]
    state = await ada.state()
    names = {one["name"] for one in state["members"]} | {one["id"] for one in state["members"]}
    for word in (*names, "hush", "secret", "red house", studio.sandbox.token, str(studio.data)):
        assert word not in shown, word


def expressions() -> Iterator[tuple[str, str, str]]:
    """Every expression of the dashboard and the rules, with where it stands and what is to be shown of it."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"], str(rule["annotations"])


async def test_dashboard_and_alerts_ask_for_nothing_that_is_not_there(studio: Studio, ada: Member) -> None:
    known: dict[str, dict[str, set[str]]] = {"up": {"instance": set(), "job": {"easel"}}}
    # This machine may have no card, and models of other servers it has none.
    families = [*(await scraped()).values(), *seen(), *paid(Metrics({}, ()))]
    for family in families:
        # Of a counter that has counted nothing yet.
        names = {f"{family.name}_total"} if family.type == "counter" and not family.samples else set()
        for sample in (*family.samples, *names):
            name, labels = (sample, {}) if isinstance(sample, str) else (sample.name, sample.labels)
            there = known.setdefault(name, {})
            for label, content in (*labels.items(), ("job", "easel"), ("instance", "")):
                there.setdefault(label, set()).add(content)
    asked: set[str] = set()
    for where, expression, shown in expressions():
        assert expression.count("(") == expression.count(")"), where
        names = re.findall(r"\b((?:easel|process)_\w+|up\b)(?:\{([^}]*)\})?", expression)
        assert names, where
        asked |= {name for name, _ in names}
        of_all: set[str] = set(ADDED)
        for name, selector in names:
            assert name in known, f"{where}: {name}"
            of_all |= known[name].keys()
            for label, operator, content in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
                assert label in known[name], f"{where}: {name}{{{label}}}"
                assert operator == "=~" or content in known[name][label], f"{where}: {name}{{{label}={content}}}"
        grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
        for label in [one.strip() for group in grouped for one in group.split(",")]:
            assert label in of_all, f"{where}: by {label}"
        for label in re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)", shown):
            assert label in of_all, f"{where}: shows {label}"
    # And nothing of ours is shown nowhere.
    ours = {family.name for family in families if family.name.startswith("easel_")}
    shown_of = {name for name in ours if any(one == name or one.startswith(f"{name}_") for one in asked)}
    assert ours - shown_of == set()


async def test_moderators_and_who_looks_hear_once_that_the_disk_is_nearly_full(
    studio: Studio, barbara: Member, grace: Member, disk: SmallDisk
) -> None:
    async def told() -> list[str]:
        shown = [one for one in (await grace.state())["messages"] if one["channel_id"] == str(GENERAL_ID)]
        return [one["content"] for one in shown if "nearly full" in one["content"]]

    message = await use(barbara, await opened(barbara), "settingpick", "log")
    await use(barbara, message, "settingchoose", str(GENERAL_ID))
    disk.leave(1.5)
    text = await health(503, "WRONG  disk: 1.5 GB are free")
    assert text.count("WRONG") == 1
    async with asyncio.timeout(60):
        while not (said := await told()):
            await studio.sandbox.state.hub.change(timeout_s=0.5)
    disk.leave(50)
    await health(200, "ok     disk: 50.0 GB are free")
    assert await told() == said
    assert len(said) == 1
    assert "1.5 GB are left" in said[0]


async def test_stopped_engine_is_told_and_started_again(studio: Studio, ada: Member) -> None:
    restarts = await value("easel_engine_restarts_total")
    [stopped] = studio.engines()
    os.kill(stopped, signal.SIGSTOP)
    reply = await ada.command(f"/imagine prompt:a tree {QUICK} seed:11")
    text = await health(503, "WRONG  queue: engine 1 (cpu) has work and gives no sign of life")
    assert text.count("WRONG") == 1
    assert await value("easel_engine_silent_seconds") > SILENCE_S / 2
    assert await value("easel_queue_jobs") + await value("easel_running_jobs") == 1
    # Nobody continues it.
    await painted(ada, reply)
    assert await value("easel_engine_restarts_total") == restarts + 1
    await health(200, "ok     engine: 1 of 1 ready")


async def test_killed_engine_is_counted_and_is_no_illness_while_it_comes_back(studio: Studio, ada: Member) -> None:
    restarts = await value("easel_engine_restarts_total")
    with forkserver.held():
        studio.kill_engine()
        text = await health(200, "ok     engine: starting: engine 1 (cpu)")
        assert "WRONG" not in text
        assert await value("easel_engine_up") == 0
        assert await value("easel_engine_model_bytes") == 0
    await until("easel_engine_up", 1)
    assert await value("easel_engine_restarts_total") == restarts + 1
    await painted(ada, await ada.command(f"/imagine prompt:a tree {QUICK} seed:12"))


async def test_discords_refusals_and_reconnections_are_counted(studio: Studio, ada: Member) -> None:
    connections = await value("easel_discord_connections_total")
    await ada.faults(drop_gateway="close")
    await until("easel_discord_connections_total", connections + 1)
    broken = {"method": "PATCH", "route": "/webhooks/{}/{}/messages/{}", "status": 429, "retry_after": 0.1}
    await ada.faults(fail_next=broken)
    await painted(ada, await ada.command(f"/imagine prompt:a tree {QUICK} seed:13"))
    assert await value("easel_discord_requests_total", method="PATCH", status="429") == 1
    assert await value("easel_discord_rate_limited_total") == 1


async def test_operator_asks_whether_all_is_well_from_a_shell(studio: Studio) -> None:
    environ: dict[str, Any] = os.environ | {"EASEL_WATCH": str(ADDRESS), "DISCORD_TOKEN": "t"}
    pipe = asyncio.subprocess.PIPE
    for command in (["-m", "bot", "health"], ["-m", "bot.watch.probe", str(ADDRESS)]):
        asked = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, env=environ, stdout=pipe)
        out, _ = await asked.communicate()
        assert asked.returncode == 0
        assert out.decode().splitlines()[0] == "ok     discord: connected; servers: 2"
