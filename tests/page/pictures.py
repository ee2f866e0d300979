"""Pictures for the tests to send."""

from __future__ import annotations

import struct
import zlib


def png(width: int = 96, height: int = 96, colour: tuple[int, int, int] = (200, 60, 50)) -> bytes:
    """Make a PNG of one colour with a darker lower half."""
    dark = bytes(part // 2 for part in colour)
    rows = b"".join(b"\0" + (bytes(colour) if y < height / 2 else dark) * width for y in range(height))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
