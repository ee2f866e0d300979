"""Models that other servers have: what `[models.NAME]` says where its family is one of a kind of server.

Nothing of them lies on this machine, so nothing here looks for weights, and no request is sent from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from inference.catalog import tables
from inference.catalog.fields import Count, Pixels
from inference.errors import CatalogError
from inference.protocol import MILLIONTHS, ModelInfo, Remote
from inference.protocol.limits import MAX_COUNT

FAMILY = "openai"
"""What models.toml calls the servers that speak OpenAI's images API."""

OURS = frozenset({"model", "prompt", "n", "size", "quality", "image", "mask", "stream", "partial_images", "user"})
"""What a request says anyway, so that no entry can say it otherwise."""

Price = Annotated[float, msgspec.Meta(ge=0, le=10_000)]
Size = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$")]


class RemoteEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[models.NAME]` of a server: docs/backends.md explains each field. Sizes in pixels."""

    title: str
    family: Literal["openai"]
    base_url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
    """Up to what comes before `/images/generations`. Nobody's name and password stand in it."""
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """What the server calls it."""
    key: Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]*_KEY$")] | None = None
    """The variable that holds the server's key; None where it wants none."""
    sizes: tuple[Size, ...] = ()
    """All that it paints, the usual one first; without them any size within the bounds that follow."""
    width: Pixels = 1024
    height: Pixels = 1024
    size_multiple: Count = 16
    min_size: Pixels = 256
    max_size: Pixels = 2048
    max_pixels: Count = 2048 * 2048
    quality: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    """One of its levels; for another level there is another entry."""
    parameters: Mapping[str, str | int | float | bool] = {}
    """What else every request says."""
    seed: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}$")] | None = None
    """What the server calls a seed, where it takes one: that is no part of OpenAI's own API."""
    edits: bool = False
    """Whether it has `/images/edits`, with masks."""
    references: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many pictures that is shown, where it is there."""
    previews: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    """How many pictures it streams on the way to one."""
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)] = 1
    """How many pictures one request can ask for."""
    at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """How many requests it is sent at a time."""
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 300.0
    """How long one may take."""
    checker: str | None = None
    """Which of the catalogue's checkers looks at what it paints; its own where that is not said, "none" for nothing."""
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = "USD"
    price: Price = 0.0
    """Of one picture, by what the server's operator says of it."""
    prices: Mapping[Size, Price] = {}
    """Of sizes that cost something else."""

    @property
    def host(self) -> str:
        """Whose server that is, without a port, a path or whatever else stands in the address."""
        return urlsplit(self.base_url).hostname or "?"

    def info(self, name: str) -> ModelInfo:
        """What members may ask of it."""
        sizes = tuple(map(_sides, self.sizes))
        width, height = sizes[0] if sizes else (self.width, self.height)
        sides = [side for size in sizes for side in size] or [self.min_size, self.max_size]
        priced = bool(self.price or self.prices)
        return ModelInfo(
            name=name,
            title=self.title,
            family=self.family,
            # It shows none of its steps: it takes one.
            samplers=(),
            sampler="",
            steps=1,
            max_steps=1,
            guidance=0,
            max_guidance=0,
            negative=False,
            width=width,
            height=height,
            size_multiple=1 if sizes else self.size_multiple,
            min_size=min(sides),
            max_size=max(sides),
            max_pixels=max((wide * high for wide, high in sizes), default=self.max_pixels),
            max_hires_pixels=0,
            batch=1,
            upscale=1,
            refiner=None,
            styles=(),
            references=self.references if self.edits else 0,
            fills=False,
            usual_layer=None,
            clip_skip=None,
            training=None,
            remote=Remote(
                host=self.host,
                seeded=self.seed is not None,
                edits=self.edits,
                sizes=sizes,
                most=self.count,
                checker=self.checker or "",
                at_once=self.at_once,
                currency=self.currency if priced else "",
                price=round(self.price * MILLIONTHS),
                prices={size: round(price * MILLIONTHS) for size, price in self.prices.items()},
            ),
        )


def _sides(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def parted(path: Path, document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, RemoteEntry]]:
    """The document without the models that other servers have, and these. Raises CatalogError."""
    section = document.get("models")
    if not isinstance(section, dict):
        return document, {}
    elsewhere = {
        name: fields for name, fields in section.items() if isinstance(fields, dict) and fields.get("family") == FAMILY
    }
    found = tables.rows(path, {"models": elsewhere}, "models", RemoteEntry)
    for name, entry in found.items():
        _check(f"{path}: models.{name}", entry)
    here = {name: fields for name, fields in section.items() if name not in elsewhere}
    return {**document, "models": here}, found


def keys(entries: Mapping[str, RemoteEntry]) -> tuple[str, ...]:
    """The variables that hold their keys, each once."""
    return tuple(dict.fromkeys(entry.key for entry in entries.values() if entry.key is not None))


def _check(where: str, entry: RemoteEntry) -> None:
    if surplus := sorted(OURS & entry.parameters.keys()):
        raise CatalogError(f"{where}: parameters: {surplus[0]} is said by Easel itself: leave it out")
    if entry.seed in entry.parameters:
        raise CatalogError(f"{where}: parameters: {entry.seed} is the seed of each request: leave it out")
    if strangers := [size for size in entry.prices if entry.sizes and size not in entry.sizes]:
        raise CatalogError(f"{where}: prices: {strangers[0]} is none of its sizes")
    if not entry.sizes:
        tables.require_size(where, entry)
