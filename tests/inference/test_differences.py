"""LoRAs beside compiled code: none of them, nor another strength, nor their going has anything compiled anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from inference.catalog.entries import LoraEntry
from inference.catalog.reading import Catalog
from inference.errors import UnavailableModel
from inference.models import differences, placement
from inference.models.differences import Differences
from inference.models.handles import PictureModel
from inference.models.lycoris import Part
from inference.models.store import Store
from inference.models.waiting import Waiting
from inference.protocol import Lora
from tests.inference.cards import card
from tests.inference.test_lycoris import CASES, _channels, file_of, kohya, of_lycoris, save_file
from tests.inference.test_placement import kept, pixels

Counted = Callable[..., tuple[Store, list[Any]]]


@pytest.fixture
def counted(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """A store on a card whose model is compiled, and a list of the graphs that were."""

    def made(catalog: Catalog = known, name: str = "sd15", **fields: Any) -> tuple[Store, list[Any]]:
        graphs: list[Any] = []

        def backend(graph: Any, _: Any) -> Any:
            # Everything but the making of kernels, which takes minutes and a compiler.
            graphs.append(graph)
            return graph.forward

        monkeypatch.setattr(placement, "COMPILING", {**placement.COMPILING, "backend": backend})
        torch.compiler.reset()
        return kept(catalog, name, compile=True, **fields), graphs

    return made


def numbers(model: PictureModel) -> dict[str, torch.Tensor]:
    """All of a model's, by the name of the part and their own."""
    return {
        f"{part}.{name}": tensor
        for part, network in model.parts.items()
        for name, tensor in network.state_dict().items()
    }


def weights(model: PictureModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in numbers(model).items()}


def same(model: PictureModel, before: dict[str, torch.Tensor]) -> bool:
    now = numbers(model)
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("name", "sampler", "one", "other"),
    [("sd15", "DPM++ 2M", "ink", "words"), ("flux-dev", "FlowMatch Euler", "flux", "flux-kohya")],
)
def test_another_lora_another_weight_two_and_none_compile_nothing_anew(
    name: str, sampler: str, one: str, other: str, counted: Counted, known: Catalog
) -> None:
    compiled, graphs = counted(name=name)
    plain = kept(known, name)
    wanted: dict[str, Any] = {"model": name, "sampler": sampler, "steps": 2}
    base = pixels(compiled, **wanted)
    before, first = weights(compiled.use(name, lambda: None)), len(graphs)
    assert first > 0, "else nothing is compiled"
    for loras in ((Lora(one, 0.8),), (Lora(one, 0.3),), (Lora(other, -1.0),), (Lora(other, 1.0), Lora(one, 0.5))):
        painted = pixels(compiled, loras=loras, **wanted)
        assert (painted != base).any()
        assert abs(painted - pixels(plain, loras=loras, **wanted)).max() <= 1, loras
    assert (pixels(compiled, **wanted) == base).all()
    assert same(compiled.use(name, lambda: None), before), "the base has its bits"
    assert len(graphs) == first


def test_peft_beside_compiled_code_would_have_compiled_anew(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.models.adapters.are_plain", lambda _: False)
    compiled, graphs = counted()
    pixels(compiled, steps=1)
    first = len(graphs)
    pixels(compiled, steps=1, loras=(Lora("ink", 0.8),))
    assert len(graphs) > first, "else the count says nothing"


def test_what_lycoris_trains_goes_into_the_weights_as_well(counted: Counted, known: Catalog, tmp_path: Path) -> None:
    unet = kept(known).use("sd15", lambda: None).denoiser
    torch.manual_seed(3)
    files = {
        "loha": kohya(unet, "loha"),
        "dora": kohya(unet, "lora", weight_decompose=True),
        "biased": {
            "lora_unet_conv_in.diff": torch.randn(unet.conv_in.weight.shape),
            "lora_unet_conv_in.diff_b": torch.randn(unet.conv_in.bias.shape),
        },
    }
    for name, tensors in files.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
    own = {name: LoraEntry(title=name, path=str(tmp_path / f"{name}.safetensors"), models=("sd15",)) for name in files}
    catalog = replace(known, loras={**known.loras, **own})
    compiled, graphs = counted(catalog)
    plain = kept(catalog)
    base, first = pixels(compiled, steps=2), len(graphs)
    for loras in (*((Lora(name, 0.5),) for name in files), (Lora("dora", 0.5), Lora("ink", 0.5), Lora("loha", 0.3))):
        painted = pixels(compiled, steps=2, loras=loras)
        assert (painted != base).any()
        assert abs(painted - pixels(plain, steps=2, loras=loras)).max() <= 1, loras
    assert (pixels(compiled, steps=2) == base).all()
    assert len(graphs) == first
    assert compiled.use("sd15", lambda: None).adapters.device_bytes == 0


def test_a_lora_that_is_refused_leaves_compiled_code_and_weights_as_they_were(counted: Counted) -> None:
    compiled, graphs = counted()
    base, first = pixels(compiled, steps=1), len(graphs)
    for wrong in ("misnamed", "forged"):
        with pytest.raises(UnavailableModel):
            pixels(compiled, steps=1, loras=(Lora("ink", 1.0), Lora(wrong, 1.0)))
    assert (pixels(compiled, steps=1) == base).all()
    assert len(graphs) == first


@pytest.mark.parametrize("offload", ["model", "group"])
def test_weights_that_come_and_go_take_them_too(offload: str, known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.get_device", lambda: "cpu:0")
    # Hooks that move layers are compiled at length, and are none of what is asked here.
    monkeypatch.setattr(UNet2DConditionModel, "compile_repeated_blocks", lambda *_, **__: None)
    moved, resident = kept(known, compile=True, offload=offload), kept(known, compile=True)
    for loras in ((), (Lora("ink", 0.8),), (Lora("words", 1.0), Lora("ink", 0.5)), ()):
        assert (pixels(moved, steps=2, loras=loras) == pixels(resident, steps=2, loras=loras)).all(), loras
    assert not any(hasattr(layer, "base_layer") for layer in moved.use("sd15", lambda: None).denoiser.modules())


def test_who_leaves_the_card_waits_with_the_weights_of_the_base(counted: Counted) -> None:
    compiled, _ = counted()
    model = compiled.use("sd15", lambda: None)
    before = weights(model)
    compiled.adapt(model, (Lora("ink", 1.0),), lambda: None)
    assert not same(model, before)
    assert Waiting(card(), 10**9).leave("model sd15", model, 1)
    assert same(model, before)


def test_where_the_memory_is_full_in_the_middle_the_base_works(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, _ = counted()
    model = compiled.use("sd15", lambda: None)
    compiled.adapt(model, (Lora("words", 1.0),), lambda: None)
    words = model.adapters.active
    compiled.adapt(model, (), lambda: None)
    before, copied, held = weights(model), differences._copied, []

    def full(tensor: torch.Tensor) -> torch.Tensor:
        if len(held) == 2:
            raise torch.OutOfMemoryError
        held.append(tensor)
        return copied(tensor)

    monkeypatch.setattr(differences, "_copied", full)
    with pytest.raises(torch.OutOfMemoryError):
        model.adapters.switch(words)
    assert len(held) == 2
    assert same(model, before)
    assert model.adapters.active == ()


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_a_layer_with_a_difference_in_it_gives_what_one_beside_it_gives(case: str) -> None:
    kind, make, settings = CASES[case]
    torch.manual_seed(0)
    layer: Any = make()
    part = Part(file_of(of_lycoris(kind, layer, **settings)), layer)
    is_flat = isinstance(layer, nn.Linear | nn.LayerNorm)
    states = torch.randn(2, 5, 64 if "both" in case else 12) if is_flat else torch.randn(2, _channels(layer), 6, 6)
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    wanted = [(part, 0.6), (part, -0.2)]
    pipeline = SimpleNamespace(_execution_device=torch.device("cpu"), components={})
    made = []
    for merges in (False, True):
        worked = Differences(pipeline, merges)
        worked.work(wanted)
        made.append(layer(states))
        worked.work(())
        assert all(torch.equal(layer.state_dict()[name], before[name]) for name in before)
    assert torch.allclose(*made, atol=1e-5)
    assert not torch.allclose(made[0], layer(states), atol=1e-3)


@torch.no_grad()
def test_numbers_of_few_bits_come_back_as_they_were_where_subtracting_would_lose_some() -> None:
    torch.manual_seed(0)
    layer: Any = nn.Linear(64, 64).to(torch.bfloat16)
    whole, tensor = layer.weight.clone(), layer.weight
    delta = torch.randn(64, 64)
    worked = Differences(SimpleNamespace(_execution_device=torch.device("cpu"), components={}), merges=True)
    for weight in (8.0, 0.3):
        worked.work([(Part({"diff": delta}, layer), weight)])
        assert layer.weight is tensor
        assert torch.equal(layer.weight, (whole.float() + weight * delta).to(torch.bfloat16))
    worked.work(())
    assert torch.equal(layer.weight, whole)


@torch.no_grad()
def test_what_weights_cannot_hold_works_beside_the_layer() -> None:
    layer: Any = nn.Linear(8, 8, bias=False)
    part = Part({"diff": torch.zeros(8, 8), "diff_b": torch.ones(8)}, layer)
    worked = Differences(SimpleNamespace(_execution_device=torch.device("cpu"), components={}), merges=True)
    plain = layer(torch.ones(1, 8))
    worked.work([(part, 2.0)])
    assert torch.allclose(layer(torch.ones(1, 8)), plain + 2)
    assert worked.device_bytes > 0
    worked.work(())
    assert torch.equal(layer(torch.ones(1, 8)), plain)
