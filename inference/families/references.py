"""How a family paints beside pictures that it is shown: an instruction's own picture, and others that it speaks of.

Imports no torch. How large they are shown is `painting.references`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True)
class References:
    """What a pipeline does with pictures beside the words; all of it without noise of its own."""

    most: int
    """How many it takes."""
    told: Callable[[Sequence[Image.Image]], dict[str, Any]]
    """From pictures, RGB, with sides that are multiples of the family's, to what the pipeline is told of them."""
    least_side: int = 1
    """Below which it takes none, in pixels."""
    encode: Callable[[Any, str, str, bool, Sequence[Image.Image]], Sequence[Any]] | None = None
    """As `Words.encode` of words that are read together with the pictures; None where they are read alone."""
    without: str | None = None
    """The pipeline that paints from words alone, of those of its components that this takes; None where the family's
    own can do without pictures."""
