"""How both halves write their log: which jobs a line is about, and how a line looks, to people or to programs.

The engine writes JSON to the bot, which puts its lines among its own: one stream, one format. What is logged is the
business of who logs it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import msgspec

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

Result = TypeVar("Result")

FORMATS = ("text", "json")

MESSAGE_CHARS = 8_000
EXCEPTION_CHARS = 16_000
"""A line is no place for more; of an exception its beginning and its end are kept."""

TOLD_JOBS = 8
"""So many jobs a line of text names."""

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What is no character that can be read, or moves those that can."""

_jobs: ContextVar[tuple[int, ...]] = ContextVar("jobs", default=())


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log, as programs read it."""

    time: str
    """As RFC 3339 has it, in UTC."""
    level: str
    logger: str
    message: str
    jobs: tuple[int, ...] = ()
    """The jobs on whose behalf it was written: one, or those that ride in one pass."""
    engine: str | None = None
    """Which engine wrote it, or is spoken of; None for the bot itself."""
    exception: str | None = None
    """A traceback, or what a process that died said last."""


@contextmanager
def about(*jobs: int) -> Iterator[None]:
    """What is logged within, and in all tasks that are begun there, is about these jobs."""
    token = _jobs.set(jobs)
    try:
        yield
    finally:
        _jobs.reset(token)


def turn_to(*jobs: int) -> None:
    """What this task or thread logs from here on is about these jobs, or about none."""
    _jobs.set(jobs)


def of(*jobs: int) -> dict[str, Any]:
    """What a line is given as `extra` that is about these jobs, whatever the others of its task are about."""
    return {"jobs": jobs}


def on_behalf_of(work: Callable[..., Result], job: int, *given: Any) -> Result:
    """Do this for a job, on a thread that does so for one after the other: what it logs is about this one."""
    with about(job):
        return work(job, *given)


def begin(level: str, form: str, stream: TextIO | None = None) -> None:
    """Log in one of FORMATS to this stream, or to stderr: also warnings, and errors that nobody catches.

    For the process's start; whatever else is set up already for logging stays.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json() if form == "json" else Text())
    handler.addFilter(note_jobs)
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)
    log = logging.getLogger(__name__.partition(".")[0])

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("nobody caught an error", exc_info=(kind, error, trace))

    def uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None:
            name = given.thread.name if given.thread else ""
            info = (given.exc_type, given.exc_value, given.exc_traceback)
            log.critical("nobody caught an error of the thread %s", name, exc_info=info)

    def unraisable(given: UnraisableHookArgs) -> None:
        if given.exc_value is not None:
            info = (given.exc_type, given.exc_value, given.exc_traceback)
            log.error("%s", given.err_msg or "an error could not be raised", exc_info=info)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable


def note_jobs(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass: where a record does not say so itself, it is about the jobs of its task."""
    if not hasattr(record, "jobs"):
        record.jobs = _jobs.get()
    return True


class Json(logging.Formatter):
    """One object in ASCII on a line, whatever is logged."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as the fields of `Line`, without those that say nothing."""
        line = line_of(record)
        fields = {name: getattr(line, name) for name in line.__struct_fields__}
        return json.dumps({name: value for name, value in fields.items() if value not in (None, ())})


class Text(logging.Formatter):
    """For people: as Python's own formats, with the engine and the jobs. What follows a line of it is indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; of control characters and the like only their codes."""
        line = line_of(record)
        who = line.logger if line.engine is None else f"{line.engine}, {line.logger}"
        parts = [f"{self.formatTime(record)} {line.level} {who}: ", of_jobs(line.jobs), line.message]
        if line.exception is not None:
            parts.append(f"\n{line.exception}")
        return _UNSEEN.sub(_code, "".join(parts)).replace("\n", "\n    ")


def of_jobs(jobs: tuple[int, ...]) -> str:
    """How a line of text begins that is about these jobs."""
    named = ", ".join(map(str, jobs[:TOLD_JOBS]))
    more = f" and {len(jobs) - TOLD_JOBS} more" if len(jobs) > TOLD_JOBS else ""
    return "" if not jobs else f"job {named}: " if len(jobs) == 1 else f"jobs {named}{more}: "


def line_of(record: logging.LogRecord) -> Line:
    """What a record says."""
    at = datetime.fromtimestamp(record.created, UTC)
    exception = record.exc_text or str(getattr(record, "said", ""))
    if not exception and record.exc_info and record.exc_info[1] is not None:
        exception = _said(lambda: "".join(traceback.format_exception(record.exc_info[1])))  # type: ignore[index]
    if record.stack_info:
        exception = f"{exception}\n{record.stack_info}"
    return Line(
        time=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        level=record.levelname,
        logger=record.name,
        message=cut(_sound(_said(record.getMessage)), MESSAGE_CHARS),
        jobs=tuple(getattr(record, "jobs", ())),
        engine=getattr(record, "engine", None),
        exception=cut(_sound(exception.strip("\n")), EXCEPTION_CHARS) or None,
    )


def record_of(line: Line) -> logging.LogRecord:
    """The record of a line that another process has written."""
    at = datetime.fromisoformat(line.time)
    level = logging.getLevelNamesMapping().get(line.level, logging.WARNING)
    fields: dict[str, Any] = {
        "name": line.logger,
        "levelno": level,
        "levelname": logging.getLevelName(level),
        "msg": line.message,
        "created": at.timestamp(),
        "msecs": float(at.microsecond // 1000),
        "exc_text": line.exception,
        "jobs": line.jobs,
        "engine": line.engine,
    }
    return logging.makeLogRecord(fields)


def cut(text: str, most: int) -> str:
    """The text in about so many characters: its beginning and its end where it is longer."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … ({len(text) - 2 * half} characters left out) … {text[-half:]}"


def _said(say: Callable[[], str]) -> str:
    """What somebody else's code makes of it, or what kept it from that: a line is written in any case."""
    try:
        return say()
    except Exception as error:
        return f"(this line cannot be formatted: {type(error).__name__})"


def _sound(text: str) -> str:
    """The text with the codes of those surrogates that are no characters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
