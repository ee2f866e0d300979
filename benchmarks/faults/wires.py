"""Wires of the bot that can be cut on purpose: each lets it break its word, so that one can see the judge count it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import aiosqlite
import discord

from bot.admission import Admission
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.jobs import Jobs
from bot.pictures.kept import Pictures


def cut(name: str) -> None:
    """Cut the wire of this name."""
    WIRES[name]()


def _row_after_the_acknowledgement() -> None:
    """The row is there only once the member was told."""
    arrive, acknowledge = Jobs.arrive, Jobs.acknowledge
    held: dict[int, tuple[Any, ...]] = {}

    async def early(self: Any, *args: Any, **kwargs: Any) -> Any:
        job = await arrive(self, *args, **kwargs)
        held[job.id] = tuple(await self._database.row("SELECT * FROM job WHERE id = ?", (job.id,)) or ())
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM job WHERE id = ?", (job.id,))
        return job

    async def late(self: Any, job_id: int, message_id: int | None) -> Any:
        if (row := held.pop(job_id, None)) is not None:
            async with self._database.transaction() as connection:
                await connection.execute(f"INSERT INTO job VALUES ({', '.join('?' * len(row))})", row)
        return await acknowledge(self, job_id, message_id)

    _put(Jobs, arrive=early, acknowledge=late)


def _no_requeue() -> None:
    """What ran at the kill does not wait again."""

    async def nothing(*_: Any, **__: Any) -> None: ...

    _put(Jobs, requeue=nothing)


def _no_second_look() -> None:
    """Of what was on its way in, nobody asks."""

    async def nothing(*_: Any) -> None: ...

    _put(Admission, resume=nothing)


def _undelivered_is_forgotten() -> None:
    """What ended and was not delivered is not taken up."""

    async def none(*_: Any) -> list[Any]:
        return []

    _put(Jobs, undelivered=none)


def _delivered_before_it_is() -> None:
    """The delivery is written down before it happens."""
    bring = Delivery._bring

    async def early(self: Any, job: Any, folder: Any) -> Any:
        await self._jobs.delivered(job.id, "reply", None)
        return await bring(self, job, folder)

    _put(Delivery, _bring=early)


def _no_nonce() -> None:
    """A message that is sent again is a second message."""
    send = discord.abc.Messageable.send

    async def without(self: Any, *args: Any, nonce: Any = None, **kwargs: Any) -> Any:
        return await send(self, *args, **kwargs)

    _put(discord.abc.Messageable, send=without)


def _no_sweep() -> None:
    """Nothing is cleared away at the start."""

    def folders_alone(self: Any) -> None:
        for folder in (self._kept, self.incoming):
            folder.mkdir(parents=True, exist_ok=True)

    async def nothing(*_: Any) -> None: ...

    _put(Pictures, prepare=folders_alone)
    _put(Jobs, tidy=nothing)


def _cancel_is_not_written_down() -> None:
    """Cancel is said, and only the memory knows."""
    take_out = Dispatcher._take_out

    async def cancel(self: Any, job: Any) -> bool:
        take_out(self, job.id)
        await self._engine.cancel(job.id)
        return True

    _put(Dispatcher, cancel=cancel)


def _no_fsync() -> None:
    """Nothing is forced onto the disk."""
    execute = aiosqlite.Connection.execute

    def lazily(self: Any, sql: str, *args: Any) -> Any:
        return execute(self, sql.replace("synchronous = FULL", "synchronous = OFF"), *args)

    _put(aiosqlite.Connection, execute=lazily)
    _put(os, fsync=lambda _: None)


def _put(owner: Any, **methods: Callable[..., Any]) -> None:
    for name, method in methods.items():
        setattr(owner, name, method)


WIRES: dict[str, Callable[[], None]] = {
    "row after the acknowledgement": _row_after_the_acknowledgement,
    "no requeue": _no_requeue,
    "no second look": _no_second_look,
    "undelivered is forgotten": _undelivered_is_forgotten,
    "delivered before it is": _delivered_before_it_is,
    "no nonce": _no_nonce,
    "no sweep": _no_sweep,
    "cancel is not written down": _cancel_is_not_written_down,
    "no fsync": _no_fsync,
}
