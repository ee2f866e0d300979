"""Tells members that a long wait is over, who asked to be told: once, in the job's channel or by a direct message.

Who is to be told the database writes down by itself, with the delivery.
"""

from __future__ import annotations

import asyncio
import logging

from bot.background import Background
from bot.database import insist
from bot.jobs import Jobs
from bot.localisation import Languages
from bot.posting import UNREACHED, Posting, is_final
from bot.waits import growing
from bot.words import say, speaking
from inference.protocol import logs

log = logging.getLogger(__name__)

RETRY_AFTER_S = (2.0, 10.0, 60.0, 300.0)
"""Waits between the tries; the last one repeats for as long as the bot runs."""


class Pings:
    """`resume` it once, before anything is delivered."""

    def __init__(self, jobs: Jobs, posting: Posting, background: Background, languages: Languages) -> None:
        self._jobs = jobs
        self._members = jobs.members
        self._posting = posting
        self._background = background
        self._languages = languages

    async def resume(self) -> None:
        """Tell those whom the last run has not told."""
        for job_id in await self._members.untold():
            self.soon(job_id)

    def soon(self, job_id: int) -> None:
        """Tell the member of a job that was delivered, if they are to be told. Returns at once."""
        self._background.start(self._tell(job_id))

    async def _tell(self, job_id: int) -> None:
        logs.turn_to(job_id)
        waits = growing(RETRY_AFTER_S)
        way = await self._members.way_to_tell(job_id)
        while way is not None and (job := await self._jobs.find(job_id)) is not None and job.reply.url is not None:
            try:
                with speaking(self._languages.nearest(job.reply.language)):
                    text = say("Your job #{job} has ended: {link}", job=job.id, link=job.reply.url)
                    if job.state == "finished":
                        text = say("Your job #{job} is finished: {link}", job=job.id, link=job.reply.url)
                await self._posting.calm()
                await self._posting.ping(job.id, job.reply, text, way)
            except UNREACHED as error:
                if not is_final(error):
                    await asyncio.sleep(next(waits))
                    continue
                if way == "channel":
                    way = "message"
                    continue
                log.warning("its member cannot be told that it has ended: %s", error)
            break
        await insist(f"that the member of job {job_id} was told", self._members.told, job_id)
