"""/edit: a part of a picture painted anew. Its options, the mask to look at first, its buttons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import discord
import msgspec
from discord import app_commands
from discord.app_commands import Choice

from bot import cards, sources
from bot.admission import Admission
from bot.buttons import JobButton
from bot.cards import Card
from bot.commands import Slice
from bot.errors import MemberError
from bot.job import Job, asked
from bot.pictures import masks
from bot.pictures.decoding import Upload
from bot.pictures.fitting import Shown
from bot.requests import painting, tools
from bot.requests.painting import Wish
from inference.protocol import Input, Mask

KIND = "mask"
COMMAND = "edit"


class Looks:
    """How a mask looks before anything is painted."""

    def headline(self, request: Mask) -> str:
        """What is looked for, and what shall become of it."""
        return f"**{cards.plain(request.text)}** → {cards.plain(request.edit.prompt)}"

    def ways_on(self, job: Job) -> list[JobButton]:
        """Again, or away with it."""
        return [cards.again(job), cards.delete(job)]

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The picture with what will be painted tinted, and how the mask can be changed."""
        request = asked(job, Mask)
        if not pictures:
            return cards.result(job, job.answer.text, request.model, [], "", [[cards.delete(job)]])
        go = JobButton("paint", job.id, label="Go", style=discord.ButtonStyle.primary)
        changes = [JobButton(action, job.id, label=action.capitalize()) for action in ("grow", "shrink", "invert")]
        text = f"{self.headline(request)}\nWhat is tinted will be painted anew."
        return cards.result(job, text, request.model, pictures[:1], request.text, [[go, *changes, cards.delete(job)]])


LOOK = Looks()


def build(admission: Admission) -> Slice:
    """The command and its buttons."""

    @app_commands.command(name="edit", description="Paint a part of a picture anew; all else stays as it is")
    @app_commands.describe(
        image="The picture",
        prompt="What the new part shows",
        what="What to replace: the cat. You see what is meant before anything is painted",
        mask="Or a picture that is white where it shall be painted",
        extend="Or room at a side, to be filled",
        strength="How much of the old part may go: 1 is all of it",
        negative="What should not be there",
        model="Which model paints",
        seed="The same seed paints the same; leave it out for a new one",
        count="How many pictures",
        lora="LoRAs, each with its weight: ink:0.8, neon",
    )
    @app_commands.choices(extend=[Choice(name=side, value=side) for side in masks.SIDES])
    async def edit(
        interaction: discord.Interaction,
        image: discord.Attachment,
        prompt: str,
        what: str | None = None,
        mask: discord.Attachment | None = None,
        extend: str | None = None,
        strength: float | None = None,
        negative: str | None = None,
        model: str | None = None,
        seed: str | None = None,
        count: int | None = None,
        lora: str | None = None,
    ) -> None:
        if sum(way is not None for way in (what, mask, extend)) > 1:
            raise MemberError("Say in one way which part is meant: `what`, `mask` or `extend`.")
        wish = Wish(
            prompt=prompt,
            negative=negative,
            model=model,
            seed=seed,
            count=count,
            strength=1.0 if strength is None else strength,
            loras=lora,
        )

        def settle(image: Input, mask: Input | None = None) -> Any:
            wanted = painting.settle(replace(wish, image=image, mask=mask), admission.ready)
            return wanted if what is None else tools.mask(image, admission.ready, what, wanted)

        async def prepare(folder: Path, image: Upload, mask: Upload | None = None) -> Mapping[str, Upload]:
            return await admission.workshop.uploads.run(masks.prepare, folder, image, mask, extend)

        given = {"image": image, "mask": mask}
        await admission.submit_uploads(
            interaction,
            {name: upload for name, upload in given.items() if upload is not None},
            settle,
            prepare if what is None else None,
        )

    @edit.autocomplete("model")
    async def models(_: discord.Interaction, typed: str) -> list[Choice[str]]:
        return sources.choices(admission.ready.models, typed)

    async def change(interaction: discord.Interaction, job: Job, **changes: object) -> None:
        request = msgspec.structs.replace(asked(job, Mask), **changes)
        tools.check(request, admission.ready)
        await admission.submit(interaction, request, job.id)

    async def grow(interaction: discord.Interaction, job: Job, _: int) -> None:
        await change(interaction, job, grow=asked(job, Mask).grow + 1)

    async def shrink(interaction: discord.Interaction, job: Job, _: int) -> None:
        await change(interaction, job, grow=asked(job, Mask).grow - 1)

    async def invert(interaction: discord.Interaction, job: Job, _: int) -> None:
        await change(interaction, job, invert=not asked(job, Mask).invert)

    async def paint(interaction: discord.Interaction, job: Job, _: int) -> None:
        made = job.pictures[1]
        request = msgspec.structs.replace(asked(job, Mask).edit, mask=Input(made.sha256, made.width, made.height))
        painting.check(request, admission.ready)
        await admission.submit(interaction, request, job.id)

    return Slice(commands=[edit], presses={"grow": grow, "shrink": shrink, "invert": invert, "paint": paint})
