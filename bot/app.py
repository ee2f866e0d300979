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

from bot import custom_ids, invitation, permits
from bot.access import Access
from bot.admission import Admission
from bot.background import Background
from bot.buttons import JobButton
from bot.commands import Slices
from bot.custom_ids import OfJob, OfWord
from bot.errors import MemberError, OperatorError, Starting
from bot.jobs import Jobs
from bot.localisation import Languages, Localisation
from bot.observer import Observer, acted
from bot.policies.problem import of_command
from bot.posting import ALREADY_ACKNOWLEDGED, UNKNOWN_INTERACTION
from bot.settings import DISCORD_API
from bot.speaking import tell
from bot.teaching.captioning import Captioning
from bot.words import say, speak
from inference.protocol import logs

log = logging.getLogger(__name__)

RECONNECT_AFTER_S = 5.0

CHAT_INPUT = 1
"""Discord's number for a command that is typed."""

CHECK_EVERY_S = 1.0
OFFLINE_S = 40.0
"""discord.py waits longer and longer between its tries to reconnect, up to 17 minutes: after so long it begins anew."""


class Easel(discord.Client):
    """Easel's connection to Discord. `add` the commands, then `stay_connected`."""

    def __init__(
        self,
        jobs: Jobs,
        background: Background,
        api_base: str = DISCORD_API,
        languages: Languages | None = None,
        *,
        direct_messages: bool = True,
        by_members: bool = False,
        observer: Observer | None = None,
        trace: aiohttp.TraceConfig | None = None,
    ) -> None:
        """Commands are offered in `direct_messages` as well, and to members who installed Easel for themselves.

        `trace` is told of every request to Discord.
        """
        # Easel does not speak: the libraries for voice are not missing.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(
            # Which servers there are, and which messages are deleted; what messages say is nobody's business.
            intents=discord.Intents(guilds=True, guild_messages=True, dm_messages=True),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            http_trace=trace or aiohttp.TraceConfig(),
        )
        self.access = Access(self)
        self._captioning: Captioning | None = None
        self._jobs = jobs
        self._background = background
        self._admission: Admission | None = None
        self._observer = observer or Observer()
        self._offline_since: float | None = None
        self._languages = languages or Languages()
        self._api_base = api_base.rstrip("/")
        self._slices = Slices({})
        self.tree = Tree(
            self,
            allowed_contexts=invitation.contexts(direct_messages, by_members),
            allowed_installs=invitation.installs(by_members),
        )
        self.add_dynamic_items(JobButton)

    @property
    def admission(self) -> Admission:
        """What takes the jobs that members ask for here."""
        assert self._admission is not None, "commands are added with it"
        return self._admission

    @property
    def captioning(self) -> Captioning:
        """What writes captions here."""
        assert self._captioning is not None, "commands are added with it"
        return self._captioning

    def add(self, slices: Slices, admission: Admission) -> None:
        """Add what the command files bring, and what takes the jobs that come of it."""
        self._admission = admission
        self._captioning = Captioning(admission, self._background)
        self._slices = slices
        for command in slices.commands.values():
            self.tree.add_command(command)

    @property
    def is_online(self) -> bool:
        """Whether what members do arrives here."""
        return self.is_ready() and self._offline_since is None

    async def stay_connected(self, token: str) -> None:
        """Log in, register the commands and keep the connection until cancelled. Raises OperatorError."""
        if self._api_base != DISCORD_API:
            Route.BASE = self._api_base
        await self._retry(lambda: self._log_in(token))
        while not self.is_closed():
            # discord.py reconnects by itself, except where its first connection fails or an event cannot be read.
            connecting = asyncio.create_task(self._retry(lambda: self.connect(reconnect=True)))
            try:
                await self._until_offline(connecting)
            finally:
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)

    async def _until_offline(self, connecting: asyncio.Task[None]) -> None:
        """Return once there was no connection for too long. Raises what ends it for good."""
        clock = asyncio.get_running_loop().time
        self._offline_since = clock()
        while not connecting.done():
            await asyncio.wait((connecting,), timeout=CHECK_EVERY_S)
            if self._offline_since is not None and clock() - self._offline_since > OFFLINE_S:
                log.warning("no connection to Discord for %.0f s: beginning anew", OFFLINE_S)
                return
        connecting.result()

    async def setup_hook(self) -> None:
        """Once logged in: learn where the gateway is, and register the commands."""
        if self._api_base != DISCORD_API:
            _, gateway, _ = await self.http.get_bot_gateway()
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
        await self.tree.set_translator(Localisation(self._languages))
        self.access.learn(await self.tree.sync())

    async def on_connect(self) -> None:
        """The gateway has taken us, or has us back."""
        self._offline_since = None
        self._observer.connected()
        if self._admission is not None:
            self._admission.reconnected()

    on_resumed = on_connect

    async def on_disconnect(self) -> None:
        """The gateway is gone, or cannot be reached."""
        if self._offline_since is None:
            self._offline_since = asyncio.get_running_loop().time()

    async def on_raw_app_command_permissions_update(self, payload: discord.RawAppCommandPermissionsUpdateEvent) -> None:
        """Ask again who may use what, the next time that it matters."""
        self.access.forget(payload.guild.id)

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        """Whoever deletes a job's message, by whatever means, deletes the job."""
        await self._delete(payload.message_id)

    async def on_raw_bulk_message_delete(self, payload: discord.RawBulkMessageDeleteEvent) -> None:
        """The same of many messages at once."""
        for message_id in payload.message_ids:
            await self._delete(message_id)

    async def _delete(self, message_id: int) -> None:
        if (job := await self._jobs.of_message(message_id)) is not None and self._admission is not None:
            with logs.about(job.id):
                log.info("its message was deleted, and it with it")
                await self._admission.delete(job)

    async def on_ready(self) -> None:
        """Say in the log that members can begin."""
        log.info("online as %s; servers: %d", self.user, len(self.guilds))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Take forms and what is used of panels from here, not from discord.py's memory: so they outlive a restart."""
        data: Mapping[str, Any] = interaction.data or {}
        parsed = custom_ids.parse(str(data.get("custom_id")))
        if parsed is None:
            return
        action, target = parsed
        if interaction.type is discord.InteractionType.component and isinstance(target, OfWord):
            await self._do(interaction, self._slices.panels.get(action), target, data.get("values", ()))
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        form = self._slices.forms.get(action)
        submit = form.submit if form is not None and isinstance(target, form.about) else None
        await self._do(interaction, submit, target, _fields(data["components"]))

    async def press(self, interaction: discord.Interaction, action: str, target: OfJob) -> None:
        """Do what a button says and answer the interaction, errors included."""
        logs.turn_to(target.number)
        await self._do(interaction, self._slices.presses.get(action), target)

    async def speak_to(self, interaction: discord.Interaction) -> None:
        """Speak this member's language from here on: with this begins whatever is done in an interaction."""
        self._observer.interacted(interaction.id, *acted(interaction))
        speak(await self._languages.of(interaction))

    async def _do(
        self, interaction: discord.Interaction, act: Callable[..., Awaitable[None]] | None, *about: object
    ) -> None:
        """Do what a button or form is for; whatever goes wrong is said to the member."""
        await self.speak_to(interaction)
        try:
            if act is None:
                raise MemberError("This is from another version of Easel: ask for a new picture with /imagine.")
            await act(interaction, *about)
        except Exception as error:
            await self.answer_error(interaction, error)

    async def answer_error(self, interaction: discord.Interaction, error: Exception) -> None:
        """The one error handler: every error of a command, button or form ends here as one ephemeral sentence."""
        cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
        match cause:
            case OperatorError():
                self._background.break_with(cause)
                await tell(interaction, say("Easel cannot go on and is being stopped: its operator was told why."))
            case MemberError():
                self._observer.refused(acted(interaction)[1], cause.reason)
                await tell(interaction, str(cause))
            case discord.HTTPException(code=code) if code in (UNKNOWN_INTERACTION, ALREADY_ACKNOWLEDGED):
                log.warning("an interaction came too late to be answered: %s", cause)
                self._observer.late()
            case app_commands.CommandSignatureMismatch() | app_commands.CommandNotFound():
                await tell(interaction, say("This command has changed: reload Discord (Ctrl+R) and use it again."))
            case app_commands.TransformerError():
                typed = str(cause.value)
                await tell(
                    interaction, say("{typed} does not fit this option: choose one of those shown.", typed=typed)
                )
            case _:
                reference = secrets.token_hex(3)
                log.error("error %s", reference, exc_info=cause)
                self._observer.broke()
                sentence = say(
                    "Something went wrong inside Easel: try again, or give whoever runs it the word {reference}.",
                    reference=reference,
                )
                await tell(interaction, sentence)

    async def _log_in(self, token: str) -> None:
        # discord.py opens a session with every login, and would leave that of the one before open.
        await self.http.close()
        self.http.connector = discord.utils.MISSING
        try:
            await self.login(token)
        except discord.LoginFailure as error:
            raise OperatorError(invitation.NO_TOKEN) from error

    async def _retry(self, connect: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await connect()
                return
            except (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError) as error:
                log.error("cannot reach Discord at %s: %s", self._api_base, error)
            except discord.PrivilegedIntentsRequired as error:
                raise OperatorError("Discord refuses the bot's intents: look at its page there, under Bot") from error
            except discord.ConnectionClosed as error:
                raise OperatorError(f"Discord closed the connection for good (code {error.code})") from error
            except AttributeError as error:
                # discord.py's way of failing where the very first gateway connection fails.
                log.error("cannot reach Discord's gateway", exc_info=error)
            await asyncio.sleep(RECONNECT_AFTER_S)


class Tree(app_commands.CommandTree[Easel]):
    """The command tree, whose errors go where all others go."""

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        """Before any command, menu or completion: speak its member's language, and say where it may not be used here.
        What it asks for is asked again."""
        await self.client.speak_to(interaction)
        data: Mapping[str, Any] = interaction.data or {}
        if interaction.type is discord.InteractionType.autocomplete:
            return await self._can_complete(interaction)
        if interaction.type is not discord.InteractionType.application_command or data.get("type") != CHAT_INPUT:
            return True
        reason = of_command(str(data.get("name")), permits.held(interaction))
        if reason is not None:
            await self.client.answer_error(interaction, permits.refusal(interaction, reason, str(data.get("name"))))
        return reason is None

    async def _can_complete(self, interaction: discord.Interaction) -> bool:
        """Offer nothing where nobody can tell yet what there is."""
        try:
            _ = self.client.admission.ready
        except Starting:
            await interaction.response.autocomplete([])
            return False
        return True

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        """Answer a command that failed."""
        await self.client.answer_error(interaction, error)


def _fields(components: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What was typed and chosen in a submitted form, by custom_id, inside labels or rows; "" where nothing was."""
    fields: dict[str, str] = {}
    for component in components:
        inner = [component["component"]] if "component" in component else component.get("components", [])
        fields.update({item["custom_id"]: item["value"] for item in inner if "value" in item})
        fields.update({item["custom_id"]: next(iter(item["values"]), "") for item in inner if "values" in item})
    return fields
