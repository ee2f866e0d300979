"""The runner: one training after the other, whatever becomes of its process, and requests before all of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot import environment
from bot.database import Database
from bot.training import runner as runner_module
from bot.training import trainer as trainer_module
from bot.training import turns as turns_module
from bot.training.progress import MOST_DEATHS, Progress
from bot.training.runner import Runner
from bot.training.states import State, Training
from bot.training.store import Trainings
from bot.training.turns import Turns
from inference.protocol import because
from tests.bot.training.test_store import drafted, submitted

ROOT = Path(__file__).parents[3]


class School:
    """A runner whose trainers do what a script says."""

    def __init__(self, database: Database, data: Path) -> None:
        self.trainings = Trainings(database, data)
        self.turns = Turns()
        self.spared = 0
        self._script = data / "script"
        environ = environment.of_engine(os.environ) | {"SCRIPT": str(self._script), "PYTHONPATH": str(ROOT)}
        self._progress = Progress(database, self.trainings)
        self.up = asyncio.Event()
        self.up.set()

        async def up() -> None:
            await self.up.wait()

        async def spare() -> None:
            self.spared += 1

        self.runner = Runner(self.trainings, self._progress, self.turns, environ, up=up, spare=spare)
        self._changed = asyncio.Event()
        self.trainings.listen(lambda _: self._changed.set())

    def script(self, *starts: str) -> None:
        self._script.write_text("\n".join(starts) + "\n")

    @property
    def left(self) -> list[str]:
        """What was not started."""
        return self._script.read_text().split("\n")[:-1]

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self.runner.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def until(self, training_id: int, holds: Callable[[Training], bool]) -> Training:
        while True:
            self._changed.clear()
            found = await self.trainings.find(training_id)
            assert found is not None
            if holds(found):
                return found
            await asyncio.wait_for(self._changed.wait(), 60)

    async def becomes(self, training_id: int, *states: State) -> Training:
        return await self.until(training_id, lambda training: training.state in states)


@pytest.fixture
async def school(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    monkeypatch.setattr(trainer_module, "PROGRAM", ("-m", "tests.bot.training.scripted"))
    monkeypatch.setattr(runner_module, "AGAIN_AFTER_S", (0.0,))
    monkeypatch.setattr(turns_module, "QUIET_S", 0.0)
    return School(database, tmp_path)


async def test_trainings_are_trained_in_their_order_to_their_ends(school: School, tmp_path: Path) -> None:
    first, second = await submitted(school.trainings, tmp_path), await submitted(school.trainings, tmp_path)
    school.script("end", "end")
    (school.trainings.folders.run(first.id) / "checkpoint").mkdir(parents=True)
    async with school.open():
        assert (await school.becomes(second.id, "training", "ended")).id == second.id
        assert (await school.becomes(first.id, "ended")).chosen == 2
        ended = await school.becomes(second.id, "ended")
    assert (ended.step, ended.steps, ended.epoch, ended.epochs, ended.loss) == (4, 4, 2, 2, 0.25)
    assert [one.loss for one in await school.trainings.epochs(second.id)] == [0.5, 0.25]
    assert not (school.trainings.folders.run(first.id) / "checkpoint").exists()
    assert ended.started_at is not None


async def test_a_trainer_that_dies_goes_on_and_one_that_gets_no_further_is_set_aside(
    school: School, tmp_path: Path
) -> None:
    survives, never = await submitted(school.trainings, tmp_path), await submitted(school.trainings, tmp_path)
    # Those that get a step further are not held against it.
    school.script("die 1", "die 1", "die 2", "garble", "die 3", "die 3", "end", *["die 3"] * 9)
    async with school.open():
        assert (await school.becomes(survives.id, "ended", "failed")).state == "ended"
        failed = await school.becomes(never.id, "failed")
    assert failed.reason == because("training_deaths", times=MOST_DEATHS)
    # The first one got further.
    assert len(school.left) == 9 - MOST_DEATHS
    assert failed.step == 3


async def test_what_cannot_go_on_says_why_and_goes_on_when_asked(school: School, tmp_path: Path) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("fail", "refuse", "end")
    async with school.open():
        assert (await school.becomes(training.id, "failed")).reason == because("training_diverged", step=3)
        await school.trainings.go_on(training.id)
        assert (await school.becomes(training.id, "failed")).reason == because("training_broke")
        await school.trainings.go_on(training.id)
        await school.becomes(training.id, "ended")


async def test_the_engine_lets_go_where_there_is_no_room_and_then_it_fails(school: School, tmp_path: Path) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("crowded 0", "crowded 2", "crowded 2", "end")
    async with school.open():
        failed = await school.becomes(training.id, "failed", "ended")
    assert failed.reason == because("training_memory")
    assert school.spared == 2
    assert school.left == ["end"]


async def test_it_is_stopped_and_goes_on_as_its_member_says(school: School, tmp_path: Path) -> None:
    first, second = await submitted(school.trainings, tmp_path), await submitted(school.trainings, tmp_path)
    school.script("polite", "end", "end")
    async with school.open():
        await school.until(first.id, lambda training: training.steps is not None)
        await school.trainings.stop(first.id)
        await school.becomes(second.id, "ended")
        await school.trainings.go_on(first.id)
        await school.becomes(first.id, "ended")


async def test_a_training_is_gone_on_with_after_the_bot_was_stopped(
    school: School, database: Database, tmp_path: Path
) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("polite", "end")
    async with school.open():
        await school.until(training.id, lambda training: training.steps is not None)
    assert (await school.becomes(training.id, "training")).id == training.id
    again = School(database, tmp_path)
    async with again.open():
        assert (await again.becomes(training.id, "ended")).step == 4


async def test_whoever_erases_a_training_ends_it_at_once(school: School, tmp_path: Path) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("deaf")
    async with school.open():
        await school.until(training.id, lambda training: training.steps is not None)
        assert await school.trainings.erase(training.id)
        assert not (tmp_path / "trainings" / str(training.id)).exists()
    # Of one that waits for its turn at the device nothing is left either.
    waits = await submitted(school.trainings, tmp_path)
    school.up.clear()
    async with school.open():
        await school.becomes(waits.id, "training")
        await school.trainings.erase(waits.id)
        school.up.set()
        following = await drafted(school.trainings, tmp_path)
        assert following.id > waits.id
    assert not (tmp_path / "trainings" / str(waits.id)).exists()


async def test_requests_wait_for_a_card_and_not_for_a_processor(school: School, tmp_path: Path) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("away", "end")
    async with school.open():
        await school.until(training.id, lambda training: training.steps is not None)
        assert school.turns.has_memory
        for _ in range(2):
            async with school.turns.turn():
                # It has said that it gave way, and its weights had to leave.
                assert school.turns._free.is_set()
                # It goes on for nobody before the request has ended.
                before = (await school.becomes(training.id, "training")).step
                await asyncio.sleep(0.1)
                assert (await school.becomes(training.id, "training")).step == before
            await school.until(training.id, lambda training: training.step == 1)
        assert school.spared == 2
        await school.trainings.stop(training.id)
        await school.trainings.go_on(training.id)
        await school.becomes(training.id, "ended")
    # Whoever is gone holds nobody up.
    async with school.turns.turn():
        pass


async def test_a_processor_is_shared_and_left_to_requests_for_as_long_as_they_last(
    school: School, tmp_path: Path
) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("polite")
    async with school.open():
        await school.until(training.id, lambda training: training.steps is not None)
        async with school.turns.turn():
            # Nobody waits for it here, and it gives way all the same.
            await asyncio.wait_for(school.turns.given(), 30)
            await asyncio.sleep(0.1)
            assert (await school.becomes(training.id, "training")).step == 0
        await school.until(training.id, lambda training: training.step == 1)
        assert school.spared == 0


async def test_a_trainer_that_does_not_give_way_is_ended_and_goes_on_later(
    school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "HOLD_WITHIN_S", 0.1)
    training = await submitted(school.trainings, tmp_path)
    school.script(*["deaf"] * (MOST_DEATHS + 1), "end")
    async with school.open():
        for _ in range(MOST_DEATHS + 1):
            await school.until(training.id, lambda _: school.turns.has_memory)
            async with school.turns.turn():
                assert school.turns._free.is_set()
        # It was nobody's fault.
        assert (await school.becomes(training.id, "ended", "failed")).state == "ended"


async def test_what_is_gone_from_the_disk_ends_it_in_a_sentence(school: School, tmp_path: Path) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.trainings.folders.picture(training.id, 2).unlink()
    school.script("end")
    async with school.open():
        assert (await school.becomes(training.id, "failed")).reason == because("training_pictures")
    assert school.left == ["end"]


async def test_a_disk_that_is_nearly_full_is_left_to_others(
    school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("end")
    monkeypatch.setattr(runner_module, "free_bytes", lambda _: 1000)
    async with school.open():
        assert (await school.becomes(training.id, "failed")).reason == because("training_disk")
        assert school.left == ["end"]
        # It is full after its first epoch.
        left = iter([10**12])
        monkeypatch.setattr(runner_module, "free_bytes", lambda _: next(left, 1000))
        await school.trainings.go_on(training.id)
        assert (await school.becomes(training.id, "failed")).reason == because("training_disk")
    assert [one.epoch for one in await school.trainings.epochs(training.id)][:1] == [1]


async def test_a_picture_that_its_owner_withdraws_is_learned_from_no_more(school: School, tmp_path: Path) -> None:
    training = await submitted(school.trainings, tmp_path)
    school.script("polite")
    async with school.open():
        await school.until(training.id, lambda training: training.steps is not None)
        gone = (await school.trainings.pictures(training.id))[1]
        await school.trainings.withdraw(gone.sha256)
        assert (await school.becomes(training.id, "failed")).reason == because("training_withdrawn")
    assert gone not in await school.trainings.pictures(training.id)
    assert not school.trainings.folders.picture(training.id, gone.number).exists()
