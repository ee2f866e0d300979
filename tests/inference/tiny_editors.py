"""Tiny models of the families that language models read for, or that are shown pictures, in the published layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from tokenizers import pre_tokenizers
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
)

WIDTH = 16

ENTRY = """
[models.{name}]
title = "Tiny {name}"
family = "{family}"
path = "{name}"
width = 64
height = 64
size_multiple = 16
min_size = 32
max_size = 192
max_pixels = 16384
steps = 2
guidance = {guidance}
max_guidance = {most}
negative = {negative}
sampler = "FlowMatch Euler"
"""

OF_FAMILY: dict[str, tuple[str, float]] = {
    "klein": ("flux2", 1),
    "klein-base": ("flux2", 4),
    "kontext": ("kontext", 2.5),
    "qwen": ("qwen", 4),
    "qwen-edit": ("qwen-edit", 4),
}
"""Of each model its family and its guidance."""

CATALOG = "".join(
    ENTRY.format(
        name=name,
        family=family,
        guidance=guidance,
        most=1 if name == "klein" else 10,
        negative="false" if name in ("klein", "kontext") else "true",
    )
    for name, (family, guidance) in OF_FAMILY.items()
) + "".join(
    f'\n[loras.{family}]\ntitle = "For {family}"\npath = "{family}.safetensors"\nmodels = {models}\n'
    for family, models in (
        ("klein", '["klein", "klein-base"]'),
        ("kontext", '["kontext"]'),
        ("qwen", '["qwen", "qwen-edit"]'),
    )
)

TALK = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""How a language model's makers have its talks written down."""

MARKS = ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")


def tokenizer() -> Qwen2Tokenizer:
    """Qwen's, without its merges: a letter is a token."""
    marks = [f"<|{mark}|>" for mark in MARKS]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>", *marks]
    made = Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        extra_special_tokens=dict(zip(MARKS, marks, strict=True)),
    )
    made.chat_template = TALK
    return made


def klein(distilled: bool = True) -> Flux2KleinPipeline:
    """black-forest-labs/FLUX.2-klein-4B, or its base, tiny."""
    words = tokenizer()
    language = Qwen3Config(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        # Its states are read after the 9th, the 18th and the 27th.
        num_hidden_layers=28,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=True,
    )
    vae = AutoencoderKLFlux2(  # type: ignore[no-untyped-call]
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )
    vae.bn.running_mean.copy_(torch.linspace(-0.5, 0.5, 16))
    vae.bn.running_var.copy_(torch.linspace(0.5, 3.0, 16))
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * WIDTH,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    return Flux2KleinPipeline(
        scheduler=_shifting(shift=3.0, max_shift=1.15, max_image_seq_len=4096),
        vae=vae,
        text_encoder=Qwen3ForCausalLM(language),
        tokenizer=words,
        transformer=transformer,
        is_distilled=distilled,
    )


def kontext(dev: Any) -> FluxKontextPipeline:
    """black-forest-labs/FLUX.1-Kontext-dev, tiny: the parts of such a FLUX.1 dev."""
    return FluxKontextPipeline(**{name: part for name, part in dev.components.items() if part is not None})


def qwen() -> QwenImagePipeline:
    """Qwen/Qwen-Image-2512, tiny."""
    return QwenImagePipeline(**_qwen(tokenizer()))


def qwen_edit() -> QwenImageEditPlusPipeline:
    """Qwen/Qwen-Image-Edit-2511, tiny."""
    words = tokenizer()
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=384 * 384),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TALK,
    )
    return QwenImageEditPlusPipeline(**_qwen(words), processor=processor)


def _qwen(words: Qwen2Tokenizer) -> dict[str, Any]:
    ids = {mark: words.convert_tokens_to_ids(f"<|{mark}|>") for mark in MARKS}
    special: dict[str, Any] = {"bos_token_id": words.pad_token_id, "eos_token_id": ids["im_end"]}
    language: dict[str, Any] = {
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1000000.0},
        **special,
    }
    eyes: dict[str, Any] = {"depth": 1, "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_heads": 2}
    config = Qwen2_5_VLConfig(
        text_config=language,
        vision_config={**eyes, "out_hidden_size": WIDTH, "fullatt_block_indexes": [0]},
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        **special,
    )
    vae = AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 2.0, 1.2, 0.9],
    )
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(4, 6, 6),
    )
    return {
        "scheduler": _shifting(max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02),
        "vae": vae,
        "text_encoder": Qwen2_5_VLForConditionalGeneration(config),
        "tokenizer": words,
        "transformer": transformer,
    }


def _shifting(**changes: Any) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, base_image_seq_len=256, **changes)


MAKERS: dict[str, Callable[[], Any]] = {
    "klein": klein,
    "klein-base": lambda: klein(distilled=False),
    "qwen": qwen,
    "qwen-edit": qwen_edit,
}


def write_loras(folder: Path, made: dict[str, Any]) -> None:
    """One for the transformer of each of these, as diffusers' training scripts write them."""
    for name in ("klein", "kontext", "qwen"):
        transformer = made[name].transformer
        adapted = type(transformer)(**transformer.config)
        layers = LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
        adapted.add_adapter(layers, "made")
        weights = get_peft_model_state_dict(adapted, adapter_name="made")
        made[name].save_lora_weights(folder, transformer_lora_layers=weights, weight_name=f"{name}.safetensors")
