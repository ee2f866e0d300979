"""The client: the command tree, the buttons' and forms' way to their actions, and the one error handler."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import aiohttp
import discord
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.buttons import JobButton
from bot.commands import Form, MessageForm, NewForm, Press, Slice
from bot.delivery import UNKNOWN_INTERACTION, tell
from bot.errors import MemberError, OperatorError
from bot.jobs import Job, Jobs
from bot.settings import DISCORD_API

log = logging.getLogger(__name__)

RECONNECT_AFTER_S = 5.0


class Easel(discord.Client):
    """Easel's connection to Discord. `add` the commands, then `stay_connected`."""

    def __init__(self, jobs: Jobs, api_base: str = DISCORD_API) -> None:
        # Easel does not speak: the libraries for voice are not missing.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        # Slash commands and buttons need no intent but the one that tells which servers there are.
        super().__init__(intents=discord.Intents(guilds=True), allowed_mentions=discord.AllowedMentions.none())
        self._jobs = jobs
        self._api_base = api_base.rstrip("/")
        self._presses: dict[str, Press] = {}
        self._forms: dict[str, Form] = {}
        self._message_forms: dict[str, MessageForm] = {}
        self._new_forms: dict[str, NewForm] = {}
        self.tree = Tree(self)
        self.add_dynamic_items(JobButton)

    def add(self, slices: Iterable[Slice]) -> None:
        """Add what the command files bring."""
        for slice_ in slices:
            for command in slice_.commands:
                self.tree.add_command(command)
            self._presses.update(slice_.presses)
            self._forms.update(slice_.forms)
            self._message_forms.update(slice_.message_forms)
            self._new_forms.update(slice_.new_forms)

    async def stay_connected(self, token: str) -> None:
        """Log in, register the commands and keep the connection until cancelled. Raises OperatorError."""
        if self._api_base != DISCORD_API:
            Route.BASE = self._api_base
        await self._retry(lambda: self._log_in(token))
        # discord.py reconnects by itself, except where its first connection fails or an event cannot be read.
        await self._retry(lambda: self.connect(reconnect=True))

    async def setup_hook(self) -> None:
        """Once logged in: learn where the gateway is, and register the commands."""
        if self._api_base != DISCORD_API:
            _, gateway, _ = await self.http.get_bot_gateway()
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
        await self.tree.sync()

    async def on_ready(self) -> None:
        """Say in the log that members can begin."""
        log.info("online as %s; servers: %d", self.user, len(self.guilds))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Take submitted forms from here, not from discord.py's memory: so they too survive a restart."""
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        data: Mapping[str, Any] = interaction.data or {}
        fields = _fields(data["components"])
        match str(data["custom_id"]).split(":"):
            case ["easel", "message", action, message_id] if action in self._message_forms:
                await _answer(interaction, self._message_forms[action](interaction, int(message_id), fields))
            case ["easel", "new", action, about] if action in self._new_forms:
                await _answer(interaction, self._new_forms[action](interaction, about, fields))
            case ["easel", action, job_id] if job_id.isdecimal():
                form = self._forms.get(action)
                await self._act(interaction, int(job_id), form and (lambda job: form(interaction, job, fields)))

    async def press(self, interaction: discord.Interaction, action: str, job_id: int, index: int) -> None:
        """Do what a button says and answer the interaction, errors included."""
        press = self._presses.get(action)
        await self._act(interaction, job_id, press and (lambda job: press(interaction, job, index)))

    async def _act(
        self, interaction: discord.Interaction, job_id: int, act: Callable[[Job], Awaitable[None]] | None
    ) -> None:
        """Do something with a job; whatever goes wrong is said to the member."""
        try:
            if act is None:
                raise MemberError("This is from another version of Easel: ask for a new picture with /imagine.")
            job = await self._jobs.find(job_id)
            if job is None:
                raise MemberError("This job was deleted: ask for a new one with /imagine.")
            await act(job)
        except Exception as error:
            await answer_error(interaction, error)

    async def _log_in(self, token: str) -> None:
        try:
            await self.login(token)
        except discord.LoginFailure as error:
            raise OperatorError(
                "Discord does not accept DISCORD_TOKEN: copy the bot's token again from"
                " https://discord.com/developers/applications"
            ) from error

    async def _retry(self, connect: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await connect()
                return
            except (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError) as error:
                log.error("cannot reach Discord at %s: %s", self._api_base, error)
            except discord.ConnectionClosed as error:
                raise OperatorError(f"Discord closed the connection for good (code {error.code})") from error
            except AttributeError as error:
                # discord.py's way of failing where the very first gateway connection fails.
                log.error("cannot reach Discord's gateway", exc_info=error)
            await asyncio.sleep(RECONNECT_AFTER_S)


class Tree(app_commands.CommandTree[Easel]):
    """The command tree, whose errors go where all others go."""

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """Answer a command that failed."""
        await answer_error(interaction, error)


async def answer_error(interaction: discord.Interaction, error: Exception) -> None:
    """The one error handler: every error of a command, button or form ends here as one ephemeral sentence."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    match cause:
        case MemberError():
            await tell(interaction, str(cause))
        case discord.NotFound(code=code) if code == UNKNOWN_INTERACTION:
            log.warning("an interaction came too late to be answered: %s", cause)
        case app_commands.CommandSignatureMismatch() | app_commands.CommandNotFound():
            await tell(interaction, "This command has changed: reload Discord (Ctrl+R) and use it again.")
        case app_commands.TransformerError():
            await tell(interaction, f"{cause.value!r} does not fit this option: choose one of those shown.")
        case _:
            reference = secrets.token_hex(3)
            log.error("error %s", reference, exc_info=cause)
            await tell(
                interaction,
                f"Something went wrong inside Easel: try again, or give whoever runs it the word {reference}.",
            )


async def _answer(interaction: discord.Interaction, answering: Awaitable[None]) -> None:
    """Do what a form asks for; whatever goes wrong is said to the member."""
    try:
        await answering
    except Exception as error:
        await answer_error(interaction, error)


def _fields(components: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What was typed and chosen in a submitted form, by custom_id, inside labels or rows; "" where nothing was."""
    fields: dict[str, str] = {}
    for component in components:
        inner = [component["component"]] if "component" in component else component.get("components", [])
        fields.update({item["custom_id"]: item["value"] for item in inner if "value" in item})
        fields.update({item["custom_id"]: next(iter(item["values"]), "") for item in inner if "values" in item})
    return fields
