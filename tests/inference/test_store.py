"""The store: what is resident, what leaves first, and what cannot be loaded."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import OutOfMemory, UnavailableModel, WeightsError
from inference.models.handles import module_bytes
from inference.models.store import Store
from inference.protocol import because


def nothing() -> None:
    pass


def test_a_model_is_loaded_once_and_measured_by_its_real_bytes(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    loads: list[str] = []
    model = store.use("sd15", on_load=lambda: loads.append("sd15"))
    assert store.use("sd15", on_load=lambda: loads.append("again")) is model
    assert loads == ["sd15"]
    parts = (model.pipeline.unet, model.pipeline.vae, model.pipeline.text_encoder)
    assert store.resident() == {"model sd15": sum(module_bytes(part) for part in parts)}


def test_the_least_recently_used_leaves_when_the_budget_is_full(known: Catalog, cpu: Device) -> None:
    sizes: dict[str, int] = {}
    for name in ("sd15", "sd21", "sdxl"):
        alone = Store(catalog=known, device=cpu)
        alone.use(name, nothing)
        sizes |= alone.resident()
    budget = sizes["model sd15"] + max(sizes["model sd21"], sizes["model sdxl"]) + 1000
    store = Store(catalog=known, device=cpu, vram_budget_bytes=budget)
    store.use("sd15", nothing)
    store.use("sd21", nothing)
    assert list(store.resident()) == ["model sd15", "model sd21"]
    store.use("sd15", nothing)
    store.use("sdxl", nothing)
    assert list(store.resident()) == ["model sd15", "model sdxl"]
    assert sum(store.resident().values()) <= budget


def test_a_model_over_the_whole_budget_stays_alone(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu, vram_budget_bytes=10)
    for name in ("sd15", "sd35"):
        store.use(name, nothing)
        assert list(store.resident()) == [f"model {name}"]


def test_a_load_that_does_not_fit_beside_others_is_tried_again_alone(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(catalog=known, device=cpu)
    store.use("sd15", nothing)
    to: Any = torch.nn.Module.to
    crowded: list[int] = []

    def full_at_first(self: torch.nn.Module, *args: object, **kwargs: object) -> Any:
        if store.resident():
            crowded.append(len(store.resident()))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return to(self, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "to", full_at_first)
    store.use("sd21", nothing)
    assert crowded == [1]
    assert list(store.resident()) == ["model sd21"]


@pytest.mark.usefixtures("collections_as_they_are")
def test_only_a_load_that_something_leaves_for_looks_for_what_is_gone(known: Catalog, cpu: Device) -> None:
    found: list[int] = []

    class Watched(Device):
        def release_cache(self) -> None:
            super().release_cache()
            found.append(gc.get_freeze_count())

    store = Store(catalog=known, device=Watched(where=cpu.where, name=cpu.name, memory_bytes=cpu.memory_bytes))
    first = store.use("sd15", nothing)
    store.use("sd21", nothing)
    assert not found
    store.device.release_cache()
    assert found[0] > 100_000, "the libraries, and what is loaded, are not looked at again"
    # Networks hang together in circles where parts of them are moved to and fro.
    first.pipeline.unet.moved_by = [first.pipeline.unet]
    gone = weakref.ref(first.pipeline.unet)
    del first
    store.let_go()
    assert len(found) == 2
    assert gone() is None


def test_a_model_that_does_not_fit_at_all_says_so_to_the_member(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(OutOfMemory) as refused:
        Store(catalog=known, device=cpu).use("sd15", nothing)
    assert refused.value.reason == because("no_room", name="sd15")


def test_absent_and_broken_weights_are_told_apart(models_toml: Path, cpu: Device, tmp_path: Path) -> None:
    shutil.copytree(models_toml.parent / "sd15", tmp_path / "sd15")
    shutil.copy(models_toml, tmp_path / "models.toml")
    broken = tmp_path / "sd15" / "unet" / "diffusion_pytorch_model.safetensors"
    config = tmp_path / "sd15" / "unet" / "config.json"
    config.write_text(config.read_text().replace('"cross_attention_dim": 32', '"cross_attention_dim": 48'))
    store = Store(catalog=reading.load(tmp_path / "models.toml"), device=cpu)
    with pytest.raises(WeightsError, match="does not load as a sd1 model"):
        store.use("sd15", nothing)
    assert not store.resident()
    broken.unlink()
    with pytest.raises(WeightsError, match="sd15 is not whole: it has no unet/diffusion_pytorch_model.safetensors"):
        store.use("sd15", nothing)
    shutil.rmtree(tmp_path / "sd15")
    with pytest.raises(UnavailableModel) as absent:
        store.use("sd15", nothing)
    assert absent.value.reason == because("not_here", kind="model", name="sd15")


def test_a_prompt_is_encoded_once_and_forgotten_with_its_model(known: Catalog, cpu: Device) -> None:
    model = Store(catalog=known, device=cpu).use("sdxl", nothing)
    first = model.prompts.encode("a red house", "", guided=True)
    assert model.prompts.encode("a red house", "", guided=True) is first
    assert torch.count_nonzero(first["negative_prompt_embeds"]) == 0, "SDXL is trained with zeros for no words"
    unguided = model.prompts.encode("a red house", "blue", guided=False)
    assert set(unguided) == {"prompt_embeds", "pooled_prompt_embeds"}
    for number in range(100):
        model.prompts.encode(f"prompt {number}", "", guided=True)
    assert model.prompts.encode("a red house", "", guided=True) is not first


def test_every_kind_is_used_on_the_same_terms(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    loads: list[str] = []
    uses: list[tuple[Any, str]] = [
        (store.use, "sd15"),
        (store.use_upscaler, "x2"),
        (store.use_describer, "florence"),
        (store.use_classifier, "clip"),
    ]
    for use, name in uses:
        loaded = use(name, on_load=lambda name=name: loads.append(name))
        assert use(name, on_load=lambda: loads.append("again")) is loaded
        assert loaded.name == name
    assert loads == ["sd15", "x2", "florence", "clip"]
    assert list(store.resident()) == ["model sd15", "upscaler x2", "describer florence", "classifier clip"]
    with pytest.raises(UnavailableModel) as refused:
        store.use_upscaler("unfetched", nothing)
    assert refused.value.reason == because("not_here", kind="upscaler", name="unfetched")


def test_a_folder_of_another_model_or_with_a_gap_is_refused(models_toml: Path, cpu: Device, tmp_path: Path) -> None:
    text = models_toml.read_text().replace('path = "clip"', 'path = "other"')
    (tmp_path / "models.toml").write_text(text.replace('path = "florence"', 'path = "gap"'))
    shutil.copytree(models_toml.parent / "florence", tmp_path / "other")
    shutil.copytree(models_toml.parent / "florence", tmp_path / "gap")
    file = tmp_path / "gap" / "model.safetensors"
    weights = load_file(file)
    gone = next(name for name in weights if "decoder" in name)
    save_file({name: tensor for name, tensor in weights.items() if name != gone}, file, metadata={"format": "pt"})
    store = Store(catalog=reading.load(tmp_path / "models.toml"), device=cpu)
    with pytest.raises(WeightsError, match="does not load as a clip model: its config.json is of a florence2 model"):
        store.use_classifier("clip", nothing)
    with pytest.raises(WeightsError, match=f"does not load as a florence2 model: its weights have no fitting {gone}"):
        store.use_describer("florence", nothing)
    assert not store.resident()


def test_a_file_that_is_not_the_one_of_the_catalogue_is_refused(models_toml: Path, cpu: Device, tmp_path: Path) -> None:
    text = models_toml.read_text().replace('path = "x2.pth"', f'path = "x2.pth"\nsha256 = "{"0" * 64}"')
    (tmp_path / "models.toml").write_text(text)
    shutil.copy(models_toml.parent / "x2.pth", tmp_path / "x2.pth")
    store = Store(catalog=reading.load(tmp_path / "models.toml"), device=cpu)
    with pytest.raises(WeightsError, match="x2.pth is another file than sha256 in models.toml says: fetch x2 again"):
        store.use_upscaler("x2", nothing)


def test_what_a_task_uses_stays_until_it_ends_and_the_rest_can_be_let_go(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu, vram_budget_bytes=10)
    with store.lease():
        store.use("sd15", nothing)
        store.use_upscaler("x4", nothing)
        assert list(store.resident()) == ["model sd15", "upscaler x4"], "one task may go over the budget for its own"
        store.let_go()
        assert list(store.resident()) == ["model sd15", "upscaler x4"]
    store.use("sd21", nothing)
    assert list(store.resident()) == ["model sd21"]
    store.let_go()
    assert not store.resident()
