"""The text half of the picture model: its tokenizer, its CLIP text tower, and the tower's short schooling.

The schooling teaches the tower to tell the attributes apart before any picture is seen, which spares the far
dearer picture training from having to discover them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from starter.captions import caption, chinese_words
from starter.judge import ATTRIBUTES
from starter.train.pictures import sample_scenes
from starter.world import Scene

POSITIONS = 32


def labels_of(scenes: list[Scene]) -> torch.Tensor:
    """The scenes' attributes as numbers, (n, 7), in the order of ATTRIBUTES."""
    rows = [[values.index(getattr(s, name)) for name, values in ATTRIBUTES.items()] for s in scenes]
    return torch.tensor(rows)


def new_tokenizer(sentences: int = 12_000) -> CLIPTokenizer:
    """A CLIP tokenizer whose words are those of the captions, English and Chinese; other text is spelt out."""
    rng = random.Random(5)
    scenes = sample_scenes(sentences, seed=5, word_share=0.05, neon_share=0.05)
    return tokenizer_from([caption(scene, rng) for scene in scenes], chinese_words())


def tokenizer_from(sentences: Sequence[str], chinese: Sequence[str]) -> CLIPTokenizer:
    """A CLIP tokenizer with the words of these English sentences, and each of these Chinese words, as single tokens."""
    like = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = like.normalizer
    tokenizer.pre_tokenizer = like.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Every byte also at a word's end, so that no text is unknown; told before, for the trainer numbers those that it
    # meets in another order every time, and a stage that goes on must know its words again.
    endings = [letter + "</w>" for letter in alphabet]
    trainer = trainers.BpeTrainer(
        special_tokens=["<|startoftext|>", "<|endoftext|>", *endings],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return tokenizer_of(tokenizer, chinese_merges(chinese))


def tokenizer_of(trained: Tokenizer, more: Sequence[tuple[str, str]] = ()) -> CLIPTokenizer:
    """A CLIP tokenizer with the words and the merges of this one, and further merges."""
    model = json.loads(trained.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    merges: Any = [(left, right) for left, right in model["merges"]] + list(more)
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=POSITIONS)


def chinese_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Merges that make each of the Chinese words one token, inside a run of text and at its end.

    Learning them would not do: Chinese has no spaces, so the merges would run across the words.
    """
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    characters = sorted({character for word in words for character in word})
    spelt = {character: bytes_of.pre_tokenize_str(character)[0][0] for character in characters}
    merges: dict[tuple[str, str], None] = {}
    for parts in [*(list(spelt[c]) for c in characters), *([spelt[c] for c in word] for word in words)]:
        made = parts[0]
        for number, part in enumerate(parts[1:], start=2):
            merges[made, part] = None
            if number == len(parts):
                merges[made, part + "</w>"] = None
            made += part
    return list(merges)


def new_text_encoder(
    tokenizer: CLIPTokenizer, width: int = 128, layers: int = 2, positions: int = POSITIONS
) -> CLIPTextModel:
    """An untrained text tower for that tokenizer."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token numbers, (n, positions), padded and cut exactly as the Stable Diffusion pipeline does it."""
    length = tokenizer.model_max_length
    batch = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    ids: torch.Tensor = batch.input_ids
    return ids


class TextStage:
    """Schools the text tower: from the mean of its states, name every attribute of the scene described."""

    name = "text"
    ema_decay = 0.99
    warm_steps = 50

    def __init__(self, device: torch.device, batch: int = 96, captions: int = 20_000) -> None:
        self.tokenizer = new_tokenizer()
        self.encoder = new_text_encoder(self.tokenizer)
        width = self.encoder.config.hidden_size
        heads = {name: nn.Linear(width, len(values)) for name, values in ATTRIBUTES.items()}
        self.model: nn.Module = nn.ModuleDict({"encoder": self.encoder, "heads": nn.ModuleDict(heads)}).to(device)
        self.heads = heads
        self.batch = batch
        rng = random.Random(6)
        scenes = sample_scenes(captions, seed=6)
        self.ids = tokenize(self.tokenizer, [caption(scene, rng) for scene in scenes]).to(device)
        self.labels = labels_of(scenes).to(device)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 1.5e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        chosen = torch.randint(len(self.ids), (self.batch,), generator=generator, device=self.ids.device)
        states = self.encoder(self.ids[chosen]).last_hidden_state.mean(1)
        labels = self.labels[chosen]
        total = torch.zeros((), device=states.device)
        figures = {}
        for column, name in enumerate(ATTRIBUTES):
            loss = F.cross_entropy(self.heads[name](states), labels[:, column])
            total = total + loss
            figures[name] = float(loss.detach())
        return total, figures
