"""The places of the world and their light: draws the picture's background, before any thing stands on it."""

from __future__ import annotations

import random

from PIL import ImageDraw

from starter.pen import RGB, mix

# Sky at the top and at the horizon.
SKY: dict[str, tuple[RGB, RGB]] = {
    "day": ((110, 190, 246), (206, 236, 252)),
    "sunset": ((232, 96, 84), (255, 206, 120)),
    "night": ((22, 28, 82), (62, 72, 142)),
}
# The veil that the time of day lays over the ground, and how thick it is.
VEIL: dict[str, tuple[RGB, float]] = {
    "day": ((255, 255, 255), 0.0),
    "sunset": ((236, 96, 60), 0.30),
    "night": ((24, 30, 92), 0.44),
}
# Where the horizon lies, from the top.
HORIZON: dict[str, float] = {
    "meadow": 0.60,
    "sea": 0.56,
    "desert": 0.58,
    "snow": 0.58,
    "city": 0.74,
    "beach": 0.50,
    "mountains": 0.70,
    "space": 1.0,
}


def draw_backdrop(draw: ImageDraw.ImageDraw, side: int, place: str, time: str, rng: random.Random) -> None:
    """Fill the square of `side` pixels with the place at that time; `rng` places what no word says."""
    if place == "space":
        _space(draw, side, rng)
        return
    top, bottom = SKY[time]
    horizon = round(HORIZON[place] * side)
    for y in range(horizon):
        draw.line([(0, y), (side, y)], fill=mix(top, bottom, y / horizon))
    _sky_light(draw, side, time, rng)
    _GROUND[place](_Ground(draw, side, horizon, time, rng))


def _sky_light(draw: ImageDraw.ImageDraw, side: int, time: str, rng: random.Random) -> None:
    x, s = rng.choice((0.14, 0.86)) * side, side
    if time == "night":
        for _ in range(9):
            _dot(draw, rng.random() * s, rng.random() * s * 0.45, s * 0.008, (255, 250, 220))
        _dot(draw, x, 0.14 * s, s * 0.075, (250, 246, 214))
        _dot(draw, x + 0.035 * s, 0.12 * s, s * 0.06, mix(*SKY[time], 0.2))
    elif time == "sunset":
        _dot(draw, x, 0.44 * s, s * 0.115, (255, 236, 150))
    else:
        _dot(draw, x, 0.14 * s, s * 0.085, (255, 232, 90))
        cloud_x, cloud_y = s - x + rng.uniform(-0.05, 0.05) * s, rng.uniform(0.1, 0.2) * s
        for dx, r in ((-0.07, 0.045), (0.0, 0.065), (0.07, 0.045)):
            _dot(draw, cloud_x + dx * s, cloud_y, r * s, (255, 255, 255))


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill: RGB) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)


class _Ground:
    """What every ground needs to draw itself, with colours already under the veil of the time of day."""

    def __init__(self, draw: ImageDraw.ImageDraw, side: int, horizon: int, time: str, rng: random.Random) -> None:
        self.draw, self.side, self.horizon, self.time, self.rng = draw, side, horizon, time, rng

    def lit(self, colour: RGB) -> RGB:
        veil, share = VEIL[self.time]
        return mix(colour, veil, share)

    def floor(self, colour: RGB, far: RGB) -> None:
        depth = self.side - self.horizon
        for y in range(depth):
            self.draw.line(
                [(0, self.horizon + y), (self.side, self.horizon + y)],
                fill=self.lit(mix(far, colour, y / max(1, depth))),
            )

    def polygon(self, points: list[tuple[float, float]], colour: RGB) -> None:
        self.draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=self.lit(colour))

    def oval(self, x: float, y: float, rx: float, ry: float, colour: RGB) -> None:
        s = self.side
        self.draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=self.lit(colour))


def _meadow(g: _Ground) -> None:
    g.oval(0.2, 0.66, 0.42, 0.14, (120, 190, 92))
    g.oval(0.85, 0.66, 0.4, 0.12, (112, 182, 88))
    g.floor((112, 196, 84), (140, 210, 104))
    for _ in range(8):
        x, y = g.rng.random(), g.rng.uniform(0.7, 0.97)
        g.oval(x, y, 0.013, 0.013, g.rng.choice(((255, 255, 255), (255, 226, 90))))


def _sea(g: _Ground) -> None:
    g.floor((28, 104, 176), (74, 158, 210))
    for row in range(4):
        y = 0.63 + row * 0.1
        for _ in range(3):
            x, half = g.rng.random(), 0.05 + 0.015 * row
            g.oval(x, y, half, 0.009, (176, 222, 244))


def _desert(g: _Ground) -> None:
    g.oval(0.25, 0.66, 0.45, 0.15, (232, 190, 110))
    g.floor((236, 196, 116), (244, 212, 140))
    g.oval(0.9, 0.96, 0.6, 0.12, (226, 182, 100))
    x = g.rng.choice((0.1, 0.9))
    for x0, y0, x1, y1 in (
        (-0.025, 0.42, 0.025, 0.7),
        (-0.085, 0.48, -0.05, 0.58),
        (0.05, 0.45, 0.085, 0.55),
    ):
        g.polygon([(x + x0, y0), (x + x1, y0), (x + x1, y1), (x + x0, y1)], (70, 140, 80))
    g.polygon([(x - 0.085, 0.55), (x + 0.085, 0.52), (x + 0.085, 0.56), (x - 0.085, 0.59)], (70, 140, 80))


def _snow(g: _Ground) -> None:
    g.oval(0.75, 0.66, 0.5, 0.16, (226, 236, 246))
    g.floor((244, 248, 254), (232, 240, 250))
    for _ in range(16):
        g.oval(g.rng.random(), g.rng.random(), 0.012, 0.012, (255, 255, 255))


def _city(g: _Ground) -> None:
    x = -0.04
    tones: tuple[RGB, ...] = ((126, 132, 156), (146, 138, 150), (112, 124, 148))
    number = 0
    while x < 1:
        width, top = g.rng.choice((0.16, 0.2)), g.rng.uniform(0.2, 0.46)
        g.polygon([(x, top), (x + width, top), (x + width, 0.75), (x, 0.75)], tones[number % 3])
        for row in range(4):
            for column in (0.28, 0.72):
                wx, wy = x + width * column, top + 0.05 + row * 0.09
                if wy < 0.7:
                    glow: RGB = (255, 224, 130) if g.time == "night" else (206, 224, 240)
                    s = g.side
                    g.draw.rectangle(((wx - 0.02) * s, (wy - 0.02) * s, (wx + 0.02) * s, (wy + 0.025) * s), fill=glow)
        x, number = x + width + 0.015, number + 1
    g.floor((112, 114, 124), (134, 136, 146))
    for x in (0.1, 0.5, 0.9):
        g.polygon([(x - 0.08, 0.9), (x + 0.08, 0.9), (x + 0.07, 0.92), (x - 0.09, 0.92)], (240, 240, 230))


def _beach(g: _Ground) -> None:
    s = g.side
    g.draw.rectangle((0, g.horizon, s, round(0.66 * s)), fill=g.lit((52, 164, 214)))
    g.oval(0.3, 0.66, 0.6, 0.03, (240, 250, 255))
    g.polygon([(0, 0.67), (1, 0.65), (1, 1), (0, 1)], (246, 216, 150))
    x = g.rng.choice((0.1, 0.9))
    g.polygon([(x - 0.02, 0.82), (x + 0.02, 0.82), (x + 0.015, 0.4), (x - 0.015, 0.4)], (140, 96, 56))
    for dx, dy in ((-0.11, 0.02), (0.11, 0.02), (-0.075, -0.06), (0.075, -0.06)):
        g.oval(x + dx * 0.6, 0.4 + dy, 0.085, 0.03, (60, 150, 80))


def _mountains(g: _Ground) -> None:
    shift = g.rng.uniform(-0.05, 0.05)
    for x, peak, half in ((0.18 + shift, 0.26, 0.42), (0.8 + shift, 0.2, 0.46)):
        g.polygon([(x - half, 0.72), (x, peak), (x + half, 0.72)], (124, 118, 142))
        cap = half * 0.32
        drop = (0.72 - peak) * 0.32
        g.polygon(
            [(x - cap, peak + drop), (x, peak), (x + cap, peak + drop), (x, peak + drop * 0.7)],
            (246, 248, 252),
        )
    g.floor((108, 148, 108), (122, 160, 120))


def _space(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    for y in range(side):
        draw.line([(0, y), (side, y)], fill=mix((30, 14, 58), (62, 28, 96), y / side))
    for _ in range(26):
        r = rng.choice((0.006, 0.008, 0.012)) * side
        _dot(draw, rng.random() * side, rng.random() * side, r, (255, 250, 230))
    x = rng.choice((0.13, 0.87)) * side
    _dot(draw, x, 0.17 * side, 0.1 * side, (226, 150, 96))
    draw.ellipse((x - 0.16 * side, 0.14 * side, x + 0.16 * side, 0.2 * side), outline=(250, 214, 160), width=side // 42)


_GROUND = {
    "meadow": _meadow,
    "sea": _sea,
    "desert": _desert,
    "snow": _snow,
    "city": _city,
    "beach": _beach,
    "mountains": _mountains,
}
