"""Each family that can be taught is: a tiny model of it learns, keeps its own bits, and gives what Easel loads."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler
from PIL import Image
from safetensors.torch import load_file

from inference.catalog.entries import LoraEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.models.prompts import stack
from inference.models.store import Store
from inference.painting import session
from inference.painting.callbacks import Alone
from inference.painting.session import Painting
from inference.protocol import Lora
from inference.training import batches, examples, objectives, runs
from tests.inference.conftest import ask_for
from tests.inference.families.test_records import OF_EACH
from tests.inference.training import made
from tests.inference.training.made import TAUGHT, Quiet


def painted(store: Store, family: str, *loras: Lora) -> np.ndarray:
    entry = store.catalog.models[OF_EACH[family]]
    request = ask_for(model=OF_EACH[family], guidance=entry.guidance, sampler=entry.sampler, loras=loras)
    with store.lease():
        (painting,) = session.paint([request], {}, store, Alone())
    assert isinstance(painting, Painting), painting
    return np.asarray(painting.image).astype(int)


def with_files(store: Store, family: str, folder: Path) -> None:
    """Both layouts of what came of a run, as LoRAs of the store's catalogue."""
    models = (OF_EACH[family],)
    files = {"diffusers": folder / "spotted.safetensors", "kohya": folder / "spotted.kohya.safetensors"}
    loras = {name: LoraEntry(title=name, models=models, path=str(file)) for name, file in files.items()}
    store.catalog = replace(store.catalog, loras=loras)


def weights(store: Store, family: str) -> dict[str, torch.Tensor]:
    """The model's own, by the names that they have without adapters."""
    model = store.use(OF_EACH[family], lambda: None)
    return {
        f"{part}.{name.replace('.base_layer', '')}": tensor.clone()
        for part, network in model.parts.items()
        for name, tensor in network.state_dict().items()
        if "lora_" not in name
    }


@pytest.mark.parametrize("family", TAUGHT)
def test_it_learns_keeps_its_own_bits_and_gives_what_easel_loads(
    family: str, known: Catalog, cpu: Device, tmp_path: Path
) -> None:
    store = made.store_of(known, family, cpu)
    dataset = made.read(tmp_path / "pictures")
    before, plain = weights(store, family), painted(store, family)
    watching = Quiet()
    plan = made.plan(store, family, dataset, steps=3, epochs=1, unsaid=0.5, rate=0.1)
    assert runs.run(store, plan, dataset, tmp_path / "run", watching)
    assert len(watching.steps) == 3
    assert all(map(math.isfinite, watching.steps))
    assert watching.epochs == [pytest.approx(sum(watching.steps) / 3)]
    after = weights(store, family)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    learned = load_file(tmp_path / "run" / "spotted.safetensors")
    # Of a last block what is made of words goes nowhere, and learns nothing.
    assert sum(bool(tensor.any()) for tensor in learned.values()) > 0.8 * len(learned)
    fresh = made.store_of(known, family, cpu)
    with_files(fresh, family, tmp_path / "run")
    diffusers, kohya = (painted(fresh, family, Lora(name, 1.0)) for name in ("diffusers", "kohya"))
    assert abs(diffusers - plain).max() > 2
    # The same numbers, added up in another order.
    assert abs(diffusers - kohya).max() <= 1
    assert np.array_equal(painted(fresh, family), plain)


ENCODED = [name for name in TAUGHT if (training := FAMILIES[name].training) is not None and training.encoders]


@pytest.mark.parametrize("family", ENCODED)
def test_its_text_encoders_learn_where_that_is_asked_for(
    family: str, known: Catalog, cpu: Device, tmp_path: Path
) -> None:
    store, dataset = made.store_of(known, family, cpu), made.read(tmp_path / "pictures", kind="subject")
    plan = made.plan(store, family, dataset, steps=2, epochs=1, encoders=True, checkpointing=True, unsaid=0.0)
    assert runs.run(store, plan, dataset, tmp_path / "run", Quiet())
    training = FAMILIES[family].training
    assert training is not None
    learned = load_file(tmp_path / "run" / "spotted.safetensors")
    for encoder in training.encoders:
        assert any(name.startswith(f"{encoder}.") and tensor.any() for name, tensor in learned.items()), encoder
    # A subject is between words and places: its convolutions are left alone.
    assert not any(".conv1." in name for name in learned)
    fresh = made.store_of(known, family, cpu)
    with_files(fresh, family, tmp_path / "run")
    diffusers, kohya = (painted(fresh, family, Lora(name, 1.0)) for name in ("diffusers", "kohya"))
    assert abs(diffusers - kohya).max() <= 1
    assert not np.array_equal(diffusers, painted(fresh, family))


def test_what_is_asked_is_drawn_from_its_own_generator_and_leads_back_to_the_picture(
    known: Catalog, cpu: Device
) -> None:
    for family in TAUGHT:
        training = FAMILIES[family].training
        assert training is not None
        model = made.store_of(known, family, cpu).use(OF_EACH[family], lambda: None)
        objective = objectives.of(training, model.scheduler_config, 5.0)
        latents = torch.randn(64, model.latent_channels, 4, 4, generator=torch.Generator().manual_seed(1))
        asked = objective.ask(latents, batches.generator(3, "batch", 1))
        again = objective.ask(latents, batches.generator(3, "batch", 1))
        assert torch.equal(asked.noisy, again.noisy)
        assert asked.times.min() >= 0
        assert asked.times.max() <= 1000
        assert len(set(asked.times.tolist())) > 30
        assert torch.isfinite(asked.weights).all()
        if training.learns == "flow":
            # One step of the whole way back is the picture itself.
            sigma = (asked.noisy - latents).flatten(1).norm(dim=1) / asked.target.flatten(1).norm(dim=1)
            assert torch.allclose(sigma, asked.times / 1000, atol=1e-4)


@pytest.mark.parametrize("learns", ["epsilon", "v_prediction"])
def test_min_snr_weighs_as_its_paper_does_and_nothing_without_it(learns: str) -> None:
    config = {
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "prediction_type": learns,
        "rescale_betas_zero_snr": learns == "v_prediction",
    }
    training = FAMILIES["sd1"].training
    assert training is not None
    latents = torch.zeros(256, 4, 2, 2)
    asked = objectives.of(training, config, 5.0).ask(latents, batches.generator(3, "batch", 1))
    betas = DDPMScheduler(**config).betas.double()
    kept = torch.cumprod(1 - betas, 0)[asked.times]
    ratio = kept / (1 - kept)
    of_picture = ratio.clamp(max=5)
    wanted = of_picture / (ratio + 1) if learns == "v_prediction" else of_picture / ratio
    assert torch.allclose(asked.weights.double(), wanted, atol=1e-4)
    plain = objectives.of(training, config, 0.0).ask(latents, batches.generator(3, "batch", 1))
    assert plain.weights.unique().tolist() == [1.0]


def test_previews_are_of_the_file_and_pictures_of_an_image(tmp_path: Path, known: Catalog, cpu: Device) -> None:
    store, dataset = made.store_of(known, "sd1", cpu), made.read(tmp_path / "pictures")
    plan = made.plan(store, "sd1", dataset, steps=2, epochs=2, previews=("a red house", "a boat"))
    asked: list[int] = []
    watching = Quiet(on_step=lambda step: asked.append(watching.asked))
    assert runs.run(store, plan, dataset, tmp_path / "run", watching)
    # It gives way between the steps of what is painted, too.
    assert watching.asked - asked[-1] >= len(plan.previews)
    first, second = (Image.open(tmp_path / "run" / "epochs" / name / "preview.png") for name in ("01", "02"))
    assert first.size == second.size
    assert not np.array_equal(np.asarray(first), np.asarray(second))
    fresh = made.store_of(known, "sd1", cpu)
    with_files(fresh, "sd1", tmp_path / "run")
    entry = fresh.catalog.models["sd15"]
    request = ask_for(
        prompt="a red house",
        seed=0,
        steps=entry.steps,
        guidance=entry.guidance,
        sampler=entry.sampler,
        loras=(Lora("diffusers", 1.0),),
    )
    with fresh.lease():
        (painting,) = session.paint([request], {}, fresh, Alone())
    assert isinstance(painting, Painting)
    cell = painting.image.resize((second.width // 2, second.width // 2), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(cell), np.asarray(second.crop((0, 0, *cell.size)).convert("RGB")))


@pytest.mark.parametrize("family", TAUGHT)
def test_it_is_asked_as_its_own_pipeline_asks(
    family: str, known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is trained is what paints: the same denoiser, told the same of time, size and words."""
    record, store = FAMILIES[family], made.store_of(known, family, cpu)
    training = record.training
    assert training is not None
    scheduler = DDIMScheduler if training.learns == "noise" else FlowMatchEulerDiscreteScheduler
    steps: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    step = scheduler.step

    def seen(self: Any, output: torch.Tensor, time: torch.Tensor, sample: torch.Tensor, **further: Any) -> Any:
        steps.append((output.clone(), time, sample.clone()))
        return step(self, output, time, sample, **further)

    monkeypatch.setattr(scheduler, "step", seen)
    sampler = "DDIM" if training.learns == "noise" else "FlowMatch Euler"
    size = {"width": 64, "height": 32}
    request = ask_for(model=OF_EACH[family], guidance=1, sampler=sampler, steps=3, **size)
    with store.lease():
        (painting,) = session.paint([request], {}, store, Alone())
    assert isinstance(painting, Painting), painting
    model = store.use(OF_EACH[family], lambda: None)
    told = stack([examples.read(model, request.prompt)], record.words)
    height, width = (side // model.latent_factor for side in (size["height"], size["width"]))
    assert len(steps) >= 3
    for output, time, sample in steps:
        noisy, wanted = (record.latents.unpack(each, height, width) for each in (sample, output))
        with torch.no_grad():
            predicted = training.predict(model.pipeline, noisy, time.expand(1), told)
        assert torch.allclose(predicted.float(), wanted.float(), atol=1e-4)
