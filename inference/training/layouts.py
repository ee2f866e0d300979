"""A trained LoRA as files: in diffusers' names and in kohya's, with what others ask of its metadata.

The same LoRA gives the same bytes: no date and no path stands in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from diffusers.utils import state_dict_utils
from safetensors.torch import save

from inference.families.record import Family
from inference.families.training import Training
from inference.training.datasets import Dataset
from inference.training.plans import Plan

DIFFUSERS, KOHYA = ".safetensors", ".kohya.safetensors"
"""What the names of the files end with."""

Tensors = Mapping[str, torch.Tensor]


def write(folder: Path, name: str, tensors: Tensors, told: Mapping[str, str], network: Any, family: Family) -> None:
    """Write a LoRA in both layouts.

    `tensors` are peft's, behind the names of the pipeline's components; `network` is the denoiser, by whose makers some
    of kohya's names go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}{DIFFUSERS}", tensors, told)
    _write(folder / f"{name}{KOHYA}", kohya(tensors, network, family), told)


def kohya(tensors: Tensors, network: Any, family: Family) -> dict[str, torch.Tensor]:
    """The same LoRA by the names of kohya's trainers, or of those who keep to them.

    Layers that are several here and one there become one: their halves side by side.
    """
    component, training = family.denoiser.component, family.training
    assert training is not None
    own = {name: of for name, of in tensors.items() if name.startswith(f"{component}.")}
    others = {name: of for name, of in tensors.items() if name not in own}
    untyped: Any = state_dict_utils
    made: dict[str, torch.Tensor] = untyped.convert_state_dict_to_kohya(others) if others else {}
    if "lora_te2" not in "".join(made):
        # Of a model with one text encoder the number is left out.
        made = {name.replace("lora_te1_", "lora_te_"): of for name, of in made.items()}
    of_layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, down in own.items():
        if name.endswith(".lora_A.weight"):
            layer = name.removeprefix(f"{component}.").removesuffix(".lora_A.weight")
            of_layers[layer] = down, own[name.replace("lora_A", "lora_B")]
    start = "lora_unet_" if component == "unet" or training.original_names else f"lora_{component}_"
    for called, (down, up) in _called(of_layers, network, family, training).items():
        flat = f"{start}{called.replace('.', '_')}"
        made[f"{flat}.lora_down.weight"], made[f"{flat}.lora_up.weight"] = down.contiguous(), up.contiguous()
        made[f"{flat}.alpha"] = torch.tensor(float(len(down)))
    return made


def _called(
    layers: Mapping[str, tuple[torch.Tensor, torch.Tensor]], network: Any, family: Family, training: Training
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    if not training.original_names or family.denoiser.originals is None:
        return dict(layers)
    left, made = dict(layers), {}
    for name, meant in family.denoiser.originals(network).items():
        if not any(one in left for one in meant):
            continue
        if len(meant) == 1:
            made[name] = left.pop(meant[0])
            continue
        like = next(iter(layers.values()))
        pairs = [left.pop(one) if one in left else _none_of(network.get_submodule(one), like) for one in meant]
        untyped: Any = torch
        made[name] = torch.cat([down for down, _ in pairs]), untyped.block_diag(*(up for _, up in pairs))
    return {**made, **left}


def _none_of(layer: Any, like: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The smallest LoRA that changes nothing of a layer."""
    rows, columns = layer.out_features, layer.in_features
    return like[0].new_zeros(1, columns), like[1].new_zeros(rows, 1)


def metadata(
    plan: Plan, dataset: Dataset, training: Training, title: str, steps: int, epoch: int, loss: float
) -> dict[str, str]:
    """What stands in the files: the data card, what it was trained on and how, in the words of others where they have
    some (sd-scripts' `ss_`, the Stable Diffusion Model Specification)."""
    card, side = dataset.card, math.isqrt(plan.pixels)
    trigger = {card.trigger: len(dataset.items)} if card.trigger else {}
    told: dict[str, Any] = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": plan.rank,
        "ss_network_alpha": float(plan.rank),
        "ss_base_model_version": training.base,
        "ss_v2": training.base.startswith("sd_v2"),
        "ss_sd_model_name": title,
        "ss_output_name": card.name,
        "ss_learning_rate": plan.rate,
        "ss_optimizer": "torch.optim.adamw.AdamW",
        "ss_lr_scheduler": "constant_with_warmup",
        "ss_lr_warmup_steps": plan.warm,
        "ss_num_train_images": len(dataset.items),
        "ss_num_reg_images": plan.priors,
        "ss_num_epochs": plan.epochs,
        "ss_epoch": epoch,
        "ss_steps": steps,
        "ss_max_train_steps": plan.steps,
        "ss_batch_size_per_device": plan.batch,
        "ss_gradient_accumulation_steps": plan.accumulate,
        "ss_gradient_checkpointing": plan.checkpointing,
        "ss_seed": plan.seed,
        "ss_min_snr_gamma": plan.snr_gamma or None,
        "ss_caption_dropout_rate": plan.unsaid,
        "ss_prior_loss_weight": plan.prior_weight,
        "ss_resolution": (side, side),
        "ss_tag_frequency": json.dumps({card.name: trigger}),
        "ss_training_comment": f"loss {loss:.5f}",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{training.architecture}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": card.name,
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.trigger_phrase": card.trigger,
        "modelspec.license": card.license,
        "modelspec.author": card.author,
        "easel.card": msgspec.json.encode(card).decode(),
        "easel.dataset": plan.dataset,
        "easel.model": json.dumps({"name": plan.model, "hashes": plan.hashes}, sort_keys=True),
    }
    return {name: str(value) for name, value in told.items() if value not in (None, "")}


def _write(file: Path, tensors: Tensors, told: Mapping[str, str]) -> None:
    whole = save({name: of.contiguous() for name, of in tensors.items()})
    length = struct.unpack("<Q", whole[:8])[0]
    header, numbers = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    # As sd-scripts' `model_hash` has it: of what follows the header, which may be written anew.
    digest = hashlib.sha256(numbers).hexdigest()
    further = {"format": "pt", "sshs_model_hash": digest, "modelspec.hash_sha256": f"0x{digest}"}
    # safetensors writes the metadata in another order each time.
    header = {"__metadata__": dict(sorted({**told, **further}.items())), **header}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    part.replace(file)
