"""What Discord offers while a member types an option: what there is on this machine, and their own jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import discord
from discord.app_commands import Choice

from bot import cards, gallery, permits
from bot.access import may_see, where_of
from bot.admission import admission_of
from bot.custom_ids import number_in
from bot.finding import Search
from bot.job import Job
from bot.policies.policy import PLAIN
from bot.ranking import ranked
from bot.requests import adapters, grids
from bot.taste import LEAST, NO_TASTE, Aspect, Taste, explained, of_member
from bot.words import say
from inference.protocol import AddOnInfo, ModelInfo, Ready, Style, ToolInfo

CHOICES = 25
"""The most that Discord shows under an option."""

CHOICE_CHARS = 100
"""The longest name that Discord takes of one."""


async def models(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Models that paint from words, first those that one uses oneself."""
    painting = [model for model in _models(interaction) if not model.fills]
    return _named(painting, typed, "model", await _taste(interaction))


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
    """Styles that the model knows, first those that one uses oneself."""
    model = _model(interaction)
    if model is None:
        return []
    none = Choice(name=say("none: the words alone")[:CHOICE_CHARS], value=PLAIN)
    set_here = permits.policy(interaction).styled(None, model) is not None
    known = _named(model.styles, typed, "style", await _taste(interaction))
    return [*[none] * (set_here and typed.lower() in PLAIN), *known][:CHOICES]


async def samplers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Samplers that suit the model."""
    model = _model(interaction)
    names = () if model is None else model.samplers
    return [Choice(name=name, value=name) for name in ranked(names, typed, lambda name: [name])[:CHOICES]]


async def loras(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """What can stand after the last comma of a list of LoRAs, each choice the whole list; with its trigger words."""
    head, comma, last = typed.rpartition(",")
    named = {part.partition(":")[0].strip() for part in head.split(",")}
    start = f"{head.strip()}, " if comma else ""
    known = [one for one in adapters.fitting(_ready(interaction).loras, _model(interaction)) if one.name not in named]
    taste = await _taste(interaction)
    choices = []
    for lora in ranked(known, last.partition(":")[0], _names, lambda lora: taste.uses("lora", lora.name)):
        whole = f"{start}{lora.name}:{lora.weight:g}"
        if len(whole) <= CHOICE_CHARS:
            trigger = [say("say “{words}”", words=lora.trigger)] if lora.trigger else []
            name = " · ".join([f"{start}{lora.title}", *trigger])
            choices.append(Choice(name=cards.shorten(name, CHOICE_CHARS), value=whole))
    return choices[:CHOICES]


async def controls(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """ControlNets that go with the model, the second one with the first; each choice is the whole list."""
    fit = adapters.fitting(_ready(interaction).controls, _model(interaction))
    head, comma, last = typed.rpartition(",")
    if not comma:
        return _named(fit, typed)
    first = head.partition(":")[0]
    beside = next((one.beside for one in fit if one.is_called(first)), ())
    return [
        Choice(name=cards.shorten(f"{head.strip()}, {choice.name}", CHOICE_CHARS), value=whole)
        for choice in _named([one for one in fit if one.name in beside], last.partition(":")[0].strip())
        if len(whole := f"{head.strip()}, {choice.value}") <= CHOICE_CHARS
    ]


async def axes(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
    """Axes of a grid to begin with."""
    painting = [model for model in _models(interaction) if not model.fills and model.remote is None]
    examples = grids.examples(adapters.fitting(_ready(interaction).loras, _model(interaction)), painting)
    fit = [text for text in examples if len(text) <= CHOICE_CHARS]
    return [Choice(name=text, value=text) for text in ranked(fit, typed, lambda text: [text])[:CHOICES]]


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
    sets = _ready(interaction).label_sets
    return [
        Choice(name=cards.shorten(f"{name}: {', '.join(sets[name])}", CHOICE_CHARS), value=name)
        for name in ranked(sets, typed, lambda name: [name])[:CHOICES]
    ]


async def jobs(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
    """The member's own jobs by their words, newest first, and whatever job's number is typed."""
    return await _jobs(interaction, typed, lambda _: True)


async def jobs_with_pictures(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
    """The same, of those that have pictures."""
    return await _jobs(interaction, typed, lambda job: bool(job.pictures))


async def jobs_that_paint(interaction: discord.Interaction, typed: int | str) -> list[Choice[int]]:
    """The same, of those that can be painted from another seed."""
    return await _jobs(interaction, typed, lambda job: job.request.kind in PAINTING)


PAINTING = ("imagine", "grid")

LOOKED_AT = 2 * CHOICES
"""So many of a member's newest jobs, and as many of those with the words that are typed."""


async def _jobs(interaction: discord.Interaction, typed: int | str, wanted: Callable[[Job], bool]) -> list[Choice[int]]:
    """Jobs whose number or words hold what was typed: of the member's own, and the one that is called just so."""
    admission, member, where = admission_of(interaction), interaction.user.id, where_of(interaction)
    text = str(typed).strip().removeprefix("#")
    numbers = set((await admission.jobs.finding.page(member, Search(), where, limit=LOOKED_AT)).jobs)
    if text:
        numbers |= set((await admission.jobs.finding.page(member, Search(text), where, limit=LOOKED_AT)).jobs)
    if (number := number_in(text)) is not None:
        numbers.add(number)
    found = [
        job
        for job in await admission.jobs.all_of(sorted(numbers, reverse=True))
        if wanted(job) and await may_see(interaction, job)
    ]

    def name(job: Job) -> str:
        return gallery.plain_title(admission, job)

    # Somebody who types a number means one.
    chosen = ranked(found, text, lambda job: [str(job.id), name(job).partition(" ")[2], name(job)])
    return [Choice(name=cards.shorten(name(job), CHOICE_CHARS), value=job.id) for job in chosen[:CHOICES]]


def _names(one: ModelInfo | ToolInfo | AddOnInfo | Style) -> list[str]:
    return [one.name, one.title]


def _named(
    named: Sequence[ModelInfo | ToolInfo | AddOnInfo | Style],
    typed: str,
    aspect: Aspect | None = None,
    taste: Taste = NO_TASTE,
) -> list[Choice[str]]:
    """Those whose title or name holds what was typed, of equals first what the member uses, which is said."""

    def uses(one: ModelInfo | ToolInfo | AddOnInfo | Style) -> int:
        return 0 if aspect is None else taste.uses(aspect, one.name)

    choices = []
    for one in ranked(named, typed, _names, uses)[:CHOICES]:
        said = [f"{one.title} ({one.name})"]
        if aspect is not None and uses(one) >= LEAST:
            said.append(explained(taste, taste.favoured(aspect, one.name)))
        choices.append(Choice(name=cards.shorten(" · ".join(said), CHOICE_CHARS), value=one.name))
    return choices


async def _taste(interaction: discord.Interaction) -> Taste:
    return await of_member(admission_of(interaction).jobs, interaction.user.id, where_of(interaction))


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
