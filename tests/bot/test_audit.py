"""What happened is written down with what it tells of, and stays as long as it is to: real SQLite."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from bot import audit
from bot.audit import Audit, Entry, hash_of
from bot.database import Database
from bot.job import Job
from bot.jobs import Jobs
from bot.policies.kept import Place, Policies
from inference.protocol import Picture, because
from tests.bot.conftest import finished, left, queued, reply, request, stored

SECRET = "a secret house"


async def all_of(database: Database, guild_id: int = 5, member_id: int | None = None) -> list[Entry]:
    """Oldest first."""
    return (await Audit(database).page(guild_id, member_id, limit=1000))[::-1]


async def said(database: Database) -> list[tuple[str, int | None, int | None]]:
    return [(one.what, one.member_id, one.by_id) for one in await all_of(database)]


async def made(jobs: Jobs, data: Path, *contents: bytes, flagged: bool = False) -> Job:
    job = await queued(jobs, request(SECRET))
    await jobs.start([job.id])
    lefts = [left(data, content) for content in contents]
    shown = tuple(
        Picture(file=one.file, sha256=one.sha256, width=64, height=64, seed=7, flagged=flagged) for one in lefts
    )
    await jobs.finish(finished(data, job.id, pictures=shown))
    return await stored(jobs, job.id)


async def test_job_leaves_its_life_and_its_hashes_and_no_words(jobs: Jobs, database: Database, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path, b"one", b"two")
    await jobs.delete(job.id, by=77)
    assert await said(database) == [("accepted", 1, None), ("finished", 1, None), ("deleted", 1, 77)]
    accepted, made_, deleted = await all_of(database)
    assert accepted.hashes == (hash_of(job.request),)
    assert made_.hashes == tuple(hashlib.sha256(each).hexdigest() for each in (b"one", b"two"))
    assert {(one.job_id, one.kind, one.guild_id, one.channel_id) for one in (accepted, made_, deleted)} == {
        (job.id, "imagine", 5, 6)
    }
    rows = [dict(row) for row in await database.rows("SELECT * FROM audit")]
    assert "secret" not in json.dumps(rows)


async def test_hash_is_that_of_the_request_on_its_uploads(jobs: Jobs, database: Database, tmp_path: Path) -> None:
    arrived = await jobs.arrive(request("first"), reply(), reading=True)
    settled = await jobs.settle(arrived.id, request("second"), [])
    assert settled is not None
    [entry] = await all_of(database)
    assert entry.hashes == (hash_of(request("second")),)


@pytest.mark.parametrize(("kind", "what"), [("unsafe", "withheld"), ("internal", "failed"), ("cancelled", "cancelled")])
async def test_end_says_by_which_rule_and_not_what_was_typed(
    jobs: Jobs, database: Database, kind: str, what: str
) -> None:
    job = await queued(jobs)
    reason = because("no_such_thing", typed=SECRET, name="secret", count=3, model="starter", of=("secret",))
    await jobs.fail(job.id, kind, reason)  # type: ignore[arg-type]
    entry = (await all_of(database))[-1]
    assert entry.what == what
    if what != "cancelled":
        assert entry.details == {"rule": "no_such_thing", "facts": {"count": 3, "model": "starter"}}


async def test_flagged_pictures_and_withdrawn_jobs_are_called_so(
    jobs: Jobs, database: Database, tmp_path: Path
) -> None:
    await made(jobs, tmp_path, b"one", flagged=True)
    arrived = await jobs.arrive(request(), reply())
    await jobs.delete(arrived.id)
    assert [what for what, *_ in await said(database)] == ["accepted", "flagged", "accepted", "withdrawn"]


async def test_what_is_not_kept_is_not_told(jobs: Jobs, database: Database) -> None:
    with pytest.raises(sqlite3.Error):
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO job (kind, request, member_id, guild_id, channel_id, token, token_expires_at,"
                " attachment_size_limit, created_at) VALUES ('imagine', '{}', 1, 5, 6, '', 0, 1, 0)"
            )
            await connection.execute("no statement")
    assert await all_of(database) == []


async def test_refusal_says_the_rule_and_the_hash_and_no_word(database: Database) -> None:
    wanted = request(SECRET)
    await Audit(database).refused(reply(), because("words", number=3, typed="secret"), "imagine", wanted)
    [entry] = await all_of(database)
    assert (entry.what, entry.member_id, entry.kind) == ("refused", 1, "imagine")
    assert entry.details == {"rule": "words", "facts": {"number": 3}}
    assert entry.hashes == (hash_of(wanted),)


async def test_settings_say_by_whom_and_from_what_to_what(database: Database) -> None:
    policies = Policies(database, {})
    await policies.put(Place(5, 6), "steps", 20, by=9)
    await policies.put(Place(5, 6), "steps", 30, by=9)
    await policies.put(Place(5, 6), "steps", 30, by=9)
    await policies.put(Place(5), "models", frozenset({"b", "a"}), by=8)
    await policies.put(Place(5, 6), "steps", None, by=9)
    await policies.put(Place(5, role_id=4), "hour", 3, by=9)
    await policies.block(5, 1, blocked=True, by=9)
    await policies.block(5, 1, blocked=True, by=9)
    await policies.block(5, 1, blocked=False, by=9)
    await policies.block_words(Place(5), ["secret", "other"], by=9)
    await policies.allow_words(Place(5), [1], by=9)
    entries = await all_of(database)
    assert [(one.what, one.channel_id, one.by_id, one.member_id, dict(one.details)) for one in entries] == [
        ("set", 6, 9, None, {"name": "steps", "from": None, "to": 20}),
        ("set", 6, 9, None, {"name": "steps", "from": 20, "to": 30}),
        ("set", None, 8, None, {"name": "models", "from": None, "to": ["a", "b"]}),
        ("set", 6, 9, None, {"name": "steps", "from": 30, "to": None}),
        ("set", None, 9, None, {"name": "hour", "from": None, "to": 3, "role": 4}),
        ("member blocked", None, 9, 1, {}),
        ("member let in", None, 9, 1, {}),
        ("words blocked", None, 9, None, {"numbers": [1, 2]}),
        ("words allowed", None, 9, None, {"numbers": [1]}),
    ]


async def test_pages_are_of_one_server_and_of_one_member(jobs: Jobs, database: Database) -> None:
    trail = Audit(database)
    policies = Policies(database, {})
    for member_id in (1, 2, 1, 2):
        await jobs.arrive(request(), reply(member_id))
    await policies.block(5, 2, blocked=True, by=1)
    await policies.block(6, 2, blocked=True, by=1)
    assert [one.member_id for one in await trail.page(5, limit=9)] == [2, 2, 1, 2, 1]
    assert [one.id for one in await trail.page(5, 1, limit=9)] == [5, 3, 1]
    assert [one.id for one in await trail.page(5, 1, before=5, limit=1)] == [3]
    assert [one.id for one in await trail.page(5, 2, limit=9)] == [5, 4, 2]


async def test_rows_go_when_their_time_has_come_and_not_before(database: Database) -> None:
    now = 0.0
    trail = Audit(database, lambda: now, days=90)
    await trail.refused(reply(), because("words"), "imagine")
    now = 80 * 86400.0
    await trail.refused(reply(), because("words"), "imagine")
    now = 90 * 86400.0
    assert await trail.forget() == 0
    now += 1
    assert await trail.forget() == 1
    assert len(await all_of(database)) == 1


async def test_pages_go_by_indexes(database: Database) -> None:
    named = {"guild": 5, "member": 1, "before": 9, "limit": 3}
    for statement in (audit.OF_ALL, audit.OF_MEMBER):
        plan = [row["detail"] for row in await database.rows(f"EXPLAIN QUERY PLAN {statement}", named)]
        assert not [one for one in plan if one.startswith("SCAN audit")], plan
        assert [one for one in plan if "audit_of_guild" in one or "audit_of_member" in one], plan
