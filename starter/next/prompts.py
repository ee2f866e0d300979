"""The fixed questions the next set is judged by: tableaux never trained on, and the words that ask for them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from starter.next.captions import ALL, PLAIN, caption, caption_zh, describe, describe_zh
from starter.next.judge import Seen
from starter.next.tableau import HELD_OUT_WORDS, Tableau


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sentence, the tableau it asks for, and the seed to paint it with."""

    text: str
    tableau: Tableau
    seed: int


# What is asked, with how many prompts at full length.
KINDS: dict[str, int] = {
    "plain": 256,
    "paraphrased": 256,
    "chinese": 256,
    "unseen": 64,
    "two": 128,
    "two-chinese": 128,
    "three": 64,
    "sign": 64,
}


def fixed_prompts(kind: str, number: int | None = None) -> list[Prompt]:
    """The first `number` prompts of a kind.

    plain: single kinds of things over the whole world, in the plainest words; paraphrased and chinese: the same
    tableaux in random words, and in Chinese. unseen: pairs of thing and colour that were in no training picture. two,
    two-chinese (the same tableaux) and three: different things, each in its own colour. sign: single kinds of things
    with a word on a sign that no training picture shows.
    """
    world = {"paraphrased": "plain", "chinese": "plain", "two-chinese": "two"}.get(kind, kind)
    # Everything but the words is drawn by itself, so that the same tableaux are asked for in both languages.
    drawing, wording = random.Random(f"next prompts, {world}"), random.Random(f"next words, {kind}")
    words = sorted(HELD_OUT_WORDS)
    prompts = []
    for seed in range(KINDS[kind] if number is None else number):
        kinds = {"two": (2,), "three": (3,)}.get(world, (1,))
        tableau = Tableau.sample(drawing, kinds=kinds, held_out=kind == "unseen", weather_share=0.15)
        if kind == "sign":
            tableau = replace(tableau, word=words[seed % len(words)])
        prompts.append(Prompt(_said(kind, tableau, wording), tableau, seed))
    return prompts


def _said(kind: str, tableau: Tableau, rng: random.Random) -> str:
    match kind:
        case "paraphrased":
            return caption(tableau, rng, ALL, PLAIN)
        case "chinese":
            return caption_zh(tableau, rng, ALL, PLAIN)
        case "two-chinese":
            return describe_zh(tableau)
        case _:
            return describe(tableau)


def is_right(attribute: str, prompt: Prompt, seen: Seen) -> bool:
    """Whether the picture shows what a prompt for a single kind of thing asks for."""
    subject = prompt.tableau.subjects[0]
    if attribute in ("thing", "colour"):
        # The largest counts: a speck beside it is a flaw, but no other thing.
        return bool(seen.things) and getattr(seen.things[0], attribute) == getattr(subject, attribute)
    wanted = subject.count if attribute == "count" else getattr(prompt.tableau, attribute)
    return bool(seen.whole[attribute] == wanted)
