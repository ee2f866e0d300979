"""/train as people use it: Chromium at a desk's width and at a phone's.

The pictures of the page are kept in the ignored build folder, to be looked at.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator

from sandbox.client.member import Member
from tests.e2e.conftest import Studio
from tests.e2e.test_me_page import DESK, PHONE, within
from tests.e2e.test_train import SCENES, files
from tests.page.driver import ChatPage, browser, open_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = {"trigger": "hatched", "consent": "drawn by me", "license": "CC BY 4.0"}


@pytest.mark.parametrize(("width", "height", "name"), [(*DESK, "desk"), (*PHONE, "phone")])
async def test_training_is_prepared_on_the_page(
    studio: Studio, ada: Member, tmp_path: Path, width: int, height: int, name: str
) -> None:
    uploads = []
    for file, data in files(SCENES):
        (tmp_path / file).write_bytes(data)
        uploads.append(tmp_path / file)
    async with (
        browser() as chromium,
        open_page(chromium, studio.sandbox.url, "Ada", width=width, height=height) as page,
    ):
        await page.composer.fill("/train kind:style")
        await page.composer.press("Enter")
        form = page.page.get_by_role("dialog")
        await form.wait_for()
        for field, typed in {"name": f"Boats of a {name}", **FORM}.items():
            await form.locator(f"#field-{field}").fill(typed)
        await form.locator("#field-pictures").set_input_files(uploads)
        await within(page)
        await page.screenshot(f"train-form-{name}")
        await form.get_by_role("button", name="Submit").click()
        panel = await page.wait_for_text(f"boats-of-a-{name}", timeout_s=60)
        await refreshed(page, panel, panel.filter(has_text="6 of 6 have words"))
        await within(page)
        await page.screenshot(f"train-draft-{name}")
        await page.click_button("Captions", panel)
        await page.wait_for_text(f"Captions of boats-of-a-{name}", timeout_s=30)
        await within(page)
        await page.screenshot(f"train-captions-{name}")
        await page.click_button("Change many at once", panel)
        await page.page.get_by_role("dialog").wait_for()
        assert re.match("1: .*boat", await page.page.locator("#field-words").input_value())
        await page.screenshot(f"train-many-{name}")
        await page.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await page.click_button("Back", panel)
        await page.click_button("Advanced", panel)
        await page.page.get_by_role("dialog").wait_for()
        await page.screenshot(f"train-advanced-{name}")
        await page.page.locator("#field-steps").fill("6")
        await page.page.locator("#field-epochs").fill("3")
        await page.page.get_by_role("dialog").get_by_role("button", name="Submit").click()
        await page.click_button("Start", panel)
        await page.page.get_by_role("button", name="Show what it paints").first.wait_for()
        await within(page)
        await page.screenshot(f"train-started-{name}")
        if (width, height) == PHONE:
            # One that has ended is looked at once.
            return
        await refreshed(page, panel, page.button("Share or download", panel))
        await panel.scroll_into_view_if_needed()
        await page.wait_for_picture(panel)
        await within(page)
        await page.screenshot(f"train-ended-{name}")


async def refreshed(page: ChatPage, panel: Locator, wanted: Locator) -> None:
    """Press Refresh until this is there."""
    async with asyncio.timeout(120):
        while not await wanted.count():
            if await page.button("Refresh", panel).count():
                await page.click_button("Refresh", panel)
            await page.page.wait_for_timeout(300)
