"""Several inference processes as one engine: their lanes, what they can do together, which of them takes what.

Where they run and how many there are is the business of who builds the fleet (`local`, `ray`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from operator import is_

from bot.engine import abilities
from bot.engine.interface import Condition
from bot.engine.process import InferenceProcess
from bot.errors import Starting
from inference.protocol import Event, Imagine, ModelInfo, Ready, Request, Work, limits


class Fleet:
    """Inference processes that may come and go. Each has two lanes: one for what takes its time, one for what is
    quick and runs between the steps of the other."""

    def __init__(self) -> None:
        self._lanes: dict[InferenceProcess, tuple[ProcessLane, ...]] = {}
        self._changed = asyncio.Event()
        self._said: list[Ready] = []
        self._last: dict[str, list[Ready]] = {}
        """What processes of each program said that were up last."""
        self._together: Ready | None = None
        self._alike = True

    @property
    def lanes(self) -> Sequence[ProcessLane]:
        """Of each process that there is, whether it is up or away: two, or as many as its servers are to be sent."""
        return [lane for lanes in self._lanes.values() for lane in lanes]

    @property
    def conditions(self) -> Sequence[Condition]:
        """How each process is."""
        return [process.condition for process in self._lanes]

    async def lanes_changed(self) -> None:
        """Wait until a process has come or gone."""
        await self._changed.wait()
        self._changed.clear()

    @property
    def ready(self) -> Ready:
        """What the processes can do together that are up; of those of a program none of which is, what they could last.
        Before the first is, what is foreseen of them. Raises Starting where nothing is."""
        self._ask()
        if self._together is not None:
            return self._together
        foreseen = [process.foreseen for process in self._lanes if process.foreseen is not None]
        if not foreseen:
            raise Starting
        return abilities.together(foreseen)

    @property
    def is_alike(self) -> bool:
        """Whether all of these can do the same."""
        self._ask()
        return self._alike

    def is_elsewhere(self, model: str) -> bool:
        """Whether another server has this model, whatever of it can be used now."""
        self._ask()
        return self._together is not None and model in self._together.elsewhere

    def _ask(self) -> None:
        """Find out what the processes can do together, where another one is up than when that was asked last."""
        up: dict[str, list[Ready]] = {}
        for process in self._lanes:
            if process.is_up:
                up.setdefault(process.program, []).append(process.ready)
        self._last |= up
        said = [one for of_program in self._last.values() for one in of_program]
        if said and not (len(said) == len(self._said) and all(map(is_, said, self._said))):
            self._said = said
            self._together = abilities.together(said)
            self._alike = all(abilities.alike(said[0], other) for other in said)

    def add(self, process: InferenceProcess) -> None:
        """From now on there are lanes through this process, which need not have been started."""
        self._lanes[process] = (ProcessLane(self, process, quick=False), ProcessLane(self, process, quick=True))
        self._changed.set()

    def add_remote(self, process: InferenceProcess, models: Sequence[ModelInfo]) -> None:
        """From now on there are lanes through this process for these models of other servers, each as often as that is
        to be sent requests at a time: a slow server keeps nobody waiting but those who want it."""
        self._lanes[process] = tuple(
            ModelLane(self, process, model.name, number)
            for model in models
            for number in range(1, 1 + (model.remote.at_once if model.remote is not None else 1))
        )
        self._changed.set()

    def remove(self, process: InferenceProcess) -> None:
        """This process never comes back: its lanes are gone. It is the caller's to close it."""
        for lane in self._lanes.pop(process):
            lane.end()
        self._changed.set()

    def others(self, process: InferenceProcess) -> Iterator[Ready]:
        """What all other processes can do that are up, and those of another program that come back."""
        for other in self._lanes:
            if other is not process and other.is_up:
                yield other.ready
        for program, said in self._last.items():
            if program != process.program and not any(each.is_up for each in self._lanes if each.program == program):
                yield from said

    async def cancel(self, job_id: int) -> None:
        """Ask all processes for a job to be stopped; those that do not know it ignore that."""
        await asyncio.gather(*(process.cancel(job_id) for process in list(self._lanes) if process.is_up))

    async def close(self) -> None:
        """Stop every process, and wait until all are gone."""
        await asyncio.gather(*(process.close() for process in list(self._lanes)))


class ProcessLane:
    """One way through a process, which goes away and comes back with it."""

    def __init__(self, fleet: Fleet, process: InferenceProcess, *, quick: bool) -> None:
        """`quick` where it is for requests that run between the steps of others."""
        self.name = f"{process.name}, {'quick' if quick else 'slow'}"
        self.quick = quick
        self.paid = False
        self._fleet = fleet
        self._process = process
        self._gone = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the process is ready now."""
        return self._process.is_up

    def takes(self, request: Work) -> bool:
        """Whether the process can run it, or none can: then one of them says why."""
        if isinstance(request, Imagine) and self._fleet.is_elsewhere(request.model):
            return False
        if self._fleet.is_alike or limits.problem(request, self._process.ready) is None:
            return True
        return all(limits.problem(request, other) is not None for other in self._fleet.others(self._process))

    def capacity(self, request: Request) -> int:
        """As the process says it of the request's model."""
        return self._process.ready.places(request)

    async def up(self) -> bool:
        """Wait until the process is ready; False where it is gone for good."""
        coming, going = (asyncio.create_task(each) for each in (self._process.up(), self._gone.wait()))
        try:
            await asyncio.wait((coming, going), return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming.cancel()
            going.cancel()
        return not self._gone.is_set()

    async def down(self) -> None:
        """Wait until the process is dead."""
        await self._process.ended()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Within, the neighbour of the process gives way, where it has one."""
        return nullcontext() if self._process.neighbour is None else self._process.neighbour.turn()

    def run(self, requests: Sequence[Work]) -> AsyncGenerator[Event, None]:
        """Run the requests in the process, whatever goes the other way meanwhile."""
        return self._process.run(requests)

    def end(self) -> None:
        """The process never comes back."""
        self._gone.set()


class ModelLane(ProcessLane):
    """One of the ways through a process to a server that has a model."""

    def __init__(self, fleet: Fleet, process: InferenceProcess, model: str, number: int) -> None:
        """`number` tells it from the others to that model."""
        super().__init__(fleet, process, quick=False)
        self.name = f"{process.name}, {model} {number}"
        self.paid = True
        self._model = model

    def takes(self, request: Work) -> bool:
        """Whether it is for this model; then the process says what is wrong with it, if anything is."""
        return isinstance(request, Imagine) and request.model == self._model
