"""What the bot is told about its jobs, in order, with exactly one final event for each, and that this process lives.

Tasks report through `Reporter`; the reader thread cancels through it. Encoding and writing pictures happens on its own
thread, and nobody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal

from PIL import Image

from inference.errors import NotKept, PeerGone
from inference.exchange.outputs import Files, Painted
from inference.marks.marking import Marks
from inference.pictures import images
from inference.protocol import (
    Alive,
    Answer,
    Began,
    Event,
    Failed,
    FailureKind,
    Finished,
    FrameTooLarge,
    Picture,
    Preview,
    Progress,
    Reason,
    because,
    logs,
)

log = logging.getLogger(__name__)

Aboard = tuple[Sequence[Any], Mapping[str, bytes]]
"""Requests, and the bytes of their inputs by SHA-256."""

PROGRESS_INTERVAL_S = 0.05
ALIVE_INTERVAL_S = 1.0

NOTHING_SAID = Answer()


@dataclass(kw_only=True)
class _Job:
    state: Literal["queued", "running", "cancelling", "finishing"] = "queued"
    began_s: float = 0.0
    reported_s: float = 0.0
    said: Progress | None = None
    """What was told of it last."""
    hidden: bool = False


class Reporter:
    """The engine's open jobs and the events about them. Safe from any thread; close it to flush it."""

    def __init__(
        self,
        send: Callable[[Event], None],
        outputs: Files,
        give_way: Callable[[], None] = lambda: None,
        board: Callable[[int], Aboard] = lambda _: ((), {}),
    ):
        """`send` puts an event on the wire without waiting, or raises PeerGone or FrameTooLarge; `give_way` runs a
        quick job that waits; `board` takes up jobs that wait and go with those at work, for so many places at most.
        """
        self._send = send
        self._outputs = outputs
        self._give_way = give_way
        self._board = board
        self._jobs: dict[int, _Job] = {}
        self._lock = Lock()
        self._loading = False
        self._shown_alive_s = float("-inf")
        self._encoding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoding")

    @property
    def marks(self) -> Marks:
        """How finished pictures are marked."""
        return self._outputs.marks

    # What the engine does.

    def accept(self, job: int) -> bool:
        """Open a job. False where it is open already: a job number is used once at a time."""
        with self._lock:
            if fresh := job not in self._jobs:
                self._jobs[job] = _Job()
            return fresh

    def begin(self, job: int) -> bool:
        """A job's turn has come. False where it has been cancelled meanwhile."""
        with self._lock:
            if job not in self._jobs:
                return False
            self._jobs[job].state = "running"
            self._jobs[job].began_s = time.monotonic()
            return True

    def cancel(self, job: int) -> None:
        """End a waiting job now, a running one at its next step, one whose result is being written before it is sent;
        ignore every other."""
        with self._lock:
            known = self._jobs.get(job)
            if known is not None and known.state == "queued":
                self._close(_cancelled(job))
            elif known is not None:
                known.state = "cancelling"

    def postpone(self, job: int) -> bool:
        """Let a running job wait for another turn. False where it has been cancelled meanwhile."""
        with self._lock:
            if not self._is_wanted(job):
                return False
            self._jobs[job].state = "queued"
            return True

    def fail(self, job: int, kind: FailureKind, reason: Reason) -> None:
        """End a job badly. Does nothing to a job that has ended; one that was cancelled ends as that."""
        with self._lock:
            if (known := self._jobs.get(job)) is not None:
                self._close(_cancelled(job) if known.state == "cancelling" else Failed(job, kind, reason))

    def took_up(self, jobs: Sequence[int]) -> None:
        """Say which jobs the thread that owns the device is at work on from now on, those of them that are open."""
        logs.turn_to(*jobs)
        self.alive()
        with self._lock:
            if still_open := tuple(job for job in jobs if job in self._jobs):
                self._send(Began(still_open))

    def idle(self) -> None:
        """The thread that owns the device has nothing to do but to wait; results may still be on their way out."""
        if self.open_jobs():
            # Nobody can hear from it how they get on: a large PNG takes a minute.
            self.loading()

    def open_jobs(self) -> tuple[int, ...]:
        """Jobs that have been accepted and not been answered."""
        with self._lock:
            return tuple(self._jobs)

    def close(self) -> None:
        """Wait until every picture handed over is encoded and sent."""
        self._encoding.shutdown()

    # What tasks do.

    def alive(self) -> None:
        """Show that this thread, which owns the device, gets on. Call it as often as you like, before what takes time.

        `still_wanted`, `give_way` and `step` do so themselves.
        """
        self._show_life(loading=False)

    def loading(self) -> None:
        """Say that something begins which may take minutes without a sign of life. The next such sign ends it."""
        self._show_life(loading=True)

    def still_wanted(self, jobs: Iterable[int]) -> list[int]:
        """Those of these running jobs that nobody has cancelled. Ask between steps; the cancelled ones end here."""
        self.alive()
        with self._lock:
            return [job for job in jobs if self._is_wanted(job)]

    def give_way(self) -> None:
        """Let a quick job that waits go first. Call it between two steps, with the device yours again afterwards.

        It takes as long as that job; whatever comes of it is that job's own, except that it raises PeerGone and
        DeviceLost.
        """
        self.alive()
        self._give_way()

    def board(self, places: int) -> Aboard:
        """What has come meanwhile and goes with the requests at work, in so many free places of their next pass; it is
        the task's to run, and to end, from here on."""
        self.alive()
        return self._board(places)

    def step(
        self, job: int, step: int, steps: int, stage: Literal["loading", "painting", "finishing"] = "painting"
    ) -> None:
        """A job moved on. Call it as often as you like: what comes too soon after another is left out."""
        now_s = time.monotonic()
        self._show_life(loading=stage == "loading")
        with self._lock:
            known = self._jobs.get(job)
            soon = known is not None and now_s - known.reported_s < PROGRESS_INTERVAL_S
            if known is None or (soon and 0 < step < steps and stage == "painting"):
                return
            known.reported_s = now_s
            known.said = Progress(job, step, steps, stage)
            self._send(known.said)

    def preview(self, job: int, pictures: Callable[[], Sequence[Image.Image | None]], width: int, height: int) -> None:
        """Show what a job's pictures look like so far, proportions in pixels; None stands for one not begun. They are
        asked for on the encoding thread; where there are none, nothing is shown."""
        self.show(job, lambda: images.grid(shown, width, height) if (shown := pictures()) else None)

    def show(self, job: int, draw: Callable[[], Image.Image | None]) -> None:
        """Show what a job has come to so far, as one small picture; `draw` is called later, on the encoding thread."""
        self._encoding.submit(logs.on_behalf_of, self._send_preview, job, draw)

    def hide(self, job: int) -> None:
        """Mark all that comes of a job as flagged: what it is made of was."""
        with self._lock:
            if (known := self._jobs.get(job)) is not None:
                known.hidden = True

    def finish(
        self, job: int, pictures: Sequence[Painted], recipe: dict[str, Any], answer: Answer = NOTHING_SAID
    ) -> None:
        """End a job well, unless it is cancelled before its result is sent."""
        with self._lock:
            known = self._jobs.get(job)
            if known is None or not self._is_wanted(job):
                return
            known.state = "finishing"
            said = known.said or Progress(job, 1, 1)
            if said.stage != "finishing":
                self._try_to_send(Progress(job, said.steps, said.steps, "finishing"))
        self._encoding.submit(logs.on_behalf_of, self._send_finished, job, known, list(pictures), recipe, answer)

    # On the encoding thread.

    def _send_preview(self, job: int, draw: Callable[[], Image.Image | None]) -> None:
        try:
            data = None if (drawn := draw()) is None else images.webp(drawn)
        except Exception:  # whatever it is, the finished picture is looked at by itself
            log.exception("there is no preview")
            return
        with self._lock:
            known = self._jobs.get(job)
            if data is not None and known is not None and known.state == "running" and not known.hidden:
                self._try_to_send(Preview(job, data))

    def _send_finished(
        self, job: int, known: _Job, pictures: list[Painted], recipe: dict[str, Any], answer: Answer
    ) -> None:
        kept: list[Picture] = []
        end: Finished | Failed
        try:
            for picture in pictures:
                if known.state == "cancelling":
                    break
                kept.append(self._outputs.keep(replace(picture, flagged=picture.flagged or known.hidden)))
        except NotKept as error:
            log.error("the result cannot be kept: %s", error.__cause__)
            end = Failed(job, error.kind, error.reason)
        except Exception:
            log.exception("the pictures cannot be encoded")
            end = Failed(job, "internal", because("not_encoded"))
        else:
            seconds = time.monotonic() - known.began_s
            end = Finished(job=job, pictures=tuple(kept), recipe=recipe, seconds=seconds, answer=answer)
        if not self._end(known, end) or isinstance(end, Failed):
            for each in kept:
                self._outputs.drop(each)

    def _end(self, known: _Job, end: Finished | Failed) -> bool:
        """End a job whose result was being written. False where nothing came of that after all."""
        with self._lock:
            # By itself, not by its number, which may have been given anew.
            if self._jobs.get(end.job) is not known:
                return False
            del self._jobs[end.job]
            cancelled = known.state == "cancelling"
        # Not under the lock: packing a long answer takes a while, and no step waits for it.
        if cancelled:
            self._try_to_send(_cancelled(end.job))
            return False
        try:
            self._try_to_send(end)
        except FrameTooLarge as error:
            log.error("the result cannot be sent: %s", error)
            self._try_to_send(Failed(end.job, "invalid_input", because("answer_too_large")))
            return False
        return True

    # On the thread that owns the device.

    def _show_life(self, loading: bool) -> None:
        now_s = time.monotonic()
        if loading is not self._loading or now_s - self._shown_alive_s >= ALIVE_INTERVAL_S:
            self._loading, self._shown_alive_s = loading, now_s
            self._send(Alive(loading))

    # Under the lock.

    def _is_wanted(self, job: int) -> bool:
        """Whether a job runs and nobody has cancelled it; a cancelled one ends here."""
        known = self._jobs.get(job)
        if known is not None and known.state == "cancelling":
            self._close(_cancelled(job))
        return known is not None and known.state == "running"

    def _close(self, event: Failed) -> None:
        del self._jobs[event.job]
        self._try_to_send(event)

    # Anywhere.

    def _try_to_send(self, event: Event) -> None:
        try:
            self._send(event)
        except PeerGone:
            # The thread that owns the device learns it by itself, from the next step that it reports.
            log.debug("%s for nobody", type(event).__name__)


def _cancelled(job: int) -> Failed:
    return Failed(job, "cancelled", because("cancelled"))
