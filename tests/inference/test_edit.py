"""Painting a part of a picture anew: nothing else changes, in every family and with every sampler."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.catalog.reading import Catalog
from inference.families.samplers import DIFFUSION, FLOW
from inference.models.store import Store
from inference.painting import samplers, setups
from inference.protocol import Finished, Imagine, Input
from tests.inference.conftest import ask_for, paint_from, uploaded
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_samplers import DRAWING
from tests.inference.tiny import picture

OLD = picture(90, 60, seed=3)
OLD_INPUT, FILES = uploaded(OLD)
BOX = (20, 10, 49, 39)

paint = partial(paint_from, FILES)


def mask_of(box: tuple[int, int, int, int], size: tuple[int, int] = OLD.size) -> Input:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    given, data = uploaded(mask)
    FILES.update(data)
    return given


def pixels(finished: Finished, index: int = 0) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[index]))))


def edit(model: str, known: Catalog, **changes: object) -> Imagine:
    entry = known.models[model]
    wanted = ask_for(model=model, steps=4, guidance=entry.guidance, sampler=entry.sampler, image=OLD_INPUT)
    return msgspec.structs.replace(wanted, mask=mask_of(BOX), **changes)


@pytest.mark.parametrize("model", ["sd15", "sd21", "sdxl", "sdxl-turbo", "sd35", "flux-schnell", "flux-dev"])
def test_in_every_family_the_masked_part_changes_and_no_other_bit(known: Catalog, store: Store, model: str) -> None:
    first, again = (paint(store, edit(model, known, strength=0.8))[1] for _ in range(2))
    assert hashes(first.pictures) == hashes(again.pictures)
    before, after = np.asarray(OLD), pixels(first)
    inside = np.zeros(before.shape[:2], bool)
    inside[BOX[1] : BOX[3] + 1, BOX[0] : BOX[2] + 1] = True
    assert after.shape == before.shape
    assert np.array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).any(1).mean() > 0.9


def test_every_picture_of_a_job_and_its_neighbours_keep_to_their_own_masks(
    known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    alone = paint(store, edit("sd15", known))[1].pictures[0]
    other = msgspec.structs.replace(edit("sd15", known, seed=90, count=2), job=2, mask=mask_of((60, 30, 80, 50)))
    beside = paint(store, other, edit("sd15", known))
    assert beside[1].pictures[0].sha256 == alone.sha256
    assert np.array_equal(pixels(beside[2], 1)[:, :50], np.asarray(OLD)[:, :50])


def test_the_recipe_names_picture_and_mask_and_no_watermark_in_so_small_a_part(known: Catalog, store: Store) -> None:
    finished = paint(store, edit("sd15", known))[1]
    assert finished.recipe["request"]["mask"]["sha256"] == mask_of(BOX).sha256
    assert finished.recipe["watermark"] is None


@pytest.mark.parametrize("name", DIFFUSION | FLOW)
@pytest.mark.parametrize("taken", [6, 3])
def test_what_is_kept_is_under_the_noise_that_a_perfect_run_would_have_left(name: str, taken: int) -> None:
    flow, draws = name in FLOW, name in DRAWING
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    # Where the steps divide the schedule evenly: elsewhere DDIM and DDPM round to the next of the thousand times.
    config: dict[str, Any] = {"shift": 3.0} if flow else {"timestep_spacing": "leading", **betas}
    scheduler = samplers.build((DIFFUSION | FLOW)[name], config, 8, begin=8 - taken)
    chance = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 4, 64, 64, generator=chance) for _ in range(2))
    latents = samplers.noised(scheduler, clean, noise, 8) * getattr(scheduler, "init_noise_sigma", 1.0)
    scheduler.set_timesteps(8)
    own = {"generator": chance} if draws else {}
    told = noise - clean if flow else noise
    for step, time in enumerate(scheduler.timesteps.clone(), start=8 - taken + 1):
        latents = scheduler.step(told, time, latents, **own).prev_sample
        kept = samplers.noised_before(scheduler, clean, noise, step)
        if not draws:
            assert torch.allclose(latents, kept, atol=0.02), (step, float((latents - kept).abs().max()))
            continue
        # They draw noise of their own: its amount is the same, and a perfect model sees what it is now.
        # TCD stops at the first time of the schedule, which has a little left.
        left = 0.03 if name == "TCD" else 0.01
        share = samplers.noised_before(scheduler, clean, clean * 0, step)
        assert float((latents - share).std()) == pytest.approx(float((kept - share).std()), rel=0.05, abs=left)
        level = samplers.noised_before(scheduler, clean * 0, torch.ones_like(clean), step)
        told = (latents - share) / level.clamp(min=1e-9)
    assert torch.equal(kept, clean)
