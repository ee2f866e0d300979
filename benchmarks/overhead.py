"""What the engine adds to the bare pipeline call with the same arguments, pair by pair in one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from benchmarks.engines import THREADS, local_engine
from benchmarks.timings import Timing, timing
from inference.protocol import Failed, Finished, Imagine

PROMPT = "a red house on a meadow at night"


async def measure(pairs: int, steps: int) -> Sequence[Timing]:
    """Time bare calls and whole jobs in turn: the job from the request to its PNG on disk."""
    torch.set_num_threads(THREADS)
    async with local_engine() as (engine, _):
        model = engine.ready.model("starter")
        assert model is not None, "the starter comes with the checkout"
        pipeline: Any = StableDiffusionPipeline.from_pretrained("starter/models/picture", dtype=torch.float32)  # type: ignore[no-untyped-call]
        pipeline.set_progress_bar_config(disable=True)
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)  # type: ignore[no-untyped-call]
        bare_s, job_s, inside_s = [], [], []
        for number in range(pairs + 2):
            request = Imagine(
                job=number + 1,
                model=model.name,
                prompt=PROMPT,
                seed=number,
                steps=steps,
                guidance=model.guidance,
                sampler="DPM++ 2M",
                width=model.width,
                height=model.height,
            )
            bare = _bare(pipeline, request)
            began = time.perf_counter()
            async for event in engine.run([request]):
                if isinstance(event, Failed):
                    raise RuntimeError(f"it was not painted: {event.reason}")
                if isinstance(event, Finished):
                    inside = event.seconds
            job = time.perf_counter() - began
            if number >= 2:  # the first two warm up both sides
                bare_s.append(bare)
                job_s.append(job)
                inside_s.append(inside)
    ratios = [job / bare for job, bare in zip(job_s, bare_s, strict=True)]
    return [
        timing(f"the bare pipeline call of diffusers, {steps} steps", bare_s),
        timing(f"the same as a job, enlarged {model.upscale} times and written as PNG with its recipe", job_s),
        timing("of which inside the engine", inside_s),
        timing(f"job over bare call by the clock, pair by pair, {steps} steps", ratios, "ratio"),
    ]


def _bare(pipeline: Any, request: Imagine) -> float:
    began = time.perf_counter()
    pipeline(
        request.prompt,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        width=request.width,
        height=request.height,
        generator=torch.Generator().manual_seed(request.seed),
    )
    return time.perf_counter() - began
