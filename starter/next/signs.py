"""The sign below a picture's things: a word whose letters stand in columns of their own.

A column is two cells of the picture model's grid wide, so that spelling is learnt letter by letter: where letters
follow each other closely, each changes the places of all that come after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import ImageDraw, ImageFont

from starter.answers import Box
from starter.pen import INK

# As shares of the picture's side: a letter's column, the sign's middle height, the letters' size and how high they
# stand with it, and the margin beside them.
COLUMN, MIDDLE, LETTER, CAPITAL, MARGIN = 1 / 8, 0.875, 0.15, 0.108, 0.02


def draw_sign(draw: ImageDraw.ImageDraw, word: str, side: int) -> None:
    """Paint the word on its sign, over whatever is there."""
    font = ImageFont.load_default(side * LETTER)
    draw.rounded_rectangle(
        sign_box(word, side), side * 0.02, fill=(255, 250, 232), outline=INK, width=max(1, side // 64)
    )
    for letter, left in _columns(word):
        foot = ((left + COLUMN / 2) * side, (MIDDLE + CAPITAL / 2) * side)
        draw.text(foot, letter, font=font, fill=INK, anchor="ms")


def sign_box(word: str, side: int) -> Box:
    """The sign's left, top, right and bottom in pixels of a picture of that side."""
    across, down = len(word) * COLUMN / 2 + MARGIN, CAPITAL / 2 + 2 * MARGIN
    return (0.5 - across) * side, (MIDDLE - down) * side, (0.5 + across) * side, (MIDDLE + down) * side


def sign_rows(rows: int) -> slice:
    """Which of so many rows of the picture letters stand in."""
    return slice(round((MIDDLE - COLUMN / 2) * rows), round((MIDDLE + COLUMN / 2) * rows))


def letters_of(word: str | None, known: str, strips: int) -> np.ndarray:
    """Which letter of a sign's word has each of so many upright strips of the picture: (strips,).

    1 + its place among the known ones, or 0.
    """
    letters = np.zeros(strips, dtype=np.int64)
    for letter, left in _columns(word or ""):
        letters[round(left * strips) : round((left + COLUMN) * strips)] = 1 + known.index(letter)
    return letters


def _columns(word: str) -> Iterator[tuple[str, float]]:
    """The word's letters, each with the left edge of its column as a share of the side."""
    for place, letter in enumerate(word):
        yield letter, 0.5 + (place - len(word) / 2) * COLUMN
