"""Which layers of a loaded pipeline a trainer's names mean: kohya's, OneTrainer's, ComfyUI's, LyCORIS' and diffusers'
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from inference.families.record import Denoiser

DENOISER = ("lora_unet_", "lora_transformer_", "lycoris_", "diffusion_model.", "unet.", "transformer.")
ENCODERS = {
    "text_encoder": ("lora_te_", "lora_te1_", "text_encoder.", "text_encoders.clip_l.transformer."),
    "text_encoder_2": ("lora_te2_", "text_encoder_2.", "text_encoders.clip_g.transformer."),
    "text_encoder_3": ("lora_te3_", "text_encoder_3."),
}
"""What the names begin with of what changes each part of a pipeline."""

INNER = "text_model_"
"""What transformers once put before all names of CLIP's layers."""


@dataclass(frozen=True)
class Place:
    """A layer that is meant, or one of several that are meant as one."""

    component: str
    layer: torch.nn.Module
    rows: tuple[int, int] | None = None
    """Of one of several: where its outputs begin, and how many they have together."""


class Layers:
    """The layers of one pipeline by all of their names."""

    def __init__(self, pipeline: Any, denoiser: Denoiser) -> None:
        self._pipeline = pipeline
        self._denoiser = denoiser
        self._known: dict[str, Mapping[str, tuple[Place, ...]]] = {}

    def named(self, name: str) -> tuple[Place, ...]:
        """The layers that this name means; none where the pipeline has none."""
        parts = {self._denoiser.component: DENOISER, **ENCODERS}
        for component, beginnings in parts.items():
            for beginning in beginnings:
                if name.startswith(beginning):
                    return self._of(component).get(_flat(name.removeprefix(beginning)), ())
        return ()

    def _of(self, component: str) -> Mapping[str, tuple[Place, ...]]:
        if component not in self._known:
            network = getattr(self._pipeline, component, None)
            self._known[component] = {} if network is None else self._index(component, network)
        return self._known[component]

    def _index(self, component: str, network: torch.nn.Module) -> Mapping[str, tuple[Place, ...]]:
        bare = dict(_bare(network))
        index: dict[str, tuple[Place, ...]] = {_flat(name): (Place(component, layer),) for name, layer in bare.items()}
        if component != self._denoiser.component:
            index |= {f"{INNER}{name}": place for name, place in index.items() if not name.startswith(INNER)}
        elif self._denoiser.originals is not None:
            for name, meant in self._denoiser.originals(network).items():
                layers = [bare[one] for one in meant if one in bare]
                if len(layers) == len(meant):
                    index.setdefault(_flat(name), _side_by_side(component, layers))
        return index


def _side_by_side(component: str, layers: list[torch.nn.Module]) -> tuple[Place, ...]:
    if len(layers) == 1:
        return (Place(component, layers[0]),)
    outputs = [int(getattr(layer, "out_features", 0)) for layer in layers]
    starts = [sum(outputs[:place]) for place in range(len(layers))]
    return tuple(Place(component, layer, (start, sum(outputs))) for layer, start in zip(layers, starts, strict=True))


def _flat(name: str) -> str:
    # kohya's trainer writes every dot as an underscore.
    return name.replace(".", "_")


def _bare(network: torch.nn.Module, name: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """Every layer by its name, as it was before peft put one of its own around it."""
    bare = network.get_base_layer() if isinstance(network, BaseTunerLayer) else network
    yield name, bare
    for inner, layer in bare.named_children():
        yield from _bare(layer, f"{name}.{inner}" if name else inner)
