"""Versions of Easel and of the libraries that decide what an engine makes. None of them is imported for it."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = (
    *("torch", "diffusers", "transformers", "compel", "safetensors", "pillow", "peft"),
    *("realesrgan", "basicsr", "spandrel"),
)


def versions() -> Mapping[str, str]:
    """Versions of Easel and of the libraries that a picture's bytes depend on."""
    return {"easel": version_of("easel"), "python": platform.python_version()} | {
        library: version_of(library) for library in LIBRARIES
    }


@functools.cache  # of those that are loaded, and looking one up takes a millisecond
def version_of(library: str) -> str:
    """That of one that is installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
