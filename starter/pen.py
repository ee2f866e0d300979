"""The pen that draws shapes in a thing's own coordinates: colours, shades and outlines by style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]

PAINT: dict[str, RGB] = {
    "red": (222, 44, 44),
    "orange": (250, 140, 24),
    "yellow": (252, 220, 40),
    "green": (38, 158, 66),
    "blue": (40, 96, 232),
    "purple": (138, 58, 196),
    "pink": (252, 132, 190),
    "brown": (132, 80, 40),
    "white": (248, 248, 246),
    "black": (38, 36, 42),
}
INK: RGB = (34, 28, 40)
CREAM: RGB = (255, 244, 214)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """The colour `share` of the way from `a` to `b`."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def shade(colour: RGB, share: float = 0.28) -> RGB:
    """A darker tone of the colour; of black a lighter one, or the shape would be lost."""
    if sum(colour) < 200:
        return mix(colour, (150, 150, 165), share)
    return mix(colour, (20, 16, 40), share)


def tint(colour: RGB, share: float = 0.35) -> RGB:
    """A lighter tone of the colour."""
    return mix(colour, (255, 255, 255), share)


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws in coordinates where a thing fills the square from -1 to 1, y downwards; (cx, cy) is its middle.

    `unit` is half the thing's width in pixels; `bold` asks for the cartoon's thick dark outline.
    """

    draw: ImageDraw.ImageDraw
    cx: float
    cy: float
    unit: float
    bold: bool

    def _edge(self, fill: RGB) -> tuple[RGB, int]:
        if self.bold:
            ink = INK if sum(fill) > 200 else (236, 230, 220)
            return ink, max(2, round(self.unit * 0.085))
        return shade(fill, 0.38), max(1, round(self.unit * 0.04))

    def at(self, x: float, y: float) -> Point:
        return self.cx + x * self.unit, self.cy + y * self.unit

    def polygon(self, points: Sequence[Point], fill: RGB) -> None:
        ink, width = self._edge(fill)
        corners = [self.at(*point) for point in points]
        self.draw.polygon(corners, fill=fill)
        self.draw.line([*corners, corners[0], corners[1]], fill=ink, width=width, joint="curve")

    def oval(self, x: float, y: float, rx: float, ry: float, fill: RGB, plain: bool = False) -> None:
        """An ellipse about (x, y); `plain` leaves its outline out (eyes, spots, highlights)."""
        ink, width = self._edge(fill)
        box = (*self.at(x - rx, y - ry), *self.at(x + rx, y + ry))
        self.draw.ellipse(box, fill=fill, outline=None if plain else ink, width=width)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: RGB,
        round_by: float = 0.0,
        plain: bool = False,
    ) -> None:
        ink, width = self._edge(fill)
        corners = (*self.at(x0, y0), *self.at(x1, y1))
        outline = None if plain else ink
        self.draw.rounded_rectangle(corners, round_by * self.unit, fill=fill, outline=outline, width=width)

    def line(self, points: Sequence[Point], fill: RGB, width: float) -> None:
        thick = max(1, round(width * self.unit))
        self.draw.line([self.at(*point) for point in points], fill=fill, width=thick, joint="curve")

    def arc(self, x: float, y: float, r: float, start: float, end: float, fill: RGB, width: float) -> None:
        box = (*self.at(x - r, y - r), *self.at(x + r, y + r))
        self.draw.arc(box, start, end, fill=fill, width=max(1, round(width * self.unit)))

    def eye(self, x: float, y: float, r: float) -> None:
        self.oval(x, y, r, r, (255, 255, 255))
        self.oval(x, y, r * 0.6, r * 0.6, INK, plain=True)


def ring(points: int, start: float = -90.0) -> list[Point]:
    """`points` points evenly on the unit circle, the first at `start` degrees."""
    turn = math.tau / points
    begin = math.radians(start)
    return [(math.cos(begin + turn * i), math.sin(begin + turn * i)) for i in range(points)]
