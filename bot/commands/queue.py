"""/queue: one's own jobs that wait or run, and everybody's for who looks after the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, gallery, permits, sources
from bot.access import may_see, moderates
from bot.admission import Admission, admission_of
from bot.buttons import PanelButton
from bot.cards import Card
from bot.commands import Slice
from bot.custom_ids import OfJob, OfWord, number_in
from bot.errors import MemberError
from bot.job import Job
from bot.words import N_, say, say_many

ROWS = 8
"""Of a page."""

LOOKED_AT = 200
"""Of the jobs of a server, so many of the oldest."""


@app_commands.command(description=N_("Your jobs that wait or run, with their places; moderators see everybody's"))
async def queue(interaction: discord.Interaction) -> None:
    """/queue."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    await _show(interaction, 0)


async def turn(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """Refresh, and the buttons that turn pages: where the page begins."""
    await permits.require(interaction, "queue")
    await interaction.response.defer()
    await _show(interaction, number_in(target.word.partition(":")[0]) or 0)


async def cancel(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons Cancel: JOB:where the page begins."""
    await permits.require(interaction, "queue")
    number, _colon, start = target.word.partition(":")
    job = await sources.job_of(interaction, OfJob(number_in(number) or 0))
    if job.reply.member_id != interaction.user.id and not await moderates(interaction, job):
        raise MemberError("This is not your job: only its member or a moderator can cancel it.")
    if not await admission_of(interaction).cancel(job):
        raise MemberError("This job has ended already: there is nothing left to cancel.")
    await interaction.response.defer()
    await _show(interaction, number_in(start) or 0)


async def _show(interaction: discord.Interaction, start: int) -> None:
    admission = admission_of(interaction)
    own = await _own(interaction)
    everybodys = await _everybodys(interaction)
    # Those that go next come first, one's own before all others.
    others = [job for job in everybodys if job.reply.member_id != interaction.user.id]
    seen = [job for job in own if await may_see(interaction, job)]
    jobs = [
        *sorted(seen, key=lambda job: _order(admission, job)),
        *sorted(others, key=lambda job: _order(admission, job)),
    ]
    if start >= len(jobs):
        start = 0
    card = _card(admission, interaction.user.id, jobs, start, hidden=len(own) - len(seen))
    await interaction.edit_original_response(view=card.view, allowed_mentions=discord.AllowedMentions.none())


async def _own(interaction: discord.Interaction) -> list[Job]:
    jobs = admission_of(interaction).jobs
    return await jobs.all_of(await jobs.finding.unfinished_of(interaction.user.id))


async def _everybodys(interaction: discord.Interaction) -> list[Job]:
    """All of this server that this member may cancel, as far as they may see them here."""
    if interaction.guild_id is None:
        return []
    jobs = admission_of(interaction).jobs
    allowed: dict[tuple[int, bool], bool] = {}
    found = []
    for job in await jobs.all_of(await jobs.finding.unfinished_in(interaction.guild_id, LOOKED_AT)):
        # The same of all jobs of a channel: Discord is asked once.
        channel = (job.reply.channel_id, job.reply.age_restricted)
        if channel not in allowed:
            allowed[channel] = await moderates(interaction, job) and await may_see(interaction, job)
        if allowed[channel]:
            found.append(job)
    return found


def _order(admission: Admission, job: Job) -> tuple[int, int]:
    """What runs goes before what waits."""
    standing = admission.dispatcher.standing(job.id)
    return (0 if standing is None else standing.place or 0, job.id)


def _card(admission: Admission, member_id: int, jobs: Sequence[Job], start: int, hidden: int) -> Card:
    shown = jobs[start : start + ROWS]
    container: ui.Container[Any] = ui.Container()
    heading = say("The queue")
    head = [f"### {heading}"]
    if not jobs:
        head.append(say("None of your jobs waits or runs."))
    if hidden:
        many = say_many(
            "{count} more of yours is not to be seen here: use /queue where you asked for it.",
            "{count} more of yours are not to be seen here: use /queue where you asked for them.",
            hidden,
        )
        head.append(f"-# {many}")
    container.add_item(ui.TextDisplay("\n".join(head)))
    for job in shown:
        word = f"{job.id}:{start}"
        stop = PanelButton("dequeue", word, label=say("Cancel"), disabled=job.cancelling)
        container.add_item(ui.Section(_line(admission, job, member_id), accessory=stop))
    buttons = [PanelButton("queue", f"{start}:refresh", label=say("Refresh"), style=discord.ButtonStyle.primary)]
    if len(jobs) > ROWS:
        before, after = max(start - ROWS, 0), start + ROWS
        buttons.append(PanelButton("queue", f"{before}:before", label=say("Previous"), disabled=start == 0))
        buttons.append(PanelButton("queue", f"{after}:after", label=say("Next"), disabled=after >= len(jobs)))
    container.add_item(ui.ActionRow(*buttons))
    return Card(cards.layout(container))


def _line(admission: Admission, job: Job, member_id: int) -> str:
    """A job in the list: its words, then where it stands."""
    facts = [gallery.link(job), f"/{admission.command_of(job.request)}"]
    if job.reply.member_id != member_id:
        facts.append(f"<@{job.reply.member_id}>")
    standing = admission.dispatcher.standing(job.id)
    if job.cancelling:
        facts.append(say("is being cancelled"))
    elif standing is None:
        facts.append(say("on its way into the queue"))
    elif standing.place is None:
        progress = standing.progress
        facts.append(say("running"))
        if progress is not None and progress.stage != "loading":
            facts.append(f"{cards.bar(progress.step, progress.steps)} {progress.step}/{progress.steps}")
    else:
        facts += cards.places(standing.place, standing.ready_at)
        facts += [] if standing.absence is None else [cards.absent(standing.absence)]
    return f"{gallery.title(admission, job)}\n-# {' · '.join(facts)}"


SLICE = Slice(commands=[queue], panel={"queue": turn, "dequeue": cancel})
