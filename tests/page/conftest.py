"""One Chromium for all tests of the page; for each test a sandbox of its own with a scripted bot logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from sandbox.server import Sandbox
from tests.page.driver import ChatPage, browser, open_page
from tests.page.scripted_bot import Json, ScriptedBot, scripted_bot


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Playwright's objects belong to the loop that made them, and Chromium starts slowly: one loop for all."""
    for item in items:
        if "tests/page/" in item.path.as_posix():
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def profile(chromium: Browser) -> BrowserContext:
    """A profile for the pages of all tests; each test's sandbox has another port, so they share nothing in it."""
    return await chromium.new_context(locale="en-GB")


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def bot(sandbox: Sandbox) -> AsyncIterator[ScriptedBot]:
    async with scripted_bot(sandbox.url, sandbox.token) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def ada(profile: BrowserContext, sandbox: Sandbox, bot: ScriptedBot) -> AsyncIterator[ChatPage]:
    """Ada's page, with the bot online."""
    async with open_page(profile, sandbox.url, "Ada") as page:
        yield page


@dataclass
class World:
    """The sandbox's ids, by name."""

    channels: dict[str, str]
    members: dict[str, str]
    bot_id: str


@pytest_asyncio.fixture(loop_scope="session")
async def world(sandbox: Sandbox) -> World:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sandbox.url}/sandbox/state?member=Ada") as answer,
    ):
        state: Json = await answer.json()
    return World(_by_name(state["channels"]), _by_name(state["members"]), state["bot"]["id"])


def _by_name(things: list[Json]) -> dict[str, str]:
    return {thing["name"]: thing["id"] for thing in things}
