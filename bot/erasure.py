"""A member who is to be forgotten: their jobs end, their rows and pictures go, then their messages, then all traces.

Each step can be done twice, and what is to be done is written down first: a kill anywhere delays it to the next start.
What is kept of a member is known to `belongings` alone.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from bot.background import Background
from bot.database import insist
from bot.dispatcher import Dispatcher
from bot.jobs import Jobs
from bot.posting import UNREACHED, Posting, is_final
from bot.waits import growing

log = logging.getLogger(__name__)

RETRY_AFTER_S = (2.0, 10.0, 60.0, 300.0, 1800.0)
"""Waits between the tries to take messages away; the last one repeats for as long as the bot runs."""


class Erasure:
    """`resume` it once, before old jobs are taken up."""

    def __init__(self, jobs: Jobs, dispatcher: Dispatcher, posting: Posting, background: Background) -> None:
        self._jobs = jobs
        self._kept = jobs.belongings
        self._dispatcher = dispatcher
        self._posting = posting
        self._background = background
        self._erasing = asyncio.Lock()
        self._parting: set[int] = set()
        """Whose messages are being taken away."""

    async def begin(self, member_id: int) -> None:
        """Write down that all is to be erased that there is of a member at this moment: from here on nothing prevents
        it. `erase` it then."""
        await insist("that a member is to be erased", self._kept.doom, member_id)

    async def erase(self, member_id: int) -> None:
        """Erase what `begin` said. Once it returns nothing of it is on the disk but which messages are still to be
        taken away, which goes on by itself."""
        if (up_to := (await self._kept.doomed()).get(member_id)) is not None:
            await self._to_the_end(member_id, up_to)

    async def resume(self) -> None:
        """Go on with what was begun before a restart. Nothing of it runs or is shown any more once this returns;
        `go_on` with the rest once Discord can be reached."""
        for member_id, up_to in (await self._kept.doomed()).items():
            await insist("that a member is erased", self._jobs.erase, member_id, up_to)

    async def go_on(self) -> None:
        """Bring what was begun before a restart to its end, in the background."""
        for member_id, up_to in (await self._kept.doomed()).items():
            self._background.start(self._to_the_end(member_id, up_to))

    async def _to_the_end(self, member_id: int, up_to: int) -> None:
        await self._erase(member_id, up_to)
        self._part(member_id)

    async def _erase(self, member_id: int, up_to: int) -> None:
        # Of two at once the second finds nothing left.
        async with self._erasing:
            for job in await self._jobs.all_of(await self._kept.restless(member_id, up_to)):
                # What waits, runs or is on its way to its member is known elsewhere as well.
                await self._dispatcher.delete(job)
            await insist("that a member is erased", self._jobs.erase, member_id, up_to)
            await self._scrub()

    async def _scrub(self) -> None:
        await insist("that words are forgotten", self._jobs.finding.forget_deleted_words)
        await insist("that nothing is left of a member", self._kept.scrub)

    def _part(self, member_id: int) -> None:
        if member_id not in self._parting:
            self._parting.add(member_id)
            task = self._background.start(self._take_away(member_id))
            task.add_done_callback(lambda _: self._parting.discard(member_id))

    async def _take_away(self, member_id: int) -> None:
        """Take the messages of what was erased away, however long that takes, then forget that there was an erasure."""
        waits = growing(RETRY_AFTER_S)
        while (up_to := (await self._kept.doomed()).get(member_id)) is not None:
            reached = True
            for message in await self._kept.messages(member_id):
                reached = await self._take(member_id, message) and reached
            if not reached:
                await asyncio.sleep(next(waits))
            elif await insist("that a member is erased", self._kept.erased, member_id, up_to):
                async with self._erasing:
                    await self._scrub()
                log.info("a member was erased")

    async def _take(self, member_id: int, message: sqlite3.Row) -> bool:
        """Take one message away; False where that has to be tried again."""
        try:
            await self._posting.calm()
            await self._posting.take_back(
                message["guild_id"],
                message["channel_id"],
                message["message_id"],
                member_id if message["to_member"] else None,
            )
        except UNREACHED as error:
            if not is_final(error):
                log.warning("a message of an erased member could not be taken away yet: %s", error)
                return False
            log.warning("a message of an erased member stays where it is: %s", error)
        await insist("that a message is gone", self._kept.taken_away, member_id, message["message_id"])
        return True
