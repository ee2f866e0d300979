"""What `python -m inference evaluate` measured of models, read from where the operator keeps it:
`quality/NAME/figures.json` in the data folder, one folder for each evaluation, of a model the newest.

It is shown beside what members think of the same models. A file that cannot be read is told in the log, and left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

FOLDER, REPORT = "quality", "figures.json"

SHOWN = ("CLIP score", "FID", "Inception Score")
"""Of all that is measured: what the usual guides speak of."""

MOST_FILES, MOST_BYTES = 100, 2**20


class Figure(msgspec.Struct, frozen=True):
    """One thing that was measured on `n` samples."""

    name: str
    n: int
    value: float | None
    error: float | None = None
    comparable: bool = True
    """Whether it is what the guides mean: not where another network looked."""


class Report(msgspec.Struct, frozen=True):
    """What an evaluation wrote; what stands there besides is of no use here."""

    date: str
    model: str
    prompts: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a model last."""

    date: str
    prompts: str
    """The set of prompts, by its name."""
    figures: tuple[Figure, ...]
    """Those of SHOWN that have a value."""


def read(data: Path) -> Mapping[str, Measured]:
    """What was measured of each model, by its name. It reads files: call it in a thread."""
    found: dict[str, Report] = {}
    files = sorted(data.joinpath(FOLDER).glob(f"*/{REPORT}"))
    if len(files) > MOST_FILES:
        log.warning("of %d evaluations in %s only the first %d are read", len(files), data / FOLDER, MOST_FILES)
    for file in files[:MOST_FILES]:
        report = _read(file)
        if report is not None and (report.model not in found or found[report.model].date <= report.date):
            found[report.model] = report
    return {
        name: Measured(report.date, report.prompts, figures)
        for name, report in found.items()
        if (figures := tuple(one for one in report.figures if one.name in SHOWN and one.value is not None))
    }


def _read(file: Path) -> Report | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        if content.strip() == b"{}":
            # An evaluation has begun, or broke off.
            return None
        report = msgspec.json.decode(content, type=Report)
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", report.date, re.ASCII):
            raise ValueError("its date is none")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        log.warning("what was measured cannot be read from %s: %s", file, error)
        return None
    return report
