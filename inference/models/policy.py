"""How a picture model is kept in a card's memory and computed there: chosen from sizes, made thriftier where they were
not all.

Pure functions over numbers; `placement` measures a model and does to it what a policy says. Nothing that is chosen here
takes more from a picture than the VAE's tiles do: 8-bit weights, other kernels and drafts are the operator's choice
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from inference.catalog.entries import ModelEntry
from inference.catalog.fields import WHOLE_STEPS, Attention, Offload, Precision, Speed

OFFLOADS: tuple[Offload, ...] = get_args(Offload)
"""From the fastest to the thriftiest."""

TILE = 512
"""The side in pixels of the tiles that a VAE decodes, at most. Published VAEs name the size that they were trained
on, up to 1024, which would save nothing at that size."""

DECODING_NUMBERS = 2178
"""What decoding holds at once for each pixel, in numbers of the VAE's type. ComfyUI measured it for Stable Diffusion's
autoencoder, whose shape all families have kept."""
DENOISING_NUMBERS = 250
"""The same for a step of the denoiser, for each pixel of the batch: a rough upper bound over the families."""
GROUP_SHARE = 0.1
"""Of a model's largest part, what is on the device at once when its layers come and go."""
FORECAST_ORDER = 1
"""What a draft foretells follows a straight line through what was computed last and the time before."""
SKIPPED_OF = 2
"""Of so many of its steps one is foretold."""
BUDGET_SHARE = 0.7
"""Of the device's memory, what resident weights may take unless the operator says otherwise."""
RESERVED_BYTES = 750 * 10**6
"""CUDA's own, and the gaps between tensors."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How one model is kept and computed. Part of the recipe: tiles, kernels and weights decide last bits and more."""

    offload: Offload = "none"
    vae_tiling: bool = False
    attention: Attention = "sdpa"
    weights: Precision = "full"
    compile: bool = False
    channels_last: bool = False
    speed: Speed = "full"

    def device_bytes(self, parts: Mapping[str, int]) -> int:
        """How much of a model whose parts have these bytes is on the device at once, at most."""
        if self.offload == "none":
            return sum(parts.values())
        largest = max(parts.values(), default=0)
        return largest if self.offload == "model" else parts.get("vae", 0) + int(GROUP_SHARE * largest)

    def loads_like(self, other: Policy) -> bool:
        """Whether a model that was loaded for one can be used for the other: tiles and drafts are switches."""
        return replace(self, vae_tiling=other.vae_tiling, speed=other.speed) == other

    @property
    def recorded(self) -> dict[str, Any]:
        """What a recipe says of it."""
        kept = msgspec.to_builtins(self)
        if kept.pop("speed") == "full":
            return {"policy": kept}
        # Which steps were foretold follows from these, the sampler and the words.
        draft = {"method": "TaylorSeer", "order": FORECAST_ORDER, "whole_steps": WHOLE_STEPS, "skipped_of": SKIPPED_OF}
        return {"policy": {**kept, "speed": "draft"}, "draft": draft}

    @property
    def thrift(self) -> tuple[int, bool]:
        """Its place among the policies of one model, the thriftiest last."""
        return OFFLOADS.index(self.offload), self.vae_tiling


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a model takes of the device's memory, in bytes, when it paints its own size."""

    parts: Mapping[str, int]
    """The weights of each component."""
    denoising: int
    decoding: int
    tile: int
    """Decoding, in tiles."""

    def peak(self, policy: Policy) -> int:
        """The most that is taken at once under this policy."""
        held, decoding = policy.device_bytes(self.parts), self.tile if policy.vae_tiling else self.decoding
        if policy.offload == "none":
            return held + max(self.denoising, decoding)
        # When the VAE decodes, the other parts have left.
        return max(held + self.denoising, self.parts.get("vae", 0) + decoding)


def needs(entry: ModelEntry, parts: Mapping[str, int], number_bytes: int, vae_number_bytes: int) -> Needs:
    """What an entry's model takes whose parts have these bytes and whose tensors, and its VAE's, numbers of so many."""
    pixels = entry.width * entry.height
    sides = 2 if entry.guidance > 1 else 1
    decoding = DECODING_NUMBERS * vae_number_bytes
    return Needs(
        parts=parts,
        denoising=DENOISING_NUMBERS * number_bytes * pixels * entry.batch * sides,
        decoding=decoding * pixels,
        tile=decoding * min(pixels, TILE**2),
    )


def choose(entry: ModelEntry, needed: Needs, budget_bytes: int, memory_bytes: int) -> Policy:
    """The fastest policy that the entry allows and the device bears, else the thriftiest.

    Weights fit where what is on the device at once is within the budget for weights, and the whole where it is within
    the memory.
    """
    for policy in _allowed(entry):
        if fits(policy, needed, budget_bytes, memory_bytes):
            return policy
    return policy


def fits(policy: Policy, needed: Needs, budget_bytes: int, memory_bytes: int) -> bool:
    """Whether a device of this memory bears a model under this policy."""
    held = policy.device_bytes(needed.parts) <= budget_bytes
    return held and needed.peak(policy) + RESERVED_BYTES <= memory_bytes


def thriftier(policy: Policy, entry: ModelEntry, pixels: int, on_gpu: bool) -> Policy | None:
    """The next policy to try when pictures of this many pixels ran out of memory; None where there is none.

    Sliced attention is no step: torch's own never holds the whole matrix, so slicing it saves nothing.
    """
    for other in _allowed(entry):
        if other.offload == policy.offload:
            # What is no larger than a tile is decoded as one in any case.
            helps = other.vae_tiling and not policy.vae_tiling and pixels > TILE**2
        else:
            helps = on_gpu and other.thrift > policy.thrift and other.vae_tiling >= policy.vae_tiling
        if helps:
            return other
    return None


def skipped(steps: int) -> range:
    """The steps of so many, counted from 0, that a draft leaves out: every other, but for the first and the last."""
    return range(WHOLE_STEPS, steps - 1, SKIPPED_OF)


def in_words(policy: Policy) -> str:
    """What a thrifty policy does, for the operator."""
    moved = {"none": "", "model": "one part of the model at a time", "group": "one layer of the model at a time"}
    return " and ".join(filter(None, ("in tiles" if policy.vae_tiling else "", moved[policy.offload])))


def offloads(weights: Precision) -> tuple[Offload, ...]:
    """How a model with such weights can be kept, from the fastest to the thriftiest.

    The scales of NF4 are beside its weights, and do not come along where single layers come and go.
    """
    return OFFLOADS[:-1] if weights == "nf4" else OFFLOADS


def _allowed(entry: ModelEntry) -> Iterator[Policy]:
    """Every policy that an entry leaves open, from the fastest to the thriftiest."""
    for offload in offloads(entry.weights) if entry.offload is None else (entry.offload,):
        for tiling in (False, True) if entry.vae_tiling is None else (entry.vae_tiling,):
            yield Policy(
                offload=offload,
                vae_tiling=tiling,
                attention=entry.attention,
                weights=entry.weights,
                compile=entry.compile,
                channels_last=entry.channels_last,
                speed=entry.speed,
            )
