"""/models: what there is here to paint with, as the engine says it: pages of models, LoRAs and all else by name.

A page is remade from the engine's own list whenever somebody turns to it: nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands, ui
from discord.utils import escape_markdown
from msgspec.structs import replace

from bot import cards, permits
from bot.buttons import PanelButton
from bot.commands import Slice
from bot.custom_ids import OfWord
from bot.requests import adapters
from bot.words import N_, say, say_many
from inference.protocol import MILLIONTHS, AddOnInfo, ModelInfo, Ready, Remote, ToolInfo

PAGE_CHARS = 1600
"""What a page holds of entries: more would fill a phone several times."""

LINE_CHARS, TITLE_CHARS = 400, 100
"""What is shown of one entry, and of its title."""

NAMES = 8
"""How many models an add-on is said to go with by name."""


@dataclass(frozen=True, slots=True)
class Section:
    """Things of one kind, each a line or two of Discord's markdown."""

    title: str
    entries: Sequence[str]


@app_commands.command(
    description=N_("What there is here to paint with: models, LoRAs, ControlNets, embeddings, styles")
)
async def models(interaction: discord.Interaction) -> None:
    """/models."""
    await interaction.response.send_message(view=_panel(_there(interaction), 0), ephemeral=True)


async def turn(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The buttons that turn the page: the word is its number."""
    await permits.require(interaction, "models")
    page = int(target.word) if target.word.isdecimal() else 0
    await interaction.response.edit_message(view=_panel(_there(interaction), page))


def _there(interaction: discord.Interaction) -> Ready:
    """What the engine can do, with the models that are allowed here."""
    ready, held = permits.offers(interaction), permits.policy(interaction)
    return replace(ready, models=tuple(model for model in ready.models if held.admits(model.name)))


def _panel(ready: Ready, page: int) -> ui.LayoutView:
    """The page of this number, counted from 0, or the last."""
    pages = list(paged(sections(ready)))
    page = min(page, len(pages) - 1)
    container: ui.Container[Any] = ui.Container()
    container.add_item(ui.TextDisplay(pages[page]))
    if len(pages) > 1:
        print_ = say("Page {page} of {pages}", page=page + 1, pages=len(pages))
        container.add_item(ui.TextDisplay(f"-# {print_}"))
        back, on = page - 1, page + 1
        container.add_item(
            ui.ActionRow(
                PanelButton("models", str(back) if back >= 0 else "", label=say("Previous"), disabled=back < 0),
                PanelButton("models", str(on), label=say("Next"), disabled=on == len(pages)),
            )
        )
    return cards.layout(container)


def paged(shown: Iterable[Section]) -> Iterator[str]:
    """The texts of the pages: sections in their order, with their title again where one goes on overleaf."""
    page = ""
    for section in shown:
        title = f"### {section.title}"
        fresh = True
        for entry in section.entries:
            line = f"{title}\n{entry}" if fresh or not page else entry
            if page and len(page) + len(line) + 1 > PAGE_CHARS:
                yield page
                page, line = "", f"{title}\n{entry}"
            page = f"{page}\n{line}" if page else line
            fresh = False
    yield page


def sections(ready: Ready) -> list[Section]:
    """All that the engine has; of what there is none there is no section."""
    found = [
        Section(say("Models"), [_model(model, ready) for model in _default_first(ready)]),
        Section(say("LoRAs"), [_add_on(lora, ready, f"`{lora.name}:{lora.weight:g}`") for lora in ready.loras]),
        Section(say("ControlNets"), [_add_on(control, ready, f"`{control.name}`") for control in ready.controls]),
        Section(
            say("Embeddings, which prompts name"), [_add_on(one, ready, f"`{one.name}`") for one in ready.embeddings]
        ),
        Section(say("Wildcards, of which prompts draw a line"), _run(f"`__{name}__`" for name in ready.wildcards)),
        Section(say("Styles"), _styles(ready)),
        Section(say("Upscalers"), [_tool(upscaler, upscaler.scale) for upscaler in ready.upscalers]),
        Section(say("Face restoration"), [_tool(restorer) for restorer in ready.restorers]),
    ]
    return [section for section in found if section.entries]


def _default_first(ready: Ready) -> list[ModelInfo]:
    return sorted(ready.models, key=lambda model: model.name != ready.default_model)


def _model(model: ModelInfo, ready: Ready) -> str:
    head = [_called(model.title, f"`{model.name}`")]
    if model.name == ready.default_model:
        head.append(say("the usual one"))
    head += [f"`{model.family}`", f"{model.width} × {model.height}"]
    if model.remote is None:
        head.append(say_many("{count} step", "{count} steps", model.steps))
    return _entry(head, [*_abilities(model), *_beside(model, ready)])


def _abilities(model: ModelInfo) -> Iterator[str]:
    """What it can do that others cannot, and what it cannot."""
    if model.remote is not None:
        yield from _elsewhere(model.remote)
    if model.fills:
        yield say("fills marked parts of pictures in /edit, and paints nothing else")
    if model.references:
        yield say("edits by instruction")
    if not model.negative:
        yield say("takes no negative prompt")
    if model.refiner is not None:
        yield say("has a refiner")
    if model.upscale > 1:
        yield say("enlarges what it paints {factor} times", factor=model.upscale)


def _elsewhere(remote: Remote) -> Iterator[str]:
    """Whose server paints, and what that costs."""
    yield say("painted by {host}", host=remote.host)
    if not remote.seeded:
        yield say("cannot be repeated")
    if remote.currency:
        prices = sorted({remote.price / MILLIONTHS, *(price / MILLIONTHS for price in remote.prices.values())})
        if len(prices) == 1:
            yield say("{most} {currency} a picture", most=prices[-1], currency=remote.currency)
        else:
            least, most = prices[0], prices[-1]
            yield say("{least} to {most} {currency} a picture", least=least, most=most, currency=remote.currency)


def _beside(model: ModelInfo, ready: Ready) -> Iterator[str]:
    """How much there is that goes with it."""
    if count := len(adapters.fitting(ready.loras, model)):
        yield say_many("{count} LoRA", "{count} LoRAs", count)
    if count := len(adapters.fitting(ready.controls, model)):
        yield say_many("{count} ControlNet", "{count} ControlNets", count)
    if count := len(adapters.fitting(ready.embeddings, model)):
        yield say_many("{count} embedding", "{count} embeddings", count)
    if count := len(model.styles):
        yield say_many("{count} style", "{count} styles", count)


def _add_on(add_on: AddOnInfo, ready: Ready, name: str) -> str:
    head = [_called(add_on.title, name)]
    if add_on.trigger:
        head.append(say("say “{words}”", words=escape_markdown(add_on.trigger)))
    return _entry(head, [_with(add_on.models, ready)])


def _with(names: Sequence[str], ready: Ready) -> str:
    """Which of the models that are here something goes with."""
    here = [model.name for model in ready.models if model.name in names]
    if len(here) == len(ready.models):
        return say("goes with every model")
    shown = ", ".join(f"`{name}`" for name in here[:NAMES])
    more = len(here) - NAMES
    if not here:
        return say("goes with no model that is here")
    return (
        say("goes with {models}", models=shown)
        if more <= 0
        else say("goes with {models} and {count} more", models=shown, count=more)
    )


def _styles(ready: Ready) -> list[str]:
    """Each once, however many models know it."""
    known: dict[str, tuple[str, list[str]]] = {}
    for model in ready.models:
        for style in model.styles:
            known.setdefault(style.name, (style.title, []))[1].append(model.name)
    return [_entry([_called(title, f"`{name}`")], [_with(models, ready)]) for name, (title, models) in known.items()]


def _tool(tool: ToolInfo, scale: int = 1) -> str:
    larger = [say("{factor} times", factor=scale)] if scale > 1 else []
    return _entry([_called(tool.title, f"`{tool.name}`"), *larger], [])


def _called(title: str, name: str) -> str:
    return f"**{escape_markdown(cards.shorten(title, TITLE_CHARS))}** {name}"


def _run(names: Iterable[str]) -> list[str]:
    """Many short names on lines."""
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) < LINE_CHARS / 2:
            lines[-1] += f" {name}"
        else:
            lines.append(name)
    return lines


def _entry(head: Sequence[str], more: Sequence[str]) -> str:
    """One thing: what it is called, and in small print what there is to say of it."""
    text = cards.shorten(" · ".join(head), LINE_CHARS)
    return f"{text}\n-# {cards.shorten(' · '.join(more), LINE_CHARS)}" if more else text


SLICE = Slice(commands=[models], panel={"models": turn})
