"""Uses the chat page as a person would, through Chromium.

    async with browser() as chromium, open_page(chromium, sandbox.url, "Ada") as page:
        await page.run_command("/imagine prompt: a red house seed:7")
        await page.wait_for_picture()
        await page.click_button("Re-roll")

When the block ends, the page is checked to have logged no error and to have asked no other host.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parents[2] / "build" / "page"


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Start Debian's Chromium with a fresh, temporary profile."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        await chromium.close()


@dataclass
class ChatPage:
    """One open page. `page` is Playwright's own, for whatever has no method here."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @property
    def composer(self) -> Locator:
        return self.page.locator("#composer-text")

    @property
    def messages(self) -> Locator:
        """Every message, oldest first."""
        return self.page.locator("[data-message-id]")

    @property
    def newest(self) -> Locator:
        return self.messages.last

    async def run_command(self, text: str) -> None:
        """Type a whole command, press Enter, and wait until the sandbox has taken it."""
        await self.send(text)

    async def send(self, text: str) -> None:
        """Type a text, press Enter, and wait until the composer is empty again."""
        await self.composer.fill(text)
        await self.composer.press("Enter")
        await expect(self.composer).to_have_value("")

    async def ask(self, command: str, text: str, timeout_s: float = 30) -> Locator:
        """Run a command; wait for a message with that text that was not there before, and give it."""
        before = await self.newest_id()
        await self.run_command(command)
        return await self.wait_for_text(text, timeout_s, after=before)

    async def newest_id(self) -> str | None:
        """The id of the newest message's element, for what comes `after` it."""
        return await self.newest.get_attribute("id") if await self.messages.count() else None

    async def wait_for_text(self, text: str, timeout_s: float = 10, after: str | None = None) -> Locator:
        """Wait for a message with that text; give the newest such message, whatever its text becomes.

        After the element of an id, where one is given: what was said before still stands there.
        """
        among = self.page.locator(f"#{after} ~ [data-message-id]") if after else self.messages
        found = among.filter(has_text=text).last
        await found.wait_for(timeout=timeout_s * 1000)
        return self.page.locator(f"#{await found.get_attribute('id')}")

    async def wait_for_picture(self, message: Locator | None = None, timeout_s: float = 10) -> Locator:
        """Wait until a picture of the message (the newest with pictures) is decoded; give its `img`."""
        picture = (
            (message or self.messages.filter(has=self.page.locator(".picture img")).last).locator(".picture img").first
        )
        await picture.wait_for(timeout=timeout_s * 1000)
        await expect(picture).to_have_js_property("complete", True, timeout=timeout_s * 1000)
        width = await picture.evaluate("picture => picture.naturalWidth")
        assert width > 0, "the picture did not load"
        return picture

    async def click_button(self, label: str, message: Locator | None = None) -> None:
        """Press the button of that label: of the message, or of the newest message that has it."""
        await self.button(label, message).click()

    def button(self, label: str, message: Locator | None = None) -> Locator:
        here = message or self.page.locator(".messages")
        return here.get_by_role("button", name=label, exact=True).last

    async def speak_as(self, member: str) -> None:
        """Become another member."""
        await self.page.get_by_role("button", name="Change member").click()
        await self.page.get_by_role("group", name="Speak as").get_by_role("button", name=member).click()
        await self.page.get_by_role("button", name=f"Speaking as {member}").wait_for()

    async def screenshot(self, name: str) -> Path:
        """Keep a picture of the page in the ignored build folder."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        await self.page.screenshot(path=path)
        return path


@asynccontextmanager
async def open_page(
    chromium: Browser | BrowserContext,
    url: str,
    member: str = "Ada",
    *,
    width: int = 1280,
    height: int = 800,
    expected: tuple[str, ...] = (),
) -> AsyncIterator[ChatPage]:
    """Open the chat page as that member; on leaving, require that it logged no error and asked no other host.

    Given a browser, the page has a profile of its own; given a context, it opens faster, as another tab in that one.
    Chromium itself logs a line for every refused request: a test that provokes one names a part of it in `expected`.
    """
    own = await chromium.new_context(locale="en-GB") if isinstance(chromium, Browser) else None
    tab = await (own or chromium).new_page()
    tab.set_default_timeout(10_000)
    await tab.set_viewport_size({"width": width, "height": height})
    await tab.emulate_media(reduced_motion="reduce")
    chat = ChatPage(tab)
    host = urlsplit(url).netloc
    chat.page.on("pageerror", lambda error: chat.complaints.append(f"page error: {error}"))
    chat.page.on(
        "console",
        lambda line: chat.complaints.append(line.text) if line.type in ("error", "warning") else None,
    )

    def check_host(address: str) -> None:
        if not address.startswith(("data:", "blob:")) and urlsplit(address).netloc != host:
            chat.complaints.append(f"asked another host: {address}")

    chat.page.on("request", lambda request: check_host(request.url))
    chat.page.on("websocket", lambda socket: check_host(socket.url))
    await chat.page.goto(f"{url}/#member={member}")
    await chat.page.locator(f"[aria-label^='Speaking as {member}.']").wait_for(state="attached")
    await chat.composer.wait_for()
    await chat.page.wait_for_url(re.compile("channel=.+"))  # the world is loaded
    try:
        yield chat
    finally:
        await (own or tab).close()
    surprises = [line for line in chat.complaints if not any(part in line for part in expected)]
    assert surprises == []
