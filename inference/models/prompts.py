"""Words as the tensors that a picture model reads: encoded once at batch 1, kept, and put together into batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from inference.families.references import References
from inference.families.words import Weighing, Words
from inference.protocol import plain_words, weigh_words

KEPT, KEPT_BYTES = 64, 256 * 2**20
"""Encoded prompts kept per model. An ordinary pair takes up to 5 MB, one of two thousand characters ten times that."""

Encoded = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Beside:
    """Pictures that are shown beside words; equal to others of the same pixels."""

    pictures: tuple[Image.Image, ...] = field(compare=False)
    digests: tuple[str, ...]
    """Of each, what tells it from others."""


class PromptEncoder:
    """The text encoders of one loaded pipeline, with what they encoded last."""

    def __init__(self, pipeline: Any, words: Words, references: References | None = None) -> None:
        """`words` is how pipelines of its family read them, `references` what they do with pictures beside them."""
        self._pipeline = pipeline
        self._words = words
        self._read_with = None if references is None else references.encode
        self._kept: OrderedDict[Hashable, Encoded] = OrderedDict()

    def encode(
        self, prompt: str, negative: str, guided: bool, adapters: Hashable = (), beside: Beside | None = None
    ) -> Encoded:
        """The pipeline's keyword arguments for these words, each tensor with a batch of 1.

        Both prompts are as members write them (`protocol.weigh_words`). `guided` says whether the pipeline will also
        run the negative side (guidance above 1), `adapters` which LoRAs are at work: some change the text encoders too.
        `beside` are pictures that are seen with the words; some models read the one with the other.
        What the text encoders cannot read at once goes into further windows, both sides have as many, and batches can
        be made only of those with equally many; where words cannot be weighed, they are read without their weights and
        cut off, as diffusers does.
        """
        seen = None if self._read_with is None else beside
        key = (prompt, negative if guided else "", guided, adapters, seen)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with torch.no_grad():
            tensors = self._encode_plain(plain_words(prompt), plain_words(negative), guided, seen)
            if self._words.weighing is not None:
                self._weigh(self._words.weighing, tensors, prompt, negative)
        self._kept[key] = tensors
        while len(self._kept) > KEPT or (len(self._kept) > 1 and self._kept_bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)
        return tensors

    def _kept_bytes(self) -> int:
        return sum(tensor.nbytes for encoded in self._kept.values() for tensor in encoded.values())

    @property
    def weighs(self) -> bool:
        """Whether words can be weighed."""
        return self._words.weighing is not None

    def _encode_plain(self, prompt: str, negative: str, guided: bool, seen: Beside | None) -> Encoded:
        if seen is None or self._read_with is None:
            encoded = self._words.encode(self._pipeline, prompt, negative, guided)
        else:
            encoded = self._read_with(self._pipeline, prompt, negative, guided, seen.pictures)
        return {
            name: tensor
            for name, tensor in zip(self._words.embeds, encoded, strict=False)
            if name is not None and tensor is not None and (guided or not name.startswith("negative"))
        }

    def _weigh(self, weighing: Weighing, tensors: Encoded, prompt: str, negative: str) -> None:
        """Put the states of what is weighed or long in the place of diffusers' own.

        The others stay, so that they are bit for bit what the pipeline would make of them.
        """
        sides = {"prompt_embeds": prompt, "negative_prompt_embeds": negative}
        sides = {name: text for name, text in sides.items() if name in tensors}
        special = [name for name, text in sides.items() if not self._is_plain(weighing, text)]
        if not special:
            return
        # Imported with the first prompt that needs it: compel takes a second that a start need not wait for.
        from inference.models.weighting import Weigher, pad

        weigher = Weigher(self._pipeline, weighing)
        tensors |= {name: weigher.encode(weigh_words(sides[name])) for name in special}
        longest = max(tensors[name].shape[1] for name in sides)
        for name, text in sides.items():
            # What stands for no words is diffusers' matter: for some models it is zeros.
            tensors[name] = pad(tensors[name], weigher.empty() if text else tensors[name], longest)

    def _is_plain(self, weighing: Weighing, text: str) -> bool:
        """Whether nothing in it is weighed and one window of each text encoder takes it all."""
        tokenizers = [getattr(self._pipeline, tokenizer) for tokenizer, _ in weighing.encoders]
        return all(part.weight == 1 for part in weigh_words(text)) and all(
            len(tokenizer(plain_words(text)).input_ids) <= tokenizer.model_max_length
            for tokenizer in tokenizers
            if tokenizer is not None
        )


def stack(encoded: Sequence[Encoded]) -> Encoded:
    """Several encodings, each of batch 1, as one batch."""
    return {name: torch.cat([each[name] for each in encoded]) for name in encoded[0]}
