"""Painting: every family, the same bytes whoever is painted beside, variations, previews, cancelling."""

from __future__ import annotations

import io
import json
from functools import partial

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import TaskError
from inference.models.store import Store
from inference.painting import noise, setups
from inference.protocol import MAX_SEED, Imagine, Picture, Preview, Progress, Ready, Variation, because, limits
from inference.tasks import imagine
from tests.inference.conftest import Record, ask_for, paint_from, with_model
from tests.inference.folders import bytes_of, hashes

FAMILIES = ["sd15", "sd21", "sdxl", "sdxl-turbo", "sd35", "flux-schnell", "flux-dev"]

paint = partial(paint_from, {})


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(bytes_of(picture))))


def for_model(name: str, known: Catalog, **changes: object) -> Imagine:
    entry = known.models[name]
    of_entry = ask_for(model=name, steps=entry.steps, guidance=entry.guidance, sampler=entry.sampler)
    return msgspec.structs.replace(of_entry, **changes)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_paints_and_repeats_itself(name: str, known: Catalog, store: Store) -> None:
    request = for_model(name, known)
    first, second = paint(store, request)[1], paint(store, request)[1]
    assert hashes(first.pictures) == hashes(second.pictures)
    assert pixels(first.pictures[0]).std() > 1
    assert (first.pictures[0].width, first.pictures[0].height) == (32, 32)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_engine_paints_what_the_bare_pipeline_paints(name: str, known: Catalog, store: Store) -> None:
    request = for_model(name, known, negative="blue")
    ours = pixels(paint(store, request)[1].pictures[0])
    model = store.use(name, on_load=lambda: None)
    # All that it must be told beside the request, as its makers do.
    told = {"max_sequence_length": 256} if name == "flux-schnell" else {}
    bare = model.pipeline(
        prompt=request.prompt,
        negative_prompt=request.negative,
        width=32,
        height=32,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator().manual_seed(request.seed),
        **told,
    ).images[0]
    assert np.array_equal(ours, np.asarray(bare))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [1, 4])
def test_a_picture_has_the_same_bytes_alone_in_a_job_of_four_and_beside_another_job(
    name: str, size: int, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: size)
    alone = paint(store, for_model(name, known, seed=8))[1].pictures[0]
    of_four = paint(store, for_model(name, known, seed=6, count=4))[1].pictures[2]
    other = for_model(name, known, job=2, seed=100, prompt="a blue boat at night", count=3)
    beside = paint(store, other, for_model(name, known, seed=8))[1].pictures[0]
    assert np.array_equal(pixels(alone), pixels(of_four))
    assert alone.sha256 == beside.sha256


def test_a_variation_of_strength_0_is_its_original_bit_for_bit(store: Store) -> None:
    for sampler in ("DPM++ 2M", "Euler a"):
        original = paint(store, ask_for(sampler=sampler))[1].pictures[0]
        unchanged = ask_for(sampler=sampler, variations=(Variation(99, 0.0),))
        assert np.array_equal(pixels(original), pixels(paint(store, unchanged)[1].pictures[0]))


def test_variations_differ_from_each_other_and_count_up_the_last_seed(store: Store) -> None:
    finished = paint(store, ask_for(count=4, variations=(Variation(50, 0.3),)))[1]
    assert [picture.seed for picture in finished.pictures] == [50, 51, 52, 53]
    assert len({picture.sha256 for picture in finished.pictures}) == 4
    second = paint(store, ask_for(variations=(Variation(51, 0.3),)))[1]
    assert np.array_equal(pixels(finished.pictures[1]), pixels(second.pictures[0]))


def test_seeds_count_up_and_wrap_around(store: Store) -> None:
    finished = paint(store, ask_for(seed=MAX_SEED, count=2))[1]
    assert [picture.seed for picture in finished.pictures] == [MAX_SEED, 0]
    assert np.array_equal(pixels(finished.pictures[1]), pixels(paint(store, ask_for(seed=0))[1].pictures[0]))


def test_progress_counts_over_all_pictures_and_starts_and_ends_where_it_says(store: Store, record: Record) -> None:
    request = ask_for(count=2, steps=3)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    assert record.finished()
    steps = [event for event in record if isinstance(event, Progress)]
    assert all(event.steps == 6 for event in steps)
    assert [event.step for event in steps] == sorted(event.step for event in steps)
    assert steps[-1].step == 6


@pytest.mark.usefixtures("many_previews")
def test_previews_are_small_grids_of_all_pictures(store: Store, record: Record) -> None:
    request = ask_for(count=3, width=64, height=32, steps=3)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    record.finished()
    previews = [event for event in record if isinstance(event, Preview)]
    assert len(previews) == 6
    image = Image.open(io.BytesIO(previews[-1].image))
    assert image.format == "WEBP"
    assert image.size == (512, 256)
    first = np.asarray(Image.open(io.BytesIO(previews[0].image)))
    assert abs(first[200:, 300:].astype(int) - 128).max() < 8, "a cell whose picture waits is grey"
    assert first[:100, :200].std() > 1


@pytest.mark.parametrize("name", FAMILIES)
def test_previews_change_no_picture(name: str, known: Catalog, store: Store, request: pytest.FixtureRequest) -> None:
    asked = for_model(name, known, steps=3)
    without = hashes(paint(store, asked)[1].pictures)
    request.getfixturevalue("many_previews")
    assert hashes(paint(store, asked)[1].pictures) == without


def test_a_job_cancelled_in_a_shared_batch_leaves_the_others_their_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    alone = paint(store, ask_for(seed=8))[1].pictures
    record = cancelling_record(job=2, at_step=1)
    requests = [ask_for(2, seed=1), ask_for(1, seed=8)]
    record.begin(*requests)
    imagine.run(requests, {}, store, record.report)
    assert hashes(record.finished()[1].pictures) == hashes(alone)
    assert record.failed()[2].kind == "cancelled"


def test_cancelling_stops_at_the_next_step(store: Store) -> None:
    record = cancelling_record(job=1, at_step=2)
    request = ask_for(steps=50, count=4)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    assert not record.finished()
    assert record.failed()[1].kind == "cancelled"
    assert max(event.step for event in record if isinstance(event, Progress)) <= 3


def cancelling_record(job: int, at_step: int) -> Record:
    """A record whose bot cancels a job as soon as it sees it at a step."""
    record = Record()
    report = record.report
    step = report.step

    def step_and_cancel(number: int, done: int, *rest: object) -> None:
        step(number, done, *rest)  # type: ignore[arg-type]
        if number == job and done >= at_step:
            report.cancel(job)

    report.step = step_and_cancel  # type: ignore[method-assign,assignment]
    return record


def test_a_model_in_the_catalogue_without_weights_is_unavailable(store: Store, record: Record) -> None:
    request = ask_for(model="absent", sampler="DDIM")
    record.begin(request)
    with pytest.raises(TaskError) as refused:
        imagine.run([request], {}, store, record.report)
    assert refused.value.kind == "unavailable_model"
    assert refused.value.reason == because("not_here", kind="model", name="absent")


def test_the_smaller_size_that_is_named_can_be_asked_for(known: Catalog, ready: Ready) -> None:
    smaller = because("memory_for_size", width=64, height=64, smaller="40x40")
    assert imagine.too_large(ask_for(width=64, height=64), known) == smaller
    assert limits.problem(ask_for(width=40, height=40), ready) is None
    smallest = because("memory_full", width=16, height=16, model="Tiny 1.5")
    assert imagine.too_large(ask_for(width=16, height=16), known) == smallest


def test_the_recipe_names_everything_and_travels_in_the_png(store: Store) -> None:
    finished = paint(store, ask_for(count=2, negative="blue"))[1]
    recipe = finished.recipe
    assert recipe["request"]["prompt"] == "a red house"
    assert recipe["scheduler"]["class"] == "DPMSolverMultistepScheduler"
    assert recipe["batch"] == 1
    assert recipe["device"]["dtype"] == "float32"
    assert set(recipe["model"]["components"]) == {"unet", "vae", "text_encoder"}
    assert recipe["versions"]["torch"] == torch.__version__.split("+")[0]
    image = Image.open(io.BytesIO(bytes_of(finished.pictures[1])))
    assert json.loads(image.info["easel"]) == {**json.loads(json.dumps(recipe, allow_nan=False)), "picture": 1}
    first, second, third = image.info["parameters"].splitlines()
    assert (first, second) == ("a red house", "Negative prompt: blue")
    assert third.startswith("Steps: 2, Sampler: DPM++ 2M, CFG scale: 4, Seed: 8, Size: 32x32, Model hash: ")


def test_noise_is_drawn_for_each_picture_from_its_own_seed() -> None:
    shape = (1, 4, 8, 8)
    drawn, generator = noise.draw(ask_for(seed=5, count=4), 2, shape)
    assert torch.equal(drawn, torch.randn(shape, generator=torch.Generator().manual_seed(7)))
    assert generator.initial_seed() == 7


def test_slerp_keeps_the_length_of_noise_and_its_ends() -> None:
    start, end = torch.randn(2, 1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    assert noise.slerp(start, end, 0.0) is start
    assert noise.slerp(start, end, 1.0) is end
    between = noise.slerp(start, end, 0.5)
    assert abs(between.std().item() - 1) < 0.03
    assert torch.allclose(noise.slerp(start, start.clone(), 0.5), start)


def test_large_pictures_and_cpus_are_painted_one_by_one(known: Catalog, cpu: Device) -> None:
    gpu = Device(where=torch.device("cuda"), name="a GPU", memory_bytes=1)
    of_four = with_model(known, batch=4)
    assert setups.canonical_batch(of_four, "sd15", 32, 32, gpu) == 4
    assert setups.canonical_batch(of_four, "sd15", 64, 32, gpu) == 1
    assert setups.canonical_batch(of_four, "sd15", 32, 32, cpu) == 1
