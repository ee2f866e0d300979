"""The same seed, the same bytes: pictures painted in every company beside each painted alone. Counts, no times."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from benchmarks.beside import Row, counted
from benchmarks.engines import local_engine
from bot.engine.process import InferenceProcess
from inference.protocol import Failed, Finished, Imagine, ModelInfo

WORDS = ("a red house", "two blue boats at night", "a cat on a meadow, watercolour", "three yellow trees", "snow")
MANY_THREADS = 4
SHUFFLES = 3
STEPS = 4


class Made(NamedTuple):
    """A picture, by the hashes of its file and of its pixels alone."""

    file: str
    pixels: str


Painted = Mapping[int, Sequence[Made]]
"""The pictures of each job."""


async def measure(jobs: int = 10) -> list[Row]:
    """So many jobs of one to three pictures: alone, then side by side in any order, in new processes, on many threads.

    Of those on other threads the pixels are compared: the recipe in each file names its threads.
    """
    async with local_engine() as (engine, incoming):
        model = engine.ready.model("starter")
        assert model is not None, "the starter comes with the checkout"
        asked = [request(model, number) for number in range(jobs)]
        alone = await painted(engine, incoming, asked, 1)
        beside = await shuffled(engine, incoming, asked, model.batch)
    async with local_engine() as (engine, incoming):
        after = [await painted(engine, incoming, asked, 1), *await shuffled(engine, incoming, asked, model.batch)]
    async with local_engine(EASEL_THREADS=str(MANY_THREADS)) as (engine, incoming):
        many = [await painted(engine, incoming, asked, 1), *await shuffled(engine, incoming, asked, model.batch)]
    threads = f"on {MANY_THREADS} threads"
    return [
        compared("pictures with other bytes than alone, with any neighbours in any slot", alone, beside),
        compared("pictures with other bytes after a restart, alone and with neighbours", alone, after),
        compared(f"pictures with other pixels {threads} than on one", of_pixels(alone), list(map(of_pixels, many))),
    ]


def compared(name: str, alone: Painted, others: Sequence[Painted]) -> Row:
    """How many of the pictures are others than alone."""
    pairs = [pair for other in others for job, own in alone.items() for pair in zip(other[job], own, strict=True)]
    different = sum(one != own for one, own in pairs)
    return counted(name, 0.0, "pictures", different, len(pairs), len(pairs))


def of_pixels(painted: Painted) -> Painted:
    """The same, whatever the files say beside their pixels."""
    return {job: [made._replace(file="") for made in each] for job, each in painted.items()}


async def shuffled(engine: InferenceProcess, incoming: Path, asked: Sequence[Imagine], size: int) -> list[Painted]:
    """All of them so many at a time, in orders of their own each time."""
    found = []
    for seed in range(SHUFFLES):
        order = list(asked)
        random.Random(seed).shuffle(order)
        found.append(await painted(engine, incoming, order, size))
    return found


async def painted(engine: InferenceProcess, incoming: Path, asked: Sequence[Imagine], size: int) -> Painted:
    """What comes of each job; so many are sent at once."""
    found: dict[int, list[Made]] = {}
    for first in range(0, len(asked), size):
        async for event in engine.run(asked[first : first + size]):
            if isinstance(event, Failed):
                raise RuntimeError(f"it was not painted: {event.reason}")
            if isinstance(event, Finished):
                found[event.job] = [
                    Made(each.sha256, hashlib.sha256(Image.open(incoming / each.file).tobytes()).hexdigest())
                    for each in event.pictures
                ]
    return found


def request(model: ModelInfo, number: int) -> Imagine:
    """One of many jobs that can share passes: other words, seeds and counts."""
    return Imagine(
        job=number + 1,
        model=model.name,
        prompt=WORDS[number % len(WORDS)],
        seed=1000 + number,
        steps=STEPS,
        guidance=model.guidance,
        sampler=model.sampler,
        width=model.width,
        height=model.height,
        count=1 + number % 3,
    )
