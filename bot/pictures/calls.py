"""What the bot and its child processes say to each other: a call goes in, exactly one answer comes out.

Frames of four bytes of length, then MessagePack. Never pickles: a child that a hostile file has taken over could
write one that runs in the bot. Pictures do not travel here, their files' names do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from inference.protocol import Reason

MAX_FRAME_BYTES = 16 * 2**20
"""No honest answer is larger: the longest are the recipes that tools leave in pictures."""

Fault = Literal["damaged", "memory", "time", "size", "disk", "crashed"]
"""Why there is no answer: what nobody foresaw; over a limit of memory, time or written bytes; no room; an early end."""


class Limits(msgspec.Struct, frozen=True):
    """What a child process may use: in all, and its processor's seconds and the clock's for one call."""

    memory_bytes: int
    written_bytes: int
    """Of any one file."""
    cpu_s: int
    wall_s: float


class Call(msgspec.Struct, frozen=True):
    """A function of a module and its arguments."""

    module: str
    name: str
    arguments: Sequence[Any]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """What the function returned."""

    value: Any


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It raised a MemberError."""

    reason: Reason
    cause: str


class Fell(msgspec.Struct, frozen=True, tag="fell"):
    """It raised something else."""

    fault: Fault
    cause: str


Answer = Done | Refused | Fell


def pack(message: Call | Answer) -> bytes:
    """The message as one frame. Raises ValueError where it is too large."""
    payload = msgspec.msgpack.encode(message, enc_hook=_to_text)
    if len(payload) > MAX_FRAME_BYTES:
        raise ValueError(f"{len(payload)} bytes are too many for one message")
    return len(payload).to_bytes(4, "big") + payload


def frame_bytes(header: bytes) -> int:
    """How many bytes follow these four. Raises ValueError where no honest peer wrote them."""
    length = int.from_bytes(header, "big")
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return length


def perform(payload: bytes) -> object:
    """Do what a call says."""
    call = msgspec.msgpack.decode(payload, type=Call)
    function = getattr(import_module(call.module), call.name)
    *kinds, _ = get_type_hints(function).values()
    return function(*(_as(value, kind) for value, kind in zip(call.arguments, kinds, strict=False)))


def answer_of(function: Callable[..., object], payload: bytes) -> Answer:
    """What came back. Raises msgspec.MsgspecError on anything that the function cannot have returned."""
    answer: Answer = msgspec.msgpack.decode(payload, type=Answer)
    if isinstance(answer, Done):
        return Done(_as(answer.value, get_type_hints(function)["return"]))
    return answer


def _as(value: object, kind: Any) -> Any:
    return msgspec.convert(value, kind, dec_hook=_from_text)


def _to_text(value: object) -> str:
    if not isinstance(value, Path):
        raise NotImplementedError(f"a {type(value).__name__} is nothing that travels")
    return str(value)


def _from_text(kind: type, value: object) -> object:
    if kind is not Path:
        raise NotImplementedError(f"a {kind.__name__} is nothing that travels")
    return Path(str(value))
