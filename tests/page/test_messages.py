"""How messages look: words, embeds, pictures, and what happens to them while they are looked at."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from sandbox.client.member import Member
from sandbox.server import Sandbox
from tests.page.conftest import World
from tests.page.driver import ChatPage, open_page
from tests.page.pictures import png
from tests.page.scripted_bot import ScriptedBot

MARKDOWN = [
    ("**b** *i* _i_ __u__ ~~s~~", "<p><strong>b</strong> <em>i</em> <em>i</em> <u>u</u> <s>s</s></p>"),
    ("***both*** and **a *b* c**", "<p><strong><em>both</em></strong> and <strong>a <em>b</em> c</strong></p>"),
    ("snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"),
    (r"\*not\* \_so\_", "<p>*not* _so_</p>"),
    ("`**raw**` ``a ` b``", '<p><code class="inline">**raw**</code> <code class="inline">a ` b</code></p>'),
    ("# One\n## Two", '<div class="heading h1" role="heading" aria-level="4">One</div>'
     '<div class="heading h2" role="heading" aria-level="5">Two</div>'),
    ("#hash", "<p>#hash</p>"),
    ("-# small", '<div class="subtext">small</div>'),
    ("> a\n> b\nc", "<blockquote><p>a\nb</p></blockquote><p>c</p>"),
    (">>> a\n- b", "<blockquote><p>a</p><ul><li>b</li></ul></blockquote>"),
    ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("x\n```py\n**1** < 2\n```\ny", '<p>x</p><pre tabindex="0"><code>**1** &lt; 2</code></pre><p>y</p>'),
    ("[words](https://e.example/a_b_c)", '<p><a href="https://e.example/a_b_c" target="_blank" '
     'rel="noopener noreferrer">words</a></p>'),
    ("see https://e.example/x.", '<p>see <a href="https://e.example/x" target="_blank" '
     'rel="noopener noreferrer">https://e.example/x</a>.</p>'),
    ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
    ("<@12> <#34> </imagine:5>", '<p><span class="mention mention-me">@Ada</span> '
     '<span class="mention">#pictures</span> <span class="mention">/imagine</span></p>'),
    ("<script>alert(1)</script> & <b>", "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;</p>"),
    ("** unclosed __ ~~ ||", "<p>** unclosed __ ~~ ||</p>"),
    ("*" * 500, f"<p>{'*' * 500}</p>"),
]  # fmt: skip


async def test_markdown_becomes_the_same_elements_as_on_discord(ada: ChatPage) -> None:
    drawn = await ada.page.evaluate(
        """async (sources) => {
            const { prose } = await import("/page/prose.js");
            const { mount } = await import("/page/dom.js");
            const names = { me: "12", user: () => "Ada", channel: () => "pictures" };
            return sources.map((source) => {
                const root = document.createElement("div");
                mount(root)(prose(source, names));
                return root.firstChild.innerHTML;
            });
        }""",
        [source for source, _ in MARKDOWN],
    )
    assert drawn == [html for _, html in MARKDOWN]


async def test_hostile_text_stays_text_everywhere(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    evil = "<img src=x onerror=window.broken=1>"
    await bot.send(
        world.channels["pictures"],
        content=f"{evil} [x](javascript:window.broken=1) ||{evil}|| `{evil}`\n> {evil}",
        embeds=[
            {
                "title": evil,
                "url": 'https://e.example/"onmouseover=window.broken=1',
                "description": evil,
                "author": {"name": evil},
                "fields": [{"name": evil, "value": evil}],
                "footer": {"text": evil},
            }
        ],
        components=[
            {"type": 1, "components": [{"type": 2, "style": 1, "custom_id": evil, "label": evil}]},
            {
                "type": 1,
                "components": [
                    {
                        "type": 3,
                        "custom_id": f'"]{evil}',
                        "placeholder": evil,
                        "options": [{"label": evil, "value": evil, "description": evil}],
                    }
                ],
            },
        ],
    )
    message = await ada.wait_for_text(evil)
    await message.get_by_role("combobox", name=evil).click()
    await message.get_by_role("option", name=evil).wait_for()
    words = await message.inner_text()
    await ada.send(evil)
    await expect(ada.newest.locator("p")).to_have_text(evil)
    assert await ada.page.locator("img[src=x], [onerror], [onmouseover], .messages script").count() == 0
    assert await ada.page.locator("a[href^=javascript]").count() == 0
    assert await ada.page.evaluate("window.broken") is None
    assert words.count(evil) >= 8


async def test_spoiler_shows_its_words_when_it_is_pressed(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    sent = await bot.send(world.channels["pictures"], content="it is ||hidden||")
    spoiler = ada.newest.get_by_role("button", name="Spoiler")
    await spoiler.press("Enter")
    hidden = ada.newest.get_by_text("hidden", exact=True)
    await expect(hidden).to_be_visible()
    await bot.edit(sent, content="it is ||hidden|| still")
    await ada.wait_for_text("still")
    await expect(hidden).to_be_visible()


async def test_relative_times_count_while_they_are_looked_at(
    chromium: Browser, sandbox: Sandbox, bot: ScriptedBot, world: World
) -> None:
    async with open_page(chromium, sandbox.url) as ada:  # in a profile of its own, which keeps its false clock
        await ada.page.clock.install(time=1_799_999_000)
        await ada.page.reload()
        await ada.page.locator("[aria-label^='Speaking as Ada.']").wait_for()
        await ada.page.clock.pause_at(1_800_000_000)
        await bot.send(world.channels["pictures"], content="done <t:1800000120:R>, on <t:1800000120:D>")
        message = await ada.wait_for_text("15 January 2027")
        await expect(message).to_contain_text("in 2 minutes")
        await ada.page.clock.run_for(75_000)
        await expect(message).to_contain_text("in 45 seconds")


async def test_embed_shows_all_its_parts(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await bot.send(
        world.channels["pictures"],
        {"cat.png": png(128, 96), "small.png": png(32, 32)},
        embeds=[
            {
                "color": 0x3C9A8A,
                "author": {"name": "Classifier"},
                "title": "A cat",
                "url": "https://e.example/cat",
                "description": "It is **very** likely",
                "fields": [{"name": name, "value": "1 %", "inline": True} for name in ("cat", "dog", "owl")],
                "image": {"url": "attachment://cat.png"},
                "thumbnail": {"url": "attachment://small.png"},
                "footer": {"text": "starter"},
                "timestamp": "2026-01-01T12:00:00+00:00",
            }
        ],
    )
    embed = ada.newest.locator(".embed")
    await expect(embed.get_by_role("link", name="A cat")).to_have_attribute("href", "https://e.example/cat")
    await expect(embed).to_have_css("border-left-color", "rgb(60, 154, 138)")
    await expect(embed.locator("strong")).to_have_text("very")
    await expect(embed.locator(".embed-footer")).to_contain_text("starter  •  01/01/2026")
    boxes = [await field.bounding_box() for field in await embed.locator(".embed-field").all()]
    assert len({box["y"] for box in boxes if box}) == 1, "inline fields stand side by side"
    await expect(embed.locator(".picture img")).to_have_count(2)
    await expect(ada.newest.locator(".picture img")).to_have_count(2)  # not again beneath the embed


async def test_forwarded_message_shows_what_it_forwards(
    ada: ChatPage, sandbox: Sandbox, bot: ScriptedBot, world: World
) -> None:
    await bot.send(world.channels["pictures"], {"cat.png": png(128, 96)}, content="a **cat**")
    async with Member(sandbox.url, "Ada") as member:
        [sent] = (await member.state())["messages"]
        await member.forward(sent)
    forwarded = ada.newest.locator(".forwarded")
    await expect(forwarded).to_contain_text("Forwarded")
    await expect(forwarded.locator("strong")).to_have_text("cat")
    await expect(forwarded.locator(".picture img")).to_have_count(1)
    await expect(ada.newest).not_to_contain_text("The original message was deleted")


async def test_small_picture_is_shown_at_a_size_to_look_at(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    await bot.send(world.channels["pictures"], {"tiny.png": png(64, 48)}, content="tiny")
    picture = await ada.wait_for_picture()
    box = await picture.bounding_box()
    assert box
    assert (box["width"], box["height"]) == (256, 192)
    await expect(picture).to_have_css("image-rendering", "auto")


async def test_grid_opens_in_full_size_and_obeys_the_keyboard(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    files = {f"house-{n}.png": png(96, 96, (60 * n, 80, 120)) for n in range(4)}
    await bot.send(world.channels["pictures"], files, content="four")
    await ada.wait_for_picture()
    boxes = [await one.bounding_box() for one in await ada.newest.locator(".picture").all()]
    assert len({box["x"] for box in boxes if box}) == len({box["y"] for box in boxes if box}) == 2
    assert all(box and box["width"] >= 256 for box in boxes)

    opener = ada.newest.get_by_role("button", name="Open house-1.png")
    await opener.press("Enter")
    lightbox = ada.page.get_by_role("dialog")
    await expect(lightbox).to_contain_text("house-1.png")
    await expect(lightbox).to_contain_text(f"96 × 96 · {len(files['house-1.png'])} bytes · 2 of 4")
    await expect(lightbox.get_by_role("button", name="Close")).to_be_focused()
    for key, name in (("ArrowRight", "house-2.png"), ("ArrowLeft", "house-1.png"), ("ArrowLeft", "house-0.png")):
        await ada.page.keyboard.press(key)
        await expect(lightbox.locator("header")).to_contain_text(name)
    await ada.screenshot("lightbox")
    async with ada.page.expect_download() as downloading:
        await lightbox.get_by_role("link", name="Download").click()
    download = await downloading.value
    assert download.suggested_filename == "house-0.png"
    assert (await download.path()).read_bytes() == files["house-0.png"]
    for _ in range(8):
        await ada.page.keyboard.press("Tab")
        assert await ada.page.evaluate("document.activeElement.closest('.lightbox') !== null")
    await ada.page.keyboard.press("Escape")
    await expect(lightbox).to_have_count(0)
    await expect(opener).to_be_focused()


async def test_edit_leaves_the_picture_the_focus_and_the_place_alone(
    ada: ChatPage, bot: ScriptedBot, world: World
) -> None:
    channel = world.channels["pictures"]
    row = {"type": 1, "components": [{"type": 2, "style": 2, "custom_id": "b", "label": "Cancel"}]}
    for n in range(30):
        await bot.send(channel, content=f"line {n}\n" * 3)
    sent = await bot.send(channel, {"a.png": png()}, content="1 of 20", components=[row])
    picture = await ada.wait_for_picture()
    await picture.evaluate("picture => { picture.marked = true; }")
    await ada.button("Cancel").focus()
    place = "document.querySelector('.scroller').scrollTop"
    scroller = ada.page.locator(".scroller")
    await scroller.evaluate("node => { node.scrollTop = 300; }")
    before = await ada.page.evaluate(place)
    await bot.edit(sent, content="2 of 20\nand more\nlines")
    await ada.wait_for_text("2 of 20")
    assert await picture.evaluate("picture => picture.marked") is True
    assert await ada.page.evaluate(place) == before
    await expect(ada.button("Cancel")).to_be_focused()
    await expect(ada.newest.locator(".edited")).to_have_text("(edited)")

    await bot.edit(sent, {"b.png": png(colour=(20, 200, 20))}, content="done")
    await ada.wait_for_text("done")
    await expect(picture).to_have_attribute("src", re.compile(r"/b\.png\?"))
    assert await picture.evaluate("picture => picture.marked") is True

    await ada.page.get_by_role("button", name="Jump to newest").click()
    await bot.send(channel, content="the end\n" * 4)
    await ada.wait_for_text("the end")
    left = "(node) => Math.round(node.scrollHeight - node.scrollTop - node.clientHeight)"
    await expect(ada.page.get_by_role("button", name="Jump to newest")).to_be_hidden()
    assert await scroller.evaluate(left) == 0


async def test_deleted_message_goes(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    sent = await bot.send(world.channels["pictures"], content="soon gone")
    message = await ada.wait_for_text("soon gone")
    await bot.delete(sent)
    await expect(message).to_have_count(0)


async def test_own_message_can_be_deleted_and_any_by_a_moderator(
    profile: BrowserContext, ada: ChatPage, sandbox: Sandbox
) -> None:
    await ada.send("from Ada")
    await ada.send("also from Ada")
    first = await ada.wait_for_text("also from Ada")
    async with open_page(profile, sandbox.url, "Linus") as linus, open_page(profile, sandbox.url, "Grace") as grace:
        message = await linus.wait_for_text("also from Ada")
        await message.hover()
        await expect(message.get_by_role("button", name="More actions")).to_be_visible()
        await expect(message.get_by_role("button", name="Delete message")).to_have_count(0)
        message = await grace.wait_for_text("also from Ada")
        await message.hover()
        await message.get_by_role("button", name="Delete message").click()
        await expect(first).to_have_count(0)
        await ada.newest.click(button="right")
        await ada.page.get_by_role("menuitem", name="Delete message").click()
        await expect(linus.messages).to_have_count(0)


async def test_reply_names_and_finds_what_it_answers(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    channel = world.channels["pictures"]
    first = await bot.send(channel, content="the **first**")
    await bot.send(channel, content="an answer", message_reference={"message_id": first["id"]})
    answer = await ada.wait_for_text("an answer")
    await expect(answer.locator(".context-line")).to_contain_text("Easel the first")
    await answer.locator(".reply-jump").click()
    await bot.delete(first)
    await expect(answer.locator(".context-line")).to_contain_text("The original message was deleted")


async def test_components_v2_stand_as_they_were_laid_out(ada: ChatPage, bot: ScriptedBot, world: World) -> None:
    files = {f"{n}.png": png(96, 96, (200, 50 * n, 60)) for n in range(3)}
    await bot.send(
        world.channels["pictures"],
        {**files, "recipe.json": json.dumps({"seed": 7}).encode()},
        flags=32768,
        components=[
            {
                "type": 17,
                "accent_color": 0xE2703A,
                "components": [
                    {"type": 10, "content": "### a red house"},
                    {
                        "type": 9,
                        "components": [{"type": 10, "content": "with a thumbnail"}],
                        "accessory": {"type": 11, "media": {"url": "attachment://0.png"}, "description": "small"},
                    },
                    {"type": 14, "divider": True, "spacing": 2},
                    {
                        "type": 12,
                        "items": [
                            {
                                "media": {"url": f"attachment://{n}.png"},
                                "description": f"picture {n}",
                                "spoiler": n == 2,
                            }
                            for n in (1, 2)
                        ],
                    },
                    {"type": 13, "file": {"url": "attachment://recipe.json"}},
                    {
                        "type": 9,
                        "components": [{"type": 10, "content": "with a button"}],
                        "accessory": {"type": 2, "style": 1, "custom_id": "go", "label": "Go"},
                    },
                ],
            }
        ],
    )
    container = ada.newest.locator(".container")
    await expect(container.get_by_role("heading", name="a red house")).to_be_visible()
    await expect(container.locator(".thumbnail img")).to_have_attribute("alt", "small")
    await expect(container.locator("hr")).to_have_count(1)
    await expect(container.locator(".grid img")).to_have_count(2)
    await expect(container.get_by_role("button", name="Go")).to_be_visible()
    await expect(container.get_by_role("link", name="Download recipe.json")).to_be_visible()
    await expect(ada.newest.locator(".picture img")).to_have_count(3)
    await container.get_by_role("button", name="Open picture 1").click()
    await expect(ada.page.get_by_role("dialog")).to_contain_text(f"1.png96 × 96 · {len(files['1.png'])} bytes")
    await ada.page.keyboard.press("Escape")
    await container.get_by_role("button", name="Show 2.png").click()
    await expect(container.get_by_role("button", name="Show 2.png")).to_be_hidden()
    for picture in await container.locator(".picture img").all():
        await expect(picture).to_have_js_property("complete", True)
    await ada.screenshot("components")


@pytest.mark.parametrize("width", [400, 1280])
async def test_nothing_is_wider_than_the_page(
    profile: BrowserContext, sandbox: Sandbox, bot: ScriptedBot, world: World, width: int
) -> None:
    channel = world.channels["pictures"]
    buttons = [{"type": 2, "style": 2, "custom_id": str(n), "label": f"Variation {n}"} for n in range(5)]
    gallery = [{"media": {"url": f"attachment://{n}.png"}} for n in range(4)]
    await bot.send(channel, {"wide.png": png(512, 64)}, content="word " * 60 + "x" * 300)
    await bot.send(
        channel, embeds=[{"title": "t" * 200, "fields": [{"name": "n" * 60, "value": "v" * 90, "inline": True}] * 3}]
    )
    await bot.send(
        channel,
        {f"{n}.png": png() for n in range(4)},
        flags=32768,
        components=[{"type": 17, "components": [{"type": 12, "items": gallery}, {"type": 1, "components": buttons}]}],
    )
    async with open_page(profile, sandbox.url, "Ada", width=width) as page:
        await page.wait_for_picture()
        over = await page.page.evaluate(
            """() => {
                const edge = document.querySelector(".scroller").getBoundingClientRect().right + 1;
                return [...document.querySelectorAll(".message *")]
                    .filter((node) => node.getBoundingClientRect().right > edge)
                    .map((node) => node.className);
            }"""
        )
        assert over == []
        await page.screenshot(f"wide-{width}")
