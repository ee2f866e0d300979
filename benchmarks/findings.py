"""What a run on a card found: figures, what holds and what does not, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.beside import Row


@dataclass(frozen=True)
class Check:
    """Something that holds or does not."""

    name: str
    holds: bool
    note: str = ""


@dataclass(kw_only=True)
class Found:
    """What came out."""

    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Models that were not measured, or not as a whole, and why."""
