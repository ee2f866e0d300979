"""/describe: real bot, real engine, the starter's eyes, the sandbox as Discord."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from PIL import Image

from bot.pictures.profiles import D65, SRGB, matrix, srgb
from inference.protocol import xmp
from sandbox.client.member import Member, text_of
from starter.answers import truth_of
from starter.render import render
from tests.e2e.asking import BOATS, has_button, number, painted, picture, png, refusal, said
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOX = re.compile(r"^\d+\. (.+?) · (\d+), (\d+) to (\d+), (\d+)$", re.MULTILINE)

Box = tuple[float, float, float, float]

CAFE = replace(BOATS, word="CAFE")


def boats() -> tuple[str, bytes]:
    return "boats.png", png(render(CAFE, 256))


def jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", **options)
    return stream.getvalue()


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


async def test_two_blue_boats_are_described_as_two_blue_boats(ada: Member) -> None:
    reply = await ada.command("describe", {}, files={"image": boats()})
    message, text = await said(ada, reply)
    assert "two large blue boats" in text
    assert {"Imagine this", "Objects", "Text"} <= {
        label for label in ("Imagine this", "Caption", "Objects", "Text") if has_button(message, label)
    }


async def test_caption_becomes_a_picture_by_its_button(ada: Member, linus: Member) -> None:
    message, _ = await said(ada, await ada.command("describe", {"task": "caption"}, files={"image": boats()}))
    painted_from, [data] = await painted(linus, await linus.click(message, "Imagine this"))
    assert "two blue boats" in text_of(painted_from)
    assert picture(data).size == (256, 256)


async def test_painted_word_is_read(ada: Member) -> None:
    reply = await ada.command("describe", {"task": "read text"}, files={"image": boats()})
    _, text = await said(ada, reply)
    assert "CAFE" in text


async def test_boats_are_found_where_they_are_and_drawn_in(ada: Member, linus: Member) -> None:
    message, _ = await said(ada, await ada.command("describe", {}, files={"image": boats()}))
    message, text = await said(linus, await linus.click(message, "Objects"))
    found = [tuple(float(side) for side in match[1:]) for match in BOX.findall(text) if match[0] == "boat"]
    assert len(found) == 2
    for true, box in zip(truth_of(CAFE).boxes, sorted(found), strict=True):
        assert overlap(tuple(4 * side for side in true), box) >= 0.5  # type: ignore[arg-type]
    [drawn] = await linus.pictures(message)
    assert picture(drawn).tobytes() != render(CAFE, 256).tobytes()


async def test_what_is_named_is_found_and_outlined(ada: Member) -> None:
    _, text = await said(ada, await ada.command("describe", {"text": "blue boats"}, files={"image": boats()}))
    assert "boat" in text
    segment = {"task": "segment", "text": "the blue boats"}
    message, text = await said(ada, await ada.command("describe", segment, files={"image": boats()}))
    assert BOX.search(text)
    assert await ada.pictures(message)
    reply = await ada.command("describe", {"task": "segment"}, files={"image": boats()})
    assert "say what in the option `text`" in await refusal(ada, reply)


async def test_picture_of_any_message_is_described_from_its_menu(ada: Member, linus: Member) -> None:
    message = await ada.write("what is it?", boats())
    _, text = await said(linus, await linus.menu_command("Describe", message=message))
    assert "two large blue boats" in text


async def test_painted_picture_is_described_by_its_number(ada: Member) -> None:
    message, _ = await painted(ada, await ada.command("/imagine prompt:a large red house on a meadow by day seed:3"))
    _, text = await said(ada, await ada.command("describe", {"job": number(message), "task": "caption"}))
    assert "house" in text
    assert "Made by Easel (invisible watermark)." in text


async def test_upload_tells_by_its_pixels_or_its_file_who_made_it(ada: Member) -> None:
    _, [data] = await painted(ada, await ada.command("/imagine prompt:a large red house on a meadow seed:3"))
    bare = picture(data).crop((9, 5, 249, 245))
    for file, line in (
        (jpeg(bare, quality=75), "Made by Easel (invisible watermark)."),
        (jpeg(render(CAFE, 256), xmp=xmp("trainedAlgorithmicMedia").encode()), "Made by a model, as its file says."),
        (jpeg(render(CAFE, 256)), ""),
    ):
        reply = await ada.command("describe", {"task": "caption"}, files={"image": ("picture.jpg", file)})
        _, text = await said(ada, reply)
        assert line in text
        assert ("Made by" in text) is bool(line)


async def test_picture_is_seen_whatever_its_file_is_and_in_whatever_colours(ada: Member) -> None:
    boats = render(BOATS, 256)
    red, green, blue = boats.split()
    swapped = {"icc_profile": matrix((SRGB[2], SRGB[1], SRGB[0]), D65, srgb)}
    for name, image, kind, options in (
        ("1.avif", boats, "AVIF", {"quality": 90}),
        ("2.tiff", boats, "TIFF", {"compression": "tiff_lzw"}),
        ("3.jpg", boats, "JPEG", {"quality": 95}),
        ("4.png", Image.merge("RGB", (blue, green, red)), "PNG", swapped),
    ):
        stream = io.BytesIO()
        image.save(stream, format=kind, **options)
        # Without its end, as some cameras and downloads leave it.
        data = stream.getvalue()[:-2] if kind == "JPEG" else stream.getvalue()
        reply = await ada.command("describe", {"task": "caption"}, files={"image": (name, data)})
        _, text = await said(ada, reply)
        assert "blue boats" in text, name


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
