"""The log channel of a server: every job of it, for its moderators. It follows the audit, and no job waits for it.

What cannot be posted is left out, and the audit has it. Nothing is in memory: after a restart it goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import discord

from bot import cards, gallery
from bot.admission import Admission
from bot.database import UNWRITTEN, Database
from bot.job import Job
from bot.localisation import Languages
from bot.panels import log as panel
from bot.panels.log import PER_MESSAGE, Logged
from bot.policies.kept import Policies
from bot.posting import UNREACHED, Posting
from bot.words import say, speaking

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0

PAUSE_S = 1.2
"""Between two messages of a channel: Discord allows five in five seconds, and the results of jobs go before these."""

CLOSED_FOR_S = 60.0
"""After Discord has refused a message, nothing is sent into that channel for so long."""

AT_ONCE = 1000
"""So many rows of the audit are read at a time."""

MOST_NEW, MOST_CHANGED = 50, 20
"""So many new jobs, and so many messages of older ones, are shown of what came since the last time."""

ENDS = frozenset({"finished", "flagged", "withheld", "failed", "cancelled", "deleted", "withdrawn"})


class LogChannel:
    """Tells moderators of jobs. `keep` it for as long as the bot runs."""

    def __init__(
        self,
        client: discord.Client,
        database: Database,
        admission: Admission,
        policies: Policies,
        posting: Posting,
        languages: Languages,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._database = database
        self._admission = admission
        self._policies = policies
        self._posting = posting
        self._languages = languages
        self._clock = clock
        self._closed: dict[int, float] = {}
        """Until when nothing is sent into a channel."""

    async def keep(self) -> NoReturn:
        """Tell what happens, soon after it has, once there is somebody to tell."""
        await self._client.wait_until_ready()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except UNWRITTEN as error:
                log.warning("the log channels could not be told what happened: %s", error)

    async def announce(self, sentence: Callable[[], str]) -> None:
        """Say this sentence, in its own language, in the log channel of every server that has one. Best effort."""
        for guild in self._client.guilds:
            if (channel := self._channel(guild)) is None:
                continue
            try:
                with speaking(self._languages.nearest(guild.preferred_locale.value)):
                    await channel.send(sentence(), allowed_mentions=discord.AllowedMentions.none())
            except UNREACHED as error:
                log.warning("the log channel of server %s cannot be reached: %s", guild.id, error)

    def _channel(self, guild: discord.Guild) -> Any:
        """The log channel of a server, where there is one that can be written into."""
        if (channel_id := self._policies.log_channel(guild.id)) is None:
            return None
        channel = guild.get_channel_or_thread(channel_id)
        return channel if isinstance(channel, discord.abc.Messageable) and _open(guild, channel) else None

    async def look(self) -> None:
        """Tell every server's channel what has happened in it since the last time."""
        rows = await self._database.rows(
            "SELECT id, what, guild_id, job_id FROM audit WHERE id > (SELECT audit_id FROM log_read)"
            " ORDER BY id LIMIT ?",
            (AT_ONCE,),
        )
        if not rows:
            return
        happened: dict[int, dict[int, None]] = defaultdict(dict)
        for row in rows:
            if row["guild_id"] and row["job_id"] and (row["what"] == "accepted" or row["what"] in ENDS):
                happened[row["guild_id"]][row["job_id"]] = None
        await asyncio.gather(*(self._tell(guild_id, list(numbers)) for guild_id, numbers in happened.items()))
        await self._database.change("UPDATE log_read SET audit_id = ?", (rows[-1]["id"],))

    async def _tell(self, guild_id: int, numbers: Sequence[int]) -> None:
        channel_id = self._policies.log_channel(guild_id)
        if channel_id is None or self._closed.get(channel_id, 0) > self._clock():
            return
        guild = self._client.get_guild(guild_id)
        if guild is None or (channel := self._channel(guild)) is None:
            self._close(guild_id, channel_id)
            return
        try:
            with speaking(self._languages.nearest(guild.preferred_locale.value)):
                await self._bring(channel, numbers)
        except UNREACHED as error:
            log.warning("the log channel of server %s cannot be reached: %s", guild_id, error)
            self._close(guild_id, channel_id)
        except sqlite3.Error:
            # Then it is tried again.
            raise
        except Exception:
            # What nobody foresaw in one server keeps no other from being told.
            log.exception("the log channel of server %s could not be told what happened", guild_id)
            self._close(guild_id, channel_id)
        else:
            self._policies.closed_logs.pop(guild_id, None)

    def _close(self, guild_id: int, channel_id: int) -> None:
        self._closed[channel_id] = self._clock() + CLOSED_FOR_S
        self._policies.closed_logs[guild_id] = channel_id

    async def _bring(self, channel: Any, numbers: Sequence[int]) -> None:
        known = {
            row["job_id"]: row["message_id"]
            for row in await self._database.rows(
                f"SELECT job_id, message_id FROM log_message WHERE channel_id = ?"
                f" AND job_id IN ({', '.join('?' * len(numbers))})",
                (channel.id, *numbers),
            )
        }
        for message_id in list(dict.fromkeys(known.values()))[-MOST_CHANGED:]:
            await self._posting.calm()
            await self._edit(channel, message_id)
            await asyncio.sleep(PAUSE_S)
        # What was deleted before anybody was told of it is not told.
        new = [job.id for job in await self._admission.jobs.all_of([one for one in numbers if one not in known])]
        shown = new[-MOST_NEW:]
        for start in range(0, len(shown), PER_MESSAGE):
            await self._posting.calm()
            await self._post(channel, shown[start : start + PER_MESSAGE], len(new) - len(shown) if not start else 0)
            await asyncio.sleep(PAUSE_S)

    async def _post(self, channel: Any, numbers: Sequence[int], left_out: int) -> None:
        view = panel.message(await self._logged(channel, numbers), left_out)
        # Discord makes no second message of the same nonce within some minutes: a cut answer doubles nothing.
        nonce = f"log-{numbers[0]}-{len(numbers)}"
        sent = await channel.send(view=view, nonce=nonce, allowed_mentions=discord.AllowedMentions.none())
        async with self._database.transaction() as connection:
            await connection.executemany(
                "INSERT OR REPLACE INTO log_message VALUES (?, ?, ?, ?)",
                [(number, channel.id, sent.id, self._clock()) for number in numbers],
            )

    async def _edit(self, channel: Any, message_id: int) -> None:
        rows = await self._database.rows(
            "SELECT job_id FROM log_message WHERE message_id = ? ORDER BY job_id", (message_id,)
        )
        view = panel.message(await self._logged(channel, [row["job_id"] for row in rows]))
        message = channel.get_partial_message(message_id)
        try:
            await message.edit(view=view, allowed_mentions=discord.AllowedMentions.none())
        except discord.NotFound:
            # Somebody has deleted it: then that is done with.
            await self._database.change("DELETE FROM log_message WHERE message_id = ?", (message_id,))

    async def _logged(self, channel: Any, numbers: Iterable[int]) -> list[Logged]:
        logged = []
        for number in numbers:
            job = await self._admission.jobs.find(number)
            line, words = ("", "") if job is None else (self._line(job), self._words(job, channel))
            logged.append(Logged(number, job, line, words))
        return logged

    def _line(self, job: Job) -> str:
        parts = [f"<@{job.reply.member_id}>", f"`/{self._admission.command_of(job.request)}`", gallery.link(job)]
        return " · ".join([*parts, f"<#{job.reply.channel_id}>", *gallery.state(job)])

    def _words(self, job: Job, channel: Any) -> str:
        """What was asked for, unless it is for adults alone and this channel is not."""
        if job.reply.age_restricted and not channel.is_nsfw():
            return "-# " + say("Its words stay where only adults read.")
        words = gallery.words_of(job)
        return "" if not words else cards.plain(words)


def _open(guild: discord.Guild, channel: Any) -> bool:
    allowed = channel.permissions_for(guild.me)
    return bool(allowed.read_messages and allowed.send_messages)
