"""What members have said once for all: their defaults, their language, when they want to be told.

In memory as well, since every interaction asks for it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from bot.database import Database

PingBy = Literal["channel", "message"]


@dataclass(frozen=True, slots=True)
class Own:
    """What one member has said; None where they leave it to the server, the model or their client."""

    model: str | None = None
    width: int | None = None
    height: int | None = None
    """Both or neither."""
    style: str | None = None
    negative: str | None = None
    language: str | None = None
    ping_after_min: int | None = None
    """They are told of a job that ended so many minutes after they asked for it; None for never."""
    ping_by: PingBy = "channel"
    """By a mention in its channel, or by a direct message."""


NOTHING = Own()
_NAMES = tuple(field.name for field in dataclasses.fields(Own))


class Members:
    """The table `member`. `load` it once; one process alone changes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._own: dict[int, Own] = {}

    async def load(self) -> None:
        """Read what was said before."""
        for row in await self._database.rows("SELECT * FROM member"):
            self._own[row["member_id"]] = Own(*(row[name] for name in _NAMES))

    def of(self, member_id: int) -> Own:
        """What a member has said."""
        return self._own.get(member_id, NOTHING)

    async def language(self, member_id: int) -> str | None:
        """The language that they want."""
        return self.of(member_id).language

    async def say(self, member_id: int, **changes: Any) -> None:
        """Keep what a member says of these fields of `Own`; of two at once on different fields neither is lost."""
        names = ", ".join(changes)
        await self._database.change(
            f"INSERT INTO member (member_id, {names}) VALUES ({', '.join('?' * (len(changes) + 1))})"
            f" ON CONFLICT (member_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changes)}",
            (member_id, *changes.values()),
        )
        self._own[member_id] = dataclasses.replace(self.of(member_id), **changes)

    async def untold(self) -> list[int]:
        """The jobs of which their members are still to be told."""
        return [row["job_id"] for row in await self._database.rows("SELECT job_id FROM ping ORDER BY job_id")]

    async def way_to_tell(self, job_id: int) -> PingBy | None:
        """How the member of a delivered job is to be told of it; None where they are not, or were."""
        row = await self._database.row("SELECT way FROM ping WHERE job_id = ?", (job_id,))
        return None if row is None else row["way"]

    async def told(self, job_id: int) -> None:
        """They were told, or cannot be."""
        await self._database.change("DELETE FROM ping WHERE job_id = ?", (job_id,))

    async def leave_all(self, member_id: int) -> None:
        """Keep nothing of what a member said."""
        await self._database.change("DELETE FROM member WHERE member_id = ?", (member_id,))
        self.forget(member_id)

    def forget(self, member_id: int) -> None:
        """They were erased."""
        self._own.pop(member_id, None)
