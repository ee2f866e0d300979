"""Keys: known by their hash alone, a member's own, gone with them; and what is signed by them."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from bot import keys as keys_module
from bot.callers import Callers, End, Glimpse
from bot.database import Database
from bot.errors import MemberError, OperatorError
from bot.jobs import Jobs
from bot.keys import MOST_OF_MEMBER, Keys
from bot.serving import links
from bot.serving.entrance import hang_up
from bot.serving.links import Linked
from tests.bot.conftest import queued, reply, stored


async def test_a_key_is_known_again_and_kept_nowhere(database: Database, tmp_path: Path) -> None:
    keys = Keys(database, clock=lambda: 1000.0)
    made, secret = await keys.make(1, 5, 6, " my \n laptop ", "en")
    assert made.name == "my laptop"
    assert await keys.of_secret(secret) == made
    for other in ("", secret[:-1], secret.upper(), secret + "\udc80"):
        assert await keys.of_secret(other) is None
    assert made.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    for name in ("easel.sqlite3", "easel.sqlite3-wal"):
        assert secret.encode() not in await asyncio.to_thread((tmp_path / name).read_bytes)


async def test_a_member_has_so_many_keys_and_takes_back_their_own_alone(database: Database) -> None:
    keys = Keys(database)
    made = await asyncio.gather(*(keys.make(1, 5, 6, str(number), None) for number in range(MOST_OF_MEMBER)))
    with pytest.raises(MemberError, match="revoke one"):
        await keys.make(1, 5, 6, "one more", None)
    assert not await keys.revoke(made[0][0].id, member_id=2)
    assert await keys.revoke(made[0][0].id, member_id=1)
    assert await keys.of_secret(made[0][1]) is None
    again, _ = await keys.make(1, 5, 6, "another", None)
    # Jobs name keys by their numbers.
    assert again.id > made[-1][0].id


async def test_when_a_key_was_used_is_written_down_now_and_then(database: Database) -> None:
    now = [1000.0]
    keys = Keys(database, clock=lambda: now[0])
    made, _ = await keys.make(1, 5, 6, "laptop", None)
    for at, known in ((1001.0, 1001.0), (1030.0, 1001.0), (1100.0, 1100.0)):
        now[0] = at
        found = await keys.find(made.id)
        assert found is not None
        await keys.used(found)
        found = await keys.find(made.id)
        assert found is not None
        assert found.used_at == known


async def test_keys_go_with_their_member_and_no_hash_is_handed_out(jobs: Jobs) -> None:
    _, secret = await jobs.keys.make(1, 5, 6, "laptop", None)
    _, other = await jobs.keys.make(2, 5, 6, "tablet", None)
    [exported] = (await jobs.belongings.beside_jobs(1))["api_key"]
    assert exported["name"] == "laptop"
    assert "secret_sha256" not in exported
    await jobs.erase(1, await jobs.belongings.doom(1))
    assert await jobs.keys.of_secret(secret) is None
    assert await jobs.keys.of_secret(other) is not None


async def test_who_had_a_key_stays_in_the_audit(jobs: Jobs, database: Database, tmp_path: Path) -> None:
    made, secret = await jobs.keys.make(1, 5, 6, "my laptop", None)
    await jobs.keys.revoke(made.id, 1)
    keys_module.make_beside(tmp_path / "easel.sqlite3", 1, 5, 6, "wiki")
    await jobs.erase(1, await jobs.belongings.doom(1))
    entries = (await jobs.audit.page(5, 1, limit=10))[::-1]
    assert [(one.what, one.details["key"]) for one in entries] == [
        ("key made", made.id),
        ("key revoked", made.id),
        ("key made", made.id + 1),
        ("key revoked", made.id + 1),
    ]
    assert {(one.guild_id, one.channel_id, one.member_id) for one in entries} == {(5, 6, 1)}
    rows = str([dict(row) for row in await database.rows("SELECT * FROM audit")])
    assert "laptop" not in rows
    assert secret not in rows


async def test_the_operator_makes_keys_beside_the_bot(database: Database, tmp_path: Path) -> None:
    secret = keys_module.make_beside(tmp_path / "easel.sqlite3", 1, 5, 6, "wiki")
    found = await Keys(database).of_secret(secret)
    assert found is not None
    assert (found.member_id, found.guild_id, found.channel_id, found.name) == (1, 5, 6, "wiki")
    with pytest.raises(OperatorError, match="start the bot once"):
        keys_module.make_beside(tmp_path / "nothing.sqlite3", 1, 5, 6, "wiki")
    for _ in range(MOST_OF_MEMBER - 1):
        keys_module.make_beside(tmp_path / "easel.sqlite3", 1, 5, 6, "wiki")
    with pytest.raises(OperatorError, match="the most"):
        keys_module.make_beside(tmp_path / "easel.sqlite3", 1, 5, 6, "wiki")


async def test_an_address_is_good_for_its_key_and_its_hour(database: Database) -> None:
    keys = Keys(database)
    key, _ = await keys.make(1, 5, 6, "laptop", None)
    stranger, _ = await keys.make(2, 5, 6, "laptop", None)
    parsed = links.parse(links.made(key, 7, 0, "jpeg", 90, clock=lambda: 1000.0))
    assert parsed is not None
    linked, mac = parsed
    assert linked == Linked(key.id, 7, 0, "jpeg", 90, 1000 + links.LIFE_S)
    assert links.holds(linked, mac, key, clock=lambda: 1000.0 + links.LIFE_S - 1)
    assert not links.holds(linked, mac, key, clock=lambda: 1000.0 + links.LIFE_S)
    assert not links.holds(linked, mac, stranger, clock=lambda: 1000.0)
    for other in (
        replace(linked, job_id=8),
        replace(linked, index=1),
        replace(linked, format="webp"),
        replace(linked, quality=91),
        replace(linked, until=linked.until + 1),
    ):
        assert not links.holds(other, mac, key, clock=lambda: 1000.0)
    for wrong in ("", "1-2-3", "../../etc/passwd", f"{'9' * 40}-7-0-90-9999-{mac}.jpg", f"1-7-0-90-9999-{mac}.svg"):
        assert links.parse(wrong) is None


async def test_who_waits_hears_the_newest_and_the_end_for_ever(jobs: Jobs) -> None:
    callers = Callers()
    job = await queued(jobs)
    callers.tell(job.id, End(job))
    with callers.waiting(job.id) as caller:
        callers.tell(job.id, Glimpse(b"first", 0.1))
        callers.tell(job.id, Glimpse(b"second", 0.2))
        callers.tell(job.id + 1, End(None))
        assert await caller.heard() == Glimpse(b"second", 0.2)
        callers.tell(job.id, Glimpse(b"third", 0.3))
        callers.tell(job.id, End(job))
        callers.tell(job.id, End(None))
        for _ in range(2):
            assert await caller.heard() == End(job)
        assert await caller.end() == End(job)


async def test_what_ends_with_its_connection_ends_with_the_bot(jobs: Jobs) -> None:
    by_key = replace(reply(), message_id=None, token="key 1", key_id=1)
    of_discord = await queued(jobs)
    lasting = await queued(jobs, of=by_key)
    waiting = await queued(jobs, of=replace(by_key, lasts=False))
    running = await queued(jobs, of=replace(by_key, lasts=False))
    await jobs.start([running.id])
    await hang_up(jobs)
    # As the dispatcher does then.
    await jobs.requeue([job.id for job in await jobs.in_state("running")])
    states = [(await stored(jobs, job.id)).state for job in (of_discord, lasting, waiting, running)]
    assert states == ["queued", "queued", "cancelled", "cancelled"]
    kept = await stored(jobs, lasting.id)
    assert (kept.reply.key_id, kept.reply.lasts) == (1, True)
