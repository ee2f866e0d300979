"""The next set's VAE: 128 px pictures to a 16x16 grid of twelve latents and back, with their outlines.

It is an ordinary AutoencoderKL of a factor of 8. It starts as what today's VAE of a factor of 4 makes of the picture at
half its size (`grown`): before the first step it keeps renders at 24 dB.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional as F

from starter.answers import Box
from starter.next.pictures import boxes_of, paint_all, sample_tableaux
from starter.next.tableau import Tableau
from starter.train.loop import autocast
from starter.train.pictures import to_signed
from starter.train.vae import Vae, latents_of, psnr, unevenness
from starter.world import STYLES

SIDE, CROP = 128, 64
CHANNELS, LATENTS = (24, 24, 48, 64), 12
# How strongly the first latents are held near today's, so that what today's picture model knows can be built upon.
HOLD = 0.2
# How much it counts that an edge is as strong as it was: errors of values alone are least where it is faint and wide.
STRENGTH = 0.6
# The same once the latents are settled: there are decibels to spare by then.
DECODER_STRENGTH = 4.0


def new_vae(channels: tuple[int, ...] = CHANNELS) -> Vae:
    """An untrained VAE of the next set's shape, whose residual branches start at nothing."""
    vae: Vae = AutoencoderKL(  # type: ignore[no-untyped-call]
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=8,
        sample_size=SIDE,
    )
    for name, parameter in vae.named_parameters():
        if "conv2." in name or "to_out.0." in name:
            nn.init.zeros_(parameter)
    return vae


@torch.no_grad()
def grown(smaller: Vae) -> Vae:
    """A VAE of one more halving and more latents that at first does what the smaller one does at half the size.

    The new outermost level halves by the mean and doubles by repetition; the new latents start with hardly any say.
    """
    channels = tuple(smaller.config.block_out_channels)
    vae = new_vae((channels[0], *channels))
    new, old = vae.state_dict(), smaller.state_dict()
    for name, weight in old.items():
        parts = name.split(".")
        if parts[1] == "down_blocks":
            # The decoder counts its levels from within, and keeps their numbers.
            parts[2] = str(int(parts[2]) + 1)
        into = new[".".join(parts)]
        if into.shape == weight.shape:
            into.copy_(weight)
    same = torch.eye(channels[0])
    for name, kernel in (
        ("encoder.down_blocks.0.downsamplers.0.conv", F.pad(torch.full((2, 2), 0.25), (0, 1, 0, 1))),
        (f"decoder.up_blocks.{len(channels) - 1}.upsamplers.0.conv", F.pad(torch.ones(1, 1), (1, 1, 1, 1))),
    ):
        # A tenth of the random start stays, or all its channels would learn the same.
        new[f"{name}.weight"].mul_(0.1).add_(same[:, :, None, None] * kernel)
        new[f"{name}.bias"].zero_()
    _grow_latents(new, old, before=smaller.config.latent_channels)
    vae.load_state_dict(new)
    return vae


def _grow_latents(new: dict[str, torch.Tensor], old: dict[str, torch.Tensor], before: int) -> None:
    """Fill the layers on both sides of the latents: those known lead, means as well as variances."""
    new["encoder.conv_out.weight"][before:LATENTS].mul_(3)
    for kind in ("weight", "bias"):
        for half in (0, 1):
            own = slice(half * LATENTS, half * LATENTS + before)
            new[f"encoder.conv_out.{kind}"][own] = old[f"encoder.conv_out.{kind}"][half * before : (half + 1) * before]
    for layer, halves in (("quant_conv", 2), ("post_quant_conv", 1)):
        weight, bias = new[f"{layer}.weight"], new[f"{layer}.bias"]
        weight.zero_()
        weight[range(len(weight)), range(len(weight))] = 1
        bias.zero_()
        for to in range(halves):
            rows, known = slice(to * LATENTS, to * LATENTS + before), slice(to * before, (to + 1) * before)
            bias[rows] = old[f"{layer}.bias"][known]
            for of in range(halves):
                columns = slice(of * LATENTS, of * LATENTS + before)
                weight[rows, columns] = old[f"{layer}.weight"][known, of * before : (of + 1) * before]
    # The new latents are nearly certain from the start, or their noise would hide what they could say.
    new["quant_conv.bias"][LATENTS + before :] = -8
    new["decoder.conv_in.weight"].mul_(0.3)
    new["decoder.conv_in.weight"][:, :before] = old["decoder.conv_in.weight"]
    new["decoder.conv_in.bias"].copy_(old["decoder.conv_in.bias"])


def vae_tableaux(number: int) -> list[Tableau]:
    """What the VAE trains on: the LoRA's style too, which it shall paint, and more cartoons than other styles.

    Their outlines are what is lost first; watercolours keep themselves.
    """
    drawn = sample_tableaux(number, seed=101, kinds=(1, 1, 2, 2, 3), word_share=0.18, neon_share=0.05)
    often = {"watercolour": (0, 1, 2), "pixel": (3,)}
    return [
        replace(tableau, style="cartoon") if place % 5 in often.get(tableau.style, ()) else tableau
        for place, tableau in enumerate(drawn)
    ]


class VaeStage:
    """Trains on crops about things and signs, four times as many as whole pictures cost, then on whole pictures.

    Beside the distance of the pictures, and of their edges above all, its latents are pulled to white noise, as in
    `starter.train.vae`, and the first of them to those of the VAE that it grew from.
    """

    name = "vae"
    ema_decay = 0.998
    warm_steps = 100
    crops_until = 0.6

    def __init__(
        self, device: torch.device, smaller: Vae, pictures: torch.Tensor, tableaux: Sequence[Tableau], batch: int = 8
    ) -> None:
        self.vae = grown(smaller).to(device)
        self.smaller = smaller.to(device).eval().requires_grad_(False)
        self.model: nn.Module = self.vae
        self.batch = batch
        self.pictures = pictures.to(device)
        self.boxes: list[list[Box]] = [boxes_of(tableau) for tableau in tableaux]

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.vae.parameters()), "lr": 1.2e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        target = self._batch(generator, progress)
        with autocast(target.device):
            posterior = self.vae.encode(target).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator, device=target.device)
            decoded = self.vae.decode(posterior.mean + posterior.std * noise).sample
        mean = posterior.mean.float()
        loss, figures = distance(decoded.float(), target)
        uneven = unevenness(mean)
        with torch.no_grad():
            held = self.smaller.encode(F.avg_pool2d(target, 2)).latent_dist.mode()
        drift = F.mse_loss(mean[:, : held.shape[1]], held)
        kl = posterior.kl().float().mean() / mean[0].numel()
        figures |= {"uneven": float(uneven.detach()), "drift": float(drift.detach())}
        return loss + 0.1 * uneven + HOLD * drift + 1e-6 * kl, figures

    def _batch(self, generator: torch.Generator, progress: float) -> torch.Tensor:
        device, cropped = self.pictures.device, progress < self.crops_until
        size = self.batch if cropped else max(1, self.batch * CROP**2 // SIDE**2)
        chosen = torch.randint(len(self.pictures), (size,), generator=generator, device=device)
        if not cropped:
            return to_signed(self.pictures[chosen])
        rng = random.Random(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        crops = []
        for number in chosen.tolist():
            x, y = _crop_at(self.boxes[number], rng)
            crops.append(self.pictures[number, :, y : y + CROP, x : x + CROP])
        return to_signed(torch.stack(crops))


def _crop_at(boxes: Sequence[Box], rng: random.Random) -> tuple[int, int]:
    """The left and top of a crop: four of five are about one of the boxes, the others anywhere."""
    if rng.random() < 0.2:
        return rng.randint(0, SIDE - CROP), rng.randint(0, SIDE - CROP)
    left, top, right, bottom = rng.choice(boxes)
    middle = ((left + right) / 2 * SIDE, (top + bottom) / 2 * SIDE)
    x, y = (round(at - CROP / 2 + rng.uniform(-24, 24)) for at in middle)
    return min(max(x, 0), SIDE - CROP), min(max(y, 0), SIDE - CROP)


def distance(
    decoded: torch.Tensor, target: torch.Tensor, strength: float = STRENGTH
) -> tuple[torch.Tensor, dict[str, float]]:
    """How far pictures from -1 to 1 are apart: their values, their edges, and their colours without the light.

    An edge that is off counts twice, absolute as well as squared: a squared error alone is least where it is blurred.
    `strength` is how much it counts that edges are as strong as they were.
    """
    error = decoded - target
    squared = error.square().mean((1, 2, 3))
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    edges = across.square().mean() + down.square().mean() + 0.5 * (across.abs().mean() + down.abs().mean())
    colour = error - error.mean(1, keepdim=True)
    tone = 2 * colour.square().mean() + 0.6 * colour.abs().mean()
    fainter = (_strength(decoded) - _strength(target)).abs().mean()
    loss = error.abs().mean() + 3 * squared.mean() + edges + tone + strength * fainter
    return loss, {"psnr": float(psnr(squared).mean()), "crisp": float(crispness(decoded.detach(), target).mean())}


def _strength(pictures: torch.Tensor) -> torch.Tensor:
    """How strong the edges are within every few pixels, wherever exactly they run."""
    across = pictures[..., :-1, 1:] - pictures[..., :-1, :-1]
    down = pictures[..., 1:, :-1] - pictures[..., :-1, :-1]
    return (F.avg_pool2d(across.square() + down.square(), 4, 2) + 1e-4).sqrt()


def crispness(pictures: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Each picture's gradient energy over that of the one that was wanted: (n,); 1 is as crisp, less is softer."""
    return edge_energy(pictures) / edge_energy(wanted)


def edge_energy(pictures: torch.Tensor) -> torch.Tensor:
    """Each picture's gradient energy: the mean square of the differences of neighbouring pixels, (n,)."""
    across, down = pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]
    return across.square().mean((1, 2, 3)) + down.square().mean((1, 2, 3))


class DecoderStage:
    """Goes on with the decoder alone on whole pictures: latents, and what was trained on them, stay as they are.

    A little noise on the latents teaches it to paint crisply from what the picture model makes, too.
    """

    name = "decoder"
    ema_decay = 0.997
    warm_steps = 50

    def __init__(self, device: torch.device, vae: Vae, pictures: torch.Tensor, batch: int = 3) -> None:
        self.vae = vae.to(device)
        self.model: nn.Module = nn.ModuleDict({"decoder": vae.decoder, "post_quant_conv": vae.post_quant_conv})
        self.batch = batch
        self.pictures = pictures.to(device)
        self.spread = float(latents_of(vae, self.pictures[:64]).std())

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 8e-4}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=generator, device=device)
        target = to_signed(self.pictures[chosen])
        amount = 0.06 * self.spread * torch.rand((self.batch, 1, 1, 1), generator=generator, device=device)
        with autocast(device):
            with torch.no_grad():
                latents = self.vae.encode(target).latent_dist.mode().float()
            noise = torch.randn(latents.shape, generator=generator, device=device)
            decoded = self.vae.decode(latents + amount * noise).sample
        return distance(decoded.float(), target, DECODER_STRENGTH)


RoundTrip = Callable[[torch.Tensor], torch.Tensor]
"""From pictures from -1 to 1, (n, 3, 128, 128), to what is left of them."""


def through(vae: Vae) -> RoundTrip:
    """The round trip through a VAE."""
    device = next(vae.parameters()).device

    def trip(pictures: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = vae.decode(vae.encode(pictures.to(device)).latent_dist.mode()).sample
        return decoded.clamp(-1, 1).cpu()

    return trip


@torch.no_grad()
def held_out_fidelity(trip: RoundTrip, number: int = 48) -> dict[str, float]:
    """Mean decibels (`db`) and crispness (`crisp`) over tableaux never seen, as many of each style; then by style."""
    drawn = sample_tableaux(number, seed=990_101, kinds=(1, 1, 2, 3), word_share=0.1)
    drawn = [replace(tableau, style=STYLES[place % len(STYLES)]) for place, tableau in enumerate(drawn)]
    wanted = to_signed(paint_all(drawn, SIDE))
    left = torch.cat([trip(batch) for batch in torch.split(wanted, 8)])
    each = {"db": psnr((left - wanted).square().mean((1, 2, 3))), "crisp": crispness(left, wanted)}
    figures = {name: float(values.mean()) for name, values in each.items()}
    for place, style in enumerate(STYLES):
        figures |= {f"{style}_{name}": float(values[place :: len(STYLES)].mean()) for name, values in each.items()}
    return figures
