"""/classify: which label fits a picture best. Its options, its result card, its form, the menu."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import app_commands, ui
from discord.app_commands import Choice

from bot import cards, sources
from bot.admission import Admission
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import FORM_LIFE_S, Slice
from bot.job import Job, asked
from bot.pictures import attachments
from bot.pictures.fitting import Shown
from bot.requests import tools
from inference.protocol import Classify

KIND = "classify"

SHOWN_LABELS = 5
"""More of them are drawn as a picture."""


class Looks:
    """How /classify's requests and results look."""

    def headline(self, request: Classify) -> str:
        """The labels."""
        return f"**{cards.plain(', '.join(request.labels))}?**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, with other labels, or away with it."""
        return [cards.again(job), JobButton("relabel", job.id, label="Other labels"), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The best labels with their shares as bars; where there are many, all of them as a picture."""
        request = asked(job, Classify)
        best = job.answer.labels[:SHOWN_LABELS]
        lines = [f"**{cards.plain(best[0].label)}** {best[0].share:.0%}" if best else self.headline(request)]
        if not pictures:
            lines += [
                f"`{cards.bar(round(100 * fit.share), 100)} {fit.share:4.0%}` {cards.plain(fit.label)}" for fit in best
            ]
        facts = f"{len(request.labels)} labels · {request.model}"
        alt = ", ".join(f"{fit.label} {fit.share:.0%}" for fit in job.answer.labels)
        buttons = [JobButton("relabel", job.id, label="Other labels"), cards.delete(job)]
        return cards.result(job, "\n".join(lines), facts, pictures, alt, [buttons])


LOOK = Looks()


def relabel_form(job: Job) -> ui.Modal:
    """The form that asks for other labels, filled in with the job's."""
    request = asked(job, Classify)
    form = ui.Modal(title=f"Other labels for #{job.id}", custom_id=f"easel:relabel:{job.id}", timeout=FORM_LIFE_S)
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id="labels", default=", ".join(request.labels), style=discord.TextStyle.paragraph, max_length=3500
    )
    form.add_item(ui.Label(text="Labels, with commas between them", component=field))
    return form


def build(admission: Admission) -> Slice:
    """The command, its form and the menu."""

    @app_commands.command(name="classify", description="Say which label fits a picture best")
    @app_commands.describe(
        image="The picture",
        labels="The labels, with commas between them: boat, house, cat",
        label_set="Or ready-made labels",
        job="Instead of a picture, the number of a job, from under its pictures",
        picture="Which of the job's pictures",
        classifier="Which model looks at it",
    )
    @app_commands.rename(label_set="set")
    async def classify(
        interaction: discord.Interaction,
        image: discord.Attachment | None = None,
        labels: str | None = None,
        label_set: str | None = None,
        job: int | None = None,
        picture: app_commands.Range[int, 1, 4] | None = None,
        classifier: str | None = None,
    ) -> None:
        await sources.submit(
            admission,
            interaction,
            lambda taken: tools.classify(
                taken,
                admission.ready,
                labels=labels or "",
                label_set=label_set if label_set or labels else _first_set(admission),
                classifier=classifier,
            ),
            image=image,
            job=job,
            picture=picture,
        )

    @classify.autocomplete("label_set")
    async def label_sets(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return [
            Choice(name=cards.shorten(f"{name}: {', '.join(labels)}", sources.CHOICE_CHARS), value=name)
            for name, labels in admission.ready.label_sets.items()
            if typed.lower() in name.lower()
        ][: sources.CHOICES]

    @classify.autocomplete("job")
    async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
        return await sources.recent(admission, interaction, typed)

    @classify.autocomplete("classifier")
    async def classifiers(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.classifiers, typed)

    async def relabel(interaction: discord.Interaction, job: Job, _: int) -> None:
        await interaction.response.send_modal(relabel_form(job))

    async def relabelled(interaction: discord.Interaction, job: Job, fields: Mapping[str, str]) -> None:
        request = asked(job, Classify)
        request = tools.classify(request.image, admission.ready, labels=fields["labels"], classifier=request.model)
        await admission.submit(interaction, request, job.id)

    async def of_message(interaction: discord.Interaction, message: discord.Message) -> None:
        await admission.submit_uploads(
            interaction,
            {"image": attachments.first_picture(message)},
            lambda image: tools.classify(image, admission.ready, label_set=_first_set(admission)),
        )

    menu = app_commands.ContextMenu(name="Classify", callback=of_message)
    return Slice(commands=[classify, menu], presses={"relabel": relabel}, forms={"relabel": relabelled})


def _first_set(admission: Admission) -> str | None:
    """The labels of who names none."""
    return next(iter(admission.ready.label_sets), None)
