"""Paints a Tableau with Pillow: several different things in one picture, its weather, its sign.

As in `starter.render`, the same tableau and size give the same picture; `outlined` says which pixels show which thing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from starter.backdrop import HORIZON, VEIL, draw_backdrop
from starter.more_things import AIRBORNE
from starter.next.signs import draw_sign
from starter.next.tableau import SEATS, Tableau
from starter.pen import RGB, Pen, Point, mix
from starter.render import Spot, draw_shadow, draw_thing, finish, layout, pigment
from starter.world import Scene

# Things of aligned tableaux stand in whole cells of a grid of so many, and single ones so far from the middle.
CELLS, ROOM = 16, 3
# The middle height of what hangs in the air, and the line that all others stand on.
AIR, GROUND = 0.46, 0.87
# The veil that each weather lays over everything, and how thick it is.
VEILS: dict[str, tuple[RGB, float]] = {
    "rain": ((118, 130, 152), 0.28),
    "snowfall": ((214, 222, 234), 0.2),
    "fog": ((218, 222, 226), 0.46),
}
# What lies on the ground in a season and how thick it is, and the colours of the petals or leaves about.
GROUNDS: dict[str, tuple[RGB, float]] = {
    "spring": ((172, 232, 124), 0.4),
    "autumn": ((222, 146, 58), 0.62),
    "winter": ((242, 247, 254), 0.86),
}
FALLEN: dict[str, tuple[RGB, ...]] = {
    "spring": ((255, 178, 212), (255, 232, 242)),
    "autumn": ((204, 66, 36), (240, 170, 40), (158, 84, 34)),
}
FRONTS: dict[str, list[Point]] = {
    "boat": [(-1, 0.4), (1, 0.4), (0.62, 1), (-0.62, 1)],
    "cup": [(-0.8, -0.2), (0.62, -0.2), (0.5, 1), (-0.68, 1)],
}
Stroke = Callable[[ImageDraw.ImageDraw], None]


def arrange(tableau: Tableau) -> list[Spot]:
    """Where the subjects are, in their order; of a single subject each of its `count` things."""
    spots = _arranged(tableau)
    return _aligned(tableau, spots) if tableau.aligned else spots


def _aligned(tableau: Tableau, spots: list[Spot]) -> list[Spot]:
    """The same in whole cells, and from there moved by whole cells as far as there is room: all of them to one side,
    and each up or down. What sits on another or in it goes with that."""
    rng = random.Random(tableau.seed + 2)
    # What is high up already goes no higher.
    highest = 0 if min(spot.y - spot.reach for spot in spots) < 1.5 / CELLS else -1
    if tableau.arrangement in ("on", "in"):
        base = spots[-1]
        across = 0.5 - base.x + rng.randint(-ROOM, ROOM) / CELLS
        down = round(base.y * CELLS) / CELLS - base.y + rng.randint(highest, 0) / CELLS
        return [replace(spot, x=spot.x + across, y=spot.y + down) for spot in spots]
    rows = [max(round(spot.y * CELLS), math.ceil(spot.reach * CELLS)) for spot in spots]
    if tableau.arrangement == "behind":
        columns, heights = [round(spot.x * CELLS) for spot in spots], [rng.randint(highest, 0)] * len(spots)
    else:
        columns = [round((place + 0.5) / len(spots) * CELLS) for place in range(len(spots))]
        left = math.ceil(spots[0].reach * CELLS - columns[0])
        right = math.floor((1 - spots[-1].reach) * CELLS - columns[-1])
        aside = rng.randint(max(-ROOM, left), min(ROOM, right))
        columns = [column + aside for column in columns]
        # Below a thing that is low stands the sign, if there is one.
        heights = [rng.randint(highest, 0 if tableau.word is not None else 1) for _ in spots]
    return [
        replace(spot, x=column / CELLS, y=(row + height) / CELLS)
        for spot, column, row, height in zip(spots, columns, rows, heights, strict=True)
    ]


def _arranged(tableau: Tableau) -> list[Spot]:
    if len(tableau.subjects) == 1:
        return layout(tableau.scene())
    rng = random.Random(tableau.seed)
    lift = 0.08 if tableau.word is not None else 0.0
    match tableau.arrangement:
        case "behind":
            spots = _behind(tableau, rng)
        case "on" | "in":
            spots = _riding(tableau, rng)
        case _:
            spots = _beside(tableau, rng)
    return [replace(spot, y=max(spot.reach, spot.y - lift)) for spot in spots]


def _beside(tableau: Tableau, rng: random.Random) -> list[Spot]:
    number = len(tableau.subjects)
    reach = {2: 0.19, 3: 0.14}[number]
    if not tableau.aligned:
        reach *= rng.uniform(0.92, 1.08)
    return [
        Spot((place + 0.5) / number + rng.uniform(-0.02, 0.02), _height(tableau, place, reach, rng), reach)
        for place in range(number)
    ]


def _behind(tableau: Tableau, rng: random.Random) -> list[Spot]:
    side, back, front = rng.choice((-1, 1)), 0.25, 0.185
    low = _height(tableau, 1, front, rng)
    # Standing things behind stand higher up in the picture.
    high = low + front - back - 0.07
    offset = rng.uniform(0.17, 0.2)
    return [Spot(0.5 - side * (offset - 0.02), high, back), Spot(0.5 + side * offset, low + 0.02, front)]


def _riding(tableau: Tableau, rng: random.Random) -> list[Spot]:
    below, under = tableau.subjects[1].thing, 0.25
    x = 0.5 + rng.uniform(-0.12, 0.12)
    y = GROUND - under + rng.uniform(-0.02, 0.02)
    if tableau.place == "space":
        y -= 0.1
    if tableau.arrangement == "on":
        rider = 0.15
        # A little into the seat, so that nothing hovers.
        return [Spot(x, y + SEATS[below] * under - 0.9 * rider, rider), Spot(x, y, under)]
    if below == "boat":
        return [Spot(x - 0.46 * under, y + 0.08 * under, 0.11), Spot(x, y, under)]
    return [Spot(x - 0.09 * under, y - 0.55 * under, 0.13), Spot(x, y, under)]


def _height(tableau: Tableau, number: int, reach: float, rng: random.Random) -> float:
    if tableau.place == "space" or tableau.subjects[number].thing in AIRBORNE:
        return AIR + rng.uniform(-0.05, 0.05)
    return GROUND - reach + rng.uniform(-0.03, 0.03)


def render_tableau(tableau: Tableau, size: int = 128) -> Image.Image:
    """Paint the tableau as a square RGB picture of `size` pixels."""
    side = 2 * size
    canvas = Image.new("RGB", (side, side))
    draw = ImageDraw.Draw(canvas)
    draw_backdrop(draw, side, tableau.place, tableau.time, random.Random(tableau.seed + 1))
    if tableau.season != "summer":
        canvas = _in_season(canvas, tableau)
        draw = ImageDraw.Draw(canvas)
    for _, stroke in _strokes(tableau, side):
        stroke(draw)
    canvas = _under_weather(canvas, tableau)
    picture = finish(canvas, tableau.scene(), size)
    if tableau.word is not None:
        # After the style, or pixel blocks and washes would make the word unreadable.
        draw_sign(ImageDraw.Draw(picture), tableau.word, size)
    return picture


def outlined(tableau: Tableau, size: int = 128) -> list[np.ndarray]:
    """Which pixels show each thing, in the order of `arrange`: bool arrays, (size, size); none that others hide."""
    side = 2 * size
    shown = np.full((side, side), -1)
    for number, stroke in _strokes(tableau, side, shadows=False):
        # Drawn on black and on white: where both agree, the thing hides the ground.
        grounds = [Image.new("RGB", (side, side), tone) for tone in ("black", "white")]
        for ground in grounds:
            stroke(ImageDraw.Draw(ground))
        shown[(np.asarray(grounds[0]) == np.asarray(grounds[1])).all(2)] = number
    return [(shown == number).reshape(size, 2, size, 2).mean((1, 3)) > 0.5 for number in range(len(arrange(tableau)))]


def _strokes(tableau: Tableau, side: int, shadows: bool = True) -> list[tuple[int, Stroke]]:
    """What is drawn one over the other, each with the number of the thing that it is a part of."""
    spots = arrange(tableau)
    alone = len(tableau.subjects) == 1
    riding = tableau.arrangement in ("on", "in")
    strokes: list[tuple[int, Stroke]] = []
    for number in (1, 0) if riding else range(len(spots)):
        scene, spot = tableau.scene(0 if alone else number), spots[number]
        stands = scene.thing not in AIRBORNE and scene.place != "space" and not (riding and number == 0)
        if shadows and stands:
            strokes.append((number, partial(draw_shadow, side=side, spot=spot, scene=scene)))
        strokes.append((number, partial(draw_thing, side=side, spot=spot, scene=scene, colour=pigment(scene))))
    if tableau.arrangement == "in":
        strokes.append((1, partial(_draw_front, side=side, spot=spots[1], scene=tableau.scene(1))))
    return strokes


def _draw_front(draw: ImageDraw.ImageDraw, side: int, spot: Spot, scene: Scene) -> None:
    """The part of a vessel that hides the lower half of whoever sits in it."""
    pen = Pen(draw, spot.x * side, spot.y * side, spot.reach * side, scene.style == "cartoon")
    pen.polygon(FRONTS[scene.thing], pigment(scene))


def _in_season(canvas: Image.Image, tableau: Tableau) -> Image.Image:
    side, light = canvas.width, VEIL[tableau.time]
    ground, thickness = GROUNDS[tableau.season]
    pixels = np.asarray(canvas).astype(int)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    covered = (green > red + 8) & (green > blue + 8)  # Hills that rise over the horizon.
    covered[round(HORIZON[tableau.place] * side) :] = True
    shade = Image.fromarray((covered * round(255 * thickness)).astype(np.uint8))
    canvas.paste(Image.new("RGB", canvas.size, mix(ground, *light)), mask=shade)
    draw, rng = ImageDraw.Draw(canvas), random.Random(tableau.seed + 3)
    for _ in range(36 if tableau.season in FALLEN else 0):
        x, y, r = rng.random() * side, (1 - rng.random() ** 1.5) * side, rng.uniform(0.01, 0.018) * side
        draw.ellipse((x - r, y - 0.6 * r, x + r, y + 0.6 * r), fill=mix(rng.choice(FALLEN[tableau.season]), *light))
    return canvas


def _under_weather(canvas: Image.Image, tableau: Tableau) -> Image.Image:
    if tableau.weather == "clear":
        return canvas
    veil, share = VEILS[tableau.weather]
    if tableau.time == "night":
        veil = mix(veil, (24, 30, 92), 0.5)
    canvas = Image.blend(canvas, Image.new("RGB", canvas.size, veil), share)
    draw, side, rng = ImageDraw.Draw(canvas), canvas.width, random.Random(tableau.seed + 2)
    if tableau.weather == "rain":
        for _ in range(60):
            x, y = rng.uniform(0, 1.1) * side, rng.uniform(-0.1, 1) * side
            draw.line((x, y, x - 0.022 * side, y + 0.075 * side), fill=(206, 226, 248), width=max(1, side // 128))
    elif tableau.weather == "snowfall":
        for _ in range(60):
            x, y, r = rng.random() * side, rng.random() * side, rng.uniform(0.008, 0.014) * side
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))
    return canvas
