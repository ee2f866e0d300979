"""Ratings and votes: real SQLite, means counted a second time by hand, and pages that Discord takes."""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bot import ratings
from bot.commands import rate
from bot.commands.grid import Looks
from bot.database import Database
from bot.errors import MemberError
from bot.job import Job, asked
from bot.jobs import Jobs
from bot.panels import rating as panel
from bot.pictures.kept import Pictures
from bot.ratings import Mean, Ratings, mean, scores
from bot.words import speaking
from inference.protocol import Classify, Grid, Input, Request
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form
from tests.bot.conftest import finished, queued, request, stored
from tests.bot.test_admission import interaction

ADA, GRACE, MEI = 1, 2, 3
GUILD = 5


async def made(jobs: Jobs, data: Path, wanted: Request | None = None, pictures: int = 1) -> Job:
    """A finished job with so many pictures."""
    job = await queued(jobs, wanted)
    await jobs.start([job.id])
    done = await jobs.finish(finished(data, job.id, *(f"{job.id} {index}".encode() for index in range(pictures))))
    assert done is not None
    return done


def table(
    models: Sequence[str] = ("a", "b"), rows: Sequence[str] = ("",), columns: Sequence[str] = (), *, blind: bool = False
) -> Grid:
    """A grid that compares these models from left to right."""
    return Grid(
        job=0,
        model=models[0],
        cells=tuple(request(model=model) for _ in rows for model in models),
        columns=tuple(columns) or tuple(f"model {model}" for model in models),
        rows=tuple(rows),
        blind=blind,
    )


async def test_each_member_has_one_rating_for_each_picture(jobs: Jobs, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path, pictures=2)
    assert await jobs.ratings.rate(ADA, job.id, 1, 2)
    assert await jobs.ratings.rate(ADA, job.id, 1, 5)
    assert await jobs.ratings.rate(GRACE, job.id, 0, 1)
    assert (await jobs.ratings.of_member(ADA, job.id)).stars == {1: 5}
    assert (await jobs.ratings.of_member(GRACE, job.id)).stars == {0: 1}
    assert not await jobs.ratings.rate(ADA, job.id, 2, 5)
    assert not await jobs.ratings.rate(ADA, 2**62, 0, 5)
    await jobs.ratings.unrate(ADA, job.id, 1)
    await jobs.ratings.unrate(ADA, job.id, 1)
    assert (await jobs.ratings.of_member(ADA, job.id)).stars == {}
    assert (await jobs.ratings.of_member(GRACE, job.id)).stars == {0: 1}


async def test_both_at_once_are_both_kept(jobs: Jobs, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path, table())
    await asyncio.gather(*(jobs.ratings.vote(member, job, member % 2) for member in range(20)))
    await asyncio.gather(*(jobs.ratings.vote(ADA, job, place % 2) for place in range(7)))
    assert await jobs.ratings.votes(job.id) == {0: 11, 1: 9}


async def test_what_was_said_goes_with_the_picture_and_with_the_member(
    jobs: Jobs, database: Database, tmp_path: Path
) -> None:
    grid, painted = await made(jobs, tmp_path, table()), await made(jobs, tmp_path, request())

    async def left() -> tuple[int, int]:
        rows = await database.rows(
            "SELECT (SELECT count(*) FROM rating) AS stars, (SELECT count(*) FROM vote) AS votes"
        )
        return rows[0]["stars"], rows[0]["votes"]

    for member in (GRACE, MEI):
        assert await jobs.ratings.rate(member, painted.id, 0, 4)
        assert await jobs.ratings.vote(member, grid, 1)
    beside = await jobs.belongings.beside_jobs(GRACE)
    assert [(row["job_id"], row["stars"]) for row in beside["rating"]] == [(painted.id, 4)]
    assert [(row["job_id"], row["place"], row["beaten"]) for row in beside["vote"]] == [(grid.id, 1, ["a"])]
    await jobs.erase(GRACE, 0)
    assert await left() == (1, 1)
    # Those of others on what a member made go with it, and none is in that member's export.
    assert "rating" not in (await jobs.belongings.jobs(ADA, 2**62, 9))[0]
    await jobs.delete(painted.id)
    assert await left() == (0, 1)
    assert not await jobs.ratings.rate(MEI, painted.id, 0, 4)
    await jobs.delete(grid.id)
    assert await left() == (0, 0)
    assert not await jobs.ratings.vote(MEI, grid, 0)


async def test_pictures_that_left_the_disk_keep_what_was_said(jobs: Jobs, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path)
    await jobs.ratings.rate(ADA, job.id, 0, 3)
    await jobs.let_go(job.id)
    assert (await jobs.ratings.of_server(GUILD))["starter"].stars is not None


async def test_who_has_seen_what_was_hidden_cannot_choose_anew(jobs: Jobs, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path, table(blind=True))
    assert await jobs.ratings.vote(ADA, job, 1)
    assert not await jobs.ratings.vote(ADA, job, 0)
    assert await jobs.ratings.votes(job.id) == {1: 1}
    await jobs.ratings.unvote(ADA, job)
    assert await jobs.ratings.votes(job.id) == {}
    assert await jobs.ratings.of_server(GUILD) == {}
    assert not await jobs.ratings.vote(ADA, job, 0)
    own = await jobs.ratings.of_member(ADA, job.id)
    assert (own.has_voted, own.place) == (True, None)
    open_ = await made(jobs, tmp_path, table())
    for place in (1, 0):
        assert await jobs.ratings.vote(ADA, open_, place)
    await jobs.ratings.unvote(ADA, open_)
    assert await jobs.ratings.vote(ADA, open_, 1)


async def test_each_member_counts_once_however_much_they_rate(jobs: Jobs, tmp_path: Path) -> None:
    for _ in range(6):
        job = await made(jobs, tmp_path)
        await jobs.ratings.rate(ADA, job.id, 0, 5)
    await jobs.ratings.rate(GRACE, job.id, 0, 2)
    await jobs.ratings.rate(MEI, job.id, 0, 2)
    stars = (await jobs.ratings.of_server(GUILD))["starter"].stars
    assert stars is not None
    assert (stars.value, stars.count, stars.members, stars.is_of_few) == (3.0, 8, 3, True)
    assert stars.error == pytest.approx(statistics.stdev([5, 2, 2]) / math.sqrt(3))
    assert await jobs.ratings.of_server(GUILD + 1) == {}


async def test_models_that_are_chosen_win_over_those_beside_them(jobs: Jobs, tmp_path: Path) -> None:
    two, three = await made(jobs, tmp_path, table()), await made(jobs, tmp_path, table(("a", "b", "c")))
    for member, place in ((ADA, 0), (GRACE, 0), (MEI, 1)):
        await jobs.ratings.vote(member, two, place)
    await jobs.ratings.vote(ADA, three, 2)
    found = await jobs.ratings.of_server(GUILD)
    # Ada: won over b, then lost to c, with b undecided.
    of_a = [(1 + 1 / 4) / 2, 1.0, 0.0]
    assert found["a"].won is not None
    assert found["a"].won.value == pytest.approx(statistics.fmean(of_a))
    assert (found["a"].won.count, found["a"].won.members) == (4, 3)
    assert found["c"].won is not None
    assert (found["c"].won.value, found["c"].won.error, found["c"].won.count) == (1.0, None, 1)
    assert found["a"].stars is None
    assert list(found) == ["a", "b", "c"]
    # Of Ada, Grace and Mei; what Ada chose c over says nothing of a and b.
    assert found["a"].against == {"b": (2, 1), "c": (0, 1)}
    assert found["b"].against == {"a": (1, 2), "c": (0, 1)}
    again = await made(jobs, tmp_path, table())
    for _ in range(3):
        await jobs.ratings.vote(ADA, again, 1)
    # Once each way is none.
    assert (await jobs.ratings.of_server(GUILD))["a"].against == {"b": (1, 1), "c": (0, 1)}


@pytest.mark.parametrize("wanted", [table(("a", "a")), table(("a", "a", "b")), request(count=2)])
async def test_votes_count_for_models_only_where_they_are_compared_evenly(
    wanted: Request, jobs: Jobs, tmp_path: Path
) -> None:
    job = await made(jobs, tmp_path, wanted, pictures=wanted.places if isinstance(wanted, Grid) else 2)
    assert await jobs.ratings.vote(ADA, job, 1)
    assert await jobs.ratings.votes(job.id) == {1: 1}
    assert await jobs.ratings.of_server(GUILD) == {}


def test_chance_gives_every_model_a_half() -> None:
    """However many are compared, and for what members say, not for votes alone."""
    draw = random.Random(7)
    for many in (2, 3, 8):
        names = [str(number) for number in range(many)]
        of_members = []
        for _ in range(4000):
            won = draw.choice(names)
            of_members.append((scores(won, [name for name in names if name != won])["0"], 1))
        found = mean(of_members, 0, 1)
        assert found is not None
        assert found.error is not None
        assert abs(found.value - 0.5) < 4 * found.error


def test_members_who_all_say_the_same_are_not_taken_for_certainty() -> None:
    assert mean([], 1, 5) is None
    assert mean([(10, 2)], 1, 5) == Mean(5.0, None, 2, 1)
    few, many = mean([(5, 1)] * 3, 1, 5), mean([(5, 1)] * 300, 1, 5)
    assert few is not None
    assert many is not None
    assert few.error == pytest.approx(4 * math.sqrt(5 / 7 * 2 / 7 / 7))
    assert many.error is not None
    assert 0 < many.error < 0.1 < few.error
    assert few.is_of_few
    assert not many.is_of_few


async def test_nobody_floods_the_disk(database: Database) -> None:
    now = 0.0
    kept = Ratings(database, lambda: now)
    assert [kept.admit(ADA) for _ in range(ratings.A_MINUTE + 2)] == [True] * ratings.A_MINUTE + [False] * 2
    assert kept.admit(GRACE)
    pressed = interaction(ADA)
    pressed.client.admission.jobs.ratings = kept
    with pytest.raises(MemberError, match="You can rate 30 times in a minute"):
        rate._admitted(pressed)
    now = ratings.MINUTE_S
    assert kept.admit(ADA)
    for member in range(3 * ratings.FORGET_AT):
        now += ratings.MINUTE_S / 100
        kept.admit(member)
    assert len(kept._newest) <= ratings.FORGET_AT + 1


async def test_no_request_is_read_to_count(database: Database) -> None:
    for statement, index in ((ratings.RATED, "rating_of_guild"), (ratings.VOTED, "vote_of_guild")):
        plan = [row["detail"] for row in await database.rows(f"EXPLAIN QUERY PLAN {statement}", (GUILD,))]
        assert len(plan) == 1, plan
        assert f"USING COVERING INDEX {index} (guild_id=?" in plan[0]
    for statement, index in (
        ("DELETE FROM rating WHERE job_id = ? AND position = 0", "rating_of_picture"),
        ("DELETE FROM vote WHERE job_id = ?", "vote_of_job"),
    ):
        plan = [row["detail"] for row in await database.rows(f"EXPLAIN QUERY PLAN {statement}", (1,))]
        assert any(index in one for one in plan), plan


async def test_of_many_who_ask_at_once_one_is_served_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, most, now = database.rows, 0, 0

    async def rows(*query: Any) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return await whole(*query)
        finally:
            now -= 1

    monkeypatch.setattr(database, "rows", rows)
    kept = Ratings(database)
    await asyncio.gather(*(kept.of_server(GUILD) for _ in range(20)))
    assert most == 1


async def test_ratings_survive_a_restart(jobs: Jobs, database: Database, pictures: Pictures, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path)
    await jobs.ratings.rate(ADA, job.id, 0, 4)
    assert (await Jobs(database, pictures).ratings.of_member(ADA, job.id)).stars == {0: 4}


@pytest.mark.parametrize("language", ["en", "zh-CN", "en-XA"])
@pytest.mark.parametrize(
    ("wanted", "many"),
    [
        (request(count=4), 4),
        (request(), 1),
        (table(("*a*",) * 16, columns=["`x`" * 33] * 16), 1),
        (table(("a",) * 4, rows=["y" * 100] * 4, columns=["x" * 100] * 4, blind=True), 1),
    ],
)
async def test_longest_page_is_what_discord_takes(
    language: str, wanted: Request, many: int, jobs: Jobs, tmp_path: Path
) -> None:
    job = await made(jobs, tmp_path, wanted, many)
    with speaking(language):
        for _ in range(2):
            own, votes = await jobs.ratings.of_member(ADA, job.id), await jobs.ratings.votes(job.id)
            form = Form()
            components = panel.of_job(job, own, votes).to_components()
            check_components(form, {"components": components}, set(), version_2=True)
            form.close()
            for index in range(ratings.pictures_of(job)):
                await jobs.ratings.rate(ADA, job.id, index, 5)
            for member in range(1, 1 + ratings.places_of(job)):
                await jobs.ratings.vote(member, job, member - 1)


async def test_what_is_compared_is_told_to_nobody_who_has_not_voted(jobs: Jobs, tmp_path: Path) -> None:
    job = await made(jobs, tmp_path, table(("lion", "tiger"), ("steps 2", "steps 4"), blind=True))

    async def seen(member: int) -> str:
        own, votes = await jobs.ratings.of_member(member, job.id), await jobs.ratings.votes(job.id)
        return str(panel.of_job(job, own, votes).to_components())

    assert "lion" not in await seen(ADA)
    assert "'B2'" in await seen(ADA)
    await jobs.ratings.vote(ADA, job, 3)
    told = await seen(ADA)
    assert "B2 · model tiger · steps 4: 1 vote" in told
    assert "A1 · model lion · steps 2: 0 votes" in told
    # What is left to choose is to take it back.
    assert told.count("'value'") == 2
    await jobs.ratings.unvote(ADA, job)
    assert "ratebest" not in await seen(ADA)
    assert "lion" not in await seen(GRACE)
    assert "1 vote" not in await seen(GRACE)


async def test_card_of_what_is_compared_blindly_tells_nothing_that_differs(jobs: Jobs, tmp_path: Path) -> None:
    cells = (
        request(model="lion", prompt="a scarlet hen", seed=71),
        request(model="tiger", prompt="a blue hen", seed=72),
    )
    wanted = structs.replace(table(("lion", "tiger")), cells=cells)
    differing = ("lion", "tiger", "scarlet", "71")
    for blind in (False, True):
        job = await made(jobs, tmp_path, structs.replace(wanted, blind=blind))
        said = str(Looks().finished(job, []).view.to_components()) + Looks().headline(asked(job, Grid))
        assert [word in said for word in differing] == [not blind] * len(differing)
        assert ("A comparison" in said) is blind


async def test_what_nobody_painted_is_not_rated(jobs: Jobs, tmp_path: Path) -> None:
    wanted = Classify(job=0, model="plain", image=Input("0" * 64, 64, 64), labels=("a", "b"), templates=("{}",))
    job = await made(jobs, tmp_path, wanted)
    waiting = await stored(jobs, (await queued(jobs, table())).id)
    assert [(ratings.pictures_of(one), ratings.places_of(one)) for one in (job, waiting)] == [(0, 0), (0, 0)]
