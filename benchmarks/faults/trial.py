"""One run of everything: a sandbox, a data folder, and the bot in it, started, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import aiohttp
from msgspec.structs import replace

from benchmarks.faults import victim
from benchmarks.faults.victim import Order
from benchmarks.faults.witness import Witness
from sandbox.client.member import Member
from sandbox.clock import Clock
from sandbox.community.beginning import GUILD_ID
from sandbox.platform.commands import GLOBAL
from sandbox.platform.interaction import Interaction
from sandbox.server import Sandbox

START_WITHIN_S = 120.0
QUIET_WITHIN_S = 60.0
TIDY_WITHIN_S = 10.0
LOOK_EVERY_S = 0.1

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["benchmarks.faults.victim"])


KEPT_LOGS = Path("build/faults")


async def until(condition: Callable[[], object], every_s: float = 0.02) -> None:
    """Look again and again until this is so."""
    while not condition():  # noqa: ASYNC110 - looks at processes and files, which tell nobody
        await asyncio.sleep(every_s)


class Trial:
    """A place for one scenario while the `async with` block lasts."""

    def __init__(
        self, *, members: int = 0, data: Path | None = None, clock: Clock | None = None, **environ: object
    ) -> None:
        """`environ` are variables of the bot, such as `easel_max_waiting`."""
        self.sandbox = Sandbox(members=members, clock=clock)
        self.witness = Witness(self.sandbox.state.hub)
        self.crashes: list[str] = []
        """Ends of the bot that nobody had asked for."""
        self.kills = 0
        self.deleted: set[int] = set()
        """The jobs that somebody wanted to be gone."""
        self.cancelled: set[int] = set()
        """Those of which somebody was told that they end."""
        self.pressed_cancel: set[int] = set()
        self.may_fail: set[int] = set()
        """Those that may end in a sentence."""
        self.reply_closed = False
        """Whether Discord lets nobody edit replies: what they say at last is no fault of the bot's then."""
        self.excuses: tuple[str, ...] = ("send the command again",)
        """Words of reasons for which any job may end here: at first, of an upload that was being read at a kill."""
        self._folder = TemporaryDirectory(prefix="easel-faults-")
        self.data = data or Path(self._folder.name) / "data"
        self.log = Path(self._folder.name) / "bot.log"
        self._environ = {name.upper(): str(value) for name, value in environ.items()}
        self._process: BaseProcess | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.sandbox.__aenter__()
        connector = aiohttp.TCPConnector(limit=0)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.is_alive():
            await self.stop()
        assert self._http is not None
        await self._http.close()
        await self.sandbox.__aexit__(None, None, None)
        self._folder.cleanup()

    def member(self, name: str, channel: str | None = None) -> Member:
        """Somebody who shares one connection with all others; needs no `async with`."""
        return Member(self.sandbox.url, name, channel, http=self._http)

    @property
    def director(self) -> Member:
        """Whoever makes Discord fail."""
        return self.member("Ada")

    @property
    def pid(self) -> int:
        """The bot's process."""
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the bot's process is there."""
        return self._process is not None and self._process.is_alive()

    def engine_pids(self) -> list[int]:
        """The processes that the bot has started as its engine."""
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return [int(child) for child in children if _is_engine(int(child))]
        return []

    def launch(self, **order: Any) -> None:
        """Start the bot's process; what it is to do is said by the fields of an `Order`."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EASEL_")} | {
            "DISCORD_TOKEN": self.sandbox.token,
            "DISCORD_API_BASE": self.sandbox.api_url,
            "EASEL_DATA": str(self.data),
            "EASEL_DEVICE": "cpu",
            "EASEL_WATCH": "off",
            "EASEL_MAX_WAITING": "100000",
            "EASEL_MAX_WAITING_PER_MEMBER": "1000",
            **self._environ,
        }
        given = replace(Order(environ=environ, log=self.log), **order)
        self._process = _forks.Process(target=victim.run, args=(given,), daemon=True)
        self._process.start()

    async def start(self, **order: Any) -> None:
        """Start the bot and wait until members can use its commands, or until it is dead again."""
        self.launch(**order)
        await self.online()

    async def online(self) -> None:
        """Wait until members can use the bot's commands, and nothing is said of an engine that starts; returns early
        where the bot's process ends meanwhile."""
        state = self.sandbox.state
        async with asyncio.timeout(START_WITHIN_S):
            while not (
                state.gateway.online
                and (state.commands.listed(GLOBAL) or state.commands.listed(GUILD_ID))
                and not state.gateway.says
            ):
                if not self.running:
                    return
                await asyncio.sleep(0.02)

    async def ended(self) -> int:
        """Wait for the end of the bot's process; returns its exit status, negative for a signal."""
        status = await self._end_of_process()
        await until(lambda: not self.sandbox.state.gateway.online)
        return status

    async def _end_of_process(self) -> int:
        process = self._process
        assert process is not None
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(process.sentinel, over.set)
        try:
            if process.is_alive():
                await over.wait()
        finally:
            loop.remove_reader(process.sentinel)
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    async def kill(self) -> None:
        """End the bot with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        self.kills += 1
        await self.ended()

    async def second(self) -> int:
        """Start another bot on the same folder; returns its exit status once it has ended."""
        first = self._process
        try:
            self.launch()
            return await self._end_of_process()
        finally:
            self._process = first

    async def stop(self) -> int:
        """End the bot with SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(60):
                return await self.ended()
        except TimeoutError:
            self.crashes.append("did not end on SIGTERM within 60 s")
            os.kill(self.pid, signal.SIGKILL)
            return await self.ended()

    async def live(self, orders: Iterable[dict[str, Any]]) -> None:
        """Start the bot with one order after the other, each when the one before has killed it, and the last, which has
        no kill, for good; returns when that one is online."""
        for order in orders:
            await self.start(**order)
            if order.get("kill") is None:
                return
            status = await self.ended()
            if status == -signal.SIGKILL:
                self.kills += 1
            else:
                self.crashes.append(f"ended with status {status} at {order['kill']}")

    def keep_log(self) -> Path:
        """Keep what the bot has logged beyond this trial; returns where."""
        KEPT_LOGS.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(self.log, KEPT_LOGS / f"{self.log.parent.name}.log"))

    def rows(self, question: str, *parameters: object) -> list[Any]:
        """What the bot's database answers to a question."""
        return list(self._ask(question, parameters))

    def _ask(self, question: str, parameters: tuple[object, ...]) -> Iterator[Any]:
        file = self.data / "easel.sqlite3"
        if not file.exists():
            return
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=15)) as connection:
            yield from connection.execute(question, parameters).fetchall()

    def unfinished(self) -> str:
        """What is still under way, in words; empty where nothing is."""
        state = self.sandbox.state
        open_rows = self.rows("SELECT count(*) FROM job WHERE delivered_at IS NULL")
        waiting = [one for one in self.interactions() if one.state == "sent" and not one.acknowledged]
        if open_rows and open_rows[0][0]:
            return f"{open_rows[0][0]} rows"
        if waiting:
            return f"{len(waiting)} interactions"
        return "" if state.gateway.online else "the bot"

    def interactions(self) -> list[Interaction]:
        """Every interaction that there was."""
        known = self.sandbox.state.interactions
        return [one for number in self.witness.interactions if (one := known.get(number)) is not None]

    async def _tidy(self) -> bool:
        """Let what nobody waits for any more be given up, such as an upload of a job that was deleted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIDY_WITHIN_S):
                await until(lambda: not any((self.data / "incoming").iterdir()), every_s=LOOK_EVERY_S)
        return True

    async def quiet(self, within_s: float = QUIET_WITHIN_S) -> bool:
        """Wait until every job has come to its end; False where that did not happen in time."""
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if not self.running:
                self.crashes.append("was not running any more")
                return False
            if not self.unfinished():
                await asyncio.sleep(0.5)
                if not self.unfinished():
                    return await self._tidy()
            await asyncio.sleep(LOOK_EVERY_S)
        return False


def _is_engine(pid: int) -> bool:
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"painter" in command or b"\0inference\0" in command
    return False
