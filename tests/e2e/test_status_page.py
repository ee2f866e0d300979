"""The status page in Chromium, and the log beside it: the real bot, jobs that wait, run, crash and fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from sandbox.client.member import Member
from tests.e2e.asking import QUICK, finished, number, painted
from tests.e2e.conftest import Studio, running
from tests.e2e.test_settings import held, member
from tests.page.driver import SCREENSHOTS, browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

hedy = member("Hedy")

HOSTILE = "<img src=x onerror=alert(1)> & <b>bold</b> zebrafinch"
"""A prompt that would be markup where it is not text, with a word that nobody logs."""

PATIENCE_MS = 60_000


@dataclass
class Watched:
    studio: Studio
    url: str
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """The log so far: every line of it is an object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    port, log = free_port(), folder / "log"
    told = {"EASEL_WATCH": str(port), "EASEL_WATCH_WORDS": "on", "EASEL_LOG_FORMAT": "json"}
    async with AsyncExitStack() as stack:
        with said_to(log):
            studio = await stack.enter_async_context(running(folder / "data", **told))
        yield Watched(studio, f"http://127.0.0.1:{port}", log)


@contextmanager
def said_to(log: Path) -> Iterator[None]:
    """What processes that are started within say on stderr goes into this file."""
    kept = os.dup(2)
    try:
        with log.open("wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest_asyncio.fixture(loop_scope="module")
async def studio(watched: Watched) -> Studio:
    return watched.studio


@asynccontextmanager
async def opened(url: str, *, expected: str = "\n") -> AsyncIterator[Page]:
    """The page; on leaving, that it complained of nothing but what is expected, and asked nobody else."""
    complaints: list[str] = []
    async with browser() as chromium:
        page = await chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: None if request.url.startswith(url) else complaints.append(request.url))
        await page.goto(url)
        yield page
    assert [line for line in complaints if expected not in line] == []


async def shot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


async def test_what_waits_and_what_runs_is_seen_as_it_goes_on_and_words_are_text(
    watched: Watched, ada: Member, grace: Member, linus: Member, hedy: Member
) -> None:
    async with opened(watched.url) as page:
        await expect(page.locator("#health")).to_have_text("All is well", timeout=PATIENCE_MS)
        await expect(page.get_by_text("Nothing is being made just now.")).to_be_visible()
        first = await ada.command(f"/imagine prompt:{HOSTILE} steps:50 count:2 seed:1")
        work = page.locator(".work")
        await expect(work.locator("img")).to_be_visible(timeout=PATIENCE_MS)
        await expect(work.locator(".words")).to_have_text(HOSTILE)
        preview = await work.locator("img").get_attribute("src")
        step = await work.locator(".stage span").first.text_content()
        assert re.fullmatch(r"Step \d+ of 100", str(step))
        await expect(work.locator("img")).not_to_have_attribute("src", str(preview), timeout=PATIENCE_MS)
        await expect(work.locator(".stage span").first).not_to_have_text(str(step))
        assert await page.locator("#works b, #works img[src=x]").count() == 0
        with held(watched.studio):
            for who, prompt in ((grace, "a red house"), (linus, HOSTILE), (hedy, "a tree"), (grace, "a moon")):
                await who.command(f"/imagine prompt:{prompt} {QUICK} seed:2 width:128")
            rows = page.locator("#queue .row")
            await expect(rows).to_have_count(4, timeout=PATIENCE_MS)
            assert await rows.locator(".place").all_text_contents() == ["1", "2", "3", "4"]
            await expect(rows.filter(has_text=HOSTILE)).to_have_count(1)
            await expect(page.locator(".tile").nth(1)).to_contain_text("4 of 200of 3 members")
            for dark in (False, True):
                await page.emulate_media(color_scheme="dark" if dark else "light")
                for width in (1280, 390):
                    await page.set_viewport_size({"width": width, "height": 900})
                    scrolls = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                    assert not await page.evaluate(scrolls), width
                    await shot(page, f"status-{'dark' if dark else 'light'}-{width}")
            [engine] = watched.studio.engines()
            os.kill(engine, signal.SIGSEGV)
        await expect(page.locator(".engine .why")).to_contain_text(
            "SIGSEGV, segmentation fault; it said last: Fatal Python error: Segmentation fault", timeout=PATIENCE_MS
        )
        await expect(page.locator(".engine .pill")).to_have_text("ready", timeout=PATIENCE_MS)
        await expect(page.locator(".engine")).to_contain_text("started again 1 time")
        await expect(rows).to_have_count(0, timeout=PATIENCE_MS)
        await finished(ada, first)
        await expect(work).to_have_count(0, timeout=PATIENCE_MS)


async def test_a_failure_is_listed_with_its_reason(watched: Watched, ada: Member, grace: Member) -> None:
    message, _ = await painted(grace, await grace.command(f"/imagine prompt:a house {QUICK} seed:3"))
    async with opened(watched.url) as page:
        with held(watched.studio):
            reply = await ada.command(f"/upscale job:{number(message)}")
            for folder in (watched.studio.data / "pictures").iterdir():
                shutil.rmtree(folder)
        failed = number(await finished(ada, reply))
        failure = page.locator("#failures .row").first
        await expect(failure).to_contain_text(f"/upscale#{failed}", timeout=PATIENCE_MS)
        await expect(failure).to_contain_text("The picture is gone")
        await expect(page.locator("#house")).to_contain_text("6 finished, 0 cancelled")
        await shot(page, "status-failure")


async def test_the_page_has_nothing_to_write_and_nothing_secret_and_is_shown_to_nobody_elses_page(
    watched: Watched, ada: Member
) -> None:
    await ada.command(f"/imagine prompt:a boat {QUICK} seed:4")
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{watched.url}/status/now") as answer:
            text = await answer.text()
        for secret in (watched.studio.sandbox.token, "Ada", "member_id", "token"):
            assert secret not in text
        for path in ("/", "/status/status.js", "/status/now", "/status/preview/99"):
            async with session.get(watched.url + path) as answer:
                assert answer.headers["Content-Security-Policy"].startswith("default-src '")
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
            async with session.post(watched.url + path) as answer:
                assert answer.status == 405
            async with session.get(watched.url + path, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 421
        async with session.get(f"{watched.url}/") as answer:
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert not re.search(r"https?://| style=| on\w+=", await answer.text())


async def test_the_log_has_one_form_and_the_jobs_of_every_line_and_no_words(watched: Watched) -> None:
    lines = watched.lines()
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    loggers = {line["logger"] for line in lines}
    assert {"discord.gateway", "bot.app", "inference.models.store"} <= loggers
    for line in lines:
        assert "zebrafinch" not in json.dumps(line)
        assert ("engine" in line) == line["logger"].startswith(("inference", "bot.engine.hearing")) or "jobs" in line
        for number_ in re.findall(r"\bjob (\d+)", line["message"]):
            assert int(number_) in line["jobs"], line
    [death] = [line for line in lines if "starting it again" in line["message"]]
    assert death["engine"].startswith("engine 1")
    assert death["jobs"] == [1]
    assert re.match(r"Fatal Python error: Segmentation fault\n(Current t|T)hread 0x", death["exception"])
    loaded = [line for line in lines if line["message"].startswith("upscaler") and line["message"].endswith("MB")]
    assert loaded
    [failed] = [line for line in lines if line["message"].startswith("failed (invalid_input)")]
    assert len(failed["jobs"]) == 1


async def test_the_page_says_when_the_bot_is_gone(watched: Watched) -> None:
    async with opened(watched.url, expected="ERR_CONNECTION_REFUSED") as page:
        await expect(page.locator("#health")).to_have_text("All is well")
        await watched.studio.stop()
        await expect(page.locator("#health")).to_contain_text("The bot gives no answer")
        assert await page.title() == "No answer – Easel"
    assert json.loads(watched.log.read_text().splitlines()[-1])["message"] == "stopped"
