"""The gallery, a job shown again and the queue as people use them: Chromium at a desk's width and at a phone's.

The pictures of the page are kept in the ignored build folder, to be looked at.
"""

from __future__ import annotations

import contextlib

import pytest
from playwright.async_api import expect

from sandbox.client.member import Member, Refused
from tests.e2e.asking import finished, number, painted, said
from tests.e2e.conftest import Studio
from tests.page.driver import ChatPage, browser, open_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESK, PHONE = (1280, 1000), (390, 844)

PROMPTS = (
    "a large red house on a meadow at night, flat style",
    "two blue boats at sea by day",
    "一座红色的房子，水彩",
    "a green tree in winter, and beside it so many words that no line of a phone holds them all, nor do two",
    "a yellow star",
    "a purple fish at sea",
    "a white cat",
)


@pytest.mark.parametrize(("width", "height", "name"), [(*DESK, "desk"), (*PHONE, "phone")])
async def test_gallery_is_looked_through_and_gone_on_from(
    studio: Studio, ada: Member, width: int, height: int, name: str
) -> None:
    # On the phone jobs that were cancelled, which have no pictures, are the newest.
    if name == "desk":
        for seed, prompt in enumerate(PROMPTS):
            options = {"prompt": prompt, "steps": 4, "seed": str(seed), "style": "watercolour", "count": 1 + seed % 3}
            message, _ = await painted(ada, await ada.command("imagine", options))
        await ada.click(message, "★ Favourite")
        await painted(ada, await ada.click(message, "Re-roll"))
        await said(ada, await ada.command("describe", {"job": number(message)}))
    async with (
        browser() as chromium,
        open_page(chromium, studio.sandbox.url, "Ada", width=width, height=height) as page,
    ):
        before = await page.newest_id()
        await page.composer.fill("/history")
        await page.composer.press("Enter")
        await page.page.get_by_role("button", name="Send", exact=True).click()
        gallery = await page.wait_for_text("Your history", timeout_s=30, after=before)
        await page.wait_for_picture(gallery)
        if name == "desk":
            await expect(gallery.locator(".thumbnail img")).to_have_count(6)
        await within(page)
        await page.screenshot(f"history-{name}")
        await page.click_button("Older", gallery)
        await expect(gallery).to_contain_text("two blue boats")
        await page.screenshot(f"history-older-{name}")
        await page.click_button("Search", gallery)
        form = page.page.get_by_role("dialog")
        await form.get_by_label("Words of the prompt", exact=False).fill("红色")
        box = await form.bounding_box()
        assert box is not None
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
        await page.screenshot(f"history-search-{name}")
        await form.get_by_role("button", name="Submit").click()
        await expect(gallery.locator(".thumbnail img")).to_have_count(1)
        await page.click_button("★ Favourites", gallery)
        await expect(gallery).to_contain_text("Nothing of that was found")
        await page.screenshot(f"history-nothing-{name}")

        found = await page.ask("/history words:cat command:imagine", "“cat”")
        await found.get_by_text("Show one of these").click()
        before = await page.newest_id()
        await page.page.get_by_role("option").last.click()
        job = await page.wait_for_text("What came of it", timeout_s=30, after=before)
        await page.wait_for_picture(job)
        await within(page)
        await page.screenshot(f"show-{name}")

        several = [await ada.command("/imagine prompt:a red house at night steps:50 count:4") for _ in range(3)]
        queue = await page.ask("/queue", "The queue")
        await within(page)
        await page.screenshot(f"queue-{name}")
        mine = queue.locator(".section", has_text=f"#{number(several[-1].message)} ")
        await mine.get_by_role("button", name="Cancel").click()
        await finished(ada, several[-1])
        for reply in several[:-1]:
            with contextlib.suppress(Refused):  # it has ended by itself
                await ada.click(reply.message, "Cancel", until="acknowledged")
            await finished(ada, reply)
        await page.click_button("Refresh", queue)
        await expect(queue).to_contain_text("None of your jobs", timeout=60_000)


async def within(page: ChatPage) -> None:
    """Nothing reaches beyond the page's right side."""
    wide = await page.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide
