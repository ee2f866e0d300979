"""The engine of other servers: the real process, the official client, a server of the same shape on this machine."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from msgspec.structs import replace
from PIL import Image

from inference.catalog import reading
from inference.errors import CatalogError
from inference.marks import watermark
from inference.operating import listing
from inference.protocol import (
    Batch,
    Cancel,
    Failed,
    Finished,
    Grid,
    Imagine,
    Input,
    Preview,
    Progress,
    Variation,
    limits,
)
from inference.protocol.origins import declared_source
from inference.remote import bounds, refusals
from tests import painter as painting
from tests.inference import folders
from tests.inference.conftest import ask_for, uploaded
from tests.inference.peer import TIMEOUT_S, Peer
from tests.painter import KEY, Painter, hangs_up, refuses, sends

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCAL = """
default = "here"
[models.here]
title = "Here"
family = "sd1"
path = "none"
width = 64
height = 64
min_size = 64
max_size = 64
max_pixels = 4096
steps = 4
guidance = 4
sampler = "Euler"
"""


@contextmanager
def remote_process(catalog: Path, **environ: str) -> Iterator[tuple[Peer, subprocess.Popen[str]]]:
    """A real `python -m inference.remote` on this catalogue, hung up at the end."""
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "inference.remote", "--fd", str(theirs.fileno())),
            *("--data", str(folders.data_folder())),
        ],
        pass_fds=[theirs.fileno()],
        env={**os.environ, "EASEL_MODELS": str(catalog), "EASEL_LOG_LEVEL": "DEBUG", **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    try:
        yield Peer(ours), process
    finally:
        ours.close()
        if process.stderr is not None and not process.stderr.closed:
            process.communicate(timeout=TIMEOUT_S)


def opened(data: bytes) -> Image.Image:
    """The picture in these bytes."""
    return Image.open(io.BytesIO(data))


class Far:
    """The process and its server."""

    def __init__(self, server: Painter, peer: Peer) -> None:
        self.server = server
        self.peer = peer

    async def until(self, is_last: Callable[[object], bool]) -> list[object]:
        return await asyncio.to_thread(lambda: list(self.peer.until(is_last)))

    async def ended(self, request: Imagine) -> Finished | Failed:
        """Send this one and wait for its end."""
        self.peer.send(Batch((request,)))
        ends = await asyncio.to_thread(self.peer.ends, 1)
        return ends[request.job]

    async def painted(self, request: Imagine) -> tuple[Finished, list[Image.Image]]:
        end = await self.ended(request)
        assert isinstance(end, Finished), end
        return end, [opened(folders.bytes_of(each)) for each in end.pictures]

    async def reason(self, request: Imagine) -> tuple[str, str]:
        """How one ends that comes to nothing."""
        end = await self.ended(request)
        assert isinstance(end, Failed), end
        return end.kind, end.reason.name


def catalog_at(folder: Path, *entries: str) -> Path:
    path = folder / "models.toml"
    path.write_text(LOCAL + "".join(entries))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    async with painting.painter() as server:
        catalog = catalog_at(
            tmp_path_factory.mktemp("far"),
            painting.entry(server.url, price="0.04", prices='{ "384x256" = 0.06 }', count="4", timeout_s="4.0"),
            painting.entry(server.url, "seeded", seed='"seed"', sizes="[]", previews="1", quality='"low"'),
            painting.entry(server.url, "words", edits="false", at_once="1"),
            painting.entry("http://127.0.0.1:1/v1", "nowhere"),
        )
        with remote_process(catalog, FAR_KEY=KEY) as (peer, _):
            await asyncio.to_thread(peer.event)  # Waking
            yield Far(server, peer)


jobs = iter(range(1, 1000))


def asked(model: str = "far", **changes: object) -> Imagine:
    usual = {"model": model, "steps": 1, "guidance": 0.0, "sampler": "", "width": 256, "height": 256}
    return ask_for(next(jobs), **{**usual, "prompt": "a (red:1.2) house", **changes})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(far: Far) -> object:
    return await asyncio.to_thread(far.peer.ready)


async def test_words_become_pictures_and_a_recipe_without_secrets(far: Far, told: object) -> None:
    end, pictures = await far.painted(asked(count=2))
    # Of one colour each, and marked as Easel's.
    for each, colour in zip(pictures, ((255, 0, 0), (0, 128, 0)), strict=True):
        assert np.abs(np.asarray(each).astype(int) - colour).max() <= 2
        assert watermark.found(each)
    assert end.recipe["watermark"] == watermark.AS_RECIPE
    [sent] = far.server.asked[-1:]
    assert sent.fields == {"model": "gpt-image-2", "prompt": "a red house", "n": 2, "size": "256x256"}
    assert sent.headers["Idempotency-Key"].startswith("easel-")
    assert end.recipe["model"] == {"name": "far", "host": "127.0.0.1", "model": "gpt-image-2"}
    assert end.recipe["price"] == {"amount": 0.04, "currency": "USD"}
    assert [note.name for note in end.answer.notes] == ["not_repeatable", "remote_price"]
    assert end.answer.notes[1].facts["amount"] == 0.08
    assert all(each.seed is None for each in end.pictures)
    data = folders.bytes_of(end.pictures[0])
    assert declared_source(data) == "trainedAlgorithmicMedia"
    assert b"gpt-image-2 at 127.0.0.1" in data
    assert KEY.encode() not in data
    assert KEY not in str(end)


async def test_a_part_of_a_picture_alone_is_marked(far: Far, told: object) -> None:
    old = Image.fromarray(np.random.default_rng(2).integers(0, 255, (400, 600, 3), np.uint8))
    mark = Image.new("L", old.size)
    mark.paste(255, (0, 0, 400, 400))
    shown, files = uploaded(old)
    masked, of_mask = uploaded(mark)
    folders.put({**files, **of_mask})
    end, [new] = await far.painted(asked(image=shown, mask=masked, width=384, height=256))
    assert end.recipe["watermark"] == {**watermark.AS_RECIPE, "within": "painted"}
    assert new.crop((400, 0, 600, 400)).tobytes() == old.crop((400, 0, 600, 400)).tobytes()
    assert watermark.found(new)


async def test_seed_quality_and_previews_are_an_entrys_own(far: Far, told: object) -> None:
    request = asked("seeded", seed=7, width=304, height=256)
    far.peer.send(Batch((request,)))
    events = await far.until(lambda event: isinstance(event, Finished | Failed))
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Preview) for event in events)
    assert events[-1].pictures[0].seed == 7
    fields = far.server.asked[-1].fields
    assert (fields["seed"], fields["quality"], fields["stream"], fields["partial_images"]) == (7, "low", True, 1)
    assert fields["size"] == "304x256"


async def test_a_mask_and_pictures_beside_it_are_shown_and_all_else_stays(far: Far, told: object) -> None:
    chance = np.random.default_rng(1)
    old = Image.fromarray(chance.integers(0, 255, (120, 200, 3), np.uint8))
    mark = Image.new("L", old.size)
    mark.paste(255, (20, 30, 60, 90))
    shown, files = uploaded(old)
    masked, of_mask = uploaded(mark)
    other, of_other = uploaded(Image.new("RGB", (64, 64), "blue"))
    folders.put({**files, **of_mask, **of_other})
    request = asked(image=shown, mask=masked, references=(shown, other), width=384, height=256)
    _, [new] = await far.painted(request)
    pixels, before = np.asarray(new.convert("RGB")), np.asarray(old)
    marked = np.asarray(mark) > 0
    assert new.size == old.size
    assert (pixels[~marked] == before[~marked]).all()
    assert (pixels[marked] == (255, 0, 0)).all(), "too small a part to be marked"
    sent = far.server.asked[-1]
    assert sent.path.endswith("/images/edits")
    assert [len(sent.files[name]) for name in ("image", "mask")] == [2, 1]
    seen = opened(sent.files["mask"][0])
    assert seen.size == (384, 256)
    # Where the picture stands in the middle, the part is where it was: in proportion.
    assert seen.getchannel("A").getpixel((384 * 40 // 200, 256 * 60 // 120)) == 0
    assert seen.getchannel("A").getpixel((5, 5)) == 255
    _, [whole] = await far.painted(asked(references=(shown,)))
    assert whole.size == (256, 256)
    assert len(far.server.asked[-1].files["image"]) == 1


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (refuses(400, "moderation_blocked"), ("unsafe", "remote_unsafe")),
        (refuses(400, "content_policy_violation"), ("unsafe", "remote_unsafe")),
        (refuses(400, "invalid_size", f"not so, {KEY}"), ("invalid_input", "remote_rejected")),
        (refuses(401, "invalid_api_key"), ("unavailable_model", "remote_locked")),
        (refuses(403, "no_access"), ("unavailable_model", "remote_locked")),
        (refuses(404, "model_not_found"), ("unavailable_model", "remote_unknown")),
        (refuses(429, "rate_limit", retry_after="3600"), ("internal", "remote_busy")),
        (refuses(429, "insufficient_quota", retry_after="0"), ("internal", "remote_busy")),
        (hangs_up, ("internal", "remote_lost")),
        (sends(b'{"created": 1, "data": [{"b64_json": "bm8gcGljdHVyZQ=="}]}'), ("internal", "remote_broken")),
        (sends(b'{"created": 1, "data": []}'), ("internal", "remote_broken")),
        (sends(b'{"created": 1, "data": [{"url": "http://169.254.169.254/x"}]}'), ("internal", "remote_broken")),
        (sends(b"[[[["), ("internal", "remote_broken")),
    ],
)
async def test_every_refusal_is_told(far: Far, told: object, answer: painting.Answer, ended: tuple[str, str]) -> None:
    far.server.next = [answer]
    request = asked()
    before = len(far.server.asked)
    assert await far.reason(request) == ended
    assert len(far.server.asked) == before + 1, "what may have been paid is not sent again"
    # What was surely not paid may be asked again under the same number; what may have been is not.
    again = await far.ended(request)
    paid = ended[1] in ("remote_lost", "remote_broken")
    assert isinstance(again, Failed) is paid
    if isinstance(again, Failed):
        assert again.reason.name == "remote_twice"


async def test_where_nobody_listens_nothing_was_paid(far: Far, told: object) -> None:
    request = asked("nowhere")
    for _ in range(2):
        assert await far.reason(request) == ("internal", "remote_away")


async def test_another_size_is_told_and_many_glimpses_are_not_all_read(far: Far, told: object) -> None:
    small = painting.picture(painting.Asked("", {"size": "64x64"}, {}, {}), "red", "JPEG")
    far.server.next = [sends(b'{"created": 1, "data": [{"b64_json": "%s"}]}' % small.encode())]
    end, [new] = await far.painted(asked())
    assert new.size == (64, 64)
    [note] = [note for note in end.answer.notes if note.name == "remote_size"]
    assert note.facts == {"width": 64, "height": 64}

    async def floods(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for kind in ("partial_image",) * 40 + ("completed",):
            event = f'{{"type": "image_generation.{kind}", "b64_json": "{small}"}}'
            await response.write(f"event: image_generation.{kind}\ndata: {event}\n\n".encode())
            # So that each would be read.
            await asyncio.sleep(0.05)
        return response

    far.server.next = [floods]
    far.peer.send(Batch((asked("seeded", seed=7, width=256),)))
    events = await far.until(lambda event: isinstance(event, Finished | Failed))
    assert isinstance(events[-1], Finished)
    assert len([event for event in events if isinstance(event, Preview)]) <= 1


async def test_a_picture_is_fetched_from_the_address_that_its_server_says(far: Far, told: object) -> None:
    far.server.next = [sends(b'{"created": 1, "data": [{"url": "%s/pictures/blue"}]}' % far.server.url.encode())]
    _, [new] = await far.painted(asked())
    assert np.abs(np.asarray(new).astype(int) - (0, 0, 255)).max() <= 2
    far.server.next = [sends(b'{"created": 1, "data": [{"url": "%s/nothing"}]}' % far.server.url.encode())]
    assert await far.reason(asked()) == ("internal", "remote_broken")


async def test_no_redirect_is_followed_with_or_without_a_key(far: Far, told: object) -> None:
    async with painting.painter() as other:
        for status in (301, 302, 307, 308):

            async def leads_away(request: web.Request, status: int = status) -> web.StreamResponse:
                return web.Response(status=status, headers={"Location": f"{other.url}/images/generations"})

            far.server.next = [leads_away]
            assert await far.reason(asked()) == ("invalid_input", "remote_rejected")
        assert other.asked == []


async def test_a_server_that_is_busy_for_a_moment_is_asked_again(far: Far, told: object) -> None:
    far.server.next = [refuses(429, "rate_limit", retry_after="0"), refuses(503, "overloaded")]
    before = len(far.server.asked)
    await far.painted(asked())
    assert len(far.server.asked) == before + 3
    far.server.next = [refuses(500, "broken", retry_after_ms="1")] * 3
    assert await far.reason(asked()) == ("internal", "remote_failed")


async def test_slow_server_is_not_waited_for_longer_and_a_cancelled_job_ends(far: Far, told: object) -> None:
    far.server.held = asyncio.Event()
    try:
        request, other = asked(), asked("words")
        far.peer.send(Batch((request, other)))
        await far.until(lambda event: isinstance(event, Progress) and event.job == other.job)
        far.peer.send(Cancel(other.job))
        ends = await asyncio.to_thread(far.peer.ends, 2)
    finally:
        far.server.held.set()
        far.server.held = None
    late, cancelled = ends[request.job], ends[other.job]
    assert isinstance(late, Failed)
    assert isinstance(cancelled, Failed)
    assert late.reason.name == "remote_late"
    assert cancelled.kind == "cancelled"


async def test_no_more_requests_are_at_a_server_than_its_entry_says(far: Far, told: object) -> None:
    far.server.most_at_work = 0
    far.peer.send(Batch(tuple(asked("words") for _ in range(3))))
    assert all(isinstance(end, Finished) for end in (await asyncio.to_thread(far.peer.ends, 3)).values())
    assert far.server.most_at_work == 1


async def test_the_default_model_is_one_of_this_machine(tmp_path: Path) -> None:
    catalog = catalog_at(tmp_path, painting.entry("https://example.com/v1"))
    assert reading.load(catalog).default == "here"
    catalog.write_text(catalog.read_text().replace('default = "here"', 'default = "far"'))
    with pytest.raises(CatalogError, match="default: far is a model of another server, name one of this machine"):
        reading.load(catalog)
    catalog = catalog_at(tmp_path, painting.entry("https://example.com/v1", checker='"nobody"'))
    with pytest.raises(CatalogError, match=r"models.far: checker: must name one of the \[checkers.NAME\]"):
        reading.load(catalog)


async def test_the_one_rule_knows_what_such_a_server_cannot_do(told: object) -> None:
    picture, mask = Input("0" * 64, 64, 64), Input("1" * 64, 64, 64)
    for changes, name in (
        ({"sampler": "Euler"}, "no_samplers"),
        ({"steps": 20}, "no_steps"),
        ({"guidance": 4.0}, "no_guidance"),
        ({"negative": "rain"}, "no_negative"),
        ({"width": 512}, "listed_size"),
        ({"image": picture, "strength": 0.6}, "no_start"),
        ({"variations": (Variation(seed=1, strength=0.5),)}, "no_variations"),
        ({"model": "words", "image": picture, "mask": mask}, "no_edits"),
        ({"model": "words", "count": 2}, "remote_count"),
        ({"references": (picture,) * 3}, "references"),
        ({"model": "seeded", "width": 250}, "width"),
    ):
        reason = limits.problem(asked(**changes), told)  # type: ignore[arg-type]
        assert reason is not None
        assert reason.name == name
    assert limits.problem(asked(image=picture, mask=mask), told) is None  # type: ignore[arg-type]
    table = limits.problem(Grid(job=1, model="far", cells=(asked(),), columns=("",)), told)  # type: ignore[arg-type]
    assert table is not None
    assert table.name == "no_grid"
    away = limits.problem(asked(), replace(told, models=()))  # type: ignore[type-var]
    assert away is not None
    assert away.name == "away"


async def test_nothing_is_sent_again_after_the_process_was_killed(tmp_path: Path) -> None:
    async with painting.painter() as server:
        catalog = catalog_at(tmp_path, painting.entry(server.url))
        request = asked()
        server.held = asyncio.Event()
        with remote_process(catalog, FAR_KEY=KEY) as (peer, process):
            peer.send(Batch((request,)))
            await asyncio.to_thread(peer.until, lambda event: isinstance(event, Progress))
            await server.came.wait()
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
        server.held.set()
        server.held = None
        with remote_process(catalog, FAR_KEY=KEY) as (peer, process):
            peer.send(Batch((request,)))
            end = (await asyncio.to_thread(peer.ends, 1))[request.job]
            peer.socket.close()
            assert process.stderr is not None
            said = await asyncio.to_thread(process.stderr.read)
        assert isinstance(end, Failed)
        assert end.reason.name == "remote_twice"
        assert len(server.asked) == 1
        assert KEY not in said


async def test_a_key_that_is_not_set_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    catalog = catalog_at(tmp_path, painting.entry("https://example.com/v1"))
    with remote_process(catalog) as (_, process):
        _, said = await asyncio.to_thread(process.communicate)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith(
        "easel: FAR_KEY is not set, which models.far names as the key of example.com"
    )


async def test_models_of_other_servers_are_listed_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing.show(reading.load(catalog_at(tmp_path, painting.entry("https://example.com/v1"))), None)
    assert "[models.far] is a model of example.com: nothing of it lies here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"key": '"sk-secret"'}, "key"),
        ({"base_url": '"https://name:word@example.com"'}, "base_url"),
        ({"parameters": "{ n = 4 }"}, "parameters"),
        ({"prices": '{ "512x512" = 1.0 }'}, "prices"),
        ({"sizes": "[]", "width": "1000"}, "width"),
        ({"negative": "true"}, "negative"),
    ],
)
async def test_entries_that_mean_nothing_are_told(tmp_path: Path, fields: dict[str, str], field: str) -> None:
    with pytest.raises(CatalogError, match=field) as told:
        reading.load(catalog_at(tmp_path, painting.entry("https://example.com/v1", **fields)))
    assert "models.far" in str(told.value)


async def test_a_servers_words_never_hold_its_key() -> None:
    assert KEY not in refusals._hidden(f"not so, {KEY}", KEY)


async def test_an_answer_without_an_end_or_packed_is_given_up(far: Far) -> None:
    async def packed(_: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"x" * 4000), headers={"Content-Encoding": "gzip"})

    async with httpx2.AsyncClient(transport=bounds.BoundedTransport(most=1000)) as client:
        for answer, fits in ((sends(b"x" * 1000), True), (sends(b"x" * 1001), False), (packed, False)):
            far.server.next = [answer]
            if fits:
                assert len((await client.post(f"{far.server.url}/images/generations", json={})).content) == 1000
                continue
            with pytest.raises(bounds.TooMuch):
                await client.post(f"{far.server.url}/images/generations", json={})
