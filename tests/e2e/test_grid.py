"""/grid from the keys to the table: real bot, real engine, real starter model, the sandbox as Discord."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.client.member import Member, text_of
from tests.e2e.asking import QUICK, finished, has_button, is_private, painted, picture, unsigned
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_grid_is_one_labelled_picture_of_cells_that_imagine_paints(ada: Member) -> None:
    reply = await ada.command("/grid prompt:a red house x:steps 2, 4 y:prompt red, blue seed:7")
    message = await finished(ada, reply)
    [data] = await unsigned(ada, message)
    sheet = picture(data)
    left, top = sheet.width - 2 * 256, sheet.height - 2 * 256
    assert left > 0
    assert top > 0
    _, [alone] = await painted(ada, await ada.command(f"/imagine prompt:a blue house {QUICK} seed:7"))
    cell = sheet.crop((left + 256, top + 256, left + 512, top + 512))
    # Each bears its watermark on its own, so they differ in their last bits.
    apart = np.abs(np.asarray(cell).astype(int) - np.asarray(picture(alone)))
    assert apart.mean() < 3
    assert "steps 2, steps 4 × red, blue" in text_of(message)
    assert "4 pictures · seed 7" in text_of(message)
    rerolled = await finished(ada, await ada.click(message, "Re-roll"))
    [other] = await unsigned(ada, rerolled)
    assert other != data
    assert "seed 7 " not in text_of(rerolled)


async def test_running_grid_shows_previews_and_can_be_cancelled_and_tried_again(ada: Member) -> None:
    reply = await ada.command("/grid prompt:a fish x:guidance 1,2,3,4,5,6,7,8 steps:50")
    seen = await ada.wait_for(reply.message, lambda message: "preview.webp" in str(message["components"]))
    assert "/400" in text_of(seen)
    await ada.click(seen, "Cancel", until="acknowledged")
    ended = await finished(ada, reply)
    assert "Cancelled." in text_of(ended)
    again = await ada.click(ended, "Try again")
    running = await ada.wait_for(again.message, lambda message: has_button(message, "Cancel"))
    await ada.click(running, "Cancel", until="acknowledged")
    assert "Cancelled." in text_of(await finished(ada, again))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("x:hats 1, 2", "'hats 1, 2' is no axis: begin with one of steps"),
        ("x:steps 4, 900", "Steps 900 does not fit"),
        ("x:steps 1,2,3,4,5 y:seed 1,2,3,4", "This grid has 20 pictures and 16 is the most"),
        ("x:prompt cat, dog", "The prompt does not hold 'cat'"),
    ],
)
async def test_bad_axes_are_answered_to_the_member_alone(ada: Member, options: str, sentence: str) -> None:
    reply = await ada.command(f"/grid prompt:a red house {options}")
    assert is_private(reply)
    assert sentence in text_of(reply.message)


async def test_axes_and_styles_are_offered_as_one_types(ada: Member) -> None:
    offered = [choice["value"] for choice in await ada.complete("grid", "x", prompt="a house", x="S")]
    assert offered == ["steps 4, 8, 12", "sampler Euler, DDIM, UniPC", "seed 1, 2, 3, 4", "style watercolour, cartoon"]
    samplers = [choice["value"] for choice in await ada.complete("grid", "sampler", prompt="a", sampler="ddi")]
    assert samplers == ["DDIM"]


async def test_everything_the_bot_sent_keeps_to_discords_description(studio: Studio) -> None:
    assert await studio.problems() == []
