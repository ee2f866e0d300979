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
from inference.models import vectors
from inference.models.vectors import Vectors
from inference.protocol import chunks, plain_words, unbroken, weigh_words

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

    def forget(self) -> None:
        """Give up all that was encoded so far."""
        self._kept.clear()

    def encode(
        self,
        prompt: str,
        negative: str,
        guided: bool,
        adapters: Hashable = (),
        embeddings: tuple[Vectors, ...] = (),
        skipped: int = 0,
        beside: Beside | None = None,
    ) -> Encoded:
        """The pipeline's keyword arguments for these words, each tensor with a batch of 1.

        Both prompts are as members write them (`protocol.weigh_words`), with the signs of these `embeddings`. `guided`
        says whether the pipeline will also run the negative side (guidance above 1), `adapters` which LoRAs are at
        work: some change the text encoders too; `skipped` how many layers earlier than usual their states are taken.
        `beside` are pictures that are seen with the words; some models read the one with the other.
        What the text encoders cannot read at once goes into further windows, both sides have as many, and batches can
        be made only of those with equally many; where words cannot be weighed, they are read without their weights and
        cut off, as diffusers does.
        """
        seen = None if self._read_with is None else beside
        key = (prompt, negative if guided else "", guided, adapters, embeddings, skipped, seen)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        with torch.no_grad(), vectors.standing_in(embeddings, self._readers()):
            tensors = self._encode_plain(unbroken(plain_words(prompt)), unbroken(plain_words(negative)), guided, seen)
            if self._words.weighing is not None:
                self._weigh(self._words.weighing, tensors, prompt, negative, skipped)
        self._kept[key] = tensors
        while len(self._kept) > KEPT or (len(self._kept) > 1 and self._kept_bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)
        return tensors

    def require_fit(self, embedding: Vectors) -> None:
        """Raise ValueError where an embedding was made for other text encoders than those of the pipeline."""
        # One that a pipeline can do without is not there in a refiner.
        vectors.require_fit(embedding, [encoder for _, encoder, _ in self._readers()])

    def _readers(self) -> list[tuple[Any, Any, int]]:
        """The tokenizers and text encoders that read embeddings, each with its place among those of the family."""
        encoders = () if self._words.weighing is None else self._words.weighing.encoders
        pairs = [(getattr(self._pipeline, tokenizer), getattr(self._pipeline, one)) for tokenizer, one in encoders]
        return [(*pair, place) for place, pair in enumerate(pairs) if None not in pair]

    def _kept_bytes(self) -> int:
        return sum(tensor.nbytes for encoded in self._kept.values() for tensor in encoded.values())

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

    def _weigh(self, weighing: Weighing, tensors: Encoded, prompt: str, negative: str, skipped: int) -> None:
        """Put the states of what is weighed, broken or long, or of an earlier layer, in the place of diffusers' own.

        The others stay, so that they are bit for bit what the pipeline would make of them.
        """
        sides = {"prompt_embeds": prompt, "negative_prompt_embeds": negative}
        sides = {name: text for name, text in sides.items() if name in tensors}
        # What stands for no words is diffusers' matter: for some models it is zeros.
        special = [
            name
            for name, text in sides.items()
            if not self._is_plain(weighing, text) or (skipped and (text or tensors[name].any()))
        ]
        if not special:
            return
        # Imported with the first prompt that needs it: compel takes a second that a start need not wait for.
        from inference.models.weighting import Weigher, pad

        weigher = Weigher(self._pipeline, weighing, skipped)
        tensors |= {name: weigher.encode(weigh_words(sides[name])) for name in special}
        longest = max(tensors[name].shape[1] for name in sides)
        for name, text in sides.items():
            tensors[name] = pad(tensors[name], weigher.empty() if text else tensors[name], longest)

    def _is_plain(self, weighing: Weighing, text: str) -> bool:
        """Whether nothing in it is weighed or broken and one window of each text encoder takes it all."""
        tokenizers = [getattr(self._pipeline, tokenizer) for tokenizer, _ in weighing.encoders]
        plain = all(part.weight == 1 for part in weigh_words(text)) and len(chunks(weigh_words(text))) == 1
        return plain and all(
            len(tokenizer(plain_words(text)).input_ids) <= tokenizer.model_max_length
            for tokenizer in tokenizers
            if tokenizer is not None
        )


def stack(encoded: Sequence[Encoded], words: Words) -> dict[str, Any]:
    """Several encodings, each of batch 1, as one batch: what pipelines that read words in this way are told."""
    return {name: words.together([each[name] for each in encoded]) for name in encoded[0]}
