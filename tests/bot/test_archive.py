"""All that is kept of a member, in files that can be read one by one."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bot import archive
from bot.database import Database
from bot.jobs import Jobs
from inference.protocol import Input, Upscale, sha256_of
from tests.bot.conftest import finished, on_uploads, queued, reply, request

ADA, GRACE = 1_100_000_000_000_000_101, 2


def opened(part: Path) -> dict[str, bytes]:
    """The files of a part, by their names."""
    with zipfile.ZipFile(part) as held:
        assert held.testzip() is None
        return {name: held.read(name) for name in held.namelist()}


async def made(jobs: Jobs, data: Path, *contents: bytes, member_id: int = ADA, prompt: str = "a red house") -> None:
    job = await queued(jobs, request(prompt), reply(member_id))
    await jobs.start([job.id])
    await jobs.finish(finished(data, job.id, *contents))


async def exported(jobs: Jobs, folder: Path, part_bytes: int, before: int = 2**62) -> archive.Archive:
    beside = await jobs.belongings.beside_jobs(ADA)
    return archive.write(folder, beside, await jobs.belongings.jobs(ADA, before, 1000), jobs.path, part_bytes)


async def test_everything_of_a_member_is_in_it_and_nothing_of_anybody_else(jobs: Jobs, tmp_path: Path) -> None:
    await made(jobs, tmp_path, b"one", b"two", prompt="a red house, 红色")
    await made(jobs, tmp_path, b"not hers", member_id=GRACE, prompt="a boat")
    enlarge = Upscale(job=0, model="plain", image=Input(sha256_of(b"upload"), 64, 64), factor=2)
    await on_uploads(jobs, tmp_path, enlarge, b"upload", of=reply(ADA))
    jobs.pictures.manifest(sha256_of(b"two")).write_bytes(b"signed")
    jobs.pictures.ingredient(sha256_of(b"upload")).write_bytes(b"what it said")
    await jobs.finding.star(ADA, 2, 0)
    await jobs.finding.star(GRACE, 1, 0)
    whole = await exported(jobs, tmp_path, 2**20)
    assert (len(whole.parts), whole.before, whole.left_out) == (1, None, 0)
    files = opened(whole.parts[0])
    pictures = {name: data for name, data in files.items() if name.endswith(".png")}
    assert b"signed" in pictures["pictures/1-2.png"], "as it was shown"
    pictures["pictures/1-2.png"] = pictures["pictures/1-2.png"][:3]
    assert pictures == {"pictures/1-1.png": b"one", "pictures/1-2.png": b"two", "inputs/3-1.png": b"upload"}
    assert files["inputs/3-1.ingredient"] == b"what it said"
    [enlarged, painted] = json.loads(files["jobs.json"])
    assert (enlarged["kind"], enlarged["state"]) == ("upscale", "queued")
    assert painted["request"]["prompt"] == "a red house, 红色"
    assert painted["member_id"] == str(ADA), "no reader of JSON rounds it"
    assert [row["sha256"] for row in painted["picture"]] == [sha256_of(b"one"), sha256_of(b"two")]
    assert not {"token", "token_expires_at"} & painted.keys(), "by them one speaks as Easel"
    [favourite] = json.loads(files["favourite.json"])
    assert (favourite["job_id"], favourite["member_id"]) == (2, str(ADA))
    assert {row["job_id"] for row in json.loads(files["spent.json"])} == {1, 3}
    assert b"a boat" not in b"".join(files.values())


async def test_parts_fit_can_be_read_alone_and_go_on_where_the_last_ended(jobs: Jobs, tmp_path: Path) -> None:
    contents = [os.urandom(3000) for _ in range(60)]
    for start in range(0, 60, 2):
        await made(jobs, tmp_path, *contents[start : start + 2])
    found: list[bytes] = []
    before, exports = 2**62, 0
    while True:
        folder = tmp_path / f"export-{exports}"
        folder.mkdir()
        one = await exported(jobs, folder, 20_000, before)
        assert 0 < len(one.parts) <= archive.PARTS
        for part in one.parts:
            assert part.stat().st_size <= 20_000
            files = opened(part)
            numbers = {int(name.split("/")[1].split("-")[0]) for name in files if name.endswith(".png")}
            assert numbers <= {job["id"] for job in json.loads(files["jobs.json"])}
            found += [data for name, data in files.items() if name.endswith(".png")]
        exports += 1
        if one.before is None:
            break
        before = one.before
    assert exports > 2
    assert sorted(found) == sorted(contents), "each once"


async def test_pictures_that_are_too_large_are_counted_and_those_that_are_gone_are_not_there(
    jobs: Jobs, tmp_path: Path
) -> None:
    await made(jobs, tmp_path, os.urandom(30_000), b"small", b"gone")
    jobs.path(sha256_of(b"gone")).unlink()
    one = await exported(jobs, tmp_path, 20_000)
    assert (one.left_out, one.before) == (1, None)
    assert [name for name in opened(one.parts[0]) if name.endswith(".png")] == ["pictures/1-2.png"]


async def test_job_that_takes_more_than_a_part_is_spread_over_several(jobs: Jobs, tmp_path: Path) -> None:
    contents = [os.urandom(9000) for _ in range(4)]
    await made(jobs, tmp_path, *contents)
    one = await exported(jobs, tmp_path, 20_000)
    parts = [opened(part) for part in one.parts]
    assert [data for part in parts for name, data in part.items() if name.endswith(".png")] == contents
    assert all(part.stat().st_size <= 20_000 for part in one.parts)
    pictured: list[dict[str, Any]] = [json.loads(part["jobs.json"]) for part in parts if len(part) > 3]
    assert all(pictured), "each says of which job its pictures are"


@pytest.mark.parametrize("table", ["member_without_suggestions", "member"])
async def test_tables_of_members_are_found_by_themselves(table: str, database: Database, jobs: Jobs) -> None:
    await database.change(f"INSERT INTO {table} (member_id) VALUES (?)", (ADA,))
    assert [row["member_id"] for row in (await jobs.belongings.beside_jobs(ADA))[table]] == [str(ADA)]
    assert (await jobs.belongings.beside_jobs(GRACE))[table] == []
