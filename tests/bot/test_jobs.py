"""The life of a job in the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.jobs import Jobs, asked
from bot.pictures import sha256_of
from inference.protocol import (
    MAX_SEED,
    Answer,
    Finished,
    Imagine,
    Input,
    LabelShare,
    Picture,
    Region,
    Upscale,
    Variation,
)
from tests.bot.conftest import reply, request


def finished(job_id: int, *pictures: bytes) -> Finished:
    return Finished(
        job=job_id,
        pictures=tuple(Picture(data=data, width=256, height=256, seed=MAX_SEED) for data in pictures),
        recipe={"model": "starter"},
        seconds=1.5,
    )


async def test_submitted_request_comes_back_whole_with_its_number(jobs: Jobs) -> None:
    wanted = request("Ein rotes Haus 🏠", seed=MAX_SEED, variations=(Variation(3, 0.25),))
    job = await jobs.submit(wanted, reply())
    assert job.request.job == job.id
    assert job.request.seed == MAX_SEED
    assert job.request.variations == wanted.variations
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


def enlarge(data: bytes) -> Upscale:
    """A request on a picture of these bytes."""
    return Upscale(job=0, model="plain", image=Input(sha256_of(data), 64, 64), factor=2)


async def test_inputs_are_kept_with_their_job_and_go_with_it(jobs: Jobs, tmp_path: Path) -> None:
    job = await jobs.submit(enlarge(b"one"), reply(), files=[b"one"])
    assert asked(job, Upscale).image.sha256 == sha256_of(b"one")
    with pytest.raises(TypeError):
        asked(job, Imagine)
    assert await jobs.input_bytes(job.request) == {sha256_of(b"one"): b"one"}
    await jobs.delete(job.id)
    with pytest.raises(FileNotFoundError):
        await jobs.input_bytes(job.request)


async def test_picture_that_another_job_works_on_outlives_the_job_that_made_it(jobs: Jobs) -> None:
    maker = await jobs.submit(request(), reply())
    await jobs.finish(
        Finished(job=maker.id, pictures=(Picture(data=b"made", width=64, height=64),), recipe={}, seconds=1)
    )
    user = await jobs.submit(enlarge(b"made"), reply())
    await jobs.delete(maker.id)
    assert await jobs.input_bytes(user.request) == {sha256_of(b"made"): b"made"}
    await jobs.delete(user.id)
    with pytest.raises(FileNotFoundError):
        await jobs.input_bytes(user.request)


async def test_answer_and_recipe_come_back_as_they_were(jobs: Jobs) -> None:
    job = await jobs.submit(enlarge(b"one"), reply(), files=[b"one"])
    assert await jobs.recipe(job.id) is None
    answer = Answer(
        text="two boats", regions=(Region("boat", (1.0, 2.0, 3.0, 4.5)),), labels=(LabelShare("boat", 0.75),)
    )
    done = await jobs.finish(Finished(job=job.id, pictures=(), recipe={"model": "x"}, seconds=1, answer=answer))
    assert done.answer == answer
    assert await jobs.recipe(job.id) == {"model": "x"}


async def test_job_is_found_by_the_message_that_answers_it(jobs: Jobs) -> None:
    job = await jobs.submit(request(), reply(message_id=4711))
    assert await jobs.of_message(4711) == job
    assert await jobs.of_message(4712) is None
