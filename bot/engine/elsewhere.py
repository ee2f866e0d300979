"""The process that paints with models of other servers, beside those of a fleet that have cards."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from bot import environment
from bot.engine.fleet import Fleet
from bot.engine.process import InferenceProcess

NAME = "the engine of other servers"


async def begin(fleet: Fleet, environ: Mapping[str, str], data: Path, silence_s: float) -> InferenceProcess | None:
    """Start it where the fleet, which is ready, says that its catalogue names such models; None where it names none.

    It alone gets the variables of their keys. It is the caller's to keep. Raises as `InferenceProcess.start`.
    """
    if not (known := fleet.ready).elsewhere:
        return None
    admitted = functools.partial(environment.of_remote, keys=known.keys)
    process = InferenceProcess(environ, data, silence_s, name=NAME, program=("inference.remote",), admitted=admitted)
    # So that it is closed, whatever becomes of its start.
    fleet.add_remote(process, ())
    await process.start()
    fleet.add_remote(process, process.ready.models)
    return process
