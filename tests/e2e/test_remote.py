"""A model of another server: the real bot and both of its engines, the sandbox as Discord, a server on this machine."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from openai.types import Image as Answered
from openai.types import ImagesResponse
from PIL import Image

from inference.marks import watermark
from inference.protocol import PICTURES
from sandbox.client.member import Member, text_of
from starter.render import render
from starter.world import Scene
from tests import painter as painting
from tests.e2e.asking import BOATS, finished, forgotten, has_button, is_private, painted, picture, png, said
from tests.e2e.conftest import ROOT, Studio, running
from tests.e2e.test_watch import answer_to
from tests.painter import KEY, Painter, refuses, sends

MUSHROOM = Scene("mushroom", "red", size="large")


def answered(data: bytes) -> bytes:
    """What a server answers that has painted this."""
    return (
        ImagesResponse(created=1, data=[Answered(b64_json=base64.b64encode(data).decode())]).model_dump_json().encode()
    )


pytestmark = pytest.mark.asyncio(loop_scope="module")


def catalog_at(folder: Path, *entries: str) -> Path:
    """Easel's own catalogue with these entries."""
    own = (ROOT / "models.toml").read_text().replace('path = "', f'path = "{ROOT}/')
    # It holds mushrooms back, and no boats.
    own = own.replace('\nchecker = "nsfw"', '\nchecker = "starter"')
    path = folder / "models.toml"
    path.write_text(own + "".join(entries))
    (folder / "styles.toml").write_text((ROOT / "styles.toml").read_text())
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Painter]:
    async with painting.painter() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(server: Painter, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    folder = tmp_path_factory.mktemp("far")
    catalog = catalog_at(
        folder,
        painting.entry(server.url, price="0.04", prices='{ "384x256" = 0.3 }', checker='"none"'),
        painting.entry(server.url, "looked", checker='"starter"', previews="1"),
    )
    (folder / "policy.toml").write_text("spent = 50\n")
    async with running(
        folder / "data", EASEL_MODELS=str(catalog), FAR_KEY=KEY, EASEL_POLICY=str(folder / "policy.toml")
    ) as studio:
        async with Member(studio.sandbox.url, "Ada") as ada:
            # Its engine comes after that of the card.
            while "painted by" not in text_of((await ada.command("/models")).message):
                await studio.sandbox.state.hub.change(timeout_s=0.2)
        yield studio


@pytest_asyncio.fixture(loop_scope="module")
async def mei(far: Studio) -> AsyncIterator[Member]:
    async with Member(far.sandbox.url, "Ada") as member:
        yield member


async def test_a_picture_of_another_server_comes_with_its_price_and_cannot_be_repeated(
    mei: Member, server: Painter
) -> None:
    message, [data] = await painted(mei, await mei.command("/imagine prompt:a red house model:far"))
    shown = picture(data)
    assert shown.size == (256, 256)
    assert watermark.found(shown)
    text = text_of(message)
    assert "cannot be repeated: 127.0.0.1 takes no seed" in text
    assert "0.04 USD" in text
    assert "seed" not in text.replace("takes no seed", "")
    assert server.asked[-1].fields["prompt"] == "a red house"
    # Of it no variations can be made.
    assert [name for name in ("U1", "V1") if has_button(message, name)] == ["U1"]
    again, _ = await painted(mei, await mei.click(message, "Re-roll"))
    assert "cannot be repeated" in text_of(again)
    listed = text_of((await mei.command("/models")).message)
    assert "painted by 127.0.0.1" in listed
    assert "0.04 to 0.3 USD a picture" in listed


async def test_a_part_of_a_picture_is_painted_by_another_server(mei: Member, server: Painter) -> None:
    old = render(BOATS, 256)
    mask = Image.new("L", old.size)
    mask.paste(255, (30, 40, 120, 140))
    files = {"image": ("boats.png", png(old)), "mask": ("mask.png", png(mask))}
    reply = await mei.command("edit", {"prompt": "a red sail", "model": "far"}, files=files)
    message, _ = await said(mei, reply)
    _, [new] = await painted(mei, await mei.click(message, "Go"))
    marked = np.asarray(mask) > 0
    pixels = np.asarray(picture(new).convert("RGB"))
    assert (pixels[~marked] == np.asarray(old)[~marked]).all()
    assert (pixels[marked] == (255, 0, 0)).all()
    assert server.asked[-1].path.endswith("/edits")


async def test_no_server_is_shown_what_the_checker_flags_and_nobody_what_it_paints(
    far: Studio, mei: Member, server: Painter
) -> None:
    mushroom = png(render(MUSHROOM, 256))
    before = len(server.asked)
    message = await finished(
        mei,
        await mei.command("edit", {"prompt": "a blue one", "model": "far"}, files={"image": ("a.png", mushroom)}),
    )
    assert "held your picture back" in text_of(message)
    assert len(server.asked) == before
    server.next = [sends(answered(mushroom))]
    message = await finished(mei, await mei.command("/imagine prompt:a toadstool model:looked"))
    assert "held this back" in text_of(message)
    assert "stream" not in server.asked[-1].fields, "nobody sees it on its way either"
    server.next = [sends(answered(png(render(BOATS, 256))))]
    await painted(mei, await mei.command("/imagine prompt:boats model:looked"))
    # Where its entry wants none, the server's own moderation decides.
    server.next = [sends(answered(mushroom))]
    await painted(mei, await mei.command("/imagine prompt:a toadstool model:far"))
    assert not await far.problems()


async def test_refusals_are_told_and_a_slow_server_keeps_nobody_waiting(mei: Member, server: Painter) -> None:
    server.next = [refuses(400, "moderation_blocked")]
    message = await finished(mei, await mei.command("/imagine prompt:a red house model:far"))
    assert "refused that as unsafe" in text_of(message)
    server.next = [refuses(429, "rate_limit", retry_after="900")]
    message = await finished(mei, await mei.command("/imagine prompt:a red house model:far"))
    assert "has too much to do" in text_of(message)
    server.held = asyncio.Event()
    try:
        slow = await mei.command("/imagine prompt:a red house model:far")
        await painted(mei, await mei.command("/imagine prompt:a red house steps:2"))
        assert not has_button(await mei.wait_for(slow.message, lambda _: True), "Delete")
    finally:
        server.held.set()
        server.held = None
    await painted(mei, slow)


async def test_many_at_once_spend_no_more_than_is_allowed_and_what_fails_is_given_back(
    far: Studio, server: Painter
) -> None:
    dear = "/imagine prompt:a red house model:far width:384"
    async with Member(far.sandbox.url, "Grace") as grace:
        server.next = [refuses(400, "moderation_blocked")]
        message = await finished(grace, await grace.command(dear))
        assert "refused that as unsafe" in text_of(message)
        replies = await asyncio.gather(*(grace.command(dear) for _ in range(3)))
        refused = [reply for reply in replies if is_private(reply)]
        assert len(refused) == 2
        assert all("more than the 0.50 USD that you may spend here in a day" in text_of(one.message) for one in refused)
        [taken] = [reply for reply in replies if not is_private(reply)]
        message, _ = await painted(grace, taken)
        assert "It cost 0.3 USD." in text_of(message)
        # Who forgets the picture has spent it all the same.
        await forgotten(grace, message)
        assert is_private(await grace.command(dear))
        assert "0.30 USD of 0.50 USD in a day, 0.30 USD in 30 days" in text_of((await grace.command("/me")).message)
        # What all of the server have is for who looks after it.
        spent = "Spent on models of other servers"
        assert re.search(rf"{spent}\W+0\.\d\d USD", text_of(await answer_to(grace, "/stats")))
    async with Member(far.sandbox.url, "Ada") as ada:
        assert spent not in text_of(await answer_to(ada, "/stats"))


async def test_the_key_is_in_the_one_process_and_nowhere_else(far: Studio) -> None:
    holding = [process.cmdline() for process in far.processes()[1:] if KEY in process.environ().values()]
    assert len(holding) == 1
    assert "inference.remote" in holding[0]
    kept = [file for file in far.data.rglob("*") if file.is_file()]
    assert any(PICTURES in file.parts for file in kept)
    assert not [file for file in kept if KEY.encode() in await asyncio.to_thread(file.read_bytes)]
    assert os.environ.get("FAR_KEY") is None


async def test_what_was_sent_is_waited_for_when_the_bot_is_stopped(far: Studio, mei: Member, server: Painter) -> None:
    server.held = asyncio.Event()
    server.came.clear()
    before = len(server.asked)
    reply = await mei.command("/imagine prompt:a red house model:far")
    await server.came.wait()
    stopping = asyncio.create_task(far.stop())
    # So that it is to stop before there is an answer.
    await asyncio.sleep(0.5)
    assert not stopping.done()
    server.held.set()
    server.held = None
    await stopping
    await far.start()
    await painted(mei, reply)
    assert len(server.asked) == before + 1
