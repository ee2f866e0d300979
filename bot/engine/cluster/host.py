"""Where an engine is in a cluster: an actor that keeps one inference process beside itself and passes its frames on.

Pictures travel with the frames that name them: what a request works on, and what has come of it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from bot import environment, folder
from bot.engine.link import Link
from bot.errors import EngineDied, OperatorError
from inference.protocol import (
    INCOMING,
    LORAS,
    PICTURES,
    Batch,
    Began,
    Failed,
    Finished,
    Ready,
    lora_file,
    pack,
    place,
    unpack_event,
    unpack_message,
)

PREFIX = "easel-engine-"
"""Of the folders in which engines leave pictures on their way."""

CHECKOUT = Path(__file__).parents[3]
"""Where Easel is on this machine: there lie the catalogue and what it names."""

Told = tuple[bytes, dict[str, bytes]]
"""What a frame holds, and the files that it names."""


@dataclass(frozen=True)
class Described:
    """What an engine is and does."""

    node: str
    device: str
    """Empty while it starts."""
    models: tuple[str, ...]
    jobs: tuple[int, ...]
    """Those at work."""


class Host:
    """One inference process. `start` it once; then `send` and `receive` at the same time. It ends with the actor."""

    def __init__(self, environ: Mapping[str, str], device: str) -> None:
        """`environ` is what the bot lets its engines know; what is set on this machine itself goes before it."""
        here = environment.of_engine(os.environ)
        # Ray's word, by how many processors the actor was promised: sums of floats depend on it.
        here.pop("OMP_NUM_THREADS", None)
        self._environ = {**environ, **here, "EASEL_DEVICE": device}
        _sweep()
        self._data = Path(mkdtemp(prefix=PREFIX))
        self._held = ExitStack()
        self._held.enter_context(folder.held(self._data))
        # Ray brings what it says to the bridge.
        self._link = Link("the inference process", heard=False)
        self._inputs: dict[int, set[Path]] = {}
        self._ready: Ready | None = None
        self._at_work: tuple[int, ...] = ()

    async def start(self) -> None:
        """Start the process."""
        for name in (PICTURES, LORAS, INCOMING):
            (self._data / name).mkdir(mode=0o700)
        await self._link.open(("-m", "inference", "--data", str(self._data)), self._environ, CHECKOUT)

    async def send(self, payload: bytes, inputs: Mapping[str, bytes], loras: Mapping[str, bytes]) -> None:
        """Pass on what a frame of the bot's holds, with the pictures by hash that its requests work on, and members'
        LoRAs that they work with."""
        message = unpack_message(payload)
        if isinstance(message, Batch):
            for request in message.requests:
                pictures = {self._picture(each.sha256) for each in request.inputs if each.sha256 in inputs}
                self._inputs[request.job] = pictures | {self._lora(one) for one in request.lora_files if one in loras}
            files = {self._picture(sha256): data for sha256, data in inputs.items()}
            files |= {self._lora(sha256): data for sha256, data in loras.items()}
            await asyncio.to_thread(_write, files)
        await self._link.send(pack(message))

    async def receive(self) -> Told | int | None:
        """What the next frame of the process's holds, with the files that it names; at its end its exit status."""
        try:
            payload = await self._link.receive()
        except EngineDied:
            return await self._link.reap()
        event = unpack_event(payload)
        files: dict[str, bytes] = {}
        match event:
            case Ready():
                self._ready = event
            case Began():
                self._at_work = event.jobs
            case Finished():
                files = await asyncio.to_thread(self._take, event)
        if isinstance(event, Finished | Failed):
            self._at_work = tuple(job for job in self._at_work if job != event.job)
            self._forget_inputs(event.job)
        return payload, files

    async def described(self) -> Described:
        """What there is to be said of this engine, for its operator."""
        import ray

        ready = self._ready
        return Described(
            node=ray.get_runtime_context().get_node_id(),
            device="" if ready is None else ready.device,
            models=() if ready is None else tuple(model.name for model in ready.models),
            jobs=self._at_work,
        )

    def _picture(self, sha256: str) -> Path:
        return place(self._data / PICTURES, sha256)

    def _lora(self, sha256: str) -> Path:
        return lora_file(self._data / LORAS, sha256)

    def _take(self, event: Finished) -> dict[str, bytes]:
        """The files of a result, which are here no longer."""
        files = {}
        for picture in event.pictures:
            path = self._data / INCOMING / picture.file
            files[picture.file] = path.read_bytes()
            path.unlink()
        return files

    def _forget_inputs(self, job: int) -> None:
        files = self._inputs.pop(job, set())
        for file in files.difference(*self._inputs.values()):
            file.unlink(missing_ok=True)


def _write(files: Mapping[Path, bytes]) -> None:
    for path, data in files.items():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # Another job may be reading the same file.
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(data)
        part.replace(path)


def _sweep() -> None:
    """Remove what actors have left on this machine that were killed: members' pictures."""
    for old in Path(gettempdir()).glob(f"{PREFIX}*"):
        # One that is held is at work. One that is not ours to open is somebody else's.
        with suppress(OperatorError, OSError), folder.held(old):
            shutil.rmtree(old)
