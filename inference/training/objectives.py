"""What a denoiser is asked while it learns, and how far it is from the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler, training_utils
from diffusers.training_utils import compute_density_for_timestep_sampling

from inference.families.training import Training

OF_NOISE = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"),
    *("prediction_type", "rescale_betas_zero_snr"),
)
"""What of a scheduler's configuration says how a model was taught; all else says how it is sampled."""


@dataclass(frozen=True)
class Question:
    """Noisy latents, and what is to be made of them."""

    noisy: torch.Tensor
    times: torch.Tensor
    target: torch.Tensor
    weights: torch.Tensor
    """How much the answer for each picture counts."""


class Objective(Protocol):
    """Draws questions, on the CPU from a generator of the batch alone."""

    def ask(self, latents: torch.Tensor, generator: torch.Generator) -> Question:
        """A question about each of these latents, (batch, channels, height, width), float32."""


def of(training: Training, config: Mapping[str, Any], snr_gamma: float) -> Objective:
    """What a family is asked, with the configuration of the scheduler that a model was published with."""
    return _Flow(config) if training.learns == "flow" else _Noise(config, snr_gamma)


class _Noise:
    """The noise or the velocity, at a time drawn evenly."""

    def __init__(self, config: Mapping[str, Any], gamma: float) -> None:
        untyped: Any = DDPMScheduler
        self._scheduler = untyped(**{name: config[name] for name in OF_NOISE if config.get(name) is not None})
        self._velocity = self._scheduler.config.prediction_type == "v_prediction"
        self._gamma = gamma

    def ask(self, latents: torch.Tensor, generator: torch.Generator) -> Question:
        noise = torch.randn(latents.shape, generator=generator)
        steps = self._scheduler.config.num_train_timesteps
        times = torch.randint(steps, (len(latents),), generator=generator)
        noisy = self._scheduler.add_noise(latents, noise, times)
        target = self._scheduler.get_velocity(latents, noise, times) if self._velocity else noise
        return Question(noisy, times, target, self._weights(times))

    def _weights(self, times: torch.Tensor) -> torch.Tensor:
        if not self._gamma:
            return torch.ones(len(times))
        untyped: Any = training_utils
        snr: torch.Tensor = untyped.compute_snr(self._scheduler, times)
        # Of the noise, which tells nothing where there is nothing else, the ratio has no end; of the velocity one more.
        return snr.clamp(max=self._gamma) / (snr + 1 if self._velocity else snr.clamp(min=1e-8))


class _Flow:
    """The way from the picture to the noise, at times about the middle of it more often than at its ends.

    (Esser et al., Scaling Rectified Flow Transformers, 2024.)
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        untyped: Any = FlowMatchEulerDiscreteScheduler
        self._scheduler = untyped.from_config(dict(config))

    def ask(self, latents: torch.Tensor, generator: torch.Generator) -> Question:
        noise = torch.randn(latents.shape, generator=generator)
        density = compute_density_for_timestep_sampling(
            "logit_normal", len(latents), logit_mean=0.0, logit_std=1.0, generator=generator
        )
        # Where the model is published with a shift of its times, these have it.
        places = (density * self._scheduler.config.num_train_timesteps).long()
        sigmas = self._scheduler.sigmas[places].cpu().view(-1, 1, 1, 1)
        times = self._scheduler.timesteps[places].cpu()
        return Question((1 - sigmas) * latents + sigmas * noise, times, noise - latents, torch.ones(len(latents)))
