"""How long to wait: between tries of what must succeed in the end, and for what is worth it when all else has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

log = logging.getLogger(__name__)


def growing(waits_s: Sequence[float]) -> Iterator[float]:
    """These waits one after the other, and the last one again and again."""
    return chain(waits_s, repeat(waits_s[-1]))


async def outlast(work: Coroutine[Any, Any, None], is_worth: Callable[[], bool], within_s: float) -> None:
    """Do this work; where whoever waits for it is cancelled meanwhile, go on for so long at most if it `is_worth` that.
    Raises what the work raises, and CancelledError in the end."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done() and is_worth():
            log.info("waiting for what may be paid, for %g s at most", within_s)
            await asyncio.wait((task,), timeout=within_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
