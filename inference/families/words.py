"""How the pipelines of a family read words. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

POOLED = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
"""`Words.embeds` where a denoiser is told the gist of all words as well."""


def encode_both_sides(pipeline: Any, prompt: str, negative: str, guided: bool, **further: Any) -> Sequence[Any]:
    """What `encode_prompt` returns; where it is guided, of the negative prompt too. `further` is what it is told
    besides."""
    encoded: Sequence[Any] = pipeline.encode_prompt(
        prompt=prompt,
        # None, not "": SDXL replaces an absent negative prompt by zeros, as it was trained.
        negative_prompt=negative or None,
        do_classifier_free_guidance=guided,
        num_images_per_prompt=1,
        device=pipeline._execution_device,
        **further,
    )
    return encoded


def in_one(tensors: Sequence[torch.Tensor]) -> Any:
    """Words of several pictures, each with a batch of 1, as one tensor."""
    # Imported where it is used: who only reads the catalogue does without.
    import torch

    return torch.cat([*tensors])


def in_a_list(tensors: Sequence[torch.Tensor]) -> Any:
    """Words of several pictures as a list of (tokens, features): a pipeline that takes it pads nothing itself."""
    return [tensor for batch in tensors for tensor in batch.unbind()]


def one_after_another(names: Mapping[str, str], told: Mapping[str, Any]) -> dict[str, Any]:
    """`Words.between` of pipelines that keep the negative side before the other in one batch, under these names."""
    import torch

    return {
        called: torch.cat([told[side] for side in (f"negative_{name}", name) if side in told])
        for name, called in names.items()
        if name in told
    }


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """Text encoders whose states a denoiser reads token by token, so that a word can be given a weight."""

    encoders: tuple[tuple[str, str], ...]
    """Of each its tokenizer and itself, by the names of the pipeline's components; what is not there is left out."""
    states: str
    """Which of their states are read: a name of compel's `ReturnedEmbeddingsType`."""
    layer: int
    """Of which layer those are, counted from the end as others count them for clip skip: 1 is the last."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """How words become what a pipeline is told."""

    embeds: tuple[str | None, ...]
    """What the pipeline calls what `encode` returns, in order, None where it makes that again by itself. Those that
    begin with `negative` are of the negative side. `prompt_embeds`, (1, tokens, features), is always among them."""
    encode: Callable[[Any, str, str, bool], Sequence[Any]] = encode_both_sides
    """From the pipeline, a prompt, a negative one, which may be empty, and whether the negative side is run as well
    to tensors with a batch of 1, or None for what is not there."""
    together: Callable[[Sequence[torch.Tensor]], Any] = in_one
    """From one of the tensors of each picture of a batch, all of one shape, to what the pipeline is told of them."""
    apart: bool = False
    """Whether words come to the same on either side whatever stands on the other, but for no words on the negative one:
    then each side is kept by itself."""
    negative: bool = True
    """Whether it can look away from words. One that is told its guidance as a number has no second side."""
    weighing: Weighing | None = None
    """None where words cannot be weighed."""
    between: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    """From what the pipeline was told of words, batches by the names of `embeds`, to what its callback at the end of a
    step gives back so that others are followed from then on. None where its words cannot change between steps."""
