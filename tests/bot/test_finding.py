"""How jobs are found again: real SQLite, and as many jobs as a busy server makes in a year."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.database import MIGRATIONS, Database, open_database
from bot.finding import KEPT_SEARCHES, Search, Where, _condition
from bot.job import Job, Reply
from bot.jobs import Jobs
from inference.protocol import Classify, Grid, Input, Request, Upscale
from tests.bot.conftest import finished, queued, reply, request, stored

ADA, GRACE = 1, 2
HERE = Where(5, age_restricted=False)
IMAGE = Input("0" * 64, 64, 64)


def at(**changes: object) -> Reply:
    return replace(reply(ADA), **changes)  # type: ignore[arg-type]


async def found(jobs: Jobs, search: Search, where: Where = HERE, member: int = ADA, **more: Any) -> list[int]:
    return list((await jobs.finding.page(member, search, where, limit=6, **more)).jobs)


async def done(jobs: Jobs, data: Path, wanted: Request | None = None, *contents: bytes, of: Reply | None = None) -> Job:
    job = await queued(jobs, wanted, of)
    await jobs.start([job.id])
    await jobs.finish(finished(data, job.id, *(contents or (f"of {job.id}".encode(),))))
    return await stored(jobs, job.id)


@pytest.mark.parametrize(
    ("typed", "numbers"),
    [
        ("red", [1]),
        ("RED ouse", [1]),
        ("house", [2, 1]),
        ("blue red", []),
        ("红色", [3]),
        ("色", [3]),
        ("色的房", [3]),
        ("房子 红", [3]),
        ("Дом", [4]),
        ("ДОМ", [4]),
        ("до", [4]),
        ("ДО", [4]),
        ("100%", [5]),
        ("0%", [5]),
        ("%", [5]),
        ("a_b", [5]),
        ("_", [5]),
        ("\\", [5]),
        ('"', [5]),
        ('say "no"', [5]),
        ("red OR blue", []),
        ("NOT", []),
        ("hous*", []),
        ("words:red", []),
        ("'; DROP TABLE job; --", []),
        ("\0red\x1b", [1]),
        ("cat", [7, 6]),
    ],
)
async def test_words_are_found_in_any_script_and_as_they_are(jobs: Jobs, typed: str, numbers: list[int]) -> None:
    for prompt in ("a red house", "a blue House", "一座红色的房子", "дом у реки", 'at 100% a_b \\ say "no"'):
        await queued(jobs, request(prompt))
    await queued(jobs, Classify(job=0, model="plain", image=IMAGE, labels=("cat", "dog"), templates=("{}",)))
    cell = request("a white cat")
    await queued(jobs, Grid(job=0, model="starter", cells=(cell, cell), columns=("steps 4", "steps 8"), rows=("",)))
    assert await found(jobs, Search(typed)) == numbers


async def test_pages_are_turned_both_ways_while_jobs_come_and_go(jobs: Jobs) -> None:
    for _ in range(14):
        await queued(jobs)
    first = await jobs.finding.page(ADA, Search(), HERE, limit=6)
    assert (first.jobs, first.newer, first.older) == ((14, 13, 12, 11, 10, 9), False, True)
    second = await jobs.finding.page(ADA, Search(), HERE, before=9, limit=6)
    assert (second.jobs, second.newer, second.older) == ((8, 7, 6, 5, 4, 3), True, True)
    last = await jobs.finding.page(ADA, Search(), HERE, before=3, limit=6)
    assert (last.jobs, last.newer, last.older) == ((2, 1), True, False)
    await jobs.delete(8)
    await queued(jobs)
    assert await found(jobs, Search(), after=2) == [9, 7, 6, 5, 4, 3]
    # Where there is less than a page of newer ones the first is shown, and it is full.
    assert await found(jobs, Search(), after=12) == [15, 14, 13, 12, 11, 10]
    assert await jobs.finding.page(ADA, Search("nothing"), HERE, limit=6) == await jobs.finding.page(
        GRACE, Search(), HERE, limit=6
    )


async def test_filters_go_together(jobs: Jobs) -> None:
    await queued(jobs, request("a red house", model="turbo"))
    await queued(jobs, request("a red house", image=IMAGE, mask=IMAGE, strength=1.0))
    await queued(jobs, Upscale(job=0, model="plain", image=IMAGE, factor=2))
    await queued(jobs, request("a blue house"))
    assert await found(jobs, Search(command="imagine")) == [4, 1]
    assert await found(jobs, Search(command="edit")) == [2]
    assert await found(jobs, Search(command="upscale")) == [3]
    assert await found(jobs, Search(model="turbo")) == [1]
    assert await found(jobs, Search("red", command="imagine", model="starter")) == []
    assert await found(jobs, Search("blue", command="imagine", model="starter")) == [4]


async def test_what_was_made_elsewhere_is_found_where_it_may_be_seen(jobs: Jobs) -> None:
    await queued(jobs, of=at(guild_id=77))
    await queued(jobs, of=at(age_restricted=True))
    await queued(jobs, of=at(guild_id=None))
    await queued(jobs, of=reply(GRACE))
    assert await found(jobs, Search()) == []
    assert await found(jobs, Search(), Where(5, age_restricted=True)) == [2]
    assert await found(jobs, Search(), Where(77, age_restricted=False)) == [1]
    assert await found(jobs, Search(), Where(None, age_restricted=False)) == [3]


async def test_star_is_of_one_member_and_one_picture_and_goes_with_it(jobs: Jobs, tmp_path: Path) -> None:
    two = await done(jobs, tmp_path, request(count=2), b"first", b"second")
    of_grace = await done(jobs, tmp_path, of=reply(GRACE))
    finding = jobs.finding
    assert await finding.star(ADA, two.id, 1) is True
    assert await finding.star(ADA, of_grace.id, 0) is True
    assert await finding.star(ADA, two.id, 2) is None
    assert await finding.star(ADA, 99, 0) is None
    assert await finding.star(ADA, 2**70, 0) is None
    assert await found(jobs, Search(favourites=True)) == [of_grace.id, two.id]
    assert await found(jobs, Search(favourites=True), member=GRACE) == []
    assert await finding.starred(ADA, [two.id, of_grace.id]) == {two.id: [1], of_grace.id: [0]}
    assert await finding.star(ADA, two.id, 1) is False
    assert await finding.starred(ADA, [two.id]) == {}
    assert await finding.star(ADA, two.id, 0) is True
    await jobs.delete(two.id)
    assert await found(jobs, Search(favourites=True)) == [of_grace.id]
    [count] = await jobs._database.rows("SELECT count(*) FROM favourite")
    assert count[0] == 1


async def test_search_is_kept_for_its_member_alone_and_not_for_ever(jobs: Jobs) -> None:
    finding, search = jobs.finding, Search("红 'x'", "edit", "turbo", True)
    number = await finding.keep(ADA, search)
    assert await finding.kept(ADA, number) == search
    assert await finding.keep(ADA, search) == number
    assert await finding.kept(GRACE, number) is None
    assert await finding.kept(ADA, 2**70) is None
    for each in range(KEPT_SEARCHES):
        finding._clock = lambda each=each: 9e9 + each  # type: ignore[misc]
        await finding.keep(ADA, Search(str(each)))
    assert await finding.kept(ADA, number) is None


async def test_line_of_a_job_goes_to_its_root_and_ends_where_one_was_deleted(jobs: Jobs) -> None:
    root = await queued(jobs)
    child = await queued(jobs, parent_id=root.id)
    grandchild = await queued(jobs, parent_id=child.id)
    other = await queued(jobs, parent_id=root.id)
    assert await jobs.finding.ancestors(grandchild.id) == [child.id, root.id]
    assert await jobs.finding.children(root.id, 10) == [other.id, child.id]
    assert await jobs.finding.children(root.id, 1) == [other.id]
    await jobs.delete(child.id)
    assert await jobs.finding.ancestors(grandchild.id) == []


async def test_index_of_words_follows_the_job(jobs: Jobs, database: Database) -> None:
    job = await jobs.arrive(request("a draft"), reply(), reading=True)
    await jobs.settle(job.id, request("a castle"), [])
    assert await found(jobs, Search("castle")) == [job.id]
    assert await found(jobs, Search("draft")) == []
    await jobs.delete(job.id)
    assert await database.rows("SELECT * FROM job_words") == []


async def test_nothing_of_a_deleted_job_is_left_in_the_file(jobs: Jobs, database: Database, tmp_path: Path) -> None:
    for number in range(300):
        await queued(jobs, request(f"a red house {number}"))
    secret = await queued(jobs, request("qzxjvk"))
    for number in range(60):
        await queued(jobs, request(f"a red house {number}"))
    await jobs.delete(secret.id)

    async def left() -> list[bytes]:
        await database.rows("VACUUM")
        await database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        data = (tmp_path / "easel.sqlite3").read_bytes()
        return [part for part in (b"qzx", b"zxj", b"xjv", b"jvk") if part in data]

    assert await left()
    await jobs.tidy()
    assert await left() == []
    assert len(await found(jobs, Search("house"))) == 6


async def test_jobs_of_older_versions_are_found_too(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in sorted(MIGRATIONS.glob("*.sql"))[:5]:
        (folder / file.name).write_text(file.read_text())
    old = {"kind": "imagine", "job": 0, "model": "starter", "prompt": "一座红色的房子"}
    async with open_database(tmp_path / "old.sqlite3", folder) as database:
        await insert(database, [(ADA, json.dumps(old, ensure_ascii=False))])
    async with open_database(tmp_path / "old.sqlite3") as database:
        [row] = await database.rows("SELECT rowid FROM job_words WHERE job_words MATCH '红色的'")
        assert row["rowid"] == 1


async def insert(database: Database, rows: list[tuple[int, str]]) -> None:
    async with database.transaction() as connection:
        await connection.executemany(
            "INSERT INTO job (kind, request, state, member_id, guild_id, channel_id, token, token_expires_at,"
            " attachment_size_limit, created_at) VALUES ('imagine', ?, 'finished', ?, 5, 6, '', 0, 1, 0)",
            [(wanted, member) for member, wanted in rows],
        )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("many")


@pytest.fixture
async def busy(many: Path) -> AsyncIterator[Database]:
    """20,000 jobs: what SQLite plans does not depend on how many there are."""
    async with open_database(many / "easel.sqlite3") as database:
        if not await database.rows("SELECT 1 FROM job LIMIT 1"):
            draw = random.Random(1)
            words = ["red", "blue", "house", "boat", "红色", "房子", "watercolour", "mushroom", "castle", "dragon"]
            rows = []
            for number in range(20_000):
                prompt = " ".join(draw.choices(words, k=8))
                model = draw.choice(["starter", "turbo"])
                wanted = {"kind": "imagine", "model": model, "prompt": prompt}
                rows.append((ADA if number % 2 else number, json.dumps(wanted, ensure_ascii=False)))
            await insert(database, rows)
        yield database


@pytest.mark.parametrize(
    ("search", "index"),
    [
        (Search(), "job_of_member"),
        (Search("house"), "job_words VIRTUAL TABLE INDEX 0:M"),
        (Search("房"), "job_words VIRTUAL TABLE INDEX 0:="),
        (Search(command="grid"), "job_of_member_by_kind"),
        (Search(model="turbo"), "job_of_member_by_model"),
        (Search(favourites=True), "SEARCH favourite USING PRIMARY KEY (member_id=?)"),
        (Search("dragon 红", "edit", "turbo"), "job_words VIRTUAL TABLE INDEX 0:M"),
    ],
)
async def test_no_search_looks_through_all_jobs_or_sorts_them(busy: Database, search: Search, index: str) -> None:
    condition, values = _condition(ADA, search, HERE)
    for page in ("id < ? ORDER BY id DESC", "id > ? ORDER BY id"):
        rows = await busy.rows(
            f"EXPLAIN QUERY PLAN SELECT id FROM job WHERE {condition} AND {page} LIMIT ?", (*values, 9, 6)
        )
        plan = [str(row["detail"]) for row in rows]
        assert any(index in step for step in plan), plan
        assert not [step for step in plan if step.startswith("SCAN job") and "VIRTUAL" not in step], plan
        assert not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT id FROM job WHERE parent_id = ? ORDER BY id DESC", "job_of_parent"),
        ("DELETE FROM favourite WHERE job_id = ? AND position = 0", "favourite_by_picture"),
    ],
)
async def test_what_a_deletion_or_a_line_asks_for_has_its_index(busy: Database, query: str, index: str) -> None:
    plan = [str(row["detail"]) for row in await busy.rows(f"EXPLAIN QUERY PLAN {query}", (1,))]
    assert any(index in step for step in plan), plan


async def test_suggestions_are_wanted_until_a_member_says_otherwise(jobs: Jobs, tmp_path: Path) -> None:
    assert await jobs.finding.wants_suggestions(ADA)
    for _ in range(2):
        await jobs.finding.want_suggestions(ADA, wanted=False)
    assert not await jobs.finding.wants_suggestions(ADA)
    assert await jobs.finding.wants_suggestions(GRACE)
    await jobs.finding.want_suggestions(ADA, wanted=True)
    assert await jobs.finding.wants_suggestions(ADA)


async def test_unfinished_jobs_are_those_that_wait_or_run(jobs: Jobs, tmp_path: Path) -> None:
    await done(jobs, tmp_path)
    waiting = await queued(jobs)
    of_grace = await queued(jobs, of=reply(GRACE))
    elsewhere = await queued(jobs, of=at(guild_id=77))
    assert await jobs.finding.unfinished_of(ADA) == [waiting.id, elsewhere.id]
    assert await jobs.finding.unfinished_in(5, 10) == [waiting.id, of_grace.id]
    assert await jobs.finding.unfinished_in(5, 1) == [waiting.id]
