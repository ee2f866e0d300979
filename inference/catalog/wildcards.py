"""Wildcard files: a folder of texts, of whose lines prompts draw one where they name the file."""

from __future__ import annotations

import functools
import logging
from fnmatch import fnmatchcase
from pathlib import Path

log = logging.getLogger(__name__)

END = ".txt"
MAX_FILE_BYTES = 16 * 2**20
MAX_FILES = 20_000


def lines(folder: Path | None, name: str) -> tuple[str, ...]:
    """The lines of the files in this folder that a name means, blank ones and comments left out; none where there is no
    such file.

    Names are those of the files without `.txt`, after those of their folders and a slash, in capitals or not; `*`
    stands for anything in them. What is changed on the disk counts at once.
    """
    if folder is None:
        return ()
    wanted = name.strip().lower()
    named = {called.lower(): file for called, file in _files(folder).items()}
    files = [file for called, file in named.items() if fnmatchcase(called, wanted)] if "*" in wanted else []
    if wanted in named:
        files = [named[wanted]]
    return tuple(line for file in files for line in _read(file))


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


@functools.lru_cache(maxsize=64)
def _lines(file: Path, _size: int, _modified_ns: int) -> tuple[str, ...]:
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    stripped = (line.strip() for line in text.splitlines())
    return tuple(line for line in stripped if line and not line.startswith("#"))
