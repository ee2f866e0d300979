"""Seconds from a member's Enter to the picture in their channel: real bot, real engine, the sandbox as Discord."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.timings import Timing, timing
from sandbox.cli.bot_process import BotProcess
from sandbox.client.member import Json, Member, media_of
from sandbox.server import Sandbox

COMMAND = "/imagine prompt:a red house on a meadow at night seed:{seed}"


async def measure(times: int) -> Sequence[Timing]:
    """Type the command again and again, and wait each time until the picture stands in the reply."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox() as sandbox, BotProcess(sandbox, Path(folder)) as bot, Member(sandbox.url, "Ada") as ada:
            await bot.until_ready()
            for number in range(times + 2):
                began = time.perf_counter()
                reply = await ada.command(COMMAND.format(seed=number))
                await ada.wait_for(reply.message, has_its_picture)
                if number >= 2:
                    seconds.append(time.perf_counter() - began)
    return [timing("from a member's Enter to the picture in the channel, 8 steps", seconds)]


def has_its_picture(message: Json) -> bool:
    """Whether the reply holds a picture that is not a preview."""
    return any(media["url"].partition("?")[0].endswith(".png") for media in media_of(message))
