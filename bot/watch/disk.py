"""How full the disk is, and the warning before it is full: once in the log and in the log channels, until it has room
again.

What leaves the disk, and when, is `retention`'s affair.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bot import folder
from bot.database import UNWRITTEN
from bot.doctor import Finding
from bot.pictures.kept import Pictures
from bot.words import N_, say

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0
MEASURE_EVERY_S = 900.0
"""Every picture's size is asked for then."""

NEXT_PICTURES = 500
"""There is to be room for so many more of the size that they have."""

WELL_AGAIN = 1.1
"""So many times the room that is needed has to be there before it counts as room again."""

NEARLY_FULL = N_(
    "The disk of the machine that Easel runs on is nearly full, {left} GB are left: tell whoever runs it. Once it is"
    " full, jobs have to wait."
)

Tell = Callable[[Callable[[], str]], Awaitable[None]]
"""Says a sentence, which is made in the language that is spoken there, in every log channel."""


@dataclass(frozen=True, slots=True)
class Space:
    """What there is of the disk, in bytes."""

    free: int
    needed: int
    """Less than this is told."""
    pictures: int
    """What the pictures take, as they were measured last."""
    count: int
    """How many they are."""
    database: int
    backed_up_at: float | None
    """When the newest backup was made, in seconds since 1970; None where nobody has made one here."""


class Disk:
    """Looks after the disk that the data folder is on. `keep` it for as long as the bot runs."""

    def __init__(self, data: Path, pictures: Pictures, tell: Tell, keep_gb: float | None = None) -> None:
        """`keep_gb` is how much the pictures may take before the oldest go."""
        self._data = data
        self._pictures = pictures
        self._tell = tell
        self.keep_bytes = None if keep_gb is None else int(keep_gb * 1e9)
        self.space: Space | None = None
        """As it was when it was looked at last; None where that was not possible."""
        self._measured = (0, 0)
        self._is_low = False
        self._will_not_do = False

    async def keep(self) -> NoReturn:
        """Look now and then, and say once when it is low."""
        clock = asyncio.get_running_loop().time
        measure_at = clock()
        while True:
            try:
                if clock() >= measure_at:
                    measure_at = clock() + MEASURE_EVERY_S
                    self._measured = await self._pictures.measure()
                await self.look()
            except UNWRITTEN as error:
                log.warning("how full the disk is cannot be found out: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> Space:
        """How it is now; who is to know hears of it. Raises OSError."""
        self.space = space = await asyncio.to_thread(self._look)
        if self._is_low and space.free > space.needed * WELL_AGAIN:
            self._is_low = False
            log.info("there is room on the disk again: %.1f GB are free", space.free / 1e9)
        elif not self._is_low and space.free < space.needed:
            self._is_low = True
            log.warning("the disk is nearly full: %s", _low(space, self._data))
            left = f"{space.free / 1e9:.1f}"
            await self._tell(lambda: say(NEARLY_FULL, left=left))
        said = self._broken_promise(space)
        if said is not None and not self._will_not_do:
            log.warning("the disk will be full before old pictures go: %s", said)
        self._will_not_do = said is not None
        return space

    def finding(self) -> Finding:
        """Whether it has room, and how long that will last."""
        if (space := self.space) is None:
            return Finding("disk", True, "it was not looked at yet")
        if self._is_low or space.free < space.needed:
            return Finding("disk", False, _low(space, self._data))
        soon = self._broken_promise(space)
        return Finding("disk", True, f"{space.free / 1e9:.1f} GB are free{'' if soon is None else f', but {soon}'}")

    def _look(self) -> Space:
        count, pictures = self._measured
        mean = pictures / count if count else 0
        database = sum(file.stat().st_size for file in self._data.glob(f"{folder.DATABASE}*"))
        backed_up = self._data / folder.BACKED_UP
        return Space(
            free=folder.free_bytes(self._data),
            needed=int(max(folder.ROOM_GB * 1e9, NEXT_PICTURES * mean)),
            pictures=pictures,
            count=count,
            database=database,
            backed_up_at=backed_up.stat().st_mtime if backed_up.exists() else None,
        )

    def _broken_promise(self, space: Space) -> str | None:
        """Where EASEL_KEEP_GB lets the pictures grow beyond what is free: that it does, and what to do."""
        if self.keep_bytes is None or self.keep_bytes - space.pictures <= space.free - space.needed:
            return None
        more = (self.keep_bytes - space.pictures) / 1e9
        return f"EASEL_KEEP_GB lets pictures take {more:.1f} GB more: make room for that, or set it lower"


def _low(space: Space, data: Path) -> str:
    return (
        f"{space.free / 1e9:.1f} GB are free for {data}, and {space.needed / 1e9:.1f} GB are to be: make room, or let"
        " old pictures go (EASEL_KEEP_GB, or days in the policy)"
    )
