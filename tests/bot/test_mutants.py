"""Damaged pictures and bombs of every format: each is read or told in a sentence, and the children go on."""

from __future__ import annotations

from benchmarks.mutants import survive
from bot.pictures.decoding import FORMATS


async def test_no_file_of_whatever_kind_is_more_than_a_sentence() -> None:
    tallies = await survive(200, seed=1)
    assert set(tallies) == {*FORMATS, "bombs", "sound"}
    outcomes = sum((tally.outcomes for tally in tallies.values()), start=type(tallies["sound"].outcomes)())
    assert set(outcomes) <= {"read", "refused", "memory", "time"}
    assert set(tallies["sound"].outcomes) == {"read"}
    assert outcomes["refused"] > 50
