"""Placement: every policy paints the plain one's picture, to the last bit where nothing else is computed."""

from __future__ import annotations

import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch._inductor.runtime import cache_dir_utils

from inference.catalog import layouts, reading, weights
from inference.catalog.reading import Catalog
from inference.catalog.weights import assemble
from inference.device import Device
from inference.errors import CatalogError
from inference.models import blocks, placement, policy
from inference.models.handles import module_bytes
from inference.models.policy import Policy
from inference.models.store import Store
from inference.protocol import Control, Finished, Lora
from inference.tasks import imagine
from tests.inference import tiny
from tests.inference.cards import card
from tests.inference.conftest import Record, ask_for, uploaded, with_model
from tests.inference.folders import bytes_of

HOUSE, FILES = uploaded(tiny.picture(64, 64))
FROM_A_PICTURE: dict[str, Any] = {"prompt": "a (red:1.3) house", "image": HOUSE, "strength": 0.7, "steps": 3}


def finished(store: Store, **changes: Any) -> Finished:
    record = Record()
    request = ask_for(**changes)
    record.begin(request)
    imagine.run([request], FILES, store, record.report)
    return record.finished()[1]


def pixels(store: Store, **changes: Any) -> np.ndarray[Any, Any]:
    picture = Image.open(io.BytesIO(bytes_of(finished(store, **changes).pictures[0])))
    return np.asarray(picture.convert("RGB")).astype(int)


def kept(known: Catalog, name: str = "sd15", **fields: Any) -> Store:
    """A store on a card with room for everything, whose model is kept as these fields of its entry say."""
    return Store(catalog=with_model(known, name, **fields), device=card())


@pytest.mark.parametrize("offload", ["model", "group"])
@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("sd15", "DPM++ 2M"),
        ("sdxl", "Euler"),
        ("sd35", "FlowMatch Euler"),
        ("flux-dev", "FlowMatch Euler"),
    ],
)
def test_parts_that_come_and_go_paint_the_same_picture(known: Catalog, name: str, sampler: str, offload: str) -> None:
    wanted = {"model": name, "sampler": sampler, "count": 2, **FROM_A_PICTURE}
    offloaded = kept(known, name, offload=offload)
    made = finished(offloaded, **wanted)
    assert made.recipe["policy"]["offload"] == offload
    plain = finished(kept(known, name), **wanted)
    for one, other in zip(made.pictures, plain.pictures, strict=True):
        assert Image.open(io.BytesIO(bytes_of(one))).tobytes() == Image.open(io.BytesIO(bytes_of(other))).tobytes()


@pytest.mark.parametrize("offload", ["model", "group"])
def test_loras_and_controls_go_with_parts_that_come_and_go(
    known: Catalog, offload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # diffusers looks for a card itself when it puts its hooks on again.
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.get_device", lambda: "cpu:0")
    offloaded, plain = kept(known, offload=offload), kept(known)
    for wanted in (
        {"loras": (Lora("ink", 0.8),)},
        {"loras": (Lora("words", 1.0), Lora("ink", 0.5))},
        {"control": Control(name="canny", weight=1.0, image=HOUSE)},
        {},
    ):
        assert (pixels(offloaded, **wanted) == pixels(plain, **wanted)).all()


@pytest.mark.parametrize("offload", ["model", "group"])
def test_the_store_counts_what_is_on_the_device_at_once(known: Catalog, offload: str) -> None:
    offloaded = kept(known, offload=offload)
    model = offloaded.use("sd15", lambda: None)
    parts = {name: module_bytes(part) for name, part in model.parts.items()}
    assert offloaded.resident() == {"model sd15": model.policy.device_bytes(parts)}
    assert offloaded.resident()["model sd15"] < sum(parts.values())


def test_models_that_wait_in_the_machines_memory_leave_when_that_is_full(
    known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = with_model(with_model(known, "sd15", offload="model"), "sdxl", offload="model")
    store = Store(catalog=both, device=card())
    store.use("sd15", lambda: None)
    store.use_upscaler("x4", lambda: None)
    monkeypatch.setattr("inference.models.store.host_free_bytes", lambda: 0)
    store.use("sdxl", lambda: None)
    assert list(store.resident()) == ["upscaler x4", "model sdxl"]


@pytest.mark.parametrize("fields", [{"attention": "sliced"}, {"channels_last": True}])
@pytest.mark.parametrize(("name", "sampler"), [("sd15", "DPM++ 2M"), ("sdxl", "Euler")])
def test_other_kernels_paint_nearly_the_same(known: Catalog, name: str, sampler: str, fields: dict[str, Any]) -> None:
    wanted = {"model": name, "sampler": sampler, "steps": 2}
    difference = abs(pixels(kept(known, name, **fields), **wanted) - pixels(kept(known, name), **wanted))
    assert difference.max() <= 1


def test_compiled_blocks_paint_nearly_the_same_with_and_without_a_lora(
    known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everything but the making of kernels, which takes minutes and a compiler.
    monkeypatch.setattr(placement, "COMPILING", {**placement.COMPILING, "backend": "eager"})
    compiled, plain = kept(known, compile=True), kept(known)
    for wanted in ({}, {"loras": (Lora("ink", 0.8),)}, {}):
        assert abs(pixels(compiled, **wanted) - pixels(plain, **wanted)).max() <= 1


def test_tiles_paint_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # The starter, for in an untrained VAE every pixel depends on all others.
    known = reading.load(Path("models.toml"))
    monkeypatch.setattr(policy, "TILE", 64)
    wanted = {"model": "starter", "width": 128, "height": 128}
    whole, tiled = (pixels(kept(known, "starter", **fields), **wanted) for fields in ({}, {"vae_tiling": True}))
    # Each tile is normed by itself, which shifts its tone a little.
    assert 0 < abs(whole - tiled).mean() < 8
    small = wanted | {"width": 64, "height": 64}
    whole, tiled = (pixels(kept(known, "starter", **fields), **small) for fields in ({}, {"vae_tiling": True}))
    assert (whole == tiled).all()


@pytest.mark.skipif(find_spec("torchao") is None, reason="the extra `eightbit` is not installed")
@pytest.mark.parametrize(("name", "sampler"), [("sd15", "DPM++ 2M"), ("sd35", "FlowMatch Euler")])
def test_eight_bit_weights_take_less_and_paint_much_the_same(
    known: Catalog, name: str, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "LARGE_NUMBERS", 0)
    small, plain = kept(known, name, weights="8bit", dtype="float32"), kept(known, name)
    wanted = {"model": name, "sampler": sampler}
    assert abs(pixels(small, **wanted) - pixels(plain, **wanted)).mean() < 4
    assert small.resident()[f"model {name}"] < 0.85 * plain.resident()[f"model {name}"]


@pytest.mark.skipif(find_spec("torchao") is None, reason="the extra `eightbit` is not installed")
def test_eight_bit_weights_take_loras_and_come_and_go(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.get_device", lambda: "cpu:0")
    small: dict[str, Any] = {"weights": "8bit", "dtype": "float32"}
    resident, adapted = kept(known, **small), {"loras": (Lora("ink", 0.8),)}
    base, inked = pixels(resident), pixels(resident, **adapted)
    assert (base != inked).any()
    for offload in ("model", "group"):
        moved = kept(known, offload=offload, **small)
        assert (pixels(moved, **adapted) == inked).all()
        assert (pixels(moved) == base).all()


@pytest.mark.skipif(find_spec("torchao") is None, reason="the extra `eightbit` is not installed")
@pytest.mark.parametrize(("name", "sampler"), [("sd15", "DPM++ 2M"), ("sd35", "FlowMatch Euler")])
def test_eight_bit_floats_do_too(known: Catalog, name: str, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "LARGE_NUMBERS", 0)
    small, plain = kept(known, name, weights="fp8", dtype="float32"), kept(known, name)
    wanted = {"model": name, "sampler": sampler}
    assert 0 < abs(pixels(small, **wanted) - pixels(plain, **wanted)).mean() < 12
    assert small.resident()[f"model {name}"] < 0.85 * plain.resident()[f"model {name}"]


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="the extra `fourbit` is not installed")
@pytest.mark.parametrize(("name", "sampler"), [("sd15", "DPM++ 2M"), ("sd35", "FlowMatch Euler")])
def test_four_bit_weights_take_less_still(
    known: Catalog, name: str, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantizer = "diffusers.quantizers.bitsandbytes.bnb_quantizer.BnB4BitDiffusersQuantizer"
    # diffusers wants a card for them, which bitsandbytes does not; of its kernels for this CPU the plain ones take
    # matrices of any size, as a card's do.
    monkeypatch.setattr(f"{quantizer}.validate_environment", lambda *_, **__: None)
    monkeypatch.setattr(f"{quantizer}.update_device_map", lambda *_: {"": "cpu"})
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    monkeypatch.setattr(placement, "LARGE_NUMBERS", 0)
    small, plain = kept(known, name, weights="nf4", dtype="float32"), kept(known, name)
    wanted = {"model": name, "sampler": sampler}
    painted = pixels(small, **wanted)
    assert 0 < abs(painted - pixels(plain, **wanted)).mean() < 25
    assert (painted == pixels(small, **wanted)).all()
    assert small.resident()[f"model {name}"] < 0.8 * plain.resident()[f"model {name}"]


@pytest.mark.parametrize(("name", "sampler"), [("sd15", "DPM++ 2M"), ("sd35", "FlowMatch Euler")])
def test_four_bit_integers_take_as_little(
    known: Catalog, name: str, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "LARGE_NUMBERS", 0)
    small, plain = kept(known, name, weights="int4", dtype="float32"), kept(known, name)
    wanted = {"model": name, "sampler": sampler}
    painted = pixels(small, **wanted)
    assert 0 < abs(painted - pixels(plain, **wanted)).mean() < 12
    assert (painted == pixels(kept(known, name, weights="int4", dtype="float32"), **wanted)).all()
    assert small.resident()[f"model {name}"] < 0.85 * plain.resident()[f"model {name}"]
    assert finished(small, **wanted).recipe["policy"]["weights"] == "int4"


def test_four_bit_integers_take_loras_come_and_go_and_are_compiled(
    known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.get_device", lambda: "cpu:0")
    monkeypatch.setattr(placement, "COMPILING", {**placement.COMPILING, "backend": "eager"})
    small: dict[str, Any] = {"weights": "int4", "dtype": "float32"}
    resident, adapted = kept(known, **small), {"loras": (Lora("ink", 0.8),)}
    base, inked = pixels(resident), pixels(resident, **adapted)
    assert (base != inked).any()
    assert (pixels(resident, loras=(Lora("ink", 0.0),)) == base).all()
    for offload in ("model", "group"):
        moved = kept(known, offload=offload, **small)
        assert (pixels(moved, **adapted) == inked).all()
        assert (pixels(moved) == base).all()
    compiled = kept(known, compile=True, **small)
    for wanted, like in (({}, base), (adapted, inked), ({}, base)):
        assert abs(pixels(compiled, **wanted) - like).max() <= 1


def test_four_bit_integers_leave_rows_without_whole_blocks_and_what_is_kept_in_full() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Linear(40, 8), torch.nn.Conv2d(4, 4, 1))
    network.add_module("wo", torch.nn.Linear(32, 4))
    network._keep_in_fp32_modules = ["wo"]  # type: ignore[assignment]
    whole = network[0].weight.detach().clone()
    state = torch.get_rng_state()
    blocks.pack(network, torch.float32)
    assert (torch.get_rng_state() == state).all(), "nothing is drawn"
    assert [part.weight.dtype for part in network] == [torch.uint8, *3 * [torch.float32]]
    step = whole.reshape(8, 2, 32).amax(-1) - whole.reshape(8, 2, 32).amin(-1)
    off = (blocks.numbers(network[0].weight) - whole).abs().reshape(8, 2, 32).amax(-1)
    assert (off <= step / 15 * 0.51 + 1e-3).all()


@pytest.mark.parametrize(("weights", "number_bytes"), [("8bit", 1.0), ("fp8", 1.0), ("int4", 0.625), ("nf4", 0.5625)])
def test_smaller_weights_are_expected_to_take_less(known: Catalog, weights: Any, number_bytes: float) -> None:
    def parts(**fields: Any) -> dict[str, int]:
        changed = with_model(known, "sd35", dtype="float32", **fields)
        made = assemble(changed, "sd35", known.folder / "sd35")
        return dict(placement.measure(made, changed.models["sd35"], card()).parts)

    whole, small = parts(), parts(weights=weights)
    file = known.folder / "sd35" / "transformer" / "diffusion_pytorch_model.safetensors"
    matrices = layouts.parameter_count([file], matrices=True)
    assert whole["transformer"] - small["transformer"] == int(matrices * (4 - number_bytes))
    assert {name: small[name] for name in small if name != "transformer"} == {
        name: whole[name] for name in whole if name != "transformer"
    }, "small text encoders and the VAE stay as they are"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": "fp8"}, r"models.sd15: weights: 'fp8' needs torchao: pip install .*easel\[eightbit\]"),
        ({"weights": "nf4"}, r"models.sd15: weights: 'nf4' needs bitsandbytes: pip install .*easel\[fourbit\]"),
        ({"weights": "8bit"}, r"models.sd15: weights: '8bit' needs torchao: pip install .*easel\[eightbit\]"),
        ({"weights": "int4"}, r"models.sd15: weights: 'int4' needs gguf: pip install .*easel\[gguf\]"),
        ({"attention": "xformers"}, "models.sd15: attention: 'xformers' needs xformers"),
        ({"compile": True}, "models.sd15: compile: needs a C compiler"),
    ],
)
def test_what_is_asked_for_must_be_installed_where_there_is_a_card(
    known: Catalog, cpu: Device, fields: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = with_model(known, **fields).models
    placement.require(models, cpu)
    monkeypatch.setattr(placement, "find_spec", lambda _: None)
    monkeypatch.setattr(placement.shutil, "which", lambda _: None)
    placement.require(known.models, card())
    with pytest.raises(CatalogError, match=words):
        placement.require(models, card())


def test_what_is_compiled_is_kept_where_a_restart_finds_it(
    known: Catalog, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiles = with_model(known, compile=True).models
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    placement.keep_compiled(known.models, tmp_path, card())
    placement.keep_compiled(compiles, tmp_path, cpu)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    placement.keep_compiled(compiles, tmp_path, card())
    assert cache_dir_utils.cache_dir() == str(tmp_path)
    placement.keep_compiled(compiles, tmp_path / "other", card())
    assert cache_dir_utils.cache_dir() == str(tmp_path), "an operator's own word stands"


def test_a_cpu_keeps_every_model_the_plain_way(known: Catalog, cpu: Device) -> None:
    greedy = with_model(known, offload="group", attention="xformers", weights="8bit", channels_last=True)
    model = Store(catalog=greedy, device=cpu, vram_budget_bytes=1).use("sd15", lambda: None)
    assert model.policy == Policy()
    assert model.pipeline.unet.dtype == torch.float32


def test_a_small_card_gets_a_thrifty_policy(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "RESERVED_BYTES", 0)
    needed = placement.measure(weights.assemble(known, "sd15", known.folder / "sd15"), known.models["sd15"], card())
    total = sum(needed.parts.values())
    budget = total - 1
    model = Store(catalog=known, device=card(), vram_budget_bytes=budget).use("sd15", lambda: None)
    assert model.policy == Policy(offload="model")
    assert sum(module_bytes(part) for part in model.modules) == pytest.approx(total, rel=0.05)


def test_where_a_placed_pipeline_works_is_known_without_a_look_at_its_layers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = store.use("sd15", lambda: None).pipeline
    assert placement.where(pipeline) == pipeline._execution_device
    monkeypatch.setattr(type(pipeline), "_execution_device", property(lambda _: pytest.fail("it is looked for")))
    assert placement.where(pipeline) == torch.device("cpu")
