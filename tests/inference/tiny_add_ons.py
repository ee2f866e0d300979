"""Tiny LoRAs, ControlNets and a tiny annotator with random weights, in the layouts of published ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, FluxPipeline, StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

TEXT = ("q_proj", "out_proj")

CATALOG = """
[loras.ink]
title = "Ink"
path = "ink.safetensors"
models = ["sd15"]
weight = 0.8
trigger = "ink drawing"

[loras.words]
title = "Changes the text encoder too, as kohya's trainer writes it"
path = "words.safetensors"
models = ["sd15"]

[loras.xl]
title = "For XL"
path = "xl.safetensors"
models = ["sdxl", "sdxl-turbo"]

[loras.flux]
title = "For FLUX"
path = "flux.safetensors"
models = ["flux-schnell", "flux-dev"]

[loras.flux-kohya]
title = "For FLUX, as kohya's trainer writes it"
path = "flux-kohya.safetensors"
models = ["flux-schnell", "flux-dev"]

[loras.misnamed]
title = "For XL, said to be for 1.5"
path = "xl.safetensors"
models = ["sd15"]

[loras.forged]
title = "Another file than it says"
path = "ink.safetensors"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
models = ["sd15"]

[loras.unfetched]
title = "Never fetched"
url = "https://example.org/releases/unfetched.safetensors"
models = ["sd15"]

[controls.canny]
title = "Tiny canny"
path = "canny"
models = ["sd15"]
annotator = "canny"

[controls.map]
title = "Takes maps as they are"
path = "canny"
models = ["sd15"]
annotator = "none"
weight = 0.5

[controls.soft]
title = "Another network"
path = "soft"
models = ["sd15"]
annotator = "none"

[controls.canny-xl]
title = "Tiny canny XL"
path = "canny-xl"
models = ["sdxl"]
annotator = "canny"

[controls.unfetched]
title = "Never fetched"
repo = "example/controlnet"
models = ["sd15"]
annotator = "canny"

[controls.depth]
title = "Tiny depth"
path = "canny"
models = ["sd15"]
annotator = "depth"

[controls.blind]
title = "Whose annotator was never fetched"
path = "canny"
models = ["sd15"]
annotator = "unfetched"

[annotators.depth]
title = "Tiny Depth Anything"
kind = "depth"
path = "depth"

[annotators.unfetched]
title = "Never fetched"
kind = "depth"
repo = "example/depth"
"""


def write(folder: Path, sd15: Any, sdxl: Any, flux: Any) -> None:
    """All of them, for these three pipelines, which stay as they are."""
    torch.manual_seed(1)
    write_lora(folder / "ink.safetensors", sd15.unet)
    write_lora(folder / "xl.safetensors", sdxl.unet)
    write_kohya(folder / "words.safetensors", sd15.unet, sd15.text_encoder)
    write_flux(folder / "flux.safetensors", folder / "flux-kohya.safetensors", flux.transformer)
    write_control(folder / "canny", sd15.unet)
    write_control(folder / "canny-xl", sdxl.unet)
    write_depth(folder / "depth")
    # All that is made after it is as it was before there was this one.
    with torch.random.fork_rng():
        write_control(folder / "soft", sd15.unet)


def write_lora(path: Path, unet: Any) -> None:
    """As diffusers' training scripts write one."""
    untyped: Any = StableDiffusionPipeline
    untyped.save_lora_weights(path.parent, unet_lora_layers=_adapter(unet, ("to_q", "to_v")), weight_name=path.name)


def write_kohya(path: Path, unet: Any, text_encoder: Any) -> None:
    """As kohya's trainer, and with it most of what is shared, writes one."""
    words = {f"text_model.{name.removeprefix('text_model.')}": w for name, w in _adapter(text_encoder, TEXT).items()}
    layers = {}
    for prefix, weights in (("lora_unet", _adapter(unet, ("to_k", "to_out.0"))), ("lora_te", words)):
        for name, weight in weights.items():
            module, _, end = name.rpartition(".lora_")
            own = f"{prefix}_{module.replace('.', '_')}"
            layers[f"{own}.lora_{'down' if end.startswith('A') else 'up'}.weight"] = weight.contiguous()
            layers[f"{own}.alpha"] = torch.tensor(2.0)
    save_file(layers, path)


def write_flux(path: Path, kohya: Path, transformer: Any) -> None:
    """Two for Flux: as diffusers' training scripts write one, and as kohya's, which names modules in its own way."""
    untyped: Any = FluxPipeline
    weights = _adapter(transformer, ("to_q", "to_v"))
    untyped.save_lora_weights(path.parent, transformer_lora_layers=weights, weight_name=path.name)
    layers = {}
    for name, weight in _adapter(transformer, ("attn.to_out.0",)).items():
        end = "down" if name.endswith("lora_A.weight") else "up"
        layers[f"lora_unet_double_blocks_0_img_attn_proj.lora_{end}.weight"] = weight.contiguous()
    layers["lora_unet_double_blocks_0_img_attn_proj.alpha"] = torch.tensor(2.0)
    save_file(layers, kohya)


def write_control(folder: Path, unet: Any) -> None:
    """A ControlNet that was trained: its zero convolutions are zero no more."""
    control: Any = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 8, 16))
    for name, parameter in control.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    control.save_pretrained(folder)


def write_depth(folder: Path, **changes: str) -> None:
    """depth-anything/Depth-Anything-V2-Small-hf, tiny."""
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        **changes,
    )
    model: Any = DepthAnythingForDepthEstimation(config)
    # Fresh from chance they say the same everywhere, and of what they say nothing below 0 counts.
    for part in (model.neck, model.head):
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.constant_(model.head.conv3.bias, 100.0)
    model.save_pretrained(folder)
    size = {"height": 28, "width": 28}
    DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)


def _adapter(part: Any, modules: tuple[str, ...]) -> dict[str, torch.Tensor]:
    adapted = copy.deepcopy(part)
    adapted.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=list(modules), init_lora_weights=False), "made")
    weights: dict[str, torch.Tensor] = get_peft_model_state_dict(adapted, adapter_name="made")
    return weights
