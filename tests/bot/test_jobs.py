"""The life of a job in the database."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot.database import Database
from bot.errors import MemberError
from bot.job import Job, asked
from bot.jobs import Jobs
from bot.pictures import kept as kept_module
from bot.pictures.kept import THUMBNAILS, Pictures
from inference.protocol import (
    INCOMING,
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
    because,
    sha256_of,
)
from tests.bot.conftest import finished, kept, left, on_uploads, queued, reply, request, stored


def contents(jobs: Jobs, job: Job) -> list[bytes]:
    """The bytes of a job's pictures."""
    return [path.read_bytes() for path in jobs.paths(job)]


async def running(jobs: Jobs, wanted: Imagine | None = None) -> Job:
    job = await queued(jobs, wanted)
    await jobs.start([job.id])
    return job


async def test_request_comes_back_whole_with_its_number(jobs: Jobs) -> None:
    wanted = request("Ein rotes Haus 🏠", seed=MAX_SEED, variations=(Variation(3, 0.25),))
    job = await jobs.arrive(wanted, reply())
    assert job.request.job == job.id
    assert asked(job, Imagine).seed == MAX_SEED
    assert asked(job, Imagine).variations == wanted.variations
    assert (job.state, job.attempts, job.reply) == ("arriving", 0, reply())


async def test_start_says_which_jobs_are_running_and_says_the_same_again(jobs: Jobs) -> None:
    ended, gone, job = [await queued(jobs) for _ in range(3)]
    await jobs.cancel(ended.id)
    await jobs.delete(gone.id)
    # Once more, where nobody knows whether the first try was written.
    for _ in range(2):
        assert await jobs.start([ended.id, gone.id, job.id]) == {job.id}
    assert (await stored(jobs, ended.id)).state == "cancelled"


async def test_job_is_queued_when_its_member_was_told(jobs: Jobs) -> None:
    arrived = await jobs.arrive(request(), replace(reply(), message_id=None))
    told = await jobs.acknowledge(arrived.id, 4711)
    assert told is not None
    assert (told.state, told.reply.message_id) == ("queued", 4711)


async def test_job_that_is_gone_is_told_from_one_that_changed(jobs: Jobs) -> None:
    assert await jobs.acknowledge(99, 1) is None
    assert await jobs.fail(99, "internal", because("x")) is None
    assert await jobs.cancel(99) is None


async def test_job_whose_uploads_are_read_is_queued_on_them(jobs: Jobs, tmp_path: Path) -> None:
    job = await on_uploads(jobs, tmp_path, enlarge(b"one"), b"one")
    assert job.state == "queued"
    assert kept(tmp_path) == [b"one"]
    assert list((tmp_path / INCOMING).iterdir()) == []


async def test_uploads_of_a_job_that_was_cancelled_meanwhile_are_not_kept(jobs: Jobs, tmp_path: Path) -> None:
    unread = Upscale(job=0, model="plain", image=Input("", 64, 64), factor=2)
    arrived = await jobs.arrive(unread, reply(), reading=True)
    cancelled = await jobs.cancel(arrived.id)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert await jobs.settle(arrived.id, enlarge(b"one"), [left(tmp_path, b"one")]) is None
    assert kept(tmp_path) == []
    assert (await stored(jobs, arrived.id)).state == "cancelled"


async def test_finished_job_keeps_its_pictures(jobs: Jobs, tmp_path: Path) -> None:
    job = await running(jobs)
    done = await jobs.finish(finished(tmp_path, job.id, b"one", b"two"))
    assert done is not None
    assert done.state == "finished"
    assert contents(jobs, done) == [b"one", b"two"]
    assert [waiting.id for waiting in await jobs.undelivered()] == [job.id]
    await jobs.delivered(job.id, "channel", 4712)
    assert await jobs.undelivered() == []
    delivered = await stored(jobs, job.id)
    assert (delivered.reply.token, delivered.reply.message_id) == ("", 4712)


async def test_result_of_a_job_that_was_deleted_meanwhile_is_not_kept(jobs: Jobs, tmp_path: Path) -> None:
    job = await running(jobs)
    await jobs.delete(job.id)
    assert await jobs.finish(finished(tmp_path, job.id, b"one")) is None
    assert kept(tmp_path) == []


async def test_result_can_be_kept_again_where_its_row_could_not_be_written(jobs: Jobs, tmp_path: Path) -> None:
    job = await running(jobs)
    result = finished(tmp_path, job.id, b"one")
    for name in ("one", "two"):  # the file is taken over already
        done = await jobs.finish(result)
        assert (done is not None) == (name == "one")
    assert contents(jobs, await stored(jobs, job.id)) == [b"one"]


async def test_damaged_file_of_the_same_name_is_replaced(jobs: Jobs, pictures: Pictures, tmp_path: Path) -> None:
    path = pictures.path(sha256_of(b"one"))
    path.parent.mkdir()
    path.write_bytes(b"o")
    job = await running(jobs)
    await jobs.finish(finished(tmp_path, job.id, b"one"))
    assert contents(jobs, await stored(jobs, job.id)) == [b"one"]


async def test_cancelled_job_is_not_a_failed_one(jobs: Jobs) -> None:
    first, second = await queued(jobs), await queued(jobs)
    for job, kind, state in ((first, "cancelled", "cancelled"), (second, "out_of_memory", "failed")):
        ended = await jobs.fail(job.id, kind, because("It ended."))  # type: ignore[arg-type]
        assert ended is not None
        assert ended.state == state


async def test_job_ends_once(jobs: Jobs, tmp_path: Path) -> None:
    job = await running(jobs)
    assert await jobs.finish(finished(tmp_path, job.id, b"one"))
    assert await jobs.fail(job.id, "internal", because("x")) is None
    assert await jobs.cancel(job.id) is None
    assert (await stored(jobs, job.id)).state == "finished"


async def test_cancelled_job_of_a_dead_engine_does_not_wait_again(jobs: Jobs) -> None:
    job = await running(jobs)
    cancelling = await jobs.cancel(job.id)
    assert cancelling is not None
    assert (cancelling.state, cancelling.cancelling) == ("running", True)
    await jobs.requeue([job.id])
    assert (await stored(jobs, job.id)).state == "cancelled"
    assert [one.id for one in await jobs.undelivered()] == [job.id]


async def test_requeued_job_is_blamed_only_where_it_is_due(jobs: Jobs) -> None:
    job = await running(jobs)
    await jobs.requeue([job.id])
    assert ((await stored(jobs, job.id)).state, (await stored(jobs, job.id)).attempts) == ("queued", 0)
    await jobs.start([job.id])
    await jobs.requeue([job.id], {job.id})
    assert (await stored(jobs, job.id)).attempts == 1


async def test_job_that_does_not_wait_is_not_started(jobs: Jobs) -> None:
    job = await queued(jobs)
    await jobs.cancel(job.id)
    await jobs.start([job.id])
    assert (await stored(jobs, job.id)).state == "cancelled"


async def test_deleted_job_takes_its_pictures_along_except_shared_ones(jobs: Jobs, tmp_path: Path) -> None:
    first, second = await running(jobs), await running(jobs)
    await jobs.finish(finished(tmp_path, first.id, b"mine", b"shared"))
    await jobs.finish(finished(tmp_path, second.id, b"shared"))
    await jobs.delete(first.id)
    await jobs.delete(first.id)
    assert await jobs.find(first.id) is None
    assert kept(tmp_path) == [b"shared"]


async def test_thumbnail_goes_with_its_picture(jobs: Jobs, pictures: Pictures, tmp_path: Path) -> None:
    job = await queued(jobs)
    await jobs.start([job.id])
    await jobs.finish(finished(tmp_path, job.id, b"made"))
    [picture] = (await stored(jobs, job.id)).pictures
    await pictures.keep_thumbnail(picture.sha256, thumbnail(tmp_path, b"small"))
    assert await pictures.read_thumbnail(picture.sha256) == b"small"
    await jobs.delete(job.id)
    assert await pictures.read_thumbnail(picture.sha256) is None
    # One that was being made meanwhile does not come back.
    await pictures.keep_thumbnail(picture.sha256, thumbnail(tmp_path, b"small"))
    assert await pictures.read_thumbnail(picture.sha256) is None
    orphan = pictures.thumbnail("0" * 64)
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"left by a kill")
    await jobs.tidy()
    assert [file for file in (tmp_path / THUMBNAILS).rglob("*") if file.is_file()] == []


async def test_thumbnails_do_not_fill_the_disk(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "THUMBNAILS_IN_A_FOLDER", 2)
    hashes = [f"{number:064x}" for number in range(3)]
    for number, sha256 in enumerate(hashes):
        pictures.path(sha256).parent.mkdir(parents=True, exist_ok=True)
        pictures.path(sha256).write_bytes(b"whole")
        made = thumbnail(tmp_path, b"small")
        os.utime(made, (number, number))
        await pictures.keep_thumbnail(sha256, made)
        # The first is looked at again and again.
        assert await pictures.read_thumbnail(hashes[0]) == b"small"
    assert [await pictures.read_thumbnail(sha256) for sha256 in hashes] == [b"small", None, b"small"]


def thumbnail(folder: Path, content: bytes) -> Path:
    made = folder / "made.webp"
    made.write_bytes(content)
    return made


async def test_what_no_job_uses_is_removed_and_nothing_else(jobs: Jobs, pictures: Pictures, tmp_path: Path) -> None:
    job = await running(jobs)
    await jobs.finish(finished(tmp_path, job.id, b"made"))
    await on_uploads(jobs, tmp_path, enlarge(b"given"), b"given")
    await pictures.take_over(left(tmp_path, b"of nobody"))
    torn = pictures.path(sha256_of(b"made")).with_name("tmp1234")
    torn.write_bytes(b"half a picture, as older versions left them")
    await jobs.tidy()
    assert kept(tmp_path) == [b"given", b"made"]


async def test_what_was_left_and_not_taken_over_goes_at_the_next_start(pictures: Pictures, tmp_path: Path) -> None:
    left(tmp_path, b"a result whose bot was killed")
    (tmp_path / INCOMING / "folder").mkdir()
    (tmp_path / INCOMING / "folder" / "half.upload").write_bytes(b"half")
    pictures.prepare()
    assert list((tmp_path / INCOMING).iterdir()) == []


async def test_refused_job_leaves_nothing(jobs: Jobs) -> None:
    told, refused = await queued(jobs), await jobs.arrive(request(), replace(reply(), token="other"))
    await jobs.withdraw(1, "token")
    await jobs.withdraw(1, "other")
    assert await jobs.find(told.id) is not None
    assert await jobs.find(refused.id) is None


async def test_number_of_a_deleted_job_is_never_given_again(jobs: Jobs) -> None:
    first = await queued(jobs)
    await jobs.delete(first.id)
    second = await queued(jobs, parent_id=first.id)
    assert second.id > first.id


async def test_member_is_last_served_when_their_newest_job_started(jobs: Jobs) -> None:
    for member in (1, 2, 2):
        await queued(jobs, of=reply(member))
    await jobs.start([1, 2])
    assert set(await jobs.counting.last_served()) == {1, 2}


async def test_durations_of_the_newest_finished_jobs_are_kept_for_estimates(jobs: Jobs, tmp_path: Path) -> None:
    for steps in (4, 8, 12):
        job = await running(jobs, request(steps=steps))
        if steps != 12:
            await jobs.finish(finished(tmp_path, job.id, b"one", seconds=1.5), share=0.25)
    [(wanted, seconds, share)] = await jobs.counting.durations_of_kind("imagine", limit=1)
    assert isinstance(wanted, Imagine)
    assert (wanted.steps, seconds, share) == (8, 1.5, 0.25)


async def test_there_is_no_job_of_an_unknown_number(jobs: Jobs) -> None:
    assert await jobs.find(99) is None
    assert await jobs.find(2**64) is None


def enlarge(data: bytes) -> Upscale:
    """A request on a picture of these bytes."""
    return Upscale(job=0, model="plain", image=Input(sha256_of(data), 64, 64), factor=2)


async def test_inputs_are_kept_with_their_job_and_go_with_it(jobs: Jobs, tmp_path: Path) -> None:
    job = await on_uploads(jobs, tmp_path, enlarge(b"one"), b"one")
    assert asked(job, Upscale).image.sha256 == sha256_of(b"one")
    with pytest.raises(MemberError, match="does not go with job"):
        asked(job, Imagine)
    await jobs.delete(job.id)
    assert kept(tmp_path) == []


async def test_picture_that_another_job_works_on_outlives_the_job_that_made_it(jobs: Jobs, tmp_path: Path) -> None:
    maker = await running(jobs)
    await jobs.finish(finished(tmp_path, maker.id, b"made"))
    user = await queued(jobs, enlarge(b"made"))
    await jobs.delete(maker.id)
    assert kept(tmp_path) == [b"made"]
    await jobs.delete(user.id)
    assert kept(tmp_path) == []


async def test_answer_and_recipe_come_back_as_they_were(jobs: Jobs, tmp_path: Path) -> None:
    job = await on_uploads(jobs, tmp_path, enlarge(b"one"), b"one")
    await jobs.start([job.id])
    assert await jobs.recipe(job.id) is None
    answer = Answer(
        text="two boats", regions=(Region("boat", (1.0, 2.0, 3.0, 4.5), ()),), labels=(LabelShare("boat", 0.75),)
    )
    done = await jobs.finish(finished(tmp_path, job.id, recipe={"model": "x"}, answer=answer))
    assert done is not None
    assert done.answer == answer
    assert await jobs.recipe(job.id) == {"model": "x"}


async def test_job_is_found_by_the_message_that_answers_it(jobs: Jobs) -> None:
    job = await queued(jobs, of=reply(message_id=4711))
    assert await jobs.of_message(4711) == job
    assert await jobs.of_message(4712) is None


async def test_result_whose_file_is_missing_is_no_result(jobs: Jobs) -> None:
    job = await running(jobs)
    gone = Picture(file="gone.png", sha256=sha256_of(b"gone"), width=64, height=64, seed=None, flagged=False)
    with pytest.raises(FileNotFoundError):
        await jobs.finish(Finished(job=job.id, pictures=(gone,), recipe={}, seconds=1, answer=Answer()))
    assert (await stored(jobs, job.id)).state == "running"


SHORT = ("SCAN json_each VIRTUAL TABLE INDEX 1:", "SCAN job USING INDEX job_undelivered", "SCAN lora_file")
"""What is read through without harm: a list that was given, an index of nothing but what is asked for, and, once after
a start, the few LoRAs that members have."""


async def test_nothing_that_happens_to_one_job_reads_through_all_of_them(
    database: Database, jobs: Jobs, tmp_path: Path
) -> None:
    statements: list[str] = []
    await database._connection.set_trace_callback(statements.append)
    job = await on_uploads(jobs, tmp_path, enlarge(b"one"), b"one")
    await jobs.start([job.id])
    await jobs.requeue([job.id], {job.id})
    await jobs.start([job.id])
    await jobs.cancel(job.id)
    await jobs.finish(finished(tmp_path, job.id, b"one"))
    await jobs.fail((await queued(jobs)).id, "internal", because("x"))
    for state in ("arriving", "reading", "queued", "running"):
        await jobs.in_state(state)  # type: ignore[arg-type]
    await jobs.undelivered()
    await jobs.delivered(job.id, "reply", None)
    await jobs.counting.durations_of_kind("imagine")
    await jobs.recipe(job.id)
    await jobs.of_message(100)
    await jobs.answer(job, "0" * 64)
    await jobs.withdraw(1, "token")
    await jobs.delete(job.id)
    await jobs.tidy()
    await database._connection.set_trace_callback(None)
    # What the index of words asks of its own tables is not ours.
    asking = {
        one for one in statements if one.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")) and "'main'." not in one
    }
    assert len(asking) > 20
    for statement in asking:
        plan = [str(row["detail"]) for row in await database.rows(f"EXPLAIN QUERY PLAN {statement}")]
        scans = [step for step in plan if step.startswith("SCAN") and step not in SHORT]
        assert not scans, (statement, plan)
