"""Where a request becomes a job, if the rule allows it: what costs something one after the other, so that many at once
cannot spend more than is allowed."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from bot import costs
from bot.job import Job, Reply
from bot.jobs import Jobs
from bot.policies.kept import Policies
from inference.protocol import Ready, Reason, Request


class Till:
    """Between the rule and the database; one for a bot."""

    def __init__(self, jobs: Jobs, policies: Policies) -> None:
        self._jobs = jobs
        self._policies = policies
        self._spending = asyncio.Lock()

    async def admit(
        self, request: Request, reply: Reply, parent_id: int | None, ready: Ready, *, reading: bool
    ) -> Job | Reason:
        """The request as a job, with its price reserved; or why it may not be done. `reading` as `Jobs.arrive` has
        it: what is read may be of any size, so the most is reserved that it can cost."""
        price = costs.price_of(request, ready, most=reading)
        async with nullcontext() if price.is_free else self._spending:
            reason = await self._policies.problem(request, reply, parent_id=parent_id, cost=price)
            if reason is not None:
                return reason
            return await self._jobs.arrive(request, reply, parent_id, reading=reading, cost=price)
