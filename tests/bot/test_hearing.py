"""What processes say that the bot has started, and what is told of how they die: with real processes and pipes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.engine import hearing as hearing_module
from bot.engine.hearing import Hearing, ending
from bot.engine.link import Link
from bot.engine.process import InferenceProcess
from bot.errors import EngineDied, OperatorError
from inference.protocol import Event, Finished, logs
from tests.bot.conftest import request
from tests.bot.test_engine import PRELUDE, ROOT

LOGS = "import logging; from inference.protocol import logs; logs.begin('INFO', os.environ['EASEL_LOG_FORMAT'])\n"


@pytest.fixture
def engine_of(tmp_path: Path) -> Callable[[str], InferenceProcess]:
    """The process of a module with this text."""

    def make(text: str) -> InferenceProcess:
        (tmp_path / "pretending.py").write_text(PRELUDE.format(root=str(ROOT)) + LOGS + text)
        environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
        return InferenceProcess(environ, tmp_path, 60.0, name="engine 1 (cpu)", program=("pretending",), admitted=dict)

    return make


@asynccontextmanager
async def running(engine: InferenceProcess) -> AsyncIterator[InferenceProcess]:
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def events(engine: InferenceProcess, *jobs: int) -> list[Event]:
    return [event async for event in engine.run([request(job=job) for job in jobs])]


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(logs.note_jobs)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    caplog.set_level(logging.INFO)
    kept = Kept()
    logging.getLogger().addHandler(kept)
    yield kept.records
    logging.getLogger().removeHandler(kept)


async def test_the_engines_lines_are_among_the_bots_with_its_name_and_its_jobs(
    engine_of: Callable[[str], InferenceProcess], records: list[logging.LogRecord]
) -> None:
    script = """
send(ready())
[asked] = receive().requests
with logs.about(asked.job):
    logging.getLogger("inference.models.store").info("resident\\nindeed")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("inference.engine").exception("broken")
logging.getLogger("inference").debug("not asked for")
print("a library says something")
finish(asked.job)
receive()
"""
    async with running(engine_of(script)) as engine:
        await events(engine, 7)
    of_engine = [record for record in records if getattr(record, "engine", None)]
    assert [(record.name, record.levelname, record.jobs, record.getMessage()) for record in of_engine] == [  # type: ignore[attr-defined]
        ("inference.models.store", "INFO", (7,), "resident\nindeed"),
        ("inference.engine", "ERROR", (7,), "broken"),
        ("bot.engine.hearing", "WARNING", (), "a library says something"),
    ]
    assert {record.engine for record in of_engine} == {"engine 1 (cpu)"}  # type: ignore[attr-defined]
    assert "ZeroDivisionError" in (of_engine[1].exc_text or "")
    line = json.loads(logs.Json().format(of_engine[1]))
    assert (line["engine"], line["jobs"]) == ("engine 1 (cpu)", [7])
    assert "engine 1 (cpu), inference.models.store: job 7: resident\n    indeed" in logs.Text().format(of_engine[0])


async def test_a_crash_is_told_by_its_name_with_where_it_was_and_what_was_at_work(
    engine_of: Callable[[str], InferenceProcess], records: list[logging.LogRecord]
) -> None:
    script = """
import faulthandler, threading
faulthandler.enable(2)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
send(ready())
[asked] = receive().requests
send(Began((asked.job,)))
time.sleep(0.2)
def paint():
    faulthandler._sigsegv()
paint()
"""
    async with running(engine_of(script)) as engine:
        with pytest.raises(EngineDied) as raised:
            await events(engine, 5)
        keeping = asyncio.create_task(engine.keep())
        # It says so before it waits for the first time.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    said = str(raised.value)
    assert "exit status -11: SIGSEGV, segmentation fault" in said
    assert "it said last: Fatal Python error: Segmentation fault" in said
    assert "\n" not in said
    words = raised.value.last_words
    assert words[0] == "Fatal Python error: Segmentation fault"
    assert words[1].startswith("Current thread 0x")
    assert "in paint" in words[2]
    [told] = [record for record in records if "starting it again" in record.getMessage()]
    line = json.loads(logs.Json().format(told))
    assert (line["engine"], line["jobs"], line["level"]) == ("engine 1 (cpu)", [5], "ERROR")
    assert line["exception"].splitlines() == list(words)


async def test_what_an_engine_says_last_is_the_reason_for_its_death(
    engine_of: Callable[[str], InferenceProcess], records: list[logging.LogRecord]
) -> None:
    script = """
print("some words", file=sys.stderr)
logging.getLogger("inference").critical("the engine ends: %s", "CUDA error: an illegal memory access")
sys.exit(1)
"""
    with pytest.raises(EngineDied, match=r"\(exit status 1; it said last: the engine ends: CUDA error"):
        await engine_of(script).start()
    with pytest.raises(EngineDied, match="exit status 1; it said last: RuntimeError: no kernel image") as raised:
        await engine_of("raise RuntimeError('no kernel image')").start()
    assert raised.value.last_words == ("nobody caught an error", "RuntimeError: no kernel image")
    assert any("Traceback" in (record.exc_text or "") for record in records)


async def test_an_engine_that_the_system_ends_for_want_of_memory_is_told_from_one_that_somebody_kills(
    engine_of: Callable[[str], InferenceProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing_module, "VMSTAT", tmp_path / "vmstat")
    (tmp_path / "vmstat").write_text("oom_kill 3\n")
    engine = engine_of("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(EngineDied, match="exit status -9: killed from outside, as the system does where memory is"):
        await engine.start()
    script = f"open({str(tmp_path / 'vmstat')!r}, 'w').write('oom_kill 4'); os.kill(os.getpid(), signal.SIGKILL)"
    engine = engine_of(script)
    with pytest.raises(EngineDied, match="exit status -9: ended by the system, whose memory was full"):
        await engine.start()
    assert "whose memory was full" in engine.condition.why


async def test_what_the_operator_must_do_is_said_once_in_the_engines_words(
    engine_of: Callable[[str], InferenceProcess], records: list[logging.LogRecord]
) -> None:
    script = "print('easel: set EASEL_DEVICE', file=sys.stderr)\nsys.exit(int(os.environ['STATUS']))"
    engine = engine_of(script)
    engine._environ["STATUS"] = "2"
    with pytest.raises(OperatorError, match=r"^set EASEL_DEVICE$"):
        await engine.start()
    assert not records
    engine._environ["STATUS"] = "1"
    with pytest.raises(EngineDied):
        await engine.start()
    assert [record.getMessage() for record in records] == ["set EASEL_DEVICE"]


async def test_a_flood_of_words_keeps_neither_the_engine_nor_the_bot_waiting(
    engine_of: Callable[[str], InferenceProcess], tmp_path: Path, records: list[logging.LogRecord]
) -> None:
    """The bot hears nothing for a while, and its engine, which says many times what a pipe holds, goes on."""
    script = f"""
from inference.exchange import words
stream = words.unhindered()
send(ready())
[asked] = receive().requests
for number in range(30_000):
    print("flood", number, "x" * 200)
open({str(tmp_path / "done")!r}, "w").close()
finish(asked.job)
receive()
"""
    async with running(engine_of(script)) as engine:
        asking = asyncio.create_task(events(engine, 1))
        for _ in range(10):
            await asyncio.sleep(0)
        for _ in range(1_000):
            # Nobody listens meanwhile.
            time.sleep(0.02)  # noqa: ASYNC251
            if (tmp_path / "done").exists():
                break
        assert (tmp_path / "done").exists()
        assert isinstance((await asking)[-1], Finished)
    heard = [record.getMessage() for record in records if record.getMessage().startswith("flood")]
    assert 0 < len(heard) < 30_000
    assert len(engine._link.hearing._last) <= hearing_module.LAST_LINES


async def test_the_last_words_are_heard_also_where_somebody_else_holds_the_pipe(tmp_path: Path) -> None:
    link = Link("the process")
    child = "import subprocess, sys; print('farewell', flush=True); p = subprocess.Popen(['sleep', '60']); print(p.pid)"
    await link.open(("-c", child), os.environ)
    with pytest.raises(EngineDied):
        await link.receive()
    assert await link.reap() == 0
    farewell, pid = link.hearing.last_words()
    assert farewell == "farewell"
    os.kill(int(pid), signal.SIGKILL)


async def test_lines_are_whole_and_bounded_however_they_come(caplog: pytest.LogCaptureFixture) -> None:
    heard = Hearing("engine 1")
    most = hearing_module.LINE_BYTES
    heard.data_received(b"one")
    heard.data_received(b" line\nand ")
    heard.data_received(b"another\n\n\n" + b"y" * most)
    for _ in range(5):
        heard.data_received(b"y" * most)
    heard.data_received(b"y\n\xff\xfe no text\n")
    heard.data_received(b'{"level": 5}\n{"time":"soon","level":"INFO","logger":"x","message":"y"}\nand the rest')
    heard.connection_lost(None)
    one, another, cut, no_text, *others, rest = caplog.messages
    assert (one, another, no_text) == ("one line", "and another", "\\xff\\xfe no text")
    assert cut == "y" * most
    assert others == ['{"level": 5}', '{"time":"soon","level":"INFO","logger":"x","message":"y"}']
    assert rest == "and the rest"


@pytest.mark.parametrize("is_ours", [True, False])
async def test_where_it_crashed_is_told_also_where_that_was_in_no_thread_of_pythons(is_ours: bool) -> None:
    heard = Hearing("engine 1")
    heard.data_received(b"Fatal Python error: Aborted\n\nThread 0x01 (most recent call first):\n  File a\n\n")
    heard.data_received(
        b"%s 0x02 (most recent call first):\n  File b\n" % (b"Current thread" if is_ours else b"Thread")
    )
    name, where, *rest = heard.last_words()
    assert name == heard.telling() == "Fatal Python error: Aborted"
    assert "hread 0x02" in where
    assert rest == ["  File b"]
    without = Hearing("engine 1")
    without.data_received(b"Fatal Python error: Aborted\n")
    assert without.last_words() == ("Fatal Python error: Aborted",)


async def test_what_ray_brings_from_elsewhere_is_read_as_if_it_were_said_here(
    records: list[logging.LogRecord],
) -> None:
    heard = Hearing("engine 2 (10.0.0.2)")
    said = (
        b'{"time": "2026-11-30T03:00:00.000Z", "level": "INFO", "logger": "inference.x", "message": "m", "jobs": [4]}'
    )
    heard.data_received(b"\x1b[36m(Host pid=17, ip=10.0.0.2)\x1b[0m " + said + b"\n(Host pid=17) easel: fetch it\n")
    [record] = records
    assert (record.name, record.getMessage(), record.jobs) == ("inference.x", "m", (4,))  # type: ignore[attr-defined]
    assert heard.told() == "fetch it"


def test_the_end_of_a_process_is_said_in_words() -> None:
    assert ending(1, ours=False, oom=False) == "exit status 1"
    assert ending(-6, ours=False, oom=False) == "exit status -6: SIGABRT, aborted"
    assert ending(-9, ours=True, oom=False) == "exit status -9: ended by Easel"
    assert ending(-9, ours=False, oom=True) == "exit status -9: ended by the system, whose memory was full"
    assert "as the system does where memory is full" in ending(-9, ours=False, oom=False)
    assert ending(-1000, ours=False, oom=False) == "exit status -1000: a signal"


def test_the_systems_own_count_of_those_it_has_ended_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing_module, "VMSTAT", tmp_path / "vmstat")
    assert hearing_module.oom_kills() is None
    (tmp_path / "vmstat").write_text("pgfault 1\noom_kill 3\n")
    assert hearing_module.oom_kills() == 3
