"""A training of a member's that has ended, as the end-to-end tests find it in a data folder before the bot starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from bot import folder
from bot.database import open_database
from bot.training.progress import Progress
from bot.training.store import Trainings
from inference.protocol import TrainingOptions, TrainingOrder
from starter.render import render
from tests.e2e.asking import BOATS, png
from tests.e2e.conftest import ROOT

NEON = ROOT / "starter" / "models" / "style" / "pytorch_lora_weights.safetensors"
"""What takes the place of the files that a trainer would have written."""


async def ended(data: Path, member_id: int, guild_id: int, name: str, trigger: str, **texts: str) -> int:
    """A style of this member's was taught to the starter in this server; the number of the training. No bot works in
    the data folder, which is there, meanwhile."""
    async with open_database(data / folder.DATABASE) as database:
        trainings = Trainings(database, data)
        told = {"consent": "mine", "license": "CC0", **texts}
        order = TrainingOrder(
            name=name, kind="style", trigger=trigger, model="starter", options=TrainingOptions(), **told
        )
        training = await trainings.add(order, member_id=member_id, guild_id=guild_id, channel_id=1)
        await database.change("UPDATE training SET state = 'training' WHERE id = ?", (training.id,))
        progress = Progress(database, trainings)
        await progress.planned(training.id, 0, 10, 1)
        place = trainings.folders.epoch(training.id, 1)
        place.mkdir(parents=True)
        for end in (".safetensors", ".kohya.safetensors"):
            shutil.copyfile(NEON, place / f"{name}{end}")
        trainings.folders.preview(training.id, 1).write_bytes(png(render(BOATS, 64)))
        await progress.epoch_ended(training.id, 1, 10, 0.1)
        await progress.ended(training.id)
    return training.id
