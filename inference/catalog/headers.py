"""What files of weights say of themselves, read without loading them: whether they are what they are called, and which
tensors they hold.

Nothing here unpickles, and nothing imports torch: the header of a safetensors file is checked by safetensors itself, of
a pickle no more than its beginning is looked at.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError, safe_open

from inference.catalog import ggufs
from inference.errors import WeightsError

SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".ckpt", ".bin")

_MARKS = ((b"PK\x03\x04", "a pickle of torch"), (b"\x80", "a pickle"), (b"GGUF", "a GGUF file"))
"""What other files of weights begin with."""


@dataclass(frozen=True)
class Header:
    """What a file of weights says of itself before its numbers begin."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of each tensor, by its name."""
    types: Mapping[str, str]
    """What its numbers are, as safetensors or ggml calls them: `F16`, `F8_E4M3`, `Q4_K`."""
    metadata: Mapping[str, str]
    """What its maker wrote into it."""


def header(file: Path) -> Header:
    """The header of a safetensors file, read again when the file has changed.

    Raises WeightsError, in one line, where it is no safetensors file or a cut one.
    """
    try:
        stat = file.stat()
        return _header_of(file, stat.st_size, stat.st_mtime_ns, stat.st_ino)
    except (OSError, SafetensorError) as error:
        reason = _disguise(file) or f"is no whole safetensors file ({' '.join(str(error).split())[:200]})"
        raise WeightsError(f"{file} {reason}") from error


@lru_cache(maxsize=64)
def _header_of(file: Path, _size: int, _modified_ns: int, _inode: int) -> Header:
    with safe_open(file, "np") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        shapes = {name: tuple(found.get_shape()) for name, found in slices.items()}
        types = {name: str(found.get_dtype()) for name, found in slices.items()}
        return Header(shapes, types, opened.metadata() or {})


def of_model(file: Path) -> Header:
    """The header of a picture model's file, which may be a GGUF file too; raises as `header` does."""
    if file.suffix != ggufs.GGUF:
        return header(file)
    found = _in_blocks(file)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    return Header(shapes, {name: tensor.kind.name for name, tensor in found.items()}, {})


def _in_blocks(file: Path) -> Mapping[str, ggufs.Tensor]:
    try:
        return ggufs.tensors(file)
    except WeightsError as error:
        if (reason := _no_weights(file)) is not None:
            raise WeightsError(f"{file} {reason}") from error
        raise


def tensors(file: Path) -> Mapping[str, tuple[int, ...]]:
    """The shape of each tensor in a safetensors file, by its name; raises as `header` does."""
    return header(file).shapes


def check(file: Path, called: str | None = None) -> None:
    """Raise WeightsError, in one line, where a file is not what the end of its name promises.

    `called` is the name that it will have, where it has another one yet. A pickle is whole where it is an archive of
    today's torch; an older one is only known by how it begins, and what it holds by whoever loads it.
    """
    end = Path(called or file.name).suffix
    if end == SAFETENSORS:
        tensors(file)
    elif end == ggufs.GGUF:
        _in_blocks(file)
    elif end in PICKLES and not _is_pickle(file):
        raise WeightsError(f"{file} {_disguise(file) or 'is no file of torch, or a cut one'}")


def _is_pickle(file: Path) -> bool:
    try:
        if _beginning(file).startswith(b"PK"):
            with zipfile.ZipFile(file) as archive:
                return any(name.endswith("/data.pkl") for name in archive.namelist())
        return _beginning(file).startswith(b"\x80\x02")
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def _disguise(file: Path) -> str | None:
    """What a file is that is not what it is called, where that can be seen."""
    if (reason := _no_weights(file)) is not None or file.suffix in PICKLES:
        return reason
    if file.suffix == ggufs.GGUF:
        return "is a GGUF file, and of those only picture models are read: take the same weights as safetensors"
    beginning = _beginning(file)
    return next((f"is {what}, not what it is called" for mark, what in _MARKS if beginning.startswith(mark)), None)


def _no_weights(file: Path) -> str | None:
    """What a file is that holds no weights at all, where that can be seen."""
    try:
        beginning = _beginning(file)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not beginning:
        return "is empty"
    if beginning.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer and not the file that it stands for: git lfs pull fetches that"
    if beginning.lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "is a web page and no file of weights"
    return None


def _beginning(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(512)
