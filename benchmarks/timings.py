"""Repeated measurements, their summary, and the table and file they end in."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """A figure measured `n` times; `unit` is "s" or, for one side over the other in the same run, "ratio"."""

    name: str
    unit: str
    n: int
    median: float
    least: float
    most: float


def timing(name: str, values: Sequence[float], unit: str = "s") -> Timing:
    """The summary of a figure's measurements."""
    return Timing(name, unit, len(values), statistics.median(values), min(values), max(values))


def table(timings: Sequence[Timing]) -> str:
    """The figures as text."""
    width = max(len(timing.name) for timing in timings)
    lines = [f"{'':{width}}  {'unit':5}  {'n':>3}  {'median':>8}  {'least':>8}  {'most':>8}"]
    for row in timings:
        figures = "  ".join(f"{figure:8.3f}" for figure in (row.median, row.least, row.most))
        lines.append(f"{row.name:{width}}  {row.unit:5}  {row.n:>3}  {figures}")
    return "\n".join(lines)


def write(path: Path, timings: Sequence[Timing], conditions: Mapping[str, object]) -> None:
    """The figures, how they were taken, and with which versions, as JSON."""
    names = ("torch", "diffusers", "transformers", "discord.py")
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in names},
        "conditions": dict(conditions),
        "timings": [asdict(timing) for timing in timings],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
