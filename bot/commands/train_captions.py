"""The captions of a training that is prepared: page by page, one by one, many at once, or by the describer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import discord

from bot.admission import admission_of
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfWord, number_in
from bot.database import written
from bot.errors import MemberError
from bot.panels import train_captions as panel
from bot.panels import train_forms
from bot.requests import captions
from bot.teaching import seeing
from bot.teaching.captioning import captioning_of, describer_of
from bot.teaching.seeing import own_draft
from bot.training.states import Training, TrainingPicture
from bot.words import say_many


async def open_page(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Captions, and those to other pages: ID:PAGE."""
    training, page = await _draft(interaction, target)
    await _show(interaction, training, page)


async def open_one(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu of a page's pictures: opens the form of one's words."""
    training, page = await _draft(interaction, target)
    picture = await _picture(interaction, training, values[0] if values else "")
    await interaction.response.send_modal(train_forms.caption(training, picture, page))


async def set_one(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form: ID:PICTURE:PAGE."""
    number, picture, at, *_rest = (*target.word.split(":"), "", "")
    training = await own_draft(interaction, number)
    found = await _picture(interaction, training, picture)
    await _change(interaction, training, {found.number: captions.tidy(fields.get("words", ""))}, number_in(at) or 0)


async def remove(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu that takes a picture out."""
    training, page = await _draft(interaction, target)
    picture = await _picture(interaction, training, values[0] if values else "")
    with written("pictures of a training"):
        await admission_of(interaction).jobs.trainings.remove_picture(training.id, picture.number)
    await _show(interaction, training, page)


async def open_all(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Change many at once: as many as fit, from the first of the page on."""
    training, page = await _draft(interaction, target)
    known = await _known(interaction, training)
    _count, page, shown = panel.paged(known, page)
    if not shown:
        raise MemberError("There are no pictures yet: add some.")
    from_here = {one.number: one.caption for one in known if one.number >= shown[0].number}
    await interaction.response.send_modal(train_forms.all_captions(training, from_here, page))


async def set_all(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    training, page = await _draft(interaction, target)
    known = {one.number: one.caption for one in await _known(interaction, training)}
    said = captions.apart(fields.get("words", ""), known)
    changed = {number: caption for number, caption in said.items() if caption != known[number]}
    await _change(interaction, training, changed, page)


async def open_replace(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Find and replace."""
    training, page = await _draft(interaction, target)
    await interaction.response.send_modal(train_forms.replace(training, page))


async def replace(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    training, page = await _draft(interaction, target)
    known = {one.number: one.caption for one in await _known(interaction, training)}
    old = fields.get("old", "")
    changed = captions.replaced(known, old, fields.get("new", "")) if old.strip() else {}
    if not changed:
        raise MemberError("No caption has that in it: look at their words once more.")
    await _change(interaction, training, changed, page)
    said = say_many("{count} caption was changed.", "{count} captions were changed.", len(changed))
    await interaction.followup.send(said, ephemeral=True)


async def write(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Describe those without."""
    training, page = await _draft(interaction, target)
    if not captioning_of(interaction).start(interaction, training.id):
        raise MemberError("There is no describer here any more: write the captions yourself.")
    await _show(interaction, training, page)


async def _draft(interaction: discord.Interaction, target: OfWord) -> tuple[Training, int]:
    """The training and the page of ID:PAGE. Raises MemberError as `own_draft` does."""
    number, _colon, page = target.word.partition(":")
    return await own_draft(interaction, number), number_in(page) or 0


async def _known(interaction: discord.Interaction, training: Training) -> list[TrainingPicture]:
    return await admission_of(interaction).jobs.trainings.pictures(training.id)


async def _picture(interaction: discord.Interaction, training: Training, number: str) -> TrainingPicture:
    wanted = number_in(number) or 0
    for picture in await _known(interaction, training):
        if picture.number == wanted:
            return picture
    raise MemberError("There is no picture {number} here: the numbers stand before the words.", number=wanted)


async def _change(interaction: discord.Interaction, training: Training, changed: Mapping[int, str], page: int) -> None:
    with written("captions of a training"):
        await admission_of(interaction).jobs.trainings.set_captions(training.id, changed)
    await _show(interaction, training, page)


async def _show(interaction: discord.Interaction, training: Training, page: int) -> None:
    await seeing.later(interaction)
    admission, captioning = admission_of(interaction), captioning_of(interaction)
    known = await _known(interaction, training)
    _, page, shown = panel.paged(known, page)
    with admission.workshop.desk() as folder:
        small = await seeing.thumbnails(admission, training, shown, folder)
    ready = seeing.ready_of(admission)
    card = panel.page(
        training,
        known,
        page,
        small,
        course=captioning.course(training.id),
        able=ready is not None and describer_of(ready) is not None,
    )
    await seeing.answer(interaction, card)


SLICE = Slice(
    panel={
        "traincaptions": open_page,
        "traincaption": open_one,
        "trainremove": remove,
        "trainall": open_all,
        "trainreplace": open_replace,
        "trainwrite": write,
    },
    forms={
        "traincaption": Form((OfWord,), set_one),
        "trainall": Form((OfWord,), set_all),
        "trainreplace": Form((OfWord,), replace),
    },
)
