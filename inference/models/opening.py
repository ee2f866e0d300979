"""Files of weights are opened here: what their libraries raise becomes one line, and gaps are filled by nobody."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from inference.device import is_out_of_memory
from inference.errors import WeightsError


def require_tensors(file: Path) -> None:
    """Raise WeightsError where a pickle holds more than tensors, which could run code.

    The libraries that load it leave `weights_only` out, so that a variable of the environment decides for them.
    """
    try:
        torch.load(file, map_location="meta", weights_only=True)
    except Exception as error:  # torch and the pickle machine raise half a dozen kinds for a wrong file
        raise WeightsError(f"{file} is not loaded: it holds more than tensors, or is broken") from error


def require_all(report: dict[str, Any]) -> None:
    """Raise ValueError where the report of a loading says that a weight is missing, or of another shape."""
    if gaps := sorted([*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])]):
        raise ValueError(f"its weights have no fitting {gaps[0]}")


@contextmanager
def opening(folder: Path, what: str) -> Iterator[None]:
    """Whatever the libraries raise over the files of this folder, but for a full memory, becomes a WeightsError."""
    try:
        with warnings.catch_warnings():
            # diffusers' networks use parts of it that it calls deprecated, which is nobody's concern here.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    except WeightsError:
        raise
    except Exception as error:  # hostile and broken files make them raise a dozen kinds, AssertionError among them
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsError(f"{folder} does not load as a {what}: {reason}") from error
