"""Samplers: from the names of `entries.Sampler` to the diffusers scheduler that runs, and its running estimate."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from inference.catalog.entries import Family

# Latents are no pixels: clipping them to -1..1, the default of these classes, would flatten the picture.
_UNCLIPPED = {"clip_sample": False}

SCHEDULERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "DDPM": (DDPMScheduler, _UNCLIPPED),
    "DDIM": (DDIMScheduler, _UNCLIPPED),
    "DPM++ 2M": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False}),
    "DPM++ 2M Karras": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "Euler": (EulerDiscreteScheduler, {"use_karras_sigmas": False}),
    "Euler a": (EulerAncestralDiscreteScheduler, {}),
    "UniPC": (UniPCMultistepScheduler, {"use_karras_sigmas": False}),
    "LCM": (LCMScheduler, _UNCLIPPED),
    "FlowMatch Euler": (FlowMatchEulerDiscreteScheduler, {}),
}


def build(
    name: str,
    config: Mapping[str, Any],
    steps: int,
    begin: int = 0,
    end: int | None = None,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A fresh scheduler: the named sampler on the noise schedule that this model was trained with.

    `config` is the model's own scheduler configuration as it was published, `told` what its pipeline will say of the
    steps (`timing`). Of these those from `begin` up to `end` are run, counted from 0; `noised` gives what the first of
    them starts from.
    """
    kind, changes = SCHEDULERS[name]
    if kind is LCMScheduler:
        # Its steps are picked from this many, 50 as it was distilled; more steps need more to pick from.
        changes = {**changes, "original_inference_steps": max(50, steps)}
    scheduler = kind.from_config(config, **changes)
    scheduler.set_timesteps = functools.partial(scheduler.set_timesteps, **told)
    _run_only(scheduler, begin, end)
    return scheduler


def timing(family: Family, config: Mapping[str, Any], steps: int, height: int, width: int) -> dict[str, Any]:
    """What the pipeline of a family tells a scheduler's `set_timesteps` beside the number of steps.

    Height and width are those of the latents: rectified flow spends more of its steps on noise where a picture is
    large, if its configuration says so.
    """
    told: dict[str, Any] = {}
    if config.get("use_dynamic_shifting"):
        names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        # A transformer reads a patch of 2 by 2 as one.
        told["mu"] = calculate_shift(height // 2 * (width // 2), *(config[name] for name in names))
    if family == "flux":
        told["sigmas"] = np.linspace(1.0, 1 / steps, steps)
    return told


def noised(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, steps: int) -> torch.Tensor:
    """The latents that a run of this scheduler starts from so as to end near these clean ones.

    Both (n, channels, height, width). They are as pipelines take them: multiplied by `init_noise_sigma` they are the
    clean latents under as much noise as the run's first step expects.
    """
    scheduler.set_timesteps(steps)
    first = scheduler.timesteps[:1].repeat(len(clean))
    if hasattr(scheduler, "scale_noise"):
        start: torch.Tensor = scheduler.scale_noise(clean, first, noise)
        return start
    start = scheduler.add_noise(clean, noise, first)
    return start / getattr(scheduler, "init_noise_sigma", 1.0)


def noised_before(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, step: int) -> torch.Tensor:
    """These clean latents under as much of the noise as a step finds, counted from 0 in the whole schedule.

    Both (n, channels, height, width). Call it between two steps of a run; after the last one they are clean.
    """
    if step >= len(scheduler.timesteps):
        return clean
    time = scheduler.timesteps[step].repeat(len(clean))
    add = scheduler.scale_noise if hasattr(scheduler, "scale_noise") else None
    noisy: torch.Tensor = scheduler.add_noise(clean, noise, time) if add is None else add(clean, time, noise)
    return noisy


def _run_only(scheduler: Any, begin: int, end: int | None) -> None:
    """Let every run of this scheduler take these of its steps alone, whichever pipeline runs it.

    Left alone, a scheduler looks its first step up by its time and takes the second of two equal ones. Karras' steps
    on a schedule that starts from pure noise do begin with equal ones, and such a run would end outside the schedule.
    """
    set_timesteps, step = scheduler.set_timesteps, scheduler.step
    set_begin_index = getattr(scheduler, "set_begin_index", None)
    whole = None

    @functools.wraps(set_timesteps)
    def set_and_begin(*args: Any, **kwargs: Any) -> None:
        nonlocal whole
        set_timesteps(*args, **kwargs)
        whole = scheduler.timesteps
        # The pipeline walks along what it finds here now.
        scheduler.timesteps = whole[begin:end]
        if set_begin_index is not None:
            set_begin_index(begin)

    @functools.wraps(step)
    def step_among_all(*args: Any, **kwargs: Any) -> Any:
        # The solvers look around themselves in the whole schedule.
        scheduler.timesteps = whole
        return step(*args, **kwargs)

    scheduler.set_timesteps, scheduler.step = set_and_begin, step_among_all
    if set_begin_index is not None:
        # Pipelines that go on from latents say which step they take for the first, and Flux's always says 0.
        scheduler.set_begin_index = lambda _: set_begin_index(begin)


class Estimate:
    """What a scheduler takes the finished latents to be, as of its last step."""

    def __init__(self, scheduler: Any) -> None:
        """Watch this scheduler from now on."""
        self._latents: torch.Tensor | None = None
        step = scheduler.step

        # A pipeline asks the step's signature whether it takes a generator; `wraps` shows it the real one.
        @functools.wraps(step)
        def watched(model_output: Any, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            outputs = step(model_output, timestep, sample, *args, **kwargs)
            if len(outputs) > 1:
                # DDPM, DDIM, Euler, Euler a and LCM return it beside the next latents.
                self._latents = outputs[1]
            elif hasattr(scheduler, "model_outputs"):
                # The multistep solvers keep the estimates of their last steps.
                self._latents = scheduler.model_outputs[-1]
            else:
                # Rectified flow moves along a straight line to it: x - sigma * v.
                sigma = scheduler.sigmas[scheduler.step_index - 1]
                self._latents = sample - sigma * model_output
            return outputs

        scheduler.step = watched

    def latents(self) -> torch.Tensor | None:
        """The estimate of the last step, None before the first."""
        return self._latents
