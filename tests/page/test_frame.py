"""What stands around the messages: who is there, which channel, the connection, small screens."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, expect

from sandbox.client.member import Member
from sandbox.server import Sandbox
from tests.page.conftest import World
from tests.page.driver import ChatPage, open_page
from tests.page.scripted_bot import ScriptedBot, scripted_bot


async def test_bot_is_shown_online_while_it_is(profile: BrowserContext, sandbox: Sandbox) -> None:
    async with open_page(profile, sandbox.url) as ada:
        await ada.page.get_by_role("button", name="Easel, offline").wait_for()
        async with scripted_bot(sandbox.url):
            await ada.page.get_by_role("button", name="Easel, online").wait_for()
        await ada.page.get_by_role("button", name="Easel, offline").wait_for()


async def test_members_speak_for_themselves_and_are_remembered(ada: ChatPage) -> None:
    await ada.send("from Ada")
    await ada.speak_as("Grace")
    await ada.send("from Grace")
    await expect(ada.messages.locator(".author")).to_have_text(["Ada", "Grace"])
    await ada.page.reload()
    await ada.page.get_by_role("button", name="Speaking as Grace").wait_for()
    await ada.page.goto(f"http://{urlsplit(ada.page.url).netloc}/")
    await ada.page.get_by_role("button", name="Speaking as Grace").wait_for()
    await expect(ada.messages).to_have_count(2)


async def test_each_channel_has_its_own_messages(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await bot.send(world.channels["general"], content="in general")
    await ada.send("in pictures")
    await expect(ada.messages).to_have_count(1)
    await ada.page.get_by_role("button", name="general", exact=True).click()
    await ada.wait_for_text("in general")
    await expect(ada.messages).to_have_count(1)
    await expect(ada.composer).to_have_attribute("placeholder", "Message #general")
    await ada.page.reload()
    await ada.wait_for_text("in general")


async def test_direct_messages_with_the_bot_can_be_begun(ada: ChatPage, bot: ScriptedBot) -> None:
    await ada.page.get_by_role("button", name="Easel", exact=True).click()
    await ada.send("just between us")
    await ada.wait_for_text("just between us")
    await ada.send("and again")
    await ada.wait_for_text("and again")
    await expect(ada.messages).to_have_count(2)
    await ada.page.reload()
    await ada.wait_for_text("just between us")


async def test_typing_goes_to_the_composer(ada: ChatPage) -> None:
    await expect(ada.composer).to_be_focused()
    await ada.page.locator(".scroller").focus()
    await ada.page.keyboard.type("/que")
    await expect(ada.composer).to_have_value("/que")


async def test_typing_bot_is_announced(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await bot.request("POST", f"/channels/{world.channels['pictures']}/typing")
    await expect(ada.page.locator(".typing")).to_have_text("Easel is typing…")
    await bot.send(world.channels["pictures"], content="there")
    await expect(ada.page.locator(".typing")).to_have_text("")


async def test_lost_connection_is_said_and_mended(profile: BrowserContext, tmp_path: Path) -> None:
    async with Sandbox(data=tmp_path) as sandbox:
        port = urlsplit(sandbox.url).port or 0
        opening = open_page(profile, sandbox.url, expected=("ERR_CONNECTION_REFUSED", "WebSocket"))
        ada = await opening.__aenter__()
        await ada.send("before")
    banner = ada.page.get_by_role("status")
    await expect(banner).to_contain_text("The connection to the sandbox is lost")
    await ada.screenshot("connection-lost")
    await ada.composer.fill("not lost")
    await ada.composer.press("Enter")
    await expect(ada.page.get_by_role("alert")).to_contain_text("cannot be reached")
    await expect(ada.composer).to_have_value("not lost")
    async with Sandbox(data=tmp_path, port=port) as sandbox, scripted_bot(sandbox.url) as bot:
        channel = sandbox.url and await ada.page.evaluate("new URLSearchParams(location.hash.slice(1)).get('channel')")
        await bot.send(channel, content="while you were away")
        await ada.wait_for_text("while you were away")
        await expect(banner).to_have_count(0)
        await expect(ada.messages).to_have_count(2)
        await opening.__aexit__(None, None, None)


async def test_small_screen_has_drawers(profile: BrowserContext, sandbox: Sandbox, bot: ScriptedBot) -> None:
    async with open_page(profile, sandbox.url, width=400, height=760) as ada:
        channel = ada.page.get_by_role("button", name="general", exact=True)
        await expect(channel).to_be_hidden()
        await ada.page.get_by_role("button", name="Channels").click()
        await expect(channel).to_be_visible()
        await ada.screenshot("small-channels")
        await channel.click()
        await expect(channel).to_be_hidden()
        await ada.page.get_by_role("button", name="People").click()
        await expect(ada.page.get_by_role("button", name="Easel, online")).to_be_in_viewport()
        await ada.screenshot("small-people")
        await ada.page.mouse.click(20, 400)
        await expect(ada.page.get_by_role("button", name="Easel, online")).to_be_hidden()
        await ada.send("from a telephone")
        assert await ada.page.evaluate("document.documentElement.scrollWidth") == 400


async def test_who_wants_no_motion_gets_none(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await bot.request("POST", f"/channels/{world.channels['pictures']}/typing")
    dot = ada.page.locator(".typing .dots i").first
    await expect(dot).to_have_css("animation-iteration-count", "1")


async def test_every_control_has_a_name(ada: ChatPage) -> None:
    controls = ada.page.locator("button, a[href], input, textarea, [role=button]")
    nameless = await controls.evaluate_all(
        """nodes => nodes
            .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()))
            .map((node) => node.outerHTML)"""
    )
    assert nameless == []
    assert await ada.page.locator("h1").count() == 1
    await expect(ada.page).to_have_title(re.compile("Easel"))


async def test_servers_channels_and_threads_are_listed_as_the_member_sees_them(
    profile: BrowserContext, sandbox: Sandbox, bot: ScriptedBot
) -> None:
    async with open_page(profile, sandbox.url) as ada:
        channels = ada.page.get_by_role("navigation", name="Channels").locator(".channel-name")
        await expect(channels).to_have_text(["pictures", "tips", "general", "back-room", "after-dark", "Easel"])
        await ada.page.get_by_role("button", name="back-room").click()
        await ada.send("among us")
        await ada.screenshot("servers")
        await ada.page.get_by_role("button", name="after-dark").click()
        await expect(ada.page.locator(".top-bar .age-mark")).to_have_text("18+")
        await ada.page.get_by_role("button", name="Print Room").click()
        await expect(channels).to_have_text(["prints", "lobby", "Easel"])
        await expect(ada.page.locator(".person-name")).to_have_text(["Easel", "Hedy", "Alan", "Ada"])
        await expect(ada.page.get_by_role("heading", level=1)).to_have_text("Print Room")
        await ada.speak_as("Linus")
        await expect(channels).to_have_text(["pictures", "tips", "general", "after-dark", "Easel"])
        await expect(ada.messages).to_have_count(0)


async def test_channels_come_and_go_on_an_open_page(ada: ChatPage, sandbox: Sandbox) -> None:
    channels = ada.page.get_by_role("navigation", name="Channels").locator(".channel-name")
    async with Member(sandbox.url, "Grace") as grace:
        await grace.create_channel("corner", type="private_thread", parent="pictures", members=["Ada"])
        await expect(channels.nth(2)).to_have_text("corner")
        await ada.page.get_by_role("button", name="corner").click()
        await ada.send("here")
        await grace.delete_channel("corner")
        await expect(channels.nth(2)).to_have_text("general")
        await expect(ada.messages).to_have_count(0)
        await expect(ada.page.locator(".channel-title")).to_have_text("pictures")


async def test_servers_are_chosen_on_a_small_screen_too(
    profile: BrowserContext, sandbox: Sandbox, bot: ScriptedBot
) -> None:
    async with open_page(profile, sandbox.url, width=400, height=760) as ada:
        await ada.page.get_by_role("button", name="Channels").click()
        await ada.screenshot("small-servers")
        await ada.page.get_by_role("button", name="Print Room").click()
        await expect(ada.page.locator(".channel-title")).to_have_text("prints")
        await ada.page.get_by_role("button", name="Channels").click()
        await ada.page.get_by_role("button", name="lobby").click()
        await ada.send("from a telephone")
        assert await ada.page.evaluate("document.documentElement.scrollWidth") == 400
