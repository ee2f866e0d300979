"""Texts that tools hide in the lowest bits of a picture's pixels, where no editor looks for metadata to remove.

NovelAI and an extension of AUTOMATIC1111 do so, down the columns from the left: a signature, the text's length in bits
as four bytes, the text, packed by gzip or not. They survive wherever pixels do, in files without any loss.
"""

from __future__ import annotations

import zlib

from PIL import Image

from bot.pictures.containers import MAX_TEXT_BYTES

OPACITY = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}
COLOURS = {b"stealth_rgbinfo": False, b"stealth_rgbcomp": True}
"""The signatures of what is hidden in the one or in the three others, and whether it is packed."""

SIGNATURE_BYTES = 15
HEAD_BYTES = SIGNATURE_BYTES + 4

BITS = bytes(b"01"[value & 1] for value in range(256))


def found(picture: Image.Image) -> str | None:
    """The text that is hidden in a decoded picture; None where none is."""
    return _hidden(picture, "A", OPACITY) or _hidden(picture, "RGB", COLOURS)


def cleared(picture: Image.Image) -> Image.Image:
    """The picture without what is hidden in its opacity: who hides something there makes nothing transparent."""
    if not _hidden(picture, "A", OPACITY):
        return picture
    clear = picture.copy()
    clear.putalpha(picture.getchannel("A").point(lambda value: value | 1))
    return clear


def _hidden(picture: Image.Image, where: str, signatures: dict[bytes, bool]) -> str | None:
    if picture.mode not in ("RGBA", "RGB") or where not in picture.mode:
        return None
    head = _read(picture, where, HEAD_BYTES)
    packed = signatures.get(head[:SIGNATURE_BYTES])
    length = int.from_bytes(head[SIGNATURE_BYTES:], "big") // 8
    if packed is None or not 0 < length <= MAX_TEXT_BYTES:
        return None
    text = _read(picture, where, HEAD_BYTES + length)[HEAD_BYTES:]
    if packed:
        try:
            text = zlib.decompressobj(wbits=31).decompress(text, MAX_TEXT_BYTES)
        except zlib.error:
            return None
    return text.decode("utf-8", errors="replace") if len(text) else None


def _read(picture: Image.Image, where: str, count: int) -> bytes:
    """The first bytes in the lowest bits, as many of them as there are."""
    columns = min(picture.width, -(-count * 8 // (picture.height * len(where))))
    part = picture.crop((0, 0, columns, picture.height)).transpose(Image.Transpose.TRANSPOSE)
    values = part.getchannel("A") if where == "A" else part.convert("RGB")
    bits = values.tobytes().translate(BITS)[: count * 8]
    whole = len(bits) // 8
    return int(bits[: whole * 8] or b"0", 2).to_bytes(whole, "big")
