"""The engine of one process on this machine: one lane for what takes its time, one for what is quick."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

from bot.engine.process import InferenceProcess
from inference.protocol import Event, Imagine, Ready, Request


class LocalEngine:
    """One inference process, which runs quick requests between the steps of slow ones."""

    def __init__(self, environ: Mapping[str, str], data: Path, silence_s: float) -> None:
        """As for InferenceProcess."""
        self._process = InferenceProcess(environ, data, silence_s)
        self.lanes = (ProcessLane("slow", self._process, quick=False), ProcessLane("quick", self._process, quick=True))

    @property
    def ready(self) -> Ready:
        """What the process can do."""
        return self._process.ready

    async def start(self) -> None:
        """Start the process; returns once it is ready."""
        await self._process.start()

    async def keep(self) -> None:
        """Start the process again whenever it has died."""
        await self._process.keep()

    async def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped."""
        await self._process.cancel(job_id)

    async def close(self) -> None:
        """Stop the process."""
        await self._process.close()


class ProcessLane:
    """One way through a process, which goes away and comes back with it."""

    def __init__(self, name: str, process: InferenceProcess, *, quick: bool) -> None:
        """`quick` where it is for requests that run between the steps of others."""
        self.name = name
        self._process = process
        self._quick = quick

    def takes(self, request: Request, *, alone: bool) -> bool:
        """What must run alone goes after the slow ones, between whose steps it would run otherwise."""
        return self._quick is (request.quick and not alone)

    def capacity(self, request: Request) -> int:
        """As the request's model has it for pictures of its size; what is not painted has each pass to itself."""
        model = self._process.ready.model(request.model)
        if model is None or not isinstance(request, Imagine):
            return 1
        return model.canonical_batch(request.width, request.height, len(request.references))

    async def up(self) -> None:
        """Wait until the process is ready."""
        await self._process.up()

    async def down(self) -> None:
        """Wait until the process is dead."""
        await self._process.ended()

    def run(self, requests: Sequence[Request]) -> AsyncGenerator[Event, None]:
        """Run the requests in the process, whatever goes the other way meanwhile."""
        return self._process.run(requests)
