"""What was made before answers who asks for the same again, with a real database and real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot import answered, words
from bot.engine import abilities
from bot.job import Job, Reply
from bot.jobs import Jobs
from inference.protocol import Answer, Drawn, Grid, Input, Upscale, because
from tests.bot.conftest import finished, kept, queued, ready, reply, request, stored
from tests.bot.test_costs import far
from tests.bot.test_dispatcher import Open, paint, studio_of

__all__ = ["studio_of"]

ENGINE = ready()


def same(**changes: object) -> str | None:
    return answered.likeness(request(**changes), ENGINE)  # type: ignore[arg-type]


def elsewhere(channel: int = 99, **changes: object) -> Reply:
    return replace(reply(2), channel_id=channel, **changes)  # type: ignore[arg-type]


async def made(jobs: Jobs, data: Path, *contents: bytes, of: Reply | None = None, **changes: object) -> Job:
    """A finished job that can answer others."""
    job = await queued(jobs, request(), of)
    await jobs.start([job.id])
    result = finished(data, job.id, *(contents or (b"one",)), **changes)
    done = await jobs.finish(result, 1.0, answered.likeness_of(result, job.request, ENGINE))
    assert done is not None
    return done


async def ask(jobs: Jobs, of: Reply | None = None) -> Job:
    """A job that asks for the same, after it was looked whether that is there."""
    job = await queued(jobs, request(), of)
    likeness = same()
    assert likeness is not None
    found = await jobs.answer(job, likeness)
    assert found is not None
    return found


def note(job: Job) -> str:
    return " ".join(map(words.why, job.answer.notes))


def test_all_that_was_asked_for_and_all_that_the_engine_is_counts() -> None:
    assert same() == same(job=9)
    others = [{"seed": 8}, {"steps": 9}, {"prompt": "a blue house"}, {"image": Input("0" * 64, 64, 64)}]
    others += [{"image": Input("1" * 64, 64, 64)}, {"count": 2}]
    assert len({same(), *(same(**other) for other in others)}) == 1 + len(others)
    assert answered.likeness(request(), ready(identity="another")) != same()
    uploads = [Upscale(job=0, model="x4", image=Input(digit * 64, 64, 64), factor=2) for digit in "01"]
    assert len({answered.likeness(each, ENGINE) for each in uploads}) == len(uploads)


def test_what_nobody_can_tell_is_like_nothing() -> None:
    assert answered.likeness(request(), ready(identity="")) is None
    drawing = request("a __colour__ house")
    grid = Grid(job=0, model="starter", cells=(drawing,), columns=("",))
    assert answered.likeness(drawing, ENGINE) is None
    assert answered.likeness(grid, ENGINE) is None
    assert answered.likeness(request(model="far"), far()) is None


def test_what_was_done_otherwise_than_asked_or_drawn_answers_nobody(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    good = finished(tmp_path, 1, b"one")
    tiled = finished(tmp_path, 1, b"one", answer=Answer(notes=(because("painted_in_tiles"),)))
    drawn = finished(tmp_path, 1, b"one", answer=Answer(drawn=(Drawn("a red house", ""),)))
    without = finished(tmp_path, 1)
    unseen = finished(tmp_path, 1, b"one", answer=Answer(notes=(because("never_seen", words=("a",), model="Starter"),)))
    likenesses = [answered.likeness_of(each, request(), ENGINE) for each in (good, tiled, drawn, without, unseen)]
    assert likenesses == [same(), None, None, None, same()]


async def test_the_same_is_answered_with_the_same_pictures(jobs: Jobs, tmp_path: Path) -> None:
    first = await made(jobs, tmp_path, b"one", b"two", recipe={"model": "starter"})
    again = await ask(jobs)
    assert again.id != first.id
    assert (again.state, again.seconds, again.pictures) == ("finished", 0.0, first.pictures)
    assert await jobs.recipe(again.id) == {"model": "starter"}
    assert note(again) == f"Job #{first.id} made the same before: this is it."
    assert kept(tmp_path) == [b"one", b"two"]
    assert [job.id for job in await jobs.undelivered()] == [first.id, again.id]


async def test_what_a_model_has_never_seen_is_told_again(jobs: Jobs, tmp_path: Path) -> None:
    told = because("never_seen", words=("zebra",), model="Starter")
    first = await made(jobs, tmp_path, answer=Answer(notes=(told,)))
    second, third = [await ask(jobs) for _ in range(2)]
    assert [one.name for one in second.answer.notes] == [one.name for one in third.answer.notes]
    assert second.answer.notes[1:] == third.answer.notes[1:] == (told,)
    assert second.pictures == first.pictures


async def test_twice_does_no_harm(jobs: Jobs, tmp_path: Path) -> None:
    await made(jobs, tmp_path)
    again = await ask(jobs)
    likeness = same()
    assert likeness is not None
    assert await jobs.answer(again, likeness) == again


async def test_pictures_answer_after_the_job_that_made_them_is_deleted(jobs: Jobs, tmp_path: Path) -> None:
    first = await made(jobs, tmp_path)
    second = await ask(jobs)
    await jobs.delete(first.id)
    third = await ask(jobs)
    assert third.pictures == second.pictures
    assert note(third) == f"Job #{second.id} made the same before: this is it."
    await jobs.delete(second.id)
    assert kept(tmp_path) == [b"one"]
    await jobs.delete(third.id)
    assert kept(tmp_path) == []
    assert (await ask(jobs)).state == "queued"


async def test_of_another_channel_no_number_is_told(jobs: Jobs, tmp_path: Path) -> None:
    first = await made(jobs, tmp_path, of=elsewhere())
    second = await ask(jobs)
    assert second.pictures == first.pictures
    assert note(second) == "The same was made before: this is it."
    # From now on there is one that everybody here may see.
    assert f"#{second.id} " in note(await ask(jobs))


async def test_what_was_made_where_only_adults_are_stays_there(jobs: Jobs, tmp_path: Path) -> None:
    first = await made(jobs, tmp_path, of=elsewhere(age_restricted=True))
    assert (await ask(jobs)).state == "queued"
    assert (await ask(jobs, elsewhere(7, age_restricted=True))).pictures == first.pictures


async def test_a_picture_that_is_gone_answers_nobody(jobs: Jobs, tmp_path: Path) -> None:
    older = await made(jobs, tmp_path, b"one")
    newer = await made(jobs, tmp_path, b"two")
    jobs.path(newer.pictures[0].sha256).unlink()
    assert (await ask(jobs)).pictures == older.pictures
    jobs.path(older.pictures[0].sha256).unlink()
    assert (await ask(jobs, elsewhere())).state == "queued"


@pytest.mark.parametrize("how", ["cancel", "delete", "start"])
async def test_what_has_gone_on_meanwhile_is_not_answered(jobs: Jobs, tmp_path: Path, how: str) -> None:
    await made(jobs, tmp_path)
    job = await queued(jobs, request())
    await (jobs.start([job.id]) if how == "start" else getattr(jobs, how)(job.id))
    likeness = same()
    assert likeness is not None
    now = await jobs.answer(job, likeness)
    assert (now.state if now else None) == {"cancel": "cancelled", "delete": None, "start": "running"}[how]
    assert not (now and now.pictures)


async def test_a_kill_in_the_middle_leaves_the_job_queued(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(jobs, tmp_path)
    job = await queued(jobs, request())
    likeness = same()
    assert likeness is not None
    with monkeypatch.context() as patched:
        # Between the row and its pictures.
        patched.setattr(answered, "COPY", "INSERT INTO nowhere SELECT ? WHERE ?")
        with pytest.raises(Exception, match="nowhere"):
            await jobs.answer(job, likeness)
    assert (await stored(jobs, job.id)).state == "queued"
    found = await jobs.answer(job, likeness)
    assert found is not None
    assert found.state == "finished"


async def test_estimates_know_only_what_the_engine_made(jobs: Jobs, tmp_path: Path) -> None:
    await made(jobs, tmp_path)
    await ask(jobs)
    assert [seconds for _, seconds, _ in await jobs.counting.durations_of_kind("imagine")] == [0.5]


async def test_the_engine_is_asked_once(jobs: Jobs, studio_of: Open) -> None:
    studio = studio_of(paint)
    async with studio.open():
        for number in (1, 2):
            await studio.dispatcher.accept(await queued(jobs, request(), reply()))
            await studio.deliveries(number)
        first, second = studio.delivered
        assert (second.state, second.pictures) == ("finished", first.pictures)
        assert studio.engine.batches == [[first.id]]
        # Other weights: nobody knows whether they paint the same.
        studio.engine.ready = ready(identity="another")
        await studio.dispatcher.accept(await queued(jobs, request(), reply()))
        await studio.deliveries(3)
    assert studio.engine.batches == [[first.id], [studio.delivered[2].id]]


async def test_what_is_cancelled_while_it_is_looked_up_does_not_wait_any_more(
    jobs: Jobs,
    studio_of: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio, answer = studio_of(paint), jobs.answer
    job = await queued(jobs, request(), reply())

    async def cancelled_meanwhile(job: Job, likeness: str) -> Job | None:
        assert await studio.dispatcher.cancel(job)
        return await answer(job, likeness)

    monkeypatch.setattr(jobs, "answer", cancelled_meanwhile)
    await studio.dispatcher.accept(job)
    assert studio.dispatcher.waiting() == 0
    assert [each.state for each in studio.delivered] == ["cancelled"]


def test_what_one_of_several_engines_made_stands_for_all_that_are_up() -> None:
    one, other, unknown = (ready(identity=name) for name in ("one", "other", ""))
    together = abilities.together([one, other, one])
    assert together.identity == abilities.together([other, one]).identity
    assert answered.likeness(request(), together) not in (None, answered.likeness(request(), one))
    assert abilities.together([one, one]).identity == "one"
    assert abilities.together([one, unknown]).identity == ""
    assert abilities.alike(one, other)
