"""What the bot is told about its jobs, in order, with exactly one final event for each.

Tasks report through `Reporter`; the reader thread cancels through it. Encoding pictures happens on its own thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

from PIL import Image

from inference import images, marking
from inference.errors import PeerGone
from inference.marking import Marks
from inference.protocol import (
    MAX_FRAME_BYTES,
    Answer,
    Event,
    Failed,
    FailureKind,
    Finished,
    Picture,
    Preview,
    Progress,
    SourceType,
)

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 0.05
MAX_RESULT_BYTES = MAX_FRAME_BYTES - 2**20
"""Of a job's pictures together: they travel in one frame with the recipe and the answer."""

NOTHING_SAID = Answer()


@dataclass(frozen=True, kw_only=True)
class Painted:
    """One finished picture before it is bytes."""

    image: Image.Image
    seed: int | None = None
    source: SourceType
    """Where it comes from, which its file will say."""
    texts: dict[str, str]
    """Further text chunks of the PNG."""
    watermarked: bool = False
    """Whether it is to bear the invisible watermark; its recipe says the same."""


@dataclass(kw_only=True)
class _Job:
    state: Literal["queued", "running", "cancelling", "finishing"] = "queued"
    began_s: float = 0.0
    reported_s: float = 0.0


class Reporter:
    """The engine's open jobs and the events about them. Safe from any thread; close it to flush it."""

    def __init__(
        self, send: Callable[[Event], None], give_way: Callable[[], None] = lambda: None, marks: Marks = marking.ALL
    ) -> None:
        """`send` puts an event on the wire, or raises PeerGone; `give_way` runs a quick job that waits."""
        self.marks = marks
        self._send = send
        self._give_way = give_way
        self._jobs: dict[int, _Job] = {}
        self._lock = Lock()
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoding")

    # What the engine does.

    def accept(self, job: int) -> bool:
        """Open a job. False where it is open already: a job number is used once at a time."""
        with self._lock:
            if job in self._jobs:
                return False
            self._jobs[job] = _Job()
            return True

    def begin(self, job: int) -> bool:
        """A job's turn has come. False where it has been cancelled meanwhile."""
        with self._lock:
            if job not in self._jobs:
                return False
            self._jobs[job].state = "running"
            self._jobs[job].began_s = time.monotonic()
            return True

    def cancel(self, job: int) -> None:
        """End a waiting job now and a running one at its next step; ignore every other."""
        with self._lock:
            known = self._jobs.get(job)
            if known is None or known.state == "finishing":
                return
            if known.state == "queued":
                self._close(Failed(job, "cancelled", "Cancelled."))
            else:
                known.state = "cancelling"

    def postpone(self, job: int) -> bool:
        """Let a running job wait for another turn. False where it has been cancelled meanwhile."""
        if not self.still_wanted([job]):
            return False
        with self._lock:
            self._jobs[job].state = "queued"
        return True

    def fail(self, job: int, kind: FailureKind, message: str) -> None:
        """End a job badly. Does nothing to a job that has ended."""
        with self._lock:
            if job in self._jobs:
                self._close(Failed(job, kind, message))

    def open_jobs(self) -> tuple[int, ...]:
        """Jobs that have been accepted and not been answered."""
        with self._lock:
            return tuple(self._jobs)

    def close(self) -> None:
        """Wait until every picture handed over is encoded and sent."""
        self._encoding.shutdown()

    # What tasks do.

    def still_wanted(self, jobs: Iterable[int]) -> list[int]:
        """Those of these running jobs that nobody has cancelled. Ask between steps; the cancelled ones end here."""
        wanted = []
        with self._lock:
            for job in jobs:
                known = self._jobs.get(job)
                if known is not None and known.state == "cancelling":
                    self._close(Failed(job, "cancelled", "Cancelled."))
                elif known is not None and known.state == "running":
                    wanted.append(job)
        return wanted

    def give_way(self) -> None:
        """Let a quick job that waits go first. Call it between two steps, with the device yours again afterwards.

        It takes as long as that job; whatever comes of it is that job's own, except that it raises PeerGone and
        DeviceLost.
        """
        self._give_way()

    def step(
        self, job: int, step: int, steps: int, stage: Literal["loading", "painting", "finishing"] = "painting"
    ) -> None:
        """A job moved on. Call it as often as you like: what comes too soon after another is left out."""
        now_s = time.monotonic()
        with self._lock:
            known = self._jobs.get(job)
            if known is None:
                return
            if 0 < step < steps and stage == "painting" and now_s - known.reported_s < PROGRESS_INTERVAL_S:
                return
            known.reported_s = now_s
            self._send(Progress(job, step, steps, stage))

    def preview(self, job: int, pictures: Sequence[Image.Image | None], width: int, height: int) -> None:
        """Show what a job's pictures look like so far; None stands for one not begun, proportions in pixels."""
        self._encoding.submit(self._send_preview, job, list(pictures), width, height)

    def finish(
        self, job: int, pictures: Sequence[Painted], recipe: dict[str, Any], answer: Answer = NOTHING_SAID
    ) -> None:
        """End a job well. From here on it cannot be cancelled."""
        with self._lock:
            if job not in self._jobs:
                return
            self._jobs[job].state = "finishing"
        self._encoding.submit(self._send_finished, job, list(pictures), recipe, answer)

    # On the encoding thread.

    def _send_preview(self, job: int, pictures: list[Image.Image | None], width: int, height: int) -> None:
        data = images.webp(images.grid(pictures, width, height))
        with self._lock:
            if job in self._jobs and self._jobs[job].state == "running":
                self._try_to_send(Preview(job, data))

    def _send_finished(self, job: int, pictures: list[Painted], recipe: dict[str, Any], answer: Answer) -> None:
        try:
            encoded = tuple(
                Picture(
                    data=self.marks.png(picture.image, picture.texts, picture.source, picture.watermarked),
                    width=picture.image.width,
                    height=picture.image.height,
                    seed=picture.seed,
                )
                for picture in pictures
            )
        except Exception:
            log.exception("the pictures of job %d cannot be encoded", job)
            self.fail(job, "internal", "The pictures could not be encoded. Please try again.")
            return
        if sum(len(picture.data) for picture in encoded) > MAX_RESULT_BYTES:
            self.fail(job, "invalid_input", "The result is too large to be sent; ask for a smaller one.")
            return
        with self._lock:
            if job in self._jobs:
                seconds = time.monotonic() - self._jobs[job].began_s
                self._close(Finished(job=job, pictures=encoded, recipe=recipe, seconds=seconds, answer=answer))

    # Under the lock.

    def _close(self, event: Finished | Failed) -> None:
        del self._jobs[event.job]
        self._try_to_send(event)

    def _try_to_send(self, event: Event) -> None:
        try:
            self._send(event)
        except PeerGone:
            # The thread that owns the device learns it by itself, from the next step that it reports.
            log.debug("%s for nobody", type(event).__name__)
