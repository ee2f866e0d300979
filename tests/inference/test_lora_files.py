"""LoRA files that cannot be used, or not as a whole: one sentence for the member, one line for the operator, and the
base paints as before."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.catalog import weights
from inference.catalog.entries import LoraEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import UnavailableModel, WeightsError
from inference.models.store import Store
from inference.protocol import Batch, Failed, Imagine, Lora, because
from tests.inference import broken
from tests.inference.conftest import ask_for, paint_from
from tests.inference.folders import bytes_of
from tests.inference.serving import Serving

Tensors = dict[str, torch.Tensor]
paint = partial(paint_from, {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loras")


@pytest.fixture(scope="module")
def own(known: Catalog, folder: Path, cpu: Device) -> Store:
    """A store whose LoRA `odd`, for 1.5, lies in this folder, and `odd-flux` for FLUX."""
    odd = {
        name: LoraEntry(title="Odd one", path=str(folder / "odd.safetensors"), models=(model,))
        for name, model in (("odd", "sd15"), ("odd-flux", "flux-schnell"))
    }
    return Store(catalog=replace(known, loras={**known.loras, **odd}), device=cpu)


def pixels(store: Store, request: Imagine) -> bytes:
    return Image.open(io.BytesIO(bytes_of(paint(store, request)[1].pictures[0]))).tobytes()


def refused(store: Store, caplog: pytest.LogCaptureFixture, name: str = "odd") -> str:
    """What the operator reads when this LoRA is asked for; the member's sentence names it, and the base is unharmed."""
    model = store.catalog.loras[name].models[0]
    plain = ask_for(model=model, sampler=store.catalog.models[model].sampler)
    before = pixels(store, plain)
    with caplog.at_level(logging.WARNING), pytest.raises(UnavailableModel) as told:
        paint(store, replace_loras(plain, name))
    title = store.catalog.models[model].title
    assert told.value.reason == because("lora_unusable", lora="Odd one", model=title)
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "\n" not in record.getMessage()
    assert pixels(store, plain) == before
    return record.getMessage()


def replace_loras(request: Imagine, name: str) -> Imagine:
    return ask_for(model=request.model, sampler=request.sampler, loras=(Lora(name, 1.0),))


@pytest.mark.parametrize("case", broken.SAFETENSORS)
def test_a_broken_file_is_told(case: str, own: Store, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content, said = broken.SAFETENSORS[case]
    (folder / "odd.safetensors").write_bytes(content)
    assert f"{folder / 'odd.safetensors'} {said}" in refused(own, caplog)


def test_a_pickle_that_is_called_safetensors_is_never_opened(
    own: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    (folder / "odd.safetensors").write_bytes(broken.pickled(tmp_path / "ran"))
    assert "is a pickle, not what it is called" in refused(own, caplog)
    assert not (tmp_path / "ran").exists()


def oft(tensors: Tensors) -> None:
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.oft_blocks"] = torch.ones(4, 4, 4)


def glora(tensors: Tensors) -> None:
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.a1.weight"] = torch.ones(4, 4)


def unknown(tensors: Tensors) -> None:
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.gate"] = torch.ones(4, 4)


def magnitudes_alone(tensors: Tensors) -> None:
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.dora_scale"] = torch.ones(16, 1)


def embedding_of_another_width(tensors: Tensors) -> None:
    tensors["bundle_emb.word.string_to_param.*"] = torch.ones(1, 33)


def half_of_another(tensors: Tensors) -> None:
    stem = "lora_unet_down_blocks_7_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors |= {f"{stem}.lora_down.weight": torch.ones(2, 8), f"{stem}.lora_up.weight": torch.ones(8, 2)}


def second_text_encoder(tensors: Tensors) -> None:
    stem = "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"
    tensors |= {f"{stem}.lora_down.weight": torch.ones(2, 32), f"{stem}.lora_up.weight": torch.ones(32, 2)}


def without_one_half(tensors: Tensors) -> None:
    tensors.pop(next(name for name in tensors if name.endswith("lora_up.weight")))


def other_width(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.endswith("lora_down.weight")]:
        tensors[name] = torch.ones(2, 5)


def whole_numbers(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.endswith("alpha")]:
        tensors[name] = torch.ones(3)


def nothing(tensors: Tensors) -> None:
    tensors.clear()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (oft, "it is an OFT and not a LoRA"),
        (glora, "it is a GLoRA and not a LoRA"),
        (unknown, "which nothing here reads"),
        (magnitudes_alone, "one of its layers holds dora"),
        (embedding_of_another_width, "it was made for another model: its vectors are 33 wide and the model's 32"),
        (half_of_another, "1 of its"),
        (second_text_encoder, "1 of its"),
        (without_one_half, "lora_up.weight"),
        (other_width, "it was made for another width: 5 where the model has"),
        (whole_numbers, ""),
        (nothing, "nothing of it has a place in the model"),
    ],
)
def test_what_would_not_work_as_a_whole_is_refused(
    change: Callable[[Tensors], None], said: str, own: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = load_file(own.catalog.folder / "words.safetensors")
    change(tensors)
    save_file(tensors, folder / "odd.safetensors")
    told = refused(own, caplog)
    assert told.startswith("the LoRA odd cannot be used here: ")
    assert said in told


def flux_of_another_width(tensors: Tensors) -> None:
    stem = "lora_unet_single_blocks_0_linear1"
    tensors |= {f"{stem}.lora_down.weight": torch.ones(2, 48), f"{stem}.lora_up.weight": torch.ones(7 * 48, 2)}


def wider_flux(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.endswith("lora_down.weight")]:
        tensors[name] = torch.ones(2, 2 * tensors[name].shape[1])


def norms_of_flux(tensors: Tensors) -> None:
    stem = "lora_unet_double_blocks_0_img_attn_norm_query_norm_scale"
    tensors[f"{stem}.diff"] = torch.ones(8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            flux_of_another_width,
            "it was made for another width: 48 where the model has 32, at lora_unet_single_blocks_0",
        ),
        (wider_flux, "it was made for another width: 64 where the model has 32"),
        (norms_of_flux, "parts have no place in the model"),
    ],
)
def test_a_lora_that_would_make_over_a_flux_is_refused(
    change: Callable[[Tensors], None], said: str, own: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = load_file(own.catalog.folder / "flux-kohya.safetensors")
    change(tensors)
    save_file(tensors, folder / "odd.safetensors")
    assert said in refused(own, caplog, "odd-flux")


def test_a_flux_lora_of_the_models_own_width_works_whatever_that_is(own: Store, folder: Path) -> None:
    tensors = load_file(own.catalog.folder / "flux-kohya.safetensors")
    stem = "lora_unet_single_blocks_0_linear1"
    tensors |= {f"{stem}.lora_down.weight": torch.ones(2, 32), f"{stem}.lora_up.weight": torch.ones(7 * 32, 2)}
    save_file(tensors, folder / "odd.safetensors")
    plain = ask_for(model="flux-schnell", sampler="FlowMatch Euler", guidance=0.0)
    changed = ask_for(model="flux-schnell", sampler="FlowMatch Euler", guidance=0.0, loras=(Lora("odd-flux", 1.0),))
    base = pixels(own, plain)
    assert pixels(own, changed) != base
    assert pixels(own, plain) == base


def test_a_file_that_was_replaced_is_read_again(own: Store, folder: Path) -> None:
    request = ask_for(loras=(Lora("odd", 1.0),))
    tensors = load_file(own.catalog.folder / "words.safetensors")
    save_file(tensors, folder / "odd.safetensors")
    first = pixels(own, request)
    save_file({name: 3 * value for name, value in tensors.items()}, folder / "odd.safetensors")
    assert pixels(own, request) != first
    shutil.copy(own.catalog.folder / "words.safetensors", folder / "odd.safetensors")
    assert pixels(own, request) == first


WIDTHS = {"sd1": 768, "sd2": 1024, "sdxl": 2048}


@pytest.mark.parametrize("made_for", [*WIDTHS, "flux"])
def test_one_that_was_made_for_another_family_is_broken_at_the_start(
    made_for: str, own: Store, folder: Path, known: Catalog
) -> None:
    if made_for == "flux":
        stem, wide = "lora_unet_double_blocks_0_img_attn_proj", 3072
    else:
        stem, wide = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", WIDTHS[made_for]
    save_file({f"{stem}.lora_down.weight": torch.ones(2, wide)}, folder / "other.safetensors")
    for model in ("sd15", "sd21", "sdxl", "flux-dev", "sd35"):
        family = known.models[model].family
        entry = LoraEntry(title="Other", path=str(folder / "other.safetensors"), models=(model,))
        catalog = replace(known, loras={"other": entry})
        if family == made_for:
            assert weights.locate(catalog, "lora", "other") is not None
            continue
        with pytest.raises(WeightsError, match=f"was made for models of {made_for}, and not of {family}"):
            weights.locate(catalog, "lora", "other")
        assert ("lora", "other") in weights.defects(catalog)
        assert weights.available(catalog, "lora") == ()


def test_what_was_made_for_chroma_looks_as_for_flux_and_goes_with_it(own: Store, folder: Path, known: Catalog) -> None:
    stem = "lora_unet_double_blocks_0_img_attn_proj"
    save_file({f"{stem}.lora_down.weight": torch.ones(2, 3072)}, folder / "other.safetensors")
    entry = LoraEntry(title="Other", path=str(folder / "other.safetensors"), models=("chroma-hd",))
    catalog = replace(known, loras={"other": entry})
    assert weights.locate(catalog, "lora", "other") is not None


def test_the_engine_says_so_and_goes_on(own: Store, folder: Path) -> None:
    shutil.copy(own.catalog.folder / "words.safetensors", folder / "odd.safetensors")
    serving = Serving(own.catalog, own)
    serving.peer.ready()
    try:
        (folder / "odd.safetensors").write_bytes(broken.POINTER)
        serving.peer.send(Batch((ask_for(loras=(Lora("odd", 1.0),)),)))
        ended = serving.peer.ends(1)[1]
        assert isinstance(ended, Failed)
        assert ended.kind == "unavailable_model"
        assert ended.reason == because("lora_unusable", lora="Odd one", model="Tiny 1.5")
        serving.peer.paint(ask_for(job=2))
    finally:
        serving.peer.socket.close()
        assert serving.ended()
