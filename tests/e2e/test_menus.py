"""Show recipe and Reimagine, from the menu of any message: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import pytest

from sandbox.client.member import Member, text_of
from starter.render import render
from tests.e2e.asking import BOATS, QUICK, painted, picture, png
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
    copy = await ada.write("mine", ("saved.png", data))
    shown = await linus.menu_command("Show recipe", message=copy)
    seen = await linus.wait_for(shown.message, lambda message: "Seed: 77" in text_of(message))
    assert seen["flags"] & 64
    bare = await ada.write("bare", boats())
    shown = await linus.menu_command("Show recipe", message=bare)
    await linus.wait_for(shown.message, lambda message: "carries no recipe" in text_of(message))


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


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
