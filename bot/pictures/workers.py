"""A few child processes in which all is done that is done with pictures: no file of a member's is decoded in the bot.

They are replaced when they crash, hang or use too much, and after some calls in any case. What they do lies in
`decoding`, `masks` and `fitting`, which know nothing of Discord; what they may use is said here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

import msgspec

from bot.errors import MemberError, WorkFailed
from bot.pictures.calls import Answer, Call, Done, Fault, Fell, Limits, Refused, answer_of, frame_bytes, pack
from bot.pictures.decoding import DAMAGED
from bot.words import N_

log = logging.getLogger(__name__)

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

UPLOADS = Limits(memory_bytes=2 * 2**30, written_bytes=160 * 2**20, cpu_s=40, wall_s=90.0)
"""Enough for 36 million pixels with transparency, turned or with room at their sides: 12 seconds and 1 GiB."""
RESULTS = Limits(memory_bytes=4 * 2**30, written_bytes=2**30, cpu_s=600, wall_s=900.0)
"""Enough for 140 million pixels, which take it 100 to 300 seconds and 2.8 GiB."""

SIGNING = Limits(memory_bytes=4 * 2**30, written_bytes=2**30, cpu_s=120, wall_s=120.0)
"""Enough for 140 million pixels, which are read in pieces."""

LISTS = Limits(memory_bytes=2 * 2**30, written_bytes=4 * 2**20, cpu_s=40, wall_s=60.0)
"""Enough for a thumbnail of 140 million pixels."""

CALLS_OF_A_CHILD = 200
"""After which it is replaced, so that nothing that a library forgets to free adds up."""

TURNS_AT_ONCE = 8
"""How many members may have files that are worked on: that bounds how much of the disk they take."""

END_WITHIN_S = 1.0
"""A child that hangs up has ended; one that has not by then is killed."""

ROOT = Path(__file__).parents[2]

KEPT_VARIABLES = ("LD_LIBRARY_PATH",)
"""By which some systems find Python's own libraries."""

SENTENCES: dict[Fault, str] = {
    "damaged": DAMAGED,
    "memory": N_("This picture takes too much memory to read: make it smaller, or save it again as PNG or JPEG."),
    "time": N_("This picture takes too long to read: make it smaller, or save it again as PNG or JPEG."),
    "size": N_("What came of this picture is too large to keep: make it smaller."),
    "disk": N_("There is no room for pictures at the moment: try again later, or tell whoever runs this bot."),
    "crashed": N_("This picture could not be read: save it again as PNG or JPEG and upload that."),
}


class Workers:
    """Child processes of one kind, each started when it is first needed. `close` them."""

    def __init__(self, limits: Limits, at_once: int) -> None:
        self._limits = limits
        # Who asked first is served first.
        self._free = asyncio.Semaphore(at_once)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False

    async def run(
        self, function: Callable[[*Given], Result], *arguments: *Given, within_s: float | None = None
    ) -> Result:
        """Call a function of a module in a child, with arguments and a result of plain types, dataclasses and paths.

        From its turn on it may take the time of this kind of work, or `within_s`. Raises its MemberError, and
        WorkFailed where it came to no end. Cancelling ends what it has begun.
        """
        call = pack(Call(function.__module__, function.__name__, arguments))
        async with self._free:
            answer = await self._ask(function, call, self._limits.wall_s if within_s is None else within_s)
        match answer:
            case Done():
                result: Result = answer.value
                return result
            case Refused():
                log.debug("%s: %s (%s)", function.__name__, answer.reason, answer.cause)
                raise MemberError.of(answer.reason)
            case Fell():
                level = logging.ERROR if answer.fault == "disk" else logging.DEBUG
                log.log(level, "%s came to no end (%s): %s", function.__name__, answer.fault, answer.cause)
                failed = WorkFailed(SENTENCES[answer.fault])
                failed.cause = f"{answer.fault}: {answer.cause}"
                raise failed

    async def close(self) -> None:
        """End all children, whatever they are doing."""
        self._closed = True
        await asyncio.gather(*(child.end() for child in self._children))

    async def _ask(self, function: Callable[..., object], call: bytes, within_s: float) -> Answer:
        # One that the system has killed in the meantime is no use.
        self._idle = [child for child in self._idle if child.alive]
        child = self._idle.pop() if self._idle else _Child(self._limits)
        self._children.add(child)
        sound = False
        try:
            answer = Fell("crashed", "the bot stops") if self._closed else await child.answer(function, call, within_s)
            sound = not isinstance(answer, Fell) and child.calls < CALLS_OF_A_CHILD
            return answer
        finally:
            if sound:
                self._idle.append(child)
            else:
                self._children.discard(child)
                await child.end()


class Workshop:
    """The children for what members bring and for what was made of it, and the folder that all of them write to."""

    def __init__(self, folder: Path) -> None:
        """The folder must be there, be on one disk with the pictures' folder, and be emptied before this begins."""
        self.uploads = Workers(UPLOADS, at_once=2)
        # Of their own, so that nobody's upload keeps a result waiting.
        self.results = Workers(RESULTS, at_once=1)
        # Of their own: here is the key, and nobody's picture is decoded.
        self.signing = Workers(SIGNING, at_once=2)
        # So that a list does not wait for a large result.
        self.lists = Workers(LISTS, at_once=2)
        self._folder = folder
        self._turns = asyncio.Semaphore(TURNS_AT_ONCE)
        self._members: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Workshop:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self.uploads.close(), self.results.close(), self.signing.close(), self.lists.close())

    @asynccontextmanager
    async def turn(self, member_id: int) -> AsyncIterator[Path]:
        """A folder for one piece of a member's work; each has one at a time. What is left in it goes with it."""
        lock = self._members.setdefault(member_id, asyncio.Lock())
        async with lock, self._turns:
            with self.desk() as folder:
                yield folder

    @contextmanager
    def desk(self) -> Iterator[Path]:
        """A folder whose content goes with it."""
        # Somebody may have tidied it away.
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


class _Child:
    """One process; it answers one call at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._ended = False
        self.calls = 0

    @property
    def alive(self) -> bool:
        """Whether it runs and can be asked."""
        return self._process is not None and self._process.returncode is None

    async def answer(self, function: Callable[..., object], call: bytes, within_s: float) -> Answer:
        """Let it do this, starting it where that is due. What is no Done and no Refused ends it."""
        self.calls += 1
        try:
            async with asyncio.timeout(within_s):
                process = self._process = self._process or await self._started()
                if self._ended:
                    return Fell("crashed", "the bot stops")
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(call)
                length = frame_bytes(await process.stdout.readexactly(4))
                return answer_of(function, await process.stdout.readexactly(length))
        except TimeoutError:
            return Fell("time", f"over {within_s:.0f} s")
        except (asyncio.IncompleteReadError, ConnectionError):
            return await self._early_end()
        except (ValueError, msgspec.MsgspecError) as error:
            return Fell("crashed", f"a child said what nobody can read: {error}")

    async def end(self) -> None:
        """Kill it."""
        self._ended = True
        if self._process is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _started(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "bot.pictures.child", msgspec.json.encode(self._limits).decode()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
            env={"PYTHONPATH": str(ROOT)} | {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            # A Ctrl-C in the terminal is the bot's to handle.
            start_new_session=True,
        )

    async def _early_end(self) -> Fell:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                await self._process.wait()
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            return Fell("time", f"over {self._limits.cpu_s} s of the processor")
        if status == -signal.SIGKILL:
            # Nobody but a system that is out of memory does that.
            return Fell("memory", "killed by the system")
        return Fell("crashed", f"ended with status {status}")
