"""The log channel is told of jobs, and delays none: real SQLite, Discord at its most unfriendly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import discord
import pytest

from bot import log_channel as module
from bot.database import Database
from bot.job import Reply
from bot.jobs import Jobs
from bot.localisation import Languages
from bot.log_channel import LogChannel
from bot.panels.log import PER_MESSAGE
from bot.policies.kept import Place, Policies
from bot.words import say
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form
from tests.bot.conftest import finished, queued, reply, request

CHANNEL = 60


def refusal(status: int, kind: type[discord.HTTPException] = discord.HTTPException) -> discord.HTTPException:
    return kind(Mock(status=status, reason=""), "no")


class Place_:
    """A channel that keeps what is sent."""

    def __init__(self, *, nsfw: bool = False) -> None:
        self.id = CHANNEL
        self.nsfw = nsfw
        self.messages: dict[int, discord.ui.LayoutView] = {}
        self.sent: list[int] = []
        self.said: list[str] = []
        self.refuse: Exception | None = None
        self.writable = True

    def is_nsfw(self) -> bool:
        return self.nsfw

    def permissions_for(self, _: object) -> discord.Permissions:
        return discord.Permissions(view_channel=True, send_messages=self.writable)

    async def send(self, text: str | None = None, *, view: discord.ui.LayoutView | None = None, **_: object) -> Any:
        if self.refuse is not None:
            raise self.refuse
        if view is None:
            self.said.append(str(text))
            return None
        number = 1000 + len(self.sent)
        self.sent.append(number)
        self._show(number, view)
        return SimpleNamespace(id=number)

    def get_partial_message(self, number: int) -> Any:
        async def edit(*, view: discord.ui.LayoutView, **_: object) -> None:
            if number not in self.messages:
                raise refusal(404, discord.NotFound)
            self._show(number, view)

        return SimpleNamespace(edit=edit)

    def _show(self, number: int, view: discord.ui.LayoutView) -> None:
        form = Form()
        check_components(form, {"components": view.to_components()}, set(), version_2=True)
        form.close()
        self.messages[number] = view

    def text(self) -> str:
        return "\n".join(str(view.to_components()) for view in self.messages.values())


class World:
    def __init__(self, jobs: Jobs, database: Database, channel: Place_) -> None:
        self.channel, self.database = channel, database
        self.now = 0.0
        self.policies = Policies(database, {})
        self.guild = Mock(spec_set=["get_channel_or_thread", "id", "me", "preferred_locale"])
        self.guild.id = 5
        self.guild.get_channel_or_thread = lambda number: channel if number == CHANNEL else None
        self.guild.preferred_locale = discord.Locale.american_english
        other = Mock(spec_set=["id"])
        other.id = 6
        client = Mock(spec_set=["get_guild", "guilds"])
        client.guilds = [other, self.guild]
        client.get_guild = lambda number: self.guild if number == 5 else None
        admission: Any = SimpleNamespace(jobs=jobs, command_of=lambda request: request.kind)
        posting: Any = SimpleNamespace(calm=AsyncMock())
        self.log = LogChannel(client, database, admission, self.policies, posting, Languages(), lambda: self.now)


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Place_:
    monkeypatch.setattr(module, "PAUSE_S", 0)
    monkeypatch.setattr(discord.abc, "Messageable", Place_)
    return Place_()


@pytest.fixture
async def world(jobs: Jobs, database: Database, channel: Place_) -> World:
    opened = World(jobs, database, channel)
    await opened.policies.put(Place(5), "log", CHANNEL)
    return opened


def there(**changes: Any) -> Reply:
    return replace(reply(), **changes)


async def test_job_is_told_once_and_then_as_it_goes_on(
    world: World, channel: Place_, jobs: Jobs, tmp_path: Path
) -> None:
    job = await queued(jobs, request("a *red* @everyone house"))
    await world.log.look()
    await world.log.look()
    assert len(channel.sent) == 1
    said = channel.text()
    assert f"discord.com/channels/5/6/{job.reply.message_id}" in said
    assert "<@1>" in said
    assert "waiting" in said
    assert "@everyone" not in said.replace("@\u200beveryone", "")
    assert "*red*" not in said
    await jobs.start([job.id])
    await jobs.finish(finished(tmp_path, job.id, b"one"))
    await world.log.look()
    assert "waiting" not in channel.text()
    assert "logdelete" in channel.text()
    await jobs.delete(job.id)
    # A restart in between changes nothing.
    await World(jobs, world.database, channel).policies.load()
    await world.log.look()
    assert len(channel.sent) == 1
    assert "was deleted" in channel.text()
    assert "house" not in channel.text()
    assert "logdelete" not in channel.text()


async def test_many_at_once_share_messages_and_more_than_enough_are_left_out(
    world: World, channel: Place_, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(PER_MESSAGE + 1):
        await queued(jobs)
    await world.log.look()
    assert len(channel.sent) == 2
    monkeypatch.setattr(module, "MOST_NEW", 2)
    numbers = [(await queued(jobs)).id for _ in range(5)]
    await world.log.look()
    assert len(channel.sent) == 3
    assert "/audit has all of them" in channel.text()
    assert f"logdelete:{numbers[-1]}" in channel.text()
    assert f"logdelete:{numbers[0]}" not in channel.text()


async def test_words_for_adults_are_said_among_adults_alone(world: World, channel: Place_, jobs: Jobs) -> None:
    await queued(jobs, request("a secret house"), there(age_restricted=True))
    await world.log.look()
    assert "secret" not in channel.text()
    channel.nsfw = True
    await queued(jobs, request("a secret boat"), there(age_restricted=True, message_id=101))
    await world.log.look()
    assert "secret boat" in channel.text()


async def test_jobs_of_elsewhere_and_without_a_channel_are_not_told(world: World, channel: Place_, jobs: Jobs) -> None:
    await queued(jobs, None, there(guild_id=7))
    await queued(jobs, None, there(guild_id=None))
    await world.log.look()
    await world.policies.put(Place(5), "log", None)
    await queued(jobs)
    await world.log.look()
    # Nor later, when one is chosen.
    await world.policies.put(Place(5), "log", CHANNEL)
    await world.log.look()
    assert channel.sent == []


@pytest.mark.parametrize("how", ["refused", "gone", "silent", "forbidden"])
async def test_closed_channel_ends_nothing_is_not_pestered_and_is_told_in_settings(
    world: World, channel: Place_, jobs: Jobs, how: str
) -> None:
    if how == "refused":
        channel.refuse = refusal(403, discord.Forbidden)
    elif how == "silent":
        channel.refuse = TimeoutError()
    elif how == "forbidden":
        channel.writable = False
    else:
        world.guild.get_channel_or_thread = lambda _: None
    tried = Mock(side_effect=channel.permissions_for)
    channel.permissions_for = tried  # type: ignore[method-assign]
    for _ in range(3):
        await queued(jobs)
        await world.log.look()
    assert tried.call_count <= 1
    assert world.policies.closed_logs == {5: CHANNEL}
    channel.refuse, channel.writable = None, True
    world.guild.get_channel_or_thread = lambda _: channel
    world.now += module.CLOSED_FOR_S + 1
    last = await queued(jobs)
    await world.log.look()
    assert world.policies.closed_logs == {}
    assert f"logdelete:{last.id}" in channel.text()


async def test_message_that_somebody_deleted_is_done_with(world: World, channel: Place_, jobs: Jobs) -> None:
    job = await queued(jobs)
    await world.log.look()
    channel.messages.clear()
    await jobs.cancel(job.id)
    await world.log.look()
    assert world.policies.closed_logs == {}
    assert await world.database.rows("SELECT * FROM log_message") == []


async def test_what_nobody_foresaw_is_the_operators_to_read_and_ends_nothing(
    world: World, channel: Place_, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    channel.refuse = ValueError("boom")
    await queued(jobs)
    await world.log.look()
    assert "boom" in caplog.text
    channel.refuse = None
    world.now += module.CLOSED_FOR_S + 1
    await queued(jobs)
    await world.log.look()
    assert len(channel.sent) == 1


async def test_what_concerns_all_servers_is_said_where_there_is_a_log_channel_in_its_language(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.guild.preferred_locale = discord.Locale.chinese
    await world.log.announce(lambda: say("Cancelled."))
    assert world.channel.said == ["已取消。"]
    # Discord's refusal, and a channel that is closed, are nobody else's trouble.
    world.channel.refuse = refusal(403)
    await world.log.announce(lambda: say("Cancelled."))
    assert "server 5 cannot be reached" in caplog.text
    world.channel.writable = False
    await world.log.announce(lambda: say("Cancelled."))
    assert world.channel.said == ["已取消。"]
