"""`python -m benchmarks.faults.painter`: an engine that paints nothing at all, in milliseconds, and fails as told.

It speaks the protocol as the real one does, leaves real files, and takes quick jobs between the steps of slow ones.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import socket
import struct
import sys
import time
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from inference.protocol import (
    INCOMING,
    Alive,
    Answer,
    Batch,
    Began,
    Cancel,
    Event,
    Failed,
    Finished,
    Imagine,
    ModelInfo,
    Picture,
    Progress,
    Ready,
    ToolInfo,
    Work,
    because,
    frame_bytes,
    leave,
    pack,
    unpack_message,
)

POISON = "poison"
"""A prompt with this word ends the engine that works on it."""
HANG = "hang"
"""One with this lets it go on for ever, without a sign of life."""

NOT_KEPT = "disk_failed"
"""Why a job fails whose picture cannot be left."""

SIDE = 64
ALIVE_EVERY_S = 0.5

Stage = Literal["start", "ready", "began", "step", "writing", "written", "finished", "idle"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine behaves."""

    step_s: float = 0.002
    steps: int = 4
    """Of which it tells; however many were asked for."""
    batch: int = 4
    pixels: int = SIDE
    """The side of what it makes."""
    dies_at: Stage | None = None
    """It kills itself there…"""
    nth: int = 1
    """…when it comes there for this time."""
    hangs_at: Stage | None = None
    deaf: bool = False
    """It finishes what was cancelled."""


def ready(plan: Plan) -> Ready:
    """What this engine says it can do."""
    model = ModelInfo(
        name="fast",
        title="Fast",
        family="none",
        samplers=("euler",),
        sampler="euler",
        steps=4,
        max_steps=100,
        guidance=5.0,
        max_guidance=20.0,
        negative=True,
        width=SIDE,
        height=SIDE,
        size_multiple=8,
        min_size=32,
        max_size=512,
        max_pixels=512 * 512,
        max_hires_pixels=512 * 512,
        batch=plan.batch,
        upscale=1,
        refiner=None,
        usual_layer=None,
        clip_skip=None,
        remote=None,
        training=None,
        styles=(),
        references=0,
        fills=False,
    )
    return Ready(
        models=(model,),
        default_model="fast",
        missing=(),
        device="none",
        cards=0,
        max_count=4,
        max_prompt_chars=2000,
        upscalers=(ToolInfo(name="big", title="Big", scale=4, denoise=False, tasks=(), languages=(), batch=1),),
        restorers=(),
        describers=(
            ToolInfo(
                name="eye",
                title="Eye",
                scale=1,
                denoise=False,
                tasks=("caption", "detailed caption"),
                languages=(),
                batch=1,
            ),
        ),
        classifiers=(),
        label_sets={},
        max_labels=0,
        loras=(),
        controls=(),
        embeddings=(),
        wildcards=(),
        max_loras=0,
        identity="painter",
        elsewhere=(),
        keys=(),
    )


def png(side: int, text: str) -> bytes:
    """A grey picture that bears these words: no two of different words are alike."""
    shades = random.Random(text)
    # Large ones are noise, which no compression makes small.
    row = [shades.randbytes(side) if side > SIDE else shades.randbytes(1) * side for _ in range(side)]
    rows = b"".join(b"\0" + one for one in row)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tEXt", b"words\0" + text.encode("latin-1", "replace"))]
    chunks += [(b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


class Painter:
    """One connection's engine."""

    def __init__(self, plan: Plan, incoming: Path, writer: asyncio.StreamWriter) -> None:
        self._plan = plan
        self._incoming = incoming
        self._writer = writer
        self._slow: deque[Batch] = deque()
        self._quick: deque[Batch] = deque()
        self._open: set[int] = set()
        self._arrival = asyncio.Event()
        self._passed = 0

    def pass_by(self, stage: Stage) -> None:
        """Be at a stage, and die or hang there if that was the plan."""
        if stage not in (self._plan.dies_at, self._plan.hangs_at):
            return
        self._passed += 1
        if self._passed != self._plan.nth:
            return
        if stage == self._plan.hangs_at:
            _hang()
        os.kill(os.getpid(), signal.SIGKILL)

    async def say(self, event: Event) -> None:
        """Send an event."""
        self._writer.write(pack(event))
        await self._writer.drain()

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Take what the bot sends until it hangs up."""
        while True:
            match unpack_message(await reader.readexactly(frame_bytes(await reader.readexactly(4)))):
                case Batch() as batch:
                    self._open.update(request.job for request in batch.requests)
                    (self._quick if batch.requests[0].quick else self._slow).append(batch)
                    self._arrival.set()
                case Cancel(job):
                    if job in self._open and not self._plan.deaf:
                        self._open.discard(job)
                        await self.say(Failed(job, "cancelled", because("cancelled")))

    async def work(self) -> None:
        """Run batch after batch for ever."""
        while True:
            if self._quick or self._slow:
                await self._run((self._quick or self._slow).popleft())
            else:
                self._arrival.clear()
                self.pass_by("idle")
                await self._arrival.wait()

    async def _run(self, batch: Batch) -> None:
        began_s = time.monotonic()
        await self._begin(batch.requests)
        words = " ".join(request.prompt for request in batch.requests if isinstance(request, Imagine))
        steps = 1 if batch.requests[0].quick else self._plan.steps
        for step in range(steps):
            if not batch.requests[0].quick and self._quick:
                await self._run(self._quick.popleft())
                await self._begin(batch.requests)
            self.pass_by("step")
            if POISON in words:
                os.kill(os.getpid(), signal.SIGKILL)
            if HANG in words:
                _hang()
            for request in self._wanted(batch.requests):
                await self.say(Progress(request.job, step, steps))
            await asyncio.sleep(self._plan.step_s)
        for request in self._wanted(batch.requests):
            await self.say(Progress(request.job, steps, steps, "finishing"))
            self.pass_by("writing")
            try:
                pictures = tuple(self._paint(request))
            except OSError:
                self._open.discard(request.job)
                await self.say(Failed(request.job, "internal", because(NOT_KEPT)))
                continue
            self.pass_by("written")
            # Nothing is awaited from here on: what is cancelled now comes too late.
            self._open.discard(request.job)
            seconds = time.monotonic() - began_s
            answer = Answer(text="a grey picture") if request.kind == "describe" else Answer()
            await self.say(Finished(job=request.job, pictures=pictures, recipe={}, seconds=seconds, answer=answer))
            self.pass_by("finished")

    async def _begin(self, requests: Sequence[Work]) -> None:
        await self.say(Alive(loading=False))
        await self.say(Began(tuple(request.job for request in self._wanted(requests))))
        self.pass_by("began")

    def _wanted(self, requests: Sequence[Work]) -> list[Work]:
        return [request for request in requests if request.job in self._open]

    def _paint(self, request: Work) -> Iterable[Picture]:
        match request:
            case Imagine():
                seeds: list[int | None] = [request.seed_of(index) for index in range(request.count)]
                words = request.prompt
            case _ if request.kind == "upscale":
                seeds, words = [None], f"upscaled {request.inputs[0].sha256}"
            case _:
                return
        for seed in seeds:
            left = leave(self._incoming, png(self._plan.pixels, f"{words} {seed}"))
            yield Picture(file=left.file, sha256=left.sha256, width=SIDE, height=SIDE, seed=seed, flagged=False)


def _hang() -> None:
    """Do nothing more, for ever, and hear nothing either."""
    time.sleep(10**6)


async def serve(fd: int, data: Path, plan: Plan) -> None:
    """Be an engine until the bot hangs up."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=fd))
    painter = Painter(plan, data / INCOMING, writer)
    painter.pass_by("start")
    await painter.say(ready(plan))
    painter.pass_by("ready")
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(painter.listen(reader))
            tasks.create_task(painter.work())
    except* (asyncio.IncompleteReadError, OSError):
        pass


def main() -> int:
    """Serve with the plan of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.painter")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plan", default="{}")
    asked = parser.parse_args()
    os.umask(0o077)
    asyncio.run(serve(asked.fd, asked.data, msgspec.json.decode(asked.plan, type=Plan)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
