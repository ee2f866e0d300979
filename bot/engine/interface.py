"""What the bot needs of whoever runs its requests: lanes to send them through. No process and no socket here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from inference.protocol import Event, Holding, Ready, Request, Work


@dataclass(frozen=True, slots=True)
class Condition:
    """How one of an engine's processes is, for whoever looks at it; times in seconds."""

    name: str
    """What the log calls it."""
    pid: int | None
    """Its number, or that of what stands for it here; None where it is not there."""
    device: str
    """As it calls that itself; empty before it was ready for the first time."""
    away_s: float | None
    """How long it has not been ready; None where it is."""
    silent_s: float
    """How long it has given no sign of life while it has work."""
    patience_s: float
    """After how long it is ended for that."""
    starts: int
    """How often it was started, with success or without."""
    work_s: float
    """How long its device was at work, in all that it was started for."""
    holding: Holding | None
    """What it has in memory, as it said last."""
    why: str = ""
    """How it died last, in a line; empty where it never did."""

    @property
    def is_up(self) -> bool:
        """Whether it is ready now."""
        return self.away_s is None


class Neighbour(Protocol):
    """Who uses the device of an engine's process while nothing runs there."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """As `Lane.turn`."""


class Lane(Protocol):
    """One way through the engine: what goes this way does not wait for what goes another.

    Either it answers or it is away; then it comes back by itself, unless it is gone for good, and the other lanes need
    not have noticed.
    """

    @property
    def name(self) -> str:
        """What the log calls it; no other lane of its engine is called so."""

    @property
    def quick(self) -> bool:
        """Whether it is for quick requests, which run between the steps of those of another lane, or for all others
        and for quick ones that must run alone."""

    @property
    def paid(self) -> bool:
        """Whether what is sent this way may be paid: then it is waited for also where the bot is to stop."""

    @property
    def is_up(self) -> bool:
        """Whether requests can be run now."""

    def takes(self, request: Work) -> bool:
        """Whether the request goes this way as well as any other: it can be run here, or nowhere."""

    def capacity(self, request: Request) -> int:
        """How many places the forward pass of a request like this one has here."""

    async def up(self) -> bool:
        """Wait until requests can be run; False where they never will be again."""

    async def down(self) -> None:
        """Wait until none can; returns at once while the lane is away."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Within, whoever else uses the device of this way gives way. Requests are run within one, and wait in it."""

    def run(self, requests: Sequence[Work]) -> AsyncGenerator[Event, None]:
        """Run the requests; ends after the one final event of each. A further run has its turn after those before, or
        takes free places of the one before if that has not begun to paint.

        Raises EngineDied where the lane went away before, which names those of the jobs that may have been the reason.
        """


class Engine(Protocol):
    """Some lanes, and one answer for all of them to what can be asked for."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """The ways through it that there are now."""

    async def lanes_changed(self) -> None:
        """Wait until there are other lanes than when this returned last, or than at the start. For one who waits."""

    @property
    def ready(self) -> Ready:
        """What can be done on one lane or another; what it was last, where all are away, and before the first is up
        what it was in the run before. Raises Starting where nobody can tell."""

    @property
    def conditions(self) -> Sequence[Condition]:
        """How each of its processes is."""

    async def start(self) -> None:
        """Start, and return once it is ready. Raises OperatorError where it never will be, else EngineDied."""

    async def keep(self) -> None:
        """Bring back each lane that goes away, until cancelled. Raises OperatorError where that will never do."""

    async def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped; its final event tells whether that came in time. An unknown one is no error."""

    async def close(self) -> None:
        """Stop, and return once all of it is gone."""
