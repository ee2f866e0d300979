"""Jobs beside a loop over the bare pipeline, a prompt that was read before, a preview beside the decoded picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import msgspec
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from msgspec.structs import replace as replaced

from benchmarks.beside import Row, timed
from inference import device
from inference.catalog import reading
from inference.exchange.outputs import Files
from inference.exchange.reports import Reporter
from inference.models.store import Store
from inference.painting import decoding
from inference.painting import previews as showing
from inference.protocol import Event, Failed, Imagine
from inference.tasks import imagine

MODEL = "starter"
PROMPTS = ("a red house", "two blue boats at night", "a cat on a meadow", "three yellow trees, watercolour")
JOBS = 16
LONG_STEPS = 16


def measure(n: int) -> list[Row]:
    """All of it in this process, on one thread, the starter without its upscaler: the bare pipeline has none."""
    chosen = device.choose("cpu", 1)
    known = reading.load(Path("models.toml"))
    entry = msgspec.structs.replace(known.models[MODEL], upscaler=None)
    store = Store(catalog=replace(known, models={**known.models, MODEL: entry}), device=chosen)
    pipeline: Any = StableDiffusionPipeline.from_pretrained("starter/models/picture", dtype=torch.float32)  # type: ignore[no-untyped-call]
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)  # type: ignore[no-untyped-call]
    with TemporaryDirectory() as folder:
        incoming = Path(folder)
        small, large = asked(64), asked(128)[:2]
        together = f"{JOBS} jobs of 64 px that share passes, as PNGs on disk"
        one_by_one = f"{len(large)} jobs of 128 px, one by one, as PNGs on disk"
        return [
            timed(together, 1 / 1.4, n, lambda: paint(store, incoming, small), lambda: bare(pipeline, small)),
            timed(
                one_by_one,
                1 / 0.98,
                n,
                lambda: paint(store, incoming, large),
                lambda: bare(pipeline, large),
            ),
            whole_job(store, incoming, pipeline, n),
            reading_again(store, n),
            *previews(store, n),
            with_previews(store, incoming, n),
        ]


def asked(side: int) -> list[Imagine]:
    """Jobs that fit one pass, but for how many it takes."""
    return [
        Imagine(
            job=number,
            model=MODEL,
            prompt=PROMPTS[number % len(PROMPTS)],
            seed=number,
            steps=8,
            guidance=3.0,
            sampler="DPM++ 2M",
            width=side,
            height=side,
        )
        for number in range(JOBS)
    ]


def long_job() -> list[Imagine]:
    """One that takes a second or more, and shows previews."""
    return [replaced(asked(128)[0], steps=LONG_STEPS)]


def whole_job(store: Store, incoming: Path, pipeline: Any, n: int) -> Row:
    """A job of a second or more, up to its file, beside the bare call."""
    job = long_job()
    name = f"a job of 128 px and {LONG_STEPS} steps, a second or more, as PNG on disk"
    return timed(name, 1.05, n, lambda: paint(store, incoming, job), lambda: bare(pipeline, job))


def with_previews(store: Store, incoming: Path, n: int) -> Row:
    """The same job with its previews, beside the same without any."""
    job = long_job()

    def without() -> None:
        with mock.patch.object(showing, "FIRST_PREVIEW_S", math.inf):
            paint(store, incoming, job)

    return timed("the same job with previews, beside it without", 1.05, n, lambda: paint(store, incoming, job), without)


def paint(store: Store, incoming: Path, requests: Sequence[Imagine]) -> None:
    """As the engine does, up to the files; words are read anew, as other members' would be."""
    store.use(MODEL, lambda: None).prompts._kept.clear()
    events: list[Event] = []
    report = Reporter(events.append, Files(incoming))
    most = store.catalog.models[MODEL].cpu_batch
    for begin in range(0, len(requests), most):
        batch = requests[begin : begin + most]
        for request in batch:
            report.accept(request.job)
            report.begin(request.job)
        with store.lease():
            imagine.run(batch, {}, store, report)
    report.close()
    if failed := [event for event in events if isinstance(event, Failed)]:
        raise RuntimeError(f"it was not painted: {failed[0].reason}")


def bare(pipeline: Any, requests: Sequence[Imagine]) -> None:
    """What one would write: a loop of calls, and no file."""
    for request in requests:
        pipeline(
            request.prompt,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance,
            width=request.width,
            height=request.height,
            generator=torch.Generator().manual_seed(request.seed),
        )


def reading_again(store: Store, n: int) -> Row:
    """A prompt that was encoded before, beside one that was not."""
    prompts = store.use(MODEL, lambda: None).prompts

    def anew() -> None:
        prompts._kept.clear()
        prompts.encode(PROMPTS[0], "", True)

    return timed("a prompt that was read before", 0.02, n, lambda: prompts.encode(PROMPTS[0], "", True), anew)


def previews(store: Store, n: int) -> list[Row]:
    """A preview of the largest picture beside its decoding, by the tiny decoder and without one."""
    model = store.use(MODEL, lambda: None)
    assert model.entry.decoder is not None
    decoder, pipeline = store.use_decoder(model.entry.decoder, lambda: None), model.pipeline
    assert decoder is not None
    side = model.entry.max_size // model.pipeline.vae_scale_factor
    latents = torch.randn(1, model.latent_channels, side, side, generator=torch.Generator().manual_seed(0))

    def whole() -> object:
        return decoding.decode(pipeline, model.family, latents)

    def sketched(network: Any) -> Callable[[], object]:
        return lambda: decoding.pictures(pipeline, decoding.sketch(pipeline, model.family, latents, network))

    return [timed("a preview beside the picture's decoding", 0.1, n, sketched(decoder.network), whole)]
