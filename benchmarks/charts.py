"""`python -m benchmarks.charts`: puts the newest results into docs/performance.md, as a table and as a chart, and into
README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from benchmarks.beside import Row
from benchmarks.timings import Timing

RESULTS = Path("benchmarks/results")
PAGE, CHART = Path("docs/performance.md"), Path("docs/performance.svg")
README = Path("README.md")
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"

LABELS, BARS, ROW, TOP = 500, 420, 26, 34
"""Widths of names and bars, height of a row and of what is above the first, in pixels."""
LONGEST = 1.2
"""The ratio at the right edge; a longer bar is cut there, and its number tells."""


def main() -> None:
    """Write all of it from the newest file of results."""
    report = newest(RESULTS)
    CHART.write_text(chart(rows_of(report)))
    PAGE.write_text(page(PAGE.read_text(), measured(report)))
    README.write_text(page(README.read_text(), in_short(report)))
    print(f"{PAGE}, {CHART} and {README} show {report['date']}")


def newest(folder: Path) -> dict[str, Any]:
    """The results that are named by the last date."""
    report: dict[str, Any] = json.loads(max(folder.glob("*.json")).read_text())
    return report


def rows_of(report: Mapping[str, Any]) -> list[Row]:
    """The rows of a file of results."""
    return msgspec.convert(report["conditions"]["rows"], list[Row])


def page(text: str, told: str) -> str:
    """The page with what is to be told between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{told}\n{END}{after}"


def conditions(report: Mapping[str, Any]) -> str:
    """When, where, and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    threads = report["conditions"]["threads"]
    return f"{report['date'][:10]}, {report['machine']}, {threads} thread, Python {report['python']}, {versions}:"


def in_short(report: Mapping[str, Any]) -> str:
    """The times of whole jobs as a table."""
    times = msgspec.convert(report["timings"], list[Timing])
    if not times:
        return f"{conditions(report)} no whole jobs were measured then."
    lines = [conditions(report), "", "| What | n | Median |", "| --- | --- | --- |"]
    lines += [
        f"| {time.name.strip()} | {time.n} | {time.median:.2f}{' s' if time.unit == 's' else ''} |" for time in times
    ]
    return "\n".join(lines)


def measured(report: Mapping[str, Any]) -> str:
    """The rows as a table."""
    lines = [
        conditions(report),
        "",
        "| | n | Easel | baseline | ratio | at most | by the clock |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows_of(report):
        name = f"{row.name} ({row.note})" if row.note else row.name
        figures = [f"{value:.3g} {row.unit}" for value in (row.ours, row.baseline)]
        goal, clock = (("" if value is None else f"{value:.2f}") for value in (row.goal, row.wall_ratio))
        lines.append(f"| {name} | {row.n} | {' | '.join(figures)} | {row.ratio:.2g} | {goal} | {clock} |")
    return "\n".join(lines)


def chart(rows: Sequence[Row]) -> str:
    """The ratios as bars, with a line where each shall end and one where Easel and its baseline are equal."""
    width, height = LABELS + BARS + 80, TOP + ROW * len(rows) + 10
    equal = LABELS + BARS / LONGEST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<line x1="{equal:.0f}" y1="{TOP - 8}" x2="{equal:.0f}" y2="{height - 8}" stroke="#999999"/>',
        f'<text x="{equal:.0f}" y="{TOP - 14}" fill="#555555" text-anchor="middle">as the baseline</text>',
    ]
    for number, row in enumerate(rows):
        top, length = TOP + ROW * number, BARS * min(row.ratio, LONGEST) / LONGEST
        parts += [
            f'<text x="{LABELS - 8}" y="{top + 15}" fill="#222222" text-anchor="end">{escape(row.name)}</text>',
            f'<rect x="{LABELS}" y="{top + 3}" width="{length:.1f}" height="{ROW - 8}" fill="#0072B2"/>',
            f'<text x="{LABELS + length + 6:.1f}" y="{top + 16}" fill="#222222">{row.ratio:.2g}</text>',
        ]
        if row.goal is not None:
            goal = LABELS + BARS * min(row.goal, LONGEST) / LONGEST
            parts.append(
                f'<line x1="{goal:.1f}" y1="{top}" x2="{goal:.1f}" y2="{top + ROW - 2}" stroke="#D55E00" '
                'stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
