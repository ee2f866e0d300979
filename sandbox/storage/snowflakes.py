"""Discord's ids: milliseconds since 2015 in the upper bits, so that sorting by id sorts by time."""

from __future__ import annotations

from sandbox.clock import Clock

DISCORD_EPOCH_MS = 1_420_070_400_000


class Snowflakes:
    """Gives out ids, each higher than every one before it, also than those of an earlier run (`after`)."""

    def __init__(self, clock: Clock, after: int = 0) -> None:
        self._clock = clock
        self._last = after

    def next(self) -> int:
        earliest = (int(self._clock.now() * 1000) - DISCORD_EPOCH_MS) << 22
        self._last = max(earliest, self._last + 1)
        return self._last


def created_at(snowflake: int) -> float:
    """Return when an id was made, in seconds since 1970."""
    return ((snowflake >> 22) + DISCORD_EPOCH_MS) / 1000


def parse(text: object) -> int | None:
    """Return the id that `text` spells, or None where it spells none."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        return None
    digits = str(text)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        return None
    value = int(digits)
    return value if value < 2**63 else None
