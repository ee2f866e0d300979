"""/classify: which label fits a picture best. Its options, its result card, its form, the menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, completions, forms, permits, sources
from bot.admission import Admission, admission_of
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfJob
from bot.job import Job, asked
from bot.pictures.fitting import Shown
from bot.requests import tools
from bot.sources import Source
from bot.words import N_, say, say_many
from inference.protocol import Classify, Input

SHOWN_LABELS = 5
"""More of them are drawn as a picture."""


class Looks:
    """How /classify's requests and results look."""

    def headline(self, request: Classify) -> str:
        """The labels."""
        return f"**{cards.plain(', '.join(request.labels))}?**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, with other labels, or away with it."""
        return [cards.again(job), _relabel(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The best labels with their shares as bars; where there are many, all of them as a picture."""
        request = asked(job, Classify)
        best = job.answer.labels[:SHOWN_LABELS]
        lines = [f"**{cards.plain(best[0].label)}** {best[0].share:.0%}" if best else self.headline(request)]
        if not pictures:
            lines += [
                f"`{cards.bar(round(100 * fit.share), 100)} {fit.share:4.0%}` {cards.plain(fit.label)}" for fit in best
            ]
        many = say_many("{count} label", "{count} labels", len(request.labels))
        alt = ", ".join(f"{fit.label} {fit.share:.0%}" for fit in job.answer.labels)
        buttons = [_relabel(job), cards.delete(job)]
        return cards.result(job, "\n".join(lines), f"{many} · {request.model}", pictures, alt, [buttons])


def _relabel(job: Job) -> JobButton:
    return JobButton("relabel", job.id, label=say("Other labels"))


def relabel_form(job: Job) -> ui.Modal:
    """The form that asks for other labels, filled in with the job's."""
    request = asked(job, Classify)
    form = forms.form(say("Other labels for #{job}", job=job.id), "relabel", OfJob(job.id))
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id="labels", default=", ".join(request.labels), style=discord.TextStyle.paragraph, max_length=3500
    )
    forms.ask(form, say("Labels, with commas between them"), field)
    return form


@app_commands.command(description=N_("Say which label fits a picture best"))
@app_commands.describe(
    image=N_("The picture"),
    labels=N_("The labels, with commas between them: boat, house, cat"),
    label_set=N_("Or ready-made labels"),
    job=N_("Instead of a picture, the number of a job, from under its pictures"),
    picture=N_("Which of the job's pictures"),
    classifier=N_("Which model looks at it"),
)
@app_commands.rename(label_set="set")
@app_commands.autocomplete(label_set=completions.label_sets, classifier=completions.classifiers)
@app_commands.autocomplete(job=completions.jobs_with_pictures)
async def classify(
    interaction: discord.Interaction,
    image: discord.Attachment | None = None,
    labels: str | None = None,
    label_set: str | None = None,
    job: int | None = None,
    picture: app_commands.Range[int, 1, 4] | None = None,
    classifier: str | None = None,
) -> None:
    """/classify."""
    source = await sources.needed(interaction, image, job, picture)
    await _weigh(interaction, source, labels, label_set, classifier)


async def weigh(interaction: discord.Interaction, target: OfJob) -> None:
    """The buttons that say which of several pictures is meant."""
    await _weigh(interaction, await sources.of_target(interaction, target))


@app_commands.context_menu(name=N_("Classify"))
async def weigh_shown(interaction: discord.Interaction, message: discord.Message) -> None:
    """The menu of a message."""
    if (source := await sources.of_message(interaction, message, "classify")) is not None:
        await _weigh(interaction, source)


async def _weigh(
    interaction: discord.Interaction,
    source: Source,
    labels: str | None = None,
    label_set: str | None = None,
    classifier: str | None = None,
) -> None:
    admission = admission_of(interaction)
    if not labels and not label_set:
        label_set = _first_set(admission)

    def build(image: Input) -> Classify:
        return tools.classify(image, admission.ready, labels=labels or "", label_set=label_set, classifier=classifier)

    await admission.submit_on(interaction, {"image": source.picture}, build, parent_id=source.parent_id)


async def ask_for_labels(interaction: discord.Interaction, target: OfJob) -> None:
    """The button Other labels."""
    job = await sources.job_of(interaction, target)
    await permits.require(interaction, "classify")
    await interaction.response.send_modal(relabel_form(job))


async def relabel(interaction: discord.Interaction, target: OfJob, fields: Fields) -> None:
    """Its form."""
    job = await sources.job_of(interaction, target)
    admission, before = admission_of(interaction), asked(job, Classify)
    request = tools.classify(before.image, admission.ready, labels=fields["labels"], classifier=before.model)
    await admission.submit(interaction, request, job.id)


def _first_set(admission: Admission) -> str | None:
    """The labels of who names none."""
    return next(iter(admission.ready.label_sets), None)


SLICE = Slice(
    kind="classify",
    look=Looks(),
    commands=[classify, weigh_shown],
    presses={"classify": weigh, "relabel": ask_for_labels},
    forms={"relabel": Form((OfJob,), relabel)},
)
