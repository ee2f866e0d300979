"""What was asked for, beside what the judge sees: which of the attributes of pictures are right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starter.prompts import Prompt

JUDGED = ("thing", "colour", "place", "time", "style", "count", "size")
UNSEEN = "unseen pairs, thing and colour"
"""Pairs that were in no training picture: their thing and colour count together, and nothing else."""


def rights(kind: str, pairs: Iterable[tuple[Prompt, Mapping[str, str | int]]]) -> dict[str, list[bool]]:
    """Of each attribute whether it is right, for pictures of prompts of a kind with what the judge sees in each."""
    hits: dict[str, list[bool]] = {}
    for prompt, seen in pairs:
        right = {name: seen[name] == getattr(prompt.scene, name) for name in JUDGED}
        if kind == "unseen":
            hits.setdefault(UNSEEN, []).append(right["thing"] and right["colour"])
            continue
        for name in JUDGED:
            # A middling size goes without saying, so it is free.
            if name != "size" or prompt.scene.size != "medium":
                hits.setdefault(name, []).append(right[name])
    return hits
