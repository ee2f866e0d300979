"""The engine of this machine: one inference process on each of the devices that the operator named, and one for other
servers where the catalogue names any."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.engine import elsewhere
from bot.engine.fleet import Fleet
from bot.engine.interface import Neighbour
from bot.engine.process import InferenceProcess
from bot.errors import EngineDied
from inference.protocol import AUTO

log = logging.getLogger(__name__)


class LocalEngine(Fleet):
    """One process for each device; where those are not named, for each card of the machine."""

    def __init__(self, environ: Mapping[str, str], data: Path, silence_s: float, devices: Sequence[str]) -> None:
        """As for InferenceProcess; `devices` as `protocol.devices` has them."""
        super().__init__()
        self._environ = environ
        self._data = data
        self._silence_s = silence_s
        self._devices = tuple(devices)
        self._processes: list[InferenceProcess] = []
        self._began = asyncio.Event()
        self._shared: str | None = None
        self._neighbour: Neighbour | None = None

    def share(self, device: str, neighbour: Neighbour) -> None:
        """Let somebody use this device while nothing runs there. Call it before `start`."""
        self._shared, self._neighbour = device, neighbour

    async def shared_is_up(self) -> None:
        """Wait until the process of the device that is shared, if it has one, is ready."""
        await self._began.wait()
        for process in self._sharing():
            await process.up()

    async def spare(self) -> None:
        """Let that process let go of all that it holds there."""
        for process in self._sharing():
            await process.spare()

    async def start(self) -> None:
        """Start all processes; returns once they are ready. How many cards there are says the first one, and whether
        the catalogue has models of other servers."""
        await self._start_devices()
        self._began.set()
        if (remote := await elsewhere.begin(self, self._environ, self._data, self._silence_s)) is not None:
            self._processes.append(remote)

    async def _start_devices(self) -> None:
        first = self._process(self._devices[0])
        if self._devices == (AUTO,):
            await first.start()
            # The first has taken the first card. A broken one of the others does not keep those that work from it.
            others = [self._process(f"cuda:{number}") for number in range(1, first.ready.cards)]
            for died in await asyncio.gather(*(other.start() for other in others), return_exceptions=True):
                if isinstance(died, EngineDied):
                    log.error("%s; it will be tried again", died)
                elif died is not None:
                    raise died
            return
        others = [self._process(device) for device in self._devices[1:]]
        await asyncio.gather(*(process.start() for process in (first, *others)))

    async def keep(self) -> None:
        """Start each process again whenever it has died."""
        async with asyncio.TaskGroup() as tasks:
            for process in self._processes:
                tasks.create_task(process.keep())

    def _process(self, device: str) -> InferenceProcess:
        """One more process, on this device."""
        name = f"engine {len(self._processes) + 1} ({device})"
        environ = {**self._environ, "EASEL_DEVICE": device}
        process = InferenceProcess(environ, self._data, self._silence_s, name=name)
        process.neighbour = self._neighbour if device == self._shared else None
        self._processes.append(process)
        self.add(process)
        return process

    def _sharing(self) -> list[InferenceProcess]:
        return [process for process in self._processes if process.neighbour is not None]
