"""Words as the tensors that a picture model reads: encoded once at batch 1, kept, and put together into batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL import Image

from inference.families.references import References
from inference.families.words import Weighing, Words
from inference.models import vectors
from inference.models.vectors import Vectors
from inference.protocol import chunks, plain_words, unbroken, weigh_words

if TYPE_CHECKING:
    from inference.models.weighting import Weigher

KEPT, KEPT_BYTES = 192, 256 * 2**20
"""Encoded prompts kept per model, and sides of them. An ordinary pair takes up to 5 MB, one of two thousand characters
ten times that."""

Encoded = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Beside:
    """Pictures that are shown beside words; equal to others of the same pixels."""

    pictures: tuple[Image.Image, ...] = field(compare=False)
    digests: tuple[str, ...]
    """Of each, what tells it from others."""


class _State(NamedTuple):
    """What words come to something else by."""

    adapters: Hashable
    embeddings: tuple[Vectors, ...]
    skipped: int


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
        state = _State(adapters, embeddings, skipped)
        key = prompt, negative if guided else "", guided, state, seen
        if (kept := self._find(key)) is not None:
            return kept
        with torch.no_grad(), vectors.standing_in(embeddings, self._readers()):
            if self._words.apart and seen is None:
                tensors = self._sides(prompt, negative, guided, state)
            else:
                tensors = self._read(prompt, negative, guided, seen)
        return self._keep(key, tensors)

    def require_fit(self, embedding: Vectors) -> None:
        """Raise ValueError where an embedding was made for other text encoders than those of the pipeline."""
        # One that a pipeline can do without is not there in a refiner.
        vectors.require_fit(embedding, [encoder for _, encoder, _ in self._readers()])

    def _readers(self) -> list[tuple[Any, Any, int]]:
        """The tokenizers and text encoders that read embeddings, each with its place among those of the family."""
        encoders = () if self._words.weighing is None else self._words.weighing.encoders
        pairs = [(getattr(self._pipeline, tokenizer), getattr(self._pipeline, one)) for tokenizer, one in encoders]
        return [(*pair, place) for place, pair in enumerate(pairs) if None not in pair]

    def _find(self, key: Hashable) -> Encoded | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: Hashable, tensors: Encoded) -> Encoded:
        self._kept[key] = tensors
        while len(self._kept) > KEPT or (len(self._kept) > 1 and self._kept_bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)
        return tensors

    def _kept_bytes(self) -> int:
        # What both sides of a prompt come to mostly holds their own tensors.
        kept = {id(tensor): tensor for encoded in self._kept.values() for tensor in encoded.values()}
        return sum(tensor.nbytes for tensor in kept.values())

    def _sides(self, prompt: str, negative: str, guided: bool, state: _State) -> Encoded:
        """Both sides, each read by itself or kept from when it was, with as many windows."""
        sides = [self._side(prompt, state, "")]
        if guided:
            sides.append(self._side(negative, state, "negative_"))
        if self._words.weighing is not None:
            longest = max(side["prompt_embeds"].shape[1] for side in sides)
            sides = [
                self._lengthened(side, text, longest, state)
                for side, text in zip(sides, (prompt, negative), strict=False)
            ]
        names = ("", "negative_")[: len(sides)]
        return {f"{which}{name}": one for which, side in zip(names, sides, strict=True) for name, one in side.items()}

    def _side(self, text: str, state: _State, which: str) -> Encoded:
        """The words of one side, under the names of the other where they are of the negative one."""
        # What stands for no words on the negative side is the pipeline's matter, and may be zeros.
        key = text, "" if text else which, state
        if (kept := self._find(key)) is not None:
            return kept
        read = self._read(text, "", guided=bool(key[1]), seen=None)
        tensors = {name.removeprefix(key[1]): tensor for name, tensor in read.items() if name.startswith(key[1])}
        if (weighing := self._words.weighing) is not None:
            earlier = state.skipped and (text or tensors["prompt_embeds"].any())
            if earlier or not self._is_plain(weighing, text):
                # What else there is stays, so that it is bit for bit what the pipeline would make of it.
                tensors["prompt_embeds"] = self._weigher(weighing, state).encode(weigh_words(text))
        return self._keep(key, tensors)

    def _lengthened(self, side: Encoded, text: str, length: int, state: _State) -> Encoded:
        """A side with windows of no words at its end, until it has this length in tokens."""
        states, weighing = side["prompt_embeds"], self._words.weighing
        if states.shape[1] == length or weighing is None:
            return side
        from inference.models.weighting import pad

        empty = self._weigher(weighing, state).empty() if text else states
        return {**side, "prompt_embeds": pad(states, empty, length)}

    def _weigher(self, weighing: Weighing, state: _State) -> Weigher:
        # Imported with the first prompt that needs it: compel takes a second that a start need not wait for.
        from inference.models.weighting import Weigher

        return Weigher(self._pipeline, weighing, state.skipped)

    def _read(self, prompt: str, negative: str, guided: bool, seen: Beside | None) -> Encoded:
        """What the pipeline itself makes of the words."""
        return self._encode_plain(unbroken(plain_words(prompt)), unbroken(plain_words(negative)), guided, seen)

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
