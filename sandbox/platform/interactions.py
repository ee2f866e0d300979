"""The life of interactions: how the bot may answer what a member started, and until when.

A bot has 3 seconds to acknowledge one, and 15 minutes to use its token after that.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

from sandbox import errors
from sandbox.clock import Clock
from sandbox.community.people import EASEL, Person
from sandbox.community.places import Channel
from sandbox.community.world import World
from sandbox.platform.hub import Hub
from sandbox.platform.interaction import (
    AUTOCOMPLETE,
    COMMAND,
    DEFERRED,
    FAILED,
    REPLIED,
    Interaction,
    Terms,
    metadata,
    payload,
    view,
)
from sandbox.platform.message import CHAT_INPUT_COMMAND, CONTEXT_MENU_COMMAND, REPLY, Message
from sandbox.platform.messages import Messages
from sandbox.storage.database import Storage
from sandbox.storage.snowflakes import Snowflakes

Json = dict[str, Any]

ACKNOWLEDGE_WITHIN_S = 3.0
TOKEN_LIFETIME_S = 15 * 60.0
NO_ANSWER = "The application did not respond."


class Interactions:
    """All interactions of the last quarter of an hour, and their deadlines."""

    def __init__(
        self, world: World, clock: Clock, ids: Snowflakes, storage: Storage, messages: Messages, hub: Hub
    ) -> None:
        self._world = world
        self._clock = clock
        self._ids = ids
        self._storage = storage
        self._messages = messages
        self._hub = hub
        self._deadlines: set[asyncio.Task[None]] = set()
        self._by_id: dict[int, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}
        self._silent: dict[int, list[Interaction]] = {}  # by the message whose button was only acknowledged

    def load(self) -> None:
        """Take up what an earlier run left: valid tokens stay valid, the rest is forgotten."""
        for interaction in self._storage.load("interaction", Interaction):
            if self.expired(interaction):
                self._storage.forget("interaction", interaction.id)
            else:
                self._remember(interaction)
                self._spawn(self._watch(interaction))

    async def close(self) -> None:
        for task in self._deadlines:
            task.cancel()
        await asyncio.gather(*self._deadlines, return_exceptions=True)

    def get(self, interaction_id: int | None) -> Interaction | None:
        return self._by_id.get(interaction_id or 0)

    def with_token(self, token: str) -> Interaction | None:
        return self._by_token.get(token)

    def expired(self, interaction: Interaction) -> bool:
        """Say whether its token is too old to be used."""
        return self._clock.now() - interaction.created >= TOKEN_LIFETIME_S

    def start(
        self,
        kind: int,
        member: Person,
        channel: Channel,
        data: Json,
        terms: Terms,
        *,
        source: Message | None = None,
        opened_by: Interaction | None = None,
    ) -> Interaction:
        """Send a new interaction to the bot and watch its deadlines."""
        interaction = Interaction(
            id=self._ids.next(),
            token=secrets.token_urlsafe(48),
            type=kind,
            member_id=member.id,
            channel_id=channel.id,
            data=data,
            created=self._clock.now(),
            source_id=None if source is None else source.id,
            opened_by=None if opened_by is None else opened_by.id,
        )
        self._remember(interaction)
        message = None if source is None else self._messages.view(source)
        self._hub.tell_bots("INTERACTION_CREATE", payload(interaction, self._world, terms, message))
        self._spawn(self._watch(interaction))
        self.changed(interaction)
        return interaction

    def acknowledge(self, interaction_id: int | None, token: str) -> Interaction:
        """Return the interaction that a callback may still answer; raise Discord's errors where it may not."""
        interaction = self.get(interaction_id)
        if interaction is None or interaction.token != token:
            raise errors.unknown("Interaction")
        if interaction.acknowledged:
            raise errors.already_acknowledged()
        if self._clock.now() - interaction.created >= ACKNOWLEDGE_WITHIN_S:
            raise errors.unknown("Interaction")
        return interaction

    def usable(self, token: str) -> Interaction:
        """Return the interaction whose token a webhook call may use."""
        interaction = self.with_token(token)
        if interaction is None:
            raise errors.invalid_webhook_token()
        if self.expired(interaction):
            raise errors.invalid_webhook_token()
        if not interaction.acknowledged:
            raise errors.unknown("Webhook")
        return interaction

    def new_message(self, interaction: Interaction, *, ephemeral: bool) -> Message:
        """Return a blank message of the bot that belongs to this interaction."""
        if self._world.channel(interaction.channel_id) is None:
            raise errors.unknown("Channel")
        message = self._messages.new(interaction.channel_id, EASEL)
        message.interaction_id = interaction.id
        message.interaction_metadata = metadata(interaction, self.get(interaction.opened_by), self._world)
        if interaction.message_ids:
            message.interaction_metadata["original_response_message_id"] = str(interaction.original_id)
            message.type, message.reference_id = REPLY, interaction.original_id
        elif interaction.source_id is not None:
            message.type, message.reference_id = REPLY, interaction.source_id
        else:
            menu = interaction.type == COMMAND and interaction.data["type"] != 1
            message.type = CONTEXT_MENU_COMMAND if menu else CHAT_INPUT_COMMAND
        if ephemeral:
            message.flags |= 64
            message.visible_to = interaction.member_id
        return message

    def answered(self, interaction: Interaction, state: str, message: Message | None = None) -> None:
        """Record what an answer made of the interaction."""
        interaction.acknowledged = True
        interaction.state = state
        self._note_silence(interaction)
        if message is not None and message.id not in interaction.message_ids:
            interaction.message_ids.append(message.id)
        self.changed(interaction)

    def message_edited(self, message: Message) -> None:
        """Take an edit through the channel as the answer to a button that was only acknowledged."""
        for interaction in self._silent.pop(message.id, ()):
            if interaction.state == DEFERRED:
                self.answered(interaction, REPLIED, message)

    def changed(self, interaction: Interaction) -> None:
        """Keep a changed interaction and tell the member who started it."""
        if interaction.type != AUTOCOMPLETE:
            self._storage.save("interaction", interaction.id, interaction)
            frame = {"type": "interaction", "interaction": view(interaction)}
            self._hub.tell_members(frame, [interaction.member_id])
        self._hub.wake(interaction.id)

    def messages_of(self, interaction: Interaction) -> list[Message]:
        found = (self._messages.find(message_id) for message_id in interaction.message_ids)
        return [message for message in found if message is not None]

    def _remember(self, interaction: Interaction) -> None:
        self._by_id[interaction.id] = interaction
        self._by_token[interaction.token] = interaction
        self._note_silence(interaction)

    def _note_silence(self, interaction: Interaction) -> None:
        if interaction.state == DEFERRED and interaction.silent and interaction.source_id is not None:
            self._silent.setdefault(interaction.source_id, []).append(interaction)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._deadlines.add(task)
        task.add_done_callback(self._deadlines.discard)

    async def _watch(self, interaction: Interaction) -> None:
        await self._until(interaction.created + ACKNOWLEDGE_WITHIN_S)
        if not interaction.acknowledged:
            self._fail(interaction, NO_ANSWER)
            return
        await self._until(interaction.created + TOKEN_LIFETIME_S)
        if interaction.state == DEFERRED and interaction.silent:
            self.answered(interaction, REPLIED)
        elif interaction.state == DEFERRED:
            self._fail(interaction, "The application promised an answer and gave none within 15 minutes.")

    async def _until(self, moment: float) -> None:
        remaining_s = moment - self._clock.now()
        if remaining_s > 0:
            await self._clock.sleep(remaining_s)

    def _fail(self, interaction: Interaction, reason: str) -> None:
        interaction.state = FAILED
        interaction.failed_reason = reason
        self.changed(interaction)
