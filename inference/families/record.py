"""What is known of one family of picture models: plain facts, and the few functions that it alone needs.

Whoever checks, loads, places or paints asks the record and knows no family by its name. Nothing here imports torch:
classes of diffusers are named, and functions use what they are given or import what they need when they are called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from inference.families import unet
from inference.families.latents import Latents
from inference.families.references import References
from inference.families.releases import Release, Shapes
from inference.families.samplers import Sampler, evenly
from inference.families.training import Training
from inference.families.words import Words


def load_class(name: str) -> Any:
    """The class of diffusers that is called so, or of another library, as `module:Class`. Imports it."""
    module, _, called = name.rpartition(":")
    return getattr(importlib.import_module(module or "diffusers"), called)


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """The network that takes the steps, and what diffusers can do for it."""

    component: Literal["unet", "transformer"]
    """What the pipeline calls it."""
    sliced_attention: bool = False
    attention_backends: bool = False
    """Whether other kernels than torch's are chosen for it by name (diffusers' attention dispatcher)."""
    masked_attention: bool = False
    """Whether it leaves padding out of its words by a mask, which flash-attn's kernels do not take."""
    channels_last: bool = False
    """Whether it has convolutions that gain from it."""
    compiles: bool = True
    """Whether diffusers names its repeated blocks, which are compiled alone."""
    composes: bool = False
    """Whether what it makes of several prompts can be added up, each as far as it leads away from the negative one: a
    UNet that is told both sides in one batch (`painting.conditioning`)."""
    originals: Callable[[Any], Mapping[str, tuple[str, ...]]] | None = None
    """From the network to what its makers' code calls its layers: diffusers' name of each, or of all those whose
    outputs one of theirs has. None where nobody trains by those names."""


UNET = Denoiser(component="unet", sliced_attention=True, channels_last=True, originals=unet.originals, composes=True)


def width_and_height(width: int, height: int) -> dict[str, Any]:
    """What every pipeline is told of a size (`Family.sized`)."""
    return {"height": height, "width": width}


def as_image(pictures: Sequence[Sequence[Any]], modes: Sequence[int | None]) -> dict[str, Any]:
    """What the oldest pipelines call the pictures that ControlNets follow (`Control.told`)."""
    # Where there are several networks, those of one picture of a batch stand together.
    return {"image": [*pictures[0]] if len(pictures) == 1 else [[*those] for those in zip(*pictures, strict=True)]}


def as_control_image(pictures: Sequence[Sequence[Any]], modes: Sequence[int | None]) -> dict[str, Any]:
    """What most pipelines call them, and their kinds."""
    told: dict[str, Any] = {"control_image": [*pictures[0]] if len(pictures) == 1 else [[*each] for each in pictures]}
    if any(mode is not None for mode in modes):
        told["control_mode"] = modes[0] if len(modes) == 1 else [*modes]
    return told


@dataclass(frozen=True, kw_only=True)
class Control:
    """How ControlNets are used. Where a pipeline draws a place for a picture in its latents by chance, it gets the
    likeliest one instead (`painting.settled`)."""

    pipeline: str
    """The pipeline that takes one beside the family's own components."""
    network: str = "ControlNetModel"
    told: Callable[[Sequence[Sequence[Any]], Sequence[int | None]], dict[str, Any]] = as_image
    """From what each picture of a batch follows, by one network and by the next, and the numbers of the kinds of these,
    to what the pipeline is told."""
    together: Callable[[Sequence[Any]], Any] | None = list
    """From several networks, one of which may come twice, to what the pipeline takes in the place of one; None where it
    takes but one."""
    alike: Mapping[str, Any] = field(default_factory=dict)
    """What of their configurations must be the same then, for the pipeline looks at that of the first alone; with what
    one means that says nothing of it."""
    of_one_network: bool = False
    """Whether they must be one and the same."""
    kinds: str | None = None
    """What the network's configuration calls the number of kinds that it follows; None where it knows but one."""
    reads_besides: str | None = None
    """What the network's configuration calls the number of channels that it reads beside those of a picture: that of
    one made for inpainting, which nothing here tells its mask. None where there are none such."""
    union: Control | None = None
    """How those are used that follow several kinds, whose entries say which one by its number; None where none can."""
    borrows: bool = False
    """Whether the network works with layers of the denoiser, which must be on the device for it."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models that are loaded, placed and painted with in the same way."""

    name: str
    """As models.toml calls it."""
    pipeline: str
    """The class of its pipeline (`load_class`)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What its pipelines are told beside their components when they are made."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What its pipeline is told beside words, size and steps when it is called."""
    sized: Callable[[int, int], dict[str, Any]] = width_and_height
    """From width and height in pixels to what its pipeline is told of them when it is called."""
    guidance: str = "guidance_scale"
    """What its pipeline calls how far it is guided."""
    guidance_offset: float = 0.0
    """Added to what members ask for, to whom 1 stands for none: -1 where 0 does for its makers."""
    guidance_rescale: bool = False
    """Whether its pipeline takes `guidance_rescale` (Lin et al., Common Diffusion Noise Schedules, 2023)."""
    control: Control | None = None
    """None where no ControlNet can be used."""
    fills: bool = False
    """Whether its models paint nothing but a masked part of a picture, which their pipeline sees with the mask."""
    inpaint: str | None = None
    """The pipeline of those of its models whose denoiser also reads a mask and what is around it; None where there are
    none."""
    references: References | None = None
    """None where no pictures can be shown beside the words."""
    refiner: str | None = None
    """The pipeline of its refiner, which goes on from latents; None where there is none."""
    denoiser: Denoiser
    words: Words
    latents: Latents = field(default_factory=Latents)
    samplers: Mapping[str, Sampler]
    """Those that members may choose, by their names."""
    spacing: Callable[[Mapping[str, Any], int, int, int], dict[str, Any]] = evenly
    """From the configuration of its scheduler, the steps, and height and width of the latents to what its pipeline
    tells the scheduler's `set_timesteps` beside the number of steps."""
    size_multiple: int
    """What sizes are multiples of, in pixels: the autoencoder's factor, times the patches that latents go in."""
    dtype: Literal["float16", "bfloat16"] = "float16"
    """What its weights are kept in on a GPU where nothing else is asked for: what was trained in bfloat16 can overflow
    in float16."""
    releases: tuple[Release, ...] = ()
    """What `models add` knows of it: what can be read from one file, and what a folder of it is painted with."""
    training: Training | None = None
    """None where no LoRAs are trained for it here."""
    fits_lora: Callable[[Shapes, Mapping[str, Any]], bool] | None = None
    """From the tensors of a LoRA's file and the configuration of a denoiser of this family to whether it was trained
    for such a one."""
    check_lora: Callable[[Any, Mapping[str, Any]], None] | None = None
    """From the pipeline and the tensors of a LoRA, by diffusers' names: raises ValueError where diffusers would make
    over the model for good for it. None where it never does."""
