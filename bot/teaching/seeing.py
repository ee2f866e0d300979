"""Trainings as they are shown: whose they are, what else is known of them, the small pictures that go along."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import discord

from bot import permits
from bot.admission import Admission, admission_of
from bot.cards import Card, Content
from bot.custom_ids import number_in
from bot.errors import MemberError, Starting, WorkFailed
from bot.panels import train as panel
from bot.panels.page import is_private
from bot.panels.train import Seen
from bot.pictures import charts, fitting
from bot.pictures.charts import Curve
from bot.policies import problem as rules
from bot.posting import attached
from bot.teaching.captioning import captioning_of
from bot.training.states import Training, TrainingEpoch, TrainingPicture
from bot.words import N_, say
from inference.protocol import ModelInfo, Ready

log = logging.getLogger(__name__)

NAME = "train"
"""The command by which all of it is allowed."""

THUMBNAILS = 5
"""Of the pictures of one that is prepared."""

LEAST_CURVE = 2
"""Points of a curve."""

GONE = N_("This training was deleted: /train shows those that you have.")


async def own(interaction: discord.Interaction, number: str) -> Training:
    """The training of a button or form, which anybody can forge. Raises MemberError where it is not this member's, or
    where they may not use the command."""
    training = await _find(interaction, number)
    if training.member_id != interaction.user.id:
        raise MemberError("This training is somebody else's: /train shows your own.")
    return training


async def own_draft(interaction: discord.Interaction, number: str) -> Training:
    """The same of one that is still prepared."""
    training = await own(interaction, number)
    if training.state != "draft":
        raise MemberError("This training was started, so nothing of it can be changed: begin a new one with /train.")
    return training


async def looked_after(interaction: discord.Interaction, number: str) -> Training:
    """A training of one's own, or of a server that one moderates. Raises MemberError for all others."""
    training = await _find(interaction, number)
    if training.member_id != interaction.user.id and not moderates(interaction, training.guild_id):
        raise MemberError("This training is somebody else's: /train shows your own.")
    return training


def moderates(interaction: discord.Interaction, guild_id: int | None) -> bool:
    """Whether this member looks after messages where they are, and that is in this server."""
    here = guild_id is not None and interaction.guild_id == guild_id
    return here and interaction.permissions.manage_messages


async def seen(admission: Admission, training: Training, *, describes: bool, looked_at: int | None = None) -> Seen:
    """A training with what else is known of it."""
    trainings = admission.jobs.trainings
    pictures: Sequence[TrainingPicture] = ()
    epochs: Sequence[TrainingEpoch] = ()
    if training.state == "draft":
        pictures = await trainings.pictures(training.id)
    else:
        epochs = await trainings.epochs(training.id)
    there = [one.epoch for one in epochs]
    if looked_at not in there:
        looked_at = training.chosen if training.chosen in there else (there[-1] if there else None)
    return Seen(
        training=training,
        ready=ready_of(admission),
        pictures=len(pictures),
        captioned=sum(bool(picture.caption) for picture in pictures),
        describes=describes,
        place=await trainings.place(training.id) if training.state == "waiting" else None,
        epochs=epochs,
        looked_at=looked_at,
        lora=admission.jobs.loras.of_training(training.id),
        unlanded=await trainings.unlanded(training.id),
    )


def ready_of(admission: Admission) -> Ready | None:
    """What the engine can do, None where nobody can tell yet."""
    try:
        return admission.ready
    except Starting:
        return None


def taught(interaction: discord.Interaction) -> list[ModelInfo]:
    """The models that can be taught and may paint for this member here, first the one that is painted with where they
    do not say."""
    if not admission_of(interaction).jobs.trainings.is_offered:
        return []
    ready, policy = permits.offers(interaction), permits.policy(interaction)
    able = [one for one in ready.models if one.training is not None and policy.admits(one.name)]
    return sorted(able, key=lambda one: one.name != ready.default_model)


def model_of(interaction: discord.Interaction, typed: str | None) -> ModelInfo:
    """The model that is to learn, or the first that can. Raises MemberError where that cannot be."""
    able = taught(interaction)
    if not able:
        raise MemberError("No model here can be taught: ask whoever runs this bot.")
    model = next((one for one in able if typed in (None, one.name)), None)
    if model is None:
        raise MemberError(
            "The model {typed} cannot be taught here: choose one of {choices}.",
            typed=typed or "",
            choices=tuple(one.name for one in able),
        )
    return model


def require_words(interaction: discord.Interaction, texts: Sequence[str]) -> None:
    """Raise MemberError where these may not be said here: they are painted after each epoch, and again by others."""
    if (reason := rules.of_drawn([text for text in texts if text], (), permits.held(interaction))) is not None:
        raise permits.refusal(interaction, reason, NAME)


async def put(interaction: discord.Interaction, training: Training, looked_at: int | None = None) -> None:
    """Show a training before this member alone, where the answer was put off."""
    admission = admission_of(interaction)
    shown = await seen(
        admission, training, describes=captioning_of(interaction).at_work(training.id), looked_at=looked_at
    )
    with admission.workshop.desk() as folder:
        files = await private_files(admission, shown, folder, interaction.filesize_limit)
        await answer(interaction, panel.card(shown, files, own=training.member_id == interaction.user.id))


async def answer(interaction: discord.Interaction, card: Card) -> None:
    """Put a card where the answer was put off, in the place of what was there."""
    await interaction.edit_original_response(
        view=card.view, attachments=attached(card), allowed_mentions=discord.AllowedMentions.none()
    )


async def later(interaction: discord.Interaction) -> None:
    """Put the answer off: it comes in the place of the private panel that was used, or in a new one."""
    if is_private(interaction):
        await interaction.response.defer()
    else:
        await interaction.response.defer(ephemeral=True, thinking=True)


async def private_files(admission: Admission, shown: Seen, folder: Path, limit: int) -> list[tuple[str, Content]]:
    """The pictures that go along with a training where its owner alone sees it."""
    training = shown.training
    folders = admission.jobs.trainings.folders
    if training.state == "draft":
        pictures = (await admission.jobs.trainings.pictures(training.id))[:THUMBNAILS]
        small = await thumbnails(admission, training, pictures, folder)
        return [(f"{number}.webp", data) for number, data in small.items()]
    files: list[tuple[str, Content]] = []
    if shown.looked_at is not None:
        files += await _preview(admission, folders.preview(training.id, shown.looked_at), folder, limit)
    return files + await public_files(admission, shown, folder)


async def public_files(admission: Admission, shown: Seen, folder: Path) -> list[tuple[str, Content]]:
    """Those that everybody may see: what is painted meanwhile is for its owner alone."""
    if len(shown.epochs) < LEAST_CURVE:
        return []
    try:
        return [(panel.LOSS, await admission.workshop.lists.run(charts.trace, _curve(shown), folder))]
    except (WorkFailed, OSError) as error:
        log.warning("the loss of training %s cannot be drawn: %s", shown.training.id, error)
        return []


async def thumbnails(
    admission: Admission, training: Training, pictures: Sequence[TrainingPicture], folder: Path
) -> Mapping[int, bytes]:
    """Small pictures by the numbers of these; those that cannot be made are left out."""
    folders = admission.jobs.trainings.folders

    async def made(number: int) -> bytes | None:
        try:
            file = await admission.workshop.lists.run(fitting.small, folders.picture(training.id, number), folder)
            return await asyncio.to_thread(file.read_bytes)
        except (WorkFailed, OSError) as error:
            log.warning("no thumbnail of picture %s of training %s: %s", number, training.id, error)
            return None

    found = await asyncio.gather(*(made(picture.number) for picture in pictures))
    return {one.number: small for one, small in zip(pictures, found, strict=True) if small is not None}


async def _preview(admission: Admission, file: Path, folder: Path, limit: int) -> list[tuple[str, Content]]:
    try:
        fit = fitting.whole(file, limit)
        if fit is None:
            fit = await admission.workshop.results.run(fitting.fit, file, limit, folder)
    except FileNotFoundError:
        # Nothing was painted.
        return []
    except (WorkFailed, OSError) as error:
        log.warning("a preview cannot be shown: %s", error)
        return []
    return [(f"{panel.PREVIEW}.{fit.suffix}", fit.file)]


def _curve(shown: Seen) -> Curve:
    points = tuple((float(one.step), one.loss) for one in shown.epochs)
    marks = tuple((float(one.step), str(one.epoch)) for one in shown.epochs)
    return Curve(say("Loss of each epoch"), points, float(shown.training.steps or points[-1][0]), marks)


async def _find(interaction: discord.Interaction, number: str) -> Training:
    await permits.require(interaction, NAME)
    training = await admission_of(interaction).jobs.trainings.find(number_in(number) or 0)
    if training is None:
        raise MemberError(GONE)
    return training
