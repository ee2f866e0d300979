"""Captions of a training's pictures, written by the describer: each is a job of the training's member, one after the
other, so that nobody waits for more than one of them.

Nothing is kept but the captions: the jobs go when they have ended. What a restart interrupts is asked for again by the
member. The safety checker looks at these pictures as at those of all jobs: what it flags is taken out.
"""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol, cast

import discord

from bot.admission import Admission
from bot.background import Background
from bot.database import UNWRITTEN, refuse_fatal
from bot.errors import MemberError
from bot.job import ENDS, Job, Reply
from bot.panels.train_captions import Course
from bot.pictures.posted import Sent
from bot.posting import reply_of
from bot.requests import tools
from bot.requests.captions import tidy
from bot.training.states import TrainingPicture
from bot.words import N_
from inference.protocol import Describe, DescribeTask, Input, Ready, because

log = logging.getLogger(__name__)

TASKS: tuple[DescribeTask, ...] = ("detailed caption", "caption")
"""What a describer is asked, the first of these that it knows."""

NO_ROOM = N_("There is no room for captions at the moment: try again later.")

OWN_KEY = 0
"""In the place of a member's key: Easel itself waits for the job, which has no message."""

FAILURES_AT_MOST = 3
"""One after the other: then no more is tried."""


class Client(Protocol):
    """The client that interactions come to."""

    captioning: Captioning


class Captioning:
    """Writes captions in the background; one for a bot."""

    def __init__(self, admission: Admission, background: Background) -> None:
        self._admission = admission
        self._background = background
        self._courses: dict[int, Course] = {}

    def course(self, training_id: int) -> Course | None:
        """How the captions of a training come on, or came to an end; None where nobody asked for any."""
        return self._courses.get(training_id)

    def at_work(self, training_id: int) -> bool:
        """Whether captions are being written for it at this moment."""
        course = self._courses.get(training_id)
        return course is not None and course.at_work

    def start(self, interaction: discord.Interaction, training_id: int) -> bool:
        """Write the captions that are missing, as this member's jobs; returns at once. False where nobody here can."""
        if describer_of(self._admission.ready) is None:
            return False
        if not self.at_work(training_id):
            course = self._courses[training_id] = Course()
            self._background.start(self._write(training_id, _own(reply_of(interaction)), course))
        return True

    async def _write(self, training_id: int, reply: Reply, course: Course) -> None:
        trainings = self._admission.jobs.trainings
        tried: set[int] = set()
        failures = 0
        try:
            while failures < FAILURES_AT_MOST and (picture := await self._next(training_id, tried)) is not None:
                tried.add(picture.number)
                job = await self._describe(training_id, picture, reply)
                said = "" if job is None or job.state != "finished" else tidy(job.answer.text)
                if said:
                    failures = 0
                    await trainings.set_captions(training_id, {picture.number: said})
                elif job is not None and job.failure_kind == "unsafe":
                    course.flagged.append(picture.number)
                    await trainings.remove_picture(training_id, picture.number)
                else:
                    failures += 1
                    course.problem = None if job is None else job.failure
        except MemberError as error:
            course.problem = error.reason
        except UNWRITTEN as error:
            refuse_fatal(error)
            log.error("captions of training %s cannot be kept: %s", training_id, error)
            course.problem = because(NO_ROOM)
        finally:
            course.at_work = False

    async def _next(self, training_id: int, tried: Collection[int]) -> TrainingPicture | None:
        """The next picture without a caption of a draft that is still one."""
        trainings = self._admission.jobs.trainings
        training = await trainings.find(training_id)
        if training is None or training.state != "draft":
            return None
        pictures = await trainings.pictures(training_id)
        return next((one for one in pictures if not one.caption and one.number not in tried), None)

    async def _describe(self, training_id: int, picture: TrainingPicture, reply: Reply) -> Job | None:
        """What came of a job that describes this picture. Raises MemberError where none may be asked for."""
        admission = self._admission
        ready = admission.ready
        chosen = describer_of(ready)
        if chosen is None:
            raise MemberError("There is no describer here any more: write the captions yourself.")
        describer, task = chosen

        def build(image: Input) -> Describe:
            return tools.describe(image, ready, task=task, describer=describer)

        file = Sent(admission.jobs.trainings.folders.picture(training_id, picture.number))
        reply = replace(reply, token=f"caption {secrets.token_hex(8)}")
        with ExitStack() as place:
            place.enter_context(admission.room.held(reply.member_id))
            job = await admission.write_down(reply, build(file.unread), reading=True)
            try:
                with admission.delivery.callers.waiting(job.id) as caller:
                    known = await admission.read(job, {"image": file}, build, None)
                    if known is None or known.state in ENDS:
                        return known
                    await admission.dispatcher.accept(known)
                    place.close()
                    return (await caller.end()).job
            finally:
                self._background.start(admission.delete(job))


def captioning_of(interaction: discord.Interaction) -> Captioning:
    """What writes captions here."""
    return cast(Client, interaction.client).captioning


def describer_of(ready: Ready) -> tuple[str, DescribeTask] | None:
    """The describer that writes captions and what it is asked; None where there is none."""
    for tool in ready.describers:
        for task in TASKS:
            if task in tool.tasks:
                return tool.name, task
    return None


def _own(reply: Reply) -> Reply:
    """In whose place the jobs of captions are asked for: there is no message, and nobody waits after a restart."""
    return replace(
        reply,
        message_id=None,
        token_expires_at=0,
        attachment_size_limit=sys.maxsize,
        key_id=OWN_KEY,
        lasts=False,
    )
