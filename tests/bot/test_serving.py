"""What programs ask for, as it is read, and what they are told where it cannot be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from bot import costs
from bot.errors import MemberError, Starting
from bot.jobs import Jobs
from bot.localisation import Languages
from bot.pictures import fitting, masks
from bot.pictures.decoding import Upload, saved
from bot.policies import problem
from bot.serving import answers, asked, forms, refusals, server
from bot.serving.refusals import Refusal
from bot.settings import Address
from inference.protocol import Reason, because
from tests.bot.conftest import job
from tests.bot.test_watching import free_address


def generate(**body: object) -> asked.Generate:
    return asked.of_json(json.dumps({"prompt": "a house"} | body).encode())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"\xff", None),
        (b'{"prompt": 7}', "prompt"),
        (b"{}", "prompt"),
        (b'{"prompt": "a", "n": "two"}', "n"),
        (b'{"prompt": "a", "n": 1e400}', "n"),
        (b'{"prompt": "a", "steps": 2.5}', "steps"),
        (b'{"prompt": "a", "stream": true, "response_format": "url"}', "response_format"),
        (b'{"prompt": "a", "output_compression": 50}', "output_compression"),
        (b'{"prompt": "a", "output_compression": 101, "output_format": "webp"}', "output_compression"),
        (b'{"prompt": "a", "background": "transparent"}', "background"),
        (b'{"prompt": "a", "mask": "a"}', "mask"),
        (b'{"prompt": "a", "partial_images": 4, "stream": true}', "partial_images"),
    ],
)
def test_what_cannot_be_read_names_its_parameter(body: bytes, param: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        asked.of_json(body)
    assert caught.value.status == 400
    assert caught.value.error["param"] == param
    assert str(caught.value)


@pytest.mark.parametrize("typed", ["nan", "inf", "-inf", "1e999"])
def test_what_no_number_is_in_a_form_is_refused(typed: str) -> None:
    for param in ("strength", "guidance", "hires", "n"):
        with pytest.raises(Refusal) as caught:
            asked.of_fields({"prompt": "a", param: typed})
        assert caught.value.error["param"] == param


@pytest.mark.parametrize("size", ["64", "64x", "x64", "-1x64", "64x64x64", "64X64", "6400000x64", " 64x64", "٦٤x64"])
def test_a_size_is_a_width_and_a_height(size: str) -> None:
    with pytest.raises(Refusal) as caught:
        generate(size=size).options()
    assert caught.value.error["param"] == "size"


def test_what_is_asked_for_is_what_a_member_would_have_typed() -> None:
    options = generate(
        size="64x96", n=2, seed=2**64 - 1, negative_prompt="fog", lora="ink:0.5", steps=9, user="bob", refine=False
    ).options()
    assert (options.width, options.height, options.count) == (64, 96, 2)
    assert (options.seed, options.negative, options.loras) == (str(2**64 - 1), "fog", "ink:0.5")
    assert (options.steps, options.refine) == (9, False)
    assert generate(size="auto").options() == generate().options()
    # A form has texts alone.
    form = asked.of_fields(
        {"prompt": "a", "n": "2", "stream": "true", "guidance": "2.5", "seed": "7", "refine": "false"}
    )
    assert (form.n, form.stream, form.guidance, form.refine) == (2, True, 2.5, False)
    assert form.options().seed == "7"


@pytest.mark.parametrize(
    ("reason", "status", "code", "param"),
    [
        (because("no_model", typed="x", choices=("a",)), 404, "model_not_found", "model"),
        (because("waiting_of_member", count=5), 429, "rate_limit_exceeded", None),
        (because("policy_day", most=5), 429, "rate_limit_exceeded", None),
        (because(problem.BARRED_MEMBER), 403, "not_allowed", None),
        (because(problem.NO_MODEL), 403, "not_allowed", "model"),
        (because(problem.MINORS), 400, "moderation_blocked", "prompt"),
        (because("steps", value=0, least=1, most=9), 400, None, "steps"),
    ],
)
def test_every_reason_has_its_status(reason: Reason, status: int, code: str | None, param: str | None) -> None:
    refusal = refusals.of_error(MemberError.of(reason))
    assert (refusal.status, refusal.error["code"], refusal.error["param"]) == (status, code, param)
    assert ("Retry-After" in refusal.headers) is (status == 429)


def test_ends_have_their_status_too() -> None:
    assert refusals.of_error(Starting()).status == 503
    ended = job(7)
    assert refusals.of_end(replace(ended, state="finished")) is None
    for changes, status, code in (
        ({"state": "cancelled"}, 400, "cancelled"),
        ({"state": "failed", "failure_kind": "unsafe", "failure": because("unsafe")}, 400, "moderation_blocked"),
        ({"state": "failed", "failure_kind": "internal", "failure": because("x")}, 500, "internal"),
        ({"state": "failed", "failure_kind": "out_of_memory", "failure": because("x")}, 400, "out_of_memory"),
        ({"state": "failed", "failure_kind": "unavailable_model", "failure": because("x")}, 404, "unavailable_model"),
    ):
        given: Any = changes
        refusal = refusals.of_end(replace(ended, **given))
        assert refusal is not None
        assert (refusal.status, refusal.error["code"]) == (status, code)
    assert refusals.of_end(None) is not None


@pytest.mark.parametrize(
    ("name", "status", "asked_for"),
    [("remote_late", 500, 1), (costs.TOO_MUCH["spent"], 429, 1), ("remote_busy", 500, 2)],
)
async def test_what_may_be_paid_already_no_client_asks_for_again_by_itself(
    name: str, status: int, asked_for: int
) -> None:
    requests = []

    async def fails(request: web.Request) -> web.Response:
        requests.append(await request.read())
        ended = replace(
            job(1), state="failed", failure_kind="internal", failure=because(name, most="1", currency="USD")
        )
        refusal = refusals.of_end(ended)
        assert refusal is not None
        return refusal.response()

    app = web.Application()
    app.router.add_post("/v1/images/generations", fails)
    async with TestServer(app) as opened:
        url = str(opened.make_url("/v1"))
        async with openai.AsyncOpenAI(api_key="easel-", base_url=url, max_retries=1) as program:
            with pytest.raises(openai.APIStatusError) as caught:
                await program.images.generate(prompt="a house")
    assert (caught.value.status_code, len(requests)) == (status, asked_for)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A server that receives a form and says what it was."""

    async def receive(request: web.Request) -> web.Response:
        try:
            form = await forms.receive(request, tmp_path)
        except Refusal as refusal:
            return refusal.response()
        images = [await asyncio.to_thread(one.file.read_bytes) for one in form.images]
        return web.json_response({"fields": form.fields, "images": list(map(len, images)), "mask": bool(form.mask)})

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestClient(TestServer(app)) as opened:
        yield opened


def form(*parts: tuple[str, bytes | str]) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in parts:
        made.add_field(name, value, filename="a.png" if isinstance(value, bytes) else None)
    return made


async def test_a_form_is_received_within_its_bounds(
    receiver: TestClient[web.Request, web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "MAX_BYTES", 1000)
    monkeypatch.setattr(forms, "MAX_FORM_BYTES", 1500)
    image = ("image[]", b"x" * 700)
    async with receiver.post("/", data=form(("prompt", "猫"), image, image, ("mask", b"y"))) as response:
        assert await response.json() == {"fields": {"prompt": "猫"}, "images": [700, 700], "mask": True}
    for parts, status in (
        ([("image", b"x" * 1001)], 413),
        ([image, image, image], 413),
        ([("mask", b"y"), ("mask", b"y")], 400),
        ([("image", b"x")] * (forms.MAX_FILES + 1), 400),
        ([("prompt", "a" * (forms.MAX_FIELD_BYTES + 1))], 400),
        ([(f"field{number}", "a") for number in range(forms.MAX_FIELDS + 1)], 400),
    ):
        async with receiver.post("/", data=form(*parts)) as response:
            assert response.status == status, parts[0][0]
            assert set((await response.json())["error"]) == {"message", "type", "param", "code"}
    for body, kind, status in (
        (b"{}", "application/json", 415),
        (b"nonsense", "multipart/form-data; boundary=b", 400),
        (b"x", "multipart/form-data", 400),
        (
            b"--b\r\nContent-Disposition: form-data; name=prompt\r\n\r\n\xff\r\n--b--",
            "multipart/form-data; boundary=b",
            400,
        ),
        (b"--b\r\n\r\nno name\r\n--b--", "multipart/form-data; boundary=b", 400),
    ):
        async with receiver.post("/", data=body, headers={"Content-Type": kind}) as response:
            assert response.status == status, body

    async def slowly() -> AsyncIterator[bytes]:
        yield b"--b\r\n"
        await asyncio.sleep(60)

    of_form = {"Content-Type": "multipart/form-data; boundary=b"}
    with monkeypatch.context() as soon:
        soon.setattr(forms, "RECEIVED_WITHIN_S", 0.1)
        async with receiver.post("/", data=slowly(), headers=of_form) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (408, "timeout")
    packed = {**of_form, "Content-Encoding": "gzip"}
    async with receiver.post("/", data=b"no gzip", headers=packed) as response:
        assert response.status == 400


async def test_a_body_is_received_within_its_time_and_as_it_was_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await forms.body(request))
        except Refusal as refusal:
            return refusal.response()

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestClient(TestServer(app)) as opened:
        async with opened.post("/", data=b"{}") as response:
            assert (response.status, await response.read()) == (200, b"{}")
        monkeypatch.setattr(forms, "RECEIVED_WITHIN_S", 0.1)

        async def slowly() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(60)

        async with opened.post("/", data=slowly()) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (408, "timeout")
        async with opened.post("/", data=b"nonsense", headers={"Content-Encoding": "gzip"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid_body")


class Large:
    """What answers with more than any socket keeps."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def handlers(self) -> dict[tuple[str, str], Any]:
        return {}

    async def picture(self, _: web.Request) -> web.Response:
        self.asked.set()
        return web.Response(body=b"x" * 2**26)


@pytest.fixture
async def large(jobs: Jobs) -> AsyncIterator[tuple[Large, Address]]:
    """The whole server on a port, with that behind it."""
    images, address = Large(), free_address()
    made = server.Server(images, jobs, Languages(), lambda error: None)  # type: ignore[arg-type]
    async with server.serving(address, made.application()):
        yield images, address


async def test_who_takes_nothing_is_hung_up_on(large: tuple[Large, Address], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "TAKEN_WITHIN_S", 0.1)
    images, address = large
    reader, writer = await asyncio.open_connection(*address, limit=2)
    writer.write(b"GET /v1/pictures/1 HTTP/1.1\r\nHost: a\r\n\r\n")
    await images.asked.wait()
    taken = 0
    with contextlib.suppress(ConnectionError):
        # Not before it was given up on.
        await asyncio.sleep(0.5)
        while taken < 2**26 and (piece := await reader.read(2**20)):
            taken += len(piece)
    assert taken < 2**26
    writer.close()


async def test_what_is_no_request_says_nothing_in_the_log(
    large: tuple[Large, Address], caplog: pytest.LogCaptureFixture
) -> None:
    _, address = large
    for asked_for in (
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer easel-secret\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer easel-secret" + b"x" * 20_000 + b"\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(asked_for)
        assert b" 400 " in await reader.readline()
        writer.close()
    assert "easel-secret" not in caplog.text
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def upload(folder: Path, alpha: Image.Image | None, size: tuple[int, int] = (16, 16)) -> Upload:
    made = Image.new("RGB", size, "red")
    if alpha is not None:
        made.putalpha(alpha)
    return saved(made, folder)


def test_what_is_transparent_is_painted_whatever_colour_the_rest_has(tmp_path: Path) -> None:
    hole = Image.new("L", (16, 16), 255)
    hole.paste(0, (0, 0, 8, 16))
    picture, mask = upload(tmp_path, None), upload(tmp_path, hole)
    for prepared in (masks.of_holes(tmp_path, picture, mask), masks.of_holes(tmp_path, mask)):
        with Image.open(tmp_path / prepared["mask"].file) as marked:
            assert marked.getbbox() == (0, 0, 8, 16)
    assert set(masks.of_holes(tmp_path, picture)) == {"image"}
    with pytest.raises(MemberError, match="transparent"):
        masks.of_holes(tmp_path, picture, picture)
    with pytest.raises(MemberError, match="size"):
        masks.of_holes(tmp_path, picture, upload(tmp_path, Image.new("L", (8, 8)), (8, 8)))


@pytest.mark.parametrize(("kind", "format_", "suffix"), [("webp", "WEBP", "webp"), ("jpeg", "JPEG", "jpg")])
def test_a_picture_is_sent_in_the_format_that_is_wanted(kind: str, format_: str, suffix: str, tmp_path: Path) -> None:
    source = upload(tmp_path, None, (64, 32))
    shown = fitting.converted(tmp_path / source.file, kind, 60, tmp_path)
    assert shown.suffix == suffix
    with Image.open(shown.file) as opened:
        assert (opened.format, opened.size) == (format_, (64, 32))
