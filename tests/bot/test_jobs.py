"""The life of a job in the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.jobs import Jobs
from inference.protocol import MAX_SEED, Finished, Picture, Variation
from tests.bot.conftest import reply, request


def finished(job_id: int, *pictures: bytes) -> Finished:
    return Finished(
        job=job_id,
        pictures=tuple(Picture(data=data, width=256, height=256, seed=MAX_SEED) for data in pictures),
        recipe={"model": "starter"},
        seconds=1.5,
    )


async def test_submitted_request_comes_back_whole_with_its_number(jobs: Jobs) -> None:
    asked = request("Ein rotes Haus 🏠", seed=MAX_SEED, variations=(Variation(3, 0.25),))
    job = await jobs.submit(asked, reply())
    assert job.request.job == job.id
    assert job.request.seed == MAX_SEED
    assert job.request.variations == asked.variations
    assert (job.state, job.attempts, job.reply) == ("queued", 0, reply())


async def test_finished_job_keeps_its_pictures(jobs: Jobs) -> None:
    job = await jobs.submit(request(), reply())
    await jobs.start([job.id])
    job = await jobs.finish(finished(job.id, b"one", b"two"))
    assert job.state == "finished"
    assert await jobs.picture_bytes(job) == [b"one", b"two"]
    assert [picture.seed for picture in job.pictures] == [MAX_SEED, MAX_SEED]
    assert [waiting.id for waiting in await jobs.undelivered()] == [job.id]
    await jobs.delivered(job.id)
    assert await jobs.undelivered() == []
    assert (await jobs.get(job.id)).reply.token == ""


async def test_cancelled_job_is_not_a_failed_one(jobs: Jobs) -> None:
    first, second = await jobs.submit(request(), reply()), await jobs.submit(request(), reply())
    assert (await jobs.fail(first.id, "cancelled", "Cancelled.")).state == "cancelled"
    assert (await jobs.fail(second.id, "out_of_memory", "Too large.")).state == "failed"


async def test_requeued_job_keeps_its_blame_only_where_it_is_due(jobs: Jobs) -> None:
    job = await jobs.submit(request(), reply())
    await jobs.start([job.id])
    await jobs.requeue([job.id], blame=False)
    assert ((await jobs.get(job.id)).state, (await jobs.get(job.id)).attempts) == ("queued", 0)
    await jobs.start([job.id])
    await jobs.requeue([job.id], blame=True)
    assert (await jobs.get(job.id)).attempts == 1


async def test_deleted_job_takes_its_pictures_along_except_shared_ones(jobs: Jobs, tmp_path: Path) -> None:
    first, second = await jobs.submit(request(), reply()), await jobs.submit(request(), reply())
    await jobs.finish(finished(first.id, b"mine", b"shared"))
    second = await jobs.finish(finished(second.id, b"shared"))
    await jobs.delete(first.id)
    assert await jobs.find(first.id) is None
    assert await jobs.picture_bytes(second) == [b"shared"]
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 1


async def test_number_of_a_deleted_job_is_never_given_again(jobs: Jobs) -> None:
    first = await jobs.submit(request(), reply())
    await jobs.delete(first.id)
    second = await jobs.submit(request(), reply(), parent_id=first.id)
    assert second.id > first.id


async def test_member_is_last_served_when_their_newest_job_started(jobs: Jobs) -> None:
    for member in (1, 2, 2):
        await jobs.submit(request(), reply(member))
    await jobs.start([1, 2])
    assert set(await jobs.last_served()) == {1, 2}


async def test_durations_of_the_newest_finished_jobs_are_kept_for_estimates(jobs: Jobs) -> None:
    for steps in (4, 8, 12):
        job = await jobs.submit(request(steps=steps), reply())
        if steps != 12:
            await jobs.finish(finished(job.id, b"one"))
    durations = await jobs.durations_of_kind("imagine", limit=1)
    assert [(asked.steps, seconds) for asked, seconds in durations] == [(8, 1.5)]


async def test_unknown_number_is_a_lookup_error(jobs: Jobs) -> None:
    assert await jobs.find(99) is None
    with pytest.raises(LookupError):
        await jobs.get(99)
