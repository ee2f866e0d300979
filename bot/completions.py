"""What Discord offers while a member types an option: what there is on this machine, and their own jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import discord
from discord.app_commands import Choice

from bot import cards, permits
from bot.access import may_see
from bot.admission import admission_of
from bot.job import Job
from bot.policies.policy import PLAIN
from bot.requests import adapters, grids
from bot.words import say
from inference.protocol import AddOnInfo, ModelInfo, Ready, Style, ToolInfo

CHOICES = 25
"""The most that Discord shows under an option."""

CHOICE_CHARS = 100
"""The longest name that Discord takes of one."""


async def models(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Models that paint from words."""
    return _named([model for model in _models(interaction) if not model.fills], typed)


async def editors(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Models that paint a part of a picture anew, which all do: first those that do nothing else, then those that are
    told what to do to a picture, which say so."""
    models = sorted(_models(interaction), key=lambda model: (not model.fills, not model.references))
    by_instruction = {model.name for model in models if model.references}
    told = say("edits by instruction")
    return [
        Choice(name=cards.shorten(f"{told} · {choice.name}", CHOICE_CHARS), value=choice.value)
        if choice.value in by_instruction
        else choice
        for choice in _named(models, typed)
    ]


async def styles(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Styles that the model knows."""
    model = _model(interaction)
    if model is None:
        return []
    none = Choice(name=say("none: the words alone")[:CHOICE_CHARS], value=PLAIN)
    set_here = permits.policy(interaction).styled(None, model) is not None
    return [*[none] * (set_here and typed.lower() in PLAIN), *_named(model.styles, typed)][:CHOICES]


async def samplers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Samplers that suit the model."""
    model = _model(interaction)
    names = () if model is None else model.samplers
    return [Choice(name=name, value=name) for name in names if typed.lower() in name.lower()][:CHOICES]


async def loras(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """What can stand after the last comma of a list of LoRAs, each choice the whole list; with its trigger words."""
    head, comma, last = typed.rpartition(",")
    named = {part.partition(":")[0].strip() for part in head.split(",")}
    start = f"{head.strip()}, " if comma else ""
    choices = []
    for lora in adapters.fitting(_ready(interaction).loras, _model(interaction)):
        whole = f"{start}{lora.name}:{lora.weight:g}"
        fits = last.partition(":")[0].strip().lower() in f"{lora.title} {lora.name}".lower()
        if fits and lora.name not in named and len(whole) <= CHOICE_CHARS:
            trigger = [say("say “{words}”", words=lora.trigger)] if lora.trigger else []
            name = " · ".join([f"{start}{lora.title}", *trigger])
            choices.append(Choice(name=cards.shorten(name, CHOICE_CHARS), value=whole))
    return choices[:CHOICES]


async def controls(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """ControlNets that go with the model."""
    return _named(adapters.fitting(_ready(interaction).controls, _model(interaction)), typed)


async def axes(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Axes of a grid to begin with."""
    examples = grids.examples(adapters.fitting(_ready(interaction).loras, _model(interaction)))
    fit = [text for text in examples if text.startswith(typed.lower()) and len(text) <= CHOICE_CHARS]
    return [Choice(name=text, value=text) for text in fit[:CHOICES]]


async def upscalers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Upscalers."""
    return _named(_ready(interaction).upscalers, typed)


async def restorers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """What makes faces anew."""
    return _named(_ready(interaction).restorers, typed)


async def describers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Models that describe."""
    return _named(_ready(interaction).describers, typed)


async def classifiers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Models that classify."""
    return _named(_ready(interaction).classifiers, typed)


async def label_sets(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Ready-made labels, with as many of them as there is room for."""
    return [
        Choice(name=cards.shorten(f"{name}: {', '.join(labels)}", CHOICE_CHARS), value=name)
        for name, labels in _ready(interaction).label_sets.items()
        if typed.lower() in name.lower()
    ][:CHOICES]


async def jobs_with_pictures(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
    """The member's newest jobs, of those that have pictures."""
    return await _recent(interaction, typed, [job for job in await _own(interaction) if job.pictures])


async def jobs_that_paint(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
    """The member's newest jobs, of those that can be painted from another seed."""
    return await _recent(interaction, typed, [job for job in await _own(interaction) if job.request.kind in PAINTING])


PAINTING = ("imagine", "grid")


async def _own(interaction: discord.Interaction) -> list[Job]:
    return await admission_of(interaction).jobs.recent_of(interaction.user.id, limit=2 * CHOICES)


async def _recent(interaction: discord.Interaction, typed: object, jobs: Collection[Job]) -> list[Choice[int]]:
    """Those whose number or words hold what was typed."""
    choices = []
    for job in jobs:
        command = admission_of(interaction).command_of(job.request)
        title = f"#{job.id} {getattr(job.request, 'prompt', None) or f'/{command}'}"
        if str(typed).lower() in title.lower() and await may_see(interaction, job):
            choices.append(Choice(name=cards.shorten(title, CHOICE_CHARS), value=job.id))
    return choices[:CHOICES]


def _named(named: Sequence[ModelInfo | ToolInfo | AddOnInfo | Style], typed: str) -> list[Choice[str]]:
    """Those whose title or name holds what was typed."""
    return [
        Choice(name=cards.shorten(f"{one.title} ({one.name})", CHOICE_CHARS), value=one.name)
        for one in named
        if typed.lower() in f"{one.title} {one.name}".lower()
    ][:CHOICES]


def _ready(interaction: discord.Interaction) -> Ready:
    return permits.offers(interaction)


def _models(interaction: discord.Interaction) -> list[ModelInfo]:
    """Those that may paint here."""
    policy = permits.policy(interaction)
    return [model for model in _ready(interaction).models if policy.admits(model.name)]


def _model(interaction: discord.Interaction) -> ModelInfo | None:
    """The model in the command that is being typed, or the default one."""
    ready = _ready(interaction)
    return ready.model(getattr(interaction.namespace, "model", None) or "") or ready.model(ready.default_model)
