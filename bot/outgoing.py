"""The pictures of jobs as files that go out: signed; where Discord takes less made smaller or cut, and signed as that.

What they look like on a card is `cards`' affair, and how they get to Discord that of whoever sends them.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot.credentials import statements
from bot.credentials.giving import Credentials
from bot.job import Job
from bot.jobs import Jobs
from bot.pictures import fitting
from bot.pictures.fitting import Shown
from bot.pictures.workers import Workshop
from inference.protocol import logs

log = logging.getLogger(__name__)

TRANSCODED, CROPPED = "c2pa.transcoded", "c2pa.cropped"
"""In C2PA's words, what is done so that Discord takes a picture."""

OF_ITS_OWN_BYTES = 2**14
"""More than a manifest takes that has none of others in it."""

LEAST_SHARE = 2
"""A picture has so large a part of what Discord takes: a manifest that leaves it less loses those of others, then it
goes."""

_Make = Callable[[Workshop, Path, int, Path], Awaitable[Sequence[Shown]]]


class Outgoing:
    """Makes the files that show a job's pictures."""

    def __init__(self, jobs: Jobs, workshop: Workshop, credentials: Credentials | None) -> None:
        """Without `credentials` nothing is signed."""
        self._jobs = jobs
        self._workshop = workshop
        self._credentials = credentials

    async def fitted(self, job: Job, limit: int, desks: ExitStack) -> Sequence[Shown]:
        """The pictures in files of at most `limit` bytes. What was made lies there until `desks` are closed. Raises
        FileNotFoundError where one is gone, WorkFailed, OSError."""
        recipe = await self._recipe(job)
        # Where nothing has to be made no room is needed for it.
        folder = functools.cache(lambda: desks.enter_context(self._workshop.desk()))
        return [
            (await self._made(_Wanted(job, index, recipe, limit, folder), TRANSCODED, _fit))[0]
            for index in range(len(job.pictures))
        ]

    async def converted(self, job: Job, index: int, kind: str, quality: int, desks: ExitStack) -> Shown:
        """One of them whole, as PNG or else in this format and quality (`fitting.converted`). Raises as `fitted`, and
        MemberError where that cannot be."""
        recipe = await self._recipe(job)
        # Where nothing has to be made no room is needed for it.
        folder = functools.cache(lambda: desks.enter_context(self._workshop.desk()))
        if kind == "png":
            return (await self._made(_Wanted(job, index, recipe, sys.maxsize, folder), TRANSCODED, _fit))[0]
        picture = self._jobs.path(job.pictures[index].sha256)
        picture.stat()
        made = await self._workshop.results.run(fitting.converted, picture, kind, quality, folder())
        if self._credentials is None:
            return made
        said = statements.of(job.request, index, recipe, self._jobs.pictures)
        [file] = await self._credentials.sign_copies([made.file], TRANSCODED, said, folder())
        return replace(made, file=file)

    async def parts(self, job: Job, index: int, limit: int, folder: Path) -> Sequence[Shown]:
        """One of them without any loss, in as many files as that takes, in this folder. Raises as `fitted`."""
        return await self._made(_Wanted(job, index, await self._recipe(job), limit, lambda: folder), CROPPED, _parts)

    async def _made(self, wanted: _Wanted, action: str, make: _Make) -> Sequence[Shown]:
        """The picture whole where it fits with its manifest, else what `make` makes of it, signed as that."""
        sha256 = wanted.job.pictures[wanted.index].sha256
        picture = self._jobs.path(sha256)
        if self._credentials is None:
            whole = fitting.whole(picture, wanted.limit)
            return [whole] if whole is not None else await make(self._workshop, picture, wanted.limit, wanted.folder())
        said = statements.of(wanted.job.request, wanted.index, wanted.recipe, self._jobs.pictures)
        folder = wanted.folder()
        signed = await self._credentials.sign(sha256, said, folder)
        if (whole := fitting.whole(signed, wanted.limit)) is not None:
            return [whole]
        # As much as the manifest takes, and some more for what was done.
        room = signed.stat().st_size - picture.stat().st_size + OF_ITS_OWN_BYTES
        if room > wanted.limit // LEAST_SHARE:
            said, room = said.of_pictures_alone, OF_ITS_OWN_BYTES
        if room > wanted.limit // LEAST_SHARE:
            log.warning("a picture goes out without its manifest, so that it fits", extra=logs.of(wanted.job.id))
            return await make(self._workshop, picture, wanted.limit, folder)
        made = await make(self._workshop, picture, wanted.limit - room, folder)
        action = TRANSCODED if len(made) == 1 else action
        files = await self._credentials.sign_copies([each.file for each in made], action, said, folder)
        return [replace(each, file=file) for each, file in zip(made, files, strict=True)]

    async def _recipe(self, job: Job) -> Mapping[str, Any]:
        return {} if self._credentials is None else await self._jobs.recipe(job.id) or {}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One picture of a job, in files of so many bytes in this folder."""

    job: Job
    index: int
    recipe: Mapping[str, Any]
    limit: int
    folder: Callable[[], Path]


async def _fit(workshop: Workshop, picture: Path, limit: int, folder: Path) -> Sequence[Shown]:
    return [await workshop.results.run(fitting.fit, picture, limit, folder)]


async def _parts(workshop: Workshop, picture: Path, limit: int, folder: Path) -> Sequence[Shown]:
    return await workshop.results.run(fitting.parts, picture, limit, folder)
