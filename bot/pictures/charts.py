"""Draws charts: bars over time, bars by name, and a curve. Runs in the child processes of `workers`.

What they say is said by who asks for them, in the language of who reads it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, MARGIN = 1000, 40
OVER_TIME_HEIGHT, ROW_HEIGHT, CURVE_HEIGHT = 220, 34, 260
LABELS_WIDTH = 300
SMOOTHED = 20
"""Of the points of a curve this part on both sides of one is what that is smoothed by."""
TITLE, TEXT = 26, 20
"""Sizes of letters, in pixels."""

GROUND, INK, FAINT, BAR = (43, 45, 49), (242, 243, 245), (148, 155, 164), (91, 110, 225)
FAINTEST = (72, 75, 82)
"""Colours: the ground is that of Discord's own panels."""

FONTS = ("NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc")
"""Of all scripts that Easel speaks, tried in this order. Where there is none, what has other letters is left out: the
same stands in words beside the chart."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Bars:
    """Numbers with their names, drawn one over the other; over time side by side, of which only some have a name."""

    title: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    over_time: bool = False


@dataclass(frozen=True)
class Curve:
    """Numbers that lie one after the other, of which each may be far from the next: what they come to is drawn over
    them. `marks` are places among them with a name."""

    title: str
    points: tuple[tuple[float, float], ...]
    """From left to right."""
    end: float
    """As far as it will go."""
    marks: tuple[tuple[float, str], ...] = ()


def trace(curve: Curve, folder: Path) -> Path:
    """A PNG of a curve."""
    image = Image.new("RGB", (WIDTH, TITLE + CURVE_HEIGHT + 2 * MARGIN), GROUND)
    pen = ImageDraw.Draw(image)
    top = MARGIN // 2
    _write(pen, (MARGIN, top), curve.title, TITLE, INK, WIDTH - 2 * MARGIN)
    top += TITLE + MARGIN // 2
    bottom, left, right = top + CURVE_HEIGHT, MARGIN + 4 * TEXT, WIDTH - MARGIN
    values = [value for _, value in curve.points] or [0.0]
    low, high = min(values), max(values)
    room = (high - low) or 1.0
    end = max(curve.end, *(at for at, _ in curve.points), 1.0)

    def place(at: float, value: float) -> tuple[float, float]:
        return left + (right - left) * at / end, bottom - (bottom - top) * (value - low) / room

    for at, name in curve.marks:
        across, _ = place(at, low)
        pen.line((across, top, across, bottom), FAINTEST)
        _write(pen, (across, bottom + 8), name, TEXT, FAINT, 2 * TEXT, "ma")
    pen.line((left, bottom, right, bottom), FAINT)
    for value in {low, high}:
        _write(pen, (left - 12, place(0, value)[1] - TEXT / 2), f"{value:.3g}", TEXT, FAINT, 4 * TEXT, "ra")
    for line, colour, width in ((curve.points, FAINT, 1), (_smooth(curve.points), BAR, 4)):
        if len(line) > 1:
            pen.line([place(*point) for point in line], colour, width, joint="curve")
    file = folder / f"{secrets.token_hex(8)}.png"
    image.save(file, format="PNG", optimize=True)
    return file


def _smooth(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Each as the mean of itself and what lies around it."""
    half = len(points) // SMOOTHED
    smooth = []
    for index, (at, _) in enumerate(points):
        around = points[max(index - half, 0) : index + half + 1]
        smooth.append((at, sum(value for _, value in around) / len(around)))
    return smooth


def draw(parts: tuple[Bars, ...], folder: Path) -> Path:
    """A PNG of these parts, one under the other."""
    heights = [TITLE + 2 * MARGIN // 2 + _height(part) for part in parts]
    image = Image.new("RGB", (WIDTH, sum(heights) + MARGIN), GROUND)
    pen = ImageDraw.Draw(image)
    top = MARGIN // 2
    for part, height in zip(parts, heights, strict=True):
        _write(pen, (MARGIN, top), part.title, TITLE, INK, WIDTH - 2 * MARGIN)
        (_over_time if part.over_time else _by_name)(pen, part, top + TITLE + MARGIN // 2)
        top += height
    file = folder / f"{secrets.token_hex(8)}.png"
    image.save(file, format="PNG", optimize=True)
    return file


def _height(part: Bars) -> int:
    return OVER_TIME_HEIGHT if part.over_time else ROW_HEIGHT * max(len(part.counts), 1)


def _over_time(pen: ImageDraw.ImageDraw, part: Bars, top: int) -> None:
    most, bottom = max((*part.counts, 1)), top + OVER_TIME_HEIGHT - 2 * TEXT
    step = (WIDTH - 2 * MARGIN) / max(len(part.counts), 1)
    pen.line((MARGIN, bottom, WIDTH - MARGIN, bottom), FAINT)
    for index, (name, count) in enumerate(zip(part.names, part.counts, strict=True)):
        left = MARGIN + index * step
        height = (bottom - top - TEXT - 8) * count / most
        if count:
            pen.rectangle((left + 2, bottom - max(height, 2), left + step - 2, bottom), BAR)
            # Where bars are narrow their numbers would run into one another.
            if step >= TEXT * 2 or count == most:
                _write(pen, (left + step / 2, bottom - height - TEXT - 8), str(count), TEXT, INK, step * 3, "ma")
        if name:
            _write(pen, (left + step / 2, bottom + 8), name, TEXT, FAINT, step * 5, "ma")


def _by_name(pen: ImageDraw.ImageDraw, part: Bars, top: int) -> None:
    most = max((*part.counts, 1))
    room = WIDTH - 2 * MARGIN - LABELS_WIDTH - 100
    for index, (name, count) in enumerate(zip(part.names, part.counts, strict=True)):
        at = top + index * ROW_HEIGHT
        _write(pen, (MARGIN, at), name, TEXT, INK, LABELS_WIDTH - 20)
        left = MARGIN + LABELS_WIDTH
        right = left + max(room * count / most, 2)
        pen.rectangle((left, at, right, at + ROW_HEIGHT - 10), BAR)
        _write(pen, (right + 12, at), str(count), TEXT, INK, 100)


def _write(
    pen: ImageDraw.ImageDraw,
    where: tuple[float, float],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    width: float,
    anchor: str | None = None,
) -> None:
    font, has_all = _font(size)
    if not has_all and not text.isascii():
        return
    if pen.textlength(text, font=font) > width:
        while text and pen.textlength(text + "…", font=font) > width:
            text = text[:-1]
        text += "…"
    pen.text(where, text, colour, font, anchor if isinstance(font, ImageFont.FreeTypeFont) else None)


def _font(size: int) -> tuple[_Font, bool]:
    """The letters, and whether they hold every script."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False
