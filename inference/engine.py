"""The engine: receives batches, checks and groups them, runs them on the device, sends what comes of them.

The thread that calls `serve` owns the device; a reader takes batches and cancels from the channel; the reporter's
encodes and writes pictures; the channel's sends. The engine is recoverable or dead: every error of a job becomes that
job's end, except a lost device, which ends the process.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference import tasks
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device, cards, is_out_of_memory
from inference.errors import DeviceLost, OperatorError, OutOfMemory, PeerBroken, PeerGone, TaskError, Unsafe
from inference.exchange import inputs
from inference.exchange.channel import Channel
from inference.exchange.inbox import End, Inbox
from inference.exchange.outputs import Files
from inference.exchange.reports import Reporter
from inference.gate import Gate
from inference.identity import identity
from inference.marks import marking
from inference.marks.marking import Marks
from inference.models.holdings import Holdings
from inference.models.store import Store
from inference.protocol import INCOMING, PICTURES, Batch, FailureKind, Ready, Spare, Work, because, limits, logs

log = logging.getLogger(__name__)


def readiness(
    catalog: Catalog,
    here: Mapping[Kind, Sequence[str]],
    device: Device,
    marks: Marks = marking.ALL,
    vram_budget_bytes: int | None = None,
) -> Ready:
    """What an engine can do on whose machine these entries of the catalogue can be used (`weights.inventory`)."""
    same = identity(catalog, here, device, marks.watermark, vram_budget_bytes)
    abilities: dict[str, Any] = {"device": device.name, "cards": cards(), "identity": same}
    for task in tasks.discover().values():
        abilities |= task.abilities(catalog, here, device)
    return Ready(**abilities)


class Engine:
    """One device's worker. Build it with a checked catalogue and call `serve` once."""

    def __init__(
        self, catalog: Catalog, store: Store, channel: Channel, data: Path, marks: Marks = marking.ALL
    ) -> None:
        """`data` is the folder that holds `pictures`, where inputs lie, and `incoming`, where results go."""
        self._catalog = catalog
        self._store = store
        self._channel = channel
        self._pictures = data / PICTURES
        self._report = Reporter(channel.send, Files(data / INCOMING, marks), self._give_way, self._board)
        self._inbox = Inbox()
        self._tasks = tasks.discover()
        self._giving_way = False
        self._at_work: tuple[int, ...] = ()
        self._running: tuple[list[Work], dict[str, bytes]] = ([], {})
        """The requests of the task that runs, and their inputs."""
        self._gate = Gate(store)
        self._holdings = Holdings(store, channel.send)
        self._ready: Ready

    def serve(self, ready: Ready) -> None:
        """Say Ready, then work until the bot sends no more and all that it asked for is answered.

        Every request is measured by what Ready says.

        Returns early where the bot has hung up. Raises PeerBroken where it sent what is not our protocol, and
        DeviceLost, after every open job has failed, where only a new process can go on.
        """
        self._ready = ready
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            self._channel.send(ready)
            self._warm_up(ready.default_model)
            while not isinstance(message := self._next(), End):
                self._work(message)
                logs.turn_to()
            if message.error is not None:
                raise message.error
        except PeerGone:
            log.info("the bot has hung up")
        finally:
            self._report.close()

    def _next(self) -> Batch | End:
        if self._inbox.is_empty():
            self._report.idle()
        while isinstance(message := self._inbox.next(), Spare):
            self._holdings.spare()
        return message

    def _read(self) -> None:
        """The reader thread: everything that the bot sends, until it stops."""
        error = None
        try:
            while (message := self._channel.receive()) is not None:
                if isinstance(message, Batch):
                    self._accept(message)
                elif isinstance(message, Spare):
                    self._inbox.spare(message)
                else:
                    self._report.cancel(message.job)
        except PeerBroken as broken:
            error = broken
        if self._channel.peer_is_gone():
            # Nobody waits for what is open; stop at the next step instead of painting on.
            for job in self._report.open_jobs():
                self._report.cancel(job)
        self._inbox.end(End(error))

    def _accept(self, batch: Batch) -> None:
        fresh = []
        for request in batch.requests:
            if self._report.accept(request.job):
                fresh.append(request)
            else:
                log.error("the bot sent it twice; the second is ignored", extra=logs.of(request.job))
        for quick in (True, False):
            self._inbox.put(Batch(tuple(request for request in fresh if request.quick is quick)))

    def _warm_up(self, name: str) -> None:
        """Load the default model while nobody waits, so that the first picture comes as fast as the second."""
        self._report.loading()
        try:
            entry = self._store.use(name, on_load=lambda: None).entry
            if entry.upscaler is not None:
                self._store.use_upscaler(entry.upscaler, on_load=lambda: None)
            if entry.checker is not None:
                self._store.use_checker(entry.checker, on_load=lambda: None)
            if entry.decoder is not None:
                self._store.use_decoder(entry.decoder, on_load=lambda: None)
        except (OperatorError, TaskError) as error:
            # Jobs that need it will meet the same error and be answered; others can be painted.
            log.error("the default model cannot be loaded: %s", error)
        self._store.device.release_cache()
        # Whoever started the process may have switched it off until here.
        gc.enable()
        self._report.alive()
        self._holdings.tell()

    def _work(self, batch: Batch) -> None:
        for requests in self._groups(batch):
            begun = [request for request in requests if self._report.begin(request.job)]
            if begun:
                self._take_up(tuple(request.job for request in begun))
                self._run(*self._with_inputs(begun))

    def _take_up(self, jobs: tuple[int, ...]) -> None:
        self._at_work = jobs
        self._report.took_up(jobs)

    def _give_way(self) -> None:
        """Between two steps of a task: run one quick batch, where one waits. One, so that the task gets on as well."""
        self._holdings.tell()
        if self._giving_way or (batch := self._inbox.next_quick()) is None:
            return
        self._giving_way, interrupted = True, self._at_work
        try:
            self._work(batch)
        finally:
            self._giving_way = False
        self._take_up(interrupted)

    def _board(self, places: int) -> tuple[list[Work], dict[str, bytes]]:
        """Before a pass: let the batch that is next go with the requests that are run, where it is like them and takes
        no more places."""
        running, files = self._running
        first = running[0]
        batch = self._inbox.next_alike(lambda request: _alike(request) == _alike(first), places, first.quick)
        if batch is None:
            return [], {}
        begun = [request for group in self._groups(batch) for request in group if self._report.begin(request.job)]
        self._take_up((*self._at_work, *(request.job for request in begun)))
        further, of_further = self._with_inputs(begun)
        running += further
        files |= of_further
        return self._checked(further, of_further), of_further

    def _groups(self, batch: Batch) -> list[list[Work]]:
        """The batch's sound requests, those that may run together in one list; the others fail here."""
        groups: dict[Hashable, list[Work]] = {}
        for request in batch.requests:
            reason = limits.problem(request, self._ready)
            if reason is not None:
                kind: FailureKind = "unavailable_model" if reason.name in limits.UNAVAILABLE else "invalid_input"
                self._report.fail(request.job, kind, reason)
            else:
                groups.setdefault(_alike(request), []).append(request)
        return list(groups.values())

    def _with_inputs(self, requests: list[Work]) -> tuple[list[Work], dict[str, bytes]]:
        """Those of these requests whose inputs are there, and the bytes of these; the others fail here."""
        sound, files = list[Work](), dict[str, bytes]()
        for request in requests:
            try:
                files |= inputs.read(self._pictures, request)
            except TaskError as error:
                self._report.fail(request.job, error.kind, error.reason)
            else:
                sound.append(request)
        return sound, files

    def _run(self, requests: list[Work], files: dict[str, bytes]) -> None:
        """Run requests of one group, and those that board meanwhile; whatever happens, each of them is answered, or
        waits for another turn.

        Where the memory is full, those that have no end yet are run once more with less.
        """
        if not requests:
            return
        interrupted, self._running = self._running, (requests, files)
        with self._store.lease():
            full = self._attempt(requests, files)
            if full is not None and not self._giving_way and self._store.economise():
                # What is finished is being encoded or sent by now.
                requests[:] = self._wanted(requests)
                full = self._attempt(requests, files) if requests else None
        self._running = interrupted
        self._holdings.tell()
        if full is not None and self._giving_way:
            # There is more room when the task that waits has ended.
            again = tuple(request for request in requests if self._report.postpone(request.job))
            self._inbox.put_back(Batch(again))
        elif full is not None:
            self._fail(requests, full)
        if self._store.device.is_cuda and not self._store.device.is_alive():
            self._lose_device()

    def _attempt(self, requests: list[Work], files: Mapping[str, bytes]) -> OutOfMemory | None:
        """Run requests of one group. What to tell them, where the memory was full; else they are answered."""
        task = self._tasks[type(requests[0])]
        full: OutOfMemory | None = None
        apart = False
        try:
            if shown := self._checked(requests, files):
                task.run(shown, files, self._store, self._report)
        except (PeerGone, DeviceLost):
            raise
        except OutOfMemory as error:
            full = OutOfMemory.of(error.reason)
        except TaskError as error:
            self._fail(requests, error)
        except OperatorError as error:
            log.error("%s", error)
            self._fail(requests, TaskError("not_loaded"))
        except Exception as error:
            if requests[0].quick and len(self._wanted(requests)) > 1:
                apart = True
            elif is_out_of_memory(error):
                full = OutOfMemory.of(task.too_large(requests[0], self._catalog))
            else:
                log.exception("it broke inside the engine", extra=logs.of(*(request.job for request in requests)))
                self._fail(requests, TaskError("engine_broke"))
        if full is not None or apart:
            # Outside the handler, whose traceback would keep the memory.
            self._store.device.release_cache()
        return self._one_by_one(requests, files) if apart else full

    def _one_by_one(self, requests: list[Work], files: Mapping[str, bytes]) -> OutOfMemory | None:
        """Run requests alone of whose pass nothing came: nobody knows whose fault it was, and the others' it was not.

        What to tell those for which the memory was full even so."""
        full: OutOfMemory | None = None
        tried: set[int] = set()
        # Others may board meanwhile.
        while left := [request for request in self._wanted(requests) if request.job not in tried]:
            tried.add(left[0].job)
            full = self._attempt(left[:1], files) or full
        return full

    def _wanted(self, requests: Sequence[Work]) -> list[Work]:
        wanted = self._report.still_wanted([request.job for request in requests])
        return [request for request in requests if request.job in wanted]

    def _checked(self, requests: Sequence[Work], files: Mapping[str, bytes]) -> list[Work]:
        """Those of these requests whose pictures may be worked on; the others fail here.

        What is made of a picture that was flagged and may be seen all the same is marked as that is. Raises as the
        store does.
        """
        passed = []
        for request in requests:
            flagged = request.safety != "allow" and any(
                self._gate.flags(image, files, self._report.loading) for image in request.inputs
            )
            if flagged and request.safety == "block":
                self._fail([request], Unsafe("input_flagged"))
                continue
            if flagged:
                self._report.hide(request.job)
            passed.append(request)
        return passed

    def _fail(self, requests: Sequence[Work], error: TaskError) -> None:
        for job in self._report.still_wanted([request.job for request in requests]):
            self._report.fail(job, error.kind, error.reason)

    def _lose_device(self) -> None:
        for job in self._report.open_jobs():
            self._report.fail(job, "internal", because("card_failed"))
        raise DeviceLost(f"{self._store.device.name} answers no more")


def _alike(request: Work) -> Hashable:
    """Equal for requests that can be run together."""
    return type(request), request.pass_key
