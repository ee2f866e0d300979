"""Attachments are brought here from Discord, bounded whatever it says about them, and read in a child process."""

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
from bot.pictures import attachments
from bot.pictures.workers import UPLOADS, Workers


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, format="PNG")
    return stream.getvalue()


class Attachment:
    """As much of discord.Attachment as is read here."""

    def __init__(self, url: str, content_type: str | None = "image/png", size: int = 100) -> None:
        self.url, self.content_type, self.size, self.filename = url, content_type, size, "cat_*.png"


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


async def fetch(attachment: Attachment, folder: Path) -> Path:
    return await attachments.fetch(attachment, folder)  # type: ignore[arg-type]


async def test_good_attachment_is_read_and_what_was_fetched_is_gone(cdn: str, tmp_path: Path) -> None:
    workers = Workers(UPLOADS, at_once=1)
    upload = await attachments.read(workers, Attachment(f"{cdn}picture"), tmp_path)  # type: ignore[arg-type]
    assert (upload.width, upload.height) == (40, 30)
    assert [entry.name for entry in os.scandir(tmp_path)] == [upload.file]
    await workers.close()


async def test_attachment_that_declares_no_type_is_judged_by_its_bytes(cdn: str, tmp_path: Path) -> None:
    file = await fetch(Attachment(f"{cdn}picture", content_type=None), tmp_path)
    assert await asyncio.to_thread(file.read_bytes) == png()


@pytest.mark.parametrize(
    ("attachment", "sentence"),
    [
        (Attachment("http://not.fetched.invalid/", content_type="video/mp4"), "is no picture"),
        (Attachment("http://not.fetched.invalid/", size=51 * 2**20), "50 MiB is the most"),
    ],
)
async def test_what_cannot_be_read_is_not_even_fetched(attachment: Attachment, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(MemberError, match=sentence):
        await fetch(attachment, tmp_path)


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
        monkeypatch.setattr(attachments, "FETCH_WITHIN_S", 0.3)
    with pytest.raises(MemberError, match=sentence):
        await fetch(Attachment(f"{cdn}{name}"), tmp_path)
    assert sum(entry.stat().st_size for entry in os.scandir(tmp_path)) <= attachments.MAX_BYTES


async def test_nothing_is_unpacked_on_its_way(cdn: str, tmp_path: Path) -> None:
    file = await fetch(Attachment(f"{cdn}packed"), tmp_path)
    assert await asyncio.to_thread(file.read_bytes) == b"\x1f\x8b not unpacked"


async def test_full_disk_is_told_to_the_member_and_to_the_operator(
    cdn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(MemberError, match="no room"):
        await fetch(Attachment(f"{cdn}picture"), tmp_path / "missing")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_unreachable_discord_is_told(tmp_path: Path) -> None:
    with pytest.raises(MemberError, match="try again in a moment"):
        await fetch(Attachment("http://127.0.0.1:1/"), tmp_path)


def test_only_a_picture_counts_as_a_messages_picture() -> None:
    class Message:
        attachments = ()

    with pytest.raises(MemberError, match="no picture attached"):
        attachments.first_picture(Message())  # type: ignore[arg-type]
