"""Pictures are brought here from Discord, bounded whatever it says about them, and read in a child process."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from bot.errors import MemberError
from bot.pictures import downloads
from bot.pictures.downloads import fetch
from bot.pictures.posted import Posted
from bot.pictures.workers import UPLOADS, Workers


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, format="PNG")
    return stream.getvalue()


def posted(url: str, content_type: str | None = "image/png", size_bytes: int | None = 100) -> Posted:
    return Posted(url, "cat_*.png", content_type, size_bytes)


async def _picture(_: web.Request) -> web.Response:
    return web.Response(body=png())


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    piece = bytes(2**20)
    for _ in range(10_000):
        await response.write(piece)
    return response


async def _slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"x")
    await asyncio.sleep(600)
    return response


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"x")
    assert request.transport is not None
    request.transport.close()
    return response


async def _packed(_: web.Request) -> web.Response:
    return web.Response(body=b"\x1f\x8b not unpacked", headers={"Content-Encoding": "gzip"})


async def _gone(_: web.Request) -> web.Response:
    raise web.HTTPNotFound


async def _broken(_: web.Request) -> web.Response:
    raise web.HTTPBadGateway


async def _elsewhere(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://169.254.169.254/")


@pytest.fixture
async def cdn() -> AsyncIterator[str]:
    application = web.Application()
    for name, handler in {
        "picture": _picture,
        "endless": _endless,
        "slow": _slow,
        "cut": _cut,
        "packed": _packed,
        "gone": _gone,
        "broken": _broken,
        "elsewhere": _elsewhere,
    }.items():
        application.router.add_get(f"/{name}", handler)
    async with TestServer(application) as server:
        yield str(server.make_url("/"))


async def test_good_attachment_is_read_and_what_was_fetched_is_gone(cdn: str, tmp_path: Path) -> None:
    workers = Workers(UPLOADS, at_once=1)
    upload = await downloads.read(workers, posted(f"{cdn}picture"), tmp_path)
    assert (upload.width, upload.height) == (40, 30)
    assert [entry.name for entry in os.scandir(tmp_path)] == [upload.file]
    await workers.close()


async def test_attachment_that_declares_no_type_is_judged_by_its_bytes(cdn: str, tmp_path: Path) -> None:
    file = await fetch(posted(f"{cdn}picture", content_type=None), tmp_path)
    assert await asyncio.to_thread(file.read_bytes) == png()


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (posted("http://not.fetched.invalid/", content_type="video/mp4"), "is no picture"),
        (posted("http://not.fetched.invalid/", size_bytes=51 * 2**20), "50 MiB is the most"),
    ],
)
async def test_what_cannot_be_read_is_not_even_fetched(picture: Posted, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(MemberError, match=sentence):
        await fetch(picture, tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("endless", "larger than it says and 50 MiB is the most"),
        ("slow", "try again in a moment"),
        ("cut", "try again in a moment"),
        ("gone", "upload it again"),
        ("broken", "try again in a moment"),
        ("elsewhere", "try again in a moment"),
    ],
)
async def test_whatever_discord_sends_is_bounded_and_told(
    name: str, sentence: str, cdn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "slow":
        monkeypatch.setattr(downloads, "FETCH_WITHIN_S", 0.3)
    with pytest.raises(MemberError, match=sentence):
        await fetch(posted(f"{cdn}{name}"), tmp_path)
    assert sum(entry.stat().st_size for entry in os.scandir(tmp_path)) <= downloads.MAX_BYTES


async def test_nothing_is_unpacked_on_its_way(cdn: str, tmp_path: Path) -> None:
    file = await fetch(posted(f"{cdn}packed"), tmp_path)
    assert await asyncio.to_thread(file.read_bytes) == b"\x1f\x8b not unpacked"


async def test_full_disk_is_told_to_the_member_and_to_the_operator(
    cdn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(MemberError, match="no room"):
        await fetch(posted(f"{cdn}picture"), tmp_path / "missing")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_unreachable_discord_is_told(tmp_path: Path) -> None:
    with pytest.raises(MemberError, match="try again in a moment"):
        await fetch(posted("http://127.0.0.1:1/"), tmp_path)
