"""Backups: whole or not there, of one moment, and back again byte for byte."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bot import folder
from bot.credentials.certificates import FILE
from bot.database import open_database
from bot.errors import OperatorError
from bot.jobs import Jobs
from bot.keeping import backup, files, manifest, restore, shelves, snapshot, soundness
from bot.pictures.kept import Pictures
from inference.protocol import PICTURES, SENT, place, sha256_of
from inference.remote.sent import Sent
from tests.bot.conftest import finished, kept, queued, request

RED, BLUE, GREEN = b"a red picture", b"a blue picture", b"a green picture"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest_asyncio.fixture
async def jobs(data: Path) -> AsyncIterator[Jobs]:
    """Of a bot that runs, with one finished job of two pictures."""
    pictures = Pictures(data)
    pictures.prepare()
    async with open_database(data / folder.DATABASE) as database:
        opened = Jobs(database, pictures)
        await painted(opened, data, RED, BLUE)
        yield opened


async def painted(jobs: Jobs, data: Path, *contents: bytes) -> int:
    """A finished job that made these pictures; its number."""
    job = await queued(jobs)
    await jobs.start([job.id])
    assert await jobs.finish(finished(data, job.id, *contents)) is not None
    return job.id


def everything(of: Path) -> dict[str, bytes]:
    """All files below a folder, but for SQLite's and locks."""
    found = (file for file in of.rglob("*") if file.is_file() and not file.name.startswith(folder.DATABASE))
    return {str(file.relative_to(of)): file.read_bytes() for file in found if file.suffix != ".lock"}


def names(of: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(entry.name for entry in of.iterdir())


async def jobs_of(of: Path) -> list[list[str]]:
    """The pictures of every job in the database of this folder, as the bot reads them."""
    async with open_database(of / folder.DATABASE) as database:
        opened = Jobs(database, Pictures(of))
        rows = await database.rows("SELECT id FROM job ORDER BY id")
        return [[one.sha256 for one in job.pictures] for job in await opened.all_of([row["id"] for row in rows])]


async def test_backup_beside_a_bot_comes_back_byte_for_byte(
    jobs: Jobs, data: Path, shelf: Path, tmp_path: Path
) -> None:
    (data / "profiles.json").write_text("{}")
    (data / FILE).write_text("a key")
    beside_red = {jobs.pictures.manifest(sha256_of(RED)): b"signed", jobs.pictures.ingredient(sha256_of(RED)): b"said"}
    for beside, content in beside_red.items():
        beside.write_bytes(content)
    (data / "compiled").mkdir()
    (data / "compiled" / "code").write_text("made again")
    (data / "small.webp").write_bytes(b"small")
    await jobs.pictures.keep_thumbnail(sha256_of(RED), data / "small.webp")
    made = backup.make(data, shelf)
    await painted(jobs, data, GREEN)
    brought = restore.bring_back(made.folder, again := tmp_path / "again")
    assert everything(again) == {
        "profiles.json": b"{}",
        FILE: b"a key",
        **{str(beside.relative_to(data)): content for beside, content in beside_red.items()},
        f"{PICTURES}/{sha256_of(RED)[:2]}/{sha256_of(RED)}.png": RED,
        f"{PICTURES}/{sha256_of(BLUE)[:2]}/{sha256_of(BLUE)}.png": BLUE,
    }
    for of in (made.folder, again):
        assert stat.S_IMODE((of / FILE).stat().st_mode) == 0o600
    assert await jobs_of(again) == [[sha256_of(RED), sha256_of(BLUE)]]
    assert (brought.set_aside, brought.manifest.jobs, brought.manifest.pictures) == (None, 1, 2)
    soundness.check(again)


async def test_what_members_do_goes_on_during_the_backup_and_belongs_to_the_next(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One picture is deleted and one comes after the database was taken."""
    database_first = snapshot.named

    def meanwhile(file: Path) -> snapshot.Named:
        place(data / PICTURES, sha256_of(RED)).unlink()
        green = place(data / PICTURES, sha256_of(GREEN))
        green.parent.mkdir(exist_ok=True)
        green.write_bytes(GREEN)
        return database_first(file)

    monkeypatch.setattr(snapshot, "named", meanwhile)
    made = backup.make(data, shelf)
    assert made.manifest.gone == [sha256_of(RED)]
    assert kept(made.folder) == [BLUE]
    # It is whole all the same.
    monkeypatch.undo()
    restore.bring_back(made.folder, again := shelf.parent / "again")
    assert kept(again) == [BLUE]


async def test_database_is_taken_while_a_write_is_open(jobs: Jobs, data: Path, shelf: Path) -> None:
    with closing(sqlite3.connect(data / folder.DATABASE, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM job")
        made = backup.make(data, shelf)
        writer.execute("ROLLBACK")
    assert made.manifest.jobs == 1


async def test_pictures_of_the_backup_before_are_not_copied_again(jobs: Jobs, data: Path, shelf: Path) -> None:
    jobs.pictures.manifest(sha256_of(RED)).write_bytes(b"signed")
    first = backup.make(data, shelf)
    await painted(jobs, data, GREEN)
    second = backup.make(data, shelf)
    assert (first.new_pictures, second.new_pictures) == (2, 1)
    assert kept(second.folder) == sorted([RED, BLUE, GREEN, b"signed"])
    of_both = [place(made.folder / PICTURES, sha256_of(RED)) for made in (first, second)]
    assert of_both[0].samefile(of_both[1])
    assert of_both[0].with_suffix(".c2pa").samefile(of_both[1].with_suffix(".c2pa"))
    assert shelves.whole(shelf) == [first.folder, second.folder]
    # Each is whole without the other.
    shutil.rmtree(first.folder)
    restore.bring_back(second.folder, again := shelf.parent / "again")
    assert kept(again) == sorted([RED, BLUE, GREEN, b"signed"])


async def test_pictures_are_copied_where_they_cannot_be_linked(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(target: Path, source: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", other_disk)
    made = backup.make(data, shelf)
    red = [place(of / PICTURES, sha256_of(RED)) for of in (data, made.folder)]
    assert not red[0].samefile(red[1])
    assert kept(made.folder) == sorted([RED, BLUE])


async def test_old_backups_go_where_so_many_are_kept(jobs: Jobs, data: Path, shelf: Path) -> None:
    folders = [backup.make(data, shelf, keep=2).folder for _ in range(4)]
    assert shelves.whole(shelf) == folders[2:]
    assert names(shelf) == sorted([shelves.IN_USE, *(each.name for each in folders[2:])])
    # A clock that was set back lets nobody remove what was made just now.
    for each in folders[2:]:
        later = msgspec.structs.replace(manifest.read(each), made_at="9999-01-01T00:00:00.000000+00:00")
        (each / manifest.MANIFEST).write_bytes(msgspec.json.encode(later))
    made = backup.make(data, shelf, keep=1)
    assert (shelves.whole(shelf), made.removed) == ([made.folder], 2)


async def test_damaged_picture_is_left_out_and_said_and_an_earlier_backup_has_it_still(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "link_or_copy", shutil.copyfile)
    backup.make(data, shelf)
    await painted(jobs, data, GREEN)
    for content in (RED, GREEN):
        place(data / PICTURES, sha256_of(content)).write_bytes(content[:-1] + b"?")
    second = backup.make(data, shelf, verify=True)
    assert second.manifest.damaged == [sha256_of(GREEN)]
    assert kept(second.folder) == sorted([RED, BLUE])


async def test_verify_finds_what_has_rotted_in_an_earlier_backup(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "link_or_copy", shutil.copyfile)
    first = backup.make(data, shelf)
    place(first.folder / PICTURES, sha256_of(RED)).write_bytes(RED[:-1] + b"?")
    assert kept(backup.make(data, shelf, verify=True).folder) == sorted([RED, BLUE])


@pytest.mark.parametrize("at", ["take", "named"])
async def test_broken_off_backup_is_none_and_the_next_removes_it(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        # As a kill does, which leaves everything where it is.
        patched.setattr(files, "remove", lambda _: None)
        patched.setattr(snapshot, at, killed)
        with pytest.raises(KeyboardInterrupt):
            backup.make(data, shelf)
    assert (shelf / shelves.BEGUN).exists()
    with pytest.raises(OperatorError, match="is no whole backup and has none in it"):
        shelves.newest(shelf)
    made = backup.make(data, shelf)
    assert shelves.newest(shelf) == made.folder
    assert not (shelf / shelves.BEGUN).exists()


async def test_full_disk_is_one_line_and_leaves_nothing(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")

    monkeypatch.setattr(files, "bring", full)
    with pytest.raises(OperatorError, match=r"^cannot back up .*: no space left on device: there$"):
        backup.make(data, shelf)
    assert names(shelf) == [shelves.IN_USE]


async def test_how_old_the_newest_backup_is_can_be_seen_in_the_data_folder(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup.make(data, shelf)
    mark = data / folder.BACKED_UP
    os.utime(mark, (5, 5))
    assert not (backup.make(data, shelf).folder / folder.BACKED_UP).exists()
    newest = mark.stat().st_mtime
    assert newest > 5
    # One that breaks off is none.
    os.utime(mark, (5, 5))

    def no_space() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "sync", no_space)
    with pytest.raises(OperatorError):
        backup.make(data, shelf)
    assert mark.stat().st_mtime == 5
    assert made.folder.exists()


async def test_two_do_not_collide(jobs: Jobs, data: Path, shelf: Path, tmp_path: Path) -> None:
    made = backup.make(data, shelf)
    with shelves.in_use(shelf, making=True):
        with pytest.raises(OperatorError, match=f"another backup or restore works in {shelf}"):
            backup.make(data, shelf)
        with pytest.raises(OperatorError, match="another backup or restore"), shelves.in_use(shelf, making=False):
            pass
    # Two may be brought back at once.
    with shelves.in_use(shelf, making=False), shelves.in_use(shelf, making=False):
        restore.bring_back(made.folder, tmp_path / "again")


async def test_backup_in_the_data_folder_itself_is_refused(jobs: Jobs, data: Path) -> None:
    with pytest.raises(OperatorError, match="would be lost with it"):
        backup.make(data, data / "backups")


def test_database_of_an_older_easel_is_said_with_the_way_on(data: Path, shelf: Path) -> None:
    data.mkdir(exist_ok=True)
    with closing(sqlite3.connect(data / folder.DATABASE)) as connection:
        connection.executescript("CREATE TABLE job (id INTEGER PRIMARY KEY)")
    with pytest.raises(OperatorError, match="an older Easel: make the backup with that one, or start this one first"):
        backup.make(data, shelf)
    assert names(shelf) == [shelves.IN_USE]


def test_folder_without_a_database_is_said(data: Path, shelf: Path) -> None:
    data.mkdir()
    with pytest.raises(OperatorError, match=r"there is no database .*: set EASEL_DATA"):
        backup.make(data, shelf)
    assert shelves.whole(shelf) == []


def _lose(made: Path) -> None:
    place(made / PICTURES, sha256_of(RED)).unlink()


def _rot(made: Path) -> None:
    picture = place(made / PICTURES, sha256_of(RED))
    picture.unlink()
    picture.write_bytes(RED[:-1] + b"?")


def _cut_database(made: Path) -> None:
    os.truncate(made / folder.DATABASE, 8192)


def _other_database(made: Path) -> None:
    said = manifest.read(made)
    with closing(sqlite3.connect(made / folder.DATABASE, isolation_level=None)) as opened:
        opened.execute("DELETE FROM picture WHERE position = 1")
    file = made / folder.DATABASE
    entry = manifest.Kept(file.name, file.stat().st_size, files.hash_of(file))
    changed = msgspec.structs.replace(said, files=[entry, *said.files[1:]])
    (made / manifest.MANIFEST).write_bytes(msgspec.json.encode(changed))


def _no_manifest(made: Path) -> None:
    (made / manifest.MANIFEST).unlink()


def _half_manifest(made: Path) -> None:
    (made / manifest.MANIFEST).write_bytes((made / manifest.MANIFEST).read_bytes()[:100])


def _newer(made: Path) -> None:
    said = manifest.read(made)
    changed = msgspec.structs.replace(said, migrations=[*said.migrations, "9999_later"])
    (made / manifest.MANIFEST).write_bytes(msgspec.json.encode(changed))


def _newer_format(made: Path) -> None:
    changed = msgspec.structs.replace(manifest.read(made), format=manifest.FORMAT + 1)
    (made / manifest.MANIFEST).write_bytes(msgspec.json.encode(changed))


def _names(made: Path, name: str) -> None:
    said = msgspec.json.decode((made / manifest.MANIFEST).read_bytes())
    said["files"].append({"name": name, "bytes": 1, "sha256": "0" * 64})
    (made / manifest.MANIFEST).write_bytes(msgspec.json.encode(said))


def _outside(made: Path) -> None:
    _names(made, "../out")


def _absolute(made: Path) -> None:
    _names(made, str(made.parents[1] / "out"))


@pytest.mark.parametrize(
    ("hurt", "words"),
    [
        (_lose, "is not whole: .*png is missing"),
        (_rot, "is damaged"),
        (_cut_database, "easel.sqlite3 is damaged"),
        (_other_database, "its database names other pictures"),
        (_no_manifest, "is no whole backup"),
        (_half_manifest, "cannot be read"),
        (_newer, r"made by a newer Easel \(9999_later\)"),
        (_newer_format, "made by a newer Easel"),
        (_outside, "names no file of a backup"),
        (_absolute, "names no file of a backup"),
    ],
)
async def test_restore_is_all_or_nothing(
    jobs: Jobs, data: Path, shelf: Path, tmp_path: Path, hurt: Callable[[Path], None], words: str
) -> None:
    made = backup.make(data, shelf)
    hurt(made.folder)
    again = tmp_path / "again"
    (again / PICTURES).mkdir(parents=True)
    (again / PICTURES / "mine").write_text("mine")
    before = everything(again)
    with pytest.raises(OperatorError, match=words):
        restore.bring_back(made.folder, again, replace=True)
    assert everything(again) == before
    assert not (tmp_path / "out").exists()


async def test_folder_with_anything_in_it_is_refused_until_told_and_then_set_aside(
    jobs: Jobs, data: Path, shelf: Path, tmp_path: Path
) -> None:
    made = backup.make(data, shelf)
    again = tmp_path / "again"
    again.mkdir()
    (again / folder.DATABASE).write_text("mine")
    with pytest.raises(OperatorError, match="is not empty: .*--replace"):
        restore.bring_back(made.folder, again)
    assert (again / folder.DATABASE).read_text() == "mine"
    brought = restore.bring_back(made.folder, again, replace=True)
    assert brought.set_aside is not None
    assert (brought.set_aside / folder.DATABASE).read_text() == "mine"
    assert await jobs_of(again) == [[sha256_of(RED), sha256_of(BLUE)]]
    # What was set aside goes into no backup, and a second restore leaves it where it is.
    second = backup.make(again, shelf)
    assert [kept.name for kept in second.manifest.files] == [folder.DATABASE]
    restore.bring_back(second.folder, again, replace=True)
    assert (brought.set_aside / folder.DATABASE).read_text() == "mine"


async def test_what_was_sent_to_other_servers_is_sent_no_second_time_after_a_restore(
    jobs: Jobs, data: Path, shelf: Path, tmp_path: Path
) -> None:
    before, since = (request(prompt, job=7) for prompt in ("before the backup", "since"))
    assert Sent(data).note(before)
    made = backup.make(data, shelf)
    assert Sent(data).note(since)
    # On another machine nobody can know it.
    restore.bring_back(made.folder, tmp_path / "again")
    assert [Sent(tmp_path / "again").note(each) for each in (before, since)] == [False, True]
    restore.bring_back(made.folder, data, replace=True)
    assert [Sent(data).note(each) for each in (before, since)] == [False, False]
    assert stat.S_IMODE((data / SENT).stat().st_mode) == 0o700


async def test_what_goes_while_it_is_backed_up_is_no_error(
    jobs: Jobs, data: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Sent(data).note(request())
    (data / "profiles.json").write_text("{}")
    copy = files.copy

    def too_late(source: Path, target: Path) -> None:
        if source.parent.name == SENT:
            source.unlink()
        copy(source, target)

    monkeypatch.setattr(files, "copy", too_late)
    made = backup.make(data, shelf)
    assert [kept.name for kept in made.manifest.files] == [folder.DATABASE, "profiles.json"]
    assert not list((made.folder / SENT).iterdir())


async def test_folder_of_a_bot_that_runs_is_refused(jobs: Jobs, data: Path, shelf: Path) -> None:
    made = backup.make(data, shelf)
    with folder.held(data), pytest.raises(OperatorError, match="another Easel"):
        restore.bring_back(made.folder, data, replace=True)
    assert kept(data) == sorted([RED, BLUE])


@pytest.mark.parametrize("renames", range(1, 6))
async def test_restore_that_is_killed_lets_no_bot_start_before_it_is_done_again(
    jobs: Jobs, data: Path, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    made = backup.make(data, shelf)
    again = tmp_path / "again"
    again.mkdir()
    (again / folder.DATABASE).write_text("mine")
    renamed = Path.rename
    left = iter(range(renames))

    def killed(source: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return renamed(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        try:
            restore.bring_back(made.folder, again, replace=True)
        except KeyboardInterrupt:
            with pytest.raises(OperatorError, match="a restore into .* was broken off"):
                soundness.check(again)
        else:
            assert renames > 3
    restore.bring_back(made.folder, again, replace=True)
    soundness.check(again)
    assert await jobs_of(again) == [[sha256_of(RED), sha256_of(BLUE)]]
    assert kept(again) == sorted([RED, BLUE])
    assert [file.read_text() for file in again.glob("replaced-*/easel.sqlite3") if file.stat().st_size == 4] == ["mine"]


def test_lock_of_the_shelf_is_not_left_behind(shelf: Path) -> None:
    with shelves.in_use(shelf, making=True):
        pass
    lock = os.open(shelf / shelves.IN_USE, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)


# What a start looks at.


async def test_sound_database_may_start(jobs: Jobs, data: Path) -> None:
    soundness.check(data)
    soundness.check(data, within_s=0.0)


def test_folder_of_a_first_start_may_start(data: Path) -> None:
    soundness.check(data)
    (data / PICTURES / "00").mkdir(parents=True)
    soundness.check(data)


@pytest.mark.parametrize("how", ["middle", "head", "cut"])
async def test_broken_database_is_said_with_the_way_back(data: Path, how: str) -> None:
    pictures = Pictures(data)
    pictures.prepare()
    async with open_database(data / folder.DATABASE) as database:
        opened = Jobs(database, pictures)
        for _ in range(50):
            await queued(opened)
    file = data / folder.DATABASE
    content = bytearray(file.read_bytes())
    match how:
        case "middle":
            content[8192:-4096] = b"\xaa" * (len(content) - 12288)
        case "head":
            content[:100] = b"not a database at all".ljust(100)
        case _:
            content = content[: len(content) // 2]
    file.write_bytes(content)
    with pytest.raises(OperatorError, match=r"is damaged \(.*\): bring a backup back with") as error:
        soundness.check(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["trainings/7/pictures/0001.png", "loras/ab/abcd.safetensors"])
def test_what_members_trained_is_not_removed_by_a_start_without_its_database(data: Path, name: str) -> None:
    (data / name).parent.mkdir(parents=True)
    (data / name).touch()
    (data / folder.DATABASE).unlink(missing_ok=True)
    with pytest.raises(OperatorError, match=rf"there are {name.partition('/')[0]} in .*: bring a backup back"):
        soundness.check(data)


@pytest.mark.parametrize("empty", [True, False])
async def test_pictures_without_their_database_are_not_removed_by_a_start(
    jobs: Jobs, data: Path, tmp_path: Path, empty: bool
) -> None:
    lost = tmp_path / "lost"
    shutil.copytree(data / PICTURES, lost / PICTURES)
    if empty:
        (lost / folder.DATABASE).touch()
    with pytest.raises(OperatorError, match=r"there are pictures in .*, and no easel.sqlite3: bring a backup back"):
        soundness.check(lost)


async def test_trainings_are_kept_without_what_the_trainer_writes_anew(
    data: Path, shelf: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"7/pictures/0001.png", "7/pictures/card.toml", "7/run/plan.json", "7/run/epochs/01/x.safetensors"}
    passing = {"7/run/checkpoint/lora.safetensors", "7/run/checkpoint.old/state.json", "7/run/examples.safetensors"}
    passing |= {"7/run/lock", "7/run/epochs/02/x.safetensors.part", "7/run/checkpoint.part/optimiser.pt"}
    for name in made | passing | {"7/run/gone.json", "7/run/gone.safetensors"}:
        file = data / "trainings" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    copied = files.copy

    def copy(source: Path, target: Path) -> None:
        # It goes between being listed and being copied, as in a run.
        for gone in (data / "trainings" / "7" / "run").glob("gone.*"):
            gone.unlink()
        copied(source, target)

    monkeypatch.setattr(files, "copy", copy)
    folder = backup.make(data, shelf).folder
    found = {str(file.relative_to(folder / "trainings")) for file in folder.rglob("trainings/**/*") if file.is_file()}
    assert found == made
