"""/show: a job once more, for whoever asks alone: its card, what made it, where it came from and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, completions, custom_ids, gallery, lineage, permits, sources
from bot.admission import Admission, admission_of
from bot.buttons import JobButton, panel_menu
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob, OfWord, number_in
from bot.errors import MemberError
from bot.job import ENDS, Job
from bot.lineage import Line
from bot.posting import attached
from bot.words import N_, say
from inference.protocol import Grid, Imagine, because

log = logging.getLogger(__name__)

OF_A_PICTURE = frozenset({"upscale", "vary", "star", "describe"})
"""Buttons of which there is one for each picture."""

COMPONENTS = 40
"""The most that Discord takes in a message."""


@app_commands.command(description=N_("Show a job again: its pictures, what made them, and what came of them"))
@app_commands.describe(
    job=N_("The number under the pictures, without the #"),
    picture=N_("Which of the job's pictures; leave it out for all"),
)
@app_commands.autocomplete(job=completions.jobs)
async def show(
    interaction: discord.Interaction, job: int, picture: app_commands.Range[int, 1, 4] | None = None
) -> None:
    """/show."""
    await _show(interaction, await sources.find(interaction, job), picture)


async def show_chosen(interaction: discord.Interaction, _: OfWord, values: Sequence[str]) -> None:
    """The menus of lists of jobs."""
    await permits.require(interaction, "show")
    await _show(interaction, await sources.find(interaction, number_in(values[0] if values else "") or 0), None)


def menu(admission: Admission, jobs: Mapping[int, str], placeholder: str) -> ui.Select[Any]:
    """A menu from which one of these jobs can be shown, each with what is said of it."""
    options = [
        discord.SelectOption(label=cards.shorten(said, LABEL_CHARS), value=str(number)) for number, said in jobs.items()
    ]
    return panel_menu("show", "", options, placeholder=placeholder)


LABEL_CHARS = 100
"""Of an option of a menu."""


async def _show(interaction: discord.Interaction, job: Job, picture: int | None) -> None:
    if picture is not None and picture > len(job.pictures):
        raise MemberError.of(because("no_such_picture", job=job.id, count=len(job.pictures), number=picture))
    admission = admission_of(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    line = await lineage.of_job(interaction, job)
    recipe = await admission.jobs.recipe(job.id) or {}
    with ExitStack() as desks:
        try:
            card = await _card(admission, job, interaction.filesize_limit, desks)
        except OSError as error:
            log.error("it cannot be shown again: %s", error.strerror or error)
            raise MemberError("There is no room for its pictures at the moment: try again later.") from error
        if picture is not None:
            card = only(card, picture - 1)
        around = _around(admission, job, recipe, line, picture, card.view)
        if around.children:
            card.view.add_item(around)
        card.view.stop()
        await interaction.followup.send(
            view=card.view, files=attached(card), ephemeral=True, allowed_mentions=discord.AllowedMentions.none()
        )


async def _card(admission: Admission, job: Job, limit: int, desks: ExitStack) -> Card:
    """The job as it is now."""
    if job.state in ENDS:
        return await admission.delivery.end(job, limit, desks)
    headline, standing = admission.delivery.headline(job), admission.dispatcher.standing(job.id)
    if standing is None:
        return cards.arriving(job, headline)
    if standing.place is None:
        return cards.running(job, headline, standing.progress, None)
    if standing.absence is not None:
        return cards.unattended(job, headline, standing.absence)
    return cards.waiting(job, headline, standing.place, standing.ready_at)


def only(card: Card, index: int) -> Card:
    """The card with one of its pictures, counted from 0, and what can be done with that."""
    files = card.files[index : index + 1]
    kept = {f"attachment://{name}" for name, _ in files}
    view = ui.LayoutView(timeout=None)
    for container in card.view.children:
        assert isinstance(container, ui.Container)
        for part in list(container.children):
            if isinstance(part, ui.MediaGallery):
                part.items = [item for item in part.items if item.media.url in kept]
            if isinstance(part, ui.ActionRow):
                for button in list(part.children):
                    if _is_of_another(button, index):
                        part.remove_item(button)
                if not part.children:
                    container.remove_item(part)
        view.add_item(container)
    return Card(view, files)


def _is_of_another(button: ui.Item[Any], index: int) -> bool:
    parsed = custom_ids.parse(str(getattr(button, "custom_id", "")))
    if parsed is None or not isinstance(parsed[1], OfJob):
        return False
    return parsed[0] in OF_A_PICTURE and parsed[1].index != index


def _around(
    admission: Admission,
    job: Job,
    recipe: Mapping[str, Any],
    line: Line,
    picture: int | None,
    view: ui.LayoutView,
) -> ui.Container[Any]:
    """What made the job, and what is around it; with the buttons that its own card, the `view`, does not have."""
    container: ui.Container[Any] = ui.Container()
    text = "\n".join([*_lineage(job, line), *_facts(job, recipe)])
    # An answer may have filled its card.
    room = min(SAID_CHARS, cards.TEXT_CHARS - view.content_length())
    if room >= LEAST_CHARS:
        container.add_item(ui.TextDisplay(cards.cut(text, room)))
    if buttons := _more(job, picture, view):
        container.add_item(ui.ActionRow(*buttons))
    relatives = {
        each.id: f"#{each.id} {_done(each, before)}: {gallery.words_of(each) or ''}".rstrip(": ")
        for each, before in _steps(job, line)
        if each.id != job.id
    }
    if relatives and view.total_children_count + _count(container) + 2 <= COMPONENTS:
        container.add_item(ui.ActionRow(menu(admission, relatives, say("Show another one of these"))))
    return container


SAID_CHARS, LEAST_CHARS = 1500, 100
"""Of what is said around a job; where there is less room than that nothing of it is."""


def _count(container: ui.Container[Any]) -> int:
    return 1 + sum(1 for _ in container.walk_children())


def _more(job: Job, picture: int | None, view: ui.LayoutView) -> list[JobButton]:
    """The same seed, and Describe, where the job has made pictures and its own card does not offer them."""
    if job.state != "finished":
        return []
    there = {str(getattr(item, "custom_id", "")) for item in view.walk_children()}
    buttons = [JobButton("again", job.id, label=say("Same seed"))] if isinstance(job.request, Imagine | Grid) else []
    indexes = range(len(job.pictures)) if picture is None else [picture - 1]
    for index in indexes:
        label = say("Describe") if len(indexes) == 1 else say("D{number}", number=index + 1)
        buttons.append(JobButton("describe", job.id, index, label=label))
    return [button for button in buttons if button.custom_id not in there]


def _facts(job: Job, recipe: Mapping[str, Any]) -> list[str]:
    """What made it, as far as the recipe says: names and versions, and nothing that is not there."""
    when, member = f"<t:{job.created_at:.0f}:f>", f"<@{job.reply.member_id}>"
    lines = [say("Asked for {when} by {member}", when=when, member=member)]
    model, device = _table(recipe, "model"), _table(recipe, "device")
    named = [" ".join(str(model[key])[:12] for key in ("name", "revision", "hash") if model.get(key))]
    named.append(str(_table(recipe, "scheduler").get("class") or ""))
    named.append(" ".join(str(device[key]) for key in ("name", "dtype") if device.get(key)))
    versions = _table(recipe, "versions")
    named += [f"{library} {versions[library]}" for library in ("torch", "diffusers") if versions.get(library)]
    if codes := [f"`{name.replace('`', '')}`" for name in named if name]:
        lines.append(say("Made with {parts}", parts=" · ".join(codes)))
    return [f"-# {each}" for each in lines]


def _table(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = recipe.get(name)
    return found if isinstance(found, dict) else {}


def _steps(job: Job, line: Line) -> list[tuple[Job, Job | None]]:
    """The job and all around it, each with what is known to have come before it."""
    down = [*line.ancestors, job]
    steps: list[tuple[Job, Job | None]] = list(zip(down, [None, *down[:-1]], strict=True))
    return [*steps, *((child, job) for child in line.children)]


def _done(job: Job, before: Job | None) -> str:
    return lineage.done(job.request, before.request if before else None)


def _lineage(job: Job, line: Line) -> list[str]:
    steps = _steps(job, line)
    of_line, of_children = steps[: len(line.ancestors) + 1], steps[len(line.ancestors) + 1 :]
    said = []
    if line.ancestors:
        heading = say("Where it comes from")
        said.append(f"**{heading}**")
        for each, before in of_line:
            done = _done(each, before)
            said.append(f"1. **#{each.id}** {done}" if each.id == job.id else f"1. {gallery.link(each)} {done}")
    if of_children:
        heading = say("What came of it")
        said.append(f"**{heading}**")
        said += [f"- {gallery.link(each)} {_done(each, before)}" for each, before in of_children]
    if line.more_children:
        said.append("- …")
    return said


SLICE = Slice(commands=[show], panel={"show": show_chosen})
