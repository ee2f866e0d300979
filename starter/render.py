"""Paints a Scene with Pillow: layout, style, painted words. The same scene and size give the same picture.

What stands where in the picture is known exactly: `silhouettes` and `sign_box` say it to the models that learn to
find things.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from starter.backdrop import draw_backdrop
from starter.more_things import AIRBORNE, DRAW
from starter.pen import INK, PAINT, RGB, Pen, mix
from starter.world import LORA_STYLE, Scene

# Half a thing's width, as a share of the picture, by count and size.
REACH: dict[int, dict[str, float]] = {
    1: {"small": 0.145, "medium": 0.24, "large": 0.325},
    2: {"small": 0.125, "medium": 0.17, "large": 0.215},
    3: {"small": 0.1, "medium": 0.128, "large": 0.152},
}
PIXEL_GRID = 32
# Levels of each of red, green and blue in pixel art's palette.
PALETTE_LEVELS = 9


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one thing stands: its middle and half its width, all as shares of the picture's side."""

    x: float
    y: float
    reach: float


def layout(scene: Scene) -> list[Spot]:
    """Where the scene's things stand, left to right."""
    rng = random.Random(scene.seed)
    reach = REACH[scene.count][scene.size]
    spots = []
    for number in range(scene.count):
        x = (number + 0.5) / scene.count + rng.uniform(-0.03, 0.03)
        if scene.count == 1:
            x += rng.uniform(-0.07, 0.07) * (0.5 - reach) * 4
        if scene.place == "space" or scene.thing in AIRBORNE:
            y = 0.46 + rng.uniform(-0.05, 0.05)
        else:
            y = 0.87 - reach + rng.uniform(-0.03, 0.03)
        if scene.word is not None:
            y -= 0.08
        spots.append(Spot(x, y, reach))
    return spots


def render(scene: Scene, size: int = 64) -> Image.Image:
    """Paint the scene as a square RGB picture of `size` pixels."""
    side = 2 * size
    canvas = Image.new("RGB", (side, side))
    draw = ImageDraw.Draw(canvas)
    draw_backdrop(draw, side, scene.place, scene.time, random.Random(scene.seed + 1))
    colour = pigment(scene)
    for spot in layout(scene):
        if scene.thing not in AIRBORNE and scene.place != "space":
            draw_shadow(draw, side, spot, scene)
        draw_thing(draw, side, spot, scene, colour)
    picture = finish(canvas, scene, size)
    if scene.word is not None:
        # After the style, or pixel blocks and washes would make the word unreadable.
        draw_sign(ImageDraw.Draw(picture), scene, size)
    return picture


def silhouettes(scene: Scene, size: int = 64) -> list[np.ndarray]:
    """Which pixels each thing covers, left to right: bool arrays, (size, size). Shadows are not part of a thing."""
    side = 2 * size
    masks = []
    for spot in layout(scene):
        # Drawn on black and on white: where both agree, the thing hides the ground.
        grounds = [Image.new("RGB", (side, side), tone) for tone in ("black", "white")]
        for ground in grounds:
            draw_thing(ImageDraw.Draw(ground), side, spot, scene, pigment(scene))
        covered = (np.asarray(grounds[0]) == np.asarray(grounds[1])).all(2)
        masks.append(covered.reshape(size, 2, size, 2).mean((1, 3)) >= 0.5)
    return masks


def sign_box(scene: Scene, size: int = 64) -> tuple[float, float, float, float]:
    """The sign's left, top, right and bottom in pixels; the scene must carry a word."""
    if scene.word is None:
        raise ValueError("the scene carries no word")
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox(
        _sign_middle(size), scene.word, font=_sign_font(size), anchor="mm"
    )
    margin = size * 0.025
    return left - margin, top - margin, right + margin, bottom + margin


def draw_thing(draw: ImageDraw.ImageDraw, side: int, spot: Spot, scene: Scene, colour: RGB) -> None:
    pen = Pen(draw, spot.x * side, spot.y * side, spot.reach * side, scene.style == "cartoon")
    DRAW[scene.thing](pen, colour)


def pigment(scene: Scene) -> RGB:
    colour = PAINT[scene.colour]
    if scene.blend is not None:
        colour = mix(colour, PAINT[scene.blend], 0.5)
    if scene.time == "sunset":
        return mix(colour, (255, 150, 90), 0.06)
    if scene.time == "night":
        return mix(colour, (30, 30, 90), 0.1)
    return colour


def draw_shadow(draw: ImageDraw.ImageDraw, side: int, spot: Spot, scene: Scene) -> None:
    """A flat pool under a standing thing: a shadow on land, foam on the water."""
    tone = (190, 226, 244) if scene.place == "sea" else (70, 84, 84)
    if scene.time == "night":
        tone = mix(tone, (20, 24, 80), 0.55)
    x, y, reach = spot.x * side, (spot.y + spot.reach) * side, spot.reach * side
    draw.ellipse((x - reach * 0.95, y - reach * 0.13, x + reach * 0.95, y + reach * 0.13), fill=tone)


def draw_sign(draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
    draw.rounded_rectangle(
        sign_box(scene, side), side * 0.02, fill=(255, 250, 232), outline=INK, width=max(1, side // 64)
    )
    draw.text(_sign_middle(side), scene.word or "", font=_sign_font(side), fill=INK, anchor="mm")


def _sign_middle(side: int) -> tuple[float, float]:
    return side / 2, side * 0.89


def _sign_font(side: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(side * 0.17)


def finish(canvas: Image.Image, scene: Scene, size: int) -> Image.Image:
    if scene.style == "pixel":
        small = canvas.resize((PIXEL_GRID, PIXEL_GRID), Image.Resampling.BOX)
        return _few_colours(small).resize((size, size), Image.Resampling.NEAREST)
    picture = canvas.resize((size, size), Image.Resampling.BOX)
    if scene.style == "watercolour":
        return _wash(picture, size)
    if scene.style == LORA_STYLE:
        return _neon(picture, size)
    return picture


def _few_colours(picture: Image.Image) -> Image.Image:
    """Every channel in a few levels: skies of pixel art have bands."""
    step = 255 / (PALETTE_LEVELS - 1)
    return picture.point([round(round(value / step) * step) for value in range(256)] * 3)


def _wash(picture: Image.Image, size: int) -> Image.Image:
    """Watercolour: soft and pale, with the paper's white showing at the edges."""
    soft = picture.filter(ImageFilter.GaussianBlur(size / 110))
    paper = Image.new("RGB", (size, size), (255, 252, 244))
    pale = Image.blend(soft, paper, 0.24)
    mask = Image.new("L", (size, size), 0)
    edge = size * 0.06
    ImageDraw.Draw(mask).rounded_rectangle((edge, edge, size - edge - 1, size - edge - 1), size * 0.12, fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(size / 40))
    return Image.composite(pale, paper, mask)


def _neon(picture: Image.Image, size: int) -> Image.Image:
    """Neon: a dim picture whose edges shine in their own colours, with a glow about them."""
    thick = 2 * max(1, round(size / 128)) + 1
    light, dark = picture.filter(ImageFilter.MaxFilter(thick)), picture.filter(ImageFilter.MinFilter(thick))
    red, green, blue = ImageChops.subtract(light, dark).split()
    strength = ImageChops.lighter(ImageChops.lighter(red, green), blue).point([min(255, 2 * v) for v in range(256)])
    vivid = ImageEnhance.Brightness(ImageEnhance.Color(picture).enhance(2.2)).enhance(1.3)
    shining = ImageChops.multiply(vivid, Image.merge("RGB", [strength] * 3))
    glow = shining.filter(ImageFilter.GaussianBlur(size / 32))
    dim = ImageEnhance.Brightness(picture).enhance(0.22)
    return ImageChops.add(ImageChops.add(dim, glow), shining)
