"""How far a long wait has come, on stderr: a bar where somebody looks at a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_EVERY_S = 30.0
"""In the log of a service nobody wants more."""


@contextmanager
def progress(name: str, begin: int, whole: int | None) -> Iterator[Callable[[int], None]]:
    """Show how many bytes of this have come, of so many where that is known; tell what is given how many more have."""
    if sys.stderr.isatty():
        bar = tqdm(total=whole, initial=begin, desc=name, unit="B", unit_scale=True, unit_divisor=1000)
        with bar:
            yield lambda more: bar.update(more) and None
        return
    come, said_at = begin, time.monotonic()

    def line(more: int) -> None:
        nonlocal come, said_at
        come += more
        if time.monotonic() - said_at >= LINE_EVERY_S:
            said_at = time.monotonic()
            of = "" if whole is None else f" of {whole / 1e9:.2f}"
            print(f"{name}: {come / 1e9:.2f}{of} GB", file=sys.stderr, flush=True)

    yield line
