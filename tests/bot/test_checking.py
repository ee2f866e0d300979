"""The safety checker looks at what other servers are shown and paint, or nobody sees it: real SQLite and files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace as changed
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot import checking as checking_module
from bot.job import Job
from bot.jobs import Jobs
from bot.policies.kept import Place, Policies
from inference.protocol import Answer, Check, Event, Failed, Finished, Imagine, Input, because, place, sha256_of
from tests.bot.conftest import finished, queued, reply, request
from tests.bot.test_costs import far
from tests.bot.test_dispatcher import ScriptedEngine, Studio
from tests.bot.test_policies import KINDS

BAD = b"a bad picture"

ADULTS = changed(reply(), age_restricted=True)

Verdict = Callable[[ScriptedEngine, Check], Event]


class Far:
    """An engine that paints with a model of another server, and a checker beside it."""

    def __init__(self, jobs: Jobs, data: Path, policies: Policies, checker: str = "strict") -> None:
        self.data = data
        self.checks: list[Check] = []
        self.sent: list[Imagine] = []
        self.made = [BAD]
        self.verdict: Verdict = self.look
        engine = ScriptedEngine(self.script, data)
        engine.ready = far(checker=checker)
        for lane in engine.lanes:
            lane.takes = lambda wanted, quick=lane.quick: isinstance(wanted, Check) is quick
        self.studio = Studio(jobs, engine)
        self.studio.dispatcher._policies = policies

    async def script(self, engine: ScriptedEngine, wanted: Imagine | Check) -> AsyncIterator[Event]:
        if isinstance(wanted, Check):
            self.checks.append(wanted)
            yield self.verdict(engine, wanted)
            return
        self.sent.append(wanted)
        ends = [finished(self.data, wanted.job, each) for each in self.made]
        yield replace(ends[0], pictures=tuple(end.pictures[0] for end in ends))

    def look(self, engine: ScriptedEngine, check: Check) -> Event:
        # What lies there is what the engine reads.
        seen = [place(self.data / "pictures", one.sha256).read_bytes() for one in check.pictures]
        answer = Answer(flagged=tuple(BAD in each for each in seen))
        return Finished(job=check.job, pictures=(), recipe={}, seconds=0, answer=answer)

    async def ended(self, waiting: Job) -> Job:
        """This one, once it has an end."""
        async with self.studio.open():
            await self.studio.until(lambda: any(job.id == waiting.id for job in self.studio.delivered))
        return next(job for job in self.studio.delivered if job.id == waiting.id)

    def files(self) -> list[bytes]:
        return sorted(
            file.read_bytes()
            for folder in ("pictures", "incoming")
            for file in (self.data / folder).rglob("*")
            if file.is_file()
        )


def uploaded(data: Path) -> Input:
    """A picture that members have brought."""
    sha256 = sha256_of(BAD)
    place(data / "pictures", sha256).parent.mkdir(parents=True)
    place(data / "pictures", sha256).write_bytes(BAD)
    return Input(sha256, 64, 64)


@pytest.fixture
async def policies(jobs: Jobs) -> Policies:
    return Policies(jobs._database, KINDS)


async def test_what_is_flagged_is_shown_to_nobody_and_leaves_nothing_behind(
    jobs: Jobs, policies: Policies, tmp_path: Path
) -> None:
    job = await queued(jobs, request(model="far", count=2), reply())
    there = Far(jobs, tmp_path, policies)
    there.made = [b"a house", BAD]
    job = await there.ended(job)
    assert (job.state, job.failure_kind, job.failure) == ("failed", "unsafe", because("flagged"))
    [check] = there.checks
    assert (check.model, len(check.pictures)) == ("strict", 2)
    assert there.files() == []


async def test_what_is_not_is_there_and_only_once(jobs: Jobs, policies: Policies, tmp_path: Path) -> None:
    job = await queued(jobs, request(model="far"), reply())
    there = Far(jobs, tmp_path, policies)
    there.made = [b"a house"]
    job = await there.ended(job)
    assert job.state == "finished"
    assert not job.pictures[0].flagged
    assert there.files() == [b"a house"]


async def test_where_only_adults_are_it_is_hidden_or_not_looked_at(
    jobs: Jobs, policies: Policies, tmp_path: Path
) -> None:
    await policies.put(Place(5), "flagged", "spoiler")
    there = Far(jobs, tmp_path, policies)
    there.made = [b"a house", BAD]
    job = await queued(jobs, request(model="far", count=2), ADULTS)
    assert [picture.flagged for picture in (await there.ended(job)).pictures] == [False, True]
    await policies.put(Place(5), "flagged", "allow")
    job = await queued(jobs, request(model="far", count=2), ADULTS)
    assert [picture.flagged for picture in (await there.ended(job)).pictures] == [False, False]
    assert len(there.checks) == 1


@pytest.mark.parametrize("checker", ["strict", ""])
async def test_no_server_is_shown_what_is_flagged(jobs: Jobs, policies: Policies, tmp_path: Path, checker: str) -> None:
    shown = uploaded(tmp_path)
    job = await queued(jobs, request(model="far", references=(shown,)), reply())
    there = Far(jobs, tmp_path, policies, checker)
    job = await there.ended(job)
    assert (job.failure_kind, job.failure) == ("unsafe", because("input_flagged"))
    assert there.sent == []
    # It is what members bring: whatever looks at that looks at it.
    assert [check.model for check in there.checks] == [""]


async def test_what_is_made_of_a_hidden_picture_is_hidden(jobs: Jobs, policies: Policies, tmp_path: Path) -> None:
    await policies.put(Place(5), "flagged", "spoiler")
    shown = uploaded(tmp_path)
    job = await queued(jobs, request(model="far", references=(shown,)), ADULTS)
    there = Far(jobs, tmp_path, policies, "")
    there.made = [b"a house"]
    assert [picture.flagged for picture in (await there.ended(job)).pictures] == [True]
    assert len(there.checks) == 1, "its entry wants no checker for what it paints"


async def test_an_engine_that_dies_meanwhile_is_asked_again_and_not_for_ever(
    jobs: Jobs, policies: Policies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking_module, "LOOK_EVERY_S", 0.01)
    there = Far(jobs, tmp_path, policies)
    there.made = [b"a house"]

    def dies(engine: ScriptedEngine, check: Check) -> Event:
        there.verdict = there.look
        raise engine.die()

    there.verdict = dies
    job = await queued(jobs, request(model="far"), reply())
    assert (await there.ended(job)).state == "finished"
    assert len(there.sent) == 1, "nothing is paid twice"

    def always(engine: ScriptedEngine, check: Check) -> Event:
        raise engine.die()

    there.verdict = always
    job = await queued(jobs, request(model="far"), reply())
    job = await there.ended(job)
    assert (job.failure_kind, job.failure) == ("internal", because("not_checked"))
    assert len(there.sent) == 2
    assert there.files() == [b"a house"]


async def test_what_a_checker_cannot_say_is_no_yes(jobs: Jobs, policies: Policies, tmp_path: Path) -> None:
    there = Far(jobs, tmp_path, policies)
    there.verdict = lambda _, check: Failed(check.job, "internal", because("not_loaded"))
    job = await queued(jobs, request(model="far"), reply())
    assert (await there.ended(job)).failure == because("not_loaded")
    there.verdict = lambda _, check: Finished(job=check.job, pictures=(), recipe={}, seconds=0, answer=Answer())
    job = await queued(jobs, request(model="far"), reply())
    assert (await there.ended(job)).failure == because("not_checked")
    assert there.files() == []
