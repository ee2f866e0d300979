"""Programs ask for pictures by a member's key: OpenAI's own client against the real bot and the real engine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from aiohttp import web
from PIL import Image

from bot import folder
from bot.pictures import manifests
from sandbox.client.member import Member, text_of
from sandbox.community.beginning import ADA_ID, GUILD_ID, PICTURES_ID
from starter.render import render
from tests.bot.test_watching import free_address
from tests.e2e.asking import BOATS, is_private, painted, picture, png
from tests.e2e.conftest import ROOT, Studio, running
from tests.e2e.test_settings import fill, held, member, opened, use

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADDRESS = free_address()
SMALL = {"steps": 2, "seed": 7}
UNSAFE = "a large red mushroom on a meadow by day, flat style"
"""What the starter's checker withholds."""
HOUSE = "a red house on a meadow at night"

barbara = member("Barbara")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def public() -> AsyncIterator[str]:
    """The address of a proxy that stands before it, which does not say that it is one."""

    async def passed_on(request: web.Request) -> web.Response:
        url = f"http://{ADDRESS}{request.path.removeprefix('/easel')}"
        given: Any = {"data": await request.read(), "headers": request.headers}
        async with aiohttp.ClientSession() as session, session.request(request.method, url, **given) as got:
            return web.Response(status=got.status, body=await got.read(), content_type=got.content_type)

    app = web.Application()
    app.router.add_route("*", "/easel/{rest:.*}", passed_on)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/easel"
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(public: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """A bot that serves programs, with a second model that is checked."""
    there: Path = tmp_path_factory.mktemp("serving")
    catalogue = (ROOT / "models.toml").read_text(encoding="utf-8").replace('path = "', f'path = "{ROOT}/')
    starter = catalogue[catalogue.index("[models.starter]") :].partition("\n\n")[0]
    checked = starter.replace("[models.starter]", "[models.checked]").replace('"none"', '"starter"')
    (there / "models.toml").write_text(f"{catalogue}\n{checked}")
    (there / "styles.toml").write_text((ROOT / "styles.toml").read_text(encoding="utf-8"))
    environ = {"EASEL_SERVE": str(ADDRESS), "EASEL_SERVE_URL": public, "EASEL_MODELS": str(there / "models.toml")}
    async with running(there / "data", **environ) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secret(studio: Studio) -> str:
    async with Member(studio.sandbox.url, "Ada") as ada:
        return await new_key(ada, "laptop")


@pytest_asyncio.fixture(loop_scope="module")
async def program(secret: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client(secret) as opened:
        yield opened


def client(secret: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=secret, base_url=f"http://{ADDRESS}/v1", max_retries=0, timeout=120)


async def new_key(of: Member, name: str) -> str:
    reply = await of.command(f"/key name:{name}")
    assert is_private(reply)
    assert re.search(r"`http://127\.0\.0\.1:\d+/easel/v1`", text_of(reply.message))
    found = re.search(r"easel-[\w-]{43}", text_of(reply.message))
    assert found is not None
    return found[0]


def pixels(item: Any) -> bytes:
    return base64.b64decode(item.b64_json)


def jobs(studio: Studio) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(studio.data / folder.DATABASE)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM job ORDER BY id")]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 — it is looked up in the bot's database
            await asyncio.sleep(0.05)


async def refused(kind: type[openai.APIStatusError], asking: Any) -> openai.APIStatusError:
    with pytest.raises(kind) as caught:
        await asking
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    return caught.value


async def test_a_program_gets_what_its_member_gets_in_discord(
    studio: Studio, program: openai.AsyncOpenAI, ada: Member
) -> None:
    answer = await program.images.generate(prompt=HOUSE, n=2, extra_body=SMALL)
    assert answer.data is not None
    assert [picture(pixels(one)).size for one in answer.data] == [(256, 256)] * 2
    assert [one.seed for one in answer.data] == [7, 8]  # type: ignore[attr-defined]
    # It goes out as to Discord: signed, with its recipe.
    assert manifests.bears(pixels(answer.data[0]))
    assert HOUSE in picture(pixels(answer.data[0])).info["parameters"]
    # And it is the same: the member's own command makes these very bytes.
    _, shown = await painted(ada, await ada.command(f"/imagine prompt:{HOUSE} seed:7 steps:2 count:2"))
    assert shown == [manifests.bare(pixels(one)) for one in answer.data]
    # Their history has both.
    history = await ada.command("/history")
    assert f"#{answer.job}" in text_of(history.message)  # type: ignore[attr-defined]
    first, second = jobs(studio)[:2]
    assert (first["member_id"], first["guild_id"], first["channel_id"]) == (
        second["member_id"],
        second["guild_id"],
        second["channel_id"],
    )
    assert first["delivered_at"] is not None
    assert (first["message_id"], first["key_id"]) == (None, 1)


async def test_sizes_formats_and_easels_own_options_count(program: openai.AsyncOpenAI) -> None:
    answer = await program.images.generate(
        prompt="a boat",
        model="starter",
        size="64x96",
        output_format="webp",
        output_compression=40,
        extra_body={**SMALL, "negative_prompt": "fog", "style": "flat", "guidance": 3},
    )
    assert answer.data is not None
    made = picture(pixels(answer.data[0]))
    assert (made.format, made.size, answer.size) == ("WEBP", (256, 384), "256x384")
    assert manifests.bears(pixels(answer.data[0]))
    jpeg = await program.images.generate(prompt="a boat", output_format="jpeg", size="auto", extra_body=SMALL)
    assert jpeg.data is not None
    assert picture(pixels(jpeg.data[0])).format == "JPEG"
    listed = [one.id async for one in program.models.list()]
    assert "starter" in listed
    assert (await program.models.retrieve("starter")).owned_by == "easel"


async def test_what_cannot_be_is_told_as_openai_tells_it(studio: Studio, program: openai.AsyncOpenAI) -> None:
    before = len(jobs(studio))
    ask = program.images.generate
    async with client("easel-nonsense") as stranger:
        error = await refused(openai.AuthenticationError, stranger.images.generate(prompt="a house"))
        assert error.body["code"] == "invalid_api_key"  # type: ignore[index]
    error = await refused(openai.NotFoundError, ask(prompt="a house", model="dall-e-9"))
    assert (error.body["param"], error.body["code"]) == ("model", "model_not_found")  # type: ignore[index]
    assert "dall-e-9" in error.body["message"]  # type: ignore[index]
    for param, wrong in {
        "size": {"size": "63x64"},
        "n": {"n": 99},
        "steps": {"extra_body": {"steps": 100_000}},
        "seed": {"extra_body": {"seed": -1}},
        "quality": {"quality": "hd"},
        "output_format": {"output_format": "gif"},
        "partial_images": {"partial_images": 2},
        "wobble": {"extra_body": {"wobble": 1}},
        "prompt": {"prompt": " "},
        "strength": {"extra_body": {"strength": 0.5}},
    }.items():
        error = await refused(openai.BadRequestError, ask(**({"prompt": "a house"} | wrong)))  # type: ignore[call-overload]
        assert error.body["param"] == param, error.body  # type: ignore[index]
        assert error.body["type"] == "invalid_request_error"  # type: ignore[index]
    async with aiohttp.ClientSession(f"http://{ADDRESS}") as session:
        for method, path, status in (
            ("GET", "/v1/images/generations", 405),
            ("OPTIONS", "/v1/images/generations", 405),
            ("GET", "/nowhere", 404),
            ("GET", "/v1/models", 401),
            # By whatever name a page leads a browser here, it has no key.
            ("GET", "/v1/pictures/1-1-0-100-9999999999-" + "0" * 64 + ".png", 404),
        ):
            async with session.request(
                method, path, headers={"Origin": "https://example.org", "Host": "a.example.org"}
            ) as response:
                assert response.status == status, path
                assert set((await response.json())["error"]) == {"message", "type", "param", "code"}
                assert not [name for name in response.headers if name.lower().startswith("access-control")]
    # Nothing of it is left: neither a job nor a place in the queue that is taken.
    assert len(jobs(studio)) == before


async def test_rules_of_the_server_hold_for_programs(
    studio: Studio, program: openai.AsyncOpenAI, barbara: Member
) -> None:
    words = await use(barbara, await opened(barbara), "settingpick", "words")
    await fill(barbara, words, "blockwords", {"words": "turnip"})
    error = await refused(openai.BadRequestError, program.images.generate(prompt="a turnip", extra_body=SMALL))
    assert (error.body["code"], error.body["param"]) == ("moderation_blocked", "prompt")  # type: ignore[index]
    asking = program.images.generate(prompt=UNSAFE, model="checked", extra_body={"seed": 1})
    error = await refused(openai.BadRequestError, asking)
    assert error.body["code"] == "moderation_blocked"  # type: ignore[index]
    failed = jobs(studio)[-1]
    assert (failed["state"], failed["failure_kind"]) == ("failed", "unsafe")
    assert failed["delivered_at"] is not None


async def test_who_may_not_ask_in_discord_may_not_ask_by_a_key(
    studio: Studio, program: openai.AsyncOpenAI, barbara: Member
) -> None:
    panel = await use(barbara, await opened(barbara), "settingpick", "members")
    panel = await use(barbara, panel, "blockmember", str(ADA_ID))
    try:
        error = await refused(openai.PermissionDeniedError, program.images.generate(prompt="a boat", extra_body=SMALL))
        assert error.body["code"] == "not_allowed"  # type: ignore[index]
        assert "blocked you" in error.body["message"]  # type: ignore[index]
        await refused(openai.PermissionDeniedError, program.models.list())
    finally:
        await use(barbara, panel, "blockmember", str(ADA_ID))
    assert await program.models.list()


async def test_an_address_leads_to_the_picture_until_the_key_is_revoked(public: str, ada: Member) -> None:
    async with client(await new_key(ada, "elsewhere")) as elsewhere:
        answer = await elsewhere.images.generate(
            prompt=HOUSE, response_format="url", output_format="jpeg", extra_body=SMALL
        )
        assert answer.data is not None
        [url] = [str(one.url) for one in answer.data]
        assert url.startswith(f"{public}/v1/pictures/")
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as response:
                assert (response.status, response.content_type) == (200, "image/jpeg")
                assert picture(await response.read()).size == (256, 256)
            last = "1" if url[-5] == "0" else "0"
            for other in (
                url.replace("-0-100-", "-0-99-"),
                f"{url[:-5]}{last}.jpg",
                url.replace(".jpg", ".png"),
                url + "x",
            ):
                async with session.get(other) as response:
                    assert response.status == 404, other
            panel = (await ada.command("/key")).message
            assert "elsewhere" in text_of(panel)
            assert "laptop" in text_of(panel)
            [number] = re.findall(r"#(\d+) elsewhere", text_of(panel))
            await ada.click(panel, "easel:new:keyrevoke:", [number], until="acknowledged")
            async with session.get(url) as response:
                assert response.status == 404
        await refused(openai.AuthenticationError, elsewhere.images.generate(prompt=HOUSE))
    assert "elsewhere" not in text_of((await ada.command("/key")).message)


async def test_places_are_the_members_and_who_hangs_up_gives_theirs_back(
    studio: Studio, program: openai.AsyncOpenAI
) -> None:
    before = len(jobs(studio))

    def states() -> list[str]:
        return [row["state"] for row in jobs(studio)[before:]]

    with held(studio):
        asking = []
        for number in range(6):
            # Of other steps each, so that none rides along with the one that runs.
            how: Any = "url" if number < 2 else "b64_json"
            asked = program.images.generate(prompt="a house", response_format=how, extra_body={"steps": 3 + number})
            asking.append(asyncio.create_task(asked))
            await until(lambda: len(states()) == len(asking) and states()[0] == "running")
        await until(lambda: states()[1:] == ["queued"] * 5)
        error = await refused(openai.RateLimitError, program.images.generate(prompt="one more"))
        assert error.body["code"] == "rate_limit_exceeded"  # type: ignore[index]
        assert 0 < int(error.response.headers["Retry-After"]) <= 60
        for task in asking:
            task.cancel()
        # What is given in the answer is wanted by nobody any more; what is given as an address goes on.
        await until(lambda: states()[2:] == ["cancelled"] * 4)
    await until(lambda: states()[:2] == ["finished"] * 2)
    await until(lambda: all(row["delivered_at"] is not None for row in jobs(studio)[before:]))


async def test_with_its_key_ends_what_was_asked_by_it(studio: Studio, ada: Member) -> None:
    before = len(jobs(studio))

    def states() -> list[str]:
        return [row["state"] for row in jobs(studio)[before:]]

    with held(studio):
        async with client(await new_key(ada, "stolen")) as thief:
            asking = []
            for number, how in enumerate(("b64_json", "url", "b64_json")):
                given: Any = {"response_format": how, "stream": number == 2, "extra_body": {"steps": 3 + number}}
                asking.append(asyncio.create_task(thief.images.generate(prompt="a house", **given)))
                await until(lambda: len(states()) == len(asking) and states()[0] == "running")
            # A stream begins before its job ends.
            stream = await asking.pop()
            panel = (await ada.command("/key")).message
            [number] = re.findall(r"#(\d+) stolen", text_of(panel))
            await ada.click(panel, "easel:new:keyrevoke:", [number], until="acknowledged")
            await until(lambda: states()[1:] == ["cancelled"] * 2)
            with pytest.raises(openai.APIError, match="cancelled"):
                _ = [event async for event in stream]
            assert jobs(studio)[before]["cancelling"]
    for ended in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(ended, openai.BadRequestError | openai.APIConnectionError)
    await until(lambda: states() == ["cancelled"] * 3)


async def test_pictures_come_as_they_are_painted(program: openai.AsyncOpenAI) -> None:
    stream = await program.images.generate(
        prompt=HOUSE, stream=True, partial_images=2, n=2, extra_body={"seed": 11, "steps": 40}
    )
    events = [event async for event in stream]
    kinds = [event.type for event in events]
    assert kinds[-2:] == ["image_generation.completed"] * 2
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    assert 1 <= len(partial) <= 2
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert all(picture(pixels(event)).format == "WEBP" == event.output_format.upper() for event in partial)
    assert [picture(pixels(event)).size for event in events[-2:]] == [(256, 256)] * 2
    # Once a stream has begun an error is one of its events.
    stream = await program.images.generate(prompt=UNSAFE, model="checked", stream=True, extra_body={"seed": 1})
    with pytest.raises(openai.APIError, match="safety"):
        _ = [event async for event in stream]


def boats(hole: tuple[int, int, int, int] | None = None) -> bytes:
    image = render(BOATS, 64).convert("RGBA")
    if hole is not None:
        image.paste((0, 0, 0, 0), hole)
    return png(image)


async def test_a_part_of_a_picture_is_painted_anew(studio: Studio, program: openai.AsyncOpenAI) -> None:
    hole = (0, 0, 32, 64)
    answer = await program.images.edit(
        image=("boats.png", boats()),
        mask=("mask.png", boats(hole)),
        prompt="a yellow star at night",
        extra_body={"seed": 5, "steps": 4},
    )
    assert answer.data is not None
    made, before = picture(pixels(answer.data[0])).convert("RGB"), render(BOATS, 64)
    # What is not transparent in the mask stays bit for bit; the rest does not.
    kept = (32, 0, 64, 64)
    assert made.crop(kept).tobytes() == before.crop(kept).tobytes()
    assert made.crop(hole).tobytes() != before.crop(hole).tobytes()
    # The same where the picture itself has the hole.
    alone = await program.images.edit(
        image=("boats.png", boats(hole)), prompt="a yellow star at night", extra_body={"seed": 5, "steps": 4}
    )
    assert alone.data is not None
    row = jobs(studio)[-1]
    assert '"mask":{' in row["request"]
    # Without any hole painting begins from it.
    whole = await program.images.edit(
        image=("boats.png", boats()), prompt="a yellow star", extra_body={"seed": 5, "steps": 4, "strength": 0.5}
    )
    assert whole.data is not None
    row = jobs(studio)[-1]
    assert '"strength":0.5' in row["request"]
    assert '"mask":{' not in row["request"]
    stream = await program.images.edit(
        image=[("boats.png", boats())], prompt="a yellow star", stream=True, partial_images=1, extra_body=SMALL
    )
    assert [event.type async for event in stream][-1] == "image_edit.completed"


async def test_pictures_that_cannot_be_edited_are_refused_and_leave_nothing(
    studio: Studio, program: openai.AsyncOpenAI
) -> None:
    before = len(jobs(studio))
    small = png(Image.new("RGBA", (32, 32)))
    for given, param in (
        ({"image": ("a.png", b"no picture")}, None),
        ({"image": ("a.png", boats()[:300])}, None),
        ({"image": ("a.png", boats()), "mask": ("m.png", small)}, "mask"),
        ({"image": ("a.png", boats()), "mask": ("m.png", boats())}, None),
        ({"image": ("a.png", boats()), "extra_body": {"wobble": "1"}}, "wobble"),
        ({"image": ("a.png", boats()), "n": 99}, "n"),
    ):
        error = await refused(openai.BadRequestError, program.images.edit(prompt="a star", **given))
        assert error.body["param"] == param, error.body  # type: ignore[index]
    assert len(jobs(studio)) == before
    assert not [file for file in (studio.data / "incoming").rglob("*.upload") if file.is_file()]


async def test_after_a_restart_only_what_lasts_goes_on(studio: Studio, program: openai.AsyncOpenAI) -> None:
    before = len(jobs(studio))
    with held(studio):
        asking = [
            asyncio.create_task(
                program.images.generate(prompt=f"a boat {kind}", response_format=kind, extra_body=SMALL)
            )
            for kind in ("b64_json", "url")
        ]
        await until(lambda: len([row for row in jobs(studio)[before:] if row["state"] in ("queued", "running")]) == 2)
        engines = studio.engines()
        await studio.stop(signal.SIGKILL)
        for engine in engines:
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
    assert all(
        isinstance(one, openai.APIConnectionError) for one in await asyncio.gather(*asking, return_exceptions=True)
    )
    await studio.start()
    await until(lambda: all(row["delivered_at"] is not None for row in jobs(studio)[before:]))
    ended = {row["lasts"]: row["state"] for row in jobs(studio)[before:]}
    assert ended == {0: "cancelled", 1: "finished"}


async def test_the_operator_makes_keys_and_erasure_takes_all(studio: Studio, ada: Member) -> None:
    arguments = ("--member", str(ADA_ID), "--server", str(GUILD_ID), "--channel", str(PICTURES_ID))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "key", *arguments),
        cwd=ROOT,
        env={"EASEL_DATA": str(studio.data), "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    async with client(printed.decode().strip()) as program:
        assert (await program.images.generate(prompt="a boat", extra_body=SMALL)).data
        panel = (await ada.command("/privacy")).message
        await ada.click(panel, "Erase everything…", until="acknowledged")
        asked = await ada.wait_for(panel, lambda message: "Erase everything?" in text_of(message))
        await ada.click(asked, "Erase everything", until="acknowledged")
        await ada.wait_for(panel, lambda message: "Everything is erased" in text_of(message))
        await refused(openai.AuthenticationError, program.images.generate(prompt="a boat"))
    assert not await studio.problems()
