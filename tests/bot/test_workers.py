"""Child processes that work on pictures: confined, replaced when they fall, gone when the bot is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from bot.errors import MemberError, WorkFailed
from bot.pictures import workers as workers_module
from bot.pictures.calls import Limits
from bot.pictures.workers import ROOT, Workers, Workshop
from tests.bot import work

LIMITS = Limits(memory_bytes=2**30, written_bytes=4 * 2**20, cpu_s=30, wall_s=30.0)


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    opened = Workers(LIMITS, at_once=2)
    yield opened
    await opened.close()


def limited(**changes: float) -> Workers:
    return Workers(msgspec.structs.replace(LIMITS, **changes), at_once=1)


async def pid(workers: Workers, folder: Path) -> int:
    return int((await workers.run(work.describe, folder))["pid"])


def runs(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] not in "ZX"


def poll(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.01)


async def until(true: Callable[[], bool]) -> None:
    await asyncio.to_thread(poll, true)


async def gone(process: int) -> None:
    await until(lambda: not runs(process))


async def begun(mark: Path) -> int:
    await until(lambda: mark.exists() and mark.read_text() != "")
    return int(await asyncio.to_thread(mark.read_text))


async def test_child_has_nothing_of_the_bots(workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    with (tmp_path / "lock").open("w"):
        seen = await workers.run(work.describe, tmp_path)
    assert int(seen["pid"]) != os.getpid()
    assert set(seen["variables"].split()) <= {"PYTHONPATH", "LD_LIBRARY_PATH", "LC_CTYPE"}
    assert seen["files"] == ""
    assert not {"discord", "aiosqlite", "aiohttp", "torch", "bot.__main__"} & set(seen["modules"].split())


async def test_what_libraries_print_is_no_answer_and_in_no_log(
    workers: Workers, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await workers.run(work.chatter) == "done"
    assert capfd.readouterr() == ("", "")


async def test_one_start_serves_many_calls(workers: Workers, tmp_path: Path) -> None:
    assert len({await pid(workers, tmp_path) for _ in range(5)}) == 1


async def test_child_is_replaced_after_some_calls(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "CALLS_OF_A_CHILD", 2)
    first, again, other = [await pid(workers, tmp_path) for _ in range(3)]
    assert first == again != other
    await gone(first)


async def test_no_more_run_at_once_than_may(workers: Workers, tmp_path: Path) -> None:
    pids = await asyncio.gather(*(pid(workers, tmp_path) for _ in range(12)))
    assert len(set(pids)) == 2


async def test_refusal_arrives_as_it_was_raised(workers: Workers) -> None:
    with pytest.raises(MemberError, match="Give another one.") as error:
        await workers.run(work.refuse)
    assert not isinstance(error.value, WorkFailed)


@pytest.mark.parametrize("kind", ["RuntimeError", "TypeError", "RecursionError", "OverflowError"])
async def test_whatever_a_library_raises_is_a_sentence(
    workers: Workers, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level("DEBUG", logger="bot.pictures.workers"),
        pytest.raises(WorkFailed, match="damaged or cut short"),
    ):
        await workers.run(work.stumble, kind)
    [line] = caplog.messages
    assert kind in line


async def test_full_disk_is_told_to_the_operator(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(WorkFailed, match="no room for pictures"):
        await workers.run(work.stumble, "ENOSPC")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_four_gigabytes_die_in_the_child(workers: Workers) -> None:
    with pytest.raises(WorkFailed, match="too much memory"):
        await workers.run(work.take_memory, 4 * 2**30)
    assert await workers.run(work.number, 7) == 7


async def test_child_that_writes_too_much_is_stopped(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match="too large to keep"):
        await workers.run(work.write, tmp_path / "large", 8 * 2**20)
    assert (tmp_path / "large").stat().st_size <= LIMITS.written_bytes


async def test_child_that_uses_too_many_seconds_is_ended() -> None:
    workers = limited(cpu_s=1)
    with pytest.raises(WorkFailed, match="too long"):
        await workers.run(work.spin, 60.0)
    # What earlier calls have used does not count against the next.
    for _ in range(2):
        await workers.run(work.spin, 0.6)
    await workers.close()


async def test_child_that_hangs_is_ended(tmp_path: Path) -> None:
    workers = limited(wall_s=2.0)
    with pytest.raises(WorkFailed, match="too long"):
        await workers.run(work.sleep, 600.0, tmp_path / "pid")
    assert not runs(int((tmp_path / "pid").read_text()))
    assert await workers.run(work.number, 3) == 3
    await workers.close()


async def test_crash_is_a_sentence_and_the_next_call_is_served(workers: Workers) -> None:
    with pytest.raises(WorkFailed, match="could not be read"):
        await workers.run(work.die)
    assert await workers.run(work.number, 3) == 3


async def test_child_that_hangs_up_and_stays_is_ended(workers: Workers) -> None:
    with pytest.raises(WorkFailed):
        await workers.run(work.hang_up)
    assert await workers.run(work.number, 3) == 3


async def test_child_that_was_killed_while_idle_costs_no_call(workers: Workers, tmp_path: Path) -> None:
    idle = await pid(workers, tmp_path)
    os.kill(idle, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{idle}").exists())
    await asyncio.sleep(0.05)  # until asyncio has heard of it
    assert await workers.run(work.number, 3) == 3


async def test_what_a_child_says_is_not_believed(workers: Workers) -> None:
    assert await workers.run(work.talk) == 1
    with pytest.raises(WorkFailed):
        await workers.run(work.lie)
    assert await workers.run(work.number, 3) == 3


async def test_cancelling_a_call_ends_its_child(workers: Workers, tmp_path: Path) -> None:
    call = asyncio.create_task(workers.run(work.sleep, 600.0, tmp_path / "pid"))
    child = await begun(tmp_path / "pid")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gone(child)


async def test_closing_does_not_wait_for_a_child_that_hangs(tmp_path: Path) -> None:
    workers = limited()
    call = asyncio.create_task(workers.run(work.sleep, 600.0, tmp_path / "pid"))
    child = await begun(tmp_path / "pid")
    await workers.close()
    with pytest.raises(WorkFailed):
        await call
    with pytest.raises(WorkFailed):
        await workers.run(work.number, 3)
    await gone(child)


BOT = """
import asyncio, sys
from pathlib import Path
from bot.pictures.workers import UPLOADS, Workers
from tests.bot import work

async def main():
    workers = Workers(UPLOADS, at_once=2)
    idle = await workers.run(work.describe, Path("/"))
    print(idle["pid"], flush=True)
    await workers.run(work.sleep, 600.0, Path(sys.argv[1]))

asyncio.run(main())
"""


@pytest.mark.parametrize("busy", [True, False])
async def test_children_end_with_a_bot_that_is_killed(busy: bool, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = BOT if busy else BOT.replace("await workers.run(work.sleep", "await asyncio.sleep(600) #")
    bot = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, mark), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert bot.stdout is not None
    child = int(await bot.stdout.readline())
    if busy:
        await begun(mark)
    bot.kill()
    await bot.wait()
    await gone(child)


async def test_member_has_one_turn_at_a_time_and_holds_up_nobody(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    order: list[str] = []
    first, free = asyncio.Event(), asyncio.Event()

    async def take(member: int, name: str, end: asyncio.Event) -> None:
        async with workshop.turn(member) as folder:
            (folder / "left").touch()
            order.append(name)
            first.set()
            await end.wait()

    one = asyncio.create_task(take(1, "hers", free))
    await first.wait()
    done = asyncio.Event()
    done.set()
    two = asyncio.create_task(take(1, "hers again", done))
    await take(2, "his", done)
    assert order == ["hers", "his"]
    free.set()
    await asyncio.gather(one, two)
    assert order == ["hers", "his", "hers again"]
    assert not list(os.scandir(tmp_path))
