"""The records of the families that Easel has: what they say is so, in the diffusers that is installed."""

from __future__ import annotations

import inspect
import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from compel import ReturnedEmbeddingsType
from PIL import Image

from inference.catalog import weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.families.record import load_class
from inference.models import placement
from inference.models.store import Store
from tests.inference.conftest import with_model

OF_EACH = {
    "sd1": "sd15",
    "sd2": "sd21",
    "sdxl": "sdxl",
    "sd3": "sd35-large",
    "flux": "flux-dev",
    "flux-fill": "flux-fill-dev",
    "chroma": "chroma-hd",
    "zimage": "z-image",
    "flux2": "klein",
    "kontext": "kontext",
    "qwen": "qwen",
    "qwen-edit": "qwen-edit",
    "sana": "sana-1600m",
}
"""A tiny model of each family."""


def nothing() -> None:
    pass


def parameters(pipeline: str) -> set[str]:
    """What a pipeline can be told."""
    return set(inspect.signature(load_class(pipeline).__call__).parameters)


def test_each_has_a_tiny_model_and_is_registered_by_its_own_name() -> None:
    assert list(OF_EACH) == list(FAMILIES) == [family.name for family in FAMILIES.values()]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_it_names_is_there(name: str) -> None:
    family = FAMILIES[name]
    components = inspect.signature(load_class(family.pipeline)).parameters
    called = inspect.signature(load_class(family.pipeline).__call__).parameters
    assert family.denoiser.component in components
    assert {family.guidance, *family.arguments, *filter(None, family.words.embeds)} <= called.keys()
    assert family.words.negative == ("negative_prompt_embeds" in family.words.embeds)
    if family.words.weighing is not None:
        assert {part for pair in family.words.weighing.encoders for part in pair} <= components.keys()
        assert family.words.weighing.states in ReturnedEmbeddingsType.__members__
    union = None if family.control is None else family.control.union
    for control in (family.control, union):
        if control is not None:
            assert load_class(control.network)
            assert "controlnet" in inspect.signature(load_class(control.pipeline)).parameters
            told = control.told([[]], [None if control.kinds is None else 0]).keys()
            assert {*told, "controlnet_conditioning_scale", "latents"} <= parameters(control.pipeline)
    if union is not None:
        assert union.kinds in inspect.signature(load_class(union.network)).parameters
    assert family.fills == ("mask_image" in called)
    if family.control is not None:
        assert load_class(family.control.network)
        assert "controlnet" in inspect.signature(load_class(family.control.pipeline)).parameters
    assert family.sized(64, 32).items() >= {"width": 64, "height": 32}.items()
    assert family.sized(64, 32).keys() <= called.keys()
    if family.references is not None:
        assert family.references.most > 0
        assert family.references.told([Image.new("RGB", (64, 64))]).keys() <= called.keys()
        if family.references.without is not None:
            assert inspect.signature(load_class(family.references.without)).parameters.keys() <= components.keys()
    if family.refiner is not None:
        assert {"latents", "strength"} <= inspect.signature(load_class(family.refiner).__call__).parameters.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_diffusers_can_do_for_a_denoiser_what_the_record_says_and_no_more(name: str, store: Store) -> None:
    denoiser, said = store.use(OF_EACH[name], nothing).denoiser, FAMILIES[name].denoiser
    processors = [getattr(module, "processor", None) for module in denoiser.modules()]
    assert said.attention_backends == any(hasattr(processor, "_attention_backend") for processor in processors)
    assert said.compiles == bool(denoiser._repeated_blocks)
    assert said.sliced_attention == hasattr(denoiser, "set_attention_slice")
    blocks = getattr(denoiser, "down_blocks", torch.nn.ModuleList())
    assert said.channels_last == any(isinstance(module, torch.nn.Conv2d) for module in blocks.modules())


@pytest.mark.parametrize("name", FAMILIES)
def test_it_loads_without_a_word_to_the_operator(
    name: str, known: Catalog, cpu: Device, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("diffusers", "transformers"):
        monkeypatch.setattr(logging.getLogger(library), "propagate", True)
    Store(catalog=known, device=cpu).use(OF_EACH[name], nothing)
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("name", "fields", "factor"),
    [
        ("sd15", {}, 1),
        ("sdxl", {}, 2),  # whose VAE works in float32, beside a denoiser of float16
        ("sdxl", {"dtype": "float32"}, 2),
        ("flux-dev", {}, 1),
    ],
)
def test_room_is_left_for_an_autoencoder_that_works_in_float32(
    name: str, fields: dict[str, Any], factor: int, known: Catalog, cpu: Device
) -> None:
    gpu = replace(cpu, where=torch.device("cuda"))
    sd15 = placement.measure(weights.assemble(known, "sd15", known.folder / "sd15"), known.models["sd15"], gpu)
    entry = with_model(known, name, **fields).models[name]
    assert (
        placement.measure(weights.assemble(known, name, known.folder / name), entry, gpu).decoding
        == factor * sd15.decoding
    )
