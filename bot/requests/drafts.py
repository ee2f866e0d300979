"""Requests on pictures that are not read yet: what is wrong with them whatever the pictures are is known at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.errors import MemberError
from bot.requests import require_possible
from inference.protocol import Input, Ready, Request

SHAPES = tuple(shape for long in (8, 16, 32, 64, 128, 256) for shape in ((long, 8), (8, long)))
"""Pictures of all proportions that are read, as small as they may be: what is too large of these is so of any."""

Build = Callable[..., Request]
"""Makes a request of its pictures, which are given by name. Raises MemberError where it cannot be met."""


def draft(pictures: Mapping[str, Input], build: Build, ready: Ready) -> Request:
    """The request as it is written down until its pictures are read. Those without a hash are not, and of the size
    that Discord says.

    Raises MemberError where it would be impossible on any picture; what is wrong with the size of this one shows when
    it is read.
    """
    refusals: list[MemberError] = []
    for shape in (None, *SHAPES):
        try:
            made = build(**{name: _shaped(picture, shape) for name, picture in pictures.items()})
            require_possible(made, ready)
        except MemberError as error:
            refusals.append(error)
        else:
            return made
    raise refusals[0]


def _shaped(picture: Input, shape: tuple[int, int] | None) -> Input:
    return picture if picture.sha256 or shape is None else Input("", *shape)
