"""What the members of a trial do, seeded. They act as people do: what got no answer is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks.faults.painter import png
from benchmarks.faults.trial import Trial
from benchmarks.faults.witness import Shown, shown
from bot import custom_ids
from bot.custom_ids import OfJob
from sandbox.client.member import Json, Member, Refused, Reply, Unanswered

PEOPLE = ("Ada", "Linus", "Mei", "Grace", "Barbara")
TRIES = 6
AGAIN_AFTER_S = 0.3
WAIT_S = 20.0

NOT_NOW = (Refused, Unanswered, OSError)


class Crowd:
    """The members of a trial."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self._trial = trial
        self.rng = random.Random(seed)
        self._seed = seed
        self._number = 0

    def anybody(self) -> Member:
        """One of the named members."""
        return self._trial.member(self.rng.choice(PEOPLE))

    async def persist(self, act: Callable[[], Awaitable[Reply]]) -> Reply | None:
        """Do this until the bot has answered with a card or a sentence."""
        for _ in range(TRIES):
            with contextlib.suppress(*NOT_NOW, TimeoutError):
                await self._trial.online()
                reply = await act()
                if reply.state != "failed" and reply.messages:
                    return reply
            await asyncio.sleep(AGAIN_AFTER_S)
        return None

    async def imagine(self, words: str = "", *, count: int = 1, seed: int | None = None) -> Shown | None:
        """Ask for a picture; its card."""
        self._number += 1
        text = words or f"picture {self._number}"
        options = {"prompt": text, "count": count, "seed": str(self._number if seed is None else seed)}
        member = self.anybody()
        return card_of(await self.persist(lambda: member.command("/imagine", options)))

    async def upload(self, command: str = "/upscale", data: bytes | None = None) -> Shown | None:
        """Ask for something to be done with a picture of one's own; its card."""
        self._number += 1
        picture = png(48, f"upload {self._seed} {self._number}") if data is None else data
        member = self.anybody()
        file = ("picture.png", picture)
        return card_of(await self.persist(lambda: member.command(command, {}, files={"image": file})))

    async def until(self, card: Shown, condition: Callable[[Shown], bool]) -> Shown | None:
        """The job's newest card once it is like this; None where it is gone or never becomes so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while True:
                    cards = self._trial.witness.of(card.job)
                    if not cards:
                        return None
                    for one in cards:
                        if condition(one):
                            return one
                    await asyncio.sleep(0.02)
        return None

    async def press(self, card: Shown, action: str, member: Member | None = None) -> Reply | None:
        """Press a button of a card, and again until the bot has answered or the card or its button is gone."""
        who = member or self._trial.member("Grace")
        for _ in range(TRIES):
            await self._trial.online()
            message = self.message(card)
            if message is None:
                return None
            with contextlib.suppress(Refused, OSError, Unanswered):
                reply = await who.click(message, button(card, action), until="acknowledged")
                if reply.state != "failed":
                    return reply
            await asyncio.sleep(AGAIN_AFTER_S)
        return None

    async def cancel(self, card: Shown) -> None:
        """Press Cancel, and remember whether it was said to hold."""
        self._trial.pressed_cancel.add(card.job)
        reply = await self.press(card, "cancel")
        if reply is not None and reply.state == "deferred":
            self._trial.cancelled.add(card.job)

    async def delete(self, card: Shown) -> None:
        """Press Delete until the card is gone."""
        self._trial.deleted.add(card.job)
        deadline_s = time.monotonic() + 3 * WAIT_S
        while self.message(card) is not None and time.monotonic() < deadline_s:
            await self.press(card, "delete")
            await asyncio.sleep(AGAIN_AFTER_S)

    async def delete_message(self, card: Shown) -> None:
        """Delete the message itself, as a moderator does."""
        self._trial.deleted.add(card.job)
        message = self.message(card)
        if message is not None:
            with contextlib.suppress(Refused):
                await self._trial.member("Grace").delete(message)

    def message(self, card: Shown) -> Json | None:
        """The card's message as it is now."""
        messages = self._trial.sandbox.state.messages
        found = messages.find(card.message)
        return None if found is None else messages.member_view(found)


def button(card: Shown, action: str) -> str:
    """The first button of a card that does this, in whatever language it is called."""
    return custom_ids.make(action, OfJob(card.job))


def card_of(reply: Reply | None) -> Shown | None:
    """The card that a command was answered with; None where it was a sentence."""
    return None if reply is None or not reply.messages else shown(reply.messages[0])


def ended(card: Shown) -> bool:
    """Whether a card shows an end."""
    return card.ended


async def an_evening(trial: Trial, crowd: Crowd, many: int = 6) -> None:
    """A bit of everything, much of it at once: pictures, the same picture twice, uploads, questions, cancelled,
    deleted, rolled again."""

    async def cancelled() -> None:
        if (card := await crowd.imagine(count=2)) is not None:
            await crowd.cancel(card)

    async def deleted_at_once() -> None:
        if (card := await crowd.imagine()) is not None:
            await crowd.delete_message(card)

    async def deleted_at_its_end() -> None:
        if (card := await crowd.imagine(seed=1)) is not None and (end := await crowd.until(card, ended)) is not None:
            await crowd.delete(end)

    async def rolled_again() -> None:
        if (card := await crowd.imagine()) is not None and (end := await crowd.until(card, ended)) is not None:
            await crowd.press(end, "reroll")

    async def unreadable() -> None:
        if (card := await crowd.upload(data=b"\x89PNG\r\n\x1a\n and no more")) is not None:
            trial.may_fail.add(card.job)

    acts: list[Callable[[], Awaitable[object]]] = [
        *[lambda: crowd.imagine(count=crowd.rng.choice((1, 1, 2, 4)))] * many,
        *[lambda: crowd.imagine("the same", seed=1)] * 2,
        crowd.upload,
        lambda: crowd.upload("/describe"),
        cancelled,
        deleted_at_once,
        deleted_at_its_end,
        rolled_again,
        unreadable,
    ]
    crowd.rng.shuffle(acts)

    async def act(one: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(crowd.rng.random() * 1.5)
        await one()

    async with asyncio.TaskGroup() as tasks:
        for one in acts:
            tasks.create_task(act(one))
