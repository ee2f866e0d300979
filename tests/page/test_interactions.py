"""Pressing, choosing and filling in what a message offers."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from sandbox.clock import ManualClock
from sandbox.server import Sandbox
from tests.page.conftest import World
from tests.page.driver import ChatPage, open_page
from tests.page.pictures import png
from tests.page.scripted_bot import Json, ScriptedBot, scripted_bot


def button(label: str, **fields: object) -> Json:
    style = 5 if "url" in fields else 2
    known = {} if "url" in fields else {"custom_id": label}
    return {"type": 2, "style": style, "label": label, **known, **fields}


def row(*components: Json) -> Json:
    return {"type": 1, "components": list(components)}


async def test_buttons_of_every_style(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    buttons = [button(f"style {style}", style=style) for style in (1, 2, 3, 4)]
    await bot.send(
        world.channels["pictures"],
        content="buttons",
        components=[
            row(*buttons, button("site", url="https://e.example/")),
            row(
                button("off", disabled=True),
                {"type": 2, "style": 2, "custom_id": "only emoji", "emoji": {"id": None, "name": "🎲"}},
                button("both", emoji={"id": None, "name": "🎨"}),
            ),
        ],
    )
    message = await ada.wait_for_text("buttons")
    colours = [
        await ada.button(f"style {style}").evaluate("node => getComputedStyle(node).backgroundColor")
        for style in (1, 2, 3, 4)
    ]
    assert len(set(colours)) == 4
    await expect(ada.button("off")).to_be_disabled()
    await expect(ada.button("🎲")).to_be_visible()
    await expect(ada.button("both")).to_contain_text("🎨both")
    link = message.get_by_role("link", name="site")
    await expect(link).to_have_attribute("href", "https://e.example/")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await ada.screenshot("buttons")


async def test_pressed_button_waits_for_the_bot(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await bot.send(world.channels["pictures"], content="before", components=[row(button("Go"))])
    message = await ada.wait_for_text("before")
    await ada.click_button("Go")
    await expect(ada.button("Go")).to_have_attribute("aria-busy", "true")
    await bot.wait_for_interactions(1)
    await ada.button("Go").click()  # not a second time while it waits
    await bot.respond(bot.interactions[0], 7, {"content": "after", "components": [row(button("Go"))]})
    await expect(message).to_contain_text("after")
    await expect(ada.button("Go")).not_to_have_attribute("aria-busy", "true")
    assert len(bot.interactions) == 1
    await expect(message).not_to_contain_text("before")


async def test_button_without_an_answer_says_so(profile: BrowserContext) -> None:
    clock = ManualClock()
    async with (
        Sandbox(clock=clock) as sandbox,
        scripted_bot(sandbox.url) as bot,
        open_page(profile, sandbox.url) as ada,
    ):
        channel = await ada.page.evaluate("new URLSearchParams(location.hash.slice(1)).get('channel')")
        await bot.send(channel, content="press", components=[row(button("Hang"))])
        await ada.click_button("Hang")
        await expect(ada.button("Hang")).to_have_attribute("aria-busy", "true")
        await bot.wait_for_interactions(1)
        await clock.advance(3.1)
        await expect(ada.newest.get_by_role("alert")).to_contain_text("The application did not respond")
        await expect(ada.button("Hang")).not_to_have_attribute("aria-busy", "true")


def string_select(custom_id: str, **fields: object) -> Json:
    options = [
        {"label": label, "value": label.lower(), "description": f"About {label}"} for label in ("One", "Two", "Three")
    ]
    return {"type": 3, "custom_id": custom_id, "options": options, **fields}


async def test_single_and_multiple_selects(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    chosen: list[list[str]] = []

    async def note(bot: ScriptedBot, interaction: Json) -> None:
        chosen.append(interaction["data"]["values"])
        await bot.respond(interaction, 6)

    bot.answers |= {"single": note, "several": note}
    await bot.send(
        world.channels["pictures"],
        content="selects",
        components=[
            row(string_select("single", placeholder="Pick one")),
            row(string_select("several", placeholder="Pick some", min_values=1, max_values=2)),
        ],
    )
    single = ada.page.get_by_role("combobox", name="Pick one")
    await single.click()
    await expect(ada.page.get_by_role("option", name="Two")).to_contain_text("About Two")
    await expect(ada.page.get_by_role("option", name="Three")).to_be_in_viewport(ratio=1)
    await ada.screenshot("select")
    await ada.page.get_by_role("option", name="Two").click()
    await expect(single).to_contain_text("Two")
    await expect(single).to_be_enabled()
    several = ada.page.get_by_role("combobox", name="Pick some")
    await several.press("ArrowDown")
    for key in ("Enter", "ArrowDown", "ArrowDown", "Space", "ArrowUp", "Enter", "Escape"):
        await several.press(key)
    await expect(several).to_contain_text("OneThree")
    await expect(several).to_be_enabled()
    assert chosen == [["two"], ["one", "three"]]


async def test_form_of_labels_is_checked_and_sent(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    async def open_form(bot: ScriptedBot, interaction: Json) -> None:
        await bot.respond(
            interaction,
            9,
            {
                "title": "Edit picture",
                "custom_id": "form",
                "components": [
                    {"type": 10, "content": "Change what you **like**."},
                    _label(
                        "Prompt", {"type": 4, "style": 2, "custom_id": "prompt", "value": "a house", "max_length": 20}
                    ),
                    _label("Seed", {"type": 4, "style": 1, "custom_id": "seed", "min_length": 3, "required": False}),
                    _label("Size", string_select("size")),
                    _label("Extras", string_select("extras", min_values=0, max_values=3, required=False)),
                ],
            },
        )

    async def accept(bot: ScriptedBot, interaction: Json) -> None:
        await bot.reply(interaction, content="edited as wished")

    bot.answers |= {"Edit": open_form, "form": accept}
    await bot.send(world.channels["pictures"], content="picture", components=[row(button("Edit"))])
    await ada.click_button("Edit")
    form = ada.page.get_by_role("dialog", name="Edit picture")
    prompt, seed = form.get_by_label("Prompt"), form.get_by_label("Seed")
    await expect(prompt).to_be_focused()
    await expect(prompt).to_have_value("a house")
    await expect(form.locator(".modal-text strong")).to_have_text("like")
    for _ in range(9):
        await ada.page.keyboard.press("Tab")
        assert await ada.page.evaluate("document.activeElement.closest('.modal') !== null")

    submit = form.get_by_role("button", name="Submit")
    await prompt.fill("")
    await seed.fill("12")
    await submit.click()
    await expect(form.get_by_role("alert")).to_have_text(
        ["This field is required.", "Must be 3 or more in length.", "This field is required."]
    )
    await expect(prompt).to_be_focused()
    await ada.screenshot("form-refused")
    await prompt.fill("x" * 21)
    await submit.click()
    await expect(form.get_by_role("alert").first).to_have_text("Must be 20 or fewer in length.")
    await prompt.fill("a tree")
    await seed.fill("123")
    await form.get_by_role("combobox", name="Size").click()
    await form.get_by_role("option", name="Three").click()
    await submit.click()
    await expect(form).to_have_count(0)
    await ada.wait_for_text("edited as wished")
    sent = [outer["component"] for outer in bot.interactions[-1]["data"]["components"] if outer["type"] == 18]
    assert [field.get("value", field.get("values")) for field in sent] == ["a tree", "123", ["three"], []]


async def test_form_of_action_rows_is_sent_and_can_be_closed(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    async def open_form(bot: ScriptedBot, interaction: Json) -> None:
        field = {"type": 4, "style": 1, "custom_id": "name", "label": "Your name"}
        await bot.respond(interaction, 9, {"title": "Old", "custom_id": "old", "components": [row(field)]})

    async def accept(bot: ScriptedBot, interaction: Json) -> None:
        name = interaction["data"]["components"][0]["components"][0]["value"]
        await bot.reply(interaction, content=f"hello {name}")

    bot.answers |= {"Ask": open_form, "old": accept}
    await bot.send(world.channels["pictures"], content="who?", components=[row(button("Ask"))])
    form = ada.page.get_by_role("dialog", name="Old")
    await ada.click_button("Ask")
    await form.wait_for()
    await ada.page.keyboard.press("Escape")
    await expect(form).to_have_count(0)
    await expect(ada.button("Ask")).to_be_focused()
    await ada.click_button("Ask")
    await form.get_by_label("Your name").fill("Countess")
    await ada.page.keyboard.press("Enter")
    await ada.wait_for_text("hello Countess")


async def test_newer_fields_of_forms(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    options = [{"label": "A", "value": "a"}, {"label": "B", "value": "b", "description": "the second"}]
    fields = [
        _label("Radio", {"type": 21, "custom_id": "radio", "options": options}),
        _label("Boxes", {"type": 22, "custom_id": "boxes", "options": options}),
        _label("Agreed", {"type": 23, "custom_id": "agreed"}),
        _label("Picture", {"type": 19, "custom_id": "picture"}),
    ]

    async def open_form(bot: ScriptedBot, interaction: Json) -> None:
        await bot.respond(interaction, 9, {"title": "New", "custom_id": "new", "components": fields})

    async def accept(bot: ScriptedBot, interaction: Json) -> None:
        await bot.reply(interaction, content="taken")

    bot.answers |= {"Ask": open_form, "new": accept}
    await bot.send(world.channels["pictures"], content="?", components=[row(button("Ask"))])
    await ada.click_button("Ask")
    form = ada.page.get_by_role("dialog", name="New")
    await form.get_by_role("radiogroup", name="Radio").get_by_label("B").check()
    await form.get_by_role("group", name="Boxes").get_by_label("B").check()
    await form.get_by_label("Agreed").check()
    await form.get_by_label("Picture").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png()})
    await ada.screenshot("form-fields")
    await form.get_by_role("button", name="Submit").click()
    await ada.wait_for_text("taken")
    data = bot.interactions[-1]["data"]
    sent = [outer["component"] for outer in data["components"]]
    assert [field.get("value", field.get("values")) for field in sent[:3]] == ["b", ["b"], True]
    attachments = data["resolved"]["attachments"]
    assert [attachments[one]["filename"] for one in sent[3]["values"]] == ["a.png"]


def _label(label: str, component: Json) -> Json:
    return {"type": 18, "label": label, "component": component}
