"""Captions by the describer: one job after the other, what is flagged goes, and who cannot have them is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest

from bot.callers import Callers, End
from bot.delivery import Delivery
from bot.job import Job
from bot.jobs import Jobs
from bot.teaching.captioning import FAILURES_AT_MOST, Captioning
from inference.protocol import Answer, Finished, because
from tests.bot.conftest import ready, tool
from tests.bot.teaching.conftest import drafted
from tests.bot.test_admission import Gate, interaction
from tests.bot.training.test_store import ADA


class Describer:
    """What the engine says of pictures."""

    def __init__(self, gate: Gate) -> None:
        self.at_once = self.most_at_once = self.asked = 0
        self.says: dict[int, Any] = {}
        delivery = create_autospec(Delivery, instance=True)
        self.callers = delivery.callers = Callers()
        gate.admission.delivery = delivery
        gate.dispatcher._engine.ready = ready(describers=(tool("eyes", "Eyes", tasks=("caption",)),))
        self.gate, self.accept = gate, gate.dispatcher.accept
        gate.dispatcher.accept = self._accept  # type: ignore[method-assign]

    async def _accept(self, job: Job) -> None:
        self.at_once += 1
        self.asked += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.gate.background.start(self._answer(job, self.says.get(self.asked, Answer(text=f"words {self.asked}"))))

    async def _answer(self, job: Job, said: Any) -> None:
        await asyncio.sleep(0)
        jobs = self.gate.jobs
        await jobs.start([job.id])
        if isinstance(said, Answer):
            ended = await jobs.finish(Finished(job=job.id, pictures=(), recipe={}, seconds=0.1, answer=said))
        else:
            ended = await jobs.fail(job.id, said, because("input_flagged"))
        self.at_once -= 1
        self.callers.tell(job.id, End(ended))


@pytest.fixture
def describer(gate: Gate) -> Describer:
    return Describer(gate)


async def captions(jobs: Jobs, training_id: int) -> dict[int, str]:
    return {one.number: one.caption for one in await jobs.trainings.pictures(training_id)}


async def test_pictures_without_words_get_them_one_after_the_other_and_nothing_else_is_left(
    gate: Gate, describer: Describer, jobs: Jobs, tmp_path: Path
) -> None:
    training = await drafted(jobs, tmp_path)
    await jobs.trainings.set_captions(training.id, {2: "my own"})
    captioning = Captioning(gate.admission, gate.background)
    assert captioning.start(interaction(ADA), training.id)
    assert captioning.start(interaction(ADA), training.id), "twice is once"
    assert captioning.at_work(training.id)
    await gate.settled()
    assert not captioning.at_work(training.id)
    assert await captions(jobs, training.id) == {1: "words 1", 2: "my own", 3: "words 2", 4: "words 3", 5: "words 4"}
    assert describer.most_at_once == 1
    assert await gate.rows() == []
    assert [*(tmp_path / "pictures").rglob("*.png")] == []


async def test_flagged_picture_is_taken_out(gate: Gate, describer: Describer, jobs: Jobs, tmp_path: Path) -> None:
    training = await drafted(jobs, tmp_path)
    describer.says[2] = "unsafe"
    captioning = Captioning(gate.admission, gate.background)
    captioning.start(interaction(ADA), training.id)
    await gate.settled()
    assert [*await captions(jobs, training.id)] == [1, 3, 4, 5]
    course = captioning.course(training.id)
    assert course is not None
    assert (course.flagged, course.problem) == ([2], None)


async def test_describer_that_fails_again_and_again_is_asked_no_more(
    gate: Gate, describer: Describer, jobs: Jobs, tmp_path: Path
) -> None:
    training = await drafted(jobs, tmp_path)
    describer.says = {1: "internal", 2: Answer(text=" \x00"), 3: "internal"}
    captioning = Captioning(gate.admission, gate.background)
    captioning.start(interaction(ADA), training.id)
    await gate.settled()
    assert describer.asked == FAILURES_AT_MOST
    course = captioning.course(training.id)
    assert course is not None
    assert course.problem is not None
    # Once more, and each has its turn.
    describer.says = {}
    captioning.start(interaction(ADA), training.id)
    await gate.settled()
    assert "" not in (await captions(jobs, training.id)).values()


async def test_who_has_no_place_in_the_queue_gets_no_captions_and_hears_why(
    gate: Gate, describer: Describer, jobs: Jobs, tmp_path: Path
) -> None:
    training = await drafted(jobs, tmp_path)
    captioning = Captioning(gate.admission, gate.background)
    gate.admission.room._most_of_member = 0
    captioning.start(interaction(ADA), training.id)
    await gate.settled()
    course = captioning.course(training.id)
    assert course is not None
    assert course.problem is not None
    assert describer.asked == 0
    assert await gate.rows() == []


async def test_training_that_is_gone_is_described_no_further(
    gate: Gate, describer: Describer, jobs: Jobs, tmp_path: Path
) -> None:
    training = await drafted(jobs, tmp_path)
    captioning = Captioning(gate.admission, gate.background)
    captioning.start(interaction(ADA), training.id)
    await jobs.trainings.erase(training.id)
    await gate.settled()
    assert describer.asked <= 1
    gate.dispatcher._engine.ready = ready()
    assert not captioning.start(interaction(ADA), training.id), "there is no describer"
