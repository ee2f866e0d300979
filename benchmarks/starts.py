"""From `python -m bot` to the first answer and to the first picture, beside a bare script that reads the same libraries
and loads and calls the same pipeline.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.beside import Row
from benchmarks.enter_to_picture import COMMAND, has_its_picture
from sandbox.cli.bot_process import BotProcess
from sandbox.client.member import Member, text_of
from sandbox.server import Sandbox

BARE = """
import torch
from diffusers import StableDiffusionPipeline
torch.set_num_threads(max(1, torch.get_num_threads() - 1))
pipeline = StableDiffusionPipeline.from_pretrained("starter/models/picture", dtype=torch.float32)
pipeline.set_progress_bar_config(disable=True)
print("loaded", flush=True)
pipeline("a red house on a meadow at night", width=64, height=64)
print("painted", flush=True)
"""
"""What one would write: it paints the starter's own 64 pixels and enlarges, marks and writes nothing."""


async def measure(times: int) -> list[Row]:
    """Start both in turn, so often, the bot on a folder in which it has been started before."""
    ours, bare = [], []
    with TemporaryDirectory() as folder:
        await started(Path(folder), 0)
        for number in range(times):
            ours.append(await started(Path(folder), number + 1))
            bare.append(await called())
    return [
        _row("the first answer after a start, beside libraries and model that are loaded", 0.5, ours, bare, 0),
        _row("the first picture after a start, beside that of a bare script", 1.3, ours, bare, 1),
    ]


async def started(data: Path, seed: int) -> tuple[float, float]:
    """Seconds from the start of the bot to the card of a command, and to the picture in it. Members try until they are
    not told to try again."""
    async with Sandbox() as sandbox, Member(sandbox.url, "Ada") as ada:
        began_s = time.perf_counter()
        async with BotProcess(sandbox, data) as bot:
            ended = asyncio.create_task(bot.until_ended())
            state = sandbox.state
            while not (state.gateway.online and state.commands.offered(state.world.members[0])):
                assert not ended.done(), "the bot ended"
                await state.hub.change(timeout_s=0.2)
            while "try again in a minute" in text_of((reply := await ada.command(COMMAND.format(seed=seed))).message):
                await state.hub.change(timeout_s=0.05)
            answered_s = time.perf_counter() - began_s
            await ada.wait_for(reply.message, has_its_picture)
            painted_s = time.perf_counter() - began_s
            ended.cancel()
    return answered_s, painted_s


async def called() -> tuple[float, float]:
    """Seconds from the start of the bare script until its pipeline is loaded, and until it has painted."""
    began_s = time.perf_counter()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", BARE, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    taken = []
    for word in (b"loaded\n", b"painted\n"):
        said = await child.stdout.readline()
        assert said == word, said
        taken.append(time.perf_counter() - began_s)
    await child.wait()
    return taken[0], taken[1]


def _row(name: str, goal: float, ours: list[tuple[float, float]], bare: list[tuple[float, float]], which: int) -> Row:
    pairs = [(mine[which], theirs[which]) for mine, theirs in zip(ours, bare, strict=True)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return Row(
        name=name,
        goal=goal,
        n=len(pairs),
        unit="s",
        ours=statistics.median(mine for mine, _ in pairs),
        baseline=statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        wall_ratio=ratio,
        note="by the clock",
    )
