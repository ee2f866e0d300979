"""/classify: real bot, real engine, the starter's labels, the sandbox as Discord."""

from __future__ import annotations

import pytest

from sandbox.client.member import Member, text_of
from starter.render import render
from tests.e2e.asking import BOATS, finished, has_button, picture, png, said
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")


def boats() -> tuple[str, bytes]:
    return "boats.png", png(render(BOATS, 256))


async def test_boat_is_classified_as_a_boat(ada: Member) -> None:
    reply = await ada.command("classify", {"labels": "house, boat, cat"}, files={"image": boats()})
    message, text = await said(ada, reply)
    assert text.startswith("**boat**")
    assert not await ada.pictures(message)
    form = await ada.click(message, "Other labels")
    message, text = await said(ada, await ada.submit(form, {"labels": "a red boat, a blue boat, a green boat"}))
    assert text.startswith("**a blue boat**")


async def test_many_labels_are_drawn_as_a_chart(ada: Member) -> None:
    reply = await ada.command("classify", {"set": "things"}, files={"image": boats()})
    message, text = await said(ada, reply)
    assert text.startswith("**boat**")
    [chart] = await ada.pictures(message)
    assert picture(chart).height > 200


async def test_question_is_answered_while_a_long_job_is_painted(ada: Member, linus: Member) -> None:
    slow = await ada.command("/imagine prompt:a patient robot steps:50 count:4")
    await ada.wait_for(slow.message, lambda message: "▰" in text_of(message))
    reply = await linus.command("classify", {"labels": "boat, house"}, files={"image": boats()})
    await said(linus, reply)
    state = await ada.state()
    [still] = [message for message in state["messages"] if message["id"] == slow.message["id"]]
    assert has_button(still, "Cancel")
    await ada.click(still, "Cancel", until="acknowledged")
    await finished(ada, slow)


async def test_picture_of_any_message_is_classified_from_its_menu(ada: Member, linus: Member) -> None:
    message = await ada.write("what is it?", boats())
    _, text = await said(linus, await linus.menu_command("Classify", message=message))
    assert text.startswith("**boat**")


async def test_labels_may_be_chinese(ada: Member) -> None:
    reply = await ada.command("classify", {"labels": "房子，船，猫"}, files={"image": boats()})
    _, text = await said(ada, reply)
    assert text.startswith("**船**")


async def test_one_label_is_no_choice_and_nothing_is_fetched_for_it(ada: Member) -> None:
    refused = await ada.command("classify", {"labels": "boat"}, files={"image": ("boats.png", b"no picture at all")})
    assert "at least two labels" in text_of(refused.message)


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
