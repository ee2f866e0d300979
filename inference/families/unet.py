"""What the UNets of Stable Diffusion 1, 2 and XL share: what their layers are called in the code that they were
published with, and which of them are trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from inference.families.training import ATTENTION

if TYPE_CHECKING:
    import torch

LINEAR = (*ATTENTION, "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
"""What kohya's trainer takes of a UNet: all that its transformers consist of."""
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv")
"""What LoCon adds to that (Yeh et al., Navigating Text-To-Image Customization, 2023): strokes and grain are there."""

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
OUTSIDE = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def predict(
    pipeline: Any,
    noisy: torch.Tensor,
    times: torch.Tensor,
    words: Mapping[str, Any],
    further: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """What the UNet makes of noisy latents (`Training.predict`), with what else it is conditioned on."""
    predicted: torch.Tensor = pipeline.unet(
        noisy,
        times,
        encoder_hidden_states=words["prompt_embeds"],
        added_cond_kwargs=further,
        return_dict=False,
    )[0]
    return predicted


def originals(unet: Any) -> Mapping[str, tuple[str, ...]]:
    """diffusers' name of each layer of a `UNet2DConditionModel`, by its original one (`Denoiser.originals`)."""
    names = dict(OUTSIDE)
    for block, own in _blocks(unet):
        names[block] = own
        for name, _ in unet.get_submodule(own).named_modules():
            if name:
                names[f"{block}.{name}"] = f"{own}.{name}"
        if ".resnets." in own:
            names |= {f"{block}.{name}": f"{own}.{inner}" for name, inner in RESNET.items()}
    return {name: (own,) for name, own in names.items()}


def _blocks(unet: Any) -> Iterator[tuple[str, str]]:
    """The original name of each resnet, transformer and change of size, with diffusers' own."""
    place = 1
    for number, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            yield from _layer(f"input_blocks.{place}", f"down_blocks.{number}", block, layer)
            place += 1
        if getattr(block, "downsamplers", None):
            yield f"input_blocks.{place}.0.op", f"down_blocks.{number}.downsamplers.0.conv"
            place += 1
    yield "middle_block.0", "mid_block.resnets.0"
    yield "middle_block.1", "mid_block.attentions.0"
    yield "middle_block.2", "mid_block.resnets.1"
    place = 0
    for number, block in enumerate(unet.up_blocks):
        for layer in range(len(block.resnets)):
            yield from _layer(f"output_blocks.{place}", f"up_blocks.{number}", block, layer)
            place += 1
        if getattr(block, "upsamplers", None):
            # The last of a block's layers makes it larger.
            after = 2 if hasattr(block, "attentions") else 1
            yield f"output_blocks.{place - 1}.{after}.conv", f"up_blocks.{number}.upsamplers.0.conv"


def _layer(place: str, own: str, block: Any, layer: int) -> Iterator[tuple[str, str]]:
    yield f"{place}.0", f"{own}.resnets.{layer}"
    if hasattr(block, "attentions"):
        yield f"{place}.1", f"{own}.attentions.{layer}"
