"""One file of the web, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from inference.catalog import headers
from inference.errors import WeightsError

TIMEOUT_S = 60.0
"""Of silence on the other side."""
PIECE_BYTES = 2**20


def download(url: str, place: Path, sha256: str | None = None) -> None:
    """Let this file lie in this place: as long as was announced, with this SHA-256, and what its name promises.

    Raises WeightsError, in one line, where any of that is not so or the other side cannot be reached; then nothing of
    it stays, and what lay in the place still does. What a killed download left is overwritten.
    """
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as stream:
            _take(stream, part)
            try:
                digest = _receive(url, stream)
                if sha256 not in (None, digest):
                    raise WeightsError(f"{url} is another file than sha256 in models.toml says: its own is {digest}")
                headers.check(part, called=place.name)
                os.fsync(stream.fileno())
                part.replace(place)
            finally:
                part.unlink(missing_ok=True)
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(f"{url} cannot be fetched from {urlsplit(url).hostname}: {reason}") from error


def _take(stream: BinaryIO, part: Path) -> None:
    """Be the only one who writes this, from its beginning."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WeightsError(f"{part} is being fetched by somebody else: wait for that") from error
    stream.truncate(0)


def _receive(url: str, stream: BinaryIO) -> str:
    """Write what comes and return its SHA-256."""
    request = Request(url, headers={"User-Agent": "easel", "Accept-Encoding": "identity"})
    with urlopen(request, timeout=TIMEOUT_S) as answer:
        if urlsplit(url).scheme == "https" != urlsplit(answer.url).scheme:
            raise ValueError(f"it leads to {urlsplit(answer.url).scheme}, where anybody on the way can change it")
        announced = answer.headers.get("Content-Length")
        digest, received = hashlib.sha256(), 0
        with tqdm(total=announced and int(announced), unit="B", unit_scale=True, unit_divisor=1024) as shown:
            while piece := answer.read(PIECE_BYTES):
                stream.write(piece)
                digest.update(piece)
                received += len(piece)
                shown.update(len(piece))
    stream.flush()
    if announced is not None and received != int(announced):
        raise ValueError(f"it was cut after {received} of {announced} bytes: run the same command again")
    return digest.hexdigest()
