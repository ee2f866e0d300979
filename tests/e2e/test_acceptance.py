"""What a member was told holds, what they were not told leaves nothing: real bot, real engine, a failing Discord."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from typing import Any

import pytest

from sandbox.client.member import Json, Member, text_of
from starter.render import render
from tests.e2e.asking import BOATS, QUICK, finished, gone, has_button, is_private, number, painted, png
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLBACK = {"method": "POST", "route": "/interactions/{}/{}/callback"}
EDIT = {"method": "PATCH", "route": "/webhooks/{}/{}/messages/{}"}
LONG = "steps:50 count:4"


def rows(studio: Studio, question: str) -> list[Any]:
    """What the bot's database answers to a question."""
    with sqlite3.connect(f"file:{studio.data / 'easel.sqlite3'}?mode=ro", uri=True) as connection:
        found = connection.execute(question).fetchall()
    connection.close()
    return found


def jobs(studio: Studio) -> int:
    return int(rows(studio, "SELECT count(*) FROM job")[0][0])


def files(studio: Studio) -> int:
    return len(list((studio.data / "pictures").rglob("*.png")))


async def newest(member: Member, condition: Any) -> Json:
    """The newest message of the member's channels that meets the condition, as soon as there is one."""
    async with asyncio.timeout(120):
        while True:
            found = [message for message in (await member.state())["messages"] if condition(message)]
            if found:
                return found[-1]
            await asyncio.sleep(0.2)


async def test_job_whose_acknowledgement_got_lost_is_painted(studio: Studio, ada: Member) -> None:
    await ada.faults(failures=[CALLBACK | {"cut": "after"}])
    reply = await ada.command(f"/imagine prompt:a red house {QUICK} seed:7")
    _, pictures = await painted(ada, reply)
    assert len(pictures) == 1


async def test_job_whose_acknowledgement_failed_is_none(studio: Studio, ada: Member) -> None:
    before = jobs(studio)
    for fault in ({"cut": "before"}, {"status": 404, "code": 10062}):
        await ada.faults(failures=[CALLBACK | fault])
        refused = await ada.command(f"/imagine prompt:a red house {QUICK}")
        assert refused.state == "failed"
        await ada.faults(failures=[])
        # One that is accepted comes after it.
        await painted(ada, await ada.command(f"/imagine prompt:a blue boat {QUICK}"))
    assert jobs(studio) == before + 2


async def test_member_who_was_told_gets_a_picture_however_soon_the_bot_is_killed(studio: Studio, ada: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a red house {QUICK} seed:8")
    await studio.stop(signal.SIGKILL)
    await studio.start()
    await painted(ada, reply)


async def test_upload_that_was_being_read_at_a_kill_is_withdrawn_in_words_or_done(studio: Studio, ada: Member) -> None:
    reply = await ada.command("/upscale", {"factor": 2}, files={"image": ("boats.png", png(render(BOATS, 256)))})
    await studio.stop(signal.SIGKILL)
    await studio.start()
    message = await finished(ada, reply)
    assert "send the command again" in text_of(message) or await ada.pictures(message)


async def test_result_goes_to_the_channel_where_the_reply_is_closed(studio: Studio, ada: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a green tree {LONG} seed:31")
    await ada.faults(failures=[EDIT | {"status": 403, "code": 50001, "times": None}])
    try:
        message = await newest(ada, lambda one: f"#{number(reply.message)} " in text_of(one) and has_button(one, "V1"))
    finally:
        await ada.faults(failures=[])
    assert message["id"] != reply.message["id"]
    assert len(await ada.pictures(message)) == 4
    # What stands under it works as under a reply, and it is the job's message now.
    await ada.click(message, "Delete", until="acknowledged")
    await gone(ada, message)


async def test_result_goes_to_the_member_where_the_channel_is_closed_too(studio: Studio, ada: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a green tree {LONG} seed:32")
    send = {"method": "POST", "route": f"/channels/{reply.message['channel_id']}/messages"}
    await ada.faults(
        failures=[
            EDIT | {"status": 403, "code": 50001, "times": None},
            send | {"status": 403, "code": 50013, "times": None},
        ]
    )
    try:
        message = await newest(ada, lambda one: f"#{number(reply.message)} " in text_of(one) and has_button(one, "V1"))
    finally:
        await ada.faults(failures=[])
    assert message["channel_id"] != reply.message["channel_id"]
    assert len(await ada.pictures(message)) == 4
    [(way,)] = rows(studio, f"SELECT delivered_to FROM job WHERE id = {number(message)}")
    assert way == "member"


async def test_deleting_the_message_deletes_the_job_and_its_pictures(
    studio: Studio, ada: Member, grace: Member
) -> None:
    before = files(studio)
    first, second = [
        (await painted(ada, await ada.command(f"/imagine prompt:a star {QUICK} seed:{seed}")))[0] for seed in (501, 502)
    ]
    assert files(studio) == before + 2
    await grace.delete(first)
    await grace.delete_many([second])
    async with asyncio.timeout(30):
        while files(studio) != before:  # noqa: ASYNC110 - looks at another process's folder
            await asyncio.sleep(0.05)
    assert rows(studio, f"SELECT id FROM job WHERE id IN ({number(first)}, {number(second)})") == []


async def test_deleting_the_message_stops_what_is_being_painted(studio: Studio, ada: Member, grace: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a star {LONG} seed:600")
    message = await ada.wait_for(reply.message, lambda one: "▰" in text_of(one))
    await grace.delete(message)
    await painted(ada, await ada.command(f"/imagine prompt:a fish {QUICK}"))
    assert rows(studio, f"SELECT id FROM job WHERE id = {number(message)}") == []


async def test_delete_pressed_twice_and_by_two_people_is_no_error(studio: Studio, ada: Member, grace: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a star {QUICK} seed:700"))
    await asyncio.gather(
        *(member.click(message, "Delete", until="acknowledged") for member in (ada, ada, grace)),
        return_exceptions=True,
    )
    await gone(ada, message)
    async with asyncio.timeout(10):
        state = await ada.state()
    assert not [one for one in state["messages"] if "went wrong" in text_of(one)]


async def test_private_thread_and_other_server_keep_their_jobs(studio: Studio, ada: Member) -> None:
    await ada.create_channel("secret", type="private_thread", parent="pictures", members=["Ada"])
    async with Member(studio.sandbox.url, "Ada", "secret") as inside, Member(studio.sandbox.url, "Linus") as linus:
        message, _ = await painted(inside, await inside.command(f"/imagine prompt:a star {QUICK} seed:800"))
        refused = await linus.command(f"/reroll job:{number(message)}")
        assert is_private(refused)
        assert "There is no job" in text_of(refused.message)
        await painted(ada, await ada.command(f"/reroll job:{number(message)}"))


async def test_what_was_made_in_an_age_restricted_channel_is_not_pulled_into_another(
    studio: Studio, ada: Member
) -> None:
    async with Member(studio.sandbox.url, "Ada", "after-dark") as adult:
        message, _ = await painted(adult, await adult.command(f"/imagine prompt:a star {QUICK} seed:850"))
        for command in ("/reroll", "/upscale"):
            refused = await ada.command(f"{command} job:{number(message)}")
            assert "There is no job" in text_of(refused.message)
        await painted(adult, await adult.command(f"/reroll job:{number(message)}"))


async def test_buttons_of_a_command_that_is_closed_to_a_member_are_closed_too(studio: Studio, ada: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a star {QUICK} seed:900"))
    async with Member(studio.sandbox.url, "Linus") as linus, Member(studio.sandbox.url, "Barbara") as barbara:
        await barbara.permit("imagine", {"member": "Linus", "allow": False})
        refused = await linus.click(message, "V1")
        assert "You may not use /imagine here" in text_of(refused.message)
        await barbara.permit("imagine")
        await painted(linus, await linus.click(message, "V1"))


async def test_nobody_else_can_read_what_the_bot_keeps(studio: Studio, ada: Member) -> None:
    await painted(ada, await ada.command(f"/imagine prompt:a star {QUICK} seed:950"))
    kept = [studio.data, *studio.data.rglob("*")]
    assert len(kept) > 5
    assert not [path for path in kept if path.stat().st_mode & 0o077]
