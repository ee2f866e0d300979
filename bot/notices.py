"""What is told of members' LoRAs: moderators are asked in their log channel, owners hear what was decided.

Nothing of it is in memory: what is still to be said stands in the database, also after a restart.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NoReturn

import discord

from bot.admission import Admission
from bot.database import UNWRITTEN, Database
from bot.localisation import Languages
from bot.loras.landings import Landings
from bot.loras.lora import MemberLora
from bot.loras.sharing import Sharing
from bot.panels import loras as panel
from bot.posting import UNREACHED, Posting, is_final
from bot.words import speaking

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0

CLOSED_FOR_S = 60.0
"""After Discord has refused something, so long nothing of that kind is tried again there."""


async def keep(
    client: discord.Client, database: Database, admission: Admission, posting: Posting, languages: Languages
) -> NoReturn:
    """Land what was trained, and tell of it, for as long as the bot runs."""
    loras, trainings, policies = admission.jobs.loras, admission.jobs.trainings, admission.policies
    sharing = Sharing(loras, policies, lambda: admission.ready)
    landings = Landings(database, trainings, loras, policies, sharing, lambda: admission.ready)
    await asyncio.gather(landings.keep(), Notices(client, admission, posting, languages).keep())
    raise AssertionError("neither has an end")


class Notices:
    """Tells moderators and owners."""

    def __init__(self, client: discord.Client, admission: Admission, posting: Posting, languages: Languages) -> None:
        self._client = client
        self._loras = admission.jobs.loras
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
        for lora in self._loras.all():
            if lora.share == "server" and lora.state == "pending" and lora.asked_message_id is None:
                await self._try(("channel", lora.guild_id), lora, self._ask)
            elif lora.state != "pending" and lora.asked_message_id is not None:
                await self._try(("message", lora.asked_message_id), lora, self._settle)
            if not lora.told:
                await self._try(("member", lora.member_id), lora, self._answer)

    async def _try(self, where: object, lora: MemberLora, act: Any) -> None:
        clock = asyncio.get_running_loop().time
        if self._closed.get(where, 0) > clock():
            return
        try:
            await self._posting.calm()
            await act(lora)
        except UNREACHED as error:
            log.warning("of LoRA %d somebody could not be told: %s", lora.id, error)
            self._closed[where] = clock() + CLOSED_FOR_S

    async def _ask(self, lora: MemberLora) -> None:
        """Ask the moderators in their channel; where there is none, /loras shows it to them."""
        guild = self._client.get_guild(lora.guild_id or 0)
        channel_id = None if guild is None else self._policies.log_channel(guild.id)
        channel: Any = None if guild is None or channel_id is None else guild.get_channel_or_thread(channel_id)
        if guild is None or channel is None:
            return
        with speaking(self._languages.nearest(guild.preferred_locale.value)):
            view, files = panel.notice(lora, await self._loras.file_of(lora), await self._loras.preview_of(lora))
            # Discord makes no second message of the same nonce within some minutes: a cut answer doubles nothing.
            sent = await channel.send(
                view=view, files=files, nonce=f"lora-{lora.id}", allowed_mentions=discord.AllowedMentions.none()
            )
        await self._loras.asked(lora.id, channel.id, sent.id)

    async def _settle(self, lora: MemberLora) -> None:
        """Let the question say what was decided."""
        guild = self._client.get_guild(lora.guild_id or 0)
        channel: Any = None if guild is None else guild.get_channel_or_thread(lora.asked_channel_id or 0)
        if guild is not None and channel is not None:
            with speaking(self._languages.nearest(guild.preferred_locale.value)):
                view, files = panel.notice(lora, await self._loras.file_of(lora), await self._loras.preview_of(lora))
                try:
                    message = channel.get_partial_message(lora.asked_message_id)
                    await message.edit(view=view, attachments=files, allowed_mentions=discord.AllowedMentions.none())
                except discord.NotFound:
                    log.info("the question about LoRA %d was deleted", lora.id)
        await self._loras.asked(lora.id, None, None)

    async def _answer(self, lora: MemberLora) -> None:
        """Tell its owner by a direct message, in their language."""
        with speaking(self._languages.nearest(await self._members.language(lora.member_id))):
            text = f"{lora.name}: {panel.state(lora)}"
            try:
                member = await self._client.fetch_user(lora.member_id)
                await member.send(text, nonce=f"lora-told-{lora.id}", allowed_mentions=discord.AllowedMentions.none())
            except UNREACHED as error:
                if not is_final(error):
                    raise
                log.info("the owner of LoRA %d cannot be told: %s", lora.id, error)
        await self._loras.told(lora.id)
