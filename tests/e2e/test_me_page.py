"""The panels of /me, /help and /privacy as people use them: Chromium at a desk's width and at a phone's.

The pictures of the page are kept in the ignored build folder, to be looked at.
"""

from __future__ import annotations

import pytest

from sandbox.client.member import Member
from tests.e2e.asking import QUICK, painted
from tests.e2e.conftest import Studio
from tests.page.driver import ChatPage, browser, open_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESK, PHONE = (1280, 1000), (390, 844)

PANELS = {"me": "What holds for you", "help": "Painting", "privacy": "Your data"}


async def within(page: ChatPage) -> None:
    """Check that nothing is wider than the screen."""
    assert await page.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(("width", "height", "name"), [(*DESK, "desk"), (*PHONE, "phone")])
async def test_panels_are_opened_and_used(studio: Studio, ada: Member, width: int, height: int, name: str) -> None:
    await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:1"))
    async with (
        browser() as chromium,
        open_page(chromium, studio.sandbox.url, "Ada", width=width, height=height) as page,
    ):
        for command, heading in PANELS.items():
            before = await page.newest_id()
            await page.composer.fill(f"/{command}")
            await page.composer.press("Enter")
            await page.page.get_by_role("button", name="Send", exact=True).click()
            panel = await page.wait_for_text(heading, timeout_s=30, after=before)
            await within(page)
            await page.screenshot(f"{command}-{name}")
        await page.click_button("Erase everything…", panel)
        await page.wait_for_text("Nobody can bring any of it back", timeout_s=30)
        await within(page)
        await page.screenshot(f"privacy-sure-{name}")
