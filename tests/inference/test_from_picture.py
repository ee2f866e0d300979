"""Painting from a picture: how far it goes, the same bytes whoever is painted beside, every family and sampler."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families.samplers import DIFFUSION
from inference.models.store import Store
from inference.painting import samplers, setups
from inference.protocol import Imagine, Input, Picture, Progress, Variation
from inference.tasks import imagine
from starter.render import render
from starter.world import Scene
from tests.inference.conftest import Record, ask_for, paint_from
from tests.inference.folders import bytes_of

ROOT = Path(__file__).parents[2]
FAMILIES = ["sd15", "sd21", "sdxl", "sdxl-turbo", "sd35", "flux-schnell", "flux-dev"]


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


HOUSE = png(render(Scene("house", "red", size="large", seed=4), 64))
BOAT = png(render(Scene("boat", "blue", size="large", place="sea", seed=4), 64))
FILES = {hashlib.sha256(data).hexdigest(): data for data in (HOUSE, BOAT)}

paint = partial(paint_from, FILES)


@pytest.fixture(scope="module")
def starter(cpu: Device) -> Store:
    """The model that comes with the checkout."""
    return Store(catalog=reading.load(ROOT / "models.toml"), device=cpu)


def start(data: bytes) -> Input:
    return Input(hashlib.sha256(data).hexdigest(), 64, 64)


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(bytes_of(picture))).convert("RGB")).astype(float)


def for_model(name: str, known: Catalog, **changes: object) -> Imagine:
    entry = known.models[name]
    of_entry = ask_for(model=name, steps=entry.steps, guidance=entry.guidance, sampler=entry.sampler)
    return msgspec.structs.replace(of_entry, **({"image": start(HOUSE), "strength": 0.6} | changes))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_paints_from_a_picture_and_repeats_itself(name: str, known: Catalog, store: Store) -> None:
    first, second = (paint(store, for_model(name, known))[1].pictures[0] for _ in range(2))
    other = paint(store, for_model(name, known, image=start(BOAT)))[1].pictures[0]
    freely = paint(store, for_model(name, known, image=None, strength=1.0))[1].pictures[0]
    assert first.sha256 == second.sha256
    assert len({pixels(picture).tobytes() for picture in (first, other, freely)}) == 3


@pytest.mark.parametrize("sampler", DIFFUSION)
def test_less_strength_stays_nearer_to_the_picture(sampler: str, starter: Store) -> None:
    truth = np.asarray(Image.open(io.BytesIO(HOUSE))).astype(float)
    distances = []
    for strength in (0.1, 0.5, 1.0):
        request = ask_for(
            model="starter", prompt="a blue boat at sea by day, flat style", steps=20, guidance=3.0, sampler=sampler,
            width=64, height=64, image=start(HOUSE), strength=strength,
        )  # fmt: skip
        large = Image.open(io.BytesIO(bytes_of(paint(starter, request)[1].pictures[0]))).convert("RGB")
        small = np.asarray(large.resize((64, 64), Image.Resampling.BOX)).astype(float)
        distances.append(np.abs(small - truth).mean())
    assert distances == sorted(distances), distances
    assert distances[0] < 0.8 * distances[2], distances


def test_a_picture_from_a_picture_has_the_same_bytes_alone_and_beside_others(
    known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    alone = paint(store, for_model("sd15", known, seed=8))[1].pictures[0]
    of_three = paint(store, for_model("sd15", known, seed=6, count=3))[1].pictures[2]
    other = for_model("sd15", known, job=2, seed=100, image=start(BOAT))
    beside = paint(store, other, for_model("sd15", known, seed=8))[1].pictures[0]
    assert np.array_equal(pixels(alone), pixels(of_three))
    assert alone.sha256 == beside.sha256


def test_variations_are_made_of_it_too(known: Catalog, store: Store) -> None:
    finished = paint(store, for_model("sd15", known, count=2, variations=(Variation(50, 0.3),)))[1]
    plain = paint(store, for_model("sd15", known))[1]
    assert len({picture.sha256 for picture in (*finished.pictures, *plain.pictures)}) == 3


def test_progress_counts_the_steps_that_are_taken(known: Catalog, store: Store) -> None:
    request = for_model("sd15", known)
    request = msgspec.structs.replace(request, steps=10, strength=0.35, count=2)
    record = Record()
    record.begin(request)
    imagine.run([request], FILES, store, record.report)
    progress = [event for event in record if isinstance(event, Progress)]
    assert {event.steps for event in progress} == {6}
    assert max(event.step for event in progress) == 6


def test_picture_of_other_proportions_is_cut_not_squeezed(known: Catalog, store: Store) -> None:
    wide = Image.new("RGB", (128, 64), "black")
    wide.paste(Image.open(io.BytesIO(HOUSE)), (32, 0))
    data = png(wide)
    FILES[hashlib.sha256(data).hexdigest()] = data
    same = paint(store, for_model("sd15", known, image=Input(hashlib.sha256(data).hexdigest(), 128, 64)))[1]
    square = paint(store, for_model("sd15", known))[1]
    assert np.abs(pixels(same.pictures[0]) - pixels(square.pictures[0])).mean() < 1
    other = msgspec.structs.replace(for_model("sd15", known), image=start(BOAT))
    assert np.abs(pixels(paint(store, other)[1].pictures[0]) - pixels(square.pictures[0])).mean() > 2


def test_its_recipe_names_the_picture_and_the_strength(known: Catalog, store: Store) -> None:
    finished = paint(store, for_model("sd15", known))[1]
    assert finished.recipe["request"]["image"]["sha256"] == start(HOUSE).sha256
    parameters = Image.open(io.BytesIO(bytes_of(finished.pictures[0]))).info["parameters"]
    assert "Denoising strength: 0.6" in parameters


@pytest.mark.parametrize("sampler", DIFFUSION)
def test_run_starts_under_as_much_noise_as_its_first_step_expects(sampler: str, known: Catalog, store: Store) -> None:
    config = store.use("sd15", on_load=lambda: None).scheduler_config
    scheduler = samplers.build(DIFFUSION[sampler], config, 10, begin=6)
    clean, noise = torch.zeros(2, 4, 4, 4), torch.ones(2, 4, 4, 4)
    level = samplers.noised(scheduler, clean, noise, 10) * getattr(scheduler, "init_noise_sigma", 1.0)
    assert len(scheduler.timesteps) == 4
    signal = scheduler.alphas_cumprod[int(scheduler.timesteps[0])]
    if hasattr(scheduler, "sigmas") and float(scheduler.init_noise_sigma) > 1:
        expected = float(scheduler.sigmas[6])
    elif hasattr(scheduler, "sigmas"):
        sigma = float(scheduler.sigmas[6])
        expected = sigma / (1 + sigma**2) ** 0.5
    else:
        expected = float((1 - signal) ** 0.5)
    assert level.std() < 1e-6
    assert float(level.mean()) == pytest.approx(expected, rel=1e-3)
