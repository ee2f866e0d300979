"""/train: LoRAs of members' own: which there are, and new ones as they are prepared.

Their captions are in `train_captions`, how they come on and what comes of them in `train_course`.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import cast

import discord
import msgspec
from discord import app_commands
from discord.app_commands import Choice

from bot import permits
from bot.admission import admission_of
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfWord
from bot.database import written
from bot.errors import MemberError
from bot.forms import uploads
from bot.panels import train as panel
from bot.panels import train_forms
from bot.panels import train_list as listing
from bot.panels.page import show
from bot.teaching import bringing, seeing
from bot.teaching.bringing import Source
from bot.teaching.captioning import captioning_of
from bot.teaching.seeing import NAME, later, own_draft
from bot.training.states import Training
from bot.words import N_, spoken
from inference.protocol import ModelInfo, TrainingKind, TrainingOptions, TrainingOrder

log = logging.getLogger(__name__)

SOURCES: Mapping[Source, str] = {
    "favourites": N_("what I painted and starred"),
    "here": N_("what I painted in this channel or thread"),
}
"""Where a training's first pictures come from, where they are not uploaded."""


@app_commands.command(
    name=NAME, description=N_("Teach a model a style or a subject of yours; without options: yours so far")
)
@app_commands.describe(
    kind=N_("What it learns: how pictures look, or what is in them"),
    model=N_("The model that learns it"),
    pictures=N_("Learn from pictures of yours that are here already; more can be added"),
)
@app_commands.choices(
    kind=[Choice(name=title, value=kind) for kind, title in panel.KINDS.items()],
    pictures=[Choice(name=title, value=source) for source, title in SOURCES.items()],
)
async def train(
    interaction: discord.Interaction, kind: str | None = None, model: str | None = None, pictures: str | None = None
) -> None:
    """/train."""
    if kind is None and model is None and pictures is None:
        return await home(interaction, of_server=False)
    chosen = seeing.model_of(interaction, model)
    await _open(interaction, cast(TrainingKind, kind or "style"), chosen, pictures or "")
    return None


@train.autocomplete("model")
async def models(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Models that can be taught."""
    able = [one for one in seeing.taught(interaction) if typed.lower() in f"{one.name} {one.title}".lower()]
    return [Choice(name=one.title[:100], value=one.name) for one in able[:25]]


async def open_panel(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons that lead to one's trainings, to those of a server, or to the training of a number."""
    if target.word in ("", "server"):
        return await home(interaction, of_server=bool(target.word))
    training = await seeing.looked_after(interaction, target.word)
    await later(interaction)
    await seeing.put(interaction, training)
    return None


async def open_one(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menu of trainings."""
    training = await seeing.looked_after(interaction, values[0] if values else "")
    await later(interaction)
    await seeing.put(interaction, training)


async def open_new(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button New training."""
    await permits.require(interaction, NAME)
    await _open(interaction, "style", seeing.model_of(interaction, None), "")


async def add(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """The form of a new training: KIND:MODEL:SOURCE."""
    await permits.require(interaction, NAME)
    kind, model, source, *_rest = (*target.word.split(":"), "", "", "")
    if kind not in panel.KINDS:
        raise MemberError("This form is from another version of Easel: send /train again.")
    order = _order(fields, cast(TrainingKind, kind), seeing.model_of(interaction, model).name, TrainingOptions())
    seeing.require_words(interaction, [order.name, order.trigger])
    if interaction.channel_id is None:
        raise MemberError("Trainings are begun in a channel: send /train in one.")
    posted = uploads(interaction, "pictures")
    with written("a training"):
        training = await admission_of(interaction).jobs.trainings.add(
            order,
            member_id=interaction.user.id,
            guild_id=interaction.guild_id,
            channel_id=interaction.channel_id,
            language=spoken(),
        )
    await later(interaction)
    problems: list[str] = []
    if source in SOURCES:
        problems += await bringing.painted(interaction, training, cast(Source, source))
    problems += await bringing.posted(interaction, training, posted)
    await _brought(interaction, training, problems)


async def open_more(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Add pictures."""
    training = await own_draft(interaction, target.word)
    count = len(await admission_of(interaction).jobs.trainings.pictures(training.id))
    await interaction.response.send_modal(train_forms.more(training, count))


async def add_more(interaction: discord.Interaction, target: OfWord, _: Fields) -> None:
    """Its form."""
    training = await own_draft(interaction, target.word)
    posted = uploads(interaction, "pictures")
    await later(interaction)
    await _brought(interaction, training, await bringing.posted(interaction, training, posted))


async def open_details(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Details."""
    training = await own_draft(interaction, target.word)
    await interaction.response.send_modal(train_forms.details(training, seeing.taught(interaction)))


async def set_details(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    training = await own_draft(interaction, target.word)
    kind, _colon, model = fields.get("what", "").partition(":")
    if kind not in panel.KINDS:
        raise MemberError("This form is from another version of Easel: send /train again.")
    order = _order(fields, cast(TrainingKind, kind), seeing.model_of(interaction, model).name, training.options)
    seeing.require_words(interaction, [order.name, order.trigger])
    await _edit(interaction, training, order)


async def open_numbers(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Advanced."""
    training = await own_draft(interaction, target.word)
    begins = seeing.model_of(interaction, training.model).training
    assert begins is not None, "it can be taught"
    await interaction.response.send_modal(train_forms.numbers(training, begins))


async def set_numbers(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    training = await own_draft(interaction, target.word)
    said = {name: _number(name, fields.get(name, "")) for name in train_forms.NUMBERS}
    options = msgspec.structs.replace(training.options, **said)
    await _edit(interaction, training, msgspec.structs.replace(training.order, options=options))


async def home(interaction: discord.Interaction, *, of_server: bool) -> None:
    """Show one's trainings, or those of a server. Raises MemberError where one may not see them."""
    await permits.require(interaction, NAME)
    trainings = admission_of(interaction).jobs.trainings
    moderates = seeing.moderates(interaction, interaction.guild_id)
    if of_server and not moderates:
        raise MemberError("Only moderators see the trainings of a server: /train shows your own.")
    found = await (trainings.of_guild(interaction.guild_id) if of_server else trainings.of_member(interaction.user.id))
    able = bool(seeing.taught(interaction))
    view = listing.home(found, of_server=of_server, moderates=moderates, able=able)
    if interaction.response.is_done():
        await interaction.edit_original_response(view=view, attachments=[])
    else:
        await show(interaction, view)


async def _open(interaction: discord.Interaction, kind: TrainingKind, model: ModelInfo, source: str) -> None:
    word = f"{kind}:{model.name}:{source}"
    await interaction.response.send_modal(train_forms.new(word, needs_pictures=not source))


async def _brought(interaction: discord.Interaction, training: Training, problems: Sequence[str]) -> None:
    """Show a training that has new pictures, whose captions are begun with, and say what is wrong with others."""
    captioning_of(interaction).start(interaction, training.id)
    await seeing.put(interaction, training)
    if problems:
        said = "\n".join(dict.fromkeys(problems))
        await interaction.followup.send(said[: panel.SAID_CHARS], ephemeral=True)


async def _edit(interaction: discord.Interaction, training: Training, order: TrainingOrder) -> None:
    with written("a training"):
        edited = await admission_of(interaction).jobs.trainings.edit(training.id, order)
    if edited is None:
        raise MemberError(seeing.GONE)
    await later(interaction)
    await seeing.put(interaction, edited)


def _order(fields: Fields, kind: TrainingKind, model: str, options: TrainingOptions) -> TrainingOrder:
    said = {name: fields.get(name, "").strip() for name in ("name", "trigger", "consent", "license")}
    # As it is meant, or else by its kind, which can be changed: nobody uploads ten pictures again for a capital letter.
    letters = unicodedata.normalize("NFKD", said["name"].lower()).encode("ascii", "ignore").decode()
    said["name"] = re.sub(r"[^a-z0-9._-]+", "-", letters).strip("-._") or kind
    return TrainingOrder(kind=kind, model=model, options=options, **said)


def _number(name: str, typed: str) -> int | float | None:
    typed = typed.strip()
    if not typed:
        return None
    try:
        return float(typed) if name == "rate" else int(typed)
    except ValueError as error:
        raise MemberError("{typed} is no number: write one, or nothing.", typed=typed) from error


SLICE = Slice(
    commands=[train],
    panel={
        "train": open_panel,
        "trainopen": open_one,
        "trainnew": open_new,
        "trainadd": open_more,
        "traindetails": open_details,
        "trainnumbers": open_numbers,
    },
    forms={
        "trainnew": Form((OfWord,), add),
        "trainadd": Form((OfWord,), add_more),
        "traindetails": Form((OfWord,), set_details),
        "trainnumbers": Form((OfWord,), set_numbers),
    },
)
