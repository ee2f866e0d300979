"""A picture that was painted before, from a member's Enter to the picture in the channel, beside painting it."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.beside import Row, counted
from benchmarks.enter_to_picture import has_its_picture
from sandbox.cli.bot_process import BotProcess
from sandbox.client.member import Member
from sandbox.server import Sandbox

COMMAND = "/imagine prompt:a red house on a meadow at night steps:25 seed:{seed}"


async def measure(times: int) -> list[Row]:
    """Ask twice for each of so many pictures, in a real bot with the real engine; by the clock."""
    painted_s: list[float] = []
    found_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox() as sandbox, BotProcess(sandbox, Path(folder)) as bot, Member(sandbox.url, "Ada") as ada:
            await bot.until_ready()
            for seed in range(times + 1):
                for seconds in (painted_s, found_s):
                    began_s = time.perf_counter()
                    reply = await ada.command(COMMAND.format(seed=seed))
                    await ada.wait_for(reply.message, has_its_picture)
                    seconds.append(time.perf_counter() - began_s)
    # The first ones warm up.
    ours, baseline = (statistics.median(each[1:]) for each in (found_s, painted_s))
    name = "Enter to picture of what was painted before, beside painting it"
    return [counted(name, None, "s", ours, baseline, times, "by the clock, 25 steps")]
