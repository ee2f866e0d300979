"""Results on their way out: a large one packed beside Pillow's default, and how long a step waits meanwhile."""

from __future__ import annotations

import gc
import io
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.beside import Row, counted, timed
from inference.exchange.outputs import Files, Painted
from inference.exchange.reports import Reporter
from inference.marks import watermark
from inference.marks.marking import Marks
from inference.protocol import Event, Finished
from starter.render import render
from starter.world import Scene

TEXTS = {"parameters": "a red house on a meadow at night\nSteps: 8, Seed: 7"}
LARGE_SIDE = 5900
"""Of a picture of noise: a file of 100 MB."""


def measure(n: int) -> list[Row]:
    """CPU time of files, and the longest gap between steps in milliseconds."""
    photograph = Image.effect_noise((1024, 1024), 24).convert("RGB")
    scene = render(Scene("house", "red"), 512).resize((1024, 1024), Image.Resampling.LANCZOS)
    painted = Image.blend(scene, photograph, 0.06)
    return [packed(painted, n), collected(n), waited()]


def packed(picture: Image.Image, n: int) -> Row:
    """A picture with all its marks, beside Pillow's default of the same pixels."""
    marked = watermark.embed(picture)
    sizes = len(Marks().png(picture, TEXTS, "trainedAlgorithmicMedia", True)), len(plain(marked))
    return timed(
        "a picture of 1024 px with its marks as PNG",
        0.35,
        n,
        lambda: Marks().png(picture, TEXTS, "trainedAlgorithmicMedia", True),
        lambda: plain(marked),
        note=f"{sizes[0] / sizes[1]:.2f} of the size",
    )


def plain(picture: Image.Image) -> bytes:
    """As Pillow writes it when nothing is said."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def collected(n: int) -> Row:
    """A whole collection as it may come between two steps, with what is loaded put aside and without."""

    def aside() -> None:
        gc.collect()

    def all_of_it() -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    all_of_it()
    row = timed("a collection of garbage between two steps", None, n, aside, all_of_it)
    gc.unfreeze()
    return row


def waited() -> Row:
    """The longest gap between steps of 5 ms while a result of 100 MB is packed, written and sent, beside none."""
    pixels = np.random.default_rng(0).integers(0, 256, (LARGE_SIDE, LARGE_SIDE, 3), dtype=np.uint8)
    large = Painted(image=Image.fromarray(pixels), source="trainedAlgorithmicMedia", texts={})
    with TemporaryDirectory() as folder:
        idle = longest_gap_ms(Path(folder), None)
        busy = longest_gap_ms(Path(folder), large)
    return counted("the longest wait of a step while 100 MB go out", None, "ms", busy, idle)


def longest_gap_ms(folder: Path, result: Painted | None) -> float:
    """Steps until the result is out, or for as long as two seconds."""
    out = threading.Event()

    def heard(event: Event) -> None:
        if isinstance(event, Finished):
            out.set()

    report = Reporter(heard, Files(folder))
    for job in (1, 2):
        report.accept(job)
        report.begin(job)
    if result is not None:
        report.finish(1, [result], {})
    longest_s, last_s, end_s = 0.0, time.perf_counter(), time.perf_counter() + 2
    step = 0
    while not out.is_set() if result is not None else time.perf_counter() < end_s:
        time.sleep(0.005)
        report.still_wanted([2])
        report.step(2, step := step + 1, 10**9)
        now_s = time.perf_counter()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
    report.close()
    return longest_s * 1000
