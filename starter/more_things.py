"""How the things are drawn that the wider world has beside those of `things`, and the table of all of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from starter.pen import CREAM, INK, RGB, Pen, Point, mix, ring, shade, tint
from starter.things import AIRBORNE as ALSO_AIRBORNE
from starter.things import DRAW as ALSO_DRAWN
from starter.things import SKY_GLASS, STEM, WOOD


def _dog(pen: Pen, c: RGB) -> None:
    pen.arc(0.62, 0.3, 0.34, -70, 80, shade(c, 0.3), 0.16)
    pen.oval(0.1, 0.56, 0.62, 0.36, c)
    for x in (-0.28, 0.44):
        pen.box(x, 0.62, x + 0.24, 1, c, 0.08)
    pen.oval(-0.36, -0.22, 0.46, 0.48, c)
    pen.oval(-0.66, 0.06, 0.3, 0.2, tint(c, 0.5) if sum(c) < 700 else shade(c, 0.15))
    pen.oval(-0.9, 0.0, 0.1, 0.09, INK, plain=True)
    pen.oval(0.02, -0.2, 0.17, 0.42, shade(c, 0.4))
    pen.eye(-0.5, -0.32, 0.13)


def _butterfly(pen: Pen, c: RGB) -> None:
    for side in (-1, 1):
        pen.oval(side * 0.52, -0.38, 0.46, 0.48, c)
        pen.oval(side * 0.42, 0.46, 0.36, 0.4, shade(c, 0.25))
        pen.oval(side * 0.56, -0.4, 0.2, 0.22, tint(c, 0.6) if sum(c) < 700 else shade(c, 0.3), plain=True)
        pen.line([(0, -0.5), (side * 0.2, -0.96)], INK, 0.07)
    pen.oval(0, 0.06, 0.12, 0.7, (70, 52, 60))


def _castle(pen: Pen, c: RGB) -> None:
    pen.box(-0.6, 0.05, 0.6, 1, c)
    for middle in (-0.72, 0.72):
        pen.box(middle - 0.26, -0.4, middle + 0.26, 1, c)
        for x in (-0.26, -0.065, 0.13):
            pen.box(middle + x, -0.58, middle + x + 0.13, -0.36, c)
        pen.box(middle - 0.08, -0.1, middle + 0.08, 0.16, (64, 60, 84), 0.06, plain=True)
    for x in (-0.4, -0.1, 0.2):
        pen.box(x, -0.12, x + 0.2, 0.08, c)
    pen.box(-0.24, 0.42, 0.24, 1, WOOD, 0.2)
    pen.line([(0, -0.12), (0, -0.95)], WOOD, 0.07)
    pen.polygon([(0.03, -0.95), (0.42, -0.78), (0.03, -0.62)], shade(c, 0.45))


def _tent(pen: Pen, c: RGB) -> None:
    pen.polygon([(-1, 1), (0, -0.86), (1, 1)], c)
    pen.polygon([(-0.34, 1), (0, -0.2), (0.34, 1)], (70, 56, 60))
    pen.polygon([(-0.34, 1), (0, -0.2), (-0.12, 1)], tint(c, 0.4) if sum(c) < 700 else shade(c, 0.2))
    pen.line([(0, -0.86), (-0.1, -1)], WOOD, 0.07)
    pen.line([(0, -0.86), (0.1, -1)], WOOD, 0.07)


def _train(pen: Pen, c: RGB) -> None:
    pen.box(-0.82, -0.52, -0.56, 0.1, (62, 60, 70))
    pen.oval(-0.69, -0.86, 0.2, 0.13, (236, 238, 242))
    pen.box(-1, -0.02, 0.1, 0.62, c, 0.22)
    pen.box(0.06, -0.5, 0.94, 0.62, c)
    pen.box(-0.02, -0.66, 1, -0.44, shade(c, 0.45))
    pen.box(0.28, -0.28, 0.74, 0.1, SKY_GLASS)
    pen.box(-0.98, 0.56, 0.98, 0.74, (62, 60, 70))
    for x, r in ((-0.66, 0.22), (-0.1, 0.22), (0.56, 0.3)):
        pen.oval(x, 1 - r, r, r, (52, 50, 58))
        pen.oval(x, 1 - r, r * 0.4, r * 0.4, (226, 70, 60), plain=True)


def _plane(pen: Pen, c: RGB) -> None:
    pen.polygon([(0.56, -0.02), (0.98, -0.64), (0.82, 0.14)], shade(c, 0.4))
    pen.polygon([(-0.02, -0.1), (0.44, -0.62), (0.6, -0.62), (0.36, -0.04)], shade(c, 0.25))
    pen.oval(-0.06, 0.06, 0.92, 0.3, c)
    pen.polygon([(-0.12, 0.14), (0.24, 0.78), (0.48, 0.78), (0.34, 0.14)], shade(c, 0.4))
    pen.polygon([(-0.86, -0.02), (-0.66, -0.18), (-0.56, -0.02)], SKY_GLASS)
    for x in (-0.36, -0.12, 0.12, 0.36):
        pen.oval(x, -0.02, 0.07, 0.07, SKY_GLASS, plain=True)


def _apple(pen: Pen, c: RGB) -> None:
    pen.line([(0, -0.5), (0.1, -0.96)], WOOD, 0.12)
    pen.polygon([(0.08, -0.62), (0.34, -0.9), (0.64, -0.82), (0.42, -0.6)], STEM)
    points: list[Point] = []
    for i in range(40):
        turn = math.tau * i / 40
        # Two round halves: hollow at the top, a little at the bottom.
        reach = 0.8 + 0.14 * abs(math.sin(turn)) - 0.26 * max(0.0, math.cos(turn)) ** 6
        reach -= 0.08 * max(0.0, -math.cos(turn)) ** 8
        points.append((0.98 * reach * math.sin(turn), 0.2 - reach * math.cos(turn)))
    pen.polygon(points, c)
    pen.oval(-0.42, -0.06, 0.14, 0.22, tint(c, 0.6), plain=True)


def _hat(pen: Pen, c: RGB) -> None:
    pen.oval(0, 0.62, 1, 0.26, c)
    pen.polygon([(-0.5, 0.6), (-0.56, -0.62), (0.56, -0.62), (0.5, 0.6)], c)
    pen.oval(0, -0.62, 0.56, 0.17, tint(c, 0.25) if sum(c) < 700 else shade(c, 0.12))
    pen.polygon([(-0.52, 0.24), (0.52, 0.24), (0.5, 0.6), (-0.5, 0.6)], (250, 206, 70) if c[2] > 90 else CREAM)


def _crown(pen: Pen, c: RGB) -> None:
    peaks = [(-1, -0.5), (-0.5, 0.06), (0, -0.78), (0.5, 0.06), (1, -0.5), (0.8, 0.8), (-0.8, 0.8)]
    pen.polygon(peaks, c)
    pen.box(-0.82, 0.54, 0.82, 0.86, shade(c, 0.3))
    jewel = (86, 220, 240) if c[0] > c[2] else (255, 110, 130)
    for x, y in ((-0.98, -0.54), (0, -0.82), (0.98, -0.54)):
        pen.oval(x * 0.9, y, 0.12, 0.12, jewel)
    for x in (-0.45, 0, 0.45):
        pen.oval(x, 0.7, 0.09, 0.09, jewel, plain=True)


def _turtle(pen: Pen, c: RGB) -> None:
    skin = mix(c, (150, 196, 110), 0.6)
    pen.oval(-0.8, 0.26, 0.24, 0.22, skin)
    pen.oval(-0.86, 0.2, 0.06, 0.07, INK, plain=True)
    pen.polygon([(0.78, 0.5), (1, 0.66), (0.7, 0.72)], skin)
    for x in (-0.5, 0.46):
        pen.oval(x, 0.76, 0.2, 0.24, skin)
    dome = [(math.cos(a) * 0.82 + 0.06, math.sin(a) * 1.02 + 0.62) for a in (math.pi * (1 + i / 16) for i in range(17))]
    pen.polygon(dome, c)
    spot = shade(c, 0.4)
    pen.polygon([(x * 0.26 + 0.06, y * 0.26 + 0.06) for x, y in ring(6)], spot)
    for x in (-0.42, 0.54):
        pen.oval(x, 0.36, 0.13, 0.15, spot, plain=True)


DRAW: dict[str, Callable[[Pen, RGB], None]] = {
    **ALSO_DRAWN,
    "dog": _dog,
    "butterfly": _butterfly,
    "castle": _castle,
    "tent": _tent,
    "train": _train,
    "plane": _plane,
    "apple": _apple,
    "hat": _hat,
    "crown": _crown,
    "turtle": _turtle,
}
AIRBORNE = ALSO_AIRBORNE | {"butterfly", "plane"}
