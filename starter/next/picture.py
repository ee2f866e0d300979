"""The next set's picture model: a UNet on twelve latents, grown from today's, and what it is taught on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from starter.next.pictures import mark_of, paint_all, sample_tableaux
from starter.next.tableau import Tableau
from starter.next.vae import LATENTS, SIDE
from starter.train.loop import autocast
from starter.train.picture import BLENDS, Unet, new_unet
from starter.train.vae import Vae, latents_of


@torch.no_grad()
def grown_unet(known: Unet) -> Unet:
    """A UNet on twelve latents that at first paints the first four as the known one does, blind to the others."""
    config = known.config
    unet = new_unet(tuple(config.block_out_channels), config.layers_per_block, config.cross_attention_dim, LATENTS)
    new = unet.state_dict()
    for name, weight in known.state_dict().items():
        if name == "conv_in.weight":
            new[name].zero_()
            new[name][:, : weight.shape[1]] = weight
        elif name.startswith("conv_out."):
            new[name].zero_()
            new[name][: len(weight)] = weight
        else:
            new[name].copy_(weight)
    unet.load_state_dict(new)
    return unet


def picture_tableaux(easy: int, full: int, signed: int, large: int) -> dict[str, list[Tableau]]:
    """What is shown: single large things with a sign now and then, the whole world, more of it with signs, and those
    that are shown at twice the size.

    Half of the whole world are pictures of several things, and every fifth carries a sign. To spell takes the most
    practice, so most of those that come beside it carry one.
    """
    sizes, kinds = ("medium", "large"), (1, 1, 1, 2, 2, 3)
    return {
        "easy": sample_tableaux(
            easy, seed=121, kinds=(1,), counts=(1,), sizes=sizes, word_share=0.1, blend_share=BLENDS, aligned=True
        ),
        "full": sample_tableaux(full, seed=122, kinds=kinds, word_share=0.2, blend_share=BLENDS, aligned=True),
        "signed": sample_tableaux(signed, seed=124, kinds=(1, 1, 2), word_share=0.7, blend_share=BLENDS, aligned=True),
        "large": sample_tableaux(large, seed=123, kinds=kinds, word_share=0.2, blend_share=BLENDS, aligned=True),
    }


def keep_latents(path: Path, vae: Vae, tableaux: Sequence[Tableau], side: int = SIDE, part: int = 256) -> torch.Tensor:
    """The scaled latents of the tableaux as pictures of this side in pixels, float16, (n, 12, side / 8, side / 8); from
    the file as far as they are there and this VAE's.

    Painting and encoding cost more than training on them; the file grows by parts, so that a stop loses little.
    """
    mark = float(vae.encoder.conv_in.weight.detach().double().abs().sum())
    scale = float(vae.config.scaling_factor)
    kept = torch.empty(0)
    if path.exists():
        stored = torch.load(path, weights_only=True)
        shown = tableaux[: len(stored["latents"])]
        if stored["mark"] == mark and stored.get("shown") == mark_of(shown):
            kept = stored["latents"]
    path.parent.mkdir(parents=True, exist_ok=True)
    while len(kept) < len(tableaux):
        painted = paint_all(tableaux[len(kept) : len(kept) + part], side)
        # Half of the time, for an error of half a per cent.
        with autocast(next(vae.parameters()).device):
            latents = latents_of(vae, painted) * scale
        kept = torch.cat([kept.half(), latents.cpu().half()]) if len(kept) else latents.cpu().half()
        stored = {"latents": kept, "mark": mark, "shown": mark_of(tableaux[: len(kept)])}
        torch.save(stored, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return kept
