"""What engines said of themselves when they were ready last, kept in the data folder: what a member asks for before
they are ready again is measured by it.

Each is kept under its fingerprint (`protocol.Waking`), by which one is known that is still what it was. Of any other,
whose catalogue, weights or settings were changed, nobody can tell before it says so: its default model may be another.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bot.folder import LAST_SEEN
from inference.protocol import Ready

log = logging.getLogger(__name__)

KEPT = 32
"""So many of the newest: one for each engine of a fleet, and what was tried before."""


class _Seen(msgspec.Struct, frozen=True):
    fingerprint: str
    ready: Ready


def of(data: Path, fingerprint: str) -> Ready | None:
    """What an engine with this fingerprint said it can do, without its identity: what it makes may have come to depend
    on something that the fingerprint does not know. None where none was seen."""
    return next((one.ready for one in _read(data) if one.fingerprint == fingerprint), None)


def keep(data: Path, fingerprint: str, ready: Ready) -> None:
    """Keep what an engine with this fingerprint says. That it cannot be written is no reason to stop."""
    seen, now = _read(data), _Seen(fingerprint, replace(ready, identity=""))
    if seen[-1:] == [now]:
        return
    others = [one for one in seen if one.fingerprint != fingerprint]
    half = data / f"{LAST_SEEN}.new"
    try:
        # Not forced onto the disk: a file that a power cut spoils is as good as none.
        half.write_bytes(msgspec.json.encode([*others, now][-KEPT:]))
        half.replace(data / LAST_SEEN)
    except OSError as error:
        log.warning("what the engine can do is not kept for the next start: %s", error)
        with suppress(OSError):
            half.unlink(missing_ok=True)


def _read(data: Path) -> list[_Seen]:
    """All that is kept, newest last; nothing where that is damaged, or of another version."""
    try:
        return msgspec.json.decode((data / LAST_SEEN).read_bytes(), type=list[_Seen])
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return []
