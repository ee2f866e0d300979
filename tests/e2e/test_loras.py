"""What members have trained, from where it lands to its erasure: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from inference.protocol import LORAS
from sandbox.client.member import Json, Member, buttons_of, text_of
from sandbox.community.beginning import ADA_ID, GENERAL_ID, GUILD_ID
from tests.bot.test_watching import free_address
from tests.e2e import trained
from tests.e2e.asking import QUICK, finished, is_private, painted, picture
from tests.e2e.conftest import Studio, running
from tests.e2e.test_serving import pixels
from tests.e2e.test_settings import opened, use

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADDRESS = free_address()
EXTRA = {"steps": 4, "seed": 7, "lora": "brush:0.8"}
PAINT = f"/imagine prompt:a red house {QUICK} seed:7"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """As everywhere, but Ada has trained something."""
    data: Path = tmp_path_factory.mktemp("loras")
    await trained.ended(data, ADA_ID, GUILD_ID, "brush", "adastyle")
    async with running(data, EASEL_SERVE=str(ADDRESS)) as opened_:
        yield opened_


def member(name: str, channel: str = "") -> object:
    @pytest_asyncio.fixture(loop_scope="module", name=name.lower())
    async def fixture(studio: Studio) -> AsyncIterator[Member]:
        async with Member(studio.sandbox.url, name, channel) as opened_:
            yield opened_

    return fixture


barbara = member("Barbara")


async def offered(who: Member) -> list[str]:
    """What is offered as a LoRA."""
    return [str(choice["value"]) for choice in await who.complete("imagine", "lora", lora="")]


def files(studio: Studio) -> list[Path]:
    """All that lies in the folder."""
    return [file for file in (studio.data / LORAS).rglob("*") if file.is_file()]


async def page_of(who: Member, menu: str) -> Json:
    """The page of Ada's LoRA, by the menu of one's own or that of the server."""
    home = (await who.command("/loras")).message
    reply = await who.click(home, f"easel:new:lorapick:{menu}", ["1"], until="acknowledged")
    await who.settled(reply, quiet_s=0.3)
    return await who.wait_for(home, lambda now: now["revision"] > home["revision"])


def client(secret: str) -> openai.AsyncOpenAI:
    """A program that has this key."""
    return openai.AsyncOpenAI(api_key=secret, base_url=f"http://{ADDRESS}/v1", max_retries=0, timeout=120)


async def new_key(of: Member, name: str) -> str:
    """A new key of a member's."""
    found = re.search(r"easel-[\w-]{43}", text_of((await of.command(f"/key name:{name}")).message))
    assert found is not None
    return found[0]


async def rerolled(who: Member, message: Json) -> str:
    """What is said to a member alone who presses Re-roll."""
    reply = await who.click(message, "Re-roll")
    assert is_private(reply)
    return text_of(reply.message)


async def heard(who: Member, channel: int | None = None) -> list[str]:
    """The texts of all messages that a member sees, or of those in this channel."""
    seen = (await who.state())["messages"]
    return [text_of(one) for one in seen if channel is None or one["channel_id"] == str(channel)]


async def pressed(who: Member, page: Json, custom_id: str) -> Json:
    """A page after one of its buttons was pressed."""
    await who.click(page, custom_id, until="acknowledged")
    return await who.wait_for(page, lambda now: now["revision"] > page["revision"])


async def test_a_lora_from_its_landing_to_its_end(
    studio: Studio, ada: Member, grace: Member, linus: Member, barbara: Member
) -> None:
    # It has landed by itself, and its owner paints with it at once.
    async with asyncio.timeout(60):
        while "brush:0.8" not in await offered(ada):  # noqa: ASYNC110 — nobody else tells of it
            await asyncio.sleep(0.2)
    assert "brush:0.8" not in await offered(linus)
    assert len(files(studio)) == 2, "both layouts are the same file here"
    assert "adastyle" in text_of((await ada.command("/models")).message)
    _, [plain] = await painted(ada, await ada.command(PAINT))
    message, [own] = await painted(ada, await ada.command(f"{PAINT} lora:brush"))
    assert "brush 0.8" in text_of(message)
    _, [catalogue] = await painted(ada, await ada.command(f"{PAINT} lora:neon:0.8"))
    assert own != plain
    assert len(own) > 0
    assert catalogue != own, "its recipe says another name"
    # To others it is nothing, by name, by a tag or by a button under what its owner has made.
    refused = await linus.command(f"{PAINT} lora:brush")
    assert is_private(refused)
    assert "no LoRA called" in text_of(refused.message)
    assert "no LoRA called" in text_of((await linus.command(f"{PAINT.replace('house', 'house <lora:brush>')}")).message)
    assert "not shared here" in await rerolled(linus, message)
    # She wants to share it: moderators are asked in their channel.
    shown = await use(barbara, await opened(barbara), "settingpick", "log")
    await use(barbara, shown, "settingchoose", str(GENERAL_ID))
    page = await page_of(ada, "own")
    for said in ("adastyle", "mine", "CC0", "only for its owner"):
        assert said in text_of(page)
    page = await pressed(ada, page, "easel:new:lorashare:server:1")
    assert "waits for the moderators" in text_of(page)
    question = await _question(grace)
    assert any("adastyle" in text for text in await heard(grace, GENERAL_ID))
    assert "adastyle" in text_of(question)
    assert await grace.pictures(question), "its preview"
    refused = await linus.click(question, "easel:new:loradecide:usable:1")
    assert "not yours to look after" in text_of(refused.message)
    assert "not shared here" in await rerolled(linus, message)
    await grace.click(question, "easel:new:loradecide:usable:1")
    await grace.wait_for(question, lambda now: not buttons_of(now))
    async with Member(studio.sandbox.url, "Ada", "@easel") as alone, asyncio.timeout(30):
        while "brush (Easel Studio): shared with this server" not in await heard(alone):  # noqa: ASYNC110 — nobody else tells of it
            await asyncio.sleep(0.2)
    # Now everybody here paints with it, and it is the same.
    assert "brush:0.8" in await offered(linus)
    shared, [same] = await painted(linus, await linus.command(PAINT.replace("house", "house <lora:brush:0.8>")))
    assert same == own
    again = await linus.click(message, "Re-roll")
    await painted(linus, again)
    # So do programs, by the keys of those who may.
    async with client(await new_key(linus, "laptop")) as program:
        answer = await program.images.generate(prompt="a red house", extra_body=EXTRA)
    [item] = answer.data or []
    assert picture(pixels(item)).tobytes() == picture(own).tobytes()
    # In another server nobody does.
    async with Member(studio.sandbox.url, "Alan") as alan:
        assert "brush:0.8" not in await offered(alan)
    # The moderators take it back, and let it be shared again; the audit knows.
    looked = await page_of(grace, "server")
    looked = await pressed(grace, looked, "easel:new:loradecide:refused:1")
    assert "do not let it be shared" in text_of(looked)
    assert "not shared here" in await rerolled(linus, shared)
    async with client(await new_key(linus, "desk")) as program:
        with pytest.raises(openai.BadRequestError, match="no LoRA called"):
            await program.images.generate(prompt="a red house", extra_body=EXTRA)
    await pressed(grace, looked, "easel:new:loradecide:usable:1")
    audit = text_of((await grace.settled(await grace.command("/audit"), quiet_s=0.3)).messages[-1])
    assert "was allowed to share a LoRA" in audit
    assert "was not allowed to share a LoRA" in audit
    # Where the server says so whoever has trained one shares it at once.
    shown = await use(barbara, await opened(barbara), "settingpick", "sharing")
    await use(barbara, shown, "settingchoose", "free")
    page = await pressed(ada, await page_of(ada, "own"), "easel:new:lorashare:own:1")
    assert "brush:0.8" not in await offered(linus)
    page = await pressed(ada, page, "easel:new:lorashare:server:1")
    assert "brush:0.8" in await offered(linus)
    # Whoever is asked whether it is really to go is not shown its preview any more.
    asked = await pressed(ada, page, "easel:new:loraremove:1")
    assert "Delete brush?" in text_of(asked)
    assert await ada.pictures(page)
    assert asked["attachments"] == []
    page = await page_of(ada, "own")
    # Its owner takes it along.
    reply = await ada.click(page, "easel:new:loraload:1", until="acknowledged")
    sent = [one for one in (await ada.settled(reply, quiet_s=1)).messages if one["attachments"]]
    names = [attachment["filename"] for one in sent for attachment in one["attachments"]]
    assert {"brush.safetensors", "brush.kohya.safetensors"} <= set(names)
    # Once she is erased, nothing of it is left, and what others painted with it says so.
    data = (await ada.command("/privacy")).message
    data = await pressed(ada, data, "easel:new:askerase:")
    await ada.click(data, "easel:new:erase:", until="acknowledged")
    await ada.wait_for(data, lambda now: "Everything is erased" in text_of(now), timeout_s=60)
    assert files(studio) == []
    async with asyncio.timeout(30):
        # The question tells of her.
        while any("adastyle" in text for text in await heard(grace, GENERAL_ID)):  # noqa: ASYNC110 — nobody else tells of it
            await asyncio.sleep(0.2)
    assert "is gone" in await rerolled(linus, shared)
    assert "brush:0.8" not in await offered(linus)
    with contextlib.closing(sqlite3.connect(studio.data / "easel.sqlite3")) as database:
        for table in ("lora", "lora_file", "landing", "training"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    # Nothing lands again, and everybody else is painted for.
    await studio.stop()
    await studio.start()
    await finished(linus, await linus.command(PAINT))
    assert files(studio) == []
    assert await studio.problems() == []


async def _question(moderator: Member) -> Json:
    async with asyncio.timeout(60):
        while True:
            for message in (await moderator.state())["messages"]:
                if any("loradecide" in str(button["custom_id"]) for button in buttons_of(message)):
                    return message
            await asyncio.sleep(0.2)
