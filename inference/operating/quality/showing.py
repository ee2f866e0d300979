"""What is to be looked at: a contact sheet of the pictures, and the figures as bars with the guides' lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

from inference.operating.quality.figures import Figure, said
from inference.operating.quality.painting import Painted
from inference.operating.quality.prompts import Asked
from inference.pictures import drawing, images

SHOWN = 48
"""So many pictures stand on a sheet at most, the first ones."""
CELL = 256
"""The side of each in pixels."""
ACROSS = 6
BAND = 42
"""The height of the words over a picture."""

LABELS, BARS, ROW, TOP = 330, 420, 34, 40
"""Widths of names and bars, height of a row and of what is above the first, in pixels."""
ROOM = 1.15
"""The longest of what a row shows ends so many times before the edge."""


def sheet(asked: Sequence[Asked], painted: Painted, whole: Painted | None) -> Image.Image:
    """The pictures with their prompts; beside each, where there is one, that of full precision."""
    runs = [painted] if whole is None else [painted, whole]
    cells: list[Image.Image] = []
    for one, *pictures in zip(asked, *(islice(run.pictures(), SHOWN) for run in runs), strict=False):
        cells += [
            _cell(one.text if run is painted else "full precision", each)
            for run, each in zip(runs, pictures, strict=True)
        ]
    across = min(ACROSS, len(cells))
    rows = -(-len(cells) // across)
    canvas = Image.new("RGB", (across * CELL, rows * (CELL + BAND)), drawing.GROUND)
    for place, cell in enumerate(cells):
        canvas.paste(cell, (place % across * CELL, place // across * (CELL + BAND)))
    return canvas


def chart(title: str, figures: Sequence[Figure]) -> str:
    """The figures as an SVG: a bar each, a thin one for full precision, and a line where the guides put it.

    Every row has its own scale; what was not measured has no bar, and its line is there all the same.
    """
    shown = [figure for figure in figures if figure.value is not None or figure.bar is not None]
    width, height = LABELS + BARS + 150, TOP + ROW * len(shown) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" fill="#222222" font-weight="bold">{escape(title)}</text>',
    ]
    for number, figure in enumerate(shown):
        parts += _row(figure, TOP + ROW * number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(figure: Figure, top: int) -> Iterator[str]:
    bar = None if figure.bar is None else figure.bar.value
    # Shares end at the whole, whatever they are.
    most = 1.0 if figure.unit == "%" else ROOM * max(each or 0.0 for each in (figure.value, figure.whole, bar))
    scale = BARS / (most or 1.0)
    yield f'<text x="{LABELS - 8}" y="{top + 16}" fill="#222222" text-anchor="end">{escape(figure.name)}</text>'
    if figure.value is None:
        yield f'<text x="{LABELS + 6}" y="{top + 16}" fill="#777777">not measured</text>'
    else:
        yield f'<rect x="{LABELS}" y="{top + 4}" width="{figure.value * scale:.1f}" height="14" fill="#0072B2"/>'
        text = f"{said(figure.value, figure.unit)} (n {figure.n})"
        yield f'<text x="{LABELS + BARS + 8}" y="{top + 16}" fill="#222222">{escape(text)}</text>'
    if figure.whole is not None:
        yield f'<rect x="{LABELS}" y="{top + 20}" width="{figure.whole * scale:.1f}" height="5" fill="#999999"/>'
    if figure.bar is not None:
        at = LABELS + figure.bar.value * scale
        yield (
            f'<line class="guide" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + ROW - 6}" stroke="#D55E00" '
            'stroke-width="2"/>'
        )
        anchor = f'<text x="{at + 4:.1f}" y="{top + 27}" fill="#D55E00" font-size="11">{escape(str(figure.bar))}</text>'
        yield anchor


def _cell(words: str, picture: Image.Image) -> Image.Image:
    """A picture at its proportions with words over it."""
    fitted = images.opaque(picture)
    fitted.thumbnail((CELL - 4, CELL - 4), Image.Resampling.LANCZOS)
    return drawing.captioned(fitted, words, CELL, BAND)


def write(
    folder: Path, asked: Sequence[Asked], painted: Painted, whole: Painted | None, title: str, found: Sequence[Figure]
) -> list[Path]:
    """Write sheet and chart into the folder, and say where."""
    places = [folder / "sheet.webp", folder / "figures.svg"]
    sheet(asked, painted, whole).save(places[0], quality=90, method=4)
    places[1].write_text(chart(title, found), encoding="utf-8")
    return places
