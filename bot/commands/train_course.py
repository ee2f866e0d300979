"""Trainings from their start on: started, stopped, gone on with, an epoch looked at and taken, deleted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import discord

from bot import permits
from bot.admission import admission_of
from bot.commands import Slice
from bot.commands.train import home
from bot.custom_ids import OfWord, number_in
from bot.database import written
from bot.errors import MemberError
from bot.panels import train as panel
from bot.panels import train_list as listing
from bot.panels.page import is_private, show
from bot.posting import UNREACHED, attached
from bot.teaching import seeing
from bot.teaching.captioning import captioning_of
from bot.teaching.seeing import later, own, own_draft
from bot.training.states import Training

log = logging.getLogger(__name__)


async def start(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Start: from here on everybody in the channel sees how it goes."""
    training = await own_draft(interaction, target.word)
    admission, trainings = admission_of(interaction), admission_of(interaction).jobs.trainings
    seeing.model_of(interaction, training.model)
    if captioning_of(interaction).at_work(training.id):
        raise MemberError("Its captions are still being written: start it when they are there.")
    captions = [picture.caption for picture in await trainings.pictures(training.id)]
    seeing.require_words(interaction, [training.name, training.trigger, *captions])
    with written("a training"):
        submitted = await trainings.submit(training.id, admission.ready, permits.held(interaction))
    if submitted is None:
        raise MemberError(seeing.GONE)
    await later(interaction)
    card = panel.card(await seeing.seen(admission, submitted, describes=False), private=False)
    try:
        message = await interaction.followup.send(
            view=card.view, files=attached(card), wait=True, allowed_mentions=discord.AllowedMentions.none()
        )
    except UNREACHED as error:
        log.warning("training %s has no message: %s", training.id, error)
    else:
        if not message.flags.ephemeral:
            with written("a training"):
                await trainings.set_message(training.id, message.channel.id, message.id)
    await seeing.put(interaction, submitted)


async def stop(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Stop, for its owner and for moderators."""
    training = await seeing.looked_after(interaction, target.word)
    with written("a training"):
        stopped = await admission_of(interaction).jobs.trainings.stop(training.id)
    if stopped is None:
        raise MemberError("This training does not go on just now: there is nothing to stop.")
    await _done(interaction, stopped)


async def go_on(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Go on."""
    training = await own(interaction, target.word)
    seeing.model_of(interaction, training.model)
    with written("a training"):
        waiting = await admission_of(interaction).jobs.trainings.go_on(training.id)
    if waiting is None:
        raise MemberError("This training goes on already, or has ended.")
    await _done(interaction, waiting)


async def look(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menu of epochs: shows what one of them paints."""
    training = await own(interaction, target.word)
    await later(interaction)
    await seeing.put(interaction, training, number_in(values[0] if values else ""))


async def choose(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button that takes an epoch: ID:EPOCH."""
    number, _colon, epoch = target.word.partition(":")
    training = await own(interaction, number)
    with written("a training"):
        chosen = await admission_of(interaction).jobs.trainings.choose(training.id, number_in(epoch) or 0)
    if chosen is None:
        raise MemberError("This epoch has not ended: choose one of those that are shown.")
    await later(interaction)
    await seeing.put(interaction, chosen)


async def delete(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Delete, which asks once more: ID, then ID:sure."""
    number, _colon, is_sure = target.word.partition(":")
    training = await seeing.looked_after(interaction, number)
    if not is_sure:
        return await show(interaction, listing.sure(training))
    await later(interaction)
    with written("that a training is deleted"):
        await admission_of(interaction).jobs.trainings.erase(training.id)
    await home(interaction, of_server=training.member_id != interaction.user.id)
    return None


async def _done(interaction: discord.Interaction, training: Training) -> None:
    """Show what was done where it was asked for; the training's own message is kept up to date by `posts`."""
    await interaction.response.defer()
    if is_private(interaction):
        await seeing.put(interaction, training)


SLICE = Slice(
    panel={
        "trainstart": start,
        "trainstop": stop,
        "traingo": go_on,
        "trainlook": look,
        "trainchoose": choose,
        "traindelete": delete,
    }
)
