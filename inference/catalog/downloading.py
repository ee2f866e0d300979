"""One file of the web, whole or not at all; one that broke off goes on where it ended.

What came so far lies beside its place, as NAME.part, until the file is whole and right. Which files are wanted, and
where from, is not known here.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException, HTTPMessage, IncompleteRead
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from inference.catalog import hashes, headers
from inference.catalog.progress import progress
from inference.errors import WeightsError

TIMEOUT_S = 60.0
"""Of silence on the other side."""
WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each try after the first, where the other side may answer later; again from the first where bytes came."""
MAX_WAIT_S = 120.0
"""The longest that the other side may ask to wait."""
PIECE_BYTES = 2**20
ROOM_BYTES = 10**9
"""Of a disk, what a download leaves free: a system without any stands still."""
PASSING = (408, 425, 429)
"""Refusals that mean later; so do all from 500 on."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a file comes from, and by what it is known to be the right one."""

    url: str
    size: int | None = None
    """In bytes, where that is known beforehand."""
    digest: str | None = None
    """Its SHA-256, or 40 digits of git's own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What is said to this server, and to none that it leads to."""
    named_by: str = "sha256 in models.toml"
    """Who says what its digest is."""
    renewed: Callable[[], str] | None = None
    """Asks for the url anew, where one holds for a time alone."""

    @property
    def host(self) -> str:
        return str(urlsplit(self.url).hostname)


class Passing(Exception):
    """What failed may succeed later."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def download(source: Source, place: Path, *, called: str | None = None, shown: str | None = None) -> None:
    """Let this file lie in this place: as long as was announced, of this digest, and what its name promises.

    `called` is its name where the place has another, and `shown` what is told of its progress. Raises WeightsError, in
    one line, where any of that is not so or the other side cannot be reached; what lay in the place still does. What
    came so far is kept where it can be gone on with, also after Ctrl-C or a kill, and else removed.
    """
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _held(part) as stream:
            try:
                _fill(stream, source, part, shown or place.name)
            except BaseException:
                if not (_length(stream) and _is_known(part, source)):
                    _forget(part)
                raise
            try:
                headers.check(part, called=place.name if called is None else called)
            except WeightsError:
                _forget(part)
                raise
            os.fsync(stream.fileno())
            part.replace(place)
            _validator(part).unlink(missing_ok=True)
    except Passing as error:
        raise WeightsError(f"{source.url} cannot be fetched from {source.host}: {error}") from error.__cause__
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise WeightsError(f"{source.url} cannot be fetched from {source.host}: {_words(error)}") from error


def require_room(folder: Path, size: int) -> None:
    """Raise WeightsError where the disk of this folder, which need not be there yet, has no room for so many bytes."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size + ROOM_BYTES > free:
        raise WeightsError(
            f"{size / 1e9:.1f} GB are to come into {folder}, where {free / 1e9:.1f} GB are free: make room for"
            f" them and {ROOM_BYTES / 1e9:g} GB more, or let HF_HOME or path name a place on another disk"
        )


def patiently(attempt: Callable[[], None], begun: Callable[[], int]) -> None:
    """Try again and again what may come later, until it has not for all of WAITS_S. Raises Passing then.

    `begun` counts what has come; where it has grown, patience is new.
    """
    waits, before = iter(WAITS_S), begun()
    while True:
        try:
            return attempt()
        except Passing as error:
            if (now := begun()) > before:
                waits, before = iter(WAITS_S), now
            wait_s = next(waits, None)
            if wait_s is None or error.wait_s > MAX_WAIT_S:
                raise
            time.sleep(max(wait_s, error.wait_s))


@contextmanager
def _held(part: Path) -> Iterator[FileIO]:
    """Be the only one who writes this, at its end."""
    # What is written is written: a full disk is told by the write, and by nothing after it.
    with part.open("ab", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another one may have finished it meanwhile: then these are the bytes of a whole file.
            alone = part.exists() and part.stat().st_ino == os.fstat(stream.fileno()).st_ino
        except BlockingIOError:
            alone = False
        if not alone:
            raise WeightsError(f"{part} is being fetched by somebody else: wait for that")
        yield stream


def _fill(stream: FileIO, source: Source, part: Path, shown: str) -> None:
    """Have all of it in this stream, what lies there already included."""
    resumed = _length(stream) > 0
    patiently(lambda: _receive(stream, source, part, shown), lambda: _length(stream))
    if source.digest is None or (digest := hashes.of_kind(part, source.digest)) == source.digest:
        return None
    stream.truncate(0)
    if resumed:
        # What had come before may have been of another file.
        return _fill(stream, source, part, shown)
    _forget(part)
    raise WeightsError(f"{source.url} is another file than {source.named_by} says: its own is {digest}")


def _receive(stream: FileIO, source: Source, part: Path, shown: str) -> None:
    """Write what is still to come. Raises Passing where it did not all come."""
    begin = _length(stream)
    if begin and ((source.size is not None and begin > source.size) or not _is_known(part, source)):
        stream.truncate(0)
        begin = 0
    if source.size is not None and begin == source.size:
        return
    try:
        url = source.renewed() if source.renewed and begin else source.url
        with urlopen(_request(url, source, begin, part), timeout=TIMEOUT_S) as answer:
            if urlsplit(source.url).scheme == "https" != urlsplit(answer.url).scheme:
                raise ValueError(f"it leads to {urlsplit(answer.url).scheme}, where anybody on the way can change it")
            if begin and not _goes_on(answer.status, answer.headers, begin):
                # The server takes no notice of ranges, or has another file now.
                stream.truncate(0)
                begin = 0
            announced = _announced(answer.headers)
            whole = source.size if announced is None else begin + announced
            require_room(part.parent, (whole or 0) - begin)
            _keep_validator(part, source, answer.headers)
            with progress(shown, begin, whole) as came:
                # What has come, and not only full pieces: a slow server's bytes are kept too.
                while piece := answer.read1(PIECE_BYTES):
                    _write(stream, piece)
                    came(len(piece))
    except HTTPError as error:
        with error:
            if error.code == 416 and begin:
                # What is there is not the beginning of what the server has.
                stream.truncate(0)
                raise Passing("its beginning has changed: run the same command again") from error
            if error.code in PASSING or error.code >= 500:
                raise Passing(_words(error), _asked_to_wait(error.headers)) from error
            raise
    except URLError as error:
        # Nothing was reached; on the way that may pass, and at the beginning the operator has to know.
        if not begin or isinstance(error.reason, ssl.SSLCertVerificationError):
            raise
        raise Passing(_words(error)) from error
    except (ConnectionError, TimeoutError, IncompleteRead, ssl.SSLError) as error:
        raise Passing(_words(error)) from error
    if whole is not None and (received := _length(stream)) != whole:
        raise Passing(f"it was cut after {received} of {whole} bytes: run the same command again")


def _request(url: str, source: Source, begin: int, part: Path) -> Request:
    request = Request(url, headers={"User-Agent": "easel", "Accept-Encoding": "identity"})
    for name, value in source.headers.items():
        request.add_unredirected_header(name, value)
    if begin:
        request.add_header("Range", f"bytes={begin}-")
        if source.digest is None:
            request.add_header("If-Range", _validator(part).read_text())
    return request


def _goes_on(status: int, said: HTTPMessage, begin: int) -> bool:
    """Whether an answer is what follows after so many bytes."""
    return status == 206 and said.get("Content-Range", "").startswith(f"bytes {begin}-")


def _announced(said: HTTPMessage) -> int | None:
    """How many bytes an answer has; raises ValueError where it says so in no number."""
    length = said.get("Content-Length")
    if length is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise ValueError(f"it announces {length[:40]!r} bytes")
    return int(length)


def _asked_to_wait(said: Message) -> float:
    """For how many seconds; a date counts as none."""
    wait = said.get("Retry-After", "")
    return float(wait) if re.fullmatch(r"[0-9]{1,9}", wait) else 0.0


def _keep_validator(part: Path, source: Source, said: HTTPMessage) -> None:
    """Write down by what the server tells this version of the file from others, where nothing else would."""
    named = said.get("ETag", "")
    # A weak one stands for files that differ in their bytes.
    named = said.get("Last-Modified", "") if named.startswith("W/") or not named else named
    if source.digest is None and named:
        _validator(part).write_text(named)


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def _is_known(part: Path, source: Source) -> bool:
    """Whether it will be seen that what came so far and what is still to come are one file."""
    return source.digest is not None or _validator(part).is_file()


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator(part).unlink(missing_ok=True)


def _write(stream: FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[stream.write(rest) :]


def _length(stream: FileIO) -> int:
    return os.fstat(stream.fileno()).st_size


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
