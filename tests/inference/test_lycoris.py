"""What LyCORIS trains, read as LyCORIS itself does: its arithmetic, its layouts, and that the base keeps its bits."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from inference.catalog import hashes
from inference.catalog.entries import LoraEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models.adapters import Adapter
from inference.models.layers import Layers
from inference.models.lycoris import Part
from inference.models.store import Store
from inference.protocol import Imagine, Lora
from inference.silence import silenced
from tests.inference.conftest import ask_for, paint_from
from tests.inference.folders import bytes_of

Tensors = dict[str, torch.Tensor]

WEIGHTS = (1.0, 0.6, -0.5)


def of_lycoris(kind: str, layer: nn.Module, **settings: Any) -> Any:
    """LyCORIS' own module over a layer, with random numbers."""
    # Imported here: it takes seconds, and only the tests have it.
    import lycoris.modules as modules

    of = {"lora": "LoConModule", "loha": "LohaModule", "lokr": "LokrModule", "ia3": "IA3Module", "norm": "NormModule"}
    with silenced("lycoris"):
        made = getattr(modules, of[kind])("a", layer, **{"multiplier": 1.0, "lora_dim": 2, "alpha": 1, **settings})
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def file_of(module: Any) -> Tensors:
    """What it writes into a file."""
    written = module.custom_state_dict() or {
        name: tensor for name, tensor in module.state_dict().items() if name != "scalar"
    }
    return {name: torch.as_tensor(tensor).detach().clone().contiguous() for name, tensor in written.items()}


def linear() -> nn.Module:
    return nn.Linear(12, 8)


def conv() -> nn.Module:
    return nn.Conv2d(4, 6, 3, padding=1, stride=2)


def pointwise() -> nn.Module:
    return nn.Conv2d(4, 8, 1)


CASES: Mapping[str, tuple[str, Any, dict[str, Any]]] = {
    "lora": ("lora", linear, {}),
    "locon": ("lora", conv, {}),
    "locon of one pixel": ("lora", pointwise, {}),
    "locon with its core": ("lora", conv, {"use_tucker": True}),
    "loha": ("loha", linear, {"alpha": 3}),
    "loha of a convolution": ("loha", conv, {}),
    "loha with its core": ("loha", conv, {"use_tucker": True}),
    "lokr": ("lokr", linear, {"lora_dim": 1, "alpha": 2}),
    "lokr that is whole": ("lokr", linear, {"lora_dim": 1000}),
    "lokr of both factors": ("lokr", lambda: nn.Linear(64, 64), {"lora_dim": 2, "decompose_both": True}),
    "lokr of a convolution": ("lokr", lambda: nn.Conv2d(16, 16, 3), {"lora_dim": 1}),
    "lokr with its core": ("lokr", lambda: nn.Conv2d(64, 64, 3), {"lora_dim": 2, "use_tucker": True}),
    "dora": ("lora", linear, {"weight_decompose": True, "wd_on_out": True}),
    "dora of inputs": ("lora", linear, {"weight_decompose": True, "wd_on_out": False}),
    "dora of a convolution": ("lora", conv, {"weight_decompose": True, "wd_on_out": True}),
    "dora of a loha": ("loha", conv, {"weight_decompose": True, "wd_on_out": False}),
    "dora of a lokr": ("lokr", linear, {"lora_dim": 1, "weight_decompose": True}),
    "ia3": ("ia3", linear, {}),
    "ia3 of inputs": ("ia3", linear, {"train_on_input": True}),
    "ia3 of a convolution": ("ia3", conv, {"train_on_input": True}),
    "normalisation": ("norm", lambda: nn.LayerNorm(12), {}),
    "normalisation of groups": ("norm", lambda: nn.GroupNorm(2, 4), {}),
}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_arithmetic_is_that_of_lycoris(case: str) -> None:
    kind, make, settings = CASES[case]
    torch.manual_seed(0)
    layer = make()
    theirs = of_lycoris(kind, layer, **settings)
    part = Part(file_of(theirs), layer)
    part.check()
    is_flat = isinstance(layer, (nn.Linear, nn.LayerNorm))
    states = torch.randn(2, 5, 64 if "both" in case else 12) if is_flat else torch.randn(2, _channels(layer), 6, 6)
    plain = layer(states)
    theirs.apply_to()
    for weight in WEIGHTS:
        theirs.multiplier = weight
        trained = theirs(states)
        assert torch.allclose(plain + part.added(states, weight), trained, atol=1e-5), weight
        assert not torch.allclose(plain, trained, atol=1e-3)


def _channels(layer: Any) -> int:
    return int(layer.num_channels if isinstance(layer, nn.GroupNorm) else layer.in_channels)


@torch.no_grad()
def test_whole_differences_are_added_as_they_are() -> None:
    torch.manual_seed(0)
    layer: Any = linear()
    tensors = {"diff": torch.randn(8, 12), "diff_b": torch.randn(8)}
    part = Part(tensors, layer)
    part.check()
    states = torch.randn(3, 12)
    merged = nn.functional.linear(states, layer.weight + 0.5 * tensors["diff"], layer.bias + 0.5 * tensors["diff_b"])
    assert torch.allclose(layer(states) + part.added(states, 0.5), merged, atol=1e-5)
    alone = Part({"diff_b": tensors["diff_b"]}, layer)
    alone.check()
    assert torch.allclose(alone.added(states, 2.0), 2 * tensors["diff_b"].expand(3, 8))


@torch.no_grad()
def test_peft_calls_the_same_numbers_otherwise() -> None:
    layer = linear()
    theirs = of_lycoris("lora", layer, weight_decompose=True)
    tensors = theirs.custom_state_dict()
    states = torch.randn(3, 12)
    flat = {**tensors, "dora_scale": tensors["dora_scale"].flatten()}
    assert torch.equal(Part(flat, layer).added(states, 0.7), Part(tensors, layer).added(states, 0.7))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"diff": torch.ones(8, 13)}, "it was made for another width: 8x13 where the model has 8x12"),
        ({"lokr_w1": torch.ones(10**5, 1), "lokr_w2": torch.ones(1, 1).expand(10**5, 10**4)}, "another width"),
        ({"hada_w1_a": torch.ones(8, 2)}, "one of its LoHa layers is not whole"),
        ({"lora_down.weight": torch.ones(2, 12)}, "has no lora_up.weight"),
        ({"lora_up.weight": torch.ones(8, 3), "lora_down.weight": torch.ones(2, 12)}, "size|shape|dim"),
        ({"diff": torch.ones(8, 12), "dora_scale": torch.ones(8, 1)}, "magnitudes of what has none"),
        ({"dora_scale": torch.ones(8, 1)}, "one of its layers holds dora"),
        ({"diff": torch.ones(8, 12), "w_norm": torch.ones(8)}, "holds difference and norm"),
        ({"w_norm": torch.ones(8)}, "it takes a normalisation for another layer"),
        ({"diff": torch.ones(8, 12), "diff_b": torch.ones(7)}, "one of its biases does not fit"),
    ],
)
def test_what_does_not_fit_its_layer_is_refused_before_anything_is_made(tensors: Tensors, said: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=said):
        Part(tensors, linear()).check()


def kohya(unet: Any, kind: str, **settings: Any) -> Tensors:
    """One over layers of each sort, named as kohya's trainer names them."""
    tensors: Tensors = {}
    for name, layer in _bare(unet):
        if name.endswith(("attn1.to_q", "attn2.to_v", "resnets.0.conv1", "proj_in")):
            own = f"lora_unet_{name.replace('.', '_')}"
            tensors |= {f"{own}.{end}": tensor for end, tensor in file_of(of_lycoris(kind, layer, **settings)).items()}
    return tensors


def kohya_difference(unet: Any) -> Tensors:
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    return {f"lora_unet_{name.replace('.', '_')}.diff": 0.3 * torch.randn(16, 16)}


@pytest.fixture(scope="module")
def own(known: Catalog, tmp_path_factory: pytest.TempPathFactory, cpu: Device) -> Store:
    """A store with a LoRA of each kind for 1.5."""
    folder = tmp_path_factory.mktemp("lycoris")
    store = Store(catalog=known, device=cpu)
    unet = store.use("sd15", lambda: None).pipeline.unet
    torch.manual_seed(3)
    made = {
        "loha": kohya(unet, "loha"),
        "lokr": kohya(unet, "lokr"),
        "locon": kohya(unet, "lora", use_tucker=True),
        "dora": kohya(unet, "lora", weight_decompose=True),
        "full": kohya_difference(unet),
        "bundle": {**kohya(unet, "lora"), "bundle_emb.glow.string_to_param.*": torch.randn(2, 32)},
    }
    entries = {}
    for name, tensors in made.items():
        save_file(tensors, folder / f"{name}.safetensors")
        entries[name] = LoraEntry(title=name, path=str(folder / f"{name}.safetensors"), models=("sd15",))
    return Store(catalog=replace(known, loras={**known.loras, **entries}), device=cpu)


def pixels(store: Store, request: Imagine) -> bytes:
    return Image.open(io.BytesIO(bytes_of(paint_from({}, store, request)[1].pictures[0]))).tobytes()


@pytest.mark.parametrize("name", ["loha", "lokr", "locon", "dora", "full"])
def test_each_changes_the_picture_repeatably_and_leaves_the_base_its_bits(name: str, own: Store) -> None:
    base = pixels(own, ask_for())
    changed = pixels(own, ask_for(loras=(Lora(name, 1.0),)))
    assert changed != base
    assert pixels(own, ask_for(loras=(Lora(name, 0.0),))) == base
    assert pixels(own, ask_for(loras=(Lora(name, 1.0), Lora("ink", 1.0)))) not in (base, changed)
    assert pixels(own, ask_for()) == base
    assert pixels(own, ask_for(loras=(Lora(name, 1.0),))) == changed
    assert pixels(own, ask_for(loras=(Lora(name, 0.5),))) not in (base, changed)


@torch.no_grad()
def test_one_beside_a_lora_works_on_the_layers_that_peft_has_wrapped(own: Store) -> None:
    model = own.use("sd15", lambda: None)
    own.adapt(model, (Lora("ink", 1.0),), lambda: None)
    unet = model.pipeline.unet
    states, words = torch.randn(1, 4, 4, 4), torch.randn(1, 16, 32)

    def made() -> torch.Tensor:
        return unet(states, 5, encoder_hidden_states=words).sample

    alone = made()
    own.adapt(model, (Lora("ink", 1.0), Lora("full", 1.0)), lambda: None)
    both = made()
    assert not torch.allclose(alone, both)
    own.adapt(model, (Lora("ink", 1.0),), lambda: None)
    assert torch.equal(made(), alone)
    own.adapt(model, (), lambda: None)


def test_what_it_holds_on_the_device_is_counted(own: Store) -> None:
    model = own.use("sd15", lambda: None)
    own.adapt(model, (), lambda: None)
    before = own.resident()["model sd15"]
    own.adapt(model, (Lora("full", 1.0),), lambda: None)
    file = Path(own.catalog.loras["full"].place)
    assert own.resident()["model sd15"] - before == pytest.approx(file.stat().st_size, rel=0.2)
    own.adapt(model, (), lambda: None)


def test_the_weight_in_the_words_is_for_the_text_encoders_alone(own: Store) -> None:
    both = [Lora("words", 1.0), Lora("words", 1.0, 0.0), Lora("words", 0.0, 1.0), Lora("words", 1.0, 1.0)]
    whole, picture, words, same = (pixels(own, ask_for(loras=(lora,))) for lora in both)
    assert len({whole, picture, words, pixels(own, ask_for())}) == 4
    assert same == whole


def as_comfyui(tensors: Tensors, unet: Any) -> Tensors:
    """The same by the names of the original code, as ComfyUI saves them."""
    from inference.families.unet import originals

    theirs = {own.replace(".", "_"): name for name, (own,) in originals(unet).items()}
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, end = name.partition(".")
        renamed[f"diffusion_model.{theirs[layer.removeprefix('lora_unet_')]}.{end}"] = tensor
    return renamed


@pytest.mark.parametrize("layout", ["comfyui", "sgm", "lycoris", "dotted"])
@torch.no_grad()
def test_every_layout_comes_to_what_diffusers_makes_of_kohyas(layout: str, own: Store, tmp_path: Path) -> None:
    model = own.use("sd15", lambda: None)
    own.adapt(model, (), lambda: None)
    unet = model.pipeline.unet
    torch.manual_seed(1)
    plain = kohya(unet, "lora")
    comfyui = as_comfyui(plain, unet)
    renamed = {
        "comfyui": comfyui,
        "sgm": {
            f"lora_unet_{_underscored(name.removeprefix('diffusion_model.'))}": tensor
            for name, tensor in comfyui.items()
        },
        "lycoris": {name.replace("lora_unet_", "lycoris_"): tensor for name, tensor in plain.items()},
        "dotted": {f"unet.{_dotted(unet, name)}": tensor for name, tensor in plain.items()},
    }[layout]
    # Of a sort that diffusers does not read, so that all is read here: a magnitude of the layer's own changes nothing.
    save_file(plain, tmp_path / "plain.safetensors")
    save_file({name: tensor.clone() for name, tensor in renamed.items()}, tmp_path / "other.safetensors")
    states, words = torch.randn(1, 4, 4, 4), torch.randn(1, 16, 32)
    made = []
    for name in ("plain", "other"):
        file = tmp_path / f"{name}.safetensors"
        model.adapters.switch([Adapter(name, file, hashes.sha256(file), 0.8)])
        made.append(unet(states, 5, encoder_hidden_states=words).sample)
    model.adapters.switch([])
    assert torch.allclose(*made, atol=1e-5)
    assert not torch.allclose(made[0], unet(states, 5, encoder_hidden_states=words).sample, atol=1e-3)


def _underscored(name: str) -> str:
    layer, end = name.rsplit(".", 2)[0], ".".join(name.rsplit(".", 2)[1:])
    if name.endswith("alpha"):
        layer, end = name.rsplit(".", 1)
    return f"{layer.replace('.', '_')}.{end}"


def _dotted(unet: Any, name: str) -> str:
    layer, _, end = name.removeprefix("lora_unet_").partition(".")
    own = next(one for one, _ in _bare(unet) if one.replace(".", "_") == layer)
    return f"{own}.{end}"


def test_every_layer_of_every_family_is_known_by_its_original_name(store: Store) -> None:
    for name in ("sd15", "sd21", "sdxl"):
        model = store.use(name, lambda: None)
        originals = model.family.denoiser.originals
        assert originals is not None
        meant = {own for layers in originals(model.denoiser).values() for own in layers}
        weighed = {own for own, layer in _bare(model.denoiser) if isinstance(layer, (nn.Linear, nn.Conv2d))}
        assert weighed - {own.replace(".base_layer", "") for own in meant} == set(), name


def _bare(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers by their names, whatever peft has put around them."""
    for name, layer in network.named_modules():
        if ".lora_" not in name and not hasattr(layer, "base_layer"):
            yield name.replace(".base_layer", ""), layer


@torch.no_grad()
def test_what_flux_was_trained_as_one_is_several_here(store: Store, tmp_path: Path) -> None:
    model = store.use("flux-dev", lambda: None)
    store.adapt(model, (), lambda: None)
    layers = Layers(model.pipeline, model.family.denoiser)
    places = layers.named("lora_unet_double_blocks_0_img_attn_qkv")
    block = model.pipeline.transformer.transformer_blocks[0]
    assert [place.rows for place in places] == [(0, 96), (32, 96), (64, 96)]
    whole = torch.randn(96, 32)
    states = torch.randn(2, 32)
    made = [Part({"diff": whole}, place.layer, place.rows).added(states, 1.0) for place in places]
    assert torch.allclose(torch.cat(made, dim=1), states @ whole.T, atol=1e-5)
    assert places[1].layer in (block.attn.to_k, getattr(block.attn.to_k, "base_layer", None))
    [linear2] = layers.named("diffusion_model.single_blocks.0.linear2")
    assert linear2.rows is None
