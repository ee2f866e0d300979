"""The safety checker's word on pictures of other servers: those that they are shown, before anything is sent, and those
that they have painted, before anybody sees them. It runs where the cards are, as a quick request of the bot's own.

What cannot be looked at is neither sent nor shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing

from msgspec.structs import replace

from bot.engine.interface import Engine, Lane
from bot.errors import EngineDied
from bot.pictures.kept import Pictures
from inference.protocol import Check, Failed, Finished, Input, Left, Request, because

log = logging.getLogger(__name__)

TRIES = 3
"""An engine that dies meanwhile need not have died of it."""

LOOK_EVERY_S = 0.2
"""For a lane, where there is none at the moment."""


class Checking:
    """Asks an engine's lanes."""

    def __init__(self, engine: Engine, pictures: Pictures) -> None:
        self._engine = engine
        self._pictures = pictures

    async def before(self, request: Request) -> Failed | bool:
        """Whether what is made of these inputs is to be hidden, if the server may see them at all. They are looked at
        by whatever looks at what members bring; nothing is where the engine does so itself."""
        if request.safety == "allow" or not request.inputs or request.model not in self._engine.ready.elsewhere:
            return False
        flagged = await self._flagged(request.job, request.inputs, "")
        if isinstance(flagged, Failed):
            return flagged
        if any(flagged) and request.safety == "block":
            return Failed(request.job, "unsafe", because("input_flagged"))
        return any(flagged)

    async def after(self, request: Request, made: Finished, *, hidden: bool) -> Finished | Failed:
        """What was made, with what is to be hidden marked as that; why nothing of it may be seen. All is `hidden` where
        its inputs are. Raises OSError where it is not there."""
        flagged: Sequence[bool] | Failed = [False] * len(made.pictures)
        if request.safety != "allow" and made.pictures and (checker := self._checker_of(request)) is not None:
            for picture in made.pictures:
                await self._pictures.lend(Left(picture.file, picture.sha256))
            inputs = [Input(picture.sha256, picture.width, picture.height) for picture in made.pictures]
            flagged = await self._flagged(made.job, inputs, checker)
        if isinstance(flagged, Failed):
            return flagged
        if any(flagged) and request.safety == "block":
            # All of it, as where it is painted here.
            return Failed(made.job, "unsafe", because("flagged"))
        shown = zip(made.pictures, flagged, strict=True)
        return replace(made, pictures=tuple(replace(one, flagged=one.flagged or own or hidden) for one, own in shown))

    def _checker_of(self, request: Request) -> str | None:
        """What looks at what another server paints: the catalogue's own where that model is not there any more."""
        ready = self._engine.ready
        if request.model not in ready.elsewhere:
            return None
        model = ready.model(request.model)
        return "" if model is None or model.remote is None else model.remote.checker or None

    async def _flagged(self, job_id: int, pictures: Sequence[Input], checker: str) -> tuple[bool, ...] | Failed:
        check = Check(job=job_id, model=checker, pictures=tuple(pictures), safety="allow")
        for _ in range(TRIES):
            lane = await self._lane(check)
            try:
                async with aclosing(lane.run([check])) as events:
                    async for event in events:
                        if isinstance(event, Failed):
                            return event
                        if isinstance(event, Finished) and len(event.answer.flagged) == len(pictures):
                            return event.answer.flagged
            except EngineDied as died:
                log.warning("the safety checker has not answered: %s", died)
        return Failed(job_id, "internal", because("not_checked"))

    async def _lane(self, check: Check) -> Lane:
        """One that is there, as soon as one is."""
        while True:
            for lane in self._engine.lanes:
                if lane.quick and lane.is_up and lane.takes(check):
                    return lane
            await asyncio.sleep(LOOK_EVERY_S)
