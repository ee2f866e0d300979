"""What the bot's tests share: a real database in a temporary folder, and jobs to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.database import Database, open_database
from bot.jobs import Job, Jobs, Reply
from bot.pictures import Pictures
from inference.protocol import Answer, Imagine, ModelInfo, Ready, Refiner, Style


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "easel.sqlite3") as opened:
        yield opened


@pytest.fixture
def jobs(database: Database, tmp_path: Path) -> Jobs:
    return Jobs(database, Pictures(tmp_path / "pictures"))


def request(prompt: str = "a red house", **changes: object) -> Imagine:
    """A request that starts from ordinary values."""
    values: dict[str, object] = {
        "job": 0,
        "model": "starter",
        "prompt": prompt,
        "seed": 7,
        "steps": 8,
        "guidance": 4.0,
        "sampler": "DPM++ 2M",
        "width": 64,
        "height": 64,
    }
    return Imagine(**(values | changes))  # type: ignore[arg-type]


def reply(member_id: int = 1, message_id: int = 100) -> Reply:
    """Where the job of a member is answered."""
    return Reply(member_id, 5, 6, message_id, "token", 4_000_000_000.0, 10 * 2**20)


def job(number: int, member_id: int = 1, created_at: float = 0.0, attempts: int = 0, **changes: object) -> Job:
    """A waiting job that is in no database."""
    return Job(
        number,
        request(**changes),
        "queued",
        attempts,
        reply(member_id),
        created_at,
        None,
        None,
        None,
        (),
        Answer(),
    )


def ready(**changes: object) -> Ready:
    """An engine with one small and one distilled model, and one whose weights are missing."""
    starter = ModelInfo(
        name="starter",
        title="Starter",
        family="sd1",
        samplers=("DPM++ 2M", "Euler a"),
        sampler="DPM++ 2M",
        steps=8,
        max_steps=150,
        guidance=4.0,
        max_guidance=30.0,
        negative=True,
        width=64,
        height=64,
        size_multiple=8,
        min_size=32,
        max_size=256,
        max_pixels=128 * 128,
        max_hires_pixels=160 * 160,
        upscale=4,
        styles=(Style("oil", "Oil painting", "oil painting of {prompt}", "photograph"),),
    )
    turbo = ModelInfo(
        name="turbo",
        title="Turbo",
        family="sdxl",
        samplers=("Euler a",),
        sampler="Euler a",
        steps=1,
        max_steps=8,
        guidance=0.0,
        max_guidance=2.0,
        negative=False,
        width=512,
        height=512,
        size_multiple=8,
        min_size=256,
        max_size=1024,
        max_pixels=1024 * 1024,
        max_hires_pixels=1536 * 1536,
        upscale=1,
        refiner=Refiner("turbo-refiner", 0.2),
    )
    values: dict[str, object] = {
        "models": (starter, turbo),
        "default_model": "starter",
        "missing": ("sdxl",),
        "device": "cpu",
        "max_count": 4,
        "max_prompt_chars": 2000,
    }
    return Ready(**(values | changes))  # type: ignore[arg-type]
