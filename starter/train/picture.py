"""The picture stage: the UNet that paints latents from words, and the text tower trained along with it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from starter.captions import Shares, caption
from starter.train.diffusing import noised
from starter.train.loop import autocast
from starter.train.pictures import render_all, sample_scenes
from starter.train.text import tokenize
from starter.train.vae import Vae, latents_of
from starter.world import Scene

GRID = 16
# Some captions leave the thing open, so that a colour means the same whatever it is that has it.
SHARES = Shares(thing=0.82)
# The share of training scenes in colours without a name, said without one. They show each thing's shape apart from
# its colours, which is what a pair of thing and colour that was never seen must be composed from.
BLENDS = 0.2
# This share of the batches is of pictures twice as large under little noise: what a second pass of `hires` sees. They
# need not be composed any more, and a network that never saw them composes the whole once again in every corner.
LARGE, LARGE_TIMES = 0.3, 700
# How much it counts that the text tower knows which letter of a sign is the first, and which the last.
SPELLING = 0.1
# How much it counts that the noun of each thing knows its colour.
BINDING = 0.1
# How much it counts at first that the UNet's features tell what stands where; nothing at the end.
READING = 0.1
Unet = Any  # A UNet2DConditionModel. Its own annotations hide its methods from mypy.
# The noise every part agrees on: what is trained here is what the exported scheduler must sample.
NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}


def new_unet(
    channels: tuple[int, int, int] = (96, 128, 128), layers: int = 1, words: int = 128, latents: int = 4
) -> Unet:
    """An untrained UNet: words come in at the 8x8 and 4x4 levels; residual branches start at nothing.

    Attention at the 16x16 level too would cost half of all samples in the same time.
    """
    unet: Unet = UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=GRID,
        in_channels=latents,
        out_channels=latents,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=layers,
        cross_attention_dim=words,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    for name, parameter in unet.named_parameters():
        # Starting every residual branch at zero makes the first thousand steps count.
        if any(part in name for part in ("conv2.", "to_out.0.", "ff.net.2.", "conv_out.")):
            nn.init.zeros_(parameter)
    return unet


def encode_scenes(vae: Vae, scenes: list[Scene], scale: float, side: int = 64) -> torch.Tensor:
    """The scenes' scaled latents, float16, (n, 4, side / 4, side / 4)."""
    return (latents_of(vae, render_all(scenes, side)) * scale).half()


def ask(scene: Scene, rng: random.Random) -> str:
    """A random way to ask for the scene, as the picture model is taught."""
    return caption(scene, rng, SHARES)


S = TypeVar("S")


class PictureStage(Generic[S]):
    """Trains UNet and text tower together on cached latents, v-prediction with zero terminal SNR.

    Curriculum: `easy` (single medium and large things) alone until `mix_from` of the budget, then three of four
    scenes are of the `full` world (all counts and sizes). From `enlarge_from` on, some batches are of `large` ones.
    """

    name = "picture"
    ema_decay = 0.999
    warm_steps = 200
    mix_from = 0.2
    enlarge_from = 0.8

    def __init__(
        self,
        device: torch.device,
        unet: Unet,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        easy: tuple[list[S], torch.Tensor],
        full: tuple[list[S], torch.Tensor],
        large: tuple[list[S], torch.Tensor],
        batch: int = 64,
        rate: float = 1.5e-3,
        *,
        say: Callable[[S, random.Random], str],
        cover: Callable[[Sequence[S], int], torch.Tensor],
        spelling: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        binding: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        readings: nn.Module | None = None,
    ) -> None:
        """`say` asks for a scene in random words; `cover` says where things are on a grid, and how much they count:
        (n, 1, grid, grid). `spelling` is what of the letters of signs is lost in the text tower's states, if given: a
        number from tokens, (n, positions), and their states, (n, positions, width); `binding` likewise of which colour
        is whose. `readings` is what is lost of what stands where in the UNet's features on its way back to the full
        grid, if given: a number from these, (n, width, grid, grid), the numbers of the scenes, (n,), and how much of
        each was noise, (n,); it is trained along."""
        parts = {"unet": unet, "text_encoder": text_encoder} | ({"readings": readings} if readings else {})
        self.model: nn.Module = nn.ModuleDict(parts).to(device)
        self.readings = readings
        self.unet, self.text_encoder, self.tokenizer = unet, text_encoder, tokenizer
        self.batch, self.rate, self.device, self.say = batch, rate, device, say
        self.spelling, self.binding = spelling, binding
        self.scenes = easy[0] + full[0]
        self.easy = len(easy[0])
        self.latents = torch.cat([easy[1], full[1]]).to(device)
        self.large_scenes, self.large_latents = large[0], large[1].to(device)
        masks = cover(self.scenes, GRID).to(device)
        # The thing is learnt last and covers little of the picture: its cells weigh more, the more the smaller it is.
        share = (masks > 0).float().mean((1, 2, 3), keepdim=True)
        self.weights = (1 + masks * (0.5 / share).clamp(max=4.0)).half()
        noise: Any = DDIMScheduler(**NOISE)  # type: ignore[no-untyped-call]
        self.alphas: torch.Tensor = noise.alphas_cumprod.to(device)

    def groups(self) -> list[dict[str, Any]]:
        return [
            {"params": list(self.unet.parameters()), "lr": self.rate},
            {"params": list(self.text_encoder.parameters()), "lr": 0.3 * self.rate},
            *([{"params": list(self.readings.parameters()), "lr": self.rate}] if self.readings else []),
        ]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        late = progress >= self.enlarge_from
        if late and float(torch.rand(1, generator=generator, device=self.device)) < LARGE:
            return self._loss_of_large(generator)
        chosen = self._choose(generator, progress)
        noisy, times, target = noised(self.latents[chosen].float(), self.alphas, generator)
        scenes = [self.scenes[number] for number in chosen.tolist()]
        weights = self.weights[chosen].float()
        words = self._words(generator, scenes)
        states = self._states(words)
        with self._features() as features:
            error = (self._predicted(noisy, times, states) - target).square()
        loss = (error * weights).sum() / (weights.sum() * error.shape[1])
        told = {"loss": float(loss.detach()), "plain": float(error.detach().mean())}
        if self.spelling is not None:
            lost = self.spelling(words, states)
            loss, told = loss + SPELLING * lost, told | {"spelling": float(lost.detach())}
        if self.binding is not None:
            lost = self.binding(words, states)
            loss, told = loss + BINDING * lost, told | {"binding": float(lost.detach())}
        if self.readings is not None:
            lost = self.readings(features[0].float(), chosen, 1 - self.alphas[times])
            loss, told = loss + READING * (1 - progress) * lost, told | {"readings": float(lost.detach())}
        return loss, told

    @contextmanager
    def _features(self) -> Iterator[list[torch.Tensor]]:
        """What the UNet's level with words hands to the full grid, by each of its passes."""
        kept: list[torch.Tensor] = []
        with self.unet.up_blocks[1].register_forward_hook(lambda _block, _given, made: kept.append(made)):
            yield kept

    def _loss_of_large(self, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        count = len(self.large_scenes)
        # A quarter as many, which take as long as a batch of the others.
        chosen = torch.randint(count, (max(1, self.batch // 4),), generator=generator, device=self.device)
        latents = self.large_latents[chosen].float()
        noisy, times, target = noised(latents, self.alphas[:LARGE_TIMES], generator)
        words = self._words(generator, [self.large_scenes[number] for number in chosen.tolist()])
        loss = (self._predicted(noisy, times, self._states(words)) - target).square().mean()
        return loss, {"large": float(loss.detach())}

    def _states(self, words: torch.Tensor) -> torch.Tensor:
        with autocast(self.device):
            states: torch.Tensor = self.text_encoder(words).last_hidden_state
        return states

    def _predicted(self, noisy: torch.Tensor, times: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        with autocast(self.device):
            predicted: torch.Tensor = self.unet(noisy, times, encoder_hidden_states=states).sample
        return predicted.float()

    def _choose(self, generator: torch.Generator, progress: float) -> torch.Tensor:
        chosen = torch.randint(self.easy, (self.batch,), generator=generator, device=self.device)
        if progress >= self.mix_from and len(self.scenes) > self.easy:
            whole = torch.arange(self.batch, device=self.device) % 4 != 0
            others = torch.randint(len(self.scenes) - self.easy, (self.batch,), generator=generator, device=self.device)
            # Spread over the batch, so that both kinds see all the noise times.
            chosen = torch.where(whole, self.easy + others, chosen)
        return chosen

    def _words(self, generator: torch.Generator, scenes: list[S]) -> torch.Tensor:
        seed = int(torch.randint(2**31, (1,), generator=generator, device=self.device))
        rng = random.Random(seed)
        texts = [self.say(scene, rng) for scene in scenes]
        # One in ten goes without words, for classifier-free guidance.
        texts = ["" if rng.random() < 0.1 else text for text in texts]
        return tokenize(self.tokenizer, texts).to(self.device)


def make_scenes(easy: int, full: int, large: int) -> tuple[list[Scene], list[Scene], list[Scene]]:
    """The training scenes: both halves of the curriculum, and those that are shown larger."""
    return (
        sample_scenes(easy, seed=21, counts=(1,), sizes=("medium", "large"), blend_share=BLENDS),
        sample_scenes(full, seed=22, blend_share=BLENDS),
        sample_scenes(large, seed=23, blend_share=BLENDS),
    )
