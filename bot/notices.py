"""What is told of members' LoRAs: moderators are asked in their log channel, owners hear what was decided.

Nothing of it is in memory: what is still to be said stands in the database, also after a restart.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Coroutine
from typing import Any, NoReturn

import discord

from bot import cards
from bot.admission import Admission
from bot.database import UNWRITTEN, Database
from bot.localisation import Languages
from bot.loras.landings import Landings
from bot.loras.lora import MemberLora
from bot.loras.questions import Question, Questions, saying
from bot.loras.sharing import Sharing
from bot.panels import loras as panel
from bot.posting import UNREACHED, Posting, is_final
from bot.words import speaking

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0

NONCE_S = 300
"""A question that is asked anew later than that is another message."""

CLOSED_FOR_S = 60.0
"""After Discord has refused something, so long nothing of that kind is tried again there."""


async def keep(
    client: discord.Client, database: Database, admission: Admission, posting: Posting, languages: Languages
) -> NoReturn:
    """Land what was trained, and tell of it, for as long as the bot runs."""
    loras, trainings, policies = admission.jobs.loras, admission.jobs.trainings, admission.policies
    sharing = Sharing(loras, policies, lambda: admission.ready)
    landings = Landings(database, trainings, loras, policies, sharing, lambda: admission.ready)
    await asyncio.gather(landings.keep(), Notices(client, database, admission, posting, languages).keep())
    raise AssertionError("neither has an end")


class Notices:
    """Tells moderators and owners."""

    def __init__(
        self, client: discord.Client, database: Database, admission: Admission, posting: Posting, languages: Languages
    ) -> None:
        self._client = client
        self._loras = admission.jobs.loras
        self._questions = Questions(database)
        self._members = admission.jobs.members
        self._policies = admission.policies
        self._posting = posting
        self._languages = languages
        self._closed: dict[object, float] = {}
        """Until when nothing is said to a channel or a member."""

    async def keep(self) -> NoReturn:
        """Tell, soon after it has happened."""
        await self._client.wait_until_ready()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._loras.look()
                await self.tell()
            except UNWRITTEN as error:
                log.warning("of LoRAs nothing could be told: %s", error)
            except Exception:
                # What nobody foresaw in one of them.
                log.exception("of LoRAs nothing could be told")

    async def tell(self) -> None:
        """Tell what is still to be told."""
        questions = await self._questions.all()
        for lora in self._loras.all():
            question = questions.pop(lora.id, None)
            if question is None and lora.share == "server" and lora.state == "pending":
                await self._try(("guild", lora.guild_id), lora.id, self._ask(lora))
            elif question is not None and question.guild_id != lora.guild_id:
                # It is another server's to decide now.
                await self._try(("message", question.message_id), lora.id, self._take_away(question))
            elif question is not None and question.shown != saying(lora):
                await self._try(("message", question.message_id), lora.id, self._change(question, lora))
            if not lora.told:
                await self._try(("member", lora.member_id), lora.id, self._answer(lora))
        for question in questions.values():
            await self._try(("message", question.message_id), question.lora_id, self._take_away(question))

    async def _try(self, where: object, lora_id: int, telling: Coroutine[Any, Any, None]) -> None:
        clock = asyncio.get_running_loop().time
        if self._closed.get(where, 0) > clock():
            telling.close()
            return
        try:
            await self._posting.calm()
            await telling
        except UNREACHED as error:
            log.warning("of LoRA %d somebody could not be told: %s", lora_id, error)
            self._closed[where] = clock() + CLOSED_FOR_S

    async def _ask(self, lora: MemberLora) -> None:
        """Ask the moderators in their channel; where there is none, /loras shows it to them."""
        guild = self._client.get_guild(lora.guild_id or 0)
        channel_id = None if guild is None else self._policies.log_channel(guild.id)
        channel: Any = None if guild is None or channel_id is None else guild.get_channel_or_thread(channel_id)
        if guild is None or channel is None:
            return
        with speaking(self._languages.nearest(guild.preferred_locale.value)):
            file = await self._loras.file_of(lora)
            view, files = panel.notice(lora, file, await self._loras.preview_of(file))
            # Discord makes no second message of the same nonce within some minutes: a cut answer doubles nothing.
            nonce = f"lora-{lora.id}-{time.time() // NONCE_S:.0f}"
            sent = await channel.send(
                view=view,
                files=files,
                nonce=nonce,
                allowed_mentions=discord.AllowedMentions.none(),
            )
        await self._questions.put(Question(lora.id, guild.id, channel.id, sent.id, saying(lora)))

    async def _change(self, question: Question, lora: MemberLora) -> None:
        """Let the question say what holds now, with its buttons where it is still to be decided."""
        if (guild := self._client.get_guild(question.guild_id)) is None:
            return None
        channel = self._client.get_partial_messageable(question.channel_id, guild_id=guild.id)
        with speaking(self._languages.nearest(guild.preferred_locale.value)):
            file = await self._loras.file_of(lora)
            view, files = panel.notice(lora, file, await self._loras.preview_of(file))
            try:
                message = channel.get_partial_message(question.message_id)
                await message.edit(view=view, attachments=files, allowed_mentions=discord.AllowedMentions.none())
            except discord.NotFound:
                # Somebody has deleted it; what is asked anew is asked in another.
                return await self._questions.forget(lora.id)
        return await self._questions.put(dataclasses.replace(question, shown=saying(lora)))

    async def _take_away(self, question: Question) -> None:
        """Take a question away whose LoRA is gone, with all that it tells of its owner."""
        try:
            await self._posting.take_back(question.guild_id, question.channel_id, question.message_id, None)
        except UNREACHED as error:
            if not is_final(error):
                raise
            log.warning("the question about LoRA %d stays where it is: %s", question.lora_id, error)
        await self._questions.forget(question.lora_id)

    async def _answer(self, lora: MemberLora) -> None:
        """Tell its owner by a direct message, in their language."""
        with speaking(self._languages.nearest(await self._members.language(lora.member_id))):
            guild = self._client.get_guild(lora.guild_id or 0) if lora.share == "server" else None
            where = "" if guild is None else f" ({cards.plain(guild.name)})"
            text = f"{cards.plain(lora.name)}{where}: {panel.state(lora, lora.guild_id)}"
            try:
                member = await self._client.fetch_user(lora.member_id)
                await member.send(text, nonce=f"lora-told-{lora.id}", allowed_mentions=discord.AllowedMentions.none())
            except UNREACHED as error:
                if not is_final(error):
                    raise
                log.info("the owner of LoRA %d cannot be told: %s", lora.id, error)
        await self._loras.told(lora.id)
