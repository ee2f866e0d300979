"""What a member has asked for lately, by which limits of a server are measured."""

from __future__ import annotations

from bot.database import Database
from bot.job import Job, Reply
from bot.policies.policy import Policy
from bot.policies.problem import Usage


async def of(database: Database, reply: Reply, policy: Policy, before: Job | None, now: float) -> Usage:
    """What the member has asked for in this server before this job, or before now."""
    if policy.waiting is policy.hour is policy.day is None:
        return Usage()
    at = now if before is None else before.created_at
    number = 2**63 - 1 if before is None else before.id
    row = await database.row(
        # The states are said as the index says them.
        "SELECT (SELECT count(*) FROM job WHERE state IN ('arriving', 'reading', 'queued')"
        " AND state IN ('arriving', 'reading', 'queued', 'running')"
        " AND member_id = :member AND guild_id IS :guild AND id < :number) AS waiting,"
        " count(*) FILTER (WHERE at > :at - 3600) AS hour, count(*) AS day"
        " FROM spent WHERE member_id = :member AND guild_id IS :guild AND at > :at - 86400 AND job_id < :number",
        {"member": reply.member_id, "guild": reply.guild_id, "number": number, "at": at},
    )
    assert row is not None, "it counts"
    return Usage(row["waiting"], row["hour"], row["day"])
