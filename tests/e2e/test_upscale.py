"""/upscale, uploads, and results too large for Discord: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from sandbox.client.member import Json, Member, Reply, text_of
from starter.render import render
from starter.upscaler import blockiness
from tests.e2e.asking import BOATS, QUICK, finished, is_private, number, painted, picture, png, refusal, unsigned
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")


def boats(size: int = 64) -> bytes:
    return png(render(BOATS, size))


async def enlarged(member: Member, reply: Reply) -> tuple[Json, Image.Image]:
    """The message and the picture of an upscale that ends well."""
    message = await finished(member, reply)
    assert "→" in text_of(message), text_of(message)
    [data] = await unsigned(member, message)
    return message, picture(data)


async def test_upload_comes_back_larger_and_sharper_than_a_plain_enlargement(ada: Member) -> None:
    small = render(BOATS, 256).resize((64, 64), Image.Resampling.BOX)
    options = {"factor": 4, "upscaler": "starter-x4"}
    reply = await ada.command("upscale", options, files={"image": ("boats.png", png(small))})
    message, large = await enlarged(ada, reply)
    assert large.size == (256, 256)
    assert "64x64 → 256x256" in text_of(message)
    true = np.asarray(render(BOATS, 256)).astype(float)
    plain = np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC)).astype(float)
    ours = np.asarray(large.convert("RGB")).astype(float)
    assert ((ours - true) ** 2).mean() < 0.9 * ((plain - true) ** 2).mean()


async def test_a_photograph_is_enlarged_by_a_published_network_where_nothing_was_fetched(ada: Member) -> None:
    photograph = Image.fromarray(photographs.coffee()).crop((150, 80, 406, 336))
    small = photograph.resize((64, 64), Image.Resampling.LANCZOS)
    reply = await ada.command("upscale", files={"image": ("coffee.png", png(small))})
    message, large = await enlarged(ada, reply)
    assert "animevideov3" in text_of(message)
    assert large.size == (256, 256)
    plain = small.resize((256, 256), Image.Resampling.BICUBIC)
    assert blockiness(large, block=4) < blockiness(plain, block=4), "no grid, as the starter's own makes of it"


async def test_faces_are_refused_where_nothing_restores_them(ada: Member) -> None:
    reply = await ada.command("upscale", {"faces": "gfpgan"}, files={"image": ("boats.png", boats())})
    assert "Nothing on this machine restores faces" in await refusal(ada, reply)


@pytest.mark.parametrize("factor", [2, 3])
async def test_other_factors_are_made_too(ada: Member, factor: int) -> None:
    reply = await ada.command("upscale", {"factor": factor}, files={"image": ("boats.png", boats())})
    _, large = await enlarged(ada, reply)
    assert large.size == (64 * factor, 64 * factor)


async def test_what_is_transparent_stays_so(ada: Member) -> None:
    image = render(BOATS, 64).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 64, 20))
    reply = await ada.command("upscale", {"factor": 2}, files={"image": ("boats.png", png(image))})
    _, large = await enlarged(ada, reply)
    alpha = np.asarray(large.getchannel("A"))
    assert alpha[:30].max() < 16
    assert alpha[50:].min() > 240


async def test_painted_picture_is_enlarged_by_its_button_and_by_its_number(ada: Member, linus: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:3 count:2"))
    by_button, second = await enlarged(linus, await linus.click(message, "U2"))
    assert second.size == (1024, 1024)
    job = number(message)
    _, same = await enlarged(ada, await ada.command("upscale", {"job": job, "picture": 2}))
    assert same.tobytes() == second.tobytes()
    refused = await ada.command("upscale", {"job": job, "picture": 3})
    assert "has 2 pictures" in text_of(refused.message)
    # Its source is kept for as long as it is needed, and no longer.
    await ada.click(message, "Delete", until="acknowledged")
    options = {"job": number(by_button), "factor": 2, "upscaler": "starter-x4"}
    _, again = await enlarged(linus, await linus.command("upscale", options))
    assert again.size == (2048, 2048)


async def test_picture_of_any_message_is_enlarged_from_its_menu(ada: Member, linus: Member) -> None:
    message = await ada.write("look", ("boats.png", boats()))
    _, large = await enlarged(linus, await linus.menu_command("Upscale", message=message))
    assert large.size == (256, 256)
    refused = await linus.menu_command("Upscale", message=await ada.write("no picture here"))
    assert is_private(refused)
    assert "has no picture that can be read" in text_of(refused.message)


async def test_bad_upload_is_refused_in_a_private_sentence_and_leaves_nothing_behind(ada: Member) -> None:
    for data, sentence in (
        (b"no picture at all", "no picture that can be read"),
        (boats()[:-40], "damaged"),
        (png(Image.new("RGB", (1, 1))), "enlarge it"),
        (png(Image.new("L", (20_000, 10))), "too long and thin"),
    ):
        reply = await ada.command("upscale", {"factor": 2}, files={"image": ("boats.png", data)})
        assert sentence in await refusal(ada, reply)
    state = await ada.state()
    assert not [message for message in state["messages"] if message.get("loading")]


async def test_either_a_picture_or_a_job_is_needed(ada: Member) -> None:
    refused = await ada.command("upscale", {"factor": 2})
    assert "Give either a picture" in text_of(refused.message)


async def test_result_too_large_for_discord_goes_out_smaller_and_the_original_on_demand(
    ada: Member, studio: Studio
) -> None:
    await ada.faults(attachment_size_limit=15_000)
    try:
        reply = await ada.command("upscale", {"factor": 4}, files={"image": ("boats.png", boats(128))})
        message, shown = await enlarged(ada, reply)
        assert (shown.format, shown.size) == ("WEBP", (512, 512))
        assert "too large for Discord" in text_of(message)
        parts = await ada.click(message, "Original")
        whole = await ada.wait_for(parts.message, lambda message: message["attachments"])
        assert whole["flags"] & 64
        assert "without any loss" in text_of(whole)
        assert all(len(data) <= 15_000 for data in await ada.pictures(whole))
        assert all("without any loss" in attached["description"] for attached in whole["attachments"])
    finally:
        await ada.faults(attachment_size_limit=10 * 2**20)


async def test_result_that_discord_refuses_against_its_word_goes_out_smaller(ada: Member) -> None:
    options = {"factor": 4, "upscaler": "starter-x4"}
    reply = await ada.command("upscale", options, files={"image": ("boats.png", boats(96))})
    _, whole = await enlarged(ada, reply)
    await ada.faults(attachment_size_limit=100_000, attachment_size_announced=10 * 2**20)
    try:
        reply = await ada.command("upscale", {"factor": 4}, files={"image": ("boats.png", png(whole))})
        message, shown = await enlarged(ada, reply)
        assert shown.format == "WEBP"
        assert "too large for Discord" in text_of(message)
    finally:
        await ada.faults(attachment_size_limit=10 * 2**20, attachment_size_announced=None)


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
