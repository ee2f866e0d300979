"""Tiny models of the newer families and what goes beside them: random weights, in the layouts of published ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    ChromaPipeline,
    ChromaTransformer2DModel,
    ControlNetUnionModel,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxControlNetModel,
    FluxFillPipeline,
    FluxTransformer2DModel,
    QwenImageControlNetModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3ControlNetModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImageControlNetModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer, Qwen2Tokenizer, Qwen3Config, Qwen3Model

from inference.silence import silenced
from tests.inference import tiny_add_ons, tiny_editors

WIDTH = 32
"""As in `tiny`."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What Qwen3's comes to for one question and thinking that is left on."""


def _entry(name: str, title: str, family: str, **fields: object) -> str:
    values: dict[str, object] = {
        "title": title,
        "family": family,
        "path": name,
        "width": 32,
        "height": 32,
        "size_multiple": 16,
        "min_size": 16,
        "max_size": 64,
        "max_pixels": 4096,
        "steps": 3,
        "guidance": 4,
        "sampler": "FlowMatch Euler",
        **fields,
    }
    return "\n".join([f"[models.{name}]", *(f"{field} = {json.dumps(value)}" for field, value in values.items()), ""])


MODELS = {
    "sd35-large": _entry("sd35-large", "Tiny 3.5 Large", "sd3"),
    "flux-fill-dev": _entry(
        "flux-fill-dev", "Tiny FLUX Fill", "flux-fill", guidance=30, max_guidance=50, negative=False
    ),
    "chroma-hd": _entry("chroma-hd", "Tiny Chroma", "chroma"),
    "z-image": _entry("z-image", "Tiny Z-Image", "zimage"),
    "z-image-turbo": _entry(
        "z-image-turbo", "Tiny Z-Image Turbo", "zimage", guidance=1, max_guidance=1, negative=False
    ),
    "sana-1600m": _entry(
        "sana-1600m",
        "Tiny SANA",
        "sana",
        guidance=4.5,
        sampler="DPM++ 2M",
        size_multiple=32,
        min_size=32,
        max_size=128,
    ),
}
"""The tables of models.toml."""

ADD_ONS = """
[loras.chroma]
title = "For Chroma"
path = "chroma.safetensors"
models = ["chroma-hd"]

[loras.zimage]
title = "For Z-Image"
path = "zimage.safetensors"
models = ["z-image", "z-image-turbo"]

[loras.sana]
title = "For SANA"
path = "sana.safetensors"
models = ["sana-1600m"]

[loras.zimage-comfy]
title = "For Z-Image, as ComfyUI names its layers"
path = "zimage-comfy.safetensors"
models = ["z-image", "z-image-turbo"]

[controls.canny-flux]
title = "Tiny canny FLUX"
path = "canny-flux"
models = ["flux-schnell", "flux-dev"]
annotator = "canny"

[controls.canny-flux-pixels]
title = "Tiny canny FLUX that reads pixels"
path = "canny-flux-pixels"
models = ["flux-dev"]
annotator = "canny"

[controls.union-flux]
title = "Tiny FLUX union, told of edges"
path = "union-flux"
models = ["flux-dev"]
annotator = "canny"
mode = 0

[controls.union-flux-depth]
title = "Tiny FLUX union, told of depth"
path = "union-flux"
models = ["flux-dev"]
annotator = "canny"
mode = 2

[controls.canny-zimage]
title = "Tiny canny Z-Image"
path = "canny-zimage"
models = ["z-image", "z-image-turbo"]
annotator = "canny"

[controls.canny-sd3]
title = "Tiny canny SD3"
path = "canny-sd3"
models = ["sd35-large"]
annotator = "canny"

[controls.canny-sd3-large]
title = "Tiny canny SD3.5 Large"
path = "canny-sd3-large"
models = ["sd35-large"]
annotator = "canny"

[controls.union-qwen]
title = "Tiny Qwen-Image union, shown edges"
path = "union-qwen"
models = ["qwen"]
annotator = "canny"

[controls.union-qwen-map]
title = "Tiny Qwen-Image union, shown maps"
path = "union-qwen"
models = ["qwen"]
annotator = "none"

[controls.other-qwen]
title = "Another one for Qwen-Image"
path = "other-qwen"
models = ["qwen"]
annotator = "none"

[controls.union-xl]
title = "Tiny XL union, told of edges"
path = "union-xl"
models = ["sdxl"]
annotator = "canny"
mode = 2

[controls.union-xl-pose]
title = "Tiny XL union, told of a pose"
path = "union-xl"
models = ["sdxl"]
annotator = "canny"
mode = 0
"""


def write(folder: Path, made: Mapping[str, Any]) -> None:
    """What goes beside these models, by name, which stay as they are."""
    torch.manual_seed(2)
    kinds = (
        ("chroma", "chroma-hd", ChromaPipeline),
        ("zimage", "z-image", ZImagePipeline),
        ("sana", "sana-1600m", SanaPipeline),
    )
    for name, model, pipeline in kinds:
        weights = tiny_add_ons._adapter(made[model].transformer, ("to_q", "to_v"))
        untyped: Any = pipeline
        untyped.save_lora_weights(folder, transformer_lora_layers=weights, weight_name=f"{name}.safetensors")
    comfy = {
        name.replace("transformer.", "diffusion_model."): weight
        for name, weight in load_file(folder / "zimage.safetensors").items()
    }
    save_file(comfy, folder / "zimage-comfy.safetensors")
    write_controls(folder)


def save(pipeline: Any, folder: Path) -> None:
    """A pipeline as it is published: where a tokenizer has the form of a conversation, that stands in its settings."""
    pipeline.save_pretrained(folder)
    template = folder / "tokenizer" / "chat_template.jinja"
    if template.is_file():
        settings = folder / "tokenizer" / "tokenizer_config.json"
        written = {**json.loads(settings.read_text()), "chat_template": template.read_text()}
        settings.write_text(json.dumps(written))
        template.unlink()


def write_controls(folder: Path) -> None:
    """InstantX's, XLabs' and Shakker's for FLUX, InstantX's and Stability AI's for SD3, Alibaba's for Z-Image, xinsir's
    union for XL, InstantX's for Qwen-Image: tiny, and trained."""
    flux: dict[str, Any] = {
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 2 * WIDTH,
        "pooled_projection_dim": WIDTH,
        "axes_dims_rope": (4, 6, 6),
    }
    kinds: dict[str, dict[str, Any]] = {
        "canny-flux": {},
        "canny-flux-pixels": {"patch_size": 2, "conditioning_embedding_channels": 16},
        "union-flux": {"num_mode": 3},
    }
    for name, own in kinds.items():
        with silenced():
            network = FluxControlNetModel(**flux, **own)
        _control(folder / name, network)
    sd3 = SD3ControlNetModel(
        sample_size=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=8,
    )
    _control(folder / "canny-sd3", sd3)
    # Stability AI's own for SD3.5 Large: it reads no words and takes its places from the transformer.
    large = SD3ControlNetModel(
        sample_size=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=None,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=8,
        pos_embed_type=None,
        use_pos_embed=False,
        force_zeros_for_pooled_projection=False,
    )
    _control(folder / "canny-sd3-large", large)
    zimage = ZImageControlNetModel(
        control_layers_places=[0],
        control_refiner_layers_places=[0],
        control_in_dim=16,
        dim=WIDTH,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
    )
    _control(folder / "canny-zimage", zimage)
    union = ControlNetUnionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        cross_attention_dim=2 * WIDTH,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        norm_num_groups=4,
        conditioning_embedding_out_channels=(4, 8, 8, 16),
        num_control_type=3,
        num_trans_channel=8,
        num_trans_head=2,
        num_proj_channel=8,
    )
    # So that it shows in eight bits what it makes of all the kinds together that it follows.
    for weights in (
        union.controlnet_cond_embedding.conv_out.weight,
        *(layer.attn.out_proj.weight for layer in union.transformer_layes),
    ):
        torch.nn.init.normal_(weights, std=4.0)
    _control(folder / "union-xl", union)
    for name in ("union-qwen", "other-qwen"):
        qwen = QwenImageControlNetModel(
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=tiny_editors.WIDTH,
            axes_dims_rope=(4, 6, 6),
        )
        _control(folder / name, qwen)


def _control(folder: Path, network: Any) -> None:
    # Trained: what is zero to begin with is so no more.
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    network.save_pretrained(folder)


def _flow(**config: Any) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(**config)


def flux_fill_dev(parts: Mapping[str, Any]) -> FluxFillPipeline:
    """black-forest-labs/FLUX.1-Fill-dev, tiny: as FLUX.1 dev, of which these are the parts, but for the transformer."""
    # Latents, those of what is kept, and the mask of each 16 by 16 pixels.
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64 + 64 + 256,
        out_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )
    kept = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    return FluxFillPipeline(**{name: parts[name] for name in kept}, transformer=transformer)


def chroma_hd(parts: Mapping[str, Any]) -> ChromaPipeline:
    """lodestones/Chroma1-HD, tiny, with the autoencoder and the T5 of FLUX.1 schnell."""
    with silenced():
        transformer = ChromaTransformer2DModel(
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            axes_dims_rope=(4, 6, 6),
            approximator_num_channels=16,
            approximator_hidden_dim=WIDTH,
            approximator_layers=1,
        )
    return ChromaPipeline(
        scheduler=_flow(shift=3.0),
        vae=parts["vae"],
        text_encoder=parts["text_encoder_2"],
        tokenizer=parts["tokenizer_2"],
        transformer=transformer,
    )


def z_image(parts: Mapping[str, Any]) -> ZImagePipeline:
    """Tongyi-MAI/Z-Image, tiny, with the autoencoder of FLUX.1."""
    return _z_image(parts, shift=6.0)


def z_image_turbo(parts: Mapping[str, Any]) -> ZImagePipeline:
    """Tongyi-MAI/Z-Image-Turbo, tiny."""
    return _z_image(parts, shift=3.0)


def _z_image(parts: Mapping[str, Any], shift: float) -> ZImagePipeline:
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        extra_special_tokens={"im_start": "<|im_start|>", "im_end": "<|im_end|>"},
        chat_template=TEMPLATE,
    )
    words = Qwen3Config(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        bos_token_id=len(pieces) - 3,
        eos_token_id=len(pieces) - 1,
    )
    transformer = ZImageTransformer2DModel(
        dim=WIDTH,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )
    return ZImagePipeline(
        scheduler=_flow(shift=shift),
        vae=parts["vae"],
        text_encoder=Qwen3Model(words),
        tokenizer=tokenizer,
        transformer=transformer,
    )


def sd35_large(parts: Mapping[str, Any]) -> StableDiffusion3Pipeline:
    """stabilityai/stable-diffusion-3.5-large, tiny: as the other one, with a block more, for the last one of all leaves
    out what a ControlNet says."""
    transformer = SD3Transformer2DModel.from_config({**parts["transformer"].config, "num_layers": 2})
    return StableDiffusion3Pipeline(**{**parts, "transformer": transformer})


def sana(_: Mapping[str, Any]) -> SanaPipeline:
    """Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers, tiny: it has no part of any other."""
    letters = "▁abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *letters]
    tokenizer = GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    words = Gemma2Config(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    half: dict[str, Any] = {
        "block_types": ("ResBlock",) * 5 + ("EfficientViTBlock",),
        "block_out_channels": (8,) * 6,
        "layers_per_block": (1,) * 6,
        "qkv_multiscales": ((),) * 5 + ((5,),),
    }
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        scaling_factor=0.41407,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in half.items()},
    )
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=4,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=16,
        cross_attention_dim=WIDTH,
        caption_channels=WIDTH,
        sample_size=4,
    )
    scheduler = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return SanaPipeline(tokenizer, Gemma2Model(words), vae, transformer, scheduler)


MAKERS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "sd35-large": ("sd35", sd35_large),
    "flux-fill-dev": ("flux-dev", flux_fill_dev),
    "chroma-hd": ("flux-dev", chroma_hd),
    "z-image": ("flux-dev", z_image),
    "z-image-turbo": ("flux-dev", z_image_turbo),
    "sana-1600m": ("flux-dev", sana),
}
"""By name: another tiny model, and what makes one of its parts."""


def made_of(others: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the models here that can be made of these others, by their names."""
    return {name: make(others[other].components) for name, (other, make) in MAKERS.items() if other in others}
