"""What a GGUF file says of itself: names, shapes and types of its tensors, and where their bytes lie.

Read here and not by the library `gguf`, which trusts what a file says: one that promises more than it has would keep it
busy for ever. `models.blocks` loads what is found. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inference.errors import WeightsError

GGUF = ".gguf"
MARK = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
"""Of tensors in bytes, where a file names no other."""
MAX_HEADER_BYTES = 2**24
"""Those of picture models have some hundred thousand, those of language models their vocabulary as well."""
MAX_NAME_BYTES = 256
MAX_DIMENSIONS = 4


@dataclass(frozen=True)
class Kind:
    """How numbers are kept: a block of so many in so many bytes."""

    name: str
    numbers: int = 1
    size: int = 1


KINDS: Mapping[int, Kind] = {
    0: Kind("F32", 1, 4),
    1: Kind("F16", 1, 2),
    30: Kind("BF16", 1, 2),
    2: Kind("Q4_0", 32, 18),
    3: Kind("Q4_1", 32, 20),
    6: Kind("Q5_0", 32, 22),
    7: Kind("Q5_1", 32, 24),
    8: Kind("Q8_0", 32, 34),
    10: Kind("Q2_K", 256, 84),
    11: Kind("Q3_K", 256, 110),
    12: Kind("Q4_K", 256, 144),
    13: Kind("Q5_K", 256, 176),
    14: Kind("Q6_K", 256, 210),
    20: Kind("IQ4_NL", 32, 18),
    23: Kind("IQ4_XS", 256, 136),
}
"""Those that diffusers reads, by ggml's numbers."""
PACKED: Mapping[str, Kind] = {kind.name: kind for kind in KINDS.values() if kind.numbers > 1}
"""Those that stay as they are on the device."""

_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9
"""Types of what stands before the tensors."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file."""

    shape: tuple[int, ...]
    """Of its numbers, the innermost dimension last."""
    kind: Kind
    start: int
    size: int
    """Where its bytes begin in the file, and how many they are."""


def tensors(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a GGUF file by their names, read again when the file has changed.

    Raises WeightsError, in one line, where it is no whole GGUF file or holds what is not read here.
    """
    try:
        stat = file.stat()
        return _tensors_of(file, stat.st_size, stat.st_mtime_ns, stat.st_ino)
    except (OSError, ValueError, struct.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{file} is no whole GGUF file ({reason})") from error


@lru_cache(maxsize=64)
def _tensors_of(file: Path, size: int, _modified_ns: int, _inode: int) -> Mapping[str, Tensor]:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] != MARK:
            raise ValueError("it does not begin as one")
        return _Reading(content).tensors(file, size)


class _Reading:
    """A header from its beginning on; raises ValueError where it ends too early."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._end = min(len(content), MAX_HEADER_BYTES)
        self._at = len(MARK)

    def tensors(self, file: Path, size: int) -> Mapping[str, Tensor]:
        version = self._number("I")
        if version not in VERSIONS:
            raise ValueError(f"version {version}, and {' and '.join(map(str, VERSIONS))} are read")
        count, fields = self._number("Q"), self._number("Q")
        alignment = ALIGNMENT
        for _ in range(fields):
            name, kind = self._text(), self._number("I")
            if name.startswith("comfy.gguf.orig_shape."):
                raise WeightsError(f"{file} keeps tensors in other shapes than their own, which is not read here")
            if name == "general.alignment" and kind == _UINT32:
                alignment = self._number("I")
            else:
                self._skip_value(kind)
        if alignment.bit_count() != 1:
            raise ValueError(f"an alignment of {alignment}")
        told = [self._tensor(file) for _ in range(count)]
        found = {name: tensor for name, tensor in told}  # noqa: C416
        first = -(-self._at // alignment) * alignment
        if len(found) < count:
            raise ValueError("two tensors of one name")
        if any(first + tensor.start + tensor.size > size for tensor in found.values()):
            raise ValueError("it ends before its tensors do")
        if first + sum(tensor.size for tensor in found.values()) > size:
            raise ValueError("its tensors lie in each other")
        return {
            name: Tensor(tensor.shape, tensor.kind, first + tensor.start, tensor.size) for name, tensor in found.items()
        }

    def _tensor(self, file: Path) -> tuple[str, Tensor]:
        """The next one; it starts behind the header."""
        name, dimensions = self._text(), self._number("I")
        if len(name) > MAX_NAME_BYTES or not 1 <= dimensions <= MAX_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions, or of a name of {len(name)} letters")
        # ggml names the innermost first.
        shape = tuple(reversed([self._number("Q") for _ in range(dimensions)]))
        number, start = self._number("I"), self._number("Q")
        if (kind := KINDS.get(number)) is None:
            known = ", ".join(kind.name for kind in KINDS.values())
            raise WeightsError(
                f"{file} has weights of ggml's type {number}, which are not read here: take one of {known}"
            )
        if 0 in shape or shape[-1] % kind.numbers:
            raise ValueError(f"{name} has no whole blocks")
        return name, Tensor(shape, kind, start, math.prod(shape) // kind.numbers * kind.size)

    def _skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self._text()
        elif kind == _ARRAY:
            inner, count = self._number("I"), self._number("Q")
            if inner == _STRING:
                for _ in range(count):
                    self._skip(self._number("Q"))
            else:
                self._skip(self._bytes_of(inner) * count)
        else:
            self._skip(self._bytes_of(kind))

    def _bytes_of(self, kind: int) -> int:
        if kind not in _SCALAR_BYTES:
            raise ValueError(f"a field of type {kind}")
        return _SCALAR_BYTES[kind]

    def _number(self, form: str) -> int:
        at = self._at
        self._skip(struct.calcsize(f"<{form}"))
        (number,) = struct.unpack_from(f"<{form}", self._content, at)
        return int(number)

    def _text(self) -> str:
        size = self._number("Q")
        at = self._at
        self._skip(size)
        return self._content[at : at + size].decode("utf-8")

    def _skip(self, size: int) -> None:
        if self._at + size > self._end:
            raise ValueError("its header is cut, or too long")
        self._at += size
