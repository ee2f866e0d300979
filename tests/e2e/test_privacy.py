"""/privacy: real bot, real engine, the sandbox as Discord: what is kept, all of it to take along, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.client.member import Json, Member, text_of
from sandbox.community.beginning import ADA_ID
from starter.render import render
from tests.e2e.asking import BOATS, QUICK, gone, is_private, number, painted, png, said
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "zeppelins over Zanzibar"
LONG = "steps:50 count:4"


def traces(data: Path) -> list[str]:
    """What the files of the data folder say of Ada's words, and the tables of herself, but for the audit and limits."""
    found = []
    for file in data.rglob("*"):
        try:
            content = file.read_bytes() if file.is_file() else b""
        except FileNotFoundError:
            continue
        found += [f"{file.relative_to(data)}: {what!r}" for what in (SECRET.encode(), b"Zanzibar") if what in content]
    with contextlib.closing(sqlite3.connect(data / "easel.sqlite3")) as database:
        for table, column in database.execute(
            "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns"
            " WHERE tables.type = 'table' AND columns.name = 'member_id' AND tables.name NOT IN ('audit', 'spent')"
        ).fetchall():
            if database.execute(f"SELECT 1 FROM {table} WHERE {column} = ?", (ADA_ID,)).fetchall():
                found.append(table)
    return found


async def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells of."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 — files tell nobody
            await asyncio.sleep(0.1)


async def panel(member: Member) -> Json:
    """/privacy, as it stands there."""
    reply = await member.command("/privacy")
    assert is_private(reply)
    return reply.message


async def test_all_that_is_kept_is_exported(studio: Studio, ada: Member, grace: Member) -> None:
    first, _ = await painted(ada, await ada.command(f"/imagine prompt:{SECRET} {QUICK} seed:7 count:2"))
    shown = await ada.pictures(first)
    upload = png(render(BOATS, 256))
    await said(ada, await ada.command("upscale", {"factor": 2}, files={"image": ("boats.png", upload)}))
    await painted(grace, await grace.command(f"/imagine prompt:a red house {QUICK} seed:8"))
    await ada.click(first, "★1")
    home = await panel(ada)
    assert "Jobs: 2, pictures: 3." in text_of(home)
    reply = await ada.settled(await ada.click(home, "Export everything"), quiet_s=2)
    assert all(message["flags"] & 64 for message in reply.messages)
    [zipped] = [file for message in reply.messages for file in await ada.files(message)]
    with zipfile.ZipFile(io.BytesIO(zipped[1])) as opened:
        jobs = json.loads(opened.read("jobs.json"))
        assert [job["kind"] for job in jobs] == ["upscale", "imagine"]
        assert jobs[1]["request"]["prompt"] == SECRET
        assert jobs[1]["recipe"]
        assert len(json.loads(opened.read("favourite.json"))) == 1
        exported = [opened.read(f"pictures/{number(first)}-{place}.png") for place in (1, 2)]
        assert exported == shown, "as they went out, signature and all"
        assert len([name for name in opened.namelist() if name.startswith("inputs/")]) == 1
        assert b"a red house" not in b"".join(map(opened.read, opened.namelist()))


async def test_erased_at_once_and_for_good_while_jobs_run_and_wait(
    studio: Studio, ada: Member, grace: Member, linus: Member
) -> None:
    first, _ = await painted(ada, await ada.command(f"/imagine prompt:{SECRET} {QUICK} seed:9"))
    enlarged, _ = await said(linus, await linus.click(first, "U1"))
    theirs, _ = await painted(grace, await grace.command(f"/imagine prompt:a red house {QUICK} seed:10"))
    running = await ada.command(f"/imagine prompt:{SECRET} {LONG}")
    await ada.wait_for(running.message, lambda message: "▰" in text_of(message))
    waiting = await ada.command(f"/imagine prompt:{SECRET} {LONG}")
    assert traces(studio.data)

    question = await ada.click(await panel(ada), "Erase everything…", until="acknowledged")
    sure = await ada.wait_for(question.message, lambda message: "Erase everything?" in text_of(message))
    assert traces(studio.data), "first it asks"
    await ada.click(sure, "Erase everything", until="acknowledged")
    await ada.forge_click(sure, "easel:new:erase:", until="acknowledged")
    await ada.wait_for(sure, lambda message: "Everything is erased" in text_of(message))
    assert not [trace for trace in traces(studio.data) if "Zanzibar" in trace]
    for message in (first, running.message, waiting.message):
        await gone(ada, message)
    await until(lambda: not traces(studio.data))
    assert "Jobs: 0, pictures: 0." in text_of(await panel(ada))

    # What others made is theirs, and goes on.
    await said(linus, await linus.click(enlarged, "Describe"))
    again, _ = await painted(grace, await grace.click(theirs, "Re-roll"))
    assert number(again) > number(theirs)


async def test_erasure_goes_on_after_a_kill(studio: Studio, ada: Member) -> None:
    messages = [
        (await painted(ada, await ada.command(f"/imagine prompt:{SECRET} {QUICK} seed:{seed}")))[0] for seed in range(3)
    ]
    running = await ada.command(f"/imagine prompt:{SECRET} {LONG}")
    question = await ada.click(await panel(ada), "Erase everything…", until="acknowledged")
    sure = await ada.wait_for(question.message, lambda message: "Erase everything?" in text_of(message))
    await ada.click(sure, "Erase everything", until="acknowledged")
    await studio.stop(signal.SIGKILL)
    await studio.start()
    for message in (*messages, running.message):
        await gone(ada, message)
    await until(lambda: not traces(studio.data))
    after, _ = await painted(ada, await ada.command(f"/imagine prompt:a boat {QUICK} seed:1"))
    assert len(await ada.pictures(after)) == 1
