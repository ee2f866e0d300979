"""Addresses under which pictures can be fetched for a while, by whoever was told of one.

What an address says is signed with the hash of the key by which its job was asked for: it is not to be guessed, it
survives a restart, and it is good for nothing once the key is revoked or its member erased.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.keys import Key

LIFE_S = 3600
"""As long as OpenAI's."""

SUFFIXES = {"png": "png", "webp": "webp", "jpeg": "jpg"}

_LINK = re.compile(
    r"(?P<key>\d{1,18})-(?P<job>\d{1,18})-(?P<index>\d{1,4})-(?P<quality>\d{1,3})-(?P<until>\d{1,12})"
    r"-(?P<mac>[0-9a-f]{64})\.(?P<suffix>png|webp|jpg)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Linked:
    """What an address leads to."""

    key_id: int
    job_id: int
    index: int
    format: str
    quality: int
    until: int
    """In seconds since 1970."""

    @property
    def said(self) -> bytes:
        """What is signed of it."""
        return f"{self.key_id}-{self.job_id}-{self.index}-{self.format}-{self.quality}-{self.until}".encode()


def made(key: Key, job_id: int, index: int, format_: str, quality: int, clock: Callable[[], float] = time.time) -> str:
    """The last part of the address of a picture of a job of this key."""
    linked = Linked(key.id, job_id, index, format_, quality, int(clock()) + LIFE_S)
    numbers = f"{key.id}-{job_id}-{index}-{quality}-{linked.until}"
    return f"{numbers}-{_mac(linked, key)}.{SUFFIXES[format_]}"


def parse(link: str) -> tuple[Linked, str] | None:
    """What it says, and its signature, of which nothing is known yet; None where it is none."""
    if (match := _LINK.fullmatch(link)) is None:
        return None
    key_id, job_id, index, quality, until = (int(match[name]) for name in ("key", "job", "index", "quality", "until"))
    [format_] = [name for name, suffix in SUFFIXES.items() if suffix == match["suffix"]]
    return Linked(key_id, job_id, index, format_, quality, until), match["mac"]


def holds(linked: Linked, mac: str, key: Key, clock: Callable[[], float] = time.time) -> bool:
    """Whether it was made for this key, and not too long ago."""
    return hmac.compare_digest(_mac(linked, key), mac) and clock() < linked.until


def _mac(linked: Linked, key: Key) -> str:
    return hmac.new(bytes.fromhex(key.secret_sha256), linked.said, hashlib.sha256).hexdigest()
