"""A new entry at the end of models.toml, in its own words and with nothing else changed.

What the entry is of is found out by `looking`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference.catalog import reading, weights
from inference.catalog.looking import Look
from inference.errors import CatalogError, WeightsError


def add(toml: Path, found: Look, name: str | None) -> str:
    """Write the entry of what was found into models.toml, or nothing; returns the name that it got.

    Raises CatalogError where that name is taken or none, and WeightsError where nothing could be used by this entry.
    """
    toml = toml.absolute()
    with alone(toml.parent):
        known = reading.load(toml)
        before = toml.read_bytes().decode("utf-8")
        name = _slug(found) if name is None else name
        if name in known.entries(found.kind):
            raise CatalogError(f"{toml}: there is a [{found.kind}s.{name}] already: give another one with --name")
        entry = ("" if before.endswith("\n") else "\n") + text(found, name, known.folder)
        if "\r\n" in before:
            entry = entry.replace("\n", "\r\n")
        # Beside the file, for its paths begin there.
        part = toml.with_name(f"{toml.name}.part")
        try:
            part.write_bytes((before + entry).encode())
            if name not in weights.available(written := _load(part, toml), found.kind):
                # What is broken says so itself.
                weights.locate(written, found.kind, name)
                raise WeightsError(f"{found.place}: {weights.reason(written, found.kind, name)}")
            _replace(toml.resolve(), part)
        except (OSError, UnicodeEncodeError) as error:
            raise CatalogError(f"{toml} cannot be written: {' '.join(str(error).split())}") from error
        finally:
            part.unlink(missing_ok=True)
    return name


def _replace(file: Path, part: Path) -> None:
    """Let this file be what the part is, in one moment, with the rights that it has."""
    new = file.with_name(part.name)
    if new != part:
        # A link may lead to another disk.
        shutil.copyfile(part, new)
    shutil.copymode(file, new)
    new.replace(file)


def _load(part: Path, toml: Path) -> reading.Catalog:
    try:
        return reading.load(part)
    except CatalogError as error:
        raise CatalogError(str(error).replace(str(part), str(toml))) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else adds anything meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _slug(found: Look) -> str:
    stem = found.place.stem if found.place.is_file() else found.place.name
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:64]
    if not name:
        raise CatalogError(f"{found.place} has no name that an entry could have: give one with --name")
    return name


def text(found: Look, name: str, folder: Path) -> str:
    """The entry of what was found, for a models.toml in this folder."""
    place = found.place.absolute()
    path = str(place.relative_to(folder) if place.is_relative_to(folder) else place)
    family = found.fields.get("family")
    fields = {"title": found.title, **({} if family is None else {"family": family}), "path": path, **found.fields}
    lines = ["", f"# {found.words[:1].upper()}{found.words[1:]}.", *(f"# {remark}" for remark in found.remarks)]
    lines += [f"[{found.kind}s.{_key(name)}]", *(f"{field} = {_value(value)}" for field, value in fields.items())]
    return "\n".join([*lines, ""])


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    # Strings, numbers, truth and lists of strings are written alike in JSON and in TOML, but for one sign.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
