"""The table of a run, for people and for `build/faults.json`."""

from __future__ import annotations

import json
import platform
import sqlite3
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.faults.judge import Verdict

COLUMNS = ("tried", "told", "lost", "doubled", "stuck", "orphans", "wrong")


def table(verdicts: Mapping[str, Verdict]) -> str:
    """A line for each fault, in Markdown."""
    width = max(len(name) for name in verdicts)
    lines = [f"| {'fault':{width}} | " + " | ".join(f"{name:>7}" for name in COLUMNS) + " |"]
    lines.append(f"| {'-' * width} | " + " | ".join("-" * 6 + ":" for _ in COLUMNS) + " |")
    for name, verdict in verdicts.items():
        cells = " | ".join(f"{getattr(verdict, column):>7}" for column in COLUMNS)
        lines.append(f"| {name:{width}} | {cells} |")
    return "\n".join(lines)


def write(file: Path, verdicts: Mapping[str, Verdict], figures: Mapping[str, Any], seed: int, form: str) -> None:
    """Keep everything, with what it was measured on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "form": form,
        "seed": seed,
        "versions": {name: version(name) for name in ("discord.py", "aiosqlite", "aiohttp", "pillow")}
        | {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "system": platform.platform()},
        "faults": {
            name: {column: getattr(verdict, column) for column in COLUMNS} | {"notes": verdict.notes}
            for name, verdict in verdicts.items()
        },
        "load": dict(figures),
    }
    file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
