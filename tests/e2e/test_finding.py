"""What members find again: real bot, real engine, the sandbox as Discord, members of different roles."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inference.protocol import sha256_of
from sandbox.client.member import Json, Member, Reply, buttons_of, text_of
from sandbox.community.beginning import GUILD_ID, PICTURES_ID
from sandbox.limits.components import walk
from tests.e2e.asking import QUICK, finished, gone, has_button, is_private, number, painted, said, unsigned
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "steps:50 count:4"

PICTURES = f"{GUILD_ID}/{PICTURES_ID}"
"""The channel, as Discord's links name it."""


async def shown(member: Member, name: str, /, **options: object) -> Json:
    """What a command shows to its member alone, once it stands there."""
    reply = await member.command(name, options)
    assert is_private(reply)
    return await member.wait_for(reply.message, lambda message: message["components"])


async def turned(member: Member, message: Json, button: str, values: list[str] | None = None) -> Json:
    """A page after one of its buttons was pressed, which stands in the same message."""
    await member.click(message, button, values, until="acknowledged")
    return await member.wait_for(message, lambda now: now["revision"] > message["revision"])


async def refreshed(member: Member, message: Json, condition: Callable[[str], bool]) -> Json:
    """The queue as soon as it reads so, which is looked at again."""
    await member.click(message, "Refresh", until="acknowledged")
    return await member.wait_for(message, lambda now: condition(text_of(now)))


async def opened(member: Member, message: Json, job: int) -> Json:
    """What is shown of a job that is chosen from the menu of a list."""
    [menu] = [one for one in walk(message["components"]) if one["type"] == 3]
    assert str(job) in [option["value"] for option in menu["options"]]
    reply = await member.click(message, menu["custom_id"], [str(job)])
    assert is_private(reply)
    return await member.wait_for(reply.message, lambda now: now["components"])


def disabled(message: Json) -> set[str]:
    return {str(button["label"]) for button in buttons_of(message) if button.get("disabled")}


def jobs_of(page: Json) -> list[int]:
    """The numbers in a list, as it stands."""
    [menu] = [one for one in walk(page["components"]) if one["type"] == 3] or [{"options": []}]
    return [int(option["value"]) for option in menu["options"]]


async def refused(member: Member, message: Json, custom_id: str, values: list[str] | None = None) -> str:
    """What is said to somebody who presses what was never shown to them."""
    reply = await member.forge_click(message, custom_id, values)
    assert is_private(reply)
    return text_of(reply.message)


async def test_history_is_searched_turned_and_gone_on_from_also_after_a_restart(studio: Studio, ada: Member) -> None:
    first, [data] = await painted(ada, await ada.command(f"/imagine prompt:一座红色的房子 {QUICK} seed:7"))
    for seed in range(7):
        await painted(
            ada, await ada.command(f"/imagine prompt:a blue boat *no* {QUICK} seed:{seed} width:32 height:32")
        )
    page = await shown(ada, "history")
    newest = jobs_of(page)
    assert newest == sorted(newest, reverse=True)
    assert len(newest) == 6 == len(await ada.pictures(page))
    assert all(small[8:12] == b"WEBP" for small in await ada.pictures(page))
    thumbnails = {item["description"] for item in walk(page["components"]) if item["type"] == 11}
    assert f"#{newest[0]} a blue boat *no*" in thumbnails
    assert r"**a blue boat \*no\***" in text_of(page)
    assert disabled(page) == {"Newest", "Newer"}

    await studio.stop()
    await studio.start()
    page = await turned(ada, page, "Older")
    assert jobs_of(page)[-1] == number(first)
    assert disabled(page) == {"Older"}
    assert len(await ada.pictures(page)) == len(jobs_of(page))
    page = await turned(ada, page, "Newer")
    assert jobs_of(page) == newest

    form = await ada.click(page, "Search")
    assert form.modal is not None
    await ada.submit(form, {"words": "色的房"}, until="acknowledged")
    page = await ada.wait_for(page, lambda message: "色的房" in text_of(message))
    assert jobs_of(page) == [number(first)]
    assert jobs_of(await shown(ada, "history", words="BLUE boa", command="imagine"))
    nothing = await shown(ada, "history", words="blue", command="upscale")
    assert "Nothing of that was found here" in text_of(nothing)

    job = await opened(ada, page, number(first))
    assert f"#{number(first)}" in text_of(job)
    assert await unsigned(ada, job) == [data]
    again, [same] = await painted(ada, await ada.click(job, "Same seed"))
    assert same == data
    rerolled, [other] = await painted(ada, await ada.click(job, "Re-roll"))
    assert other != data
    assert not is_private(Reply({"messages": [again]}))
    larger, _ = await said(ada, await ada.click(job, "U1"))
    await said(ada, await ada.click(job, "Describe"))

    family = await shown(ada, "show", job=number(first))
    for child, done in (
        (again, "painted again from the same seed"),
        (rerolled, "painted from another seed"),
        (larger, "enlarged 4×"),
    ):
        link = f"[#{number(child)}](https://discord.com/channels/{PICTURES}/{child['id']})"
        assert f"- {link} {done}" in text_of(family)
    down = await opened(ada, family, number(larger))
    assert f"1. **#{number(larger)}** enlarged 4×" in text_of(down)
    assert f"1. [#{number(first)}]" in text_of(down)

    # Delete takes along what was pressed, the job's own message, its picture and the thumbnail.
    await shown(ada, "history", words="色的房")
    assert sha256_of(other) in thumbnails_of(studio)
    await ada.click(await shown(ada, "show", job=number(rerolled)), "Delete", until="acknowledged")
    await gone(ada, rerolled)
    assert sha256_of(other) not in thumbnails_of(studio)
    await ada.click(family, "Delete", until="acknowledged")
    await gone(ada, first)
    assert number(first) not in jobs_of(await shown(ada, "history", words="色的房"))
    missing = await ada.command("show", {"job": number(first)})
    assert "There is no job" in text_of(missing.message)


def thumbnails_of(studio: Studio) -> set[str]:
    """The hashes of the pictures that have one on disk."""
    return {file.stem for file in (studio.data / "thumbnails").rglob("*.webp")}


async def test_one_picture_of_several_is_shown_with_what_can_be_done_to_it(ada: Member) -> None:
    message, pictures = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:40 count:3"))
    one = await shown(ada, "show", job=number(message), picture=2)
    assert await unsigned(ada, one) == [pictures[1]]
    labels = {str(button["label"]) for button in buttons_of(one)}
    assert labels >= {"U2", "V2", "★2", "Describe", "Re-roll", "Edit", "Delete", "Same seed"}
    assert not labels & {"U1", "V1", "★1", "U3", "V3", "★3"}
    every = await shown(ada, "show", job=number(message))
    assert await unsigned(ada, every) == pictures
    assert {str(button["label"]) for button in buttons_of(every)} >= {"D1", "D2", "D3", "★3"}
    _, text = await said(ada, await ada.click(one, "Describe"))
    assert "Detailed caption" in text
    none = await ada.command("show", {"job": number(message), "picture": 4})
    assert "there is no number 4" in text_of(none.message)


async def test_stars_are_each_members_own_and_go_with_the_job(ada: Member, linus: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:50 count:2"))
    starred = await linus.click(message, "★2")
    assert is_private(starred)
    assert f"Picture 2 of #{number(message)} is one of your favourites" in text_of(starred.message)
    page = await shown(linus, "history", favourites=True)
    assert jobs_of(page) == [number(message)]
    assert "★2" in text_of(page)
    assert jobs_of(await turned(linus, page, "Everything")) == []
    assert jobs_of(await shown(ada, "history", favourites=True)) == []
    off = await linus.click(message, "★2")
    assert "none of your favourites any more" in text_of(off.message)
    assert jobs_of(await shown(linus, "history", favourites=True)) == []
    await linus.click(message, "★1")
    await ada.click(message, "Delete", until="acknowledged")
    await gone(ada, message)
    assert jobs_of(await shown(linus, "history", favourites=True)) == []


async def test_what_was_made_elsewhere_stays_there(studio: Studio, ada: Member, linus: Member) -> None:
    url = studio.sandbox.url
    async with Member(url, "Ada", "after-dark") as ada_after_dark, Member(url, "Ada", "back-room") as ada_apart:
        dark, _ = await painted(ada_after_dark, await ada_after_dark.command(f"/imagine prompt:a dark boat {QUICK}"))
        apart, _ = await painted(ada_apart, await ada_apart.command(f"/imagine prompt:a boat apart {QUICK}"))
        await ada_after_dark.click(dark, "★ Favourite")
        assert jobs_of(await shown(ada_after_dark, "history", words="dark")) == [number(dark)]
        assert jobs_of(await shown(ada_after_dark, "history", favourites=True)) == [number(dark)]
    assert jobs_of(await shown(ada, "history", words="dark")) == []
    assert jobs_of(await shown(ada, "history", favourites=True)) == []
    assert jobs_of(await shown(ada, "history", words="apart")) == [number(apart)]
    page = await shown(linus, "history")
    for hidden in (dark, apart):
        job = number(hidden)
        reply = await linus.command("show", {"job": job})
        assert f"There is no job {job} here" in text_of(reply.message)
        assert "There is no job" in await refused(linus, page, "easel:new:show:", [str(job)])
        assert "not to be seen here" in await refused(linus, page, f"easel:new:dequeue:{job}:0")
        assert job not in [choice["value"] for choice in await linus.complete("show", "job", job=str(job))]
    theirs = await shown(ada, "history", words="apart")
    [older] = [button["custom_id"] for button in buttons_of(theirs) if button["label"] == "Older"]
    assert "too old" in await refused(linus, page, str(older))
    for nonsense in (
        "easel:new:history:",
        "easel:new:history:²:<1",
        f"easel:new:history:{'9' * 60}:",
        "easel:new:search:x",
    ):
        assert "too old" in await refused(linus, page, nonsense)


async def test_queue_is_ones_own_and_everybodys_for_moderators(
    studio: Studio, ada: Member, linus: Member, grace: Member
) -> None:
    running = await ada.command(f"/imagine prompt:a red house {LONG} seed:1")
    await ada.wait_for(running.message, lambda message: "▰" in text_of(message))
    waiting = await ada.command(f"/imagine prompt:a blue boat {LONG} seed:2")
    of_linus = await linus.command(f"/imagine prompt:a green tree {LONG} seed:3")
    own = await shown(ada, "queue")
    assert "running" in text_of(own)
    assert "in the queue" in text_of(own)
    assert "green tree" not in text_of(own)
    theirs = await shown(grace, "queue")
    assert "green tree" in text_of(theirs)
    assert "blue boat" in text_of(theirs)
    assert "<@" in text_of(theirs)
    seen = await shown(linus, "queue")
    assert "blue boat" not in text_of(seen)
    job = number(waiting.message)
    assert "This is not your job" in await refused(linus, seen, f"easel:new:dequeue:{job}:0")
    theirs = await turned(grace, theirs, f"easel:new:dequeue:{job}:0")
    await finished(ada, waiting)
    own = await refreshed(ada, own, lambda text: "blue boat" not in text)
    assert "has ended already" in await refused(grace, theirs, f"easel:new:dequeue:{job}:0")
    own = await turned(ada, own, f"easel:new:dequeue:{number(running.message)}:0")
    await linus.click(of_linus.message, "Cancel", until="acknowledged")
    for member, reply in ((ada, running), (linus, of_linus)):
        assert has_button(await finished(member, reply), "Try again")
    await refreshed(ada, own, lambda text: "None of your jobs" in text)


async def test_waiting_job_is_shown_with_its_place_and_can_be_cancelled_there(ada: Member) -> None:
    running = await ada.command(f"/imagine prompt:a red house {LONG} seed:1")
    await ada.wait_for(running.message, lambda message: "▰" in text_of(message))
    waiting = await ada.command(f"/imagine prompt:a blue boat {LONG} seed:2")
    assert "▱" in text_of(await shown(ada, "show", job=number(running.message)))
    card = await shown(ada, "show", job=number(waiting.message))
    assert "next in the queue" in text_of(card)
    for reply, message in ((waiting, card), (running, running.message)):
        await ada.click(message, "Cancel", until="acknowledged")
        await finished(ada, reply)


async def test_what_one_favours_is_said_offered_first_and_switched_off_by_a_press(linus: Member) -> None:
    for seed in range(3):
        options = {"prompt": "a boat", "style": "watercolour", "steps": 2, "seed": str(seed), "width": 32, "height": 32}
        await painted(linus, await linus.command("imagine", options))
    page = await shown(linus, "history")
    assert "You favour the style watercolour (3 of your last" in text_of(page)
    first, *others = await linus.complete("imagine", "style", style="")
    assert first["value"] == "watercolour"
    assert "of your last" in first["name"]
    assert others
    page = await turned(linus, page, "Stop suggesting")
    assert "You favour" not in text_of(page)
    assert all("of your last" not in choice["name"] for choice in await linus.complete("imagine", "style", style=""))
    page = await turned(linus, page, "Suggest again")
    assert "You favour" in text_of(page)


async def test_everything_said_to_discord_fits_its_own_description(studio: Studio) -> None:
    assert await studio.problems() == []
