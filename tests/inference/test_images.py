"""Pictures as bytes: what is kept of them, and how it is packed."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from inference.marks import watermark
from inference.marks.marking import Marks
from inference.pictures import images
from inference.protocol import XMP_KEYWORD
from starter.render import render
from starter.world import Scene

PAINTED = render(Scene("house", "red"), 256)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_png_keeps_every_pixel_and_every_text(mode: str) -> None:
    picture = PAINTED.convert(mode)
    texts = {"parameters": "a red house", "easel": "一座红色的房子", XMP_KEYWORD: "<x/>"}
    opened = Image.open(io.BytesIO(images.png(picture, texts)))
    assert opened.mode == mode
    assert opened.tobytes() == picture.tobytes()
    assert {name: opened.info[name] for name in texts} == texts


def test_what_goes_out_is_packed_at_the_lowest_level() -> None:
    marked = watermark.embed(PAINTED.resize((512, 512), Image.Resampling.LANCZOS))
    fast = Marks().png(marked, {}, "trainedAlgorithmicMedia", watermarked=False)
    thorough = io.BytesIO()
    marked.save(thorough, format="PNG")
    assert fastest(fast)
    assert not fastest(thorough.getvalue())


def fastest(png: bytes) -> bool:
    """Whether the first piece of a PNG's pixels says that it was compressed at zlib's lowest level (RFC 1950)."""
    at = 8
    while png[at + 4 : at + 8] != b"IDAT":
        (length,) = struct.unpack_from(">I", png, at)
        at += 12 + length
    return png[at + 9] >> 6 == 0


@pytest.mark.parametrize(
    ("side", "count", "size"), [(64, 1, (256, 256)), (64, 4, (512, 512)), (128, 1, (512, 512)), (1024, 2, (512, 256))]
)
def test_a_preview_is_no_larger_than_there_is_to_see(side: int, count: int, size: tuple[int, int]) -> None:
    assert images.grid([PAINTED] * count, side, side).size == size
