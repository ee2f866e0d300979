"""A C2PA manifest store in the file of a PNG: put into it, and taken out of it, byte by byte. No pixel is looked at.

Where it lies is said in <https://spec.c2pa.org/specifications/specifications/2.2/specs/C2PA_Specification.html#_embedding_manifests_into_png>.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

from bot.pictures.containers import PNG, chunks

CHUNK = b"caBX"

HEADER_BYTES = 25
"""Of the chunk that every PNG begins with."""

HEAD_BYTES = 4 * 2**20
"""More than all texts of a picture of ours."""

_SIGN = b"jumdc2pa"
"""How every manifest store begins, in files of whatever format."""


def bears(data: bytes) -> bool:
    """Whether a file may bear a manifest: what reads manifests takes longer to say that there is none."""
    return _SIGN in data


def head(png: Path) -> bytes:
    """What stands in a PNG of ours before its pixels: its texts, and a manifest store if it has one."""
    with png.open("rb") as opened:
        return opened.read(HEAD_BYTES)


def has(head: bytes) -> bool:
    """Whether a PNG that begins so has a manifest store in it, whatever else is written there."""
    return any(kind == CHUNK for kind, _, _ in chunks(head))


def embed(png: Path, store: bytes, target: Path) -> None:
    """Write the PNG with this manifest store, where C2PA's own library puts it. Raises OSError."""
    content = CHUNK + store
    with png.open("rb") as source, target.open("xb") as sink:
        sink.write(source.read(len(PNG) + HEADER_BYTES))
        sink.write(len(store).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big"))
        shutil.copyfileobj(source, sink)


def bare(data: bytes) -> bytes:
    """A PNG without its manifest store; every other file as it is."""
    if not data.startswith(PNG):
        return data
    kept, rest = [PNG], len(PNG)
    for kind, start, end in chunks(data):
        if kind != CHUNK:
            kept.append(data[start:end])
        rest = end
    return b"".join((*kept, data[rest:]))
