"""Lets pictures that go out be signed, and what uploads say of themselves be taken along, by child processes.

What goes wrong there is told to the operator and keeps nobody from a picture: it goes out without a manifest, and
says in XMP and by its watermark what it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.credentials import signing
from bot.credentials.certificates import Certificate
from bot.credentials.signing import Copies, Seal, Signed
from bot.credentials.statements import Statement
from bot.errors import OperatorError, WorkFailed
from bot.pictures.decoding import Upload
from bot.pictures.kept import Pictures
from bot.pictures.workers import Workshop

log = logging.getLogger(__name__)

TAKEN_WITHIN_S = 10.0
"""What an upload says of itself is let be after that: a sound one takes some milliseconds."""

STAMPED_WITHIN_S = 10.0
"""So long is a time stamp waited for; then a picture goes out without one."""

REST_S = 300.0
"""So long nobody waits for a time stamper again that failed."""


class Credentials:
    """Content Credentials. Look with `try_out` whether it can sign before it is relied on."""

    def __init__(
        self, workshop: Workshop, pictures: Pictures, certificate: Certificate, time_stamper: str | None = None
    ) -> None:
        self._workshop = workshop
        self._pictures = pictures
        self._seal = Seal(certificate, time_stamper)
        self._unstamped = replace(self._seal, time_stamper=None)
        self._stamping = asyncio.Semaphore(2)
        self._stamped_from = 0.0

    async def try_out(self) -> None:
        """Raise OperatorError where nothing can be signed by this certificate."""
        with self._workshop.desk() as folder:
            try:
                reason = await self._workshop.signing.run(signing.try_out, self._seal, folder)
            except WorkFailed as error:
                reason = f"signing came to no end ({error.cause})"
        if reason:
            chain, key = self._seal.certificate.chain, self._seal.certificate.key
            named = f"EASEL_C2PA_CERT={chain} and EASEL_C2PA_KEY={key}" if self._seal.certificate.is_own else f"{chain}"
            raise OperatorError(f"{named} cannot sign: {reason}")

    async def sign(self, sha256: str, said: Statement, folder: Path) -> Path:
        """A kept picture as it goes out, most likely in this folder. Raises FileNotFoundError where it is gone."""
        picture, kept = self._pictures.path(sha256), self._pictures.manifest(sha256)
        picture.stat()
        signed: Signed = await self._sealed(
            said, lambda each: (signing.sign, picture, kept, each), folder, Signed(picture)
        )
        if signed.manifest is not None:
            try:
                await self._pictures.keep_manifest(sha256, signed.manifest)
            except OSError as error:
                log.error("the manifest of a picture cannot be kept, it is signed anew the next time: %s", error)
        return signed.file

    async def sign_copies(self, copies: Sequence[Path], action: str, said: Statement, folder: Path) -> Sequence[Path]:
        """What was made of one picture to fit, as it goes out; `action` says in C2PA's words what was done."""
        signed: Copies = await self._sealed(
            said, lambda each: (signing.sign_copies, copies, action, each), folder, Copies(copies)
        )
        return signed.files

    async def take(self, file: Path, upload: Upload, folder: Path) -> Upload:
        """The upload that was read from this file, with what that says of itself, where it says anything."""
        return await self._taken(file, None, upload, folder) if upload.origin is not None else upload

    async def take_again(self, sha256: str, upload: Upload, folder: Path) -> Upload:
        """The same of a picture that is kept and was read again to be worked on."""
        picture, kept = self._pictures.path(sha256), self._pictures.manifest(sha256)
        is_signed = kept.exists() or upload.origin is not None
        return await self._taken(picture, kept, upload, folder) if is_signed else upload

    async def _taken(self, file: Path, kept: Path | None, upload: Upload, folder: Path) -> Upload:
        try:
            taken = await self._workshop.uploads.run(signing.take, file, kept, folder, within_s=TAKEN_WITHIN_S)
        except WorkFailed as error:
            log.warning("the manifest of an upload cannot be read, and is not taken along: %s", error.cause)
            return upload
        return replace(upload, ingredient=taken)

    async def _sealed(
        self, said: Statement, call: Callable[[Statement], tuple[Any, ...]], folder: Path, otherwise: Any
    ) -> Any:
        """What a function of `signing` makes, with a time stamp where one is to be had; what goes out unsigned, where
        not even that can be signed which says nothing that a stranger wrote."""
        problem = ""
        for each in (said, said.of_pictures_alone):
            if self._seal.time_stamper is not None:
                # Whoever waited here while it failed waits for it no more.
                async with self._stamping:
                    made, problem = await self._stamped(call(each), folder)
            else:
                made, problem = await self._tried(*call(each), self._unstamped, folder)
            if not problem:
                return made
        log.error("a picture goes out without a manifest: %s", problem)
        return otherwise

    async def _stamped(self, call: tuple[Any, ...], folder: Path) -> tuple[Any, str]:
        """As `_tried`, with a time stamp unless that is what keeps it from being signed."""
        blamed = ""
        if time.monotonic() >= self._stamped_from:
            made, blamed = await self._tried(*call, self._seal, folder, within_s=STAMPED_WITHIN_S)
            if not blamed:
                return made, ""
        made, problem = await self._tried(*call, self._unstamped, folder)
        if blamed and not problem:
            self._stamped_from = time.monotonic() + REST_S
            log.warning("no time stamps of %s for %g s: %s", self._seal.time_stamper, REST_S, blamed)
        return made, problem

    async def _tried(
        self, function: Callable[..., Any], *arguments: Any, within_s: float | None = None
    ) -> tuple[Any, str]:
        """What came of it, or what keeps it from being signed."""
        try:
            made = await self._workshop.signing.run(function, *arguments, within_s=within_s)
        except WorkFailed as error:
            return None, f"signing came to no end ({error.cause})"
        return made, made.problem
