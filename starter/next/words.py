"""The text half of the next set's picture model: a tokenizer of both languages, and a tower grown from today's."""

from __future__ import annotations

import random
import string
from dataclasses import replace
from typing import Any

import torch
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from starter.captions import COLOUR_WORDS, COLOURS_ZH, Shares, plural
from starter.next.captions import NOUNS, NOUNS_ZH, caption, caption_zh, chinese_words, vocabulary
from starter.next.tableau import THINGS, Tableau
from starter.train.text import chinese_merges, new_text_encoder
from starter.train.told import UNTOLD, cost
from starter.world import COLOURS

POSITIONS = 48
LAYERS = 3
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
# Some captions leave a thing open, so that a colour means the same whatever it is that has it.
SHARES = Shares(thing=0.85)
CHINESE = 0.4
# Which of several things is on the left Chinese says last ("…在…的左边"), where few tokens are left to know it.
CHINESE_OF_SEVERAL = 0.6


def new_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer of both languages: every word that a caption is made of is one token, and any other is spelt.

    Learnt merges would also join parts of words that stand on signs, and what joins letters hides them. So English
    words are found as wholes before anything is merged, and merges make Chinese words alone.
    """
    alphabet = sorted(ByteLevel.alphabet())
    # Every byte also at a word's end, so that no text is unknown.
    letters = [*SPECIAL, *(letter + "</w>" for letter in alphabet), *alphabet]
    merges: Any = chinese_merges(chinese_words())
    numbers = {token: number for number, token in enumerate(dict.fromkeys([*letters, *map("".join, merges)]))}
    tokenizer = CLIPTokenizer(vocab=numbers, merges=merges, model_max_length=POSITIONS)
    whole = [word for word in vocabulary() if word.isascii() and len(word) > 1]
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=True) for word in whole])
    return tokenizer


class Spelling:
    """What is lost of spelling in a text tower's states: each letter of a sign is to say which one it is, and which of
    its word, and the end of the text how many there are.

    A tower comes to know that by itself only late, for few cells of few pictures depend on it; that it says the place
    alone makes it forget the letter. They are said along fixed directions, so that nothing is learnt for them that is
    not in the tower.
    """

    def __init__(self, tokenizer: CLIPTokenizer, width: int, device: torch.device, longest: int = 5) -> None:
        numbers = tokenizer.get_vocab()
        self.inner, self.ends = (
            torch.tensor([numbers[letter + end] for letter in string.ascii_lowercase], device=device)
            for end in ("", "</w>")
        )
        self.end_of_text, self.longest = tokenizer.eos_token_id, longest
        directions = torch.empty(2 * longest + len(string.ascii_lowercase), width)
        nn.init.orthogonal_(directions, generator=torch.Generator().manual_seed(width))
        directions = directions.to(device)
        self.places, self.lengths = directions[:longest], directions[longest : 2 * longest]
        self.letters = directions[2 * longest :]

    def __call__(self, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy of tokens, (n, positions), with their states, (n, positions, width); 0 if nothing of
        them is spelt."""
        places = self.placed(ids)
        spelt = places >= 0
        if not spelt.any():
            return states.new_zeros(())
        said, letter = states[spelt].float(), self.letter(ids[spelt])
        lost = F.cross_entropy(said @ self.places.T, places[spelt])
        lost = lost + F.cross_entropy(said @ self.letters.T, letter)
        signed, lengths = spelt.any(1), places.amax(1)
        ends = states[torch.arange(len(ids)), (ids == self.end_of_text).int().argmax(1)]
        return lost + F.cross_entropy(ends[signed].float() @ self.lengths.T, lengths[signed])

    def letter(self, ids: torch.Tensor) -> torch.Tensor:
        """Which letter of the alphabet each of these tokens is, from 0 on; all of them are letters."""
        return ((ids[..., None] == self.inner) | (ids[..., None] == self.ends)).int().argmax(-1)

    def placed(self, ids: torch.Tensor) -> torch.Tensor:
        """Which letter of its word each token is, from 0 on, (n, positions); -1 for what is no letter of a word that is
        spelt, or stands beyond the longest."""
        inner = torch.isin(ids, self.inner)
        before = torch.zeros_like(ids)
        run = torch.ones_like(inner)
        for steps in range(1, self.longest + 1):
            run = run & F.pad(inner, (steps, 0))[:, : ids.shape[1]]
            before += run
        spelt = (inner | (torch.isin(ids, self.ends) & (before > 0))) & (before < self.longest)
        return torch.where(spelt, before, -1)


# What a thing is called that is left open.
UNNAMED = ["thing", "things"]
# No thing that is asked for comes right after these.
NOT_BEFORE_THINGS = ("the", "says", "saying", '"', "“")


class Binding:
    """What is lost of what belongs together in a text tower's states: the noun of each thing is to say which thing it
    is, what colour it has, and which of the things that are named, the first, the second or the third.

    A colour is named before its thing and knows nothing of it, so of several things none but the nouns can say whose
    each colour is. Along fixed directions, as for Spelling.
    """

    def __init__(self, tokenizer: CLIPTokenizer, width: int, device: torch.device, most: int = 3) -> None:
        numbers = tokenizer.get_vocab()
        self.things, self.colours = (torch.full((len(tokenizer),), UNTOLD, device=device) for _ in range(2))
        for known, words in ((self.things, [*_nouns(), UNNAMED]), (self.colours, _colours())):
            for number, forms in enumerate(words):
                # A word at the end of Chinese text is another token than within it.
                for form in (token for word in forms for token in tokenizer.tokenize(word)[-1:]):
                    for token in {form, form.removesuffix("</w>")} & numbers.keys():
                        known[numbers[token]] = number
        self.before_others = torch.tensor(
            [numbers[tokenizer.tokenize(word)[-1]] for word in NOT_BEFORE_THINGS], device=device
        )
        self.most = most
        directions = torch.empty(len(THINGS) + len(COLOURS) + most, width)
        nn.init.orthogonal_(directions, generator=torch.Generator().manual_seed(width + 1))
        self.directions = torch.split(directions.to(device), [len(THINGS), len(COLOURS), most])

    def __call__(self, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """The sum of the mean cross-entropies of tokens, (n, positions), with their states, (n, positions, width)."""
        nouns = self.nouns(ids)
        said, things = states[nouns].float(), self.things[ids][nouns]
        things = torch.where(things < len(THINGS), things, UNTOLD)
        told = (things, self.coloured(ids)[nouns], self.ordered(ids)[nouns])
        return torch.stack([cost(said @ of.T, wanted) for of, wanted in zip(self.directions, told, strict=True)]).sum()

    def nouns(self, ids: torch.Tensor) -> torch.Tensor:
        """Which tokens, (n, positions), name a thing that is asked for: not the stars of "among the stars", nor what
        stands on a sign."""
        return (self.things[ids] != UNTOLD) & ~torch.isin(F.pad(ids, (1, -1)), self.before_others)

    def coloured(self, ids: torch.Tensor) -> torch.Tensor:
        """The colour of the thing of each noun, (n, positions): the last that is named after the noun before; UNTOLD
        where that is none."""
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        nouns, colours = self.nouns(ids), self.colours[ids] != UNTOLD
        before = F.pad(torch.where(nouns, places, -1).cummax(1).values, (1, -1), value=-1)
        last = torch.where(colours, places, -1).cummax(1).values
        named = self.colours[ids.gather(1, last.clamp(min=0))]
        return torch.where(nouns & (last > before), named, UNTOLD)

    def ordered(self, ids: torch.Tensor) -> torch.Tensor:
        """Which of the nouns each is, from 0 on, (n, positions); UNTOLD for all else and for more than the most."""
        nouns = self.nouns(ids)
        order = nouns.int().cumsum(1) - 1
        return torch.where(nouns & (order < self.most), order, UNTOLD)


def _nouns() -> list[list[str]]:
    """What each of the THINGS is called by one word, in both languages."""
    english = ([noun for noun in NOUNS[thing] if noun.isalpha()] for thing in THINGS)
    return [[*nouns, *map(plural, nouns), NOUNS_ZH[t][0]] for t, nouns in zip(THINGS, english, strict=True)]


def _colours() -> list[list[str]]:
    return [[*COLOUR_WORDS.get(colour, (colour,)), COLOURS_ZH[colour]] for colour in COLOURS]


def say(tableau: Tableau, rng: random.Random, style: float = SHARES.style) -> str:
    """A random way to ask for the tableau in one of the two languages; so often its style is named."""
    share = CHINESE if len(tableau.subjects) == 1 else CHINESE_OF_SEVERAL
    return (caption_zh if rng.random() < share else caption)(tableau, rng, replace(SHARES, style=style))


@torch.no_grad()
def grown_text_encoder(
    tokenizer: CLIPTokenizer, known: CLIPTextModel, known_tokenizer: CLIPTokenizer, layers: int = LAYERS
) -> CLIPTextModel:
    """A text tower for the new tokenizer that at first says of known words what the known tower says.

    Words go by their text, whatever their numbers, and what the known tower knows in parts begins as the mean of these;
    layers that it has more begin by changing nothing.
    """
    config = known.config
    tower = new_text_encoder(tokenizer, config.hidden_size, layers, POSITIONS)
    new, old = tower.state_dict(), known.state_dict()
    numbers, whole = known_tokenizer.get_vocab(), tokenizer.get_added_vocab()
    for name, weight in old.items():
        into = new[name]
        if "token_embedding" in name:
            for word, number in tokenizer.get_vocab().items():
                if word in whole:
                    into[number] = weight[known_tokenizer(word, add_special_tokens=False).input_ids].mean(0)
                elif word in numbers:
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
