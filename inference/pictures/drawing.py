"""Pictures that show an answer: outlines with their labels on the picture that was asked about, and a bar chart."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from inference.protocol import LabelShare, Region

# Told apart by colour-blind eyes as well (Okabe and Ito, Color Universal Design, 2008), the lightest first.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2", "#FFFFFF")
FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf")
"""Tried in this order; they hold more scripts than Pillow's own, which is taken where the machine has neither."""

SHORTEST = 512
"""A picture is enlarged until its longer side has so many pixels, so that labels can be read beside what they name."""

CHART_WIDTH = 640
ROW_HEIGHT = 30
ROWS_PER_COLUMN = 25

GROUND = "#2B2D31"
"""Of a sheet that shows several pictures."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Rectangle = tuple[float, float, float, float]


def outlined(picture: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """A copy of the picture with every region outlined in its own colour, its label beside it.

    A small picture comes back enlarged by a whole factor, so that each of its pixels keeps its edges.
    """
    factor = max(1, SHORTEST // max(picture.size))
    size = (picture.width * factor, picture.height * factor)
    canvas = picture.convert("RGB").resize(size, Image.Resampling.NEAREST)
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(regions))]
    for region, colour in zip(regions, colours, strict=True):
        _fill(canvas, region, colour, factor)
    draw = ImageDraw.Draw(canvas)
    stroke = max(2, min(size) // 250)
    for region, colour in zip(regions, colours, strict=True):
        for outline in _outlines(region, factor):
            # Dark under light, so that a line shows on any ground.
            draw.line([*outline, outline[0]], fill="black", width=stroke + 2, joint="curve")
            draw.line([*outline, outline[0]], fill=colour, width=stroke, joint="curve")
    taken: list[Rectangle] = []
    font = _font(max(14, min(min(size) // 28, 64)))
    for region, colour in zip(regions, colours, strict=True):
        taken.append(_label(draw, size, region, colour, factor, font, taken))
    return canvas


def tinted(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """A copy of the picture with what is white in the mask tinted and outlined."""
    canvas = picture.convert("RGB")
    canvas.paste(Image.new("RGB", canvas.size, COLOURS[0]), mask=mask.point(lambda lightness: lightness // 2))
    edge = ImageChops.difference(mask.filter(ImageFilter.MaxFilter(5)), mask)
    canvas.paste(Image.new("RGB", canvas.size, "white"), mask=edge)
    return canvas


def bars(shares: Sequence[LabelShare]) -> Image.Image:
    """A bar chart of these labels, from top to bottom, in two columns where there are many."""
    columns = -(-len(shares) // ROWS_PER_COLUMN)
    rows = -(-len(shares) // columns)
    margin = ROW_HEIGHT // 2
    chart = Image.new("RGB", (columns * CHART_WIDTH, rows * ROW_HEIGHT + 2 * margin), GROUND)
    draw = ImageDraw.Draw(chart)
    font = _font(17)
    for number, each in enumerate(shares):
        left = number // rows * CHART_WIDTH + margin
        top = margin + number % rows * ROW_HEIGHT
        middle = top + ROW_HEIGHT // 2
        draw.text((left, middle), _cut(draw, each.label, font, 210), fill="#F2F3F5", font=font, anchor="lm")
        start, end = left + 220, left + CHART_WIDTH - 2 * margin - 80
        length = (end - start) * each.share
        draw.rectangle((start, top + 6, end, top + ROW_HEIGHT - 6), fill="#3A3C42")
        draw.rectangle((start, top + 6, start + max(1.0, length), top + ROW_HEIGHT - 6), fill="#7983F5")
        draw.text((end + 74, middle), f"{each.share:.1%}", fill="#F2F3F5", font=font, anchor="rm")
    return chart


def side_by_side(pictures: Sequence[Image.Image], captions: Sequence[str]) -> Image.Image:
    """The pictures in a row, all as high as the highest, each with its caption over it."""
    height = max(SHORTEST // 2, *(picture.height for picture in pictures))
    # Enlarged to their pixels, not beyond: what a network saw was as coarse as that.
    panels = [
        picture.resize((picture.width * height // picture.height, height), Image.Resampling.NEAREST)
        for picture in pictures
    ]
    gap, band = max(4, height // 64), max(24, height // 16)
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1)
    row = Image.new("RGB", (width, height + band), GROUND)
    draw = ImageDraw.Draw(row)
    font = _font(band * 2 // 3)
    left = 0
    for panel, caption in zip(panels, captions, strict=True):
        text = _cut(draw, caption, font, panel.width)
        draw.text((left + panel.width / 2, band / 2), text, fill="#F2F3F5", font=font, anchor="mm")
        row.paste(panel, (left, band))
        left += panel.width + gap
    return row


def captioned(picture: Image.Image, caption: str, side: int, band: int) -> Image.Image:
    """The picture, which is no larger than that, in the middle of a square of this side; over it its caption, in two
    lines where it is long."""
    cell = Image.new("RGB", (side, side + band), GROUND)
    draw, font = ImageDraw.Draw(cell), _font(band // 3)
    lines, words = [""], caption.split()
    while words:
        if draw.textlength(f"{lines[-1]} {words[0]}", font=font) <= side - 8 or not lines[-1] or len(lines) == 2:
            lines[-1] = f"{lines[-1]} {words.pop(0)}".strip()
        else:
            lines.append("")
    text = "\n".join(_cut(draw, line, font, side - 8) for line in lines)
    draw.multiline_text((side / 2, band / 2), text, fill="#F2F3F5", font=font, anchor="mm", align="center")
    cell.paste(picture, ((side - picture.width) // 2, band + (side - picture.height) // 2))
    return cell


def table(cells: Sequence[Image.Image | None], columns: Sequence[str], rows: Sequence[str]) -> Image.Image:
    """These pictures row by row with labels at the top and at the left, where they are not all empty.

    Cells are as large as the largest picture; a picture that is not there yet is None and leaves its cell grey.
    """
    there = [cell for cell in cells if cell is not None]
    width, height = (max((cell.size[side] for cell in there), default=SHORTEST // 2) for side in (0, 1))
    font = _font(max(14, min(width, height) // 16))
    line = sum(_extent(font)) * 3 // 2
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    labels = [_cut(measure, label, font, width) for label in rows]
    left = max(int(measure.textlength(label, font=font)) for label in labels)
    left += line if left else 0
    top = line if any(columns) else 0
    sheet = Image.new("RGB", (left + len(columns) * width, top + len(rows) * height), GROUND)
    draw = ImageDraw.Draw(sheet)
    for number, label in enumerate(columns):
        at = (left + number * width + width // 2, top // 2)
        draw.text(at, _cut(draw, label, font, width - 8), fill="#F2F3F5", font=font, anchor="mm")
    for number, label in enumerate(labels):
        draw.text((left // 2, top + number * height + height // 2), label, fill="#F2F3F5", font=font, anchor="mm")
    for number, cell in enumerate(cells):
        corner = (left + number % len(columns) * width, top + number // len(columns) * height)
        sheet.paste(cell or Image.new("RGB", (width, height), "#808080"), corner)
    return sheet


def cells(size: tuple[int, int], pictures: Sequence[Image.Image], columns: Sequence[str]) -> Image.Image:
    """A mask of this size for a `table` of these pictures: white where they are, black where labels and ground are."""
    width, height = (max(picture.size[side] for picture in pictures) for side in (0, 1))
    left, top = size[0] - len(columns) * width, size[1] - len(pictures) // len(columns) * height
    mask = Image.new("L", size)
    for number, picture in enumerate(pictures):
        x, y = left + number % len(columns) * width, top + number // len(columns) * height
        mask.paste(255, (x, y, x + picture.width, y + picture.height))
    return mask


def _outlines(region: Region, factor: int) -> list[list[tuple[float, float]]]:
    left, top, right, bottom = region.box
    outlines = region.polygons or (((left, top), (right, top), (right, bottom), (left, bottom)),)
    return [[(x * factor, y * factor) for x, y in outline] for outline in outlines]


def _fill(canvas: Image.Image, region: Region, colour: str, factor: int) -> None:
    """Tint what an outline encloses; a box encloses too much that is not meant."""
    if region.polygons:
        mask = Image.new("L", canvas.size)
        draw = ImageDraw.Draw(mask)
        for outline in _outlines(region, factor):
            draw.polygon(outline, fill=90)
        canvas.paste(Image.new("RGB", canvas.size, colour), mask=mask)


def _label(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    region: Region,
    colour: str,
    factor: int,
    font: Font,
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Write a region's label where it fits best: over its box, else under it, else in it; says which place it took."""
    text = _cut(draw, region.label, font, size[0] - 8)
    width = draw.textlength(text, font=font) + 8
    height = sum(_extent(font)) + 4
    left, top, _, bottom = (edge * factor for edge in region.box)
    x = max(0.0, min(left, size[0] - width))
    fallback = None
    for y in (top - height, bottom, top, bottom - height, *(top + step * height for step in range(1, 8))):
        place = (x, y, x + width, y + height)
        if y < 0 or place[3] > size[1]:
            continue
        fallback = fallback or place
        if not any(_overlap(place, other) for other in taken):
            break
    else:
        place = fallback or (x, 0.0, x + width, height)
    draw.rectangle(place, fill=colour)
    draw.text((place[0] + 4, place[1] + 2), text, fill="black", font=font, anchor="la")
    return place


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _cut(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> str:
    """The text in one line, shortened to this many pixels."""
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"


def _extent(font: Font) -> tuple[int, int]:
    """How far letters reach above and below their line."""
    if isinstance(font, ImageFont.FreeTypeFont):
        ascent, descent = font.getmetrics()
        return int(ascent), int(descent)
    return 11, 0


@functools.cache
def _font(size: int) -> Font:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
