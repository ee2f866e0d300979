"""`python -m sandbox`, with a bot on the bare library in Easel's place: not only discord.py can log in."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.cli.bot_process import BotEnded, BotProcess
from sandbox.cli.demo import demo
from sandbox.cli.say import say
from sandbox.client.member import Member
from sandbox.server import Sandbox
from tests import openapi

ROOT = Path(__file__).parents[2]
POCKET_BOT = ("-m", "tests.sandbox.pocket_bot")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[str]:
    async with Sandbox() as sandbox, BotProcess(sandbox, tmp_path / "bot", POCKET_BOT) as bot:
        await bot.until_ready()
        yield sandbox.url


async def speak(text: str, url: str, out: Path | None = None, clicks: tuple[str, ...] = ()) -> int:
    return await say(text, member="Ada", url=url, data=None, out=out, clicks=list(clicks), timeout_s=20, quiet_s=1.5)


async def test_saying_a_command_prints_the_replies_and_saves_the_pictures(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await speak("/imagine prompt:a red house", place, tmp_path / "out", ("Again",)) == 0
    printed = capsys.readouterr().out
    assert "Easel: a red house\n  buttons: Again\n" in printed
    assert printed.endswith("Easel: There is nothing more.\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["red.png"]
    async with Member(place) as ada:
        assert openapi.problems(await ada.log()) == []


async def test_wrong_commands_and_missing_answers_have_their_own_statuses(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await speak("/imagine prompt:x seed:much", place) == 2
    assert capsys.readouterr().err == "The option “seed” must be a whole number, not “much”.\n"
    assert await speak("/imagine prompt:x picture:missing.png", place) == 2
    assert "The file missing.png can't be read" in capsys.readouterr().err
    assert await speak("/imagine prompt:withdrawn", place) == 1
    assert capsys.readouterr().err == "The bot has withdrawn its answer.\n"
    assert await speak("/imagine prompt:nothing", place) == 1
    assert capsys.readouterr().err == "The application did not respond.\n"


async def test_bot_that_refuses_to_start_is_reported(tmp_path: Path) -> None:
    async with Sandbox() as sandbox, BotProcess(sandbox, tmp_path, (*POCKET_BOT, "refuse")) as bot:
        with pytest.raises(BotEnded) as ended:
            await bot.until_ready()
    assert ended.value.status == 2


async def test_demo_says_when_all_is_ready_and_stops_the_bot_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[BotProcess] = []

    def pocket_bot(sandbox: Sandbox, data: Path) -> BotProcess:
        started.append(BotProcess(sandbox, data, POCKET_BOT))
        return started[0]

    monkeypatch.setattr("sandbox.cli.demo.BotProcess", pocket_bot)
    monkeypatch.setenv("DISPLAY", ":0")
    opened = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("webbrowser.open", lambda _: loop.call_soon_threadsafe(opened.set))
    running = asyncio.create_task(demo(Sandbox(data=tmp_path, token="another-token"), tmp_path))
    async with asyncio.timeout(20):
        await opened.wait()
    assert capsys.readouterr().out.startswith("Easel is ready: http://127.0.0.1:")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert await started[0].until_ended() != 0
    assert (tmp_path / "sandbox.db").is_file()


async def _run(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "sandbox", *arguments)
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe)


async def test_serving_ends_cleanly_and_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    first = await _run("serve", "--port", "0", "--data", str(tmp_path))
    assert first.stdout is not None
    ready = (await first.stdout.readline()).decode()
    assert ready.startswith("The sandbox is ready: http://127.0.0.1:")
    second = await _run("serve", "--port", ready.strip().rpartition(":")[2])
    _, complaint = await second.communicate()
    assert second.returncode == 2
    assert complaint.decode().count("\n") == 1
    assert "is in use by another program; choose another one with --port." in complaint.decode()
    first.send_signal(signal.SIGINT)
    _, complaint = await first.communicate()
    assert (first.returncode, complaint) == (0, b"")
