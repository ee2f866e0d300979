"""A member is erased: nothing of theirs is left in any file, and nothing of anybody else is gone."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import aiohttp
import discord
import pytest

from bot import erasure as erasure_module
from bot.background import Background
from bot.belongings import STAY
from bot.database import Database, open_database
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.erasure import Erasure
from bot.finding import Search
from bot.jobs import Jobs
from bot.pictures.kept import Pictures
from bot.policies.kept import Place, Policies
from bot.posting import Posting
from inference.protocol import INCOMING, Input, Upscale, sha256_of
from tests.bot.conftest import finished, kept, on_uploads, queued, ready, reply, request
from tests.bot.test_delivery import refusal
from tests.bot.test_dispatcher import ScriptedEngine, paint

ADA, GRACE = 1_100_000_000_000_000_101, 1_100_000_000_000_000_102
SECRET = "zeppelins over Zanzibar"
UPLOAD = b"the upload of Ada"


class Killed(BaseException):
    """The bot ends here."""


class Easel:
    """A bot that has the data folder, without Discord and without an engine."""

    def __init__(self, database: Database, data: Path) -> None:
        self.database = database
        self.pictures = Pictures(data)
        self.pictures.prepare()
        self.jobs = Jobs(database, self.pictures)
        self.posting = create_autospec(Posting, spec_set=True, instance=True)
        self.delivery = create_autospec(Delivery, spec_set=True, instance=True)
        self.background = Background()
        engine = ScriptedEngine(paint, data)
        engine.ready = ready()
        self.dispatcher = Dispatcher(self.jobs, engine, self.delivery)
        self.erasure = Erasure(self.jobs, self.dispatcher, self.posting, self.background)

    async def erase(self, member_id: int) -> None:
        await self.erasure.begin(member_id)
        await self.erasure.erase(member_id)

    @property
    def taken(self) -> set[tuple[int, int | None]]:
        return {(call.args[2], call.args[3]) for call in self.posting.take_back.await_args_list}

    async def settled(self) -> None:
        while self.background._tasks:
            done, _ = await asyncio.wait(self.background._tasks)
            for task in done:
                task.result()


async def life(easel: Easel, data: Path, *, audited: bool = False) -> None:
    """All that Ada and Grace may have done. The audit and what counts for limits, which keep who asked for their time,
    are another matter."""
    jobs = easel.jobs
    triggers = (
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND (sql LIKE '%INTO audit%' OR sql LIKE '%INTO spent%')"
    )
    for row in await easel.database.rows(triggers):
        if not audited:
            await easel.database.change(f"DROP TRIGGER {row['name']}")
    for number, (member, prompt, content) in enumerate(
        [(ADA, SECRET, b"hers"), (ADA, SECRET, b"both"), (GRACE, "a red house", b"both"), (GRACE, "a boat", b"Grace's")]
    ):
        job = await queued(jobs, request(prompt), reply(member, 100 + number))
        await jobs.start([job.id])
        await jobs.finish(finished(data, job.id, content))
        await jobs.delivered(job.id, "member" if number == 1 else "reply", None)
        await jobs.finding.star(ADA, job.id, 0)
        await jobs.finding.star(GRACE, job.id, 0)
    enlarge = Upscale(job=0, model="plain", image=Input(sha256_of(UPLOAD), 64, 64), factor=2)
    await on_uploads(jobs, data, enlarge, UPLOAD, of=reply(ADA, 110))
    for member in (ADA, GRACE):
        # The same file, uploaded by both.
        upload = Upscale(job=0, model="plain", image=Input(sha256_of(b"theirs"), 64, 64), factor=2)
        await on_uploads(jobs, data, upload, b"theirs", of=reply(member, 120 + (member == GRACE)))
    # Of Grace, on the picture of Ada.
    theirs = Upscale(job=0, model="plain", image=Input(sha256_of(b"hers"), 64, 64), factor=2)
    await queued(jobs, theirs, reply(GRACE, 111), parent_id=1)
    await jobs.arrive(request(SECRET), dataclasses.replace(reply(ADA), message_id=None))
    for member in (ADA, GRACE):
        await jobs.finding.keep(member, Search(words=SECRET if member == ADA else "boat"))
        await jobs.finding.want_suggestions(member, False)
    for job in await jobs.in_state("queued"):
        easel.dispatcher.put(job)


def traces(data: Path) -> list[str]:
    """What the files of the data folder still say of Ada."""
    # A whole number of SQLite is as large as it has to be; those of Discord are eight bytes.
    wanted = {SECRET.encode(), b"Zanzibar", str(ADA).encode(), ADA.to_bytes(8, "big")}
    return [
        f"{file.name}: {what!r}"
        for file in data.rglob("*")
        if file.is_file()
        for what in wanted
        if what in file.read_bytes()
    ]


async def is_whole_but_for_ada(easel: Easel, data: Path) -> None:
    """Check that all that is left is Grace's, and all of it."""
    assert traces(data) == []
    assert kept(data) == sorted([b"both", b"theirs", b"Grace's"]), "also what Grace works on is gone, if it is Ada's"
    rows = await easel.database.rows("SELECT id, member_id, state FROM job ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (3, GRACE, "finished"),
        (4, GRACE, "finished"),
        (7, GRACE, "queued"),
        (8, GRACE, "queued"),
    ]
    assert await easel.jobs.finding.starred(GRACE, [1, 2, 3, 4]) == {3: [0], 4: [0]}
    assert await easel.jobs.finding.kept(GRACE, 2) == Search(words="boat")
    assert not await easel.jobs.finding.wants_suggestions(GRACE)
    for table in ("erasure", "farewell"):
        assert await easel.database.rows(f"SELECT * FROM {table}") == []
    assert list((data / INCOMING).iterdir()) == []


async def test_no_byte_of_an_erased_member_is_left_and_everything_of_the_others(tmp_path: Path) -> None:
    async with open_database(tmp_path / "easel.sqlite3") as database:
        easel = Easel(database, tmp_path)
        await life(easel, tmp_path)
        assert traces(tmp_path), "the test looks at the right bytes"
        await easel.erase(ADA)
        assert not any("Zanzibar" in trace for trace in traces(tmp_path)), "at once"
        await easel.settled()
        await is_whole_but_for_ada(easel, tmp_path)
        assert easel.taken == {(100, None), (101, ADA), (110, None), (120, None)}
        assert easel.dispatcher.waiting(ADA) == 0
        assert easel.dispatcher.waiting(GRACE) == 2
        forgotten = {call.args[0] for call in easel.delivery.forget.call_args_list}
        assert forgotten == {5, 6, 9}, "what had not ended is shown no more"
    assert traces(tmp_path) == []


async def test_audit_keeps_who_asked_and_when_and_not_a_word(tmp_path: Path) -> None:
    async with open_database(tmp_path / "easel.sqlite3") as database:
        easel = Easel(database, tmp_path)
        await life(easel, tmp_path, audited=True)
        await easel.erase(ADA)
        await easel.settled()
        told = {row["what"] for row in await database.rows("SELECT what FROM audit WHERE member_id = ?", (ADA,))}
        assert told >= {"accepted", "finished", "deleted"}
        assert not [trace for trace in traces(tmp_path) if "anzibar" in trace]
        for table, rows in (await easel.jobs.belongings.beside_jobs(ADA)).items():
            assert not rows or table in {"audit", "spent"}, table


async def test_erasure_goes_on_after_a_kill_at_any_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_database(tmp_path / "before" / "easel.sqlite3") as database:
        await life(Easel(database, tmp_path / "before"), tmp_path / "before")
    kills = 0
    while True:
        data = tmp_path / str(kills)
        shutil.copytree(tmp_path / "before", data)
        async with open_database(data / "easel.sqlite3") as database:
            easel = Easel(database, data)
            with monkeypatch.context() as patches:
                left = [kills]
                for owner, name in (
                    (Database, "change"),
                    (Database, "transaction"),
                    (Database, "scrub"),
                    (Pictures, "drop"),
                ):
                    patches.setattr(owner, name, until_killed(getattr(owner, name), left))
                easel.posting.take_back.side_effect = until_killed(lambda *_: None, left)
                with contextlib.suppress(Killed):
                    await easel.erase(ADA)
                    await easel.settled()
                killed = left[0] < 0
                await easel.background.close()
            # What a kill leaves of the database is its files, without a word of farewell.
            held = {file.name: file.read_bytes() for file in data.glob("easel.sqlite3*")}
        for file in data.glob("easel.sqlite3*"):
            file.unlink()
        for name, content in held.items():
            (data / name).write_bytes(content)
        if not killed:
            break
        async with open_database(data / "easel.sqlite3") as database:
            easel = Easel(database, data)
            asked = bool(await easel.jobs.belongings.doomed())
            await easel.erasure.resume()
            await easel.jobs.tidy()
            await easel.erasure.go_on()
            await easel.settled()
            assert asked or kills < 2 or not traces(data), "only what was not even written down is forgotten"
            if asked or kills >= 2:
                await is_whole_but_for_ada(easel, data)
        kills += 1
    assert kills > 12


def until_killed(do: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """The same, until it is called once more than is left."""

    def call(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return do(*args, **more)

    return call


async def test_erased_twice_at_once_and_once_more_later_is_erased_once(tmp_path: Path) -> None:
    async with open_database(tmp_path / "easel.sqlite3") as database:
        easel = Easel(database, tmp_path)
        await life(easel, tmp_path)
        await asyncio.gather(easel.erase(ADA), easel.erase(ADA))
        await easel.settled()
        await is_whole_but_for_ada(easel, tmp_path)
        await easel.erase(ADA)
        await easel.settled()
        await is_whole_but_for_ada(easel, tmp_path)


async def test_what_is_asked_for_after_it_stays(tmp_path: Path, jobs: Jobs, database: Database) -> None:
    easel = Easel(database, tmp_path)
    await life(easel, tmp_path)
    up_to = await easel.jobs.belongings.doom(ADA)
    newer = await queued(easel.jobs, request("a new beginning"), reply(ADA, 200))
    await easel.erasure.resume()
    assert up_to < newer.id
    kept = await easel.jobs._database.rows("SELECT id FROM job WHERE member_id = ?", (ADA,))
    assert [row["id"] for row in kept] == [newer.id]


async def test_nobody_shakes_a_limit_off_by_an_erasure(tmp_path: Path, database: Database) -> None:
    easel = Easel(database, tmp_path)
    policies = Policies(database, {"imagine": "imagine"})
    await policies.put(Place(5), "day", 1)
    job = await queued(easel.jobs, request(), reply(ADA))
    await easel.jobs.start([job.id])
    await easel.jobs.finish(finished(tmp_path, job.id, b"one"))
    assert await policies.problem(request(), reply(ADA)) is not None
    await easel.erase(ADA)
    await easel.settled()
    assert await policies.problem(request(), reply(ADA)) is not None


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([refusal(503), aiohttp.ClientError(), None], 3),
        ([refusal(429), None], 2),
        ([refusal(403)], 1),
    ],
)
async def test_messages_that_discord_does_not_take_away_now_are_tried_again(
    errors: list[Exception | None],
    tries: int,
    tmp_path: Path,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasure_module, "RETRY_AFTER_S", (0.0,))
    easel = Easel(database, tmp_path)
    await queued(easel.jobs, request(), reply(ADA, 100))
    easel.posting.take_back.side_effect = errors
    await easel.erase(ADA)
    await easel.settled()
    assert easel.posting.take_back.await_count == tries
    assert await database.rows("SELECT * FROM erasure") == await database.rows("SELECT * FROM farewell") == []


async def test_message_is_taken_out_of_its_channel_or_out_of_direct_messages() -> None:
    client = create_autospec(discord.Client, instance=True)
    deleted = client.get_partial_messageable.return_value.get_partial_message
    deleted.return_value.delete = AsyncMock()
    told = client.fetch_user.return_value = create_autospec(discord.User, instance=True)
    told.create_dm.return_value = create_autospec(discord.DMChannel, instance=True)
    privately = told.create_dm.return_value.get_partial_message
    privately.return_value.delete = AsyncMock(side_effect=refusal(404))
    posting = Posting(client)
    await posting.take_back(5, 6, 100, None)
    client.get_partial_messageable.assert_called_once_with(6, guild_id=5)
    deleted.assert_called_once_with(100)
    client.fetch_user.assert_not_awaited()
    await posting.take_back(5, 6, 101, ADA)
    client.fetch_user.assert_awaited_once_with(ADA)
    privately.assert_called_once_with(101)
    privately.return_value.delete.assert_awaited_once()


async def test_every_table_is_erased_or_known_to_stay(database: Database) -> None:
    """A table of members that is called otherwise would be forgotten by exports and erasures."""
    tables = {row["name"] for row in await database.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    of_nobody = {"log_read", "lora_change", "lora_question", "migration", "setting", "blocked_word", "sqlite_sequence"}
    of_members = {name for name in tables if not name.startswith("job_words")} - of_nobody - STAY
    found = {
        row["name"]
        for row in await database.rows(
            "SELECT tables.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns"
            " WHERE columns.name IN ('member_id', 'job_id') OR tables.name = 'job'"
        )
    }
    assert of_members <= found
    assert tables >= STAY
