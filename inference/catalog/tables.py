"""TOML files as structs, with errors that the operator can act on: one line that names file, table and field."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from inference.errors import CatalogError

Row = TypeVar("Row", bound=msgspec.Struct)


def read(path: Path, fields: Iterable[str]) -> dict[str, Any]:
    """The document in this file, which may have these fields and no others.

    Raises FileNotFoundError where it is not there, and CatalogError where it cannot be read.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path} cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CatalogError(f"{path} is not TOML: {error}") from error
    known = tuple(fields)
    if surplus := sorted(document.keys() - set(known)):
        raise CatalogError(f"{path}: {surplus[0]}: no such field; there are {', '.join(known)}")
    return document


def rows(path: Path, document: Mapping[str, Any], table: str, kind: type[Row]) -> dict[str, Row]:
    """The tables `[table.NAME]` of a document as structs, by their names."""
    section = document.get(table, {})
    if not isinstance(section, dict):
        raise CatalogError(f"{path}: {table}: must be tables such as [{table}.NAME]")
    found: dict[str, Row] = {}
    for name, fields in section.items():
        where = f"{path}: {table}.{name}"
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
            raise CatalogError(f"{where}: a name is up to 64 of a-z, 0-9, dot, dash and underscore")
        found[name] = convert(where, fields, kind)
    return found


def convert(where: str, value: Any, kind: Any) -> Any:
    """A value of a document as this type. Raises CatalogError, beginning with `where`, where it is none."""
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        raise CatalogError(f"{where}: {field + ': ' if field else ''}{message}") from error


class Sized(Protocol):
    """Who says of what size it paints, in pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def size_multiple(self) -> int: ...
    @property
    def min_size(self) -> int: ...
    @property
    def max_size(self) -> int: ...
    @property
    def max_pixels(self) -> int: ...


def require_size(where: str, entry: Sized) -> None:
    """Raise CatalogError, beginning with `where`, where a model's own size breaks its own bounds."""
    for field, size in (("width", entry.width), ("height", entry.height)):
        if size % entry.size_multiple or not entry.min_size <= size <= entry.max_size:
            raise CatalogError(
                f"{where}: {field}: {size} must be a multiple of size_multiple ({entry.size_multiple})"
                f" from min_size ({entry.min_size}) to max_size ({entry.max_size})"
            )
    if entry.width * entry.height > entry.max_pixels:
        raise CatalogError(f"{where}: max_pixels: {entry.max_pixels} is less than width times height")
