"""The engine: receives batches, checks and groups them, runs them on the device, sends what comes of them.

Three threads: the one that calls `serve` owns the device; a reader takes batches and cancels from the channel; the
reporter's encodes pictures. The engine is recoverable or dead: every error of a job becomes that job's end, except
a lost device, which ends the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from inference.catalog import Catalog
from inference.channel import Channel
from inference.device import Device, is_out_of_memory
from inference.errors import DeviceLost, OperatorError, PeerBroken, PeerGone, TaskError
from inference.protocol import Batch, Imagine, Ready, Request
from inference.reports import Reporter
from inference.store import Store
from inference.tasks import imagine

log = logging.getLogger(__name__)


class Task(Protocol):
    """What each module of `inference.tasks` offers; see the package."""

    def check(self, request: Any, catalog: Catalog) -> None: ...
    def run(self, requests: Sequence[Any], store: Store, report: Reporter) -> None: ...
    def too_large(self, request: Any, catalog: Catalog) -> str: ...


TASKS: dict[type[Request], Task] = {Imagine: imagine}


def readiness(catalog: Catalog, here: Sequence[str], device: Device) -> Ready:
    """What an engine can do whose catalogue has these models' weights on this machine."""
    return Ready(
        models=tuple(catalog.info(name) for name in here),
        default_model=catalog.default,
        missing=tuple(name for name in catalog.models if name not in here),
        device=device.name,
        max_count=imagine.MAX_COUNT,
        max_prompt_chars=imagine.MAX_PROMPT_CHARS,
    )


@dataclass(frozen=True)
class _End:
    """The reader's last word: no batch will come any more."""

    error: PeerBroken | None = None


class Engine:
    """One device's worker. Build it with a checked catalogue and call `serve` once."""

    def __init__(self, catalog: Catalog, store: Store, channel: Channel) -> None:
        self._catalog = catalog
        self._store = store
        self._channel = channel
        self._report = Reporter(channel.send)
        self._inbox: SimpleQueue[Batch | _End] = SimpleQueue()

    def serve(self, ready: Ready) -> None:
        """Say Ready, then work until the bot sends no more and all that it asked for is answered.

        Returns early where the bot has hung up. Raises PeerBroken where it sent what is not our protocol, and
        DeviceLost, after every open job has failed, where only a new process can go on.
        """
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            self._channel.send(ready)
            self._warm_up(ready.default_model)
            while not isinstance(message := self._inbox.get(), _End):
                self._work(message)
            if message.error is not None:
                raise message.error
        except PeerGone:
            log.info("the bot has hung up")
        finally:
            self._report.close()

    def _read(self) -> None:
        """The reader thread: everything that the bot sends, until it stops."""
        error = None
        try:
            while (message := self._channel.receive()) is not None:
                if isinstance(message, Batch):
                    self._accept(message)
                else:
                    self._report.cancel(message.job)
        except PeerBroken as broken:
            error = broken
        if self._channel.peer_is_gone():
            # Nobody waits for what is open; stop at the next step instead of painting on.
            for job in self._report.open_jobs():
                self._report.cancel(job)
        self._inbox.put(_End(error))

    def _accept(self, batch: Batch) -> None:
        fresh = []
        for request in batch.requests:
            if self._report.accept(request.job):
                fresh.append(request)
            else:
                log.error("the bot sent job %d twice; the second is ignored", request.job)
        self._inbox.put(Batch(tuple(fresh)))

    def _warm_up(self, name: str) -> None:
        """Load the default model while nobody waits, so that the first picture comes as fast as the second."""
        try:
            entry = self._store.use(name, on_load=lambda: None).entry
            if entry.upscaler is not None:
                self._store.use_upscaler(entry.upscaler, on_load=lambda: None)
        except (OperatorError, TaskError) as error:
            # Jobs that need it will meet the same error and be answered; others can be painted.
            log.error("the default model cannot be loaded: %s", error)

    def _work(self, batch: Batch) -> None:
        for requests in self._groups(batch):
            begun = [request for request in requests if self._report.begin(request.job)]
            if begun:
                self._run(begun)

    def _groups(self, batch: Batch) -> list[list[Request]]:
        """The batch's sound requests, those that may run together in one list; the others fail here."""
        groups: dict[Hashable, list[Request]] = {}
        for request in batch.requests:
            task = TASKS[type(request)]
            try:
                task.check(request, self._catalog)
            except TaskError as error:
                self._report.fail(request.job, error.kind, str(error))
            else:
                groups.setdefault((type(request), request.pass_key), []).append(request)
        return list(groups.values())

    def _run(self, requests: list[Request]) -> None:
        """Run requests of one group; whatever happens, each of them is answered."""
        task = TASKS[type(requests[0])]
        full = False
        try:
            task.run(requests, self._store, self._report)
        except PeerGone:
            raise
        except TaskError as error:
            self._fail(requests, error)
        except OperatorError as error:
            log.error("%s", error)
            self._fail(requests, TaskError("This model does not load here; the operator can see why in the log."))
        except Exception as error:
            full = is_out_of_memory(error)
            if not full:
                log.exception("jobs %s failed", [request.job for request in requests])
                self._fail(requests, TaskError("Something broke inside the engine. Please try again."))
        if full:
            # Outside the handler, whose traceback would keep the memory.
            for request in requests:
                self._report.fail(request.job, "out_of_memory", task.too_large(request, self._catalog))
            self._store.device.release_cache()
        if self._store.device.is_cuda and not self._store.device.is_alive():
            self._lose_device()

    def _fail(self, requests: Sequence[Request], error: TaskError) -> None:
        for request in requests:
            self._report.fail(request.job, error.kind, str(error))

    def _lose_device(self) -> None:
        for job in self._report.open_jobs():
            self._report.fail(job, "internal", "The graphics card failed and is being started again. Please try again.")
        raise DeviceLost(f"{self._store.device.name} answers no more")
