"""A /classify during somebody's picture of fifty steps: how long its answer takes beside the whole picture."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from benchmarks.beside import Row, counted
from benchmarks.engines import local_engine
from bot.engine.process import InferenceProcess
from inference.protocol import PICTURES, Classify, Failed, Finished, Imagine, Input, ModelInfo, Picture, Progress, place

STEPS = 50
LABELS = ("a house", "a boat", "a cat", "a tree")


async def measure(times: int) -> list[Row]:
    """Ask when the picture is some steps under way, so often; by the clock, for waiting is all that counts here."""
    ratios, answers_s, pictures_s = [], [], []
    async with local_engine() as (engine, incoming):
        model = engine.ready.model("starter")
        assert model is not None, "the starter comes with the checkout"
        looked_at = keep(await finished(engine, picture(model, 1, 4)), incoming)
        await finished(engine, question(engine, 2, looked_at))  # loads the classifier
        for number in range(times):
            answer_s, picture_s = await beside(engine, model, 3 + 2 * number, looked_at)
            answers_s.append(answer_s)
            pictures_s.append(picture_s)
            ratios.append(answer_s / picture_s)
    row = counted(
        f"a /classify during a picture of {STEPS} steps, beside the picture",
        0.1,
        "s",
        statistics.median(answers_s),
        statistics.median(pictures_s),
        times,
        f"by the clock, at most {max(ratios):.2f}",
    )
    return [row]


async def beside(engine: InferenceProcess, model: ModelInfo, job: int, looked_at: Input) -> tuple[float, float]:
    """Seconds of the answer and of the picture."""
    under_way, began_s = asyncio.Event(), time.perf_counter()

    async def paint() -> float:
        async for event in engine.run([picture(model, job, STEPS)]):
            if isinstance(event, Progress) and event.step >= 3:
                under_way.set()
            if isinstance(event, Failed):
                raise RuntimeError(f"it was not painted: {event.reason}")
        return time.perf_counter() - began_s

    painting = asyncio.create_task(paint())
    await under_way.wait()
    asked_s = time.perf_counter()
    await finished(engine, question(engine, job + 1, looked_at))
    answer_s = time.perf_counter() - asked_s
    if painting.done():
        raise RuntimeError("the picture was finished before the answer")
    return answer_s, await painting


async def finished(engine: InferenceProcess, request: Imagine | Classify) -> Finished:
    """What comes of a request."""
    async for event in engine.run([request]):
        if isinstance(event, Finished):
            return event
        if isinstance(event, Failed):
            raise RuntimeError(f"it failed: {event.reason}")
    raise RuntimeError("it has no end")


def keep(made: Finished, incoming: Path) -> Input:
    """The picture of a job, where requests find what they work on."""
    left: Picture = made.pictures[0]
    kept = place(incoming.parent / PICTURES, left.sha256)
    kept.parent.mkdir(exist_ok=True)
    (incoming / left.file).rename(kept)
    return Input(left.sha256, left.width, left.height)


def picture(model: ModelInfo, job: int, steps: int) -> Imagine:
    """A job at the model's own size."""
    return Imagine(
        job=job,
        model=model.name,
        prompt="a red house on a meadow at night",
        seed=job,
        steps=steps,
        guidance=model.guidance,
        sampler=model.sampler,
        width=model.width,
        height=model.height,
    )


def question(engine: InferenceProcess, job: int, looked_at: Input) -> Classify:
    """What this picture shows."""
    name = engine.ready.classifiers[0].name
    return Classify(job=job, model=name, image=looked_at, labels=LABELS, templates=("a picture of {}",))
