"""How each thing of the world is drawn: one function a thing, in the pen's own coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable

from starter.pen import CREAM, INK, RGB, Pen, Point, mix, ring, shade, tint

SKY_GLASS: RGB = (176, 224, 250)
STEM: RGB = (58, 140, 62)
WOOD: RGB = (120, 78, 46)


def _house(pen: Pen, c: RGB) -> None:
    pen.box(0.4, -0.9, 0.66, -0.2, shade(c, 0.45))
    pen.box(-0.72, -0.1, 0.72, 1, c)
    pen.polygon([(-1, 0), (0, -0.98), (1, 0)], shade(c, 0.42))
    pen.box(-0.18, 0.38, 0.2, 1, WOOD)
    pen.box(-0.58, 0.18, -0.3, 0.5, CREAM)
    pen.box(0.32, 0.18, 0.6, 0.5, CREAM)


def _boat(pen: Pen, c: RGB) -> None:
    pen.line([(0, 0.5), (0, -0.98)], WOOD, 0.1)
    pen.polygon([(0.08, -0.95), (0.85, 0.25), (0.08, 0.25)], c)
    pen.polygon([(-0.08, -0.7), (-0.7, 0.25), (-0.08, 0.25)], CREAM)
    pen.polygon([(-1, 0.4), (1, 0.4), (0.62, 1), (-0.62, 1)], c)


def _tree(pen: Pen, c: RGB) -> None:
    pen.box(-0.15, 0.2, 0.15, 1, WOOD)
    pen.oval(-0.45, 0.05, 0.45, 0.42, c)
    pen.oval(0.45, 0.05, 0.45, 0.42, c)
    pen.oval(0, -0.42, 0.56, 0.56, c)
    pen.oval(0, 0, 0.5, 0.36, c, plain=True)
    pen.oval(-0.18, -0.56, 0.16, 0.14, tint(c), plain=True)


def _car(pen: Pen, c: RGB) -> None:
    pen.polygon([(-0.62, 0.2), (-0.38, -0.45), (0.36, -0.45), (0.66, 0.2)], c)
    pen.polygon([(-0.44, 0.12), (-0.28, -0.3), (-0.04, -0.3), (-0.04, 0.12)], SKY_GLASS)
    pen.polygon([(0.08, 0.12), (0.08, -0.3), (0.28, -0.3), (0.46, 0.12)], SKY_GLASS)
    pen.box(-1, 0.1, 1, 0.68, c, 0.2)
    pen.oval(0.88, 0.32, 0.1, 0.1, (255, 240, 150))
    for x in (-0.52, 0.52):
        pen.oval(x, 0.7, 0.29, 0.29, (52, 50, 58))
        pen.oval(x, 0.7, 0.12, 0.12, (214, 214, 220), plain=True)


def _fish(pen: Pen, c: RGB) -> None:
    pen.polygon([(0.4, 0), (1, -0.52), (0.86, 0), (1, 0.52)], shade(c))
    pen.polygon([(-0.3, -0.4), (0.1, -0.8), (0.3, -0.36)], shade(c))
    pen.oval(-0.2, 0, 0.78, 0.52, c)
    pen.arc(-0.62, 0, 0.4, -50, 50, shade(c, 0.4), 0.08)
    pen.polygon([(-0.05, 0.06), (0.28, 0.3), (-0.02, 0.34)], shade(c))
    pen.eye(-0.58, -0.14, 0.15)


def _flower(pen: Pen, c: RGB) -> None:
    pen.line([(0, 0), (0, 1)], STEM, 0.13)
    pen.oval(0.28, 0.72, 0.28, 0.12, STEM)
    pen.oval(-0.28, 0.62, 0.28, 0.12, STEM)
    for x, y in ring(6):
        pen.oval(x * 0.44, y * 0.44 - 0.32, 0.28, 0.28, c)
    centre = WOOD if min(c[0], c[1]) > 200 and c[2] < 100 else (255, 214, 50)
    pen.oval(0, -0.32, 0.25, 0.25, centre)


def _mushroom(pen: Pen, c: RGB) -> None:
    pen.box(-0.32, 0.05, 0.32, 1, CREAM, 0.18)
    dome = [(math.cos(a) * 0.98, math.sin(a) * 1.05 + 0.2) for a in (math.pi * (1 + i / 16) for i in range(17))]
    pen.polygon(dome, c)
    spot = (255, 255, 255) if sum(c) < 700 else (200, 190, 180)
    pen.oval(-0.42, -0.2, 0.17, 0.17, spot, plain=True)
    pen.oval(0.12, -0.5, 0.18, 0.18, spot, plain=True)
    pen.oval(0.52, -0.08, 0.14, 0.14, spot, plain=True)


def _robot(pen: Pen, c: RGB) -> None:
    pen.line([(0, -0.6), (0, -0.95)], shade(c, 0.5), 0.08)
    pen.oval(0, -0.9, 0.1, 0.1, (255, 90, 80))
    for side in (-1, 1):
        pen.box(min(side * 0.62, side * 0.9), 0.1, max(side * 0.62, side * 0.9), 0.62, shade(c), 0.08)
        pen.box(min(side * 0.14, side * 0.46), 0.7, max(side * 0.14, side * 0.46), 1, shade(c))
    pen.box(-0.6, 0.02, 0.6, 0.76, c, 0.08)
    pen.box(-0.3, 0.2, 0.3, 0.52, tint(c, 0.6))
    pen.box(-0.68, -0.74, 0.68, 0.0, c, 0.14)
    for x in (-0.3, 0.3):
        pen.oval(x, -0.44, 0.17, 0.17, (240, 255, 255))
        pen.oval(x, -0.44, 0.08, 0.08, INK, plain=True)
    pen.line([(-0.3, -0.14), (0.3, -0.14)], INK, 0.08)


def _star(pen: Pen, c: RGB) -> None:
    points: list[Point] = []
    for i, (x, y) in enumerate(ring(10)):
        reach = 1.05 if i % 2 == 0 else 0.47
        points.append((x * reach, y * reach + 0.06))
    pen.polygon(points, c)
    face = INK if sum(c) > 200 else CREAM
    pen.oval(-0.17, -0.02, 0.07, 0.1, face, plain=True)
    pen.oval(0.17, -0.02, 0.07, 0.1, face, plain=True)


def _heart(pen: Pen, c: RGB) -> None:
    points: list[Point] = []
    for i in range(40):
        t = math.tau * i / 40
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((math.sin(t) ** 3, -y / 16))
    pen.polygon(points, c)
    pen.oval(-0.46, -0.36, 0.17, 0.14, tint(c, 0.65), plain=True)


def _bird(pen: Pen, c: RGB) -> None:
    for x in (-0.1, 0.2):
        pen.line([(x, 0.6), (x, 1)], (236, 140, 30), 0.09)
    pen.polygon([(0.4, 0.1), (1, -0.3), (0.98, 0.16), (0.5, 0.5)], shade(c))
    pen.oval(0.08, 0.24, 0.66, 0.5, c)
    pen.polygon([(-0.68, -0.52), (-1, -0.36), (-0.66, -0.22)], (250, 160, 30))
    pen.oval(-0.4, -0.4, 0.42, 0.42, c)
    pen.polygon([(-0.12, 0.06), (0.56, 0.0), (0.14, 0.52)], shade(c))
    pen.eye(-0.52, -0.48, 0.13)


def _balloon(pen: Pen, c: RGB) -> None:
    for side in (-1, 1):
        pen.line([(side * 0.4, 0.3), (side * 0.17, 0.72)], shade(WOOD, 0.2), 0.06)
    pen.polygon([(-0.52, 0.16), (0.52, 0.16), (0.24, 0.46), (-0.24, 0.46)], c)
    pen.oval(0, -0.28, 0.72, 0.7, c)
    pen.oval(0, -0.28, 0.3, 0.69, tint(c, 0.55) if sum(c) < 700 else shade(c, 0.2))
    pen.box(-0.22, 0.68, 0.22, 1, (196, 140, 74))


def _cup(pen: Pen, c: RGB) -> None:
    pen.oval(0.66, 0.3, 0.36, 0.34, c)
    pen.oval(0.66, 0.3, 0.18, 0.17, shade(c, 0.6), plain=True)
    pen.polygon([(-0.8, -0.2), (0.62, -0.2), (0.5, 1), (-0.68, 1)], c)
    pen.oval(-0.09, -0.2, 0.71, 0.17, (92, 56, 32))
    for x in (-0.34, 0.14):
        pen.line([(x, -0.5), (x + 0.1, -0.66), (x, -0.82), (x + 0.1, -0.98)], (250, 250, 250), 0.09)


def _rocket(pen: Pen, c: RGB) -> None:
    pen.polygon([(-0.24, 0.55), (0.24, 0.55), (0, 1)], (255, 160, 30))
    pen.polygon([(-0.3, 0.05), (-0.72, 0.72), (-0.25, 0.55)], shade(c, 0.4))
    pen.polygon([(0.3, 0.05), (0.72, 0.72), (0.25, 0.55)], shade(c, 0.4))
    side = [(0.4 * math.sin(math.pi * min(1.0, 0.08 + i / 14)) ** 0.7 + 0.02, -1 + i * 0.135) for i in range(13)]
    pen.polygon([*side, *[(-x, y) for x, y in reversed(side)]], c)
    pen.oval(0, -0.3, 0.2, 0.2, SKY_GLASS)


def _cat(pen: Pen, c: RGB) -> None:
    pen.arc(0.5, 0.55, 0.38, -80, 100, shade(c, 0.3), 0.16)
    pen.oval(0, 0.58, 0.5, 0.45, c)
    for side in (-1, 1):
        pen.polygon([(side * 0.62, -0.98), (side * 0.66, -0.3), (side * 0.12, -0.56)], c)
    pen.oval(0, -0.18, 0.66, 0.5, c)
    for x in (-0.27, 0.27):
        pen.oval(x, -0.24, 0.13, 0.16, (228, 246, 120))
        pen.oval(x, -0.24, 0.06, 0.12, INK, plain=True)
    pen.polygon([(-0.09, 0.0), (0.09, 0.0), (0, 0.1)], (250, 120, 140))
    for x in (-0.2, 0.2):
        pen.oval(x, 0.92, 0.16, 0.1, tint(c, 0.45))


def _umbrella(pen: Pen, c: RGB) -> None:
    pen.line([(0, -0.98), (0, 0.75)], WOOD, 0.1)
    pen.arc(0.16, 0.75, 0.2, 0, 180, WOOD, 0.1)
    dome = [(math.cos(a), math.sin(a) * 0.98 + 0.14) for a in (math.pi * (1 + i / 16) for i in range(17))]
    scallops: list[Point] = [(0.66, 0.0), (0.33, 0.14), (0, 0.0), (-0.33, 0.14), (-0.66, 0.0)]
    pen.polygon([*dome, *scallops], c)
    pen.polygon([(0, -0.84), (0.33, 0.12), (0, 0.0), (-0.33, 0.12)], mix(c, shade(c), 0.8))


DRAW: dict[str, Callable[[Pen, RGB], None]] = {
    "house": _house,
    "boat": _boat,
    "tree": _tree,
    "car": _car,
    "fish": _fish,
    "flower": _flower,
    "mushroom": _mushroom,
    "robot": _robot,
    "star": _star,
    "heart": _heart,
    "bird": _bird,
    "balloon": _balloon,
    "cup": _cup,
    "rocket": _rocket,
    "cat": _cat,
    "umbrella": _umbrella,
}
# These hang in the air; all others stand on the ground (or float on the water).
AIRBORNE = frozenset({"star", "heart", "balloon", "rocket", "fish"})
