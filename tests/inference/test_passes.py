"""Two passes over a picture, and two networks that share the steps of one: hires and SDXL's refiner."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError
from inference.families.samplers import DIFFUSION
from inference.models.store import Store
from inference.painting import samplers, setups
from inference.protocol import Finished, Hires, Imagine, Preview, Progress, Ready, Refiner, because, limits
from inference.tasks import imagine
from tests.inference.conftest import Record, ask_for, uploaded, with_model
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_samplers import DRAWING
from tests.inference.tiny import picture

HIRES = Hires(width=64, height=48, strength=0.5)
REFINER = Refiner("sdxl", 0.25)
FAMILIES = ["sd15", "sd21", "sdxl", "sdxl-turbo", "sd35", "flux-schnell", "flux-dev"]


def run(store: Store, *requests: Imagine, files: dict[str, bytes] | None = None) -> Record:
    record = Record()
    record.begin(*requests)
    imagine.run(requests, files or {}, store, record.report)
    record.report.close()
    return record


def paint(store: Store, request: Imagine, files: dict[str, bytes] | None = None) -> Finished:
    return run(store, request, files=files).finished()[request.job]


def for_model(known: Catalog, model: str, **changes: object) -> Imagine:
    entry = known.models[model]
    values: dict[str, object] = {
        "model": model,
        "steps": min(4, entry.max_steps),
        "guidance": entry.guidance,
        "sampler": entry.sampler,
    }
    return ask_for(**(values | changes))


def opened(finished: Finished, index: int = 0) -> Image.Image:
    return Image.open(io.BytesIO(bytes_of(finished.pictures[index])))


@pytest.mark.parametrize("model", FAMILIES)
def test_second_pass_paints_at_its_own_size_and_repeats(model: str, known: Catalog, store: Store, ready: Ready) -> None:
    request = for_model(known, model, hires=Hires(64, 48, 0.5))
    assert limits.problem(request, ready) is None
    first, again = paint(store, request), paint(store, request)
    assert opened(first).size == (64, 48)
    assert hashes(first.pictures) == hashes(again.pictures)


def test_second_pass_goes_on_from_the_first_ones_picture(store: Store) -> None:
    once = opened(paint(store, ask_for(steps=20))).resize((64, 48), Image.Resampling.LANCZOS)
    given, files = uploaded(once)
    by_hand = ask_for(steps=20, width=64, height=48, image=given, strength=0.5)
    twice = paint(store, ask_for(steps=20, hires=HIRES))
    assert np.array_equal(np.asarray(opened(twice)), np.asarray(opened(paint(store, by_hand, files))))


def test_every_picture_of_a_job_has_its_second_pass_whatever_paints_beside_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    alone = paint(store, ask_for(hires=HIRES, seed=8))
    both = run(store, ask_for(hires=HIRES, count=2), ask_for(2, hires=HIRES, seed=30)).finished()
    assert [opened(both[1], index).size for index in (0, 1)] == [(64, 48), (64, 48)]
    assert opened(both[1], 1).tobytes() == opened(alone).tobytes()
    assert set(both) == {1, 2}


def test_progress_counts_the_steps_of_both_passes(store: Store, many_previews: None) -> None:
    record = run(store, ask_for(steps=4, hires=HIRES, count=2))
    told = [(event.step, event.steps) for event in record if isinstance(event, Progress)]
    assert {steps for _, steps in told} == {12}
    assert [step for step, _ in told] == sorted(step for step, _ in told)
    assert told[-1] == (12, 12)
    assert any(isinstance(event, Preview) for event in record)


def test_cancelled_between_the_passes_ends_there(store: Store) -> None:
    record = Record()
    record.begin(ask_for(steps=4, hires=HIRES))
    steps = 0

    def count_and_cancel() -> None:
        nonlocal steps
        steps += 1
        if steps == 5:
            record.report.cancel(1)

    record.report._give_way = count_and_cancel
    imagine.run([ask_for(steps=4, hires=HIRES)], {}, store, record.report)
    assert not record.finished()
    assert record.failed()[1].kind == "cancelled"
    assert steps == 5


def test_few_steps_are_divided_finely_enough_for_the_strength() -> None:
    second = ask_for(steps=1, hires=HIRES).second
    assert second is not None
    assert (second.steps, second.steps_taken) == (2, 1)


def test_other_tools_read_what_the_second_pass_was(store: Store) -> None:
    said = opened(paint(store, ask_for(hires=HIRES))).text["parameters"]  # type: ignore[attr-defined]
    assert "Size: 32x32" in said
    assert "Denoising strength: 0.5" in said
    assert "Hires resize: 64x48" in said
    assert "Hires upscaler: Lanczos" in said


def test_full_memory_names_a_smaller_second_pass_or_none(known: Catalog) -> None:
    smaller = because("memory_for_hires", width=64, height=64, smaller="40x40")
    assert imagine.too_large(ask_for(hires=Hires(64, 64, 0.5)), known) == smaller
    none = because("memory_for_any_hires", width=40, height=40)
    assert imagine.too_large(ask_for(hires=Hires(40, 40, 0.5)), known) == none


def test_refiner_takes_the_last_steps_and_repeats(
    known: Catalog, store: Store, ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = for_model(known, "sdxl", steps=8, refiner=REFINER)
    assert limits.problem(request, ready) is None
    model, refiner = (use("sdxl", lambda: None) for use in (store.use, store.use_refiner))
    seen: list[tuple[str, float]] = []
    for name, unet in (("base", model.denoiser), ("refiner", refiner.pipeline.unet)):
        forward = unet.forward

        def watched(sample: Any, time: Any, *args: Any, _forward: Any = forward, _name: str = name, **kw: Any) -> Any:
            seen.append((_name, float(time)))
            return _forward(sample, time, *args, **kw)

        monkeypatch.setattr(unet, "forward", watched)
    first, again = paint(store, request), paint(store, request)
    assert [name for name, _ in seen[:8]] == ["base"] * 6 + ["refiner"] * 2
    times = [time for _, time in seen[:8]]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 8
    assert hashes(first.pictures) == hashes(again.pictures)
    assert first.pictures != paint(store, msgspec.structs.replace(request, refiner=None)).pictures


@pytest.mark.parametrize("sampler", DIFFUSION)
def test_every_sampler_can_hand_over_to_the_refiner(sampler: str, known: Catalog, store: Store) -> None:
    request = for_model(known, "sdxl", steps=8, sampler=sampler, refiner=REFINER)
    first, again = paint(store, request), paint(store, request)
    assert hashes(first.pictures) == hashes(again.pictures)
    assert np.asarray(opened(first)).std() > 0


@pytest.mark.parametrize("sampler", DIFFUSION)
def test_two_segments_of_a_schedule_end_where_one_run_ends(sampler: str, known: Catalog, store: Store) -> None:
    config = store.use("sdxl", on_load=lambda: None).scheduler_config
    chance = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(1, 4, 16, 16, generator=chance) for _ in range(2))

    def after(*segments: tuple[int, int | None]) -> torch.Tensor:
        latents = None
        for begin, end in segments:
            scheduler = samplers.build(DIFFUSION[sampler], config, 10, begin, end)
            if latents is None:
                latents = samplers.noised(scheduler, clean, noise, 10) * getattr(scheduler, "init_noise_sigma", 1.0)
            scheduler.set_timesteps(10)
            own = {"generator": torch.Generator().manual_seed(1)} if sampler in DRAWING else {}
            for time in scheduler.timesteps.clone():
                latents = scheduler.step(noise, time, latents, **own).prev_sample
        assert latents is not None
        return latents

    one, two = after((0, None)), after((0, 8), (8, None))
    # What is predicted is the noise itself, so both ways lead to the clean latents, whatever the order of the solver.
    if sampler in DRAWING:
        assert one.std() == pytest.approx(float(two.std()), rel=0.2)
    else:
        assert torch.allclose(one, two, atol=0.05)


def test_refined_pictures_of_weighed_and_long_words_repeat(known: Catalog, store: Store) -> None:
    request = for_model(known, "sdxl", steps=8, refiner=REFINER, prompt="a (red:1.4) house " + "by the sea " * 40)
    assert hashes(paint(store, request).pictures) == hashes(paint(store, request).pictures)


def test_start_picture_and_second_pass_go_with_the_refiner(known: Catalog, store: Store) -> None:
    given, files = uploaded(picture(40, 40))
    request = for_model(known, "sdxl", steps=8, refiner=REFINER, image=given, strength=0.5, hires=HIRES)
    assert opened(paint(store, request, files)).size == (64, 48)


def test_what_is_kept_stays_bit_for_bit_under_the_refiner_too(known: Catalog, store: Store) -> None:
    old = picture(40, 40)
    given, files = uploaded(old)
    mask = Image.new("L", old.size)
    mask.paste(255, (5, 5, 20, 20))
    masked, more = uploaded(mask)
    request = for_model(known, "sdxl", steps=8, refiner=REFINER, image=given, mask=masked, strength=0.8)
    before, after = np.asarray(old), np.asarray(opened(paint(store, request, files | more)))
    changed = (before != after).any(2)
    assert changed[5:20, 5:20].mean() > 0.9
    changed[5:20, 5:20] = False
    assert not changed.any()


def test_a_short_run_leaves_the_model_at_least_one_step() -> None:
    assert ask_for(steps=1, refiner=REFINER).steps_refined == 0
    assert ask_for(steps=30, refiner=Refiner("sdxl", 0.2)).steps_refined == 6
    assert ask_for(steps=30, strength=0.1, refiner=Refiner("sdxl", 0.2)).steps_refined == 2


def test_the_recipe_names_the_refiner(known: Catalog, store: Store) -> None:
    finished = paint(store, for_model(known, "sdxl", steps=8, refiner=REFINER))
    assert finished.recipe["refiner"]["name"] == "sdxl"
    assert set(finished.recipe["refiner"]["components"]) == {"text_encoder_2", "unet", "vae"}
    said = opened(finished).text  # type: ignore[attr-defined]
    assert "Refiner: sdxl [" in said["parameters"]
    assert "Refiner switch at: 0.75" in said["parameters"]
    assert json.loads(said["easel"])["request"]["refiner"] == {"name": "sdxl", "share": 0.25}


def test_members_are_told_of_a_refiner_only_where_it_is_here(known: Catalog, cpu: Device) -> None:
    here = dict.fromkeys(("model", "lora", "control", "embedding", "refiner"), ()) | {"model": ("sdxl",)}
    (without,) = imagine.abilities(known, here, cpu)["models"]  # type: ignore[arg-type]
    (beside,) = imagine.abilities(known, here | {"refiner": ("sdxl",)}, cpu)["models"]  # type: ignore[arg-type]
    assert without.refiner is None
    assert beside.refiner == Refiner("sdxl", 0.2)


def test_catalogue_refuses_a_refiner_for_another_family(models_toml: Any, tmp_path: Any) -> None:
    text = models_toml.read_text().replace('sampler = "DDIM"', 'sampler = "DDIM"\nrefiner = "sdxl"', 1)
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(CatalogError, match="refiner: the sd2 family has none"):
        reading.load(tmp_path / "models.toml")


def test_model_works_without_the_weights_of_its_refiner(known: Catalog) -> None:
    assert with_model(known, "sdxl", refiner="gone").models["sdxl"].needed_partners == {}
