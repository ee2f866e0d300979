"""Writing commands: typed whole, or filled in option by option."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import BrowserContext, FileChooser, Locator, expect

from sandbox.clock import ManualClock
from sandbox.server import Sandbox
from tests.page.conftest import World
from tests.page.driver import ChatPage, open_page
from tests.page.pictures import png
from tests.page.scripted_bot import EPHEMERAL, Json, ScriptedBot, options_of, scripted_bot

IMAGINE: Json = {
    "type": 1,
    "name": "imagine",
    "description": "Make pictures from words",
    "description_localizations": {"zh-CN": "用文字画画"},
    "options": [
        {"type": 3, "name": "prompt", "description": "What to paint", "required": True, "max_length": 40},
        {"type": 4, "name": "seed", "description": "A whole number", "min_value": 0, "max_value": 99},
        {"type": 10, "name": "guidance", "description": "How closely", "min_value": 0},
        {"type": 5, "name": "private", "description": "Only you see it"},
        {"type": 3, "name": "model", "description": "Which model", "autocomplete": True},
        {
            "type": 3,
            "name": "sampler",
            "description": "Which sampler",
            "choices": [{"name": "Euler", "value": "euler"}, {"name": "DPM++ 2M", "value": "dpmpp-2m"}],
        },
        {"type": 6, "name": "for", "description": "For whom"},
        {"type": 7, "name": "where", "description": "In which channel"},
        {"type": 11, "name": "source", "description": "A picture to start from"},
    ],
}
UPSCALE: Json = {
    "type": 1,
    "name": "upscale",
    "description": "Make a picture larger",
    "options": [{"type": 11, "name": "picture", "description": "Which", "required": True}],
}
QUEUE: Json = {"type": 1, "name": "queue", "description": "What is waiting"}
MODELS: Json = {
    "type": 1,
    "name": "models",
    "description": "The models",
    "options": [
        {"type": 1, "name": "list", "description": "List them"},
        {"type": 1, "name": "info", "description": "About one", "options": []},
    ],
}
COMMANDS = [
    IMAGINE,
    UPSCALE,
    QUEUE,
    MODELS,
    {"type": 3, "name": "Describe", "name_localizations": {"zh-CN": "描述"}},
    {"type": 2, "name": "Gallery"},
]


async def say_ok(bot: ScriptedBot, interaction: Json) -> None:
    await bot.reply(interaction, content=f"ok {interaction['data']['name']}")


async def ready(page: ChatPage, bot: ScriptedBot) -> None:
    """Register the commands, and wait until the page has them."""
    bot.answers |= dict.fromkeys(("imagine", "upscale", "queue", "models", "Describe", "Gallery"), say_ok)
    await bot.register(COMMANDS)
    await page.composer.fill("/")
    await suggestion(page, "/imagine").wait_for()
    await page.composer.fill("")


def suggestion(page: ChatPage, name: str) -> Locator:
    return page.page.get_by_role("listbox").get_by_role("option", name=name)


def chip(page: ChatPage, name: str) -> Locator:
    return page.page.locator(f"#option-{name}")


async def test_command_pasted_as_text_is_sent_with_enter(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)
    await ada.run_command("/imagine prompt: a red house on a meadow seed:7")
    message = await ada.wait_for_text("ok imagine")
    assert options_of(bot.interactions[-1]) == {"prompt": "a red house on a meadow", "seed": 7}
    await expect(message.locator(".context-line")).to_have_text("Ada used /imagine")


async def test_command_typed_key_by_key_is_sent_with_enter(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)
    await ada.composer.press_sequentially("/imagine prompt: cat seed:7")
    await expect(ada.page.locator(".hint-option.given")).to_have_text(["prompt", "seed"])
    await ada.composer.press("Enter")
    await ada.wait_for_text("ok imagine")
    assert options_of(bot.interactions[-1]) == {"prompt": "cat", "seed": 7}
    await ada.composer.press_sequentially("/queue")
    await ada.composer.press("Enter")
    await ada.wait_for_text("ok queue")


async def test_list_of_commands_is_filtered_and_walked_with_the_keyboard(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)
    options = ada.page.get_by_role("listbox").get_by_role("option")
    await ada.composer.fill("/")
    await expect(options).to_have_count(5)
    await ada.screenshot("command-list")
    await ada.composer.fill("/mod")
    await expect(options).to_have_text(["/models listList them", "/models infoAbout one"])
    await ada.composer.press("ArrowDown")
    await expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    await expect(ada.composer).to_have_attribute("aria-activedescendant", "suggestion-1")
    await ada.composer.press("ArrowDown")
    await expect(options.nth(0)).to_have_attribute("aria-selected", "true")
    await ada.composer.press("Escape")
    await expect(options).to_have_count(0)
    await ada.composer.fill("/up")
    await ada.composer.press("Tab")
    await expect(chip(ada, "picture")).to_be_focused()
    await ada.page.keyboard.press("Escape")
    await expect(ada.composer).to_be_focused()
    await ada.composer.fill("/imag")
    await suggestion(ada, "/imagine").click()
    await expect(chip(ada, "prompt")).to_be_focused()
    await ada.page.keyboard.press("Backspace")
    await expect(ada.composer).to_have_value("/imagine")


async def test_each_kind_of_option_is_filled_in_and_sent(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await ready(ada, bot)

    async def complete(bot: ScriptedBot, interaction: Json) -> None:
        typed = next(one for one in interaction["data"]["options"] if one.get("focused"))["value"]
        names = [name for name in ("starter", "sdxl", "stable") if typed in name]
        await bot.respond(interaction, 8, {"choices": [{"name": name.upper(), "value": name} for name in names]})

    bot.answers["autocomplete"] = complete
    keyboard = ada.page.keyboard
    await ada.composer.fill("/imagine")
    await ada.composer.press("Enter")
    await keyboard.type("a cat")
    await keyboard.press("Tab")
    await expect(ada.page.get_by_role("listbox").get_by_role("option")).to_have_count(8)

    async def add(option: str) -> None:
        await ada.page.locator("#more-options").click()
        await suggestion(ada, option).first.click()
        await expect(chip(ada, option)).to_be_focused()

    await add("seed")
    await keyboard.type("42")
    await add("guidance")
    await keyboard.type("7.5")
    await add("private")
    await keyboard.type("fa")
    await keyboard.press("Enter")
    await expect(chip(ada, "private")).to_have_value("False")
    await add("sampler")
    await suggestion(ada, "DPM++ 2M").click()
    await add("for")
    await suggestion(ada, "@Mei").click()
    await add("where")
    await keyboard.type("gen")
    await keyboard.press("ArrowDown")
    await keyboard.press("Tab")
    await expect(chip(ada, "where")).to_have_value("#general")
    await add("model")
    await expect(ada.page.get_by_role("listbox").get_by_role("option")).to_have_count(3)
    await keyboard.type("st")
    await expect(ada.page.get_by_role("listbox").get_by_role("option")).to_have_text(["STARTER", "STABLE"])
    await ada.screenshot("options")
    await keyboard.press("Enter")
    await expect(chip(ada, "model")).to_have_value("STARTER")
    await keyboard.press("Enter")
    await ada.wait_for_text("ok imagine")
    assert options_of(bot.interactions[-1]) == {
        "prompt": "a cat",
        "seed": 42,
        "guidance": 7.5,
        "private": False,
        "sampler": "dpmpp-2m",
        "for": world.members["Mei"],
        "where": world.channels["general"],
        "model": "starter",
    }
    await expect(ada.composer).to_be_focused()


async def test_wrong_values_are_refused_beside_their_option(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)
    keyboard = ada.page.keyboard
    problem = ada.page.get_by_role("alert")
    await ada.composer.fill("/imagine prompt: x seed:100 sampler:none")
    await ada.composer.press("Tab")
    await expect(chip(ada, "prompt")).to_have_value("x")
    await chip(ada, "prompt").fill("")
    await keyboard.press("Enter")
    await expect(problem).to_contain_text("This option is required. Specify a value.")
    await expect(chip(ada, "prompt")).to_have_attribute("aria-invalid", "true")
    await chip(ada, "prompt").fill("x" * 41)
    await keyboard.press("Enter")
    await expect(problem).to_contain_text("at most 40 characters")
    await chip(ada, "prompt").fill("x")
    await keyboard.press("Enter")
    await expect(problem).to_contain_text("Input a number between 0 and 99.")
    await expect(chip(ada, "seed")).to_be_focused()
    await ada.screenshot("wrong-option")
    await chip(ada, "seed").fill("seven")
    await keyboard.press("Enter")
    await expect(problem).to_contain_text("Input a valid whole number.")
    await chip(ada, "seed").fill("7")
    await keyboard.press("Enter")
    await expect(problem).to_contain_text("Choose one of the values in the list.")
    await chip(ada, "sampler").fill("")
    await keyboard.press("Backspace")
    await expect(chip(ada, "sampler")).to_have_count(0)
    await keyboard.press("Enter")
    await ada.wait_for_text("ok imagine")
    assert options_of(bot.interactions[-1]) == {"prompt": "x", "seed": 7}


async def test_refusal_of_the_sandbox_is_shown_and_the_text_kept(
    profile: BrowserContext, sandbox: Sandbox, bot: ScriptedBot
) -> None:
    async with open_page(profile, sandbox.url, expected=("status of 400",)) as ada:
        await ready(ada, bot)
        await ada.composer.fill("/imagine prompt:cat seed:1000")
        await ada.composer.press("Enter")
        await expect(ada.page.get_by_role("alert")).to_contain_text("seed")
        await expect(ada.composer).to_have_value("/imagine prompt:cat seed:1000")
        assert bot.interactions == []


async def test_files_come_by_picker_by_paste_and_by_drop(ada: ChatPage, bot: ScriptedBot, tmp_path: Path) -> None:
    await ready(ada, bot)
    picture = tmp_path / "cat.png"
    picture.write_bytes(png())
    give = """([selector, kind, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
        const how = { bubbles: true, cancelable: true };
        const event = kind === "paste"
            ? new ClipboardEvent("paste", { ...how, clipboardData: transfer })
            : new DragEvent("drop", { ...how, dataTransfer: transfer });
        document.querySelector(selector).dispatchEvent(event);
    }"""

    def received() -> list[str]:
        attachments = bot.interactions[-1]["data"]["resolved"]["attachments"]
        return [attachment["filename"] for attachment in attachments.values()]

    # Asked for well before the key: Chromium takes its time to hand its dialogs over, and reports none until then.
    dialogs: asyncio.Queue[FileChooser] = asyncio.Queue()
    ada.page.on("filechooser", dialogs.put_nowait)
    await ada.composer.fill("/upscale")
    await ada.composer.press("Enter")
    await expect(chip(ada, "picture")).to_be_focused()
    await ada.page.keyboard.press("Space")
    dialog = await asyncio.wait_for(dialogs.get(), timeout=30)
    await dialog.set_files(picture)
    await expect(ada.page.locator(".file-chip img")).to_be_visible()
    await ada.screenshot("attachment-option")
    await ada.page.keyboard.press("Enter")
    await ada.wait_for_text("ok upscale")
    assert received() == ["cat.png"]

    await ada.composer.fill("/imagine")
    await ada.composer.press("Tab")
    await ada.page.keyboard.type("like this")
    await ada.page.evaluate(give, ["#option-prompt", "paste", list(png())])
    await expect(chip(ada, "source")).to_contain_text("paste.png")
    await ada.page.locator("button.send").click()
    await ada.wait_for_text("ok imagine")
    assert received() == ["paste.png"]

    await ada.composer.fill("/imagine prompt: typed")
    await ada.page.evaluate(give, [".scroller", "drop", list(png())])
    await expect(ada.page.locator(".tray-item")).to_contain_text("drop.png")
    await ada.composer.press("Enter")
    await expect(ada.messages.filter(has_text="ok imagine")).to_have_count(2)
    assert received() == ["drop.png"]


async def test_ordinary_message_with_files_and_several_lines(ada: ChatPage, bot: ScriptedBot, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(png())
    (tmp_path / "notes.txt").write_text("words")
    await ada.page.locator(".attach input").set_input_files([tmp_path / "one.png", tmp_path / "notes.txt"])
    await expect(ada.page.locator(".tray-item")).to_have_count(2)
    await ada.composer.fill("first")
    await ada.composer.press("Shift+Enter")
    await ada.page.keyboard.type("second")
    await ada.composer.press("Enter")
    message = await ada.wait_for_text("second")
    await expect(message.locator("p")).to_have_text("first\nsecond")
    await ada.wait_for_picture(message)
    await expect(message.get_by_role("link", name="notes.txt", exact=True)).to_be_visible()
    await expect(ada.page.locator(".tray-item")).to_have_count(0)


async def test_bot_thinks_then_answers(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)

    async def defer(bot: ScriptedBot, interaction: Json) -> None:
        await bot.respond(interaction, 5)

    bot.answers["queue"] = defer
    await ada.run_command("/queue")
    message = await ada.wait_for_text("Easel is thinking…")
    await expect(message.locator(".context-line")).to_have_text("Ada used /queue")
    await bot.edit_reply(bot.interactions[-1], {"x.png": png()}, content="thought")
    await expect(message).to_contain_text("thought")
    await expect(ada.page.get_by_text("is thinking")).to_have_count(0)
    await ada.wait_for_picture(message)


async def test_command_without_an_answer_says_so(profile: BrowserContext) -> None:
    clock = ManualClock()
    async with (
        Sandbox(clock=clock) as sandbox,
        scripted_bot(sandbox.url) as bot,
        open_page(profile, sandbox.url) as ada,
    ):
        await ready(ada, bot)
        del bot.answers["queue"]
        await ada.run_command("/queue")
        await expect(ada.page.locator(".unanswered")).to_contain_text("Sending command…")
        await clock.advance(3.1)
        await expect(ada.page.locator(".unanswered")).to_contain_text("The application did not respond")
        await ada.screenshot("no-answer")
        await ada.page.locator(".unanswered").get_by_role("button", name="Dismiss").click()
        await expect(ada.page.locator(".unanswered")).to_have_count(0)


async def test_ephemeral_reply_is_for_one_and_can_be_dismissed(
    profile: BrowserContext, sandbox: Sandbox, ada: ChatPage, bot: ScriptedBot
) -> None:
    await ready(ada, bot)

    async def whisper(bot: ScriptedBot, interaction: Json) -> None:
        await bot.reply(interaction, content="between us", flags=EPHEMERAL)

    bot.answers["queue"] = whisper
    async with open_page(profile, sandbox.url, "Grace") as grace:
        await ada.run_command("/queue")
        message = await ada.wait_for_text("between us")
        await expect(message).to_contain_text("Only you can see this")
        await ada.send("to all")
        await grace.wait_for_text("to all")
        await expect(grace.messages).to_have_count(1)
    await message.get_by_role("button", name="Dismiss message").first.click()
    await expect(message).to_have_count(0)


async def test_commands_for_messages_and_members_are_in_their_menus(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)
    await ada.send("look at this")
    message = await ada.wait_for_text("look at this")
    await message.click(button="right")
    menu = ada.page.get_by_role("menu")
    await expect(menu.get_by_role("menuitem").first).to_be_focused()
    await ada.screenshot("message-menu")
    await ada.page.keyboard.press("ArrowDown")
    await expect(menu.get_by_role("menuitem", name="Copy text")).to_be_focused()
    await ada.page.keyboard.press("Escape")
    await expect(menu).to_have_count(0)
    await message.hover()
    await message.get_by_role("button", name="More actions").click()
    await menu.get_by_role("menuitem", name="Describe").click()
    reply = await ada.wait_for_text("ok Describe")
    assert bot.interactions[-1]["data"]["target_id"] == await message.get_attribute("data-message-id")
    await expect(reply.locator(".context-line")).to_contain_text("Ada used Describe")
    await ada.page.get_by_role("button", name="Linus, online").click()
    await menu.get_by_role("menuitem", name="Gallery").click()
    await ada.wait_for_text("ok Gallery")


async def test_member_reads_descriptions_in_their_own_language(ada: ChatPage, bot: ScriptedBot) -> None:
    await ready(ada, bot)
    await ada.speak_as("Mei")
    await ada.composer.fill("/imag")
    await expect(suggestion(ada, "/imagine")).to_contain_text("用文字画画")
    await ada.composer.fill("")
    await ada.send("look")
    await (await ada.wait_for_text("look")).click(button="right")
    await ada.page.get_by_role("menuitem", name="描述").click()
    # Chosen by its name in this language, and run by its own.
    await ada.wait_for_text("ok Describe")
