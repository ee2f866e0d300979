"""A backup made beside a bot that paints, brought back on a fresh machine: real bot, real engine, its command line."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.folder import DATABASE
from inference.protocol import PICTURES
from sandbox.client.member import Json, Member, text_of
from tests.e2e.asking import QUICK, forgotten, has_button, number, painted, unsigned
from tests.e2e.conftest import Studio, running
from tests.e2e.test_operator import run_bot

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = f"/imagine prompt:a red house {QUICK} seed:7"

LONG = "/imagine prompt:a blue boat steps:50 count:4 seed:3"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    async with running(tmp_path_factory.mktemp("here") / "data", cold=True) as opened:
        yield opened


async def easel(tmp_path: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """One of the operator's commands, run to its end beside everything else."""
    return await asyncio.to_thread(run_bot, tmp_path, *words, **environ)


def one_line(ended: subprocess.CompletedProcess[str]) -> str:
    """What the operator reads of what went wrong."""
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


async def of_job(member: Member, job: int) -> Json:
    """The message that shows this job's pictures, as soon as there is one."""
    async with asyncio.timeout(120):
        while True:
            for message in (await member.state())["messages"]:
                if f"#{job} " in text_of(message) and has_button(message, "V1"):
                    return dict(message)
            await asyncio.sleep(0.2)


async def test_restored_bot_shows_finishes_and_paints_what_the_old_one_did(
    studio: Studio, ada: Member, tmp_path: Path
) -> None:
    here = {"EASEL_DATA": str(studio.data)}
    first, before = await painted(ada, await ada.command(ASKED))
    as_it_went_out = await ada.pictures(first)
    long = await ada.command(LONG)
    await ada.wait_for(long.message, lambda message: "▰" in text_of(message))
    for _ in range(2):
        ended = await easel(tmp_path, "backup", str(tmp_path / "backups"), "--keep", "1", **here)
        assert ended.returncode == 0, ended.stderr
        assert "2 jobs, 1 pictures" in ended.stdout
    assert "another Easel" in one_line(await easel(tmp_path, "restore", str(tmp_path / "backups"), **here))
    message, finished_here = await painted(ada, long)

    # No token is needed for it.
    ended = await easel(tmp_path, "restore", str(tmp_path / "backups"))
    assert ended.returncode == 0, ended.stderr
    assert "2 jobs, 1 pictures" in ended.stdout
    assert "not empty" in one_line(await easel(tmp_path, "restore", str(tmp_path / "backups")))
    async with running(tmp_path / "data") as there, Member(there.sandbox.url, "Ada") as again:
        # What was being painted is painted to its end there, in the same bytes.
        assert await unsigned(again, await of_job(again, number(message))) == finished_here
        shown = await again.command(f"/show job:{number(first)}")
        assert await again.pictures((await again.settled(shown, quiet_s=0.5)).messages[-1]) == as_it_went_out
        # Painted anew, from what the database says, and not taken from the disk.
        from_disk, pictures = await painted(again, await again.command(ASKED))
        assert pictures == before
        shutil.rmtree(there.data / PICTURES)
        (there.data / PICTURES).mkdir()
        anew, pictures = await painted(again, await again.command(ASKED))
        assert "made the same before" in text_of(from_disk)
        assert "made the same before" not in text_of(anew)
        assert pictures == before
        assert await there.problems() == []
        await forgotten(again, anew)


async def test_damaged_database_is_one_line_and_the_told_way_repairs_it(
    studio: Studio, ada: Member, tmp_path: Path
) -> None:
    await painted(ada, await ada.command(ASKED))
    ended = await easel(tmp_path, "backup", str(tmp_path / "backups"), EASEL_DATA=str(studio.data))
    assert ended.returncode == 0, ended.stderr
    assert (await easel(tmp_path, "restore", str(tmp_path / "backups"))).returncode == 0
    with (tmp_path / "data" / DATABASE).open("r+b") as database:
        database.seek(8192)
        database.write(b"\xaa" * 16384)
    said = one_line(await easel(tmp_path, DISCORD_TOKEN="t"))
    assert "is damaged" in said
    assert "python -m bot restore FOLDER --replace" in said
    ended = await easel(tmp_path, "restore", str(tmp_path / "backups"), "--replace")
    assert ended.returncode == 0, ended.stderr
    assert "what was there lies in" in ended.stdout
    async with running(tmp_path / "data") as there, Member(there.sandbox.url, "Ada") as again:
        await painted(again, await again.command(f"{ASKED}1"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backup", "/dev/null/backups"], "cannot back up"),
        (["backup", "backups", "--keep", "0"], "'0' is no number of backups"),
        (["restore", "/nowhere"], "cannot read the backups in /nowhere: no such file or directory"),
        (["restore"], "the following arguments are required: DIR"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_line(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "data").mkdir()
    shutil.copyfile(Path(__file__).parents[1] / "bot" / "first" / DATABASE, tmp_path / "data" / DATABASE)
    ended = await easel(tmp_path, *words)
    assert ended.returncode == 2
    assert said in ended.stderr.splitlines()[-1]
