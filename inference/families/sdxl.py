"""Stable Diffusion XL, and its refiner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.families import sd1, unet
from inference.families.latents import Latents
from inference.families.record import UNET, Control, Family
from inference.families.releases import Release, Shapes, is_unet
from inference.families.samplers import DIFFUSION
from inference.families.training import Training
from inference.families.words import POOLED, Weighing, Words, one_after_another

if TYPE_CHECKING:
    import torch


def _of_kinds(pictures: Sequence[Sequence[Any]], modes: Sequence[int | None]) -> dict[str, Any]:
    # One of each kind at once; of each, a picture for each of the batch.
    return {"control_image": [[*each] for each in pictures], "control_mode": [*modes]}


def _of_one_or_more(networks: Sequence[Any]) -> Any:
    # One network looks at all of its kinds together, as it was trained.
    return networks[0] if all(network is networks[0] for network in networks) else [*networks]


def _told(shapes: Shapes) -> bool:
    # Three levels of blocks: its refiner and Stable Diffusion 2's unCLIP, which are conditioned too, have four.
    return is_unet(shapes, conditioned=True, projections=2) and not any(
        name.startswith("input_blocks.9.") for name in shapes
    )


def _predict(pipeline: Any, noisy: torch.Tensor, times: torch.Tensor, words: Mapping[str, Any]) -> torch.Tensor:
    # Its size as it was and as it is, and nothing cut off: what its pipeline says of what it paints.
    height, width = (side * pipeline.vae_scale_factor for side in noisy.shape[-2:])
    sizes = noisy.new_tensor([height, width, 0, 0, height, width]).expand(len(noisy), -1)
    return unet.predict(
        pipeline, noisy, times, words, {"text_embeds": words["pooled_prompt_embeds"], "time_ids": sizes}
    )


FAMILY = Family(
    name="sdxl",
    pipeline="StableDiffusionXLPipeline",
    settings={"add_watermarker": False},
    guidance_rescale=True,
    control=Control(
        pipeline="StableDiffusionXLControlNetPipeline",
        alike={"global_pool_conditions": False},
        union=Control(
            pipeline="StableDiffusionXLControlNetUnionPipeline",
            network="ControlNetUnionModel",
            told=_of_kinds,
            together=_of_one_or_more,
            alike={"global_pool_conditions": False},
            kinds="num_control_type",
        ),
    ),
    inpaint="StableDiffusionXLInpaintPipeline",
    refiner="StableDiffusionXLImg2ImgPipeline",
    denoiser=UNET,
    words=Words(
        embeds=POOLED,
        apart=True,
        weighing=Weighing(
            # The refiner has the second one alone.
            encoders=(("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")),
            states="PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED",
            layer=2,
        ),
        between=partial(
            one_after_another, {"prompt_embeds": "prompt_embeds", "pooled_prompt_embeds": "add_text_embeds"}
        ),
    ),
    latents=Latents(upcast=True),
    samplers=DIFFUSION,
    size_multiple=8,
    releases=(
        Release(
            title="Stable Diffusion XL",
            config="sdxl",
            told=_told,
            parts={
                **sd1.FAMILY.releases[0].parts,
                "text_encoder": ("conditioner.embedders.0.transformer.",),
                "text_encoder_2": ("conditioner.embedders.1.model.",),
            },
            defaults={
                "width": 1024,
                "height": 1024,
                "min_size": 512,
                "max_size": 1536,
                "max_pixels": 1572864,
                "steps": 30,
                "guidance": 6,
                "sampler": "DPM++ 2M Karras",
                "decoder": "taesdxl",
            },
            by_name={
                "turbo": {
                    "steps": 4,
                    "max_steps": 8,
                    "guidance": 0,
                    "max_guidance": 0,
                    "sampler": "Euler a",
                    "negative": False,
                }
            },
        ),
    ),
    training=Training(
        learns="noise",
        predict=_predict,
        layers=unet.LINEAR,
        textures=unet.CONVOLUTIONS,
        encoders=("text_encoder", "text_encoder_2"),
        steps=1500,
        base="sdxl_base_v1-0",
        architecture="stable-diffusion-xl-v1-base",
        original_names=True,
    ),
    fits_lora=sd1.FAMILY.fits_lora,
)
