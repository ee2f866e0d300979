"""An engine process of one's own for what is measured: on the CPU, with one thread, so that runs can be compared."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bot.engine.process import InferenceProcess
from inference.protocol import INCOMING, PICTURES

THREADS = 1
SILENCE_S = 300.0


@asynccontextmanager
async def local_engine(**changes: str) -> AsyncIterator[tuple[InferenceProcess, Path]]:
    """A started engine, and the folder in which it leaves what it made."""
    with TemporaryDirectory() as folder:
        data = Path(folder)
        for name in (PICTURES, INCOMING):
            (data / name).mkdir()
        environ = os.environ | {"EASEL_DEVICE": "cpu", "EASEL_THREADS": str(THREADS)} | changes
        engine = InferenceProcess(environ, data, SILENCE_S)
        await engine.start()
        try:
            yield engine, data / INCOMING
        finally:
            await engine.close()
