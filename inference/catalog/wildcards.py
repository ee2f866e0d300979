"""Wildcard files: a folder of texts, of whose lines prompts draw one where they name the file."""

from __future__ import annotations

import functools
import itertools
import logging
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from inference.errors import CatalogError
from inference.protocol.wildcards import NAME

log = logging.getLogger(__name__)

END = ".txt"
MAX_FILE_BYTES = 2 * 2**20
MAX_FILES = 5000
MAX_NAMES = 500
MAX_NAME_CHARS = 100
"""What is told of them to members: more nobody would read."""


class Wildcards:
    """The files of a folder as they are now: make one for each prompt, so that what is changed on the disk counts."""

    def __init__(self, folder: Path | None) -> None:
        """None has no files."""
        self._folder = folder
        self._found: dict[str, tuple[str, ...]] = {}

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of the files that a name means, blank ones and comments left out; none where there is no such file.

        Names are those of the files without `.txt`, after those of their folders and a slash, in capitals or not; `*`
        stands for anything in them.
        """
        wanted = name.strip().lower()
        if wanted not in self._found:
            self._found[wanted] = tuple(line for file in self._meant(wanted) for line in _read(file))
        return self._found[wanted]

    def names(self) -> tuple[str, ...]:
        """What prompts can call the files, in order: of very many the first, and none that nobody could type."""
        callable_ = (called for called in self._files if len(called) <= MAX_NAME_CHARS and _can_be_written(called))
        return tuple(itertools.islice(callable_, MAX_NAMES))

    def _meant(self, wanted: str) -> list[Path]:
        if wanted in self._files:
            return [self._files[wanted]]
        return [file for called, file in self._files.items() if "*" in wanted and fnmatchcase(called, wanted)]

    @functools.cached_property
    def _files(self) -> dict[str, Path]:
        return {} if self._folder is None else {called.lower(): file for called, file in _files(self._folder).items()}


def _can_be_written(name: str) -> bool:
    return "__" not in name and re.fullmatch(NAME, f"__{name}__") is not None


def _files(folder: Path) -> dict[str, Path]:
    """Every file by its name, in the order of names."""
    found = sorted(file for file in folder.rglob(f"*{END}") if file.is_file())[:MAX_FILES]
    return {file.relative_to(folder).as_posix().removesuffix(END): file for file in found}


def _read(file: Path) -> tuple[str, ...]:
    try:
        stat = file.stat()
        if stat.st_size > MAX_FILE_BYTES:
            log.warning("%s is larger than any wildcard should be: it was left out", file)
            return ()
        return _lines(file, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        log.warning("%s cannot be read: %s", file, error.strerror)
        return ()


@functools.lru_cache(maxsize=256)
def _lines(file: Path, _size: int, _modified_ns: int) -> tuple[str, ...]:
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    stripped = (line.strip() for line in text.splitlines())
    return tuple(line for line in stripped if line and not line.startswith("#"))


def place(path: Path, document: Mapping[str, Any]) -> Path | None:
    """The folder that this models.toml names; None where it names none. Raises CatalogError where there is no such
    folder."""
    named = document.get("wildcards")
    if named is None:
        return None
    folder = path.absolute().parent / str(named)
    if not isinstance(named, str) or not folder.is_dir():
        raise CatalogError(f"{path}: wildcards: must be a folder of .txt files, and {named!r} is none")
    return folder
