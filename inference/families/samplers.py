"""Samplers by the names that members type: a line each, which says what diffusers calls it. Imports no torch.

A family admits a whole table or a part of one. `painting.samplers` makes them and lets them run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sampler:
    """A scheduler of diffusers, which takes one step for each evaluation of the denoiser."""

    scheduler: str
    """Its class (`record.load_class`)."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """To the configuration that the model was published with."""
    changes_for: Callable[[int], Mapping[str, Any]] | None = None
    """Further ones, for so many steps."""
    draws: bool = False
    """Whether it draws noise on the way, of which earlier steps know nothing."""


# Latents are no pixels: clipping them to -1..1, the default of these classes, would flatten the picture.
_UNCLIPPED = {"clip_sample": False}


def _lcm(steps: int) -> Mapping[str, Any]:
    # Its steps are picked from this many, 50 as it was distilled; more steps need more to pick from.
    return {"original_inference_steps": max(50, steps)}


DIFFUSION: dict[str, Sampler] = {
    "DPM++ 2M": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False}),
    "DPM++ 2M Karras": Sampler(
        "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}
    ),
    "DPM++ 2M SDE": Sampler(
        "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": False}, draws=True
    ),
    "Euler": Sampler("EulerDiscreteScheduler", {"use_karras_sigmas": False}),
    "Euler a": Sampler("EulerAncestralDiscreteScheduler", draws=True),
    "DDIM": Sampler("DDIMScheduler", _UNCLIPPED),
    "DDPM": Sampler("DDPMScheduler", _UNCLIPPED, draws=True),
    "UniPC": Sampler("UniPCMultistepScheduler", {"use_karras_sigmas": False}),
    "LCM": Sampler("LCMScheduler", _UNCLIPPED, _lcm, draws=True),
    # What few-step models were distilled for: steps that begin at pure noise.
    "Euler trailing": Sampler("EulerDiscreteScheduler", {"use_karras_sigmas": False, "timestep_spacing": "trailing"}),
    "TCD": Sampler("TCDScheduler", _UNCLIPPED, _lcm, draws=True),
}
"""Of models that were taught to take noise away."""

FLOW: dict[str, Sampler] = {
    "FlowMatch Euler": Sampler("FlowMatchEulerDiscreteScheduler"),
}
"""Of rectified flow: the samplers above integrate another process and would paint noise."""


def evenly(config: Mapping[str, Any], steps: int, height: int, width: int) -> dict[str, Any]:
    """Times as a scheduler spaces them by itself (`Family.spacing`)."""
    return {}


def shifted(config: Mapping[str, Any], steps: int, height: int, width: int) -> dict[str, Any]:
    """Times of which more are spent on noise where a picture is large, if the scheduler's configuration says so.

    A transformer reads a patch of 2 by 2 latents as one.
    """
    if not config.get("use_dynamic_shifting"):
        return {}
    # Imported where it is used: diffusers imports torch.
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    return {"mu": calculate_shift(height // 2 * (width // 2), *(config[name] for name in names))}
