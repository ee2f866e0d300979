"""Where a command's picture comes from: an upload, a message, or what a job of this server made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import discord
from discord.app_commands import Choice

from bot import cards
from bot.access import may_see
from bot.admission import Admission
from bot.errors import MemberError
from bot.job import Job
from inference.protocol import AddOnInfo, Input, ModelInfo, Ready, Request, Style, ToolInfo

CHOICES = 25
"""The most that Discord shows under an option."""

CHOICE_CHARS = 100
"""The longest name that Discord takes of one."""

Settle = Callable[[Input], Request]
"""Makes the request of its picture. Raises MemberError where it cannot be met."""


async def find(admission: Admission, interaction: discord.Interaction, number: int) -> Job:
    """The job of this number. Raises MemberError where this member cannot see one here."""
    job = await admission.jobs.find(number) if 0 < number < 2**63 else None
    if job is None or not await may_see(interaction, job):
        raise MemberError(f"There is no job {number} here: the number stands after the # under the pictures.")
    return job


async def recent(
    admission: Admission, interaction: discord.Interaction, typed: object, *, kind: str | None = None
) -> list[Choice[int]]:
    """The member's newest jobs whose number or words hold what was typed, to choose from."""
    choices = []
    for job in await admission.jobs.recent_of(interaction.user.id):
        title = f"#{job.id} {getattr(job.request, 'prompt', None) or job.request.kind}"
        if kind in (None, job.request.kind) and str(typed) in title and await may_see(interaction, job):
            choices.append(Choice(name=cards.shorten(title, CHOICE_CHARS), value=job.id))
    return choices[:CHOICES]


def choices(tools: Sequence[ModelInfo | ToolInfo | AddOnInfo | Style], typed: str) -> list[Choice[str]]:
    """The models, tools, ControlNets or styles whose title or name holds what was typed, to choose from."""
    return [
        Choice(name=cards.shorten(f"{tool.title} ({tool.name})", CHOICE_CHARS), value=tool.name)
        for tool in tools
        if typed.lower() in f"{tool.title} {tool.name}".lower()
    ][:CHOICES]


def starting(texts: Sequence[str], typed: str) -> list[Choice[str]]:
    """Those of these texts that begin with what was typed, to choose from."""
    fit = [text for text in texts if text.startswith(typed.lower()) and len(text) <= CHOICE_CHARS]
    return [Choice(name=text, value=text) for text in fit[:CHOICES]]


def more_loras(loras: Sequence[AddOnInfo], typed: str) -> list[Choice[str]]:
    """What can stand after the last comma of a list of LoRAs, each choice the whole list; with its trigger words."""
    head, comma, last = typed.rpartition(",")
    named = {part.partition(":")[0].strip() for part in head.split(",")}
    start = f"{head.strip()}, " if comma else ""
    choices = []
    for lora in loras:
        whole = f"{start}{lora.name}:{lora.weight:g}"
        fits = last.partition(":")[0].strip().lower() in f"{lora.title} {lora.name}".lower()
        if fits and lora.name not in named and len(whole) <= CHOICE_CHARS:
            trigger = f" · say “{lora.trigger}”" if lora.trigger else ""
            choices.append(Choice(name=cards.shorten(f"{start}{lora.title}{trigger}", CHOICE_CHARS), value=whole))
    return choices[:CHOICES]


def styles(ready: Ready, interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Those styles of the model chosen so far, to choose from."""
    model = model_so_far(ready, interaction)
    return [] if model is None else choices(model.styles, typed)


def samplers(ready: Ready, interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Those samplers of the model chosen so far, to choose from."""
    model = model_so_far(ready, interaction)
    names = () if model is None else model.samplers
    return [Choice(name=name, value=name) for name in names if typed.lower() in name.lower()][:CHOICES]


def model_so_far(ready: Ready, interaction: discord.Interaction) -> ModelInfo | None:
    """The model in the command that is being typed, or the default one."""
    return ready.model(getattr(interaction.namespace, "model", None) or "") or ready.model(ready.default_model)


async def submit(
    admission: Admission,
    interaction: discord.Interaction,
    settle: Settle,
    *,
    image: discord.Attachment | None,
    job: int | None,
    picture: int | None,
) -> None:
    """Submit a request on an upload or, by its number, on a job's picture (counted from 1)."""
    if image is not None and job is None:
        await admission.submit_uploads(interaction, {"image": image}, lambda image: settle(image))
    elif job is not None and image is None:
        await submit_on(admission, interaction, settle, await find(admission, interaction, job), (picture or 1) - 1)
    else:
        raise MemberError("Give either a picture as `image`, or the number of a job as `job`.")


async def submit_on(
    admission: Admission, interaction: discord.Interaction, settle: Settle, job: Job, index: int
) -> None:
    """Submit a request on a picture that a job made, counted from 0."""
    if not 0 <= index < len(job.pictures):
        many = len(job.pictures)
        raise MemberError(f"Job {job.id} has {many} picture{'s' * (many != 1)}: there is no number {index + 1}.")
    made = job.pictures[index]
    await admission.submit(interaction, settle(Input(made.sha256, made.width, made.height)), job.id)
