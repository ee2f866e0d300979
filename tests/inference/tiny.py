"""Tiny models with random weights, in the exact folder layouts of the published ones, built without a network.

Every class is the real one at a small configuration, so what loads and paints these loads and paints the large ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from PIL import Image
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    BartConfig,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Florence2Config,
    Florence2ForConditionalGeneration,
    GenerationConfig,
    RobertaTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

from inference.catalog.entries import UpscalerEntry
from inference.catalog.reading import load
from inference.silence import silenced
from tests.inference import tiny_add_ons, tiny_editors, tiny_families

WIDTH = 32
"""Channels of everything that can choose."""

CATALOG = """
default = "sd15"

[models.sd15]
title = "Tiny 1.5"
family = "sd1"
path = "sd15"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DPM++ 2M"

[models.sd21]
title = "Tiny 2.1"
family = "sd2"
path = "sd21"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DDIM"

[models.sdxl]
title = "Tiny XL"
family = "sdxl"
path = "sdxl"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "Euler"
refiner = "sdxl"

[models.sdxl-turbo]
title = "Tiny XL Turbo"
family = "sdxl"
path = "sdxl-turbo"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 1
max_steps = 4
guidance = 0
max_guidance = 1
negative = false
sampler = "Euler a"

[models.sd35]
title = "Tiny 3.5"
family = "sd3"
path = "sd35"
width = 32
height = 32
size_multiple = 16
min_size = 16
max_size = 64
max_pixels = 4096
steps = 2
guidance = 4
sampler = "FlowMatch Euler"

[models.flux-schnell]
title = "Tiny FLUX schnell"
family = "flux"
path = "flux-schnell"
width = 32
height = 32
size_multiple = 16
min_size = 16
max_size = 64
max_pixels = 4096
steps = 2
guidance = 0
max_guidance = 0
negative = false
sampler = "FlowMatch Euler"

[models.flux-dev]
title = "Tiny FLUX dev"
family = "flux"
path = "flux-dev"
width = 32
height = 32
size_multiple = 16
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 3.5
negative = false
sampler = "FlowMatch Euler"

[models.absent]
title = "Never fetched"
family = "sd1"
path = "absent"
width = 32
height = 32
min_size = 16
max_size = 64
max_pixels = 4096
steps = 3
guidance = 4
sampler = "DDIM"

[refiners.sdxl]
title = "Tiny XL's refiner"
path = "sdxl-refiner"

[upscalers.x4]
title = "Tiny x4"
arch = "srvgg"
path = "x4.pth"
scale = 4
num_feat = 8
num_conv = 2
grain = { path = "x4-grain.pth" }

[upscalers.x2]
title = "Tiny x2"
arch = "rrdb"
path = "x2.pth"
scale = 2
num_feat = 8
num_block = 1
num_grow_ch = 4

[upscalers.unfetched]
title = "Never fetched"
arch = "rrdb"
url = "https://example.org/releases/unfetched.pth"
scale = 4

[restorers.faces]
title = "Tiny restorer"
path = "restorer.pth"

[describers.florence]
title = "Tiny Florence"
path = "florence"

[classifiers.clip]
title = "Tiny CLIP"
path = "clip"

[decoders.tiny]
title = "Tiny decoder"
path = "decoder"

[decoders.tiny-16]
title = "Tiny decoder of 16 channels"
path = "decoder-16"

[decoders.unfetched]
title = "Never fetched"
path = "no-decoder"

[checkers.strict]
title = "Flags everything, in two folders"
path = "strict"

[checkers.lax]
title = "Flags nothing, in one folder"
path = "lax"

[checkers.unfetched]
title = "Never fetched"
path = "no-checker"

[label_sets]
colours = ["red", "blue"]
"""


def build(folder: Path) -> Path:
    """Write every tiny model and a models.toml that names them into this folder; returns the models.toml."""
    torch.manual_seed(0)
    made = {name: make() for name, make in MAKERS.items()}
    # The others' weights are what chance makes of them without these.
    with torch.random.fork_rng():
        made |= tiny_families.made_of(made)
    made |= {"kontext": tiny_editors.kontext(made["flux-dev"])}
    made |= {name: make() for name, make in tiny_editors.MAKERS.items()}
    for name, pipeline in made.items():
        tiny_families.save(pipeline, folder / name)
        index = json.loads((folder / name / "model_index.json").read_text())
        assert index["_class_name"] == type(pipeline).__name__
    tiny_add_ons.write(folder, made["sd15"], made["sdxl"], made["flux-dev"])
    with torch.random.fork_rng():
        tiny_families.write(folder, made)
    write_florence(folder / "florence")
    write_clip(folder / "clip")
    write_decoder(folder / "decoder")
    write_decoder(folder / "decoder-16", channels=16)
    write_checker(folder / "strict" / "safety_checker", folder / "strict" / "feature_extractor", everything=True)
    write_checker(folder / "lax", folder / "lax", everything=False)
    catalog = folder / "models.toml"
    newer = "".join(tiny_families.MODELS.values()) + tiny_families.ADD_ONS + tiny_editors.CATALOG
    catalog.write_text(CATALOG + tiny_add_ons.CATALOG + newer)
    write_restorer(folder / "restorer.pth")
    for entry in load(catalog).upscalers.values():
        for number, file in enumerate(entry.files):
            if file.path is not None:
                write_upscaler(folder / file.path, entry, seed=number)
    tiny_editors.write_loras(folder, made)
    return catalog


def picture(width: int = 20, height: int = 12, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A picture of random pixels."""
    shape = (height, width, len(mode))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def network(entry: UpscalerEntry) -> torch.nn.Module:
    """An upscaler's network with random weights, whose result stays near its input's brightness."""
    # Imported here because basicsr takes seconds.
    from inference.networks import upscaler

    if entry.arch == "srvgg":
        return upscaler.SRVGGNetCompact(num_feat=entry.num_feat, num_conv=entry.num_conv, upscale=entry.scale)
    return upscaler.RRDBNet(3, 3, entry.scale, entry.num_feat, entry.num_block, entry.num_grow_ch)


def write_upscaler(path: Path, entry: UpscalerEntry, seed: int = 0) -> Path:
    """A file as Real-ESRGAN publishes them."""
    torch.manual_seed(seed)
    # The RRDBNets of the releases are moving averages of the trained weights.
    torch.save({"params" if entry.arch == "srvgg" else "params_ema": network(entry).state_dict()}, path)
    return path


def write_restorer(path: Path) -> None:
    """wzhouxiff/RestoreFormer, tiny: a network for faces whose sizes, unlike GFPGAN's, are its own."""
    from spandrel.architectures.RestoreFormer import RestoreFormer

    sizes: dict[str, Any] = {"n_embed": 8, "embed_dim": 8, "z_channels": 8, "head_size": 2, "num_res_blocks": 1}
    torch.manual_seed(0)
    with silenced():
        network = RestoreFormer(**sizes, ch=WIDTH, ch_mult=(1, 1, 1, 1, 1, 1), attn_resolutions=(16,))
    torch.save({"params": network.state_dict()}, path)


def write_clip(folder: Path) -> None:
    """openai/clip-vit-base-patch32, tiny."""
    tokenizer = _clip_tokenizer()
    text = _text_config(tokenizer)
    vision = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=text.to_dict(),
        vision_config={**vision, "image_size": 32, "patch_size": 8},
        projection_dim=WIDTH,
        logit_scale_init_value=2.6592,
    )
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    _save_processor(folder, images, tokenizer, "CLIPProcessor")


def write_decoder(folder: Path, channels: int = 4) -> None:
    """madebyollin/taesd, tiny, with a factor that is not its model's."""
    AutoencoderTiny(  # type: ignore[no-untyped-call]
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(0, 1, 1),
        num_decoder_blocks=(1, 1, 0),
        latent_channels=channels,
    ).save_pretrained(folder)


def write_checker(folder: Path, extractor: Path, everything: bool) -> None:
    """A tiny safety checker that flags every picture or none."""
    checker: Any = StableDiffusionSafetyChecker(_checker_config())
    # A cosine is over every threshold below -1, and over none above 1.
    checker.concept_embeds_weights.data.fill_(-2.0 if everything else 2.0)
    checker.special_care_embeds_weights.data.fill_(2.0)
    checker.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}).save_pretrained(extractor)


def _checker_config() -> CLIPConfig:
    part = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    return CLIPConfig(text_config=part, vision_config={**part, "image_size": 16, "patch_size": 8}, projection_dim=WIDTH)


def write_florence(folder: Path) -> None:
    """florence-community/Florence-2-base, tiny: its configuration's layout, its parser's settings, its tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"]
    tokenizer = RobertaTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
        model_max_length=1024,
    )
    marks = ["<od>", "</od>", "<ocr>", "</ocr>", *(f"<loc_{number}>" for number in range(1000)), "<sep>"]
    marks += ["<poly>", "</poly>", "<ground>", "</ground>"]
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    images = CLIPImageProcessor(
        size={"height": 32, "width": 32},
        crop_size={"height": 32, "width": 32},
        do_center_crop=False,
        image_seq_length=17,
    )
    parsing: dict[str, dict[str, Any]] = {
        "ocr": {"pattern": "(.+?)" + r"<loc_(\d+)>" * 8, "area_threshold": 0.0},
        "phrase_grounding": {"banned_grounding_tokens": ["it", "the image"]},
        "pure_text": {},
        "description_with_bboxes": {},
        "description_with_polygons": {},
        "polygons": {},
        "bboxes": {},
        "description_with_bboxes_or_polygons": {},
    }
    vision = Florence2VisionConfig(
        depths=(1, 1, 1, 1),
        patch_stride=(4, 2, 1, 1),
        embed_dim=(8, 8, 16, WIDTH),
        num_heads=(1, 1, 2, 2),
        num_groups=(1, 1, 2, 2),
        window_size=4,
        projection_dim=WIDTH,
        max_position_embeddings=50,
    )
    special: dict[str, Any] = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=WIDTH,
        decoder_ffn_dim=WIDTH,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        max_position_embeddings=2048,
        **special,
    )
    config = Florence2Config(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        image_token_id=tokenizer.image_token_id,
        **special,
    )
    model = Florence2ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        **special,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        num_beams=3,
        early_stopping=True,
        no_repeat_ngram_size=3,
    )
    model.save_pretrained(folder)
    _save_processor(folder, images, tokenizer, "Florence2Processor")
    written = {"processor_class": "Florence2Processor", "post_processor_config": parsing}
    (folder / "processor_config.json").write_text(json.dumps(written))
    tokens = folder / "tokenizer_config.json"
    tokens.write_text(json.dumps({**json.loads(tokens.read_text()), "tokenizer_class": "BartTokenizer"}))


def _save_processor(folder: Path, images: CLIPImageProcessor, tokenizer: Any, name: str) -> None:
    """A processor in the files that the published models have: today's transformers would write one for all of it."""
    images.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in ("preprocessor_config.json", "tokenizer_config.json"):
        settings = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**settings, "processor_class": name}))


def _clip_tokenizer() -> CLIPTokenizer:
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], model_max_length=16)


def _t5_tokenizer() -> T5TokenizerFast:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = ["<pad>", "</s>", "<unk>", "▁", *letters]
    return T5TokenizerFast(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=512)


def _t5_config(tokenizer: T5TokenizerFast) -> T5Config:
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=2 * WIDTH,
        d_kv=8,
        d_ff=WIDTH,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )


def _text_config(tokenizer: CLIPTokenizer, **changes: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )


def _vae(channels: int = 4, **changes: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=32,
        **changes,
    )


def _unet(**changes: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **{
            "sample_size": 4,
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": WIDTH,
            "attention_head_dim": 2,
            "norm_num_groups": 4,
            **changes,
        }
    )


def _sd15() -> StableDiffusionPipeline:
    tokenizer = _clip_tokenizer()
    return StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.18215),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(),
        scheduler=PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=StableDiffusionSafetyChecker(_checker_config()),
        feature_extractor=CLIPImageProcessor(),
    )


def _sd21() -> StableDiffusionPipeline:
    tokenizer = _clip_tokenizer()
    return StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.18215),
        text_encoder=CLIPTextModel(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer=tokenizer,
        unet=_unet(attention_head_dim=(2, 4), use_linear_projection=True, upcast_attention=True),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="v_prediction",
        ),
        safety_checker=None,
        feature_extractor=CLIPImageProcessor(),
        requires_safety_checker=False,
    )


def _xl_unet(words: int, ids: int) -> UNet2DConditionModel:
    """One that reads states of so many features, and so many numbers about size, crop and taste."""
    return _unet(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=words,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=ids * 8 + WIDTH,
    )


def _xl_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
    )


def _xl(scheduler: Any) -> StableDiffusionXLPipeline:
    tokenizer = _clip_tokenizer()
    return StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer=tokenizer,
        tokenizer_2=_clip_tokenizer(),
        unet=_xl_unet(words=2 * WIDTH, ids=6),
        scheduler=scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _sdxl_refiner() -> StableDiffusionXLImg2ImgPipeline:
    tokenizer = _clip_tokenizer()
    return StableDiffusionXLImg2ImgPipeline(
        vae=_vae(scaling_factor=0.13025, force_upcast=True),
        text_encoder=None,
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=_xl_unet(words=WIDTH, ids=5),
        scheduler=_xl_scheduler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def _sdxl() -> StableDiffusionXLPipeline:
    return _xl(_xl_scheduler())


def _sdxl_turbo() -> StableDiffusionXLPipeline:
    return _xl(
        EulerAncestralDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="trailing",
        )
    )


def _sd35() -> StableDiffusion3Pipeline:
    tokenizer, t5_tokenizer = _clip_tokenizer(), _t5_tokenizer()
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=WIDTH,
            pooled_projection_dim=2 * WIDTH,
            out_channels=16,
            pos_embed_max_size=8,
            qk_norm="rms_norm",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(_text_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, hidden_act="gelu")),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=T5EncoderModel(_t5_config(t5_tokenizer)),
        tokenizer_3=t5_tokenizer,
    )


def _flux(guidance_embeds: bool, scheduler: FlowMatchEulerDiscreteScheduler) -> FluxPipeline:
    tokenizer, t5_tokenizer = _clip_tokenizer(), _t5_tokenizer()
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=(4, 6, 6),
        ),
        scheduler=scheduler,
        vae=_vae(16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(_t5_config(t5_tokenizer)),
        tokenizer_2=t5_tokenizer,
    )


def _flux_schnell() -> FluxPipeline:
    return _flux(guidance_embeds=False, scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0))


def _flux_dev() -> FluxPipeline:
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    return _flux(guidance_embeds=True, scheduler=scheduler)


MAKERS: dict[str, Callable[[], Any]] = {
    "sd15": _sd15,
    "sd21": _sd21,
    "sdxl": _sdxl,
    "sdxl-turbo": _sdxl_turbo,
    "sdxl-refiner": _sdxl_refiner,
    "sd35": _sd35,
    "flux-schnell": _flux_schnell,
    "flux-dev": _flux_dev,
}
