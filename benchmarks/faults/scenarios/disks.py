"""The disk full, read-only or without power; the database locked or not to be written. Needs the right to mount."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.crowd import Crowd, an_evening
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.painter import NOT_KEPT, Plan
from benchmarks.faults.trial import Trial

FULL = (NOT_KEPT, "no room for uploads", "no room for pictures")
"""Words of the reasons for which jobs may end while the disk is full."""

DISK_MB = 24


def may_mount() -> bool:
    """Whether this process may mount file systems."""
    try:
        with mounted("tmpfs", 1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def mounted(kind: str, size_mb: int, image: Path | None = None) -> Iterator[Path]:
    """A folder on a file system of its own: a `tmpfs`, or the `ext4` of an image that is made if it is not there.

    Raises OSError or CalledProcessError where that is not allowed.
    """
    with TemporaryDirectory(prefix="easel-disk-") as folder:
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", folder]
        else:
            assert image is not None
            if not image.exists():
                with image.open("wb") as file:
                    file.truncate(size_mb * 2**20)
                _run("mkfs.ext4", "-q", "-F", str(image))
            command = ["mount", "-o", "loop", str(image), folder]
        _run(*command)
        try:
            yield Path(folder)
        finally:
            _run("umount", "-l", folder)


async def full(seed: int, times: int = 3) -> Verdict:
    """The disk is filled while jobs run, and emptied again."""
    with mounted("tmpfs", DISK_MB) as disk:
        async with Trial(data=disk / "data") as trial:
            trial.excuses += FULL
            await trial.start(engines=(Plan(step_s=0.05, pixels=200),))
            crowd = Crowd(trial, seed)
            evening = asyncio.create_task(_evenings(trial, crowd, times))
            for _ in range(times):
                await asyncio.sleep(0.3 + crowd.rng.random())
                ballast = _fill(disk)
                await asyncio.sleep(1.0 + crowd.rng.random() * 3)
                ballast.unlink()
                await asyncio.sleep(1.0)
            await evening
            await trial.quiet()
            return judge(trial, times)


async def locked(seed: int, seconds: tuple[float, ...] = (1.0, 4.0, 12.0)) -> Verdict:
    """Somebody else holds the database for a while, again and again."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.05),))
        crowd = Crowd(trial, seed)
        for held_s in seconds:
            evening = asyncio.create_task(an_evening(trial, crowd))
            await asyncio.sleep(0.5 + crowd.rng.random())
            with contextlib.closing(sqlite3.connect(trial.data / "easel.sqlite3", timeout=30)) as other:
                other.execute("BEGIN EXCLUSIVE")
                await asyncio.sleep(held_s)
                other.rollback()
            await evening
        await trial.quiet()
        return judge(trial, len(seconds))


async def pictures_closed(seed: int, lasts_s: float = 4.0) -> Verdict:
    """Nothing can be put into the pictures' folder for a while."""
    with TemporaryDirectory() as folder, mounted("ext4", 64, Path(folder) / "image") as disk:
        async with Trial(data=disk / "data") as trial:
            trial.excuses += FULL
            await trial.start(engines=(Plan(step_s=0.05),))
            crowd = Crowd(trial, seed)
            evening = asyncio.create_task(an_evening(trial, crowd))
            await asyncio.sleep(0.5)
            _run("chattr", "-R", "+i", str(trial.data / "pictures"))
            try:
                await asyncio.sleep(lasts_s)
            finally:
                _run("chattr", "-R", "-i", str(trial.data / "pictures"))
            await evening
            await trial.quiet()
            return judge(trial, 1)


async def database_closed(seed: int) -> Verdict:
    """The database cannot be written at the start: one line and status 2, and nothing is changed."""
    with TemporaryDirectory() as folder, mounted("ext4", 64, Path(folder) / "image") as disk:
        async with Trial(data=disk / "data") as trial:
            await trial.start()
            await Crowd(trial, seed).imagine()
            await trial.quiet()
            await trial.stop()
            database = str(trial.data / "easel.sqlite3")
            _run("chattr", "+i", database)
            try:
                trial.launch()
                if (status := await trial.ended()) != 2:
                    trial.crashes.append(f"ended with status {status} on a database that cannot be written")
            finally:
                _run("chattr", "-i", database)
            await trial.start()
            await trial.quiet()
            return judge(trial, 1)


async def power_cut(seed: int, times: int = 20, cut: str | None = None) -> Verdict:
    """The disk's image as it is at a moment at which the bot works, as if the power had gone then.

    What the bot and its engine had not forced onto the disk is not in it. Every job of which a member had been told
    must be there, and every picture that a row names, whole.
    """
    verdict = Verdict()
    with TemporaryDirectory() as folder:
        image, copy = Path(folder) / "image", Path(folder) / "copy"
        with mounted("ext4", 96, image) as disk:
            async with Trial(data=disk / "data") as trial:
                await trial.start(engines=(Plan(step_s=0.01, pixels=100),), cut=cut)
                crowd = Crowd(trial, seed)
                evening = asyncio.create_task(_evenings(trial, crowd, 1 + times // 8))
                for _ in range(times):
                    await asyncio.sleep(0.1 + crowd.rng.random() * 0.8)
                    told = _stop_and_copy(trial, image, copy)
                    _look_at(copy, told, verdict)
                await evening
                await trial.quiet()
                verdict.add(judge(trial, 0))
    verdict.tried = times
    return verdict


def _stop_and_copy(trial: Trial, image: Path, copy: Path) -> set[int]:
    """Copy the image while nothing writes to it; returns the jobs that must be in it."""
    processes = [trial.pid, *trial.engine_pids()]
    with contextlib.suppress(ProcessLookupError):
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
    told = {job for job in trial.witness.told - trial.deleted if trial.witness.of(job)}
    shutil.copyfile(image, copy)
    with contextlib.suppress(ProcessLookupError):
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    return told


def _look_at(copy: Path, told: set[int], verdict: Verdict) -> None:
    with mounted("ext4", 0, copy) as disk:
        data, jobs, used = disk / "data", set[int](), set[str]()
        try:
            with contextlib.closing(sqlite3.connect(data / "easel.sqlite3")) as database:
                if (said := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                    raise sqlite3.DatabaseError(said)
                jobs = {row[0] for row in database.execute("SELECT id FROM job")}
                used = {row[0] for row in database.execute("SELECT DISTINCT sha256 FROM file_use")}
        except sqlite3.Error as error:
            verdict.wrong += 1
            verdict.notes.append(f"after a power cut the database cannot be read: {error}")
        for job in sorted(told - jobs):
            verdict.lost += 1
            verdict.notes.append(f"after a power cut job {job} has no row")
        for sha256 in sorted(used):
            file = data / "pictures" / sha256[:2] / f"{sha256}.png"
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
                verdict.orphans += 1
                verdict.notes.append(f"after a power cut picture {sha256[:12]} has a row and no whole file")
    copy.unlink()


async def _evenings(trial: Trial, crowd: Crowd, many: int) -> None:
    for _ in range(many):
        await an_evening(trial, crowd)


def _fill(disk: Path) -> Path:
    """Leave no room on a disk; returns the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return ballast


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
