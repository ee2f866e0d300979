"""Tiny picture models in one file each, in the public layouts of checkpoints: the names of diffusers turned back into
those of the makers, whose converters diffusers has.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers.loaders.single_file_utils as converters
import pytest
import torch
from diffusers import (
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from inference.families.releases import CONFIGS
from inference.models import checkpoints
from tests.inference import tiny, tiny_families

Tensors = dict[str, torch.Tensor]

LARGER = 48
"""Width of the second text encoder: they are told apart by it."""
T5_WIDTH = 96
FLUX_WIDTH = 32
"""Of the tiny FLUX and Chroma. diffusers' converters know no other than the real one (`tiny_flux`)."""


def unet(module: Any) -> Tensors:
    """A UNet by the names of CompVis' latent-diffusion."""
    layers, named = module.config.layers_per_block + 1, {}
    begins = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    for number, block in enumerate(module.down_blocks):
        for layer in range(layers - 1):
            place = 1 + number * layers + layer
            begins[f"down_blocks.{number}.resnets.{layer}"] = f"input_blocks.{place}.0"
            begins[f"down_blocks.{number}.attentions.{layer}"] = f"input_blocks.{place}.1"
        begins[f"down_blocks.{number}.downsamplers.0.conv"] = f"input_blocks.{(number + 1) * layers}.0.op"
        assert len(block.resnets) == layers - 1
    for number, block in enumerate(module.up_blocks):
        for layer in range(layers):
            place = number * layers + layer
            begins[f"up_blocks.{number}.resnets.{layer}"] = f"output_blocks.{place}.0"
            begins[f"up_blocks.{number}.attentions.{layer}"] = f"output_blocks.{place}.1"
        last = 2 if hasattr(block, "attentions") else 1
        begins[f"up_blocks.{number}.upsamplers.0.conv"] = f"output_blocks.{number * layers + layers - 1}.{last}.conv"
    inner = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "time_emb_proj": "emb_layers.1",
        "conv_shortcut": "skip_connection",
    }
    for name, tensor in module.state_dict().items():
        [(begin, place)] = [(begin, place) for begin, place in begins.items() if name.startswith(f"{begin}.")]
        rest = name.removeprefix(f"{begin}.")
        if ".resnets." in name:
            layer, _, end = rest.partition(".")
            rest = f"{inner[layer]}.{end}"
        named[f"{place}.{rest}"] = tensor
    return named


def vae(module: Any) -> Tensors:
    """An autoencoder by the same names."""
    last, named = len(module.config.block_out_channels) - 1, {}
    for name, tensor in module.state_dict().items():
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(
            r"up_blocks\.(\d)\.resnets\.(\d)", lambda found: f"up.{last - int(found[1])}.block.{found[2]}", name
        )
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{last - int(found[1])}.upsample", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            name = re.sub(r"to_([qkv])\.", r"\1.", name).replace("to_out.0", "proj_out")
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        named[name] = tensor
    return named


def clip(module: Any) -> Tensors:
    """A text encoder by the names of transformers, as they were before 5.6 left `text_model` out."""
    return {
        name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}": tensor
        for name, tensor in module.state_dict().items()
    }


def open_clip(module: Any) -> Tensors:
    """The same by those of OpenCLIP."""
    held = {name.removeprefix("text_model."): tensor for name, tensor in module.state_dict().items()}
    named = {
        "positional_embedding": held["embeddings.position_embedding.weight"],
        "token_embedding.weight": held["embeddings.token_embedding.weight"],
        "ln_final.weight": held["final_layer_norm.weight"],
        "ln_final.bias": held["final_layer_norm.bias"],
        # Every file has one; what needs none has another width for it.
        "text_projection": held["text_projection.weight"].T
        if "text_projection.weight" in held
        else torch.zeros(module.config.hidden_size, module.config.hidden_size),
    }
    others = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    others["self_attn.out_proj"] = "attn.out_proj"
    for number in range(module.config.num_hidden_layers):
        begin, place = f"encoder.layers.{number}.", f"transformer.resblocks.{number}."
        for end in ("weight", "bias"):
            parts = [held[f"{begin}self_attn.{part}_proj.{end}"] for part in "qkv"]
            named[f"{place}attn.in_proj_{end}"] = torch.cat(parts)
            for own, its in others.items():
                named[f"{place}{its}.{end}"] = held[f"{begin}{own}.{end}"]
    return named


def _swapped(tensor: torch.Tensor) -> torch.Tensor:
    """Scale and shift in the order of the makers."""
    return torch.cat([*reversed(tensor.chunk(2))])


def sd3(module: Any) -> Tensors:
    """A transformer by the names of Stability AI's sd3-ref."""
    held, named = module.state_dict(), {}
    whole = {
        "pos_embed.proj": "x_embedder.proj",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "context_embedder": "context_embedder",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
        "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
        "proj_out": "final_layer.linear",
    }
    named["pos_embed"] = held["pos_embed.pos_embed"]
    for end in ("weight", "bias"):
        named |= {f"{its}.{end}": held[f"{own}.{end}"] for own, its in whole.items()}
        named[f"final_layer.adaLN_modulation.1.{end}"] = _swapped(held[f"norm_out.linear.{end}"])
        for number in range(module.config.num_layers):
            block, place = f"transformer_blocks.{number}.", f"joint_blocks.{number}."
            last = number == module.config.num_layers - 1
            named[f"{place}x_block.attn.qkv.{end}"] = torch.cat([held[f"{block}attn.to_{q}.{end}"] for q in "qkv"])
            named[f"{place}context_block.attn.qkv.{end}"] = torch.cat(
                [held[f"{block}attn.add_{q}_proj.{end}"] for q in "qkv"]
            )
            named[f"{place}x_block.attn.proj.{end}"] = held[f"{block}attn.to_out.0.{end}"]
            named[f"{place}x_block.adaLN_modulation.1.{end}"] = held[f"{block}norm1.linear.{end}"]
            its = held[f"{block}norm1_context.linear.{end}"]
            named[f"{place}context_block.adaLN_modulation.1.{end}"] = _swapped(its) if last else its
            named[f"{place}x_block.mlp.fc1.{end}"] = held[f"{block}ff.net.0.proj.{end}"]
            named[f"{place}x_block.mlp.fc2.{end}"] = held[f"{block}ff.net.2.{end}"]
            if not last:
                named[f"{place}context_block.attn.proj.{end}"] = held[f"{block}attn.to_add_out.{end}"]
                named[f"{place}context_block.mlp.fc1.{end}"] = held[f"{block}ff_context.net.0.proj.{end}"]
                named[f"{place}context_block.mlp.fc2.{end}"] = held[f"{block}ff_context.net.2.{end}"]
    for number in range(module.config.num_layers):
        block, place = f"transformer_blocks.{number}.attn.", f"joint_blocks.{number}."
        for own, its in (("norm_q", "x_block.attn.ln_q"), ("norm_k", "x_block.attn.ln_k")):
            named[f"{place}{its}.weight"] = held[f"{block}{own}.weight"]
        for own, its in (("norm_added_q", "context_block.attn.ln_q"), ("norm_added_k", "context_block.attn.ln_k")):
            named[f"{place}{its}.weight"] = held[f"{block}{own}.weight"]
    return named


def flux(module: Any) -> Tensors:
    """A transformer by the names of Black Forest Labs."""
    held, named = module.state_dict(), _blocks_of_flux(module)
    whole = {
        "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    }
    if module.config.guidance_embeds:
        whole["time_text_embed.guidance_embedder.linear_1"] = "guidance_in.in_layer"
        whole["time_text_embed.guidance_embedder.linear_2"] = "guidance_in.out_layer"
    for end in ("weight", "bias"):
        named |= {f"{its}.{end}": held[f"{own}.{end}"] for own, its in whole.items()}
        named[f"final_layer.adaLN_modulation.1.{end}"] = _swapped(held[f"norm_out.linear.{end}"])
        for number in range(module.config.num_layers):
            for own, its in (("norm1", "img_mod"), ("norm1_context", "txt_mod")):
                name = f"transformer_blocks.{number}.{own}.linear.{end}"
                named[f"double_blocks.{number}.{its}.lin.{end}"] = held[name]
        for number in range(module.config.num_single_layers):
            name = f"single_transformer_blocks.{number}.norm.linear.{end}"
            named[f"single_blocks.{number}.modulation.lin.{end}"] = held[name]
    return named


def chroma(module: Any) -> Tensors:
    """A transformer by the names of Lodestone Rock, which are those of FLUX.1 but for what modulates."""
    named = _blocks_of_flux(module)
    inner = {"linear_1": "in_layer", "linear_2": "out_layer"}
    for name, tensor in module.state_dict().items():
        if name.startswith("distilled_guidance_layer."):
            for own, its in inner.items():
                name = name.replace(f".{own}.", f".{its}.")
            if ".norms." in name:
                name = name.replace(".weight", ".scale")
            named[name] = tensor
    return named


def z_image(module: Any) -> Tensors:
    """A transformer by the names of Z-Image's own code, with keys, queries and values in one."""
    held = module.state_dict()
    renamed = {"norm_q": "q_norm", "norm_k": "k_norm", "to_out.0": "out"}
    # Of a layer that no picture is painted with.
    named = {"norm_final.weight": torch.ones(module.config.dim)}
    for name, tensor in held.items():
        name = name.replace("all_x_embedder.2-1.", "x_embedder.").replace("all_final_layer.2-1.", "final_layer.")
        for own, its in renamed.items():
            name = name.replace(f".attention.{own}.", f".attention.{its}.")
        if ".to_q." in name:
            tensor = torch.cat([held[name.replace("to_q", f"to_{part}")] for part in "qkv"])
            name = name.replace("to_q", "qkv")
        if ".to_k." not in name and ".to_v." not in name:
            named[name] = tensor
    return named


def _blocks_of_flux(module: Any) -> Tensors:
    """What FLUX.1 and Chroma have alike."""
    held, named = module.state_dict(), {}
    whole = {"context_embedder": "txt_in", "x_embedder": "img_in", "proj_out": "final_layer.linear"}
    double = {
        "ff.net.0.proj": "img_mlp.0",
        "ff.net.2": "img_mlp.2",
        "ff_context.net.0.proj": "txt_mlp.0",
        "ff_context.net.2": "txt_mlp.2",
        "attn.to_out.0": "img_attn.proj",
        "attn.to_add_out": "txt_attn.proj",
    }
    for end in ("weight", "bias"):
        named |= {f"{its}.{end}": held[f"{own}.{end}"] for own, its in whole.items()}
        for number in range(module.config.num_layers):
            block, place = f"transformer_blocks.{number}.", f"double_blocks.{number}."
            named |= {f"{place}{its}.{end}": held[f"{block}{own}.{end}"] for own, its in double.items()}
            named[f"{place}img_attn.qkv.{end}"] = torch.cat([held[f"{block}attn.to_{q}.{end}"] for q in "qkv"])
            named[f"{place}txt_attn.qkv.{end}"] = torch.cat([held[f"{block}attn.add_{q}_proj.{end}"] for q in "qkv"])
        for number in range(module.config.num_single_layers):
            block, place = f"single_transformer_blocks.{number}.", f"single_blocks.{number}."
            named[f"{place}linear2.{end}"] = held[f"{block}proj_out.{end}"]
            parts = [held[f"{block}attn.to_{q}.{end}"] for q in "qkv"]
            named[f"{place}linear1.{end}"] = torch.cat([*parts, held[f"{block}proj_mlp.{end}"]])
    for number in range(module.config.num_layers):
        block, place = f"transformer_blocks.{number}.attn.", f"double_blocks.{number}."
        for own, its in (("norm_q", "query_norm"), ("norm_k", "key_norm")):
            named[f"{place}img_attn.norm.{its}.scale"] = held[f"{block}{own}.weight"]
            added = own.replace("norm_", "norm_added_")
            named[f"{place}txt_attn.norm.{its}.scale"] = held[f"{block}{added}.weight"]
    for number in range(module.config.num_single_layers):
        for own, its in (("norm_q", "query_norm"), ("norm_k", "key_norm")):
            named[f"single_blocks.{number}.norm.{its}.scale"] = held[
                f"single_transformer_blocks.{number}.attn.{own}.weight"
            ]
    return named


def _encoder(width: int = tiny.WIDTH, projected: bool = False, **changes: Any) -> Any:
    """A text encoder of CLIP's real vocabulary."""
    settings = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        **changes,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(settings)


def _tokenizer(release: str, name: str = "tokenizer") -> Any:
    return checkpoints.clip_tokenizer(CONFIGS / release / name)


def _sd1(channels: int = 4) -> StableDiffusionPipeline:
    made: Any = tiny.MAKERS["sd15"]()
    return StableDiffusionPipeline(
        vae=made.vae,
        text_encoder=_encoder(),
        tokenizer=_tokenizer("sd1"),
        unet=tiny._unet(in_channels=channels),
        scheduler=made.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sd2() -> StableDiffusionPipeline:
    made: Any = tiny.MAKERS["sd21"]()
    return StableDiffusionPipeline(
        vae=made.vae,
        text_encoder=_encoder(hidden_act="gelu"),
        tokenizer=_tokenizer("sd2"),
        unet=made.unet,
        scheduler=made.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl(channels: int = 4) -> StableDiffusionXLPipeline:
    made: Any = tiny.MAKERS["sdxl"]()
    read = tiny._xl_unet(words=tiny.WIDTH + LARGER, ids=6)
    changes = {
        "in_channels": channels,
        "cross_attention_dim": tiny.WIDTH + LARGER,
        "projection_class_embeddings_input_dim": 6 * 8 + LARGER,
    }
    return StableDiffusionXLPipeline(
        vae=made.vae,
        text_encoder=_encoder(),
        text_encoder_2=_encoder(LARGER, projected=True, hidden_act="gelu"),
        tokenizer=_tokenizer("sdxl"),
        tokenizer_2=_tokenizer("sdxl", "tokenizer_2"),
        # What stands among the defaults would stay as it is.
        unet=type(read).from_config({**read.config, "_use_default_values": [], **changes}),
        scheduler=made.scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def _t5() -> tuple[Any, Any]:
    tokenizer = tiny._t5_tokenizer()
    settings = T5Config(**{**tiny._t5_config(tokenizer).to_dict(), "d_model": T5_WIDTH})
    return T5EncoderModel(settings), tokenizer


def _sd35() -> StableDiffusion3Pipeline:
    made: Any = tiny.MAKERS["sd35"]()
    encoder, tokenizer = _t5()
    settings = {
        **made.transformer.config,
        "num_layers": 2,
        "joint_attention_dim": T5_WIDTH,
        "pooled_projection_dim": tiny.WIDTH + LARGER,
    }
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel.from_config(settings),
        scheduler=made.scheduler,
        vae=made.vae,
        text_encoder=_projecting_nothing(_encoder(projected=True)),
        tokenizer=_tokenizer("sd35-large"),
        text_encoder_2=_encoder(LARGER, projected=True, hidden_act="gelu"),
        tokenizer_2=_tokenizer("sd35-large", "tokenizer_2"),
        text_encoder_3=encoder,
        tokenizer_3=tokenizer,
    )


def _projecting_nothing(module: Any) -> Any:
    """As the first text encoder of every Stable Diffusion 3 is."""
    module.text_projection.weight.data = torch.eye(module.config.projection_dim)
    return module


def _flux() -> FluxPipeline:
    made: Any = tiny.MAKERS["flux-dev"]()
    encoder, tokenizer = _t5()
    settings = {**made.transformer.config, "joint_attention_dim": T5_WIDTH}
    return FluxPipeline(
        transformer=FluxTransformer2DModel.from_config(settings),
        scheduler=made.scheduler,
        vae=made.vae,
        text_encoder=_encoder(),
        tokenizer=_tokenizer("flux-dev"),
        text_encoder_2=encoder,
        tokenizer_2=tokenizer,
    )


def _of_flux(make: Callable[[Mapping[str, Any]], Any]) -> Any:
    """A pipeline of which some parts are those of FLUX.1."""
    made: Any = tiny.MAKERS["flux-dev"]()
    return make(made.components)


Parts = Mapping[str, tuple[str, Callable[[Any], Tensors]]]

SD1: Parts = {
    "unet": ("model.diffusion_model.", unet),
    "vae": ("first_stage_model.", vae),
    "text_encoder": ("cond_stage_model.transformer.", clip),
}
SDXL: Parts = {
    **SD1,
    "text_encoder": ("conditioner.embedders.0.transformer.", clip),
    "text_encoder_2": ("conditioner.embedders.1.model.", open_clip),
}

MAKERS: Mapping[str, tuple[Callable[[], Any], Parts]] = {
    "sd1": (_sd1, SD1),
    "sd2": (_sd2, {**SD1, "text_encoder": ("cond_stage_model.model.", open_clip)}),
    "sdxl": (_sdxl, SDXL),
    "sd35": (
        _sd35,
        {
            "transformer": ("model.diffusion_model.", sd3),
            "vae": ("first_stage_model.", vae),
            "text_encoder": ("text_encoders.clip_l.transformer.", clip),
            "text_encoder_2": ("text_encoders.clip_g.transformer.", clip),
            "text_encoder_3": ("text_encoders.t5xxl.transformer.", lambda module: dict(module.state_dict())),
        },
    ),
    "flux": (
        _flux,
        {
            "transformer": ("model.diffusion_model.", flux),
            "vae": ("vae.", vae),
            "text_encoder": ("text_encoders.clip_l.transformer.", clip),
            "text_encoder_2": ("text_encoders.t5xxl.transformer.", lambda module: dict(module.state_dict())),
        },
    ),
    "inpainting": (lambda: _sd1(channels=9), SD1),
    "inpainting-xl": (lambda: _sdxl(channels=9), SDXL),
    "chroma": (
        lambda: _of_flux(tiny_families.chroma_hd),
        {
            "transformer": ("model.diffusion_model.", chroma),
            "vae": ("vae.", vae),
            "text_encoder": ("text_encoders.t5xxl.transformer.", lambda module: dict(module.state_dict())),
        },
    ),
    "zimage": (
        lambda: _of_flux(tiny_families.z_image),
        {
            "transformer": ("model.diffusion_model.", z_image),
            "vae": ("vae.", vae),
            "text_encoder": ("text_encoders.qwen3_4b.transformer.model.", lambda module: dict(module.state_dict())),
        },
    ),
}
"""By their names: what makes the pipeline, and what each of its networks is called in a file."""


def build(folder: Path, *names: str) -> Path:
    """Write each as one file, NAME.safetensors, as a diffusers folder, NAME, and its configurations alone, NAME-config.

    All of them where no names are given. Returns the folder.
    """
    torch.manual_seed(0)
    for name in names or MAKERS:
        make, parts = MAKERS[name]
        pipeline = make()
        pipeline.save_pretrained(folder / name)
        write(folder / f"{name}.safetensors", tensors_of(pipeline, parts))
        _configurations(folder / name, folder / f"{name}-config")
    return folder


def tensors_of(pipeline: Any, parts: Parts) -> Tensors:
    """All of a pipeline's weights as one file has them."""
    found: Tensors = {}
    for part, (before, named) in parts.items():
        found |= {f"{before}{name}": tensor for name, tensor in named(getattr(pipeline, part)).items()}
    return found


def write(file: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file of these, each with its own memory."""
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, file, metadata=metadata)
    return file


def _configurations(folder: Path, place: Path) -> None:
    """What a folder of `families/configs` has, of these sizes: no weights, of CLIP's tokenizers the settings alone."""
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer*"))
    for tokenizer in folder.glob("tokenizer*"):
        settings = json.loads((tokenizer / "tokenizer_config.json").read_text())
        if settings["tokenizer_class"] == "CLIPTokenizer":
            (place / tokenizer.name).mkdir()
            kept = {name: settings[name] for name in ("tokenizer_class", "model_max_length", "pad_token")}
            (place / tokenizer.name / "tokenizer_config.json").write_text(json.dumps(kept))


def tiny_flux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let diffusers' converters of FLUX.1 and Chroma read tiny ones: the width is a number in their code."""
    for function in (
        converters.convert_flux_transformer_checkpoint_to_diffusers,
        converters.convert_chroma_transformer_checkpoint_to_diffusers,
    ):
        constants = tuple(FLUX_WIDTH if constant == 3072 else constant for constant in function.__code__.co_consts)
        assert constants != function.__code__.co_consts
        monkeypatch.setattr(function, "__code__", function.__code__.replace(co_consts=constants))
