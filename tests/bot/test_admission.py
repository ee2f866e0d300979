"""How a job comes in: the row first, then the word to its member, and nothing of either without the other."""

from __future__ import annotations

import asyncio
import datetime
import errno
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import discord
import pytest
from msgspec import structs

from bot import admission as admission_module
from bot import commands
from bot import database as database_module
from bot.access import Access
from bot.admission import Admission
from bot.background import Background
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.errors import MemberError
from bot.job import Job
from bot.jobs import Jobs
from bot.pictures import downloads
from bot.pictures.decoding import Upload
from bot.pictures.posted import Cdn, Posted
from bot.pictures.workers import Workshop
from bot.policies.kept import Place, Policies
from bot.posting import Posting, Unknown
from inference.protocol import INCOMING, Control, Input, Request, Upscale, leave, sha256_of
from tests.bot.conftest import add_on, failure, finished, kept, queued, ready, reply, request, stored, tool
from tests.bot.test_delivery import refusal
from tests.bot.test_dispatcher import ScriptedEngine, paint


class Gate:
    """An admission with everything around it, of which Discord and the engine are played."""

    def __init__(self, jobs: Jobs, data: Path, **limits: int) -> None:
        self.jobs = jobs
        self.posting = create_autospec(Posting, spec_set=True, instance=True)
        self.answers = Posting(create_autospec(discord.Client, instance=True))
        self.posting.answering.side_effect = self.answers.answering
        self.access = create_autospec(Access, spec_set=True, instance=True)
        self.delivery = create_autospec(Delivery, spec_set=True, instance=True)
        self.delivery.headline.return_value = "**a red house**"
        self.delivered: list[Job] = []
        self.delivery.deliver.side_effect = self.delivered.append
        self.background = Background()
        engine = ScriptedEngine(paint, data)
        engine.ready = ready(
            upscalers=(tool("plain", "Plain", scale=4),), controls=(add_on("canny", "Canny", ("starter",), weight=0.7),)
        )
        self.dispatcher = Dispatcher(jobs, engine, self.delivery)
        values = {"max_waiting": 100, "max_waiting_per_member": 5} | limits
        self.admission = Admission(
            jobs,
            self.dispatcher,
            self.posting,
            self.delivery,
            self.access,
            Workshop(data / INCOMING),
            self.background,
            Cdn("http://127.0.0.1/api/v10"),
            commands.load().commands_of_kinds,
            Policies(jobs._database, commands.load().commands_of_kinds),
            **values,
        )

    @property
    def waiting(self) -> list[int]:
        return [job.id for line in self.dispatcher.lines for job in line.queue.in_order()]

    async def settled(self) -> None:
        """Wait for what goes on in the background."""
        while self.background._tasks:
            await asyncio.wait(self.background._tasks)

    async def rows(self) -> list[tuple[int, str, int | None]]:
        rows = await self.jobs._database.rows("SELECT id, state, message_id FROM job ORDER BY id")
        return [(row["id"], row["state"], row["message_id"]) for row in rows]


@pytest.fixture
async def gate(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    monkeypatch.setattr(admission_module, "ASK_AFTER_S", (0.0,))
    monkeypatch.setattr(database_module, "RETRY_AFTER_S", (0.0,))
    opened = Gate(jobs, tmp_path)
    yield opened
    await opened.background.close()


_numbers = itertools.count(1000)


def interaction(member_id: int = 1, says: Callable[..., Any] | None = None) -> Any:
    """A command of a member; `says` is what Discord answers to the reply."""
    number = next(_numbers)
    made = create_autospec(discord.Interaction, instance=True)
    made.user.id, made.guild_id, made.channel_id, made.message = member_id, 5, 6, None
    made.channel = create_autospec(discord.TextChannel, instance=True)
    made.channel.is_nsfw.return_value = False
    made.locale = discord.Locale.american_english
    made.token, made.filesize_limit = f"token-{number}", 10 * 2**20
    made.created_at = datetime.datetime.now(datetime.UTC)
    made.response = create_autospec(discord.InteractionResponse, instance=True)
    answers = made.response
    answers.is_done.side_effect = lambda: bool(answers.send_message.await_count + answers.defer.await_count)
    made.response.send_message = AsyncMock(side_effect=says)
    made.followup.send = AsyncMock()
    if says is None:
        made.response.send_message.return_value.message_id = number
    return made


async def test_row_is_written_before_the_member_is_told(gate: Gate) -> None:
    seen: list[list[tuple[int, str, int | None]]] = []

    async def look(**_: object) -> Any:
        seen.append(await gate.rows())
        raise asyncio.CancelledError  # the bot is killed here

    with pytest.raises(asyncio.CancelledError):
        await gate.admission.submit(interaction(says=look), request())
    assert seen == [[(1, "arriving", None)]]
    # After the restart Discord knows the reply, and the job goes on.
    gate.posting.find.return_value = 4711
    await gate.admission.resume(await gate.jobs.unsettled())
    await gate.settled()
    assert await gate.rows() == [(1, "queued", 4711)]
    assert gate.waiting == [1]


async def test_job_that_comes_in_before_the_old_ones_are_taken_up_is_none_of_them(gate: Gate) -> None:
    old = await gate.jobs.unsettled()
    gate.posting.find.return_value = None

    async def resume_meanwhile(**_: object) -> Any:
        # Discord sends commands from the moment of the connection, and is ready seconds later.
        await gate.admission.resume(old)
        await gate.settled()
        return create_autospec(discord.InteractionCallbackResponse, instance=True, message_id=4711)

    await gate.admission.submit(interaction(says=resume_meanwhile), request())
    assert await gate.rows() == [(1, "queued", 4711)]
    assert gate.waiting == [1]


async def test_job_that_nobody_was_told_of_is_forgotten_after_a_restart(gate: Gate) -> None:
    await gate.jobs.arrive(request(), replace(reply(), message_id=None))
    gate.posting.find.return_value = None
    await gate.admission.resume(await gate.jobs.unsettled())
    await gate.settled()
    assert await gate.rows() == []
    assert gate.waiting == []


async def test_job_of_which_nobody_knows_whether_its_member_was_told_goes_on(gate: Gate) -> None:
    await gate.jobs.arrive(request(), replace(reply(), message_id=None, token_expires_at=1.0))
    gate.posting.find.side_effect = Unknown
    await gate.admission.resume(await gate.jobs.unsettled())
    await gate.settled()
    assert await gate.rows() == [(1, "queued", None)]
    assert gate.waiting == [1]


async def test_accepted_job_waits_and_its_message_is_known(gate: Gate) -> None:
    asked = interaction()
    await gate.admission.submit(asked, request())
    [(_, state, message_id)] = await gate.rows()
    assert (state, message_id) == ("queued", asked.response.send_message.return_value.message_id)
    view = asked.response.send_message.call_args.kwargs["view"]
    assert "next in the queue" in str(view.to_components())
    assert "easel:cancel:1" in str(view.to_components())
    assert gate.waiting == [1]


@pytest.mark.parametrize("code", [10062, 50035])
async def test_refused_answer_leaves_no_job(gate: Gate, code: int) -> None:
    with pytest.raises(discord.HTTPException):
        await gate.admission.submit(interaction(says=[refusal(404, code)]), request())
    assert await gate.rows() == []
    assert gate.waiting == []


@pytest.mark.parametrize(
    "error", [OSError("connection reset"), TimeoutError(), refusal(503), refusal(400, 40060)], ids=str
)
@pytest.mark.parametrize("arrived", [True, False])
async def test_lost_answer_is_asked_for(gate: Gate, error: Exception, arrived: bool) -> None:
    gate.posting.find.side_effect = [OSError("still away"), 4711 if arrived else None]
    await gate.admission.submit(interaction(says=[error]), request())
    assert await gate.rows() == ([(1, "queued", 4711)] if arrived else [])
    assert gate.waiting == ([1] if arrived else [])


async def test_job_that_is_cancelled_while_discord_answers_does_not_wait(gate: Gate) -> None:
    async def press_cancel(**_: object) -> Any:
        assert await gate.admission.cancel(await stored(gate.jobs, 1))
        return create_autospec(discord.InteractionCallbackResponse, instance=True, message_id=4711)

    await gate.admission.submit(interaction(says=press_cancel), request())
    assert await gate.rows() == [(1, "cancelled", 4711)]
    assert gate.waiting == []
    assert [job.id for job in gate.delivered] == [1]


async def test_limit_for_a_member_holds_when_all_come_at_once(gate: Gate) -> None:
    results = await asyncio.gather(
        *(gate.admission.submit(interaction(), request()) for _ in range(40)), return_exceptions=True
    )
    assert results.count(None) == 5
    assert {str(result)[:24] for result in results if result is not None} == {"You have 5 jobs waiting,"}
    assert len(gate.waiting) == 5


async def test_limit_for_all_holds_when_all_come_at_once(jobs: Jobs, tmp_path: Path) -> None:
    gate = Gate(jobs, tmp_path, max_waiting=10)
    results = await asyncio.gather(
        *(gate.admission.submit(interaction(member), request()) for member in range(40)), return_exceptions=True
    )
    assert results.count(None) == 10
    assert len(gate.waiting) == 10


async def test_place_is_given_back_where_nothing_came_of_it(gate: Gate) -> None:
    for _ in range(7):
        with pytest.raises(discord.HTTPException):
            await gate.admission.submit(interaction(says=[refusal(404, 10062)]), request())
    await gate.admission.submit(interaction(), request())
    assert len(gate.waiting) == 1


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database is locked"), OSError(errno.ENOSPC, "full")])
async def test_job_that_cannot_be_written_down_is_refused_in_words(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(gate.jobs, "arrive", AsyncMock(side_effect=error))
    asked = interaction()
    with pytest.raises(MemberError, match="cannot write your job down"):
        await gate.admission.submit(asked, request())
    asked.response.send_message.assert_not_awaited()


async def test_job_that_is_written_down_too_late_is_refused_and_forgotten(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission_module, "WRITTEN_WITHIN_S", 0.05)
    arrive = gate.jobs.arrive

    async def slowly(*given: Any, **more: Any) -> Job:
        job = await arrive(*given, **more)
        await asyncio.sleep(0.2)
        return job

    monkeypatch.setattr(gate.jobs, "arrive", slowly)
    with pytest.raises(MemberError, match="cannot write your job down"):
        await gate.admission.submit(interaction(), request())
    await gate.settled()
    assert await gate.rows() == []


async def test_member_who_may_not_use_the_command_is_refused_first(gate: Gate) -> None:
    gate.access.require.side_effect = MemberError("You may not use /imagine here.")
    with pytest.raises(MemberError):
        await gate.admission.submit(interaction(), request())
    assert gate.access.require.call_args.args[1] == "imagine"
    assert await gate.rows() == []


def test_every_request_has_a_command_that_must_be_allowed() -> None:
    kinds = {kind.__struct_config__.tag for kind in Request.__args__}
    commands_of_kinds = commands.load().commands_of_kinds
    assert set(commands_of_kinds) == kinds
    assert (commands_of_kinds["mask"], commands_of_kinds["compare"]) == ("edit", "imagine")


def enlarged(image: Input) -> Upscale:
    return Upscale(job=0, model="plain", image=image, factor=2)


class Reading:
    """Uploads that are read when the test says so."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.came, self.go_on = asyncio.Event(), asyncio.Event()
        self.problem: Exception | None = None
        self.size = 64
        self.at_once = self.most_at_once = 0

    async def until(self, count: int) -> None:
        """Wait until so many are being read."""
        while len(self.begun) < count:
            self.came.clear()
            await self.came.wait()

    async def read(self, _: object, picture: Posted, folder: Path, __: object) -> Upload:
        self.begun.append(picture.name)
        self.came.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.go_on.wait()
        self.at_once -= 1
        if self.problem is not None:
            raise self.problem
        one = leave(folder, picture.name.encode())
        return Upload(one.file, one.sha256, self.size, self.size)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    made = Reading()
    monkeypatch.setattr(downloads, "read", made.read)
    return made


async def begun(reading: Reading, count: int = 1) -> None:
    async with asyncio.timeout(20):
        await reading.until(count)


def submit_upload(gate: Gate, asked: Any, name: str = "boat") -> asyncio.Task[None]:
    return asyncio.create_task(gate.admission.submit_on(asked, {"image": Posted("", name)}, enlarged))


async def test_upload_is_a_row_while_it_is_read(gate: Gate, reading: Reading) -> None:
    asked = interaction()
    submission = submit_upload(gate, asked)
    await begun(reading)
    [(_, state, message_id)] = await gate.rows()
    assert (state, message_id) == ("reading", asked.response.send_message.return_value.message_id)
    assert "reading the picture" in str(asked.response.send_message.call_args.kwargs["view"].to_components())
    reading.go_on.set()
    await submission
    [(_, state, _)] = await gate.rows()
    assert state == "queued"
    assert gate.waiting == [1]


async def test_upload_that_was_being_read_when_the_bot_was_killed_is_withdrawn_in_words(gate: Gate) -> None:
    await gate.jobs.arrive(request(), reply(), reading=True)
    await gate.admission.resume(await gate.jobs.unsettled())
    [job] = gate.delivered
    assert job.state == "failed"
    assert "send the command again" in failure(job)


async def test_upload_that_cannot_be_read_leaves_no_job_and_no_reply(gate: Gate, reading: Reading) -> None:
    reading.problem = MemberError("This picture is damaged.")
    reading.go_on.set()
    asked = interaction()
    await submit_upload(gate, asked)
    asked.followup.send.assert_awaited_once_with("This picture is damaged.", ephemeral=True)
    gate.posting.remove.assert_awaited_once()
    assert await gate.rows() == []


async def test_member_has_read_why_before_their_job_is_taken_back(gate: Gate, reading: Reading) -> None:
    reading.problem = MemberError("This picture is damaged.")
    reading.go_on.set()
    asked = interaction()
    said_at_the_kill: list[int] = []

    async def kill(_: object) -> None:
        said_at_the_kill.append(asked.followup.send.await_count)

    gate.posting.remove.side_effect = kill
    await submit_upload(gate, asked)
    assert said_at_the_kill == [1]


@pytest.mark.parametrize("step", ["say", "take back"])
async def test_upload_of_which_discord_lets_nothing_be_said_says_so_in_its_card(
    gate: Gate, reading: Reading, step: str
) -> None:
    reading.problem = MemberError("This picture is damaged.")
    reading.go_on.set()
    asked = interaction()
    failing = asked.followup.send if step == "say" else gate.posting.remove
    failing.side_effect = refusal(500)
    await submit_upload(gate, asked)
    [job] = gate.delivered
    assert (job.state, failure(job)) == ("failed", "This picture is damaged.")


async def test_upload_that_fails_for_reasons_of_our_own_says_so_in_its_card(gate: Gate, reading: Reading) -> None:
    reading.problem = RuntimeError("nobody foresaw this")
    reading.go_on.set()
    with pytest.raises(RuntimeError):
        await submit_upload(gate, interaction())
    [job] = gate.delivered
    assert "went wrong inside Easel" in failure(job)
    gate.posting.remove.assert_not_awaited()


async def test_one_upload_of_a_member_is_read_at_a_time(gate: Gate, reading: Reading) -> None:
    submissions = [submit_upload(gate, interaction(member), f"{member}") for member in (1, 1, 1, 2)]
    await begun(reading, 2)
    assert sorted(reading.begun) == ["1", "2"]
    reading.go_on.set()
    await asyncio.gather(*submissions)
    assert reading.most_at_once == 2
    assert len(gate.waiting) == 4


async def test_uploads_that_are_read_count_against_the_limit(gate: Gate, reading: Reading) -> None:
    submissions = [submit_upload(gate, interaction()) for _ in range(5)]
    await begun(reading)
    with pytest.raises(MemberError, match="5 jobs waiting"):
        await gate.admission.submit(interaction(), request())
    reading.go_on.set()
    await asyncio.gather(*submissions)


async def test_job_that_is_cancelled_while_its_upload_is_read_does_not_wait(gate: Gate, reading: Reading) -> None:
    submission = submit_upload(gate, interaction())
    await begun(reading)
    assert await gate.admission.cancel(await stored(gate.jobs, 1))
    reading.go_on.set()
    await submission
    [(_, state, _)] = await gate.rows()
    assert state == "cancelled"
    assert gate.waiting == []
    assert [job.id for job in gate.delivered] == [1]


async def test_old_jobs_wait_again_after_a_restart_and_are_not_doubled(gate: Gate) -> None:
    first, second = await queued(gate.jobs), await queued(gate.jobs)
    for _ in range(2):
        await gate.dispatcher.resume()
        await gate.admission.resume(await gate.jobs.unsettled())
    assert gate.waiting == [first.id, second.id]


async def test_first_answers_go_before_everything_else(gate: Gate) -> None:
    before: list[bool] = []

    async def look(**_: object) -> Any:
        before.append(gate.answers._calm.is_set())
        return create_autospec(discord.InteractionCallbackResponse, instance=True, message_id=4711)

    await gate.admission.submit(interaction(says=look), request())
    assert before == [False]
    assert gate.answers._calm.is_set()


async def made_picture(gate: Gate, tmp_path: Path, content: bytes = b"made") -> Input:
    """A picture that a job has made, as what another can work on."""
    job = await queued(gate.jobs)
    await gate.jobs.start([job.id])
    done = await gate.jobs.finish(finished(tmp_path, job.id, content))
    assert done is not None
    return Input(done.pictures[0].sha256, 64, 64)


def followed(image: Input, control_image: Input) -> Request:
    return request(image=image, strength=0.6, control=Control("canny", control_image))


async def test_every_request_is_checked_on_its_way_in(gate: Gate, reading: Reading) -> None:
    gone = request(model="retired")
    with pytest.raises(MemberError, match="no model called 'retired'"):
        await gate.admission.submit(interaction(), gone)
    with pytest.raises(MemberError, match="no model called 'retired'"):
        await gate.admission.submit_on(interaction(), {"image": Posted("", "boat")}, lambda image: gone)
    assert await gate.rows() == []


async def test_kept_picture_needs_no_reading(gate: Gate, tmp_path: Path, reading: Reading) -> None:
    picture = await made_picture(gate, tmp_path)
    await gate.admission.submit_on(interaction(), {"image": picture}, enlarged, parent_id=1)
    assert reading.begun == []
    assert (await stored(gate.jobs, 2)).request == structs.replace(enlarged(picture), job=2)
    rows = await gate.jobs._database.rows("SELECT parent_id FROM job WHERE id = 2")
    assert [row["parent_id"] for row in rows] == [1]


async def test_uploads_and_kept_pictures_mix_and_what_is_kept_stays_while_others_are_read(
    gate: Gate, tmp_path: Path, reading: Reading
) -> None:
    picture = await made_picture(gate, tmp_path)
    mixed = {"image": picture, "control_image": Posted("", "lines")}
    submission = asyncio.create_task(gate.admission.submit_on(interaction(), mixed, followed, parent_id=1))
    await begun(reading)
    await gate.jobs.delete(1)
    assert kept(tmp_path) == [b"made"]
    reading.go_on.set()
    await submission
    assert reading.begun == ["lines"]
    assert kept(tmp_path) == [b"lines", b"made"]
    job = await stored(gate.jobs, 2)
    assert [image.sha256 for image in job.request.inputs] == [sha256_of(b"made"), sha256_of(b"lines")]
    await gate.jobs.delete(2)
    assert kept(tmp_path) == []


async def test_size_of_an_upload_counts_once_it_was_read(gate: Gate, reading: Reading) -> None:
    huge = {"image": Posted("", "boat", width=9000, height=9000)}
    reading.go_on.set()
    asked = interaction()
    # Discord was wrong.
    await gate.admission.submit_on(asked, huge, enlarged)
    assert gate.waiting == [1]
    reading.size = 9000
    await gate.admission.submit_on(asked := interaction(), {"image": Posted("", "boat")}, enlarged)
    assert "million pixels" in asked.followup.send.call_args.args[0]
    assert gate.waiting == [1]


async def test_what_is_not_allowed_is_written_down_nowhere(gate: Gate) -> None:
    await gate.admission.policies.block_words(Place(5), ["clown"])
    with pytest.raises(MemberError, match="Word 1 of this server's list"):
        await gate.admission.submit(interaction(), request("a clown"))
    with pytest.raises(MemberError, match="no setting changes that"):
        await gate.admission.submit(interaction(), request("a nude child"))
    assert await gate.rows() == []
    assert gate.waiting == []


async def test_of_jobs_that_come_at_once_no_more_are_taken_than_a_member_may_have(gate: Gate) -> None:
    await gate.admission.policies.put(Place(5), "hour", 2)
    asked = (gate.admission.submit(interaction(), request(seed=seed)) for seed in range(5))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, MemberError) and "an hour" in str(one) for one in outcomes) == 3
    assert len(gate.waiting) == 2
