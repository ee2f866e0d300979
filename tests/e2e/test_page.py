"""The whole way as a person goes it: Chromium on the chat page, the real bot, the real engine."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from bot.words import say, speaking
from tests.e2e.conftest import Studio
from tests.page.driver import ChatPage, browser, open_page

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_MS = 120_000


async def result(page: ChatPage, words: str) -> Locator:
    """Wait for the newest message with these words to become a finished job; give it."""
    message = page.messages.filter(has_text=words).last
    await expect(message.get_by_role("button", name="Delete", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    return page.page.locator(f"#{await message.get_attribute('id')}")


async def shown(page: ChatPage, message: Locator) -> bytes:
    """The bytes of a message's first picture, as the page loads it."""
    picture = await page.wait_for_picture(message, timeout_s=60)
    answer = await page.page.request.get(await picture.evaluate("picture => picture.src"))
    assert answer.ok
    return await answer.body()


async def test_person_types_imagine_and_presses_every_button_before_and_after_a_restart(studio: Studio) -> None:
    async with browser() as chromium, open_page(chromium, studio.sandbox.url, "Ada") as page:
        await page.run_command("/imagine prompt: a red house on a meadow at night seed:7")
        first = await result(page, "seed 7 ·")
        picture = await shown(page, first)
        await page.screenshot("imagine")

        await page.click_button("Re-roll", first)
        await expect(page.messages).to_have_count(2)
        rerolled = await result(page, "a red house on a meadow at night")
        assert await shown(page, rerolled) != picture

        await page.click_button("V1", first)
        await expect(page.messages).to_have_count(3)
        varied = await result(page, "varied 1×")
        await expect(varied.locator(".picture img")).to_have_count(4)
        await page.screenshot("variations")

        await page.click_button("Edit", first)
        form = page.page.get_by_role("dialog")
        await expect(form.get_by_label("Steps")).to_have_value("8")
        await page.screenshot("edit")
        await form.get_by_label("Prompt", exact=False).first.fill("a blue boat at sea")
        await form.get_by_role("button", name="Submit").click()
        await result(page, "a blue boat at sea")

        await studio.stop()
        await studio.start()

        await page.click_button("V1", first)
        await expect(page.messages).to_have_count(5)
        await result(page, "varied 1×")
        await page.run_command("/imagine prompt: a red house on a meadow at night seed:7")
        await expect(page.messages).to_have_count(6)
        again = await result(page, "a red house on a meadow at night")
        assert await shown(page, again) == picture

        await page.click_button("Delete", again)
        await expect(again).to_have_count(0)
        await page.run_command("/imagine prompt:a house width:37")
        await page.wait_for_text("Width 37 does not fit")
        await page.screenshot("refusal")


async def test_everybody_reads_their_own_language_and_a_job_keeps_it_over_a_restart(studio: Studio) -> None:
    async with browser() as chromium, open_page(chromium, studio.sandbox.url, "Mei") as page:
        with speaking("zh-CN"):
            described, delete, cancel, recipe = map(
                say, ("Paint pictures from your words", "Delete", "Cancel", "Show recipe")
            )
            enlarge, vary, heading = (
                say("U{number}", number=1),
                say("V{number}", number=1),
                say("steps {value}", value=2),
            )
        await page.composer.fill("/imag")
        await expect(page.page.get_by_role("listbox").get_by_role("option", name="/imagine")).to_contain_text(described)
        await page.screenshot("chinese-commands")
        await page.run_command("/imagine prompt: a red house seed:8 steps:50 count:4")
        message = page.messages.filter(has_text="a red house").last
        await expect(message.get_by_role("button", name=cancel, exact=True)).to_be_visible()
        message = page.page.locator(f"#{await message.get_attribute('id')}")
        await studio.stop()
        await studio.start()
        for label in (enlarge, vary, delete):
            await expect(message.get_by_role("button", name=label, exact=True)).to_be_visible(timeout=PATIENCE_MS)
        await page.run_command("/grid prompt: a red house x:steps 2, 4")
        await expect(page.messages.last.get_by_role("button", name=delete, exact=True)).to_be_visible(
            timeout=PATIENCE_MS
        )
        await expect(page.messages.last).to_contain_text(heading)
        await page.wait_for_picture(page.messages.last, timeout_s=60)
        await page.screenshot("chinese")
        await page.page.set_viewport_size({"width": 390, "height": 844})
        await page.screenshot("chinese-phone")
        await page.page.set_viewport_size({"width": 1280, "height": 800})
        await message.click(button="right")
        await expect(page.page.get_by_role("menuitem", name=recipe)).to_be_visible()
        await page.screenshot("chinese-menu")
        await page.page.keyboard.press("Escape")
        await page.speak_as("Ada")
        await page.click_button(delete, message)
        await page.wait_for_text("These are not your pictures")
