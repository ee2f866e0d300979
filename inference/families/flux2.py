"""FLUX.2 klein, distilled and base: a transformer on rectified flow that paints from words, beside pictures or not.

Its pipeline begins with latents in four dimensions, has them as rows between its steps, and returns those of its
autoencoder; Easel keeps to the normalised patches of 2 by 2 that the transformer knows. (Black Forest Labs, 2026.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inference.families.latents import Latents, as_they_are
from inference.families.record import Denoiser, Family, load_class
from inference.families.references import References
from inference.families.samplers import FLOW
from inference.families.training import ATTENTION, Training
from inference.families.words import Words

if TYPE_CHECKING:
    import torch
    from PIL import Image


def _encode_words(pipeline: Any, prompt: str, negative: str, guided: bool) -> Sequence[Any]:
    # The distilled ones run no negative side, whatever the guidance.
    sides = (prompt, negative) if guided and not pipeline.config.is_distilled else (prompt,)
    return [pipeline.encode_prompt(side, device=pipeline._execution_device)[0] for side in sides]


def _pack(latents: torch.Tensor) -> torch.Tensor:
    """As rows: (batch, height x width, channels)."""
    packed: torch.Tensor = load_class(FAMILY.pipeline)._pack_latents(latents)
    return packed


def _unpack(latents: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return latents.permute(0, 2, 1).reshape(len(latents), -1, height, width)


def _encode_pixels(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    patches: torch.Tensor = load_class(FAMILY.pipeline)._patchify_latents(vae.encode(pixels).latent_dist.mode())
    mean, std = _spread(vae, patches)
    return (patches - mean) / std


def _decode_latents(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    latents = latents.to(vae.dtype)
    mean, std = _spread(vae, latents)
    whole = load_class(FAMILY.pipeline)._unpatchify_latents(latents * std + mean)
    pixels: torch.Tensor = vae.decode(whole, return_dict=False)[0]
    return pixels


def _spread(vae: Any, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, which the autoencoder keeps as those of a batch norm."""
    variance = vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps
    return vae.bn.running_mean.view(1, -1, 1, 1).to(latents), variance.sqrt().to(latents)


def _spacing(config: Mapping[str, Any], steps: int, height: int, width: int) -> dict[str, Any]:
    # Imported where they are used: who only reads the catalogue does without.
    import numpy as np
    from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

    return {"mu": compute_empirical_mu(height * width, steps), "sigmas": np.linspace(1.0, 1 / steps, steps)}


def _told(pictures: Sequence[Image.Image]) -> dict[str, Any]:
    return {"image": [*pictures]}


def _predict(pipeline: Any, noisy: torch.Tensor, times: torch.Tensor, words: Mapping[str, Any]) -> torch.Tensor:
    kind = load_class(FAMILY.pipeline)
    height, width = noisy.shape[-2:]
    predicted = pipeline.transformer(
        hidden_states=_pack(noisy),
        timestep=times / 1000,
        guidance=None,
        encoder_hidden_states=words["prompt_embeds"],
        txt_ids=kind._prepare_text_ids(words["prompt_embeds"]).to(noisy.device),
        img_ids=kind._prepare_latent_ids(noisy).to(noisy.device),
        return_dict=False,
    )[0]
    return _unpack(predicted, height, width)


FAMILY = Family(
    name="flux2",
    pipeline="Flux2KleinPipeline",
    denoiser=Denoiser(component="transformer", attention_backends=True),
    # A language model's states, at three depths; they cannot be weighed.
    words=Words(embeds=("prompt_embeds", "negative_prompt_embeds"), encode=_encode_words),
    latents=Latents(
        pack=_pack,
        given=as_they_are,
        unpack=_unpack,
        encode=_encode_pixels,
        decode=_decode_latents,
        patch=2,
        preview=16,
    ),
    references=References(most=4, told=_told, least_side=64),
    samplers=FLOW,
    spacing=_spacing,
    size_multiple=16,
    dtype="bfloat16",
    training=Training(
        learns="flow",
        predict=_predict,
        # Its single blocks have keys, queries, values and the first half of the rest in one.
        layers=(*ATTENTION, "to_qkv_mlp_proj", "attn.to_out"),
        base="flux2",
        architecture="flux-2-klein",
    ),
)
