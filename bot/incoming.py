"""The pictures that jobs are made of as files to be worked on: with what an upload's manifest says of where it is from.

What is kept of them is the database's affair, and what is right in them that of whoever builds the request.
"""

from __future__ import annotations

from pathlib import Path

from bot.credentials.giving import Credentials
from bot.jobs import Jobs
from bot.pictures import decoding, downloads
from bot.pictures.decoding import Upload
from bot.pictures.posted import Posted, Sent
from bot.pictures.workers import Workshop
from inference.protocol import Input


class Incoming:
    """Reads members' pictures, and those that are kept already. All in child processes."""

    def __init__(self, jobs: Jobs, workshop: Workshop, credentials: Credentials | None) -> None:
        """Without `credentials` nobody asks for manifests."""
        self._jobs = jobs
        self._workshop = workshop
        self._credentials = credentials

    async def into(self, folder: Path, picture: Posted | Sent | Input) -> Upload:
        """The picture in this folder, to be worked on there. Raises MemberError, with what is wrong with it."""
        if isinstance(picture, Sent):
            upload = await self._workshop.uploads.run(decoding.read, picture.file, folder)
            return upload if self._credentials is None else await self._credentials.take(picture.file, upload, folder)
        if isinstance(picture, Posted):
            also = None if self._credentials is None else self._credentials.take
            return await downloads.read(self._workshop.uploads, picture, folder, also)
        upload = await self._workshop.uploads.run(decoding.read, self._jobs.path(picture.sha256), folder)
        if self._credentials is None:
            return upload
        return await self._credentials.take_again(picture.sha256, upload, folder)
