"""What the file of a picture consists of, read before any decoder sees it: chunks, segments, texts, profiles.

Only bytes are looked at here, never pixels, and what is looked at is bounded. What texts mean is for `recipes`.
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

MAX_PROFILE_BYTES = 4 * 2**20
"""Of a colour profile: those of printers, the largest, have half of that."""

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"

MORE = (
    *(part * 64 for part in (b"\x5a\xa5\x36\xc9", b"\x91\x2e\x7b\xe4", b"\0")),
    b"".join(bytes((0xFF, 0xD0 + number)) + b"\x91\x2e\x7b\xe4\x5a\xa5\x36\xc9" * 8 for number in range(8)),
)
"""What could be pixels of a JPEG, were any missing: of these, one is seen. The last is for those that are divided."""

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
    if data.startswith(JPEG) and sum(marker == _SCAN for marker in _markers(data)) > MAX_SCANS:
        raise MemberError.of(because("upload_scans", most=MAX_SCANS))


def bare(data: bytes) -> bytes:
    """The file as a decoder can take it: without what no pixel needs, where that could keep it from being read, and
    with its end.

    A PNG loses its texts, its colour profile and its further frames: browsers show such pictures whatever is wrong in
    there. Which colour is transparent, and how the camera was held, stays.
    """
    if data.startswith(JPEG):
        return ended(data) if lacks_end(data) else data
    if not data.startswith(PNG):
        return data
    kept = [PNG]
    rest = len(PNG)
    for kind, start, end in chunks(data):
        # The case of the first letter says whether a picture can be shown without the chunk.
        if kind == b"eXIf" and _sound(data, start, end):
            # Behind the header, wherever it stood: there it is read without decoding a pixel.
            kept.insert(2, data[start:end])
        elif kind[:1].isupper() or (kind == b"tRNS" and _sound(data, start, end)):
            kept.append(data[start:end])
        rest = end
    # What is no whole chunk is the decoder's to judge.
    return b"".join((*kept, data[rest:]))


def lacks_end(data: bytes) -> bool:
    """Whether this is a JPEG that does not say where it ends."""
    return data.startswith(JPEG) and _END not in _markers(data)


def ended(data: bytes, more: bytes = b"") -> bytes:
    """A JPEG that `lacks_end` with one, and before it what could be pixels: it makes no difference where all are there
    already."""
    # Half of the end, then what a download that broke off left empty; of which a byte of ones that belongs to a picture
    # keeps one zero.
    body = data.removesuffix(b"\xff").rstrip(b"\0")
    return b"".join((body, b"\0" if body.endswith(b"\xff") else b"", more, bytes((0xFF, _END))))


def before_pixels(data: bytes) -> dict[bytes, bytes]:
    """What a PNG says of its pixels before they come, by kind; without what is damaged."""
    found: dict[bytes, bytes] = {}
    for kind, start, end in chunks(data):
        if kind == b"IDAT":
            break
        # A profile has a checksum of its own, as it is packed.
        if kind == b"iCCP" or _sound(data, start, end):
            found.setdefault(kind, data[start + 8 : end - 4])
    return found


def profile(chunk: bytes) -> bytes | None:
    """The colour profile in this chunk of a PNG; None where it cannot be read."""
    # Its name, then how it is packed, which can be in one way only.
    return _unpacked(chunk.partition(b"\0")[2][1:], MAX_PROFILE_BYTES)


def texts(data: bytes) -> dict[str, str]:
    """A PNG's texts by keyword, without those that cannot be read."""
    found: dict[str, str] = {}
    room = MAX_TEXT_BYTES
    for kind, start, end in chunks(data):
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
    unpacked = _unpacked(rest, room) if compressed else rest[: room + 1]
    if unpacked is None or len(unpacked) > room:
        return None
    return text_of(unpacked) if kind != b"iTXt" else unpacked.decode("utf-8", errors="replace")


def text_of(raw: bytes) -> str:
    """What these bytes say, in UTF-8 where they can be that: many a tool writes it where Latin-1 is asked for."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _unpacked(packed: bytes, most: int) -> bytes | None:
    """None where it is damaged, or longer."""
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, most + 1)
    except zlib.error:
        return None
    return unpacked if stream.eof and len(unpacked) <= most else None


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
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
        return next((end for kind, _, end in chunks(data) if kind == b"IEND"), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = int.from_bytes(data[4:8], "little")
        return 8 + size + size % 2
    return None


def _markers(data: bytes) -> Iterator[int]:
    """Those of a JPEG, up to the one of its end."""
    place = len(JPEG)
    while marker := _JPEG_MARKER.search(data, place):
        kind = data[marker.end() - 1]
        yield kind
        if kind == _END:
            return
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
