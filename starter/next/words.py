"""The text half of the next set's picture model: a tokenizer of both languages, and a tower grown from today's."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from starter.captions import Shares
from starter.next.captions import caption, caption_zh, chinese_words
from starter.next.pictures import sample_tableaux
from starter.next.tableau import Tableau
from starter.train.text import new_text_encoder, tokenizer_from

POSITIONS = 48
LAYERS = 3
# Some captions leave a thing open, so that a colour means the same whatever it is that has it.
SHARES = Shares(thing=0.85)
CHINESE = 0.4


def new_tokenizer(sentences: int = 12_000) -> CLIPTokenizer:
    """A CLIP tokenizer whose words are those of all captions; what stands on signs is spelt out, as it is painted."""
    rng = random.Random(105)
    drawn = sample_tableaux(sentences, seed=105, word_share=0.2, neon_share=0.05)
    # A figure in the place of every sign's word: the trainer would make one token of what is often said.
    plain = [replace(tableau, word=tableau.word and "1") for tableau in drawn]
    return tokenizer_from([caption(tableau, rng) for tableau in plain], chinese_words(), POSITIONS)


def say(tableau: Tableau, rng: random.Random, style: float = SHARES.style) -> str:
    """A random way to ask for the tableau in one of the two languages; so often its style is named."""
    return (caption_zh if rng.random() < CHINESE else caption)(tableau, rng, replace(SHARES, style=style))


@torch.no_grad()
def grown_text_encoder(
    tokenizer: CLIPTokenizer, known: CLIPTextModel, known_tokenizer: CLIPTokenizer, layers: int = LAYERS
) -> CLIPTextModel:
    """A text tower for the new tokenizer that at first says of known words what the known tower says.

    Words go by their text, whatever their numbers; layers that it has more begin by changing nothing.
    """
    config = known.config
    tower = new_text_encoder(tokenizer, config.hidden_size, layers, POSITIONS)
    new, old = tower.state_dict(), known.state_dict()
    numbers = known_tokenizer.get_vocab()
    for name, weight in old.items():
        into = new[name]
        if "token_embedding" in name:
            for word, number in tokenizer.get_vocab().items():
                if word in numbers:
                    into[number] = weight[numbers[word]]
        elif "position_embedding" in name:
            into[: len(weight)] = weight
        else:
            into.copy_(weight)
    tower.load_state_dict(new)
    added: Any = tower.encoder.layers[config.num_hidden_layers :]
    for layer in added:
        for last in (layer.self_attn.out_proj, layer.mlp.fc2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    return tower
