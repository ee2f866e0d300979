"""What the status page is told: what waits, runs and failed, and nothing that is nobody's business."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from bot.database import Database
from bot.engine.interface import Condition
from bot.jobs import Jobs
from bot.lines import Running
from bot.watch import recent
from bot.watch.disk import Disk
from bot.watch.recent import History
from bot.watch.status import LISTED, Observatory, facts
from inference.protocol import Classify, Describe, Holding, Input, Progress, Upscale, because
from tests.bot.conftest import queued, reply, request
from tests.bot.test_dispatcher import ScriptedEngine, Studio, paint

WORDS = "a secret zebrafinch"


class Bot:
    """A bot's parts, with nothing at work yet."""

    def __init__(self, jobs: Jobs, database: Database, data: Path) -> None:
        engine: Any = ScriptedEngine(paint, data)
        self.dispatcher = Studio(jobs, engine).dispatcher
        self.client: Any = SimpleNamespace(is_online=True, guilds=[5, 6], latency=float("nan"))
        self.engine: Any = SimpleNamespace(conditions=[])
        self.database = database
        self.disk = Disk(data, Mock(), Mock())

    def observatory(self, *, shows_words: bool = False) -> Observatory:
        return Observatory(
            self.client,
            self.dispatcher,
            self.engine,
            self.disk,
            History(self.database, {"imagine": "imagine"}),
            {"imagine": "imagine"},
            max_waiting=200,
            shows_words=shows_words,
            clock=lambda: 1000.0,
        )


@pytest.fixture
def bot(jobs: Jobs, database: Database, tmp_path: Path) -> Bot:
    return Bot(jobs, database, tmp_path)


async def test_members_words_are_shown_only_where_the_operator_says_so(bot: Bot, jobs: Jobs) -> None:
    waiting = await queued(jobs, request(prompt=WORDS))
    bot.dispatcher.put(waiting)
    running = await queued(jobs, request(prompt=WORDS))
    bot.dispatcher.lines[0].running[running.id] = Running(running)
    told = msgspec.json.encode(await bot.observatory().look()).decode()
    assert "zebrafinch" not in told
    assert "member_id" not in told
    assert waiting.reply.token not in told
    seen = await bot.observatory(shows_words=True).look()
    assert [one.words for one in (*seen.waiting, *seen.running)] == [WORDS, WORDS]


async def test_a_preview_has_an_address_of_its_own_and_none_of_an_age_restricted_channel_is_given(
    bot: Bot, jobs: Jobs
) -> None:
    lines, observatory = bot.dispatcher.lines, bot.observatory()
    for restricted in (False, True):
        job = await queued(jobs, of=replace(reply(), age_restricted=restricted))
        lines[0].running[job.id] = Running(job)
    open_, restricted_ = lines[0].running.values()
    assert [one.preview for one in (await observatory.look()).running] == [None, None]
    open_.preview = restricted_.preview = b"one"
    open_.progress = Progress(open_.job.id, 3, 8)
    first, second = (await observatory.look()).running
    assert (first.step, first.steps, first.stage, first.hidden) == (3, 8, "painting", False)
    assert (second.preview, second.hidden, second.stage) == (None, True, "starting")
    assert observatory.preview(open_.job.id) == b"one"
    assert observatory.preview(restricted_.job.id) is None
    assert observatory.preview(99) is None
    open_.preview = b"two"
    assert (await observatory.look()).running[0].preview not in (None, first.preview)


async def test_of_many_that_wait_the_next_are_shown_and_the_others_counted(bot: Bot, jobs: Jobs) -> None:
    for member in (1, 2):
        for _ in range(LISTED):
            bot.dispatcher.put(await queued(jobs, of=reply(member_id=member)))
    seen = await bot.observatory().look()
    assert (seen.waiting_count, seen.waiting_members) == (2 * LISTED, 2)
    assert [one.place for one in seen.waiting] == [*range(1, LISTED + 1)]
    assert len({one.job for one in seen.waiting}) == LISTED


async def test_engines_tell_what_is_in_memory_and_how_they_died(bot: Bot) -> None:
    holding = Holding(models={"model a": 5, "upscaler b": 70}, loads=2, budget_bytes=100, device_bytes=200)
    up = Condition("engine 1", 1, "H200", None, 0.0, 300.0, 1, 0.0, holding)
    away = Condition("engine 2", None, "H200", 3.0, 0.0, 300.0, 4, 0.0, holding, "engine 2 hung up (exit status 1)")
    bot.engine.conditions = [up, away]
    one, two = (await bot.observatory().look()).engines
    assert [(model.kind, model.name, model.bytes) for model in one.models] == [("upscaler", "b", 70), ("model", "a", 5)]
    assert (one.up, one.restarts, one.budget_bytes) == (True, 0, 100)
    assert (two.up, two.restarts, two.models, two.why) == (False, 3, (), "engine 2 hung up (exit status 1)")


async def test_what_became_of_the_newest_jobs_is_counted_and_failures_are_told_without_words(
    jobs: Jobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    history = History(database, {"imagine": "paint"}, lambda: now)
    lately, failures = await history.look()
    assert (lately.ended, lately.median_wait_s, failures) == (0, None, ())
    rows: list[tuple[object, ...]] = [
        ("finished", None, None, 0, 2, 5),
        ("finished", None, None, 0, 4, 10),
        ("cancelled", None, None, 1, None, 2),
    ]
    typed = msgspec.json.encode(because("no_model", typed="zebrafinch", choices=("starter",))).decode()
    broke = msgspec.json.encode(because("engine_broke")).decode()
    rows += [("failed", "invalid_input", typed, 0, 90, 91), ("failed", "internal", broke, 0, 6, 9)]
    for state, kind, why, created, started, ended in rows:
        job = await queued(jobs)
        await database.change(
            "UPDATE job SET state = ?, failure_kind = ?, failure = ?, created_at = ?, started_at = ?, ended_at = ?"
            " WHERE id = ?",
            (state, kind, why, created, started, ended, job.id),
        )
    await queued(jobs)
    assert (await history.look())[0].ended == 0, "it was looked at a moment ago"
    now = recent.LOOK_EVERY_S
    lately, failures = await history.look()
    assert (lately.ended, lately.finished, lately.cancelled, lately.failed_by_us) == (5, 2, 1, 1)
    assert (lately.median_wait_s, lately.p95_wait_s, lately.median_work_s, lately.since) == (4, 90, 3, 0)
    assert [(one.command, one.ours, one.at) for one in failures] == [("paint", True, 9), ("paint", False, 91)]
    assert failures[0].why == "Something broke inside the engine: try again."
    assert failures[1].why == "There is no model called '…': choose one of starter."
    now += recent.LOOK_EVERY_S
    monkeypatch.setattr(recent, "NEWEST", 2)
    assert (await history.look())[0].ended == 1


async def test_however_many_jobs_there_are_only_the_newest_are_read(database: Database) -> None:
    plan = " | ".join(row["detail"] for row in await database.rows(f"EXPLAIN QUERY PLAN {recent.OF_NEWEST}", (500,)))
    assert plan == "SCAN job"


async def test_a_database_that_cannot_be_read_leaves_what_was_seen_last(
    bot: Bot, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise OSError("locked")

    monkeypatch.setattr(database, "rows", locked)
    assert (await bot.observatory().look()).lately.ended == 0


def test_each_request_is_told_in_a_few_words_that_are_not_its_members() -> None:
    image = Input("0" * 64, 64, 32)
    one = request(prompt=WORDS, width=64, height=96, steps=8, count=2)
    assert facts(one) == "2 × 64×96, 8 steps"
    assert facts(Upscale(job=1, model="x4", image=image, factor=4)) == "64×32, 4×"
    assert facts(Describe(job=1, model="f", image=image, task="find", text=WORDS)) == "find"
    labels = Classify(job=1, model="clip", image=image, labels=(WORDS, "b"), templates=("{}",))
    assert facts(labels) == "2 labels"
    assert WORDS not in "".join(map(facts, (one, labels)))
