"""/edit: real bot, real engine, the starter's eyes and hand, the sandbox as Discord."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bot.pictures.profiles import D65, SRGB, matrix, srgb
from sandbox.client.member import Json, Member, Refused, text_of
from starter.render import render, silhouettes
from tests.e2e.asking import BOATS, has_button, number, painted, picture, png, refusal, said

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = render(BOATS, 256)
ASKED = {"prompt": "a red mushroom at sea by day, flat style", "seed": "5"}


def boats() -> tuple[str, bytes]:
    return "boats.png", png(OLD)


def changed(data: bytes, old: Image.Image = OLD) -> np.ndarray:
    """Which pixels are other than before: bool, (height, width)."""
    new = picture(data).convert("RGB")
    assert new.size == old.size
    return np.asarray((np.asarray(new) != np.asarray(old)).any(2))


async def mask_of(ada: Member, message: Json) -> float:
    """The share of the picture that a mask's card shows tinted."""
    assert has_button(message, "Go"), text_of(message)
    [shown] = await ada.pictures(message)
    return float(changed(shown).mean())


async def test_what_is_named_is_found_shown_and_replaced(ada: Member) -> None:
    reply = await ada.command("edit", {**ASKED, "what": "the boats"}, files={"image": boats()})
    message, text = await said(ada, reply)
    assert "the boats" in text
    share = await mask_of(ada, message)
    larger, _ = await said(ada, await ada.click(message, "Grow"))
    assert await mask_of(ada, larger) > share
    smaller, _ = await said(ada, await ada.click(message, "Shrink"))
    assert await mask_of(ada, smaller) < share
    others, _ = await said(ada, await ada.click(message, "Invert"))
    assert await mask_of(ada, others) > 0.5
    _, [edited] = await painted(ada, await ada.click(larger, "Go"))
    new, both = changed(edited), np.any(silhouettes(BOATS, 256), axis=0)
    assert new[both].mean() > 0.8
    assert not new[~_near(both, 24)].any()


def _near(marked: np.ndarray, reach: int) -> np.ndarray:
    """Everything at most so many pixels from what is marked."""
    grown = Image.fromarray(marked).convert("L").filter(ImageFilter.MaxFilter(2 * reach + 1))
    return np.asarray(grown) > 0


async def test_what_is_not_there_is_said_not_painted(ada: Member) -> None:
    reply = await ada.command("edit", {**ASKED, "what": "the red rocket"}, files={"image": boats()})
    message, text = await said(ada, reply)
    assert "Nothing like 'the red rocket' was found." in text
    assert not has_button(message, "Go")


async def test_mask_of_ones_own_is_shown_before_anything_is_painted(ada: Member) -> None:
    rows, columns = slice(20, 120), slice(20, 120)
    inside = np.zeros((256, 256), bool)
    inside[rows, columns] = True
    white = Image.new("L", (128, 128))
    white.paste(255, (10, 10, 60, 60))
    # As a brush draws on a layer of its own.
    strokes = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    strokes.paste("white", (10, 10, 60, 60))
    erased = OLD.convert("RGBA")
    erased.paste((0, 0, 0, 0), (20, 20, 120, 120))
    for mask in (white, strokes, erased):
        files = {"image": boats(), "mask": ("mask.png", png(mask))}
        message, text = await said(ada, await ada.command("edit", ASKED, files=files))
        assert "your mask" in text
        assert await mask_of(ada, message) == pytest.approx(inside.mean(), abs=0.02)
    _, [edited] = await painted(ada, await ada.click(message, "Go"))
    new = changed(edited)
    assert not new[~inside].any()
    assert new[inside].mean() > 0.9
    others, _ = await said(ada, await ada.click(message, "Invert"))
    assert await mask_of(ada, others) > 0.75
    _, [edited] = await painted(ada, await ada.click(others, "Go"))
    new = changed(edited)
    assert not new[inside].any()
    assert new[~inside].mean() > 0.9
    larger, _ = await said(ada, await ada.click(message, "Grow"))
    assert await mask_of(ada, larger) > await mask_of(ada, message)


async def test_a_hole_says_what_is_painted(ada: Member) -> None:
    hole = OLD.convert("RGBA")
    hole.paste((0, 0, 0, 0), (20, 20, 120, 120))
    _, [edited] = await painted(ada, await ada.command("edit", ASKED, files={"image": ("hole.png", png(hole))}))
    new = changed(edited)
    inside = np.zeros_like(new)
    inside[20:120, 20:120] = True
    assert not new[~inside].any()
    assert new[inside].mean() > 0.9


async def test_all_else_stays_as_the_profile_of_the_upload_says_it_looks(ada: Member) -> None:
    """A display with red and blue exchanged: the same picture, in numbers of its own."""
    red, green, blue = OLD.split()
    stream = io.BytesIO()
    swapped = matrix((SRGB[2], SRGB[1], SRGB[0]), D65, srgb)
    Image.merge("RGB", (blue, green, red)).save(stream, format="PNG", icc_profile=swapped)
    files = {"image": ("swapped.png", stream.getvalue())}
    _, [wide] = await painted(ada, await ada.command("edit", {**ASKED, "extend": "right"}, files=files))
    kept = np.asarray(picture(wide).crop((0, 0, 256, 256)).convert("RGB"), int)
    assert np.abs(kept - np.asarray(OLD, int)).max() <= 2
    _, [again] = await painted(ada, await ada.command("edit", {**ASKED, "extend": "left"}, files=files))
    beside = np.asarray(picture(again).crop((128, 0, 384, 256)).convert("RGB"), int)
    assert np.array_equal(kept, beside), "every bit of the picture as it was read"


async def test_room_at_a_side_is_filled_beside_the_picture_as_it_was(ada: Member) -> None:
    reply = await ada.command("edit", {**ASKED, "extend": "right"}, files={"image": boats()})
    message, [edited] = await painted(ada, reply)
    wide = picture(edited)
    assert wide.size == (384, 256)
    assert wide.crop((0, 0, 256, 256)).convert("RGB").tobytes() == OLD.tobytes()
    room = np.asarray(wide.crop((256, 0, 384, 256)).convert("RGB"))
    assert room.std() > 5
    # An edit is a picture like any other.
    _, [again] = await painted(ada, await ada.click(message, "Re-roll"))
    assert picture(again).crop((0, 0, 256, 256)).convert("RGB").tobytes() == OLD.tobytes()
    assert again != edited


async def test_who_does_not_say_which_part_is_told(ada: Member) -> None:
    reply = await ada.command("edit", ASKED, files={"image": boats()})
    assert "Say which part is meant" in await refusal(ada, reply)
    twice = await ada.command("edit", {**ASKED, "what": "the boats", "extend": "left"}, files={"image": boats()})
    assert "Say in one way" in text_of(twice.message)
    with pytest.raises(Refused):
        await ada.command("edit", {**ASKED, "extend": "inside"}, files={"image": boats()})
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, format="PNG")
    empty = {"image": boats(), "mask": ("mask.png", buffer.getvalue())}
    assert "mark" in await refusal(ada, await ada.command("edit", ASKED, files=empty))


async def test_picture_of_a_job_is_edited_and_started_from_by_its_number(ada: Member) -> None:
    message, [old] = await painted(ada, await ada.command("/imagine prompt:two blue boats at sea steps:4 seed:3"))
    by_number = {**ASKED, "job": number(message)}
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 0, 64, 64))
    reply = await ada.command("edit", by_number, files={"mask": ("mask.png", png(mask))})
    shown, _ = await said(ada, reply)
    assert await mask_of_shown(ada, shown, old) == pytest.approx(0.25, abs=0.02)
    _, [edited] = await painted(ada, await ada.click(shown, "Go"))
    new = changed(edited, picture(old).convert("RGB"))
    assert new[:128, :128].mean() > 0.9
    assert not new[128:].any()
    _, [wide] = await painted(ada, await ada.command("edit", {**by_number, "extend": "left"}))
    assert picture(wide).crop((128, 0, 384, 256)).convert("RGB").tobytes() == picture(old).convert("RGB").tobytes()
    found, _ = await said(ada, await ada.command("edit", {**by_number, "what": "the boats"}))
    assert 0 < (await mask_of_shown(ada, found, old)) < 0.9
    again, _ = await painted(ada, await ada.command("imagine", {**ASKED, "job": number(message), "width": 128}))
    assert "128x128" in text_of(again)
    assert "from a picture, strength 0.6" in text_of(again)
    for options, sentence in (
        (ASKED, "Give either a picture"),
        ({**ASKED, "picture": 2}, "give the job's number"),
        ({**by_number, "picture": 2}, "has 1 picture"),
    ):
        refused = await ada.command("edit", options)
        assert sentence in text_of(refused.message)
    both = await ada.command("imagine", by_number, files={"image": boats()})
    assert "Give either a picture" in text_of(both.message)


async def mask_of_shown(ada: Member, message: Json, old: bytes) -> float:
    """The share of a painted picture that a mask's card shows tinted."""
    [shown] = await ada.pictures(message)
    return float(changed(shown, picture(old).convert("RGB")).mean())
