"""How lines of the log look, and that whoever writes them is never kept from working."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import datetime

import pytest

from inference.exchange.words import Unhindered
from inference.protocol import logs


class Captured:
    """A logger of its own with what it writes."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        handler.addFilter(logs.note_jobs)
        self.log = logging.Logger("easel.test")
        self.log.addHandler(handler)

    @property
    def text(self) -> str:
        return self.stream.getvalue()


@pytest.fixture
def told() -> Captured:
    return Captured(logs.Json())


@pytest.fixture
def read() -> Captured:
    return Captured(logs.Text())


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


HOSTILE = [
    "two\nlines\r\nand \x85 \u2028 \u2029 more",
    "half a pair \ud83d and the other \udc00",
    "\x1b[31mred\x1b[0m \x00 \x07",
    '"}\n{"level":"forged"}',
    "\u202egnp.exe",
    "红房子 🏠",
]


@pytest.mark.parametrize("said", HOSTILE)
def test_one_object_stands_on_a_line_whatever_is_logged(told: Captured, said: str) -> None:
    try:
        raise ValueError(said)
    except ValueError:
        told.log.exception("it said %s", said)
    assert told.text.isascii()
    assert told.text.count("\n") == 1
    line = json.loads(told.text)
    json.dumps(line).encode()
    assert line["message"] == f"it said {said}".encode("utf-8", "backslashreplace").decode()
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert set(line) == {"time", "level", "logger", "message", "exception"}
    assert (line["level"], line["logger"]) == ("ERROR", "easel.test")
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


@pytest.mark.parametrize("said", HOSTILE)
def test_no_line_of_text_looks_like_another_than_it_is(read: Captured, said: str) -> None:
    read.log.error("it said %s", said)
    first, *others = read.text.splitlines()
    assert " ERROR easel.test: it said " in first
    assert all(other.startswith("    ") for other in others)
    assert not set(read.text) & set("\x00\x07\x1b\x85\u2028\u2029\u202e\r")


def test_what_cannot_be_formatted_is_a_line_all_the_same(told: Captured) -> None:
    told.log.error("%d pictures", "many")
    told.log.error("%s", Unspeakable())
    told.log.error(Unspeakable())
    try:
        raise ValueError(Unspeakable())
    except ValueError:
        told.log.exception("broken")
    lines = [json.loads(line) for line in told.text.splitlines()]
    assert [line["message"] for line in lines[:3]] == [
        "(this line cannot be formatted: TypeError)",
        *["(this line cannot be formatted: RuntimeError)"] * 2,
    ]
    assert "ValueError" in lines[3]["exception"]


def test_a_line_has_bounds(told: Captured) -> None:
    told.log.error("a" * 100_000 + "z")
    message = json.loads(told.text)["message"]
    assert len(message) < logs.MESSAGE_CHARS + 100
    assert message.endswith("az")
    assert f"({100_001 - logs.MESSAGE_CHARS} characters left out)" in message


def test_lines_say_which_jobs_they_are_about(told: Captured, read: Captured) -> None:
    for captured in (told, read):
        captured.log.warning("none")
        with logs.about(5):
            captured.log.warning("one")
            with logs.about(5, 6):
                captured.log.warning("two")
            captured.log.warning("one again")
            captured.log.warning("another", extra={"jobs": (9,)})
        captured.log.warning("none")
        with logs.about(*range(1, 31)):
            captured.log.warning("many")
    lines = [json.loads(line) for line in told.text.splitlines()]
    assert [line.get("jobs") for line in lines] == [None, [5], [5, 6], [5], [9], None, [*range(1, 31)]]
    texts = [line.partition("easel.test: ")[2] for line in read.text.splitlines()]
    assert texts == [
        "none",
        "job 5: one",
        "jobs 5, 6: two",
        "job 5: one again",
        "job 9: another",
        "none",
        "jobs 1, 2, 3, 4, 5, 6, 7, 8 and 22 more: many",
    ]


def test_a_line_is_the_same_when_it_has_been_to_another_process(told: Captured) -> None:
    with logs.about(3):
        try:
            raise KeyError("x")
        except KeyError:
            told.log.exception("lost")
    there = told.text
    line = logs.Line(**json.loads(there))
    told.stream.truncate(0)
    told.stream.seek(0)
    told.log.handle(logs.record_of(line))
    assert told.text == there


def test_what_nobody_catches_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    for name in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    level, stream = root.level, io.StringIO()
    try:
        logs.begin("INFO", "json", stream)
        sys.excepthook(ValueError, ValueError("alone"), None)
        thread = threading.Thread(target=lambda: 1 / 0, name="painter")
        thread.start()
        thread.join()
        logging.getLogger("x").debug("nobody reads this")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(False)
            logging.captureWarnings(True)
            warnings.warn("grown old", DeprecationWarning, stacklevel=1)
    finally:
        root.setLevel(level)
        logging.captureWarnings(False)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["CRITICAL", "CRITICAL", "WARNING"]
    assert "grown old" in lines[2]["message"]
    assert "alone" in lines[0]["exception"]
    assert "painter" in lines[1]["message"]
    assert "ZeroDivisionError" in lines[1]["exception"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def drained(reading: int) -> bytes:
    data = b""
    while True:
        try:
            data += os.read(reading, 2**20)
        except BlockingIOError:
            return data


def test_a_full_pipe_keeps_nobody_waiting_and_what_was_left_out_is_said(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    stream = io.TextIOWrapper(Unhindered(writing), write_through=True)  # type: ignore[type-var]
    for number in range(3_000):
        stream.write(f"{number:06} {'x' * 100}\n")
    early = drained(reading)
    stream.write("later\n")
    late = drained(reading)
    lines = (early + late).decode().splitlines()
    whole = [line for line in lines if len(line) == 107]
    assert [int(line[:6]) for line in whole] == [*range(len(whole))]
    missing = 3_000 - len(whole)
    assert missing > 1_000
    assert lines[len(whole) :] == [f"({missing} pieces were left out here)", "later"]


def test_a_closed_pipe_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    stream = io.TextIOWrapper(Unhindered(writing), write_through=True)  # type: ignore[type-var]
    print("to nobody", file=stream)
