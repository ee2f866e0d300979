"""The engine of a Ray cluster: one inference process in each place that it has, as places come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from bot import environment
from bot.engine import elsewhere
from bot.engine.cluster.joining import AUTH_MODE, LOCAL
from bot.engine.cluster.places import MEETING, Place, Seen
from bot.engine.fleet import Fleet
from bot.engine.link import MUST_ACT, Link
from bot.engine.process import RESTART_AFTER_S, InferenceProcess
from bot.errors import EngineDied, OperatorError
from bot.waits import growing

log = logging.getLogger(__name__)

SEEN_WITHIN_S = 120
"""Longest wait for the first word about the cluster."""

READY_WITHIN_S = 600
"""And for the first engine, which may have been tried more than once by then."""

MENDED_AFTER_S = 300.0
"""How long an engine is let be that cannot run where it is: its node lacks a model, or Easel."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""By which Ray keeps to 127.0.0.1, as it does on systems where it has no clusters."""


class ClusterEngine(Fleet):
    """Inference processes in a Ray cluster. Here there is a `bridge` for each of them, and one `watch`."""

    def __init__(self, environ: Mapping[str, str], data: Path, silence_s: float, *, address: str, device: str) -> None:
        """As for InferenceProcess; `address` as `joining` has it, `device` as `places`."""
        super().__init__()
        self._environ = {**environ, **LOOPBACK} if address == LOCAL else dict(environ)
        self._data = data
        self._silence_s = silence_s
        self._address = address
        self._device = device
        self._watch = Link("the watch of the Ray cluster")
        self._attending: dict[Place, tuple[InferenceProcess, asyncio.Task[None]]] = {}
        self._starts = 0
        self._remote: InferenceProcess | None = None
        self._first = asyncio.Event()
        """Happens when the first engine is ready."""
        self._failures: asyncio.Queue[OperatorError] = asyncio.Queue()

    async def start(self) -> None:
        """Join the cluster and start an engine in each of its places; returns when the first is ready."""
        try:
            async with asyncio.timeout(SEEN_WITHIN_S):
                seen = await self._look()
        except TimeoutError as error:
            raise EngineDied(f"the Ray cluster {self._address} said nothing for {SEEN_WITHIN_S} s") from error
        except EngineDied:
            if await self._watch.reap() == MUST_ACT:
                raise OperatorError(self._watch.hearing.told()) from None
            raise
        if not seen.places:
            what = "no node with a card: EASEL_DEVICE=cpu uses processors" if self._device != "cpu" else "no processor"
            raise OperatorError(f"the Ray cluster {self._address} has {what}")
        await self._settle(seen)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._one_is_ready(len(seen.places))
        except TimeoutError as error:
            raise EngineDied(f"no engine in the Ray cluster {self._address} was ready in {READY_WITHIN_S} s") from error
        self._remote = await elsewhere.begin(self, self._environ, self._data, self._silence_s)

    async def _one_is_ready(self, count: int) -> None:
        """Wait for the first of so many engines. Raises OperatorError where none of them can run where it is."""
        first = asyncio.create_task(self._first.wait())
        failing: asyncio.Task[OperatorError] | None = None
        try:
            for _ in range(count):
                failing = asyncio.create_task(self._failures.get())
                await asyncio.wait((first, failing), return_when=asyncio.FIRST_COMPLETED)
                if first.done():
                    return
                failure = failing.result()
            raise failure
        finally:
            for waiting in (first, failing):
                if waiting is not None:
                    waiting.cancel()

    async def keep(self) -> None:
        """Follow the cluster: engines come with its places and go with them; those that die are started again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            if self._remote is not None:
                tasks.create_task(self._remote.keep())

    async def _follow(self) -> None:
        waits = growing(RESTART_AFTER_S)
        while True:
            try:
                async for seen in self._sights():
                    waits = growing(RESTART_AFTER_S)
                    await self._settle(seen)
            except EngineDied as died:
                await self._watch.reap()
                wait_s = next(waits)
                log.error("%s; looking for it again in %s s", died, wait_s)
                await asyncio.sleep(wait_s)
                with suppress(EngineDied):
                    await self._settle(await self._look())

    async def close(self) -> None:
        """Stop every engine, and leave the cluster; one that was made here ends with that."""
        for _, attending in self._attending.values():
            attending.cancel()
        await asyncio.gather(*(attending for _, attending in self._attending.values()), return_exceptions=True)
        await super().close()
        await self._watch.reap()
        if self._address == LOCAL:
            await asyncio.to_thread((self._data / MEETING).unlink, missing_ok=True)

    async def _look(self) -> Seen:
        """Have the cluster watched; returns the first sight of it. Raises EngineDied."""
        program = "bot.engine.cluster.watch"
        await self._watch.open(
            ("-m", program, "--address", self._address, "--device", self._device), environment.of_cluster(self._environ)
        )
        return await self._sight()

    async def _sights(self) -> AsyncIterator[Seen]:
        while True:
            yield await self._sight()

    async def _sight(self) -> Seen:
        return msgspec.msgpack.decode(await self._watch.receive(), type=Seen)

    async def _settle(self, seen: Seen) -> None:
        """Have an engine in each of these places, and in no others."""
        if self._address == LOCAL:
            self._tell(seen.address)
        for place in self._attending.keys() - set(seen.places):
            process, attending = self._attending.pop(place)
            log.warning("%s is gone with its node", process.name)
            attending.cancel()
            self.remove(process)
            await asyncio.gather(attending, return_exceptions=True)
            await process.end()
        for place in seen.places:
            if place not in self._attending:
                process = self._process(place, seen)
                self.add(process)
                self._attending[place] = process, asyncio.create_task(self._attend(process))

    def _tell(self, address: str) -> None:
        """Let whoever asks for the cluster find the one that was made here, and no other."""
        try:
            (self._data / MEETING).write_text(address)
        except OSError as error:
            log.warning("`python -m bot cluster` will find nothing: %s", error)

    async def _attend(self, process: InferenceProcess) -> None:
        """Start an engine, and start it again whenever it has died; until cancelled."""
        coming = asyncio.create_task(self._welcome(process))
        try:
            while True:
                try:
                    with suppress(EngineDied):  # which `keep` says and mends
                        await process.start()
                    await process.keep()
                except OperatorError as error:
                    # Others are well, and whoever runs its node can mend it.
                    self._failures.put_nowait(error)
                    log.error("%s cannot run there (%s); next try in %s s", process.name, error, MENDED_AFTER_S)
                    await asyncio.sleep(MENDED_AFTER_S)
        finally:
            coming.cancel()

    async def _welcome(self, process: InferenceProcess) -> None:
        await process.up()
        self._first.set()

    def _process(self, place: Place, seen: Seen) -> InferenceProcess:
        self._starts += 1
        name = f"engine {self._starts} ({place.host})"
        program = ["bot.engine.cluster.bridge", "--address", seen.address, "--node", place.node, "--name", name]
        return InferenceProcess(
            self._environ if seen.auth_mode is None else {**self._environ, AUTH_MODE: seen.auth_mode},
            self._data,
            self._silence_s,
            name=name,
            program=[*program, "--card"] if place.card else program,
            admitted=environment.of_cluster,
        )
