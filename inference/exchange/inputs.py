"""The pictures that requests work on, as the bot keeps them for both halves: bytes by their hash, and no decoding."""

from __future__ import annotations

import logging
from pathlib import Path

from inference.errors import InvalidInput, TaskError
from inference.protocol import Work, logs, place, sha256_of

log = logging.getLogger(__name__)


def read(pictures: Path, request: Work) -> dict[str, bytes]:
    """The bytes of a request's inputs by SHA-256.

    Raises InvalidInput where one is not there or is another one, TaskError where the disk does not give it.
    """
    files = {}
    for sha256 in {expected.sha256 for expected in request.inputs}:
        try:
            data = place(pictures, sha256).read_bytes()
        except FileNotFoundError as error:
            raise InvalidInput("input_lost") from error
        except (OSError, ValueError) as error:
            log.error("the picture %s cannot be read: %s", sha256[:64], error, extra=logs.of(request.job))
            raise TaskError("input_unreadable") from error
        if sha256_of(data) != sha256:
            raise InvalidInput("input_lost")
        files[sha256] = data
    return files
