"""What is old leaves the disk and stays in the list: real SQLite, real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot import retention
from bot.audit import DAY_S
from bot.database import Database
from bot.job import Job, Reply
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from bot.policies.kept import Place, Policies
from bot.policies.operator import Operator
from bot.retention import Retention
from inference.protocol import Input, TrainingOptions, TrainingOrder, Upscale
from tests.bot.conftest import finished, kept, left, on_uploads, queued, reply, request, stored

COMMANDS = {"imagine": "imagine", "upscale": "upscale"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(database: Database, pictures: Pictures, clock: Clock) -> Jobs:
    return Jobs(database, pictures, clock)


@pytest.fixture
def policies(database: Database) -> Policies:
    return Policies(database, COMMANDS)


def there(guild_id: int | None) -> Reply:
    return replace(reply(), guild_id=guild_id)


async def made(jobs: Jobs, data: Path, content: bytes, of: Reply | None = None) -> Job:
    job = await queued(jobs, request(content.decode()[:20]), of)
    await jobs.start([job.id])
    await jobs.finish(finished(data, job.id, content))
    await jobs.delivered(job.id, "reply", 100)
    return await stored(jobs, job.id)


async def test_pictures_go_after_the_days_of_their_server_and_the_job_stays(
    jobs: Jobs, database: Database, policies: Policies, clock: Clock, tmp_path: Path
) -> None:
    old = await made(jobs, tmp_path, b"old")
    elsewhere = await made(jobs, tmp_path, b"elsewhere", there(7))
    private = await made(jobs, tmp_path, b"private", there(None))
    clock.now += 2 * DAY_S
    await made(jobs, tmp_path, b"new")
    thumbnail = jobs.pictures.thumbnail(old.pictures[0].sha256)
    thumbnail.parent.mkdir(parents=True)
    thumbnail.write_bytes(b"small")
    sweeper = Retention(database, jobs, policies, clock=clock)
    assert await sweeper.sweep() == 0
    await policies.put(Place(5), "days", 3)
    clock.now += 1.5 * DAY_S
    assert await sweeper.sweep() == 1
    assert kept(tmp_path) == [b"elsewhere", b"new", b"private"]
    assert not thumbnail.exists()
    # Everything but the file is there.
    assert await stored(jobs, old.id) == old
    assert await jobs.recipe(old.id) == {}
    assert [entry.what for entry in await jobs.audit.page(5, limit=1)] == ["let go"]
    # Neither a second time nor by a restart does anything change.
    assert await sweeper.sweep() == 0
    await jobs.tidy()
    assert kept(tmp_path) == [b"elsewhere", b"new", b"private"]
    assert (await stored(jobs, elsewhere.id), await stored(jobs, private.id)) == (elsewhere, private)


async def test_operator_bounds_the_days_of_every_server_and_of_direct_messages(
    jobs: Jobs, database: Database, clock: Clock, tmp_path: Path
) -> None:
    policies = Policies(database, COMMANDS, Operator({"days": 10}))
    await policies.put(Place(5), "days", 300)
    for guild_id in (5, 7, None):
        await made(jobs, tmp_path, f"of {guild_id}".encode(), there(guild_id))
    clock.now += 11 * DAY_S
    assert await Retention(database, jobs, policies, clock=clock).sweep() == 3
    assert kept(tmp_path) == []


async def test_what_another_job_uses_and_what_somebody_likes_stays(
    jobs: Jobs, database: Database, policies: Policies, clock: Clock, tmp_path: Path
) -> None:
    await policies.put(Place(5), "days", 1)
    shared = await made(jobs, tmp_path, b"shared")
    liked = await made(jobs, tmp_path, b"liked")
    await jobs.finding.star(9, liked.id, 0)
    clock.now += 2 * DAY_S
    picture = shared.pictures[0]
    waiting = await queued(jobs, Upscale(job=0, model="x", factor=2, image=Input(picture.sha256, 64, 64)))
    assert await Retention(database, jobs, policies, clock=clock).sweep() == 1
    assert kept(tmp_path) == [b"liked", b"shared"]
    await jobs.delete(waiting.id)
    assert kept(tmp_path) == [b"liked"]


async def test_uploads_go_with_the_pictures_but_not_those_of_jobs_that_have_not_ended(
    jobs: Jobs, database: Database, policies: Policies, clock: Clock, tmp_path: Path
) -> None:
    await policies.put(Place(5), "days", 1)
    sha256 = left(tmp_path, b"upload").sha256
    wanted = Upscale(job=0, model="x", factor=2, image=Input(sha256, 64, 64))
    job = await on_uploads(jobs, tmp_path, wanted, b"upload")
    sweeper = Retention(database, jobs, policies, clock=clock)
    clock.now += 2 * DAY_S
    assert await sweeper.sweep() == 0
    await jobs.start([job.id])
    await jobs.finish(finished(tmp_path, job.id, b"larger"))
    # It is not delivered yet.
    assert await sweeper.sweep() == 0
    await jobs.delivered(job.id, "reply", 100)
    assert await sweeper.sweep() == 1
    assert kept(tmp_path) == []


async def test_bound_in_bytes_takes_the_oldest_first_and_favourites_last(
    jobs: Jobs, database: Database, policies: Policies, clock: Clock, tmp_path: Path
) -> None:
    numbers = [await made(jobs, tmp_path, name * 1000) for name in (b"a", b"b", b"c", b"d")]
    await jobs.finding.star(9, numbers[0].id, 0)

    async def within(most: float) -> list[bytes]:
        await Retention(database, jobs, policies, most / 1e9, clock).sweep()
        return [content[:1] for content in kept(tmp_path)]

    assert await within(4000) == [b"a", b"b", b"c", b"d"]
    assert await within(3999) == [b"a", b"c", b"d"]
    assert await within(1500) == [b"a"]
    assert await within(10) == []


async def test_same_bytes_made_anew_are_kept_and_shown_under_the_old_job_too(
    jobs: Jobs, database: Database, policies: Policies, clock: Clock, tmp_path: Path
) -> None:
    await policies.put(Place(5), "days", 1)
    old = await made(jobs, tmp_path, b"same")
    clock.now += 2 * DAY_S
    await Retention(database, jobs, policies, clock=clock).sweep()
    assert not jobs.path(old.pictures[0].sha256).exists()
    await made(jobs, tmp_path, b"same")
    assert jobs.path(old.pictures[0].sha256).read_bytes() == b"same"


async def test_sweep_goes_by_indexes(database: Database) -> None:
    for statement in (retention.OF_BEFORE, retention.SERVERS, retention.OLDEST):
        named = {"guild": 5, "cut": 1.0, "limit": 1, "after": 0, "starred": 0}
        plan = await database.rows(f"EXPLAIN QUERY PLAN {statement}", named)
        # What is read from end to end is small, or a number of its own.
        scanned = [row["detail"] for row in plan if row["detail"].startswith("SCAN")]
        assert not [one for one in scanned if "job" in one and "let_go" not in one and "USING" not in one], scanned


async def test_trainings_that_rest_go_after_the_days_of_their_server(
    jobs: Jobs, policies: Policies, clock: Clock, database: Database
) -> None:
    order = TrainingOrder(
        name="x", kind="style", trigger="", consent="me", license="MIT", model="starter", options=TrainingOptions()
    )
    old, elsewhere, at_work = [
        await jobs.trainings.add(order, member_id=1, guild_id=guild_id, channel_id=6) for guild_id in (5, 9, 5)
    ]
    await database.change("UPDATE training SET state = 'waiting' WHERE id = ?", (at_work.id,))
    (jobs.trainings.folders.run(old.id)).mkdir(parents=True)
    await policies.put(Place(5), "days", 3)
    sweeping = Retention(database, jobs, policies, clock=clock)
    clock.now += 2 * DAY_S
    await sweeping.sweep()
    assert await jobs.trainings.find(old.id) is not None
    clock.now += 2 * DAY_S
    await sweeping.sweep()
    assert [await jobs.trainings.find(one.id) is None for one in (old, elsewhere, at_work)] == [True, False, False]
    assert not jobs.trainings.folders.run(old.id).exists()
