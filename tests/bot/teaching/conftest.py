"""What the tests of trainings as members meet them share: a bot around a real database, and trainings of a member."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.jobs import Jobs
from bot.training.states import Training
from starter.render import render
from starter.world import Scene
from tests.bot.test_admission import Gate
from tests.bot.training.test_store import ADA, GUILD, ORDER, able
from tests.e2e.asking import png

COLOURS = ("red", "blue", "green", "yellow", "white", "black")


@pytest.fixture
async def gate(jobs: Jobs, tmp_path: Path) -> AsyncIterator[Gate]:
    opened = Gate(jobs, tmp_path)
    async with opened.admission.workshop:
        yield opened
        await opened.background.close()


async def drafted(jobs: Jobs, folder: Path, count: int = 5, **changes: object) -> Training:
    """A draft of Ada's with so many pictures, which have no words yet."""
    training = await jobs.trainings.add(ORDER, member_id=ADA, guild_id=GUILD, channel_id=7, **changes)  # type: ignore[arg-type]
    files = {}
    for number in range(count):
        file = folder / f"{training.id}-{number}.png"
        file.write_bytes(png(render(Scene("boat", COLOURS[number % 6], 1, "large", "sea", seed=number))))
        files[f"{training.id:032}{number:032}"] = file
    await jobs.trainings.add_pictures(training.id, files, {})
    return training


async def posted(jobs: Jobs, folder: Path, message_id: int) -> Training:
    """One of Ada's that waits, with this message."""
    training = await drafted(jobs, folder)
    assert await jobs.trainings.submit(training.id, able()) is not None
    waiting = await jobs.trainings.set_message(training.id, 7, message_id)
    assert waiting is not None
    return waiting
