"""Words as the tensors that a picture model reads: encoded once at batch 1, kept, and put together into batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import torch

from inference.catalog.entries import NEGATIVE_FAMILIES, Family
from inference.protocol import plain_words, weigh_words

KEPT, KEPT_BYTES = 64, 256 * 2**20
"""Encoded prompts kept per model. An ordinary pair takes up to 5 MB, one of two thousand characters ten times that."""

# What `encode_prompt` returns, in order: SD 1 and 2 return the first two, SDXL and SD 3 all four, Flux those that are
# not negative, and what its pipeline makes again by itself.
ARGUMENTS = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")

WEIGHED_FAMILIES: frozenset[Family] = frozenset({"sd1", "sd2", "sdxl"})
"""Those whose denoiser reads CLIP's states token by token; SD 3 mixes them with T5's, which cannot be weighed so, and
Flux reads T5's alone."""

Encoded = dict[str, torch.Tensor]


class PromptEncoder:
    """The text encoders of one loaded pipeline, with what they encoded last."""

    def __init__(self, pipeline: Any, family: Family) -> None:
        self._pipeline = pipeline
        self._family = family
        # SD 3's signature asks for the prompts of its second and third encoder; None means the same words.
        self._further: dict[str, Any] = {"prompt_2": None, "prompt_3": None} if family == "sd3" else {}
        if family == "flux":
            # As in Black Forest Labs' own code: the one that is told no guidance, schnell, reads half as much.
            self._further = {"max_sequence_length": 512 if pipeline.transformer.config.guidance_embeds else 256}
        self._kept: OrderedDict[Hashable, Encoded] = OrderedDict()

    def encode(self, prompt: str, negative: str, guided: bool, adapters: Hashable = ()) -> Encoded:
        """The pipeline's keyword arguments for these words, each tensor with a batch of 1.

        Both prompts are as members write them (`protocol.weigh_words`). `guided` says whether the pipeline will also
        run the negative side (guidance above 1), `adapters` which LoRAs are at work: some change the text encoders too.
        What the text encoders cannot read at once goes into further windows, both sides have as many, and batches can
        be made only of those with equally many; where words cannot be weighed, they are read without their weights and
        cut off, as diffusers does.
        """
        key = (prompt, negative if guided else "", guided, adapters)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with torch.no_grad():
            tensors = self._encode_plain(plain_words(prompt), plain_words(negative), guided)
            if self.weighs:
                self._weigh(tensors, prompt, negative)
        self._kept[key] = tensors
        while len(self._kept) > KEPT or (len(self._kept) > 1 and self._kept_bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)
        return tensors

    def _kept_bytes(self) -> int:
        return sum(tensor.nbytes for encoded in self._kept.values() for tensor in encoded.values())

    @property
    def weighs(self) -> bool:
        """Whether words can be weighed."""
        return self._family in WEIGHED_FAMILIES

    def _encode_plain(self, prompt: str, negative: str, guided: bool) -> Encoded:
        names, negated = [name for name in ARGUMENTS if not name.startswith("negative")], {}
        if self._family in NEGATIVE_FAMILIES:
            # None, not "": SDXL replaces an absent negative prompt by zeros, as it was trained.
            names, negated = [*ARGUMENTS], {"negative_prompt": negative or None, "do_classifier_free_guidance": guided}
        encoded = self._pipeline.encode_prompt(
            prompt=prompt,
            num_images_per_prompt=1,
            device=self._pipeline._execution_device,
            **negated,
            **self._further,
        )
        return {
            name: tensor
            for name, tensor in zip(names, encoded, strict=False)
            if tensor is not None and (guided or not name.startswith("negative"))
        }

    def _weigh(self, tensors: Encoded, prompt: str, negative: str) -> None:
        """Put the states of what is weighed or long in the place of diffusers' own.

        The others stay, so that they are bit for bit what the pipeline would make of them.
        """
        sides = {"prompt_embeds": prompt, "negative_prompt_embeds": negative}
        sides = {name: text for name, text in sides.items() if name in tensors}
        special = [name for name, text in sides.items() if not self._is_plain(text)]
        if not special:
            return
        # Imported with the first prompt that needs it: compel takes a second that a start need not wait for.
        from inference.models.weighting import Weigher, pad

        weigher = Weigher(self._pipeline, self._family)
        tensors |= {name: weigher.encode(weigh_words(sides[name])) for name in special}
        longest = max(tensors[name].shape[1] for name in sides)
        for name, text in sides.items():
            # What stands for no words is diffusers' matter: for some models it is zeros.
            tensors[name] = pad(tensors[name], weigher.empty() if text else tensors[name], longest)

    def _is_plain(self, text: str) -> bool:
        """Whether nothing in it is weighed and one window of each text encoder takes it all."""
        tokenizers = (self._pipeline.tokenizer, getattr(self._pipeline, "tokenizer_2", None))
        return all(part.weight == 1 for part in weigh_words(text)) and all(
            len(tokenizer(plain_words(text)).input_ids) <= tokenizer.model_max_length
            for tokenizer in tokenizers
            if tokenizer is not None
        )


def stack(encoded: Sequence[Encoded]) -> Encoded:
    """Several encodings, each of batch 1, as one batch."""
    return {name: torch.cat([each[name] for each in encoded]) for name in encoded[0]}
