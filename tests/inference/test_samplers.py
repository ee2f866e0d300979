"""The samplers: each is one of diffusers, paints, repeats itself and knows what it is heading for."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from diffusers import SchedulerMixin

from inference.families import FAMILIES
from inference.families.record import load_class
from inference.families.samplers import DIFFUSION, FLOW
from inference.models.store import Store
from inference.painting import samplers, setups
from tests.inference.conftest import ask_for
from tests.inference.test_imagine import paint, pixels

DRAWING = ("Euler a", "DDPM", "LCM", "DPM++ 2M SDE", "TCD")
"""Those that draw noise between their steps, from each picture's own generator."""


@pytest.mark.parametrize("model", ["sd15", "sd21", "sdxl"])
@pytest.mark.parametrize("sampler", DIFFUSION)
def test_each_sampler_paints_and_repeats_itself_bit_for_bit(sampler: str, model: str, store: Store) -> None:
    request = ask_for(model=model, sampler=sampler, steps=4)
    first, second = (pixels(paint(store, request)[1].pictures[0]) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.std() > 1


@pytest.mark.parametrize("sampler", DRAWING)
def test_samplers_that_draw_noise_are_seeded_per_picture_in_a_batch(
    sampler: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    alone = paint(store, ask_for(seed=8, sampler=sampler))[1].pictures[0]
    beside = paint(store, ask_for(seed=7, sampler=sampler, count=2))[1].pictures[1]
    assert np.array_equal(pixels(alone), pixels(beside))


@pytest.mark.parametrize("sampler", DIFFUSION | FLOW)
def test_each_is_a_scheduler_of_diffusers_that_takes_one_step_for_each_evaluation(sampler: str) -> None:
    made_of = (DIFFUSION | FLOW)[sampler]
    kind = load_class(made_of.scheduler)
    assert issubclass(kind, SchedulerMixin)
    assert kind.order == 1
    # diffusers would leave out what it does not know.
    assert made_of.changes.keys() <= inspect.signature(kind).parameters.keys()


def test_noise_is_taken_away_and_flow_followed_by_samplers_of_their_own() -> None:
    assert not DIFFUSION.keys() & FLOW.keys()
    assert [list(FAMILIES[name].samplers) for name in ("sd1", "sd2", "sdxl")] == [list(DIFFUSION)] * 3
    assert [list(FAMILIES[name].samplers) for name in ("sd3", "flux")] == [list(FLOW)] * 2


def test_different_samplers_paint_differently(store: Store) -> None:
    painted = {
        sampler: pixels(paint(store, ask_for(sampler=sampler, steps=5))[1].pictures[0]).tobytes()
        for sampler in DIFFUSION
        if sampler not in ("DDIM", "DDPM")  # which are Euler and Euler a in other variables
    }
    assert len(set(painted.values())) == len(painted) == len(DIFFUSION) - 2


def test_lcm_takes_more_steps_than_it_was_distilled_with(store: Store) -> None:
    assert paint(store, ask_for(sampler="LCM", steps=60))[1].pictures


@pytest.mark.parametrize(("model", "sampler"), [("sd15", name) for name in DIFFUSION] + [("sd35", "FlowMatch Euler")])
def test_the_estimate_of_the_last_step_is_the_picture(model: str, sampler: str, store: Store) -> None:
    loaded = store.use(model, on_load=lambda: None)
    scheduler = samplers.build(loaded.family.samplers[sampler], loaded.scheduler_config, 4)
    estimate = samplers.Estimate(scheduler)
    assert estimate.latents() is None
    scheduler.set_timesteps(4)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 4, 4, generator=generator)
    for time in scheduler.timesteps:
        latents = scheduler.step(0.1 * latents, time, latents, return_dict=False)[0]
    found = estimate.latents()
    assert found is not None
    assert torch.allclose(found, latents, atol=0.05)


def test_latents_are_never_clipped_as_pixels_are(store: Store) -> None:
    config = store.use("sd15", on_load=lambda: None).scheduler_config
    for sampler in DIFFUSION:
        assert not samplers.build(DIFFUSION[sampler], config, 4).config.get("clip_sample", False), sampler


@pytest.mark.parametrize("sampler", DIFFUSION)
def test_each_sampler_runs_on_a_schedule_that_starts_from_pure_noise(sampler: str, store: Store) -> None:
    config = {
        **store.use("sd15", on_load=lambda: None).scheduler_config,
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
        "_use_default_values": [],
    }
    scheduler = samplers.build(DIFFUSION[sampler], config, 25)
    scheduler.set_timesteps(25)
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    assert len(scheduler.timesteps) == 25
    for time in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, time)
        latents = scheduler.step(0.1 * scaled, time, latents, return_dict=False)[0]
    assert torch.isfinite(latents).all()
