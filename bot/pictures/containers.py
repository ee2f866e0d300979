"""What the file of a picture consists of, read before any decoder sees it: chunks, segments, texts.

Only bytes are looked at here, never pixels, and what is looked at is bounded.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator

from bot.errors import MemberError
from inference.protocol import because

MAX_SCANS = 100
"""Of a progressive JPEG: programs write about ten, and each goes over the whole picture once more."""

MAX_TEXT_BYTES = 4 * 2**20
"""Of all texts of a picture; the longest recipes have a tenth of that."""

PNG = b"\x89PNG\r\n\x1a\n"

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
_SCAN, _END = 0xDA, 0xD9


def check(data: bytes) -> None:
    """Refuse a file that is somebody's trick. Raises MemberError."""
    if b"%PDF-" in data[:1024]:
        raise MemberError("This file is a picture and a PDF at once: save the picture again and upload that.")
    if zipfile.is_zipfile(io.BytesIO(data)):
        raise MemberError("This file is a picture and an archive at once: save the picture again and upload that.")
    end = _end(data)
    if end is not None and data[end:].strip(b"\0\r\n \t"):
        raise MemberError("This file holds more than its picture: save the picture again and upload that.")
    if data.startswith(b"\xff\xd8") and _too_many_scans(data):
        raise MemberError.of(because("upload_scans", most=MAX_SCANS))


def bare(data: bytes) -> bytes:
    """The file without what no pixel needs, where that could keep it from being read: a PNG without its texts, its
    colour profile and its further frames. Browsers show such pictures whatever is wrong in there. Which colour is
    transparent, and how the camera was held, stays."""
    if not data.startswith(PNG):
        return data
    kept = [PNG]
    rest = len(PNG)
    for kind, start, end in _chunks(data):
        # The case of the first letter says whether a picture can be shown without the chunk.
        if kind == b"eXIf" and _sound(data, start, end):
            # Behind the header, wherever it stood: there it is read without decoding a pixel.
            kept.insert(2, data[start:end])
        elif kind[:1].isupper() or (kind == b"tRNS" and _sound(data, start, end)):
            kept.append(data[start:end])
        rest = end
    # What is no whole chunk is the decoder's to judge.
    return b"".join((*kept, data[rest:]))


def texts(data: bytes) -> dict[str, str]:
    """A PNG's texts by keyword, without those that cannot be read."""
    found: dict[str, str] = {}
    room = MAX_TEXT_BYTES
    for kind, start, end in _chunks(data):
        if kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        keyword, _, rest = data[start + 8 : end - 4].partition(b"\0")
        text = _text(kind, rest, room)
        if text is not None:
            room -= len(text)
            found.setdefault(keyword.decode("latin-1"), text)
    return found


def _text(kind: bytes, rest: bytes, room: int) -> str | None:
    compressed = kind == b"zTXt"
    if kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        *_, rest = rest[2:].split(b"\0", 2)
    elif compressed:
        rest = rest[1:]
    if compressed:
        try:
            rest = zlib.decompressobj().decompress(rest, room + 1)
        except zlib.error:
            return None
    if len(rest) > room:
        return None
    return rest.decode("utf-8" if kind == b"iTXt" else "latin-1", errors="replace")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of a PNG's chunks, up to IEND or as far as they are whole."""
    start = len(PNG)
    while start + 12 <= len(data):
        kind = data[start + 4 : start + 8]
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            return
        yield kind, start, end
        if kind == b"IEND":
            return
        start = end


def _sound(data: bytes, start: int, end: int) -> bool:
    return zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def _end(data: bytes) -> int | None:
    """Where the picture ends, for formats that say it; None where it is not known.

    Not for JPEG: telephones append films and depth maps to theirs, and mean no harm.
    """
    if data.startswith(PNG):
        return next((end for kind, _, end in _chunks(data) if kind == b"IEND"), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = int.from_bytes(data[4:8], "little")
        return 8 + size + size % 2
    return None


def _too_many_scans(data: bytes) -> bool:
    place = scans = 0
    while (marker := _JPEG_MARKER.search(data, place)) and data[marker.end() - 1] != _END:
        scans += data[marker.end() - 1] == _SCAN
        if scans > MAX_SCANS:
            return True
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False
