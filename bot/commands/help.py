"""/help: what can be done here, by topic, with examples that work as they stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, permits
from bot.access import where_of
from bot.admission import admission_of
from bot.buttons import PanelButton, panel_menu
from bot.commands import Slice
from bot.custom_ids import OfWord
from bot.errors import MemberError
from bot.panels.page import heading, page, show, small, title
from bot.words import N_, say, say_many

NAME = "help"

NAMED = 20
"""So many models a line names."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A page of the help: what it is about, and examples with what each does."""

    title: str
    about: str
    examples: Mapping[str, str]
    """By what is typed; `{job}` is the number of a picture of one's own."""


TOPICS: Mapping[str, Topic] = {
    "paint": Topic(
        N_("Painting"),
        N_("Say what the picture shows; all else is up to you. While you type, Discord offers what there is."),
        {
            "/imagine prompt:a red house on a meadow": N_("One picture."),
            "/imagine prompt:a blue boat on the sea count:2 seed:7": N_("Two, the same again at any time."),
            "/imagine prompt:a red house style:watercolour": N_("In a ready-made style."),
            "/imagine prompt:a (red:1.3) house negative:fog": N_("With weight on a word, and without something."),
            "/grid prompt:a red house x:steps 4, 8": N_("A table of pictures that differ in one thing."),
        },
    ),
    "further": Topic(
        N_("Going on from a picture"),
        N_("Under each picture are buttons: U enlarges, V varies, Edit opens a form, ★ keeps it for /history."),
        {
            "/imagine prompt:a red house at night job:{job} strength:0.5": N_("Starts from your picture."),
            "/upscale job:{job} factor:2": N_("Enlarges it."),
            "/describe job:{job} task:caption": N_("Puts it into words."),
            "/reroll job:{job}": N_("Paints it again."),
            "/rate job:{job}": N_("Says how good it is."),
        },
    ),
    "find": Topic(
        N_("Finding things again"),
        N_("Everything here is shown to you alone."),
        {
            "/history": N_("Your pictures, to be searched by words."),
            "/show job:{job}": N_("One of them, with how it was made and what came of it."),
            "/queue": N_("What waits and runs, to be cancelled."),
            "/models": N_("What paints here, and how fast."),
        },
    ),
    "own": Topic(
        N_("Your own things"),
        N_("What holds for you everywhere."),
        {
            "/me": N_("Your defaults, your language, and when you want to be told."),
            "/train": N_("Teach a model your own style or subject."),
            "/loras": N_("What came of that: share it, rename it, download it."),
            "/privacy": N_("What is kept of you: take it along, or have it erased for good."),
        },
    ),
}


@app_commands.command(name=NAME, description=N_("What you can do here, with examples, and what is allowed"))
async def help_(interaction: discord.Interaction) -> None:
    """/help."""
    await _show(interaction, "paint")


async def open_topic(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu of topics."""
    await admission_of(interaction).access.require(interaction, NAME)
    if len(values) != 1 or values[0] not in TOPICS:
        raise MemberError("This is not to be chosen any more: send /help again.")
    await _show(interaction, values[0])


async def _show(interaction: discord.Interaction, name: str) -> None:
    topic = TOPICS[name]
    policy = permits.policy(interaction)
    lines = [heading(say(topic.title)), say(topic.about)]
    newest = await _newest(interaction)
    for typed, does in topic.examples.items():
        if not policy.has(typed.split()[0].removeprefix("/")):
            continue
        if "{job}" in typed and newest is None:
            continue
        lines += [f"`{typed.replace('{job}', str(newest))}`", small(say(does))]
    if newest is None and any("{job}" in typed for typed in topic.examples):
        lines.append(say("There is more here once you have painted something: begin with /imagine."))
    lines += ["", title(say("What holds here")), *_rules(interaction)]
    options = [
        discord.SelectOption(label=cards.shorten(say(one.title), 100), value=key, default=key == name)
        for key, one in TOPICS.items()
    ]
    rows: list[Sequence[ui.Item[Any]]] = [
        [panel_menu("help", "", options)],
        [PanelButton("privacy", label=say("Your data"))],
    ]
    await show(interaction, page(lines, rows))


async def _newest(interaction: discord.Interaction) -> int | None:
    """A painting of the member's own that may be shown here."""
    found = await admission_of(interaction).jobs.finding.painted(interaction.user.id, where_of(interaction), 1)
    return found[0] if found else None


def _rules(interaction: discord.Interaction) -> list[str]:
    """What may be done here, and how much of it."""
    policy, ready = permits.policy(interaction), permits.offers(interaction)
    allowed = [model for model in ready.models if policy.admits(model.name)]
    names = [f"`{model.name}`" for model in allowed[:NAMED]] + ["…"] * (len(allowed) > NAMED)
    lines = []
    if names:
        said = say("Models: {names}. Where you name none: {model}.", names=", ".join(names), model=ready.default_model)
        lines.append(said)
    if policy.commands is not None:
        there = ", ".join(f"/{one}" for one in sorted(policy.commands))
        lines.append(say("Commands that moderators allow here: {commands}", commands=there or say("none at all")))
    lines.append(say_many("{count} picture at once.", "Up to {count} pictures at once.", ready.max_count))
    if policy.steps is not None:
        lines.append(say_many("{count} step.", "Up to {count} steps.", policy.steps))
    if policy.pixels is not None:
        lines.append(say_many("{count} pixel.", "Up to {count} pixels.", policy.pixels))
    if policy.waiting is not None:
        lines.append(say_many("{count} job of yours may wait.", "{count} jobs of yours may wait.", policy.waiting))
    if policy.hour is not None:
        lines.append(say_many("{count} job an hour.", "{count} jobs an hour.", policy.hour))
    if policy.day is not None:
        lines.append(say_many("{count} job a day.", "{count} jobs a day.", policy.day))
    return lines


SLICE = Slice(commands=[help_], panel={"help": open_topic})
