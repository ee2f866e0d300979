"""Words as the tensors that a picture model reads: encoded once at batch 1, kept, and put together into batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import torch

KEPT = 64
"""Encoded prompts kept per model; SD 3's are the largest, about 5 MB a pair."""

# What `encode_prompt` returns, in order, in every family: SD 1 and 2 return the first two, SDXL and SD 3 all four.
ARGUMENTS = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")

Encoded = dict[str, torch.Tensor]


class PromptEncoder:
    """The text encoders of one loaded pipeline, with what they encoded last."""

    def __init__(self, pipeline: Any, family: str) -> None:
        self._pipeline = pipeline
        # SD 3's signature asks for the prompts of its second and third encoder; None means the same words.
        self._further: dict[str, None] = {"prompt_2": None, "prompt_3": None} if family == "sd3" else {}
        self._kept: OrderedDict[Hashable, Encoded] = OrderedDict()

    def encode(self, prompt: str, negative: str, guided: bool, adapters: Hashable = ()) -> Encoded:
        """The pipeline's keyword arguments for these words, each tensor with a batch of 1.

        `guided` says whether the pipeline will also run the negative side (guidance above 1), `adapters` which LoRAs
        are at work: some change the text encoders too.
        Words beyond the text encoder's window are cut off, as diffusers does.
        """
        key = (prompt, negative if guided else "", guided, adapters)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with torch.no_grad():
            encoded = self._pipeline.encode_prompt(
                prompt=prompt,
                # None, not "": SDXL replaces an absent negative prompt by zeros, as it was trained.
                negative_prompt=negative or None,
                do_classifier_free_guidance=guided,
                num_images_per_prompt=1,
                device=self._pipeline._execution_device,
                **self._further,
            )
        tensors = {
            name: tensor
            for name, tensor in zip(ARGUMENTS, encoded, strict=False)
            if tensor is not None and (guided or not name.startswith("negative"))
        }
        self._kept[key] = tensors
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return tensors


def stack(encoded: Sequence[Encoded]) -> Encoded:
    """Several encodings, each of batch 1, as one batch."""
    return {name: torch.cat([each[name] for each in encoded]) for name in encoded[0]}
