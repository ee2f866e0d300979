"""What the bot's tests share: a real database in a temporary folder, and jobs to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from bot import words
from bot.database import Database, open_database
from bot.job import Job, Reply
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from bot.requests import require_possible
from inference.protocol import (
    INCOMING,
    PICTURES,
    AddOnInfo,
    Answer,
    DescribeTask,
    Finished,
    Imagine,
    Left,
    ModelInfo,
    Picture,
    Ready,
    Refiner,
    Request,
    Style,
    ToolInfo,
    leave,
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "easel.sqlite3") as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    opened = Pictures(tmp_path)
    opened.prepare()
    return opened


@pytest.fixture
def jobs(database: Database, pictures: Pictures) -> Jobs:
    return Jobs(database, pictures)


async def queued(
    jobs: Jobs, wanted: Request | None = None, of: Reply | None = None, parent_id: int | None = None
) -> Job:
    """A job that is accepted and waits."""
    arrived = await jobs.arrive(wanted or request(), of or reply(), parent_id)
    job = await jobs.acknowledge(arrived.id, arrived.reply.message_id)
    assert job is not None
    return job


async def on_uploads(jobs: Jobs, data: Path, wanted: Request, *uploads: bytes, of: Reply | None = None) -> Job:
    """The same of a job that works on pictures of these bytes, which were uploaded to it."""
    arrived = await jobs.arrive(wanted, of or reply(), reading=True)
    job = await jobs.settle(arrived.id, wanted, [left(data, upload) for upload in uploads])
    assert job is not None
    return job


async def stored(jobs: Jobs, job_id: int) -> Job:
    """A job that there is."""
    job = await jobs.find(job_id)
    assert job is not None, job_id
    return job


def left(data: Path, content: bytes) -> Left:
    """A file of these bytes as the engine and the decoders leave them."""
    return leave(data / INCOMING, content)


def kept(data: Path) -> list[bytes]:
    """The bytes of all files that are kept as pictures."""
    return sorted(file.read_bytes() for file in (data / PICTURES).rglob("*.*"))


def finished(data: Path, job_id: int, *contents: bytes, seed: int = 7, **changes: object) -> Finished:
    """The end of a job that made pictures of these bytes."""
    lefts = [left(data, content) for content in contents]
    pictures = tuple(
        Picture(file=one.file, sha256=one.sha256, width=64, height=64, seed=seed, flagged=False) for one in lefts
    )
    values: dict[str, object] = {"job": job_id, "pictures": pictures, "recipe": {}, "seconds": 0.5, "answer": Answer()}
    return Finished(**(values | changes))  # type: ignore[arg-type]


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


Possible = TypeVar("Possible", bound=Request)


def possible(wanted: Possible, told: Ready) -> Possible:
    """The request, where an engine that told this of itself can run it."""
    require_possible(wanted, told)
    return wanted


def reply(member_id: int = 1, message_id: int = 100) -> Reply:
    """Where the job of a member is answered."""
    return Reply(member_id, 5, 6, message_id, "token", 4_000_000_000.0, 10 * 2**20)


def job(number: int, member_id: int = 1, created_at: float = 0.0, attempts: int = 0, **changes: object) -> Job:
    """A waiting job that is in no database."""
    return Job(number, request(**changes), "queued", attempts, reply(member_id), created_at)


def tool(
    name: str,
    title: str,
    *,
    scale: int = 1,
    denoise: bool = False,
    tasks: tuple[DescribeTask, ...] = (),
    batch: int = 1,
) -> ToolInfo:
    """An upscaler, a describer or a classifier."""
    return ToolInfo(name=name, title=title, scale=scale, denoise=denoise, tasks=tasks, languages=(), batch=batch)


def add_on(
    name: str,
    title: str,
    models: tuple[str, ...],
    *,
    weight: float = 1.0,
    trigger: str = "",
    beside: tuple[str, ...] = (),
) -> AddOnInfo:
    """A LoRA or a ControlNet."""
    return AddOnInfo(
        name=name,
        title=title,
        models=models,
        weight=weight,
        trigger=trigger,
        sampler=None,
        steps=None,
        guidance=None,
        beside=beside,
        own=None,
    )


def failure(ended: Job) -> str:
    """What is said of a job that failed."""
    return "" if ended.failure is None else words.why(ended.failure)


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
        batch=1,
        upscale=4,
        refiner=None,
        usual_layer=None,
        clip_skip=None,
        styles=(Style("oil", "Oil painting", "oil painting of {prompt}", "photograph"),),
        references=0,
        fills=False,
        remote=None,
        training=None,
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
        batch=1,
        upscale=1,
        refiner=Refiner("turbo-refiner", 0.2),
        usual_layer=None,
        clip_skip=None,
        styles=(),
        references=0,
        fills=False,
        remote=None,
        training=None,
    )
    values: dict[str, object] = {
        "models": (starter, turbo),
        "default_model": "starter",
        "missing": ("sdxl",),
        "device": "cpu",
        "cards": 0,
        "max_count": 4,
        "max_prompt_chars": 2000,
        "upscalers": (),
        "restorers": (),
        "describers": (),
        "classifiers": (),
        "label_sets": {},
        "max_labels": 0,
        "loras": (),
        "controls": (),
        "embeddings": (),
        "wildcards": (),
        "max_loras": 0,
        "identity": "an engine",
        "elsewhere": (),
        "keys": (),
    }
    return Ready(**(values | changes))  # type: ignore[arg-type]
