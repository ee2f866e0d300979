"""/imagine: pictures from words. Its options, its result card, its buttons and its Edit form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands, ui
from discord.app_commands import Choice

from bot import cards, sources
from bot.admission import Admission
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import FORM_LIFE_S, Slice
from bot.errors import MemberError
from bot.job import Job, asked
from bot.pictures import attachments
from bot.pictures.fitting import Shown
from bot.requests import adapters
from bot.requests.numbers import number
from bot.requests.painting import STRENGTH, Wish, check, edited, new_seed, rerolled, settle, varied
from inference.protocol import Imagine, ModelInfo

KIND = "imagine"

VARIATIONS = 4
"""How many variations one press paints, where the engine allows as many."""

OPEN_FORMS = 1000
"""How many Reimagine forms may be open at a time."""


class Looks:
    """How /imagine's requests and results look."""

    def headline(self, request: Imagine) -> str:
        """The prompt, as the member wrote it."""
        return f"**{cards.plain(request.prompt)}**"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, with other words, or away with it."""
        return [cards.again(job), _edit(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The pictures, what made them, and what can be done with them."""
        request = asked(job, Imagine)
        upscale, vary = (
            [
                JobButton(action, job.id, index, label=f"{letter}{index + 1}", style=style)
                for index in range(len(pictures))
            ]
            for action, letter, style in (
                ("upscale", "U", discord.ButtonStyle.secondary),
                ("vary", "V", discord.ButtonStyle.primary),
            )
        )
        edges = [JobButton("compare", job.id, label="Show edges")] if request.control else []
        more = [JobButton("reroll", job.id, label="Re-roll"), _edit(job), *edges, cards.delete(job)]
        text = "\n".join([self.headline(request), *_drawn(request, job)])
        return cards.result(job, text, facts(request), pictures, request.prompt, [upscale, vary, more])


def _drawn(request: Imagine, job: Job) -> list[str]:
    """What the wildcards of a finished job came to, picture by picture; nothing where there are none."""
    lines = []
    for index in range(len(job.pictures)):
        prompt, negative = request.drawn(request.seed_of(index))
        if (prompt, negative) != request.styled:
            said = cards.plain(prompt) + (f" · without {cards.plain(negative)}" if negative else "")
            lines.append(f"{index + 1}. {said}" if request.count > 1 else said)
    return lines


def _edit(job: Job) -> JobButton:
    return JobButton("edit", job.id, label="Edit")


LOOK = Looks()


def facts(request: Imagine) -> str:
    """What a Stable Diffusion user wants to know of a picture, in a line."""
    hires, refiner, control = request.hires, request.refiner, request.control
    said = [
        f"seed {request.seed}" + (f" varied {len(request.variations)}×" if request.variations else ""),
        f"{request.width}x{request.height}",
        f"{request.steps} steps",
        request.sampler,
        f"guidance {request.guidance:g}",
        request.model,
        refiner and f"refined by {refiner.name}",
        request.style and cards.plain(request.style.title),
        *(f"{lora.name} {lora.weight:g}" for lora in request.loras),
        control and f"follows {control.name} {control.weight:g}",
        request.image and f"from a picture, strength {request.strength:g}",
        hires and f"again at {hires.width}x{hires.height}, strength {hires.strength:g}",
    ]
    return " · ".join(fact for fact in said if fact)


def edit_form(job: Job) -> ui.Modal:
    """The Edit form of a job, filled in with its request."""
    request = asked(job, Imagine)
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


def reimagine_form(message: discord.Message, prompt: str | None) -> ui.Modal:
    """The form that asks what to make of a message's picture."""
    form = ui.Modal(title="Reimagine", custom_id=f"easel:message:reimagine:{message.id}", timeout=FORM_LIFE_S)
    words: ui.TextInput[Any] = ui.TextInput(
        custom_id="prompt", default=prompt, style=discord.TextStyle.paragraph, max_length=4000
    )
    strength: ui.TextInput[Any] = ui.TextInput(
        custom_id="strength", default=f"{STRENGTH:g}", max_length=10, required=False
    )
    form.add_item(ui.Label(text="What it shall become", component=words))
    form.add_item(ui.Label(text="How far to go from it, 0.05 to 1", component=strength))
    return form


def build(admission: Admission) -> Slice:
    """The command, its buttons and its form."""

    @app_commands.command(name="imagine", description="Paint pictures from your words")
    @app_commands.describe(
        prompt="What the picture shows",
        negative="What should not be there",
        style="Ready-made words around your own",
        model="Which model paints",
        seed="The same seed paints the same picture; leave it out for a new one",
        steps="How many steps: more is slower, and finer up to a point",
        guidance="How closely to follow the prompt",
        sampler="How each step is computed",
        width="Width in pixels",
        height="Height in pixels",
        count="How many pictures",
        image="A picture to start from",
        strength="How far to go from that picture: 0.3 is a touch, 0.6 keeps the composition, 0.9 little of it",
        hires="Paint it once more this many times as wide and high, for finer details: 1.5 or 2",
        hires_strength="How much of it to paint anew then: 0.3 keeps it, 0.6 changes it",
        refine="Whether the model's refiner takes the last steps, where it has one",
        lora="LoRAs, each with its weight: ink:0.8, neon",
        control_image="A picture whose lines to follow",
        control="How to follow it",
        control_weight="How closely to follow it: 0 not at all, 1 as trained",
    )
    async def imagine(
        interaction: discord.Interaction,
        prompt: str,
        negative: str | None = None,
        style: str | None = None,
        model: str | None = None,
        seed: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        width: int | None = None,
        height: int | None = None,
        count: int | None = None,
        image: discord.Attachment | None = None,
        strength: float | None = None,
        hires: float | None = None,
        hires_strength: float | None = None,
        refine: bool | None = None,
        lora: str | None = None,
        control_image: discord.Attachment | None = None,
        control: str | None = None,
        control_weight: float | None = None,
    ) -> None:
        wish = Wish(
            prompt=prompt,
            negative=negative,
            style=style,
            model=model,
            seed=seed,
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            width=width,
            height=height,
            count=count,
            strength=strength,
            hires=hires,
            hires_strength=hires_strength,
            refine=refine,
            loras=lora,
            control=control,
            control_weight=control_weight,
        )
        given = {"image": image, "control_image": control_image}
        uploads = {name: upload for name, upload in given.items() if upload is not None}
        if not uploads:
            await admission.submit(interaction, settle(wish, admission.ready))
        else:
            await admission.submit_uploads(
                interaction, uploads, lambda **taken: settle(replace(wish, **taken), admission.ready)
            )

    @imagine.autocomplete("model")
    async def models(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.models, typed)

    def model_so_far(interaction: discord.Interaction) -> ModelInfo | None:
        return sources.model_so_far(admission.ready, interaction)

    @imagine.autocomplete("style")
    async def styles(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.styles(admission.ready, interaction, typed)

    @imagine.autocomplete("lora")
    async def loras(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.more_loras(adapters.fitting(admission.ready.loras, model_so_far(interaction)), typed)

    @imagine.autocomplete("control")
    async def controls(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(adapters.fitting(admission.ready.controls, model_so_far(interaction)), typed)

    @imagine.autocomplete("sampler")
    async def samplers(interaction: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.samplers(admission.ready, interaction, typed)

    async def submit(interaction: discord.Interaction, request: Imagine, parent: Job) -> None:
        check(request, admission.ready)
        await admission.submit(interaction, request, parent.id)

    async def vary(interaction: discord.Interaction, job: Job, index: int) -> None:
        count = min(VARIATIONS, admission.ready.max_count)
        await submit(interaction, varied(asked(job, Imagine), index, new_seed(), count), job)

    async def reroll(interaction: discord.Interaction, job: Job, _: int) -> None:
        await submit(interaction, rerolled(asked(job, Imagine)), job)

    async def edit(interaction: discord.Interaction, job: Job, _: int) -> None:
        await interaction.response.send_modal(edit_form(job))

    async def edit_done(interaction: discord.Interaction, job: Job, fields: Mapping[str, str]) -> None:
        await submit(interaction, edited(asked(job, Imagine), fields, admission.ready), job)

    # Without Discord's leave to read messages, an attachment is known only while its menu is open.
    opened: OrderedDict[int, discord.Attachment] = OrderedDict()

    async def of_message(interaction: discord.Interaction, message: discord.Message) -> None:
        opened[message.id] = attachments.first_picture(message)
        if len(opened) > OPEN_FORMS:
            opened.popitem(last=False)
        job = await admission.jobs.of_message(message.id)
        prompt = job.request.prompt if job is not None and isinstance(job.request, Imagine) else None
        await interaction.response.send_modal(reimagine_form(message, prompt))

    async def reimagine(interaction: discord.Interaction, message_id: int, fields: Mapping[str, str]) -> None:
        if message_id not in opened:
            raise MemberError("This form was opened too long ago: open it again from the picture's menu.")
        strength = number("Strength", fields["strength"].strip())
        await admission.submit_uploads(
            interaction,
            {"image": opened[message_id]},
            lambda image: settle(Wish(prompt=fields["prompt"], image=image, strength=strength), admission.ready),
        )

    return Slice(
        commands=[imagine, app_commands.ContextMenu(name="Reimagine", callback=of_message)],
        presses={"vary": vary, "reroll": reroll, "edit": edit},
        forms={"edit": edit_done},
        message_forms={"reimagine": reimagine},
    )
