"""Two ways to the same end, measured in turn: what Easel does beside what one would write with the same libraries.

Ratios of CPU time hold on a machine that others use as well; those of the clock's do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WARM_UP = 1


@dataclass(frozen=True)
class Row:
    """One figure beside its baseline; `unit` is "s" or what is counted. Ratios are medians over the pairs."""

    name: str
    goal: float | None
    """What the ratio shall be at most."""
    n: int
    unit: str
    ours: float
    baseline: float
    ratio: float
    """Of CPU time where that was measured."""
    wall_ratio: float | None
    note: str = ""


def timed(
    name: str, goal: float | None, n: int, ours: Callable[[], object], baseline: Callable[[], object], note: str = ""
) -> Row:
    """Run both in turn, so often after a warm-up, in this process."""
    cpu: list[tuple[float, float]] = []
    wall: list[tuple[float, float]] = []
    for number in range(n + WARM_UP):
        # By turns also within the pair: who goes second finds the caches as the first left them.
        first, second = (ours, baseline) if number % 2 else (baseline, ours)
        one, other = _seconds(first), _seconds(second)
        mine, theirs = (one, other) if number % 2 else (other, one)
        if number >= WARM_UP:
            cpu.append((mine[0], theirs[0]))
            wall.append((mine[1], theirs[1]))
    return Row(
        name=name,
        goal=goal,
        n=n,
        unit="s",
        ours=statistics.median(mine for mine, _ in cpu),
        baseline=statistics.median(theirs for _, theirs in cpu),
        ratio=_ratio(cpu),
        wall_ratio=_ratio(wall),
        note=note,
    )


def counted(name: str, goal: float | None, unit: str, ours: float, baseline: float, n: int = 1, note: str = "") -> Row:
    """A figure that is no time."""
    return Row(name, goal, n, unit, ours, baseline, ours / baseline, None, note)


def bounded(name: str, unit: str, ours: float, bound: float, n: int, note: str = "") -> Row:
    """A figure beside what it shall be at most: that is its baseline."""
    return counted(name, 1.0, unit, ours, bound, n, "; ".join(filter(None, ("beside the bound", note))))


def table(rows: Sequence[Row]) -> str:
    """The rows as text."""
    width = max(len(row.name) for row in rows)
    head = f"{'':{width}}  {'n':>3}  {'ours':>10}  {'baseline':>10}  {'ratio':>7}  {'at most':>7}  {'by clock':>8}"
    return "\n".join([head, *(_line(row, width) for row in rows)])


def _line(row: Row, width: int) -> str:
    goal = "" if row.goal is None else f"{row.goal:.2f}"
    clock = "" if row.wall_ratio is None else f"{row.wall_ratio:.2f}"
    ours, baseline = (f"{value:.4g} {row.unit}" for value in (row.ours, row.baseline))
    return f"{row.name:{width}}  {row.n:>3}  {ours:>10}  {baseline:>10}  {row.ratio:7.3f}  {goal:>7}  {clock:>8}"


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(mine / theirs for mine, theirs in pairs)
