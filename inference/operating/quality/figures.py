"""What was measured, as figures with their sample sizes and the bars beside them; how they are printed and kept."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What the usual guides ask of a figure."""

    value: float
    less_is_better: bool = False

    def __str__(self) -> str:
        return f"{'<=' if self.less_is_better else '>='} {self.value:g}"

    def holds(self, value: float) -> bool:
        """Whether this value is as good."""
        return value <= self.value if self.less_is_better else value >= self.value


CLIP = Bar(value=0.32)
FID = Bar(value=5, less_is_better=True)
INCEPTION = Bar(value=8)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that was measured on `n` samples, or that was not, for a reason that its note tells."""

    name: str
    n: int = 0
    value: float | None = None
    error: float | None = None
    """The standard error of a mean."""
    whole: float | None = None
    """The same of full precision, at the same seeds."""
    unit: str = ""
    bar: Bar | None = None
    comparable: bool = True
    """Whether the bar was set for what this network measures."""
    repeats: bool = True
    """Whether it comes out the same a second time; what a clock says does not."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """How the figure stands to its bar, as far as the two can be compared."""
        if self.bar is None or self.value is None or not self.comparable:
            return ""
        return "reached" if self.bar.holds(self.value) else "missed"


def mean(name: str, samples: Sequence[float], **more: object) -> Figure:
    """The mean of these samples with its standard error; not measured where there are none."""
    if not samples:
        return Figure(name=name, **more)  # type: ignore[arg-type]
    error = statistics.stdev(samples) / math.sqrt(len(samples)) if len(samples) > 1 else None
    return Figure(name=name, n=len(samples), value=statistics.fmean(samples), error=error, **more)  # type: ignore[arg-type]


def share(name: str, right: Sequence[bool], **more: object) -> Figure:
    """The share of what is right. Its error is Agresti and Coull's (1998), which is not 0 where all are or none is."""
    figure = mean(name, [*map(float, right)], unit="%", **more)
    n, middle = len(right) + 4, (sum(right) + 2) / (len(right) + 4)
    return replace(figure, error=math.sqrt(middle * (1 - middle) / n)) if right else figure


def beside(figures: Iterable[Figure], whole: Iterable[Figure]) -> list[Figure]:
    """These figures, each with what the figure of its name is for full precision."""
    of_whole = {figure.name: figure.value for figure in whole}
    return [replace(figure, whole=of_whole.get(figure.name)) for figure in figures]


def table(figures: Sequence[Figure], compared: bool) -> str:
    """The figures in columns, those of full precision beside them where they were `compared`."""
    headings = ["FIGURE", "N", "VALUE", "+-", *(["FULL PRECISION"] if compared else []), "GUIDE", "", "OF WHAT"]
    rows = [headings]
    for figure in figures:
        error = "" if figure.error is None else said(figure.error, "%" if figure.unit == "%" else "")
        whole = [said(figure.whole, figure.unit)] if compared else []
        bar = "" if figure.bar is None else str(figure.bar)
        rows.append(
            [
                *(figure.name, str(figure.n or "-"), said(figure.value, figure.unit), error),
                *(*whole, bar, figure.verdict, figure.note),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def said(value: float | None, unit: str) -> str:
    """A value as it is read; `-` for one that was not measured."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if unit == "%" else f"{number(value)} {unit}".rstrip()


def number(value: float) -> str:
    """So many digits as mean something."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
