"""What every request to the engine has."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec


class Input(msgspec.Struct, frozen=True):
    """A picture that a request works on: a PNG, which lies in `pictures` (see `files`)."""

    sha256: str
    """Of those bytes, as 64 hex digits."""
    width: int
    height: int


Safety = Literal["block", "spoiler", "allow"]
"""What becomes of a picture that a checker flags: nobody sees it, it is marked to be hidden until somebody wants to see
it, or no checker looks."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What every request has. Every field is settled: nothing is left for the engine to choose."""

    job: int
    model: str
    safety: Safety = "block"
    """Settled when its turn comes, by the rules of the place where it was asked for. It decides who sees what, and
    nothing of what is painted."""

    quick: ClassVar[bool] = False
    """Quick tasks take a fraction of a second and need not wait for somebody else's fifty steps."""

    @property
    def kind(self) -> str:
        """The word that it is told from other requests by, which is its command's name."""
        return str(self.__struct_config__.tag)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The pictures it works on."""
        return ()

    @property
    def lora_files(self) -> tuple[str, ...]:
        """The hashes of the files of members' own LoRAs that it may work with."""
        return ()

    @property
    def places(self) -> int:
        """How many places of a forward pass it takes."""
        return 1

    @property
    def pass_key(self) -> tuple[object, ...]:
        """Equal for requests that can share one forward pass."""
        return (self.job,)

    @property
    def work(self) -> float:
        """How much there is to do, in a unit of its kind: estimates compare it with that of jobs done before."""
        return 1.0
