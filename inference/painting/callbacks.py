"""What a session tells, and of whom it asks whether it shall go on, while it paints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from PIL import Image

from inference.protocol import Imagine

Stage = Literal["loading", "painting", "finishing"]

Pictures = Callable[[], Sequence[Image.Image | None]]
"""Gives the pictures of a job as they are so far, None for one not begun or that a checker flagged: it has seen all of
them. None at all where there is nothing to see. Waits for the device, and for the checker."""


class Callbacks(Protocol):
    """What a session calls while it paints, as `exchange.reports.Reporter` has it; jobs are named by their numbers.

    Whatever these raise ends the session.
    """

    def alive(self) -> None:
        """The session gets on. Called often, before what takes time."""

    def loading(self) -> None:
        """Something begins that may take minutes without a call."""

    def still_wanted(self, jobs: Iterable[int]) -> list[int]:
        """Those of these jobs whose pictures somebody wants; what is painted of the others stops at the next step."""

    def give_way(self) -> None:
        """Between two steps: the device is free for who is quick."""

    def board(self, places: int) -> tuple[Sequence[Imagine], Mapping[str, bytes]]:
        """Before a pass with so many free places: further requests of the same pass key, each called by another number,
        and the bytes of their inputs."""

    def step(self, job: int, step: int, steps: int, stage: Stage = "painting") -> None:
        """A job has done so many of the steps of all its pictures."""

    def preview(self, job: int, pictures: Pictures, width: int, height: int) -> None:
        """What a job's pictures look like so far, proportions in pixels. Ask for them on a thread that may wait."""


class Alone:
    """Callbacks of a session of which nobody hears, but for whoever is called between two steps."""

    def __init__(self, give_way: Callable[[], None] = lambda: None) -> None:
        self.give_way = give_way

    def alive(self) -> None:
        """Nobody waits."""

    def loading(self) -> None:
        """Nobody waits."""

    def still_wanted(self, jobs: Iterable[int]) -> list[int]:
        """All of them."""
        return [*jobs]

    def board(self, places: int) -> tuple[Sequence[Imagine], Mapping[str, bytes]]:
        """Nobody."""
        return (), {}

    def step(self, job: int, step: int, steps: int, stage: Stage = "painting") -> None:
        """Nobody counts."""

    def preview(self, job: int, pictures: Pictures, width: int, height: int) -> None:
        """Nobody looks."""
