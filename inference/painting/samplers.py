"""Samplers at work: the diffusers scheduler that runs, which of its steps it takes, and its running estimate."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from inference.families.record import load_class
from inference.families.samplers import Sampler


def build(
    sampler: Sampler,
    config: Mapping[str, Any],
    steps: int,
    begin: int = 0,
    end: int | None = None,
    spacing: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A fresh scheduler: the sampler on the noise schedule that this model was trained with.

    `config` is the model's own scheduler configuration as it was published, `spacing` what its pipeline will say of the
    steps (`Family.spacing`). Of these those from `begin` up to `end` are run, counted from 0; `noised` gives what the
    first of them starts from.
    """
    further = {} if sampler.changes_for is None else sampler.changes_for(steps)
    scheduler = load_class(sampler.scheduler).from_config(config, **sampler.changes, **further)
    scheduler.set_timesteps = functools.partial(scheduler.set_timesteps, **spacing)
    _run_only(scheduler, begin, end)
    return scheduler


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
    And those that look up what a time means would wait for a card at every step, on which pipelines keep the times.
    """
    set_timesteps, step = scheduler.set_timesteps, scheduler.step
    set_begin_index = getattr(scheduler, "set_begin_index", None)
    whole = torch.empty(0)
    taken = begin

    @functools.wraps(set_timesteps)
    def set_and_begin(*args: Any, **kwargs: Any) -> None:
        nonlocal whole, taken
        set_timesteps(*args, **kwargs)
        whole, taken = scheduler.timesteps.cpu(), begin
        # The pipeline walks along what it finds here now.
        scheduler.timesteps = scheduler.timesteps[begin:end]
        if set_begin_index is not None:
            set_begin_index(begin)

    @functools.wraps(step)
    def step_among_all(model_output: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal taken
        # The solvers look around themselves in the whole schedule.
        scheduler.timesteps = whole
        time, taken = whole[taken], taken + 1
        return step(model_output, time, *args, **kwargs)

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
