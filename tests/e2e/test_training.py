"""Trainings beside everything else: pictures go first, and no kill of anybody changes a byte of what comes of one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot.database import open_database
from bot.training.store import Trainings
from inference.protocol import TrainingOptions, TrainingOrder, sha256_of
from sandbox.client.member import Member
from starter.render import render
from starter.world import Scene
from tests import forkserver
from tests.e2e.asking import QUICK, painted, png
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILES = ("boats.safetensors", "boats.kohya.safetensors")

ORDER = TrainingOrder(
    name="boats",
    kind="style",
    trigger="zqx",
    consent="rendered by this test",
    license="MIT",
    model="starter",
    options=TrainingOptions(steps=9, epochs=3, rank=2, previews=("a boat",)),
)


async def submitted(data: Path) -> int:
    """A training of Ada's that waits for a bot, and its number."""
    async with open_database(data / "easel.sqlite3") as database:
        trainings = Trainings(database, data)
        training = await trainings.add(ORDER, member_id=1, guild_id=None, channel_id=2)
        files = {}
        for seed, colour in enumerate(("red", "blue", "green", "white", "black")):
            drawn = png(render(Scene("boat", colour, 1, "large", "sea", seed=seed)))
            files[sha256_of(drawn)] = data / f"{colour}.png"
            files[sha256_of(drawn)].write_bytes(drawn)
        await trainings.add_pictures(training.id, files, dict.fromkeys(files, "a boat"))
        await database.change("UPDATE training SET state = 'waiting', submitted_at = 1")
        return training.id


def row(data: Path) -> dict[str, Any]:
    """The one training, as the database has it."""
    with contextlib.closing(sqlite3.connect(data / "easel.sqlite3")) as database:
        database.row_factory = sqlite3.Row
        return dict(database.execute("SELECT * FROM training").fetchone())


async def until(data: Path, **holds: Any) -> dict[str, Any]:
    """The training once its row says this, or more."""
    async with asyncio.timeout(240):
        while any((now := row(data))[name] is None or now[name] < least for name, least in holds.items()):
            assert now["state"] in ("waiting", "training", "ended"), now
            await asyncio.sleep(0.1)
    return now


def trainers(studio: Studio) -> list[psutil.Process]:
    """The processes that train."""
    children = [child for child in studio.processes()[0].children() if "train" in child.cmdline()]
    return [psutil.Process(forkserver.engine_of(child.pid)) for child in children]


def by_hand(data: Path, number: int, run: Path) -> list[bytes]:
    """What the command line makes of the same folder, undisturbed."""
    options = ["--steps", "9", "--epochs", "3", "--rank", "2", "--weight", "0.8", "--preview", "a boat"]
    folder = data / "trainings" / str(number) / "pictures"
    subprocess.run(
        [forkserver.python(), "-m", "inference", "train", "run", folder, "--model", "starter", "--to", run, *options],
        cwd=ROOT,
        env=os.environ | {"EASEL_DEVICE": "cpu"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return [(run / name).read_bytes() for name in FILES]


async def test_a_training_gives_way_and_survives_every_kill_to_the_same_bytes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    number = await submitted(data)
    async with running(data) as studio:
        # A picture is asked for while it trains, and painted before it is done.
        await until(data, steps=9)
        async with Member(studio.sandbox.url, "Ada") as ada:
            await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:3"))
        assert row(data)["state"] == "training"
        # The trainer is killed, which is no reason for anybody to wait for the operator.
        before = await until(data, epoch=1)
        [trainer] = trainers(studio)
        trainer.kill()
        after = await until(data, epoch=before["epoch"] + 1)
        assert after["deaths"] == 1
        # So is the bot: the trainer hears that, keeps what it has, and ends.
        [trainer] = trainers(studio)
        await studio.stop(signal.SIGKILL)
        await asyncio.to_thread(trainer.wait, 60)
        assert row(data)["state"] == "training"
        assert (data / "trainings" / str(number) / "run" / "checkpoint" / "state.json").is_file()
        await studio.start()
        ended = await until(data, chosen=1)
        assert (ended["state"], ended["epoch"], ended["chosen"], ended["step"]) == ("ended", 3, 3, 9)
        assert trainers(studio) == []
        assert await studio.stop() == 0
    run = data / "trainings" / str(number) / "run"
    kept = [(run / name).read_bytes() for name in FILES]
    assert kept == await asyncio.to_thread(by_hand, data, number, tmp_path / "by-hand")
