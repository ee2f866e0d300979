"""Files that are not what they are called: what a cut download, a login page and a hostile hand leave behind."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def header(content: Any, body: bytes = b"") -> bytes:
    """A safetensors file with this header, honest or not."""
    written = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(written)) + written + body


def tensor(dtype: str = "F32", shape: Any = (1,), offsets: tuple[int, int] = (0, 4)) -> dict[str, Any]:
    """What a header says of one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


class Runs:
    """Leaves a file behind when it is unpickled as pickles are."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._proof),)


def pickled(proof: Path) -> bytes:
    """A pickle that makes this folder where it is opened as an ordinary one."""
    return pickle.dumps({"params": Runs(proof)}, protocol=2)


PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 134621556\n"

SAFETENSORS: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "page": (PAGE, "is a web page"),
    "page after blanks": (b"\n\n  " + PAGE, "is a web page"),
    "pointer": (POINTER, "is a Git LFS pointer"),
    "pickle": (pickle.dumps({}, protocol=2), "is a pickle, not what it is called"),
    "archive": (b"PK\x03\x04" + b"\0" * 60, "is a pickle of torch, not what it is called"),
    "three bytes": (b"\1\2\3", "is no whole safetensors file"),
    "header beyond the file": (struct.pack("<Q", 10**6) + b"{}", "is no whole safetensors file"),
    "header without end": (struct.pack("<Q", 2**63) + b"{}", "is no whole safetensors file"),
    "no JSON": (header(b"{'a': 1}"), "is no whole safetensors file"),
    "no object": (header([1]), "is no whole safetensors file"),
    "depth": (header(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "is no whole safetensors file"),
    "NaN shape": (header({"a": tensor(shape=[float("nan")])}, b"\0" * 4), "is no whole safetensors file"),
    "negative shape": (header({"a": tensor(shape=[-1])}, b"\0" * 4), "is no whole safetensors file"),
    "vast shape": (header({"a": tensor(shape=[2**40, 2**40])}, b"\0" * 4), "is no whole safetensors file"),
    "other size": (header({"a": tensor(shape=[3])}, b"\0" * 4), "is no whole safetensors file"),
    "unknown dtype": (header({"a": tensor(dtype="Q7")}, b"\0" * 4), "is no whole safetensors file"),
    "overlap": (header({"a": tensor(), "b": tensor(offsets=(2, 6))}, b"\0" * 6), "is no whole safetensors file"),
    "beyond": (header({"a": tensor(offsets=(4, 8))}, b"\0" * 4), "is no whole safetensors file"),
    "cut": (header({"a": tensor()}, b"\0" * 3), "is no whole safetensors file"),
    "surplus": (header({"a": tensor()}, b"\0" * 5), "is no whole safetensors file"),
}
"""Each with what is said of it."""

PTH: Mapping[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "page": (PAGE, "is a web page"),
    "pointer": (POINTER, "is a Git LFS pointer"),
    "cut archive": (b"PK\x03\x04" + b"\0" * 60, "is no file of torch, or a cut one"),
    "text": (b"404: Not Found", "is no file of torch, or a cut one"),
}
