"""The messages that show everybody how trainings go: edited when something changes, at a pace that Discord allows.

Which message is a training's is written down with it, so that it goes on after a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import discord

from bot.admission import Admission
from bot.database import UNWRITTEN
from bot.localisation import Languages
from bot.panels import train as panel
from bot.posting import UNREACHED, Posting, attached
from bot.teaching import seeing
from bot.training.states import State, Training
from bot.words import say, speaking

log = logging.getLogger(__name__)

STEPS_EVERY_S = 10.0
"""So often is shown how many steps are done."""

PAUSE_S = 1.5
"""Between two messages: Discord allows about five edits in five seconds, and the results of jobs go before these."""

ENDS: frozenset[State] = frozenset({"ended", "failed"})
"""Of these its owner is told."""

LATELY_S = 86400.0


class Posts:
    """Keeps the messages of trainings. `keep` it for as long as the bot runs."""

    def __init__(
        self,
        client: discord.Client,
        admission: Admission,
        posting: Posting,
        languages: Languages,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._admission = admission
        self._trainings = admission.jobs.trainings
        self._posting = posting
        self._languages = languages
        self._clock = clock
        self._due: dict[int, float] = {}
        """When the message of a training that has changed is edited."""
        self._shown: dict[int, _Shown] = {}
        self._changed = asyncio.Event()
        self._trainings.listen(self._note)

    async def keep(self) -> NoReturn:
        """Show what changes, soon after it has, once there is somebody to see it."""
        await self._client.wait_until_ready()
        for training in await self._trainings.posted(time.time() - LATELY_S):
            # What it says may be of before the restart.
            self._shown[training.id] = _Shown(training, -STEPS_EVERY_S)
            self._due[training.id] = self._clock()
        while True:
            try:
                await self._look()
            except UNWRITTEN as error:
                log.warning("the messages of trainings could not be kept: %s", error)
            wait_s = min((at - self._clock() for at in self._due.values()), default=None)
            try:
                async with asyncio.timeout(None if wait_s is None else max(wait_s, PAUSE_S)):
                    await self._changed.wait()
            except TimeoutError:
                pass
            else:
                # Whatever comes until then is shown at once.
                self._changed.clear()

    def _note(self, training_id: int) -> None:
        """A training has changed."""
        self._due[training_id] = self._clock()
        self._changed.set()

    async def _look(self) -> None:
        for training_id in [one for one, at in self._due.items() if at <= self._clock()]:
            try:
                await self._look_at(training_id)
            except UNWRITTEN:
                raise
            except Exception:
                # What nobody foresaw of one keeps no other from being shown.
                log.exception("the message of training %s could not be kept up to date", training_id)
                self._due.pop(training_id, None)

    async def _look_at(self, training_id: int) -> None:
        before = self._shown.get(training_id)
        training = await self._trainings.find(training_id)
        if training is None or training.message_id is None:
            self._due.pop(training_id, None)
            self._shown.pop(training_id, None)
            if training is None and before is not None:
                await self._take_away(before.training)
            return
        if before is not None and before.says(training) and self._clock() < before.at + STEPS_EVERY_S:
            self._due[training_id] = before.at + STEPS_EVERY_S
            return
        self._due.pop(training_id, None)
        self._shown[training_id] = _Shown(training, self._clock())
        await self._posting.calm()
        await self._show(training)
        if before is not None and before.training.state != training.state:
            if training.state in ENDS:
                await self._tell(training)
            # Those behind it have gone on.
            for other in await self._trainings.line():
                if other.id != training_id:
                    self._due.setdefault(other.id, self._clock())
        await asyncio.sleep(PAUSE_S)

    async def _show(self, training: Training) -> None:
        with speaking(self._languages.nearest(training.language)):
            try:
                seen = await seeing.seen(self._admission, training, describes=False)
                with self._admission.workshop.desk() as folder:
                    files = await seeing.public_files(self._admission, seen, folder)
                    card = panel.card(seen, files, private=False)
                    await self._message(training).edit(
                        view=card.view, attachments=attached(card), allowed_mentions=discord.AllowedMentions.none()
                    )
            except discord.NotFound:
                # Somebody has deleted it: then that is done with.
                self._shown.pop(training.id, None)
                await self._trainings.set_message(training.id, training.channel_id, None)
            except UNREACHED as error:
                # The next change will do.
                log.warning("the message of training %s cannot be edited: %s", training.id, error)

    async def _take_away(self, training: Training) -> None:
        """Take the message of a training away that was deleted."""
        assert training.message_id is not None, "it has one"
        try:
            await self._posting.take_back(training.guild_id, training.channel_id, training.message_id, None)
        except UNREACHED as error:
            log.warning("the message of deleted training %s could not be removed: %s", training.id, error)

    async def _tell(self, training: Training) -> None:
        """Tell its owner that it has ended, where its message stands."""
        with speaking(self._languages.nearest(training.language)):
            member = f"<@{training.member_id}>"
            text = (
                say("{member} Your training {name} is finished.", member=member, name=training.name)
                if training.state == "ended"
                else say(
                    "{member} Your training {name} failed: its message says why.", member=member, name=training.name
                )
            )
        them = discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(training.member_id)])
        place: Any = self._message(training).channel
        try:
            await place.send(text, nonce=f"training-{training.id}-{training.epoch}", allowed_mentions=them)
        except UNREACHED as error:
            log.warning("the owner of training %s cannot be told that it has ended: %s", training.id, error)

    def _message(self, training: Training) -> discord.PartialMessage:
        channel = self._client.get_partial_messageable(training.channel_id, guild_id=training.guild_id)
        assert training.message_id is not None, "it was asked"
        return channel.get_partial_message(training.message_id)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a message said last, and when."""

    training: Training
    at: float

    def says(self, training: Training) -> bool:
        """Whether that is all but the number of steps."""
        return (self.training.state, self.training.epoch) == (training.state, training.epoch)
