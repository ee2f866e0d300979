"""What measures every family on a card, run on the CPU with tiny models: the same code, whatever it then takes."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from benchmarks import architectures, compiling, families, gpu, parts
from benchmarks.architectures import ARCHITECTURES, Architecture
from benchmarks.findings import Found
from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.models import placement
from tests.inference.cards import card

BILLIONS = {
    "sd15": 0.86,
    "sd21": 0.866,
    "sdxl": 2.567,
    "sdxl-turbo": 2.567,
    "sd35-large-turbo": 8.06,
    "flux-schnell": 11.89,
    "flux-kontext": 11.90,
    "flux-fill": 11.90,
    "chroma-hd": 8.90,
    "z-image-turbo": 6.15,
    "sana": 1.605,
    "flux2-klein": 3.88,
    "qwen-image": 20.43,
    "qwen-image-edit": 20.43,
}
"""Parameters of the published denoisers."""

UNET = {"block_out_channels": [8, 16], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}
UNET |= {"up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1, "norm_num_groups": 4}
VAE = {"block_out_channels": [4, 8], "layers_per_block": 1, "norm_num_groups": 2}
VAE |= {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
CLIP = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
CLIP |= {"projection_dim": 16}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
FLUX = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}
FLUX |= {"joint_attention_dim": 32, "pooled_projection_dim": 16, "axes_dims_rope": [4, 6, 6]}
QWEN = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
EYES = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1000000.0}
TALKER = {"vocab_size": 512, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
TALKER |= {"num_attention_heads": 2, "num_key_value_heads": 2, "rope_parameters": ROPE}
SD1 = {"unet": {**UNET, "attention_head_dim": 2, "cross_attention_dim": 16}, "vae": VAE, "text_encoder": CLIP}
XL = {"attention_head_dim": [2, 4], "transformer_layers_per_block": [1, 1], "cross_attention_dim": 32}
XL |= {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 6 * 8 + 16}
SDXL = {"unet": {**UNET, **XL}, "vae": VAE, "text_encoder": CLIP, "text_encoder_2": CLIP}
SD3 = {"sample_size": 4, "num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 4, "joint_attention_dim": 32}
SD3 |= {"caption_projection_dim": 32, "pooled_projection_dim": 32, "pos_embed_max_size": 64}
OF_FLUX = {"transformer": FLUX, "vae": VAE, "text_encoder": CLIP, "text_encoder_2": T5}
CHROMA = {name: value for name, value in FLUX.items() if name != "pooled_projection_dim"}
CHROMA |= {"approximator_num_channels": 16, "approximator_hidden_dim": 16, "approximator_layers": 1}
ZIMAGE = {"dim": 32, "n_layers": 1, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "cap_feat_dim": 32}
ZIMAGE |= {"axes_dims": [4, 6, 6], "axes_lens": [1024, 64, 64]}
KLEIN = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}
KLEIN |= {"in_channels": 16, "joint_attention_dim": 96, "axes_dims_rope": [4, 4, 4, 4]}
KLEIN_VAE = {"block_out_channels": [8] * 4, "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 4}
GEMMA = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
GEMMA |= {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": 64}
DC_AE: dict[str, Any] = {"latent_channels": 4, "attention_head_dim": 4}
for half in ("encoder", "decoder"):
    DC_AE |= {f"{half}_block_out_channels": [8] * 6, f"{half}_layers_per_block": [1] * 6}
SANA = {"in_channels": 4, "out_channels": 4, "num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 1}
SANA |= {"num_cross_attention_heads": 2, "cross_attention_head_dim": 16, "cross_attention_dim": 32}
SANA |= {"caption_channels": 16}
OF_QWEN = {
    "transformer": {"num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 16}
    | {"axes_dims_rope": [4, 6, 6]},
    "vae": {"base_dim": 4, "num_res_blocks": 1},
    "text_encoder": {"text_config": TALKER, "vision_config": {**EYES, "fullatt_block_indexes": [0]}},
}
SMALL: dict[str, dict[str, Any]] = {
    "sd15": SD1,
    "sd21": SD1,
    "sdxl": SDXL,
    "sdxl-turbo": SDXL,
    "sd35-large-turbo": {
        **{"transformer": SD3, "vae": VAE, "text_encoder": CLIP, "text_encoder_2": CLIP},
        "text_encoder_3": T5,
    },
    "flux-schnell": OF_FLUX,
    "flux-kontext": OF_FLUX,
    "flux-fill": {**OF_FLUX, "transformer": {**FLUX, "in_channels": 64 + 64 + 16}},
    "chroma-hd": {"transformer": CHROMA, "vae": VAE, "text_encoder": T5},
    "z-image-turbo": {"transformer": ZIMAGE, "vae": VAE, "text_encoder": {**QWEN, "num_hidden_layers": 2}},
    "sana": {"transformer": SANA, "vae": DC_AE, "text_encoder": GEMMA},
    # Its states are read after the 9th, the 18th and the 27th layer.
    "flux2-klein": {"transformer": KLEIN, "vae": KLEIN_VAE, "text_encoder": {**QWEN, "num_hidden_layers": 28}},
    "qwen-image": OF_QWEN,
    "qwen-image-edit": OF_QWEN,
}
"""Configurations of a few thousand numbers and less, by model and component."""


@pytest.fixture(scope="module")
def published() -> Catalog:
    return reading.load(Path("models.toml"))


def test_every_family_has_a_model_whose_denoiser_is_as_large_as_the_published_one(published: Catalog) -> None:
    assert {published.models[name].family for name in ARCHITECTURES} == {*FAMILIES}
    for name, made_of in ARCHITECTURES.items():
        family = FAMILIES[published.models[name].family]
        made = architectures.pipeline(made_of, family, torch.device("meta"), torch.bfloat16)
        denoiser = getattr(made, family.denoiser.component)
        assert denoiser.num_parameters() / 1e9 == pytest.approx(BILLIONS[name], rel=0.005), name


def test_weights_that_are_here_are_measured_as_they_are(known: Catalog, cpu: Device) -> None:
    # One with a safety checker beside it, and one that paints from words with another's pipeline.
    models = {name: Architecture() for name in ("sd15", "qwen-edit")}
    found = families.measure(known, models, cpu, pairs=1, each_s=600, all_s=600)
    assert found.left_out == {}
    assert [check for check in found.checks if not check.holds] == []
    one, other = (known.models[name].title for name in models)
    assert [row.name.partition(",")[0] for row in found.rows] == [one, "  back on the card", other]
    assert "holds  qwen-edit" in gpu.told(found)


def small(published: Catalog, *names: str) -> Catalog:
    """Models of the catalogue whose weights are nowhere, with tiny pictures."""
    sizes = {"width": 32, "height": 32, "min_size": 16, "max_size": 64, "steps": 2}
    nowhere = {"path": "nowhere", "repo": None, "revision": None, "variant": None, "decoder": None}
    entries = {
        name: msgspec.structs.replace(published.models[name], **sizes, **nowhere, cpu_batch=2 if name == "sd15" else 1)
        for name in names or ("sd15",)
    }
    return replace(published, models=entries)


def test_what_is_not_here_is_made_of_its_architecture(published: Catalog, cpu: Device) -> None:
    catalog = small(published, *ARCHITECTURES)
    found = families.measure(catalog, ARCHITECTURES, cpu, pairs=1, each_s=600, all_s=600, changed=SMALL)
    assert found.left_out == {}
    assert [check for check in found.checks if not check.holds] == []
    titles = [row.name.partition(",")[0] for row in found.rows]
    titles.remove(f"  {families.JOBS} at once")
    for _ in families.SWITCHED:
        titles.remove("  back on the card")
    assert titles == [entry.title for entry in catalog.models.values()]
    assert all(row.ours > 0 and row.baseline > 0 for row in found.rows)


def test_what_the_time_does_not_reach_is_said(published: Catalog, cpu: Device) -> None:
    catalog, models = small(published), {"sd15": ARCHITECTURES["sd15"]}
    changed = SMALL
    assert families.measure(catalog, models, cpu, 1, 600, 0, changed).left_out == {
        "sd15": "not reached in the time for all"
    }
    found = families.measure(catalog, models, cpu, 1, 0, 600, changed)
    assert (found.rows, found.left_out) == ([], {"sd15": "its time was over"})
    # As it was published, for which a second is too short.
    assert families.measure(catalog, models, cpu, 1, 1, 1).left_out == {"sd15": "no time was left to make it"}


def test_a_picture_that_is_another_the_next_time_and_a_warning_are_said(
    published: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint, painted = families.paint, itertools.count()

    def otherwise(requests: Any, *rest: Any) -> list[bytes]:
        warnings.warn("this way is old", stacklevel=1)
        return paint([msgspec.structs.replace(each, seed=next(painted)) for each in requests], *rest)

    monkeypatch.setattr(families, "paint", otherwise)
    models = {"sd15": ARCHITECTURES["sd15"]}
    found = families.measure(small(published), models, cpu, 1, 600, 600, SMALL)
    failing = [check for check in found.checks if not check.holds]
    assert [check.name for check in failing] == [
        "sd15: the same bits alone, again, and as the last of 2",
        "sd15: nothing was warned of",
    ]
    assert failing[1].note == "this way is old"


def test_one_that_does_not_paint_is_said_and_the_others_are_measured(published: Catalog, cpu: Device) -> None:
    catalog = small(published)
    broken = msgspec.structs.replace(catalog.models["sd15"], path="nowhere else")
    catalog = replace(catalog, models={"broken": broken, **catalog.models})
    models = {"broken": ARCHITECTURES["sdxl"], "sd15": ARCHITECTURES["sd15"]}
    found = families.measure(catalog, models, cpu, 1, 600, 600, {**SMALL, "broken": SMALL["sd15"]})
    assert [*found.left_out] == ["broken"]
    assert [check.name for check in found.checks if not check.holds] == ["broken: paints"]
    assert len(found.rows) == 3


def test_without_a_card_the_operator_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setenv("EASEL_DEVICE", "cpu")
    assert gpu.main() == 2
    assert "has no card" in capsys.readouterr().err


def test_pictures_of_one_way_are_timed_after_two_that_warm_it_up(known: Catalog, cpu: Device) -> None:
    seconds, peak_bytes = gpu._painted(known, "flux-fill-dev", cpu, 1)
    assert len(seconds) == 1
    assert seconds[0] > 0
    assert peak_bytes == 0  # a CPU does not count them


def test_a_model_that_comes_back_is_measured_beside_one_that_is_read(known: Catalog) -> None:
    whole = msgspec.structs.replace(known.models["sd15"], offload="none")
    row = parts.switched(replace(known, models={**known.models, "sd15": whole}), "sd15", card(), 2)
    assert (row.n, row.goal) == (2, 0.3)
    # Without a card nothing is copied: what is left of it is no more than reading.
    assert 0 < row.ours < row.baseline


def test_what_is_enlarged_is_measured_beside_real_esrgans_own_code_and_compared(
    published: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found()
    monkeypatch.setattr(gpu, "UPSCALERS", ("animevideov3",))
    gpu.enlarge(published, cpu, 48, 1, found)
    assert [(row.n, row.ours > 0, row.baseline > 0) for row in found.rows] == [(1, True, True)]
    assert [check.holds for check in found.checks] == [True], gpu.told(found)
    monkeypatch.setattr(gpu, "UPSCALERS", ("nowhere",))
    gpu.enlarge(published, cpu, 48, 1, found)
    assert found.left_out == {"upscalers": "none of nowhere is here"}


def test_questions_in_one_pass_are_measured_beside_as_many_one_by_one_and_compared(
    published: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found()
    gpu.ask(published, cpu, 2, found, batches=(4, 2))
    assert [(row.n, row.goal, row.ours > 0, row.baseline > 0) for row in found.rows] == [
        (2, 1 / 8, True, True),
        (2, 1 / 3, True, True),
    ]
    assert [check.holds for check in found.checks] == [True, True], gpu.told(found)
    monkeypatch.setattr(gpu, "CLASSIFIERS", ("nowhere",))
    monkeypatch.setattr(gpu, "DESCRIBERS", ())
    gpu.ask(published, cpu, 1, found)
    assert found.left_out == {"classifiers": "none of nowhere is here", "describers": "none of  is here"}


def test_what_compiling_takes_is_measured_and_that_other_loras_take_none_of_it(
    published: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everything but the making of kernels, which takes minutes and a compiler.
    monkeypatch.setattr(placement, "COMPILING", {**placement.COMPILING, "backend": "eager"})
    monkeypatch.setattr(families, "JOBS", 1)
    monkeypatch.setattr(families, "SWITCHED", ())
    catalog = small(published)
    catalog = replace(catalog, models={"sd15": msgspec.structs.replace(catalog.models["sd15"], compile=True)})
    models = {"sd15": ARCHITECTURES["sd15"]}
    found = families.measure(catalog, models, card(), pairs=1, each_s=600, all_s=600, changed=SMALL)
    assert found.left_out == {}
    assert [check for check in found.checks if not check.holds] == []
    assert len(found.checks) == 5
    loras, blocks, again, graphs = found.rows[-4:]
    assert [row.goal for row in (loras, blocks, again, graphs)] == [None, 0.25, 0.35, None]
    assert blocks.ours == again.baseline == loras.baseline, "all are beside the same first picture"
    assert all(row.ours > 0 and row.baseline > 0 for row in found.rows)


def test_where_cuda_graphs_do_not_go_it_is_said(
    published: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = small(published)
    painting = compiling._Painting(catalog, "sd15", card(), tmp_path)

    def nowhere(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a graph cannot be captured here")

    monkeypatch.setattr(painting, "model", nowhere)
    found = Found()
    compiling._replay(painting, 1, found)
    assert found.left_out == {"sd15 with CUDA graphs": "RuntimeError: a graph cannot be captured here"}
    assert (found.rows, found.checks) == ([], [])
