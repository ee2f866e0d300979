"""/imagine: pictures from words. Its options, its result card, its buttons and its Edit form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import app_commands, ui
from discord.app_commands import Choice

from bot import cards
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.dispatcher import Dispatcher
from bot.jobs import Job
from bot.wishes import Wish, check, edited, new_seed, rerolled, settle, varied
from inference.protocol import Imagine, Request

KIND = "imagine"

VARIATIONS = 4
"""How many variations one press paints, where the engine allows as many."""

FORM_LIFE_S = 15 * 60
"""How long discord.py remembers a form that was opened; a later answer to it is understood all the same."""

CHOICES = 25
"""The most that Discord shows under an option."""

CHOICE_CHARS = 100
"""The longest name that Discord takes of one."""


class Looks:
    """How /imagine's requests and results look."""

    def headline(self, request: Request) -> str:
        """The prompt, as the member wrote it."""
        return f"**{cards.plain(request.prompt)}**"

    def finished(self, job: Job, pictures: Sequence[bytes]) -> Card:
        """The pictures, what made them, and what can be done with them."""
        request = job.request
        vary = [
            JobButton("vary", job.id, index, label=f"V{index + 1}", style=discord.ButtonStyle.primary)
            for index in range(len(pictures))
        ]
        more = [JobButton("reroll", job.id, label="Re-roll"), *cards.retry(job)[1:]]
        files = [(f"easel-{job.id}-{index + 1}.png", data) for index, data in enumerate(pictures)]
        text = f"{self.headline(request)}\n-# #{job.id} · {facts(request)} · {job.seconds:.1f} s"
        return cards.result(text, files, cards.shorten(request.prompt, cards.ALT_CHARS), [vary, more])


LOOK = Looks()


def facts(request: Imagine) -> str:
    """What a Stable Diffusion user wants to know of a picture, in a line."""
    varied = f" varied {len(request.variations)}×" if request.variations else ""
    return (
        f"seed {request.seed}{varied} · {request.width}x{request.height} · {request.steps} steps"
        f" · {request.sampler} · guidance {request.guidance:g} · {request.model}"
    )


def edit_form(job: Job) -> ui.Modal:
    """The Edit form of a job, filled in with its request."""
    request = job.request
    form = ui.Modal(title=f"Edit #{job.id}", custom_id=f"easel:edit:{job.id}", timeout=FORM_LIFE_S)
    long, short = discord.TextStyle.paragraph, discord.TextStyle.short
    for name, label, value, style, length in (
        ("prompt", "Prompt", request.prompt, long, 4000),
        ("negative", "Negative prompt: what should not be there", request.negative, long, 4000),
        ("seed", "Seed (empty for a new one)", str(request.seed), short, 40),
        ("size", "Size, as width x height", f"{request.width}x{request.height}", short, 20),
        ("steps", "Steps", str(request.steps), short, 10),
    ):
        field: ui.TextInput[Any] = ui.TextInput(
            custom_id=name, default=value or None, style=style, max_length=length, required=name == "prompt"
        )
        form.add_item(ui.Label(text=label, component=field))
    return form


def build(dispatcher: Dispatcher) -> Slice:
    """The command, its buttons and its form."""

    @app_commands.command(name="imagine", description="Paint pictures from your words")
    @app_commands.describe(
        prompt="What the picture shows",
        negative="What should not be there",
        model="Which model paints",
        seed="The same seed paints the same picture; leave it out for a new one",
        steps="How many steps: more is slower, and finer up to a point",
        guidance="How closely to follow the prompt",
        sampler="How each step is computed",
        width="Width in pixels",
        height="Height in pixels",
        count="How many pictures",
    )
    async def imagine(
        interaction: discord.Interaction,
        prompt: str,
        negative: str | None = None,
        model: str | None = None,
        seed: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        width: int | None = None,
        height: int | None = None,
        count: int | None = None,
    ) -> None:
        wish = Wish(
            prompt=prompt,
            negative=negative,
            model=model,
            seed=seed,
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            width=width,
            height=height,
            count=count,
        )
        await dispatcher.submit(interaction, settle(wish, dispatcher.ready))

    @imagine.autocomplete("model")
    async def models(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return [
            Choice(name=cards.shorten(f"{model.title} ({model.name})", CHOICE_CHARS), value=model.name)
            for model in dispatcher.ready.models
            if typed.lower() in f"{model.title} {model.name}".lower()
        ][:CHOICES]

    @imagine.autocomplete("sampler")
    async def samplers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        ready = dispatcher.ready
        model = ready.model(getattr(interaction.namespace, "model", None) or "") or ready.model(ready.default_model)
        names = model.samplers if model is not None else ()
        return [Choice(name=name, value=name) for name in names if typed.lower() in name.lower()][:CHOICES]

    async def submit(interaction: discord.Interaction, request: Imagine, parent: Job) -> None:
        check(request, dispatcher.ready)
        await dispatcher.submit(interaction, request, parent.id)

    async def vary(interaction: discord.Interaction, job: Job, index: int) -> None:
        count = min(VARIATIONS, dispatcher.ready.max_count)
        await submit(interaction, varied(job.request, index, new_seed(), count), job)

    async def reroll(interaction: discord.Interaction, job: Job, _: int) -> None:
        await submit(interaction, rerolled(job.request), job)

    async def again(interaction: discord.Interaction, job: Job, _: int) -> None:
        await submit(interaction, job.request, job)

    async def edit(interaction: discord.Interaction, job: Job, _: int) -> None:
        await interaction.response.send_modal(edit_form(job))

    async def edit_done(interaction: discord.Interaction, job: Job, fields: Mapping[str, str]) -> None:
        await submit(interaction, edited(job.request, fields, dispatcher.ready), job)

    return Slice(
        commands=[imagine],
        presses={"vary": vary, "reroll": reroll, "again": again, "edit": edit},
        forms={"edit": edit_done},
    )
