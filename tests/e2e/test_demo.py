"""`make demo` stopped with Ctrl-C and started again: the old messages are there, and their buttons work."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.client.member import Member
from tests.e2e.asking import QUICK, forgotten, painted, unsigned
from tests.e2e.conftest import ROOT


@asynccontextmanager
async def demo(data: Path, port: int) -> AsyncIterator[str]:
    """The demo as a process of its own, ended as a person ends it; gives the address of its page."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", "demo", "--port", str(port), "--data", str(data)),
        cwd=ROOT,
        # No screen: nothing is to be opened on the machine that runs the tests.
        env={name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        url = f"http://127.0.0.1:{port}"
        assert (await process.stdout.readline()).decode() == f"Easel is ready: {url}\n"
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_demo_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    port = free_port()
    async with demo(tmp_path, port) as url, Member(url, "Ada") as ada:
        first, [picture] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    async with demo(tmp_path, port) as url, Member(url, "Ada") as ada:
        [message] = (await ada.state())["messages"]
        assert message["id"] == first["id"]
        assert await unsigned(ada, message) == [picture]
        _, [rerolled] = await painted(ada, await ada.click(message, "Re-roll"))
        _, variations = await painted(ada, await ada.click(message, "V1"))
        await forgotten(ada, message)
        _, [again] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    assert rerolled != picture
    assert len(variations) == 4
    assert again == picture
