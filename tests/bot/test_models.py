"""/models: all that the engine has stands on some page, and no page is longer than Discord takes."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import discord
import pytest
from msgspec.structs import replace

from bot.access import Access
from bot.cards import TEXT_CHARS
from bot.commands import models
from bot.custom_ids import OfWord
from inference.protocol import Ready, ToolInfo
from tests.bot.conftest import add_on, ready
from tests.bot.test_completions import typing

INK = add_on("ink", "Ink_and_*", ("starter",), weight=0.8, trigger="ink drawing")
EDGES = add_on("edges", "Edges", ("starter", "turbo"))
BAD = add_on("bad-hands", "Bad hands", ("turbo",))
X4 = ToolInfo(name="x4", title="Four times", scale=4, denoise=False, tasks=(), languages=(), batch=1)
ABLE = ready(
    loras=(INK,),
    controls=(EDGES,),
    embeddings=(BAD,),
    wildcards=("colours", "animals/cats"),
    upscalers=(X4,),
    restorers=(replace(X4, name="gfpgan", title="GFPGAN", scale=1),),
)


async def shown(able: Ready, word: str | None = None) -> discord.ui.LayoutView:
    """What a member sees who asks, or who presses the button of this word."""
    interaction: Any = typing(able)
    interaction.client.admission.access = create_autospec(Access, instance=True)
    if word is None:
        await models.models.callback(interaction)  # type: ignore[call-arg, arg-type]
        assert interaction.response.send_message.await_args.kwargs["ephemeral"]
        return interaction.response.send_message.await_args.kwargs["view"]  # type: ignore[no-any-return]
    await models.turn(interaction, OfWord(word), ())
    return interaction.response.edit_message.await_args.kwargs["view"]  # type: ignore[no-any-return]


def text(view: discord.ui.LayoutView) -> str:
    return "\n".join(item.content for item in view.walk_children() if isinstance(item, discord.ui.TextDisplay))


def buttons(view: discord.ui.LayoutView) -> list[Any]:
    return [item for item in view.walk_children() if isinstance(item, discord.ui.Button)]


async def test_everything_is_there_by_the_name_that_is_typed() -> None:
    view = await shown(ABLE)
    assert not buttons(view)
    assert text(view).splitlines() == [
        "### Models",
        "**Starter** `starter` · the usual one · `sd1` · 64 × 64 · 8 steps",
        "-# enlarges what it paints 4 times · 1 LoRA · 1 ControlNet · 1 style",
        "**Turbo** `turbo` · `sdxl` · 512 × 512 · 1 step",
        "-# takes no negative prompt · has a refiner · 1 ControlNet · 1 embedding",
        "### LoRAs",
        r"**Ink\_and\_\*** `ink:0.8` · say “ink drawing”",
        "-# goes with `starter`",
        "### ControlNets",
        "**Edges** `edges`",
        "-# goes with every model",
        "### Embeddings, which prompts name",
        "**Bad hands** `bad-hands`",
        "-# goes with `turbo`",
        "### Wildcards, of which prompts draw a line",
        "`__colours__` `__animals/cats__`",
        "### Styles",
        "**Oil painting** `oil`",
        "-# goes with `starter`",
        "### Upscalers",
        "**Four times** `x4` · 4 times",
        "### Face restoration",
        "**GFPGAN** `gfpgan`",
    ]


async def test_what_sets_a_model_apart_is_said() -> None:
    starter, turbo = ABLE.models
    seen = text(await shown(replace(ABLE, models=(replace(turbo, fills=True), replace(starter, references=3)))))
    assert seen.index("`starter`") < seen.index("`turbo`"), "the usual one comes first"
    assert "edits by instruction" in seen
    assert "fills marked parts of pictures in /edit, and paints nothing else · takes no" in seen


async def test_very_much_is_turned_over_page_by_page_and_nothing_is_lost() -> None:
    many = tuple(add_on(f"lora-{number}", "L" * 300, ("starter", "turbo")[number % 2 :]) for number in range(80))
    words = tuple(f"folder/{'w' * 80}{number}" for number in range(300))
    able = replace(ABLE, loras=many, wildcards=words)
    seen, word = "", ""
    while word is not None:
        view = await shown(able, word)
        assert len(text(view)) < TEXT_CHARS
        assert text(view).startswith("### ")
        seen += text(view)
        back, on = buttons(view)
        assert back.disabled == (word == "")
        assert len({back.custom_id, on.custom_id}) == 2
        word = None if on.disabled else on.custom_id.rpartition(":")[2]
    assert all(f"`{lora.name}:1`" in seen for lora in many)
    assert all(f"`__{name}__`" in seen for name in words)


@pytest.mark.parametrize("word", ["", "-1", "?", "²", "9" * 60, "0"])
async def test_forged_pages_are_pages_that_there_are(word: str) -> None:
    assert text(await shown(ABLE, word)) == text(await shown(ABLE))


async def test_what_goes_with_many_models_names_a_few() -> None:
    starter = ABLE.models[0]
    ink = add_on("ink", "Ink", (*(f"m{number}" for number in range(12)), "gone"))
    able = replace(ABLE, models=tuple(replace(starter, name=f"m{number}") for number in range(20)), loras=(ink,))
    assert "goes with `m0`, `m1`, `m2`, `m3`, `m4`, `m5`, `m6`, `m7` and 4 more" in text(await shown(able, "1"))
    lone = add_on("x", "X", ("gone",))
    assert "goes with no model that is here" in text(await shown(replace(ABLE, loras=(lone,))))
