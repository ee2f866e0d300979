"""Show recipe and Reimagine, from the menu of any message: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sandbox.client.member import Member, Reply, buttons_of, text_of
from starter.render import render
from tests.e2e.asking import BOATS, QUICK, is_private, number, painted, picture, png, said, unsigned
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")


def boats() -> tuple[str, bytes]:
    return "boats.png", png(render(BOATS, 256))


async def test_recipe_of_any_picture_is_shown_to_who_asks(ada: Member, linus: Member) -> None:
    message, [data] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:77"))
    shown = await linus.menu_command("Show recipe", message=message)
    assert shown.message["flags"] & 64
    assert "a red house" in text_of(shown.message)
    assert "Seed: 77" in text_of(shown.message)
    # The same from the file alone, as somebody saved it and brought it along.
    [signed] = await ada.pictures(message)
    assert signed != data
    copy = await ada.write("mine", ("saved.png", signed))
    shown = await linus.menu_command("Show recipe", message=copy)
    seen = await linus.wait_for(shown.message, lambda message: "Seed: 77" in text_of(message))
    assert seen["flags"] & 64
    bare = await ada.write("bare", boats())
    shown = await linus.menu_command("Show recipe", message=bare)
    await linus.wait_for(shown.message, lambda message: "carries no recipe" in text_of(message))


async def test_recipe_of_another_tool_is_shown_with_its_name_and_tells_of_a_model(ada: Member, linus: Member) -> None:
    plain = render(BOATS, 256)
    comment = Image.Exif()
    comment.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + '{"sui_image_params": {"prompt": "a 红 house"}}'.encode(
        "utf-16-le"
    )
    jpeg = io.BytesIO()
    plain.save(jpeg, format="JPEG", exif=comment)
    dream = PngInfo()
    dream.add_text("Dream", '"a red house" -s 50 -S 123 -W 512 -H 512 -C 7.5 -A k_lms')
    invoke = io.BytesIO()
    plain.save(invoke, format="PNG", pnginfo=dream)
    for name, data, tool, words in (
        ("1.jpg", jpeg.getvalue(), "SwarmUI", "a 红 house"),
        ("2.png", invoke.getvalue(), "InvokeAI", "Steps: 50, Sampler: k_lms, CFG scale: 7.5, Seed: 123, Size: 512x512"),
    ):
        message = await ada.write("look", (name, data))
        reply = await linus.menu_command("Show recipe", message=message)
        shown = await linus.wait_for(reply.message, lambda message: "Made with" in text_of(message))
        assert f"Made with {tool}, as the file says:" in text_of(shown)
        assert words in text_of(shown)
        assert await linus.files(shown)
        _, text = await said(linus, await linus.menu_command("Describe", message=message))
        assert "Made by a model, as its file says." in text


async def test_picture_is_reimagined_from_its_menu_and_from_the_command(ada: Member, linus: Member) -> None:
    message = await ada.write("paint over it", boats())
    form = await linus.menu_command("Reimagine", message=message)
    assert form.modal is not None
    answered, [data] = await painted(
        linus, await linus.submit(form, {"prompt": "a red boat at sea", "strength": "0,5"})
    )
    assert "from a picture, strength 0.5" in text_of(answered)
    assert picture(data).size == (256, 256)
    reply = await ada.command(
        "imagine", {"prompt": "a red boat at sea", "strength": 0.3, "seed": "4"}, files={"image": boats()}
    )
    message, [first] = await painted(ada, reply)
    rerolled, [second] = await painted(ada, await ada.click(message, "Re-roll"))
    assert "strength 0.3" in text_of(rerolled)
    assert first != second
    reply = await ada.command("/imagine prompt:a boat strength:0.3")
    assert "give one as `image`" in text_of(reply.message)


async def test_menus_work_on_easels_own_pictures_and_ask_which_of_several(ada: Member, linus: Member) -> None:
    one, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    larger, text = await said(linus, await linus.menu_command("Upscale", message=one))
    assert "256x256 → 1024x1024" in text
    # Of the kept picture itself: the same bytes as by its number.
    by_number, _ = await said(linus, await linus.command("upscale", {"job": number(one)}))
    assert await unsigned(linus, larger) == await unsigned(linus, by_number)
    two, pictures = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:8 count:2"))
    for menu, shown in (("Upscale", "→"), ("Describe", "Detailed caption"), ("Classify", "labels")):
        asked = await linus.menu_command(menu, message=two)
        assert is_private(asked)
        assert [button["label"] for button in buttons_of(asked.message)] == ["1", "2"]
        answer, text = await said(linus, await linus.click(asked.message, "2"))
        assert shown in text
        assert not is_private(Reply({"messages": [answer]}))
    asked = await linus.menu_command("Reimagine", message=two)
    form = await linus.click(asked.message, "2")
    assert form.modal is not None
    assert form.modal["components"][0]["component"]["value"] == "a red house"
    message, [data] = await painted(linus, await linus.submit(form, {"prompt": "a blue house", "strength": "0.05"}))
    assert "strength 0.05" in text_of(message)
    near, far = (distance(picture(data), picture(pictures[index])) for index in (1, 0))
    assert near < far
    empty, _ = await said(linus, await linus.command("describe", {"job": number(one)}))
    refused = await linus.menu_command("Upscale", message=empty)
    assert is_private(refused)
    assert "shows no picture of its own" in text_of(refused.message)


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)).mean())


async def test_menus_find_the_pictures_of_other_apps_of_forwards_and_of_embeds(ada: Member, linus: Member) -> None:
    gallery = {"type": 12, "items": [{"media": {"url": "attachment://boats.png"}}]}
    app = await ada.post_as_app({"flags": 1 << 15, "components": [{"type": 17, "components": [gallery]}]}, boats())
    embed = {"title": "Boats", "image": {"url": "attachment://boats.png"}}
    embedded = await ada.post_as_app({"embeds": [embed]}, boats())
    forwarded = await ada.forward(await ada.write("look", boats()))
    for message in (app, embedded, forwarded, await ada.forward(app)):
        _, text = await said(linus, await linus.menu_command("Upscale", message=message))
        assert "256x256 → 1024x1024" in text
    form = await linus.menu_command("Reimagine", message=app)
    message, _ = await painted(linus, await linus.submit(form, {"prompt": "a red boat at sea"}))
    assert "from a picture, strength 0.6" in text_of(message)


async def test_what_a_link_leads_to_is_never_fetched(ada: Member, linus: Member) -> None:
    asked = asyncio.Event()

    async def served(_: web.Request) -> web.Response:
        asked.set()
        return web.Response(body=boats()[1], content_type="image/png")

    application = web.Application()
    application.router.add_get("/boats.png", served)
    async with TestServer(application) as elsewhere:
        link = str(elsewhere.make_url("/boats.png"))
        gallery = {"type": 12, "items": [{"media": {"url": link}}]}
        for body in (
            {"embeds": [{"image": {"url": link}, "thumbnail": {"url": link}}]},
            {"flags": 1 << 15, "components": [gallery]},
        ):
            message = await ada.post_as_app(body)
            for menu in ("Upscale", "Show recipe"):
                refused = await linus.menu_command(menu, message=message)
                assert is_private(refused)
                assert "has no picture that can be read" in text_of(refused.message)
    assert not asked.is_set()


async def test_recipe_of_our_own_is_found_wherever_the_picture_goes(ada: Member, linus: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:900 count:2"))
    pictures = await ada.pictures(message)
    forwarded = await ada.forward(message)
    uploaded = await ada.write("mine", ("saved.png", pictures[1]))
    for shown, seed in ((message, 900), (forwarded, 900), (uploaded, 901)):
        reply = await linus.menu_command("Show recipe", message=shown)
        recipe = await linus.wait_for(reply.message, lambda message: "Seed: " in text_of(message))
        assert f"Seed: {seed}" in text_of(recipe)
        files = dict(await linus.files(recipe))
        assert f"easel-{number(message)}-recipe.json" in files
        both = files[f"easel-{number(message)}-parameters.txt"].decode()
        assert "Seed: 900" in both
        assert "Seed: 901" in both


async def test_what_is_not_to_be_seen_here_is_no_more_than_what_stands_here(
    studio: Studio, ada: Member, linus: Member
) -> None:
    async with Member(studio.sandbox.url, "Ada", "after-dark") as ada_after_dark:
        reply = await ada_after_dark.command(f"/imagine prompt:a red house {QUICK} seed:55")
        message, [data] = await painted(ada_after_dark, reply)
    forwarded = await ada.forward(message)
    uploaded = await ada.write("mine", ("saved.png", data))
    for shown in (forwarded, uploaded):
        reply = await linus.menu_command("Show recipe", message=shown)
        recipe = await linus.wait_for(reply.message, lambda message: "Seed: 55" in text_of(message))
        # What the file itself says, and nothing of the job.
        assert [name for name, _ in await linus.files(recipe)] == ["recipe.json"]
    answer, _ = await said(linus, await linus.menu_command("Describe", message=forwarded))
    assert number(answer) != number(message)
    refused = await linus.command("upscale", {"job": number(message)})
    assert "There is no job" in text_of(refused.message)


async def test_recipe_goes_with_a_picture_that_had_to_be_made_smaller(ada: Member, linus: Member) -> None:
    await ada.faults(attachment_size_limit=30_000)
    try:
        message, [data] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:31"))
        assert picture(data).format == "WEBP"
        uploaded = await ada.write("mine", ("saved.webp", data))
        for shown in (message, uploaded):
            reply = await linus.menu_command("Show recipe", message=shown)
            await linus.wait_for(reply.message, lambda message: "Seed: 31" in text_of(message))
    finally:
        await ada.faults(attachment_size_limit=10 * 2**20)


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
