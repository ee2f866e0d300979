"""What is counted of jobs and interactions: by the real dispatcher and a real database, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from aiohttp import ClientSession, web
from discord.utils import time_snowflake
from prometheus_client import generate_latest
from prometheus_client.core import Metric

from bot.dispatcher import Dispatcher
from bot.jobs import Jobs
from bot.observer import acted
from bot.watch import calls, metrics
from bot.watch.metrics import Metrics
from inference.protocol import Answer, Event, Failed, Progress, Reason, Request, because
from tests.bot import test_dispatcher, test_watching
from tests.bot.conftest import finished, job, queued, reply, request
from tests.bot.test_dispatcher import ScriptedEngine, Studio

_no_waiting = test_dispatcher._no_waiting

COMMANDS = {"imagine": "imagine", "edit": "edit"}
NAMES = ("imagine", "edit", "reroll")


@pytest.fixture
def counted() -> Metrics:
    return Metrics(COMMANDS, NAMES)


def value(counted: Metrics, name: str, /, **labels: str) -> float | None:
    return counted.registry.get_sample_value(f"easel_{name}", labels or None)


def outcomes(counted: Metrics) -> dict[str, float]:
    """The jobs of /imagine by how they ended."""
    found = {one: value(counted, "jobs_total", command="imagine", outcome=one) for one in metrics.OUTCOMES}
    return {one: number for one, number in found.items() if number}


def stages(counted: Metrics, of: str = "sum") -> dict[str, float | None]:
    names = ("waiting", "painting", "encoding", "delivery")
    return {stage: value(counted, f"stage_seconds_{of}", command="imagine", stage=stage) for stage in names}


def studio_of(jobs: Jobs, data: Path, script: Any, counted: Metrics, capacity: int = 1) -> Studio:
    engine = ScriptedEngine(script, data, capacity)
    studio = Studio(jobs, engine)
    studio.dispatcher = Dispatcher(jobs, engine, studio.delivery, observer=counted)
    return studio


async def paint(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
    yield Progress(wanted.job, 1, 1)
    yield Progress(wanted.job, 1, 1, "finishing")
    yield finished(engine.data, wanted.job, b"one", b"two", seed=wanted.job)


async def test_every_end_of_a_job_is_counted_once_by_what_came_of_it(
    jobs: Jobs, tmp_path: Path, counted: Metrics
) -> None:
    ends = {
        "a": because("cancelled"),
        "b": because("flagged"),
        "c": because("memory_full", width=64, height=64, model="starter"),
        "d": Reason("What somebody typed: nobody@example.org", {}),
    }
    kinds = {"a": "cancelled", "b": "unsafe", "c": "out_of_memory", "d": "internal"}

    async def run(engine: ScriptedEngine, wanted: Any) -> AsyncIterator[Event]:
        if wanted.prompt in ends:
            yield Failed(wanted.job, kinds[wanted.prompt], ends[wanted.prompt])  # type: ignore[arg-type]
        else:
            async for event in paint(engine, wanted):
                yield event

    for number, prompt in enumerate(("a", "b", "c", "d", "e", "f")):
        await queued(jobs, request(prompt), reply(number))
    gone = await queued(jobs, request("g"), reply(9))
    studio = studio_of(jobs, tmp_path, run, counted)
    studio.dispatcher.put(gone)
    assert await studio.dispatcher.cancel(gone)
    async with studio.open():
        await studio.deliveries(8)
    assert outcomes(counted) == {"finished": 2, "cancelled": 2, "refused": 1, "failed": 2}
    assert value(counted, "refusals_total", name="imagine", reason="flagged") == 1
    assert value(counted, "failures_total", command="imagine", reason="memory_full") == 1
    # What is no name is nobody's business.
    assert value(counted, "failures_total", command="imagine", reason="other") == 1
    assert b"nobody" not in generate_latest(counted.registry)
    assert stages(counted, "count") == {"waiting": 2, "painting": 2, "encoding": 2, "delivery": None}


async def test_stages_of_a_job_are_its_whole_time(jobs: Jobs, tmp_path: Path) -> None:
    now = [100.0]
    counted = Metrics(COMMANDS, NAMES, lambda: now[0])

    async def run(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        # It was with the engine at 110, and then waited there for two seconds.
        now[0] = 115.0
        yield Progress(wanted.job, 1, 1, "finishing")
        now[0] = 115.5
        yield Progress(wanted.job, 1, 1, "finishing")
        now[0] = 116.0
        yield finished(engine.data, wanted.job, b"one", b"two", seconds=4.0)

    job = await queued(jobs, request(), reply())
    counted.accepted(job)
    now[0] = 110.0
    studio = studio_of(jobs, tmp_path, run, counted)
    async with studio.open():
        [ended] = await studio.deliveries(1)
    now[0] = 119.0
    counted.delivered(ended)
    assert stages(counted) == {"waiting": 12.0, "painting": 3.0, "encoding": 1.0, "delivery": 3.0}
    assert value(counted, "job_seconds_sum", command="imagine") == 19.0
    assert value(counted, "pictures_total", command="imagine") == 2
    assert list(counted.members) == [1]
    assert counted._times == {}


async def test_job_whose_engine_died_has_waited_all_along_and_is_counted_once(
    jobs: Jobs, tmp_path: Path, counted: Metrics
) -> None:
    async def run(engine: ScriptedEngine, wanted: Request) -> AsyncIterator[Event]:
        if not engine.deaths:
            yield Progress(wanted.job, 1, 1, "finishing")
            raise engine.die(wanted.job)
        async for event in paint(engine, wanted):
            yield event

    await queued(jobs, request(), reply())
    async with (studio := studio_of(jobs, tmp_path, run, counted)).open():
        await studio.deliveries(1)
    assert outcomes(counted) == {"finished": 1}
    assert stages(counted, "count")["waiting"] == 1


async def test_jobs_that_share_a_pass_are_counted_with_it(jobs: Jobs, tmp_path: Path, counted: Metrics) -> None:
    for number in range(3):
        await queued(jobs, request(str(number)), reply(number))
    async with (studio := studio_of(jobs, tmp_path, paint, counted, capacity=3)).open():
        await studio.deliveries(3)
        await asyncio.sleep(0)
    assert value(counted, "pass_jobs_count", command="imagine") == 1
    assert value(counted, "pass_jobs_sum", command="imagine") == 3


async def test_what_was_made_before_is_counted_as_that(jobs: Jobs, tmp_path: Path, counted: Metrics) -> None:
    studio = studio_of(jobs, tmp_path, paint, counted)
    async with studio.open():
        await studio.dispatcher.accept(await queued(jobs, request(), reply()))
        await studio.deliveries(1)
        await studio.dispatcher.accept(await queued(jobs, request(), reply()))
        await studio.deliveries(2)
    assert outcomes(counted) == {"finished": 2}
    assert value(counted, "made_before_total", command="imagine") == 1
    assert stages(counted, "count")["painting"] == 1


async def test_deleted_jobs_are_forgotten(jobs: Jobs, tmp_path: Path, counted: Metrics) -> None:
    studio = studio_of(jobs, tmp_path, paint, counted)
    job = await queued(jobs, request(), reply())
    studio.dispatcher.put(job)
    assert counted._times
    await studio.dispatcher.delete(job)
    assert counted._times == {}
    assert outcomes(counted) == {}


def test_whatever_is_forged_there_are_no_more_series(counted: Metrics) -> None:
    sizes = set()
    for number in range(3 * metrics.UNANSWERED):
        counted.interacted(number, "button", f"forged-{number}")
        counted.refused(f"forged-{number}", Reason(f"No {number}", {}))
        counted.requested("POST", "429", f"scope-{number}")
        if number in (0, 3 * metrics.UNANSWERED - 1):
            text = generate_latest(counted.registry).decode()
            sizes.add(len(text.splitlines()))
    assert len(sizes) == 1
    assert "forged" not in text
    assert "scope-" not in text
    assert value(counted, "interactions_total", kind="button", name="other") == 3 * metrics.UNANSWERED
    assert len(counted._unanswered) == metrics.UNANSWERED


def interaction(kind: discord.InteractionType, **data: object) -> Any:
    return SimpleNamespace(type=kind, data=data)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (interaction(discord.InteractionType.application_command, name="imagine"), ("command", "imagine")),
        (interaction(discord.InteractionType.autocomplete, name="imagine"), ("completion", "imagine")),
        (interaction(discord.InteractionType.component, custom_id="easel:reroll:7:0"), ("button", "reroll")),
        (interaction(discord.InteractionType.modal_submit, custom_id="easel:edit:7:0"), ("form", "edit")),
        (interaction(discord.InteractionType.component, custom_id="nonsense"), ("button", "")),
        (interaction(discord.InteractionType.component), ("button", "")),
    ],
)
def test_how_a_member_acted_is_told_by_command_or_action(given: Any, said: tuple[str, str]) -> None:
    assert acted(given) == said


async def test_requests_are_counted_by_answer_and_first_answers_are_timed(counted: Metrics) -> None:
    clicked = time_snowflake(discord.utils.utcnow()) - (700 << 22)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.query["status"]), headers={"X-RateLimit-Scope": "shared"})

    async with (
        test_watching.served(web.route("*", "/{path:.*}", answer)) as address,
        ClientSession(trace_configs=[calls.trace(counted)]) as session,
    ):

        async def send(path: str, status: int) -> None:
            async with session.get(f"http://{address}/{path}", params={"status": str(status)}) as got:
                assert got.status == status

        callback = f"api/v10/interactions/{clicked}/aToken/callback"
        await send(callback, 204)
        assert value(counted, "acknowledgement_seconds_count", kind="command", name="imagine") is None
        counted.interacted(clicked, "command", "imagine")
        await send(callback, 404)
        await send(callback, 429)
        await send("api/v10/channels/5/messages", 200)
        assert value(counted, "acknowledgement_seconds_count", kind="command", name="imagine") is None
        # Twice is one first answer.
        await send(callback, 204)
        await send(callback, 204)
    with pytest.raises(OSError, match="Cannot connect"):
        async with ClientSession(trace_configs=[calls.trace(counted)]) as session, session.get(f"http://{address}/"):
            pass
    assert value(counted, "acknowledgement_seconds_count", kind="command", name="imagine") == 1
    took = value(counted, "acknowledgement_seconds_sum", kind="command", name="imagine")
    assert took is not None
    assert took >= 0.69
    assert value(counted, "discord_rate_limited_total", scope="shared") == 1
    assert value(counted, "discord_requests_total", method="GET", status="404") == 1
    assert value(counted, "discord_requests_total", method="GET", status="none") == 1
    assert b"aToken" not in generate_latest(counted.registry)


def test_clock_that_is_behind_discords_gives_no_negative_time(counted: Metrics) -> None:
    number = time_snowflake(discord.utils.utcnow())
    counted.interacted(number, "command", "imagine")
    counted.answered(number, time.time() - 100)
    assert value(counted, "acknowledgement_seconds_sum", kind="command", name="imagine") == 0


def paid(counted: Metrics) -> list[Metric]:
    """What is counted of jobs that cost something."""
    for amount, currency, state in ((0.04, "USD", "finished"), (0.3, "USD", "finished"), (0.5, "EUR", "cancelled")):
        notes = (because("not_repeatable", host="far"), because("remote_price", amount=amount, currency=currency))
        counted.ended(replace(job(1), state=state, answer=Answer(notes=notes)))
    return [family for family in counted.collect() if family.name == "easel_spent"]


def test_what_models_of_other_servers_cost_is_counted_by_currency(counted: Metrics) -> None:
    assert [sample.labels for family in paid(counted) for sample in family.samples] == [{"currency": "USD"}]
    assert value(counted, "spent_total", currency="USD") == pytest.approx(0.34)
