"""What members say once for all, and how they are told that a wait is over."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import aiohttp
import discord
import pytest

from bot import pings as pings_module
from bot.background import Background
from bot.database import Database
from bot.job import Way
from bot.jobs import Jobs
from bot.localisation import Languages
from bot.members import NOTHING, Members, Own
from bot.pings import Pings
from bot.policies.policy import Policy
from bot.posting import Posting
from inference.protocol import because
from tests.bot.conftest import finished, queued, ready, reply, request
from tests.bot.test_delivery import refusal


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_what_a_member_says_is_kept_field_by_field(database: Database) -> None:
    members = Members(database)
    await asyncio.gather(members.say(1, model="starter"), members.say(1, language="zh-CN"))
    await members.say(1, width=64, height=48)
    await members.say(2, ping_after_min=5, ping_by="message")
    again = Members(database)
    await again.load()
    for one in (members, again):
        assert one.of(1) == Own(model="starter", width=64, height=48, language="zh-CN")
        assert one.of(2) == Own(ping_after_min=5, ping_by="message")
        assert one.of(3) == NOTHING
    assert await again.language(1) == "zh-CN"
    await members.leave_all(1)
    await again.load()
    assert members.of(1) == NOTHING
    assert await database.rows("SELECT * FROM member WHERE member_id = 1") == []


async def test_erased_member_has_said_nothing(jobs: Jobs) -> None:
    await jobs.members.say(1, language="zh-CN")
    await jobs.erase(1, 0)
    assert jobs.members.of(1) == NOTHING


def test_own_default_goes_before_what_is_set_and_gives_way_where_it_is_not_allowed() -> None:
    told = ready()
    own = Policy(model="starter", own_model="turbo")
    assert own.offered(told).default_model == "turbo"
    assert dataclasses.replace(own, models=frozenset({"starter"})).offered(told).default_model == "starter"
    assert dataclasses.replace(own, own_model="gone").offered(told).default_model == "starter"
    starter, turbo = told.models
    assert Policy(own_style="oil", style="ink").styled(None, starter) == "oil"
    assert Policy(own_style="ink", style="oil").styled(None, starter) == "oil"
    assert Policy(own_style="none", style="oil").styled(None, starter) is None
    assert Policy(own_style="oil").styled(None, turbo) is None
    assert Policy(own_style="oil").styled("none", starter) is None


def test_own_size_holds_for_models_that_paint_it_and_within_what_is_allowed() -> None:
    def sizes(**held: Any) -> list[tuple[int, int]]:
        return [(model.width, model.height) for model in Policy(**held).offered(ready()).models]

    assert sizes(own_size=(96, 64)) == [(96, 64), (512, 512)]
    assert sizes(own_size=(768, 512)) == [(64, 64), (768, 512)]
    for wrong in ((65, 64), (8, 8), (256, 256)):
        assert sizes(own_size=wrong)[0] == (64, 64)
    [(width, height), _] = sizes(own_size=(96, 64), pixels=64 * 64)
    assert width * height <= 64 * 64


async def ended(jobs: Jobs, clock: Clock, after_s: float, data: Path, way: Way = "reply", how: str = "finished") -> int:
    """A job that was delivered so long after it was asked for."""
    job = await queued(jobs, request(), reply(1, 100))
    await jobs.start([job.id])
    if how == "finished":
        await jobs.finish(finished(data, job.id, b"one"))
    elif how == "failed":
        await jobs.fail(job.id, "internal", because("x"))
    else:
        await jobs.fail(job.id, "cancelled", because("cancelled"))
    clock.now += after_s
    await jobs.delivered(job.id, way, None)
    return job.id


@pytest.mark.parametrize(
    ("after_s", "way", "how", "is_told"),
    [
        (301, "reply", "finished", True),
        (301, "channel", "failed", True),
        (299, "reply", "finished", False),
        (301, "member", "finished", False),
        (301, "reply", "cancelled", False),
    ],
)
async def test_who_waited_long_enough_is_to_be_told_once(
    after_s: float, way: Way, how: str, is_told: bool, database: Database, jobs: Jobs, tmp_path: Path
) -> None:
    clock = Clock()
    jobs = Jobs(database, jobs.pictures, clock)
    await jobs.members.say(1, ping_after_min=5)
    number = await ended(jobs, clock, after_s, tmp_path, way, how)
    assert await jobs.members.untold() == [number] * is_told
    await jobs.members.told(number)
    # A delivery that is repeated.
    await jobs.delivered(number, way, 101)
    assert await jobs.members.untold() == []


@pytest.mark.parametrize(
    ("errors", "ways"),
    [
        ([None], ["channel"]),
        ([refusal(503), aiohttp.ClientError(), None], ["channel"] * 3),
        ([refusal(403), None], ["channel", "message"]),
        ([refusal(403), refusal(403)], ["channel", "message"]),
    ],
)
async def test_member_is_told_whatever_discord_says_at_first_also_after_a_restart(
    errors: list[Exception | None],
    ways: list[str],
    database: Database,
    jobs: Jobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pings_module, "RETRY_AFTER_S", (0.0,))
    clock, background = Clock(), Background()
    jobs = Jobs(database, jobs.pictures, clock)
    await jobs.members.say(1, ping_after_min=1)
    number = await ended(jobs, clock, 60, tmp_path)
    posting = create_autospec(Posting, spec_set=True, instance=True)
    posting.ping.side_effect = errors
    pings = Pings(jobs, posting, background, Languages())
    await pings.resume()
    while background._tasks:
        await asyncio.wait(background._tasks)
    assert [call.args[3] for call in posting.ping.await_args_list] == ways
    assert f"#{number} is finished: https://discord.com/channels/5/6/100" in posting.ping.await_args.args[2]
    assert await jobs.members.untold() == []


@pytest.mark.parametrize(("way", "said"), [("channel", "<@1> done"), ("message", "done")])
async def test_ping_reaches_its_member_and_nobody_else(way: Any, said: str) -> None:
    client = create_autospec(discord.Client, instance=True)
    place = create_autospec(discord.PartialMessageable, instance=True)
    place.send = AsyncMock()
    client.get_partial_messageable.return_value = client.fetch_user.return_value = place
    await Posting(client).ping(7, reply(), "done", way)
    [call] = place.send.await_args_list
    assert (call.args, call.kwargs["nonce"]) == ((said,), "easel-ping-7")
    allowed = call.kwargs["allowed_mentions"].to_dict()
    assert (allowed["parse"], allowed["users"]) == ([], [1])
