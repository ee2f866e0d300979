"""The warning before the disk is full: once, until it has room again, to whoever can do something about it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from bot import folder
from bot.pictures.kept import Pictures
from bot.watch.disk import NEXT_PICTURES, WELL_AGAIN, Disk
from bot.words import speaking
from tests.bot.conftest import left

GB = 10**9


class Room:
    """A disk of which a test says how much is free."""

    def __init__(self, data: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 100 * GB
        self.said: list[str] = []
        self.data, self.pictures = data, pictures
        monkeypatch.setattr(folder, "free_bytes", lambda _: self.free)

    def disk(self, keep_gb: float | None = None) -> Disk:
        async def tell(sentence: object) -> None:
            with speaking("zh-CN"):
                self.said.append(sentence())  # type: ignore[operator]

        return Disk(self.data, self.pictures, tell, keep_gb)


@pytest.fixture
def room(tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(tmp_path, pictures, monkeypatch)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


async def test_low_disk_is_told_once_until_it_has_room_again(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    disk = room.disk()
    assert disk.finding().well
    await disk.look()
    assert disk.finding().well
    room.free = 2 * GB - 1
    for _ in range(3):
        await disk.look()
    [line] = warnings(caplog)
    assert line == (
        f"the disk is nearly full: 2.0 GB are free for {room.data}, and 2.0 GB are to be: make room, or let old"
        " pictures go (EASEL_KEEP_GB, or days in the policy)"
    )
    [sentence] = room.said
    assert "2.0 GB" in sentence
    assert not sentence.isascii()
    assert not disk.finding().well
    # A little more is no room yet.
    room.free = 2 * GB + 1
    await disk.look()
    assert not disk.finding().well
    room.free = int(2 * GB * WELL_AGAIN) + 1
    await disk.look()
    assert disk.finding().well
    assert "there is room on the disk again" in caplog.text
    room.free = GB
    await disk.look()
    assert len(warnings(caplog)) == len(room.said) == 2


async def test_room_is_for_the_next_pictures_where_those_are_large(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = room.disk()
    for number in range(2):
        kept = left(room.data, f"{number}".encode())
        await room.pictures.take_over(kept)
        os.truncate(room.pictures.path(kept.sha256), 10_000_000 * (number + 1))
    disk._measured = await room.pictures.measure()
    space = await disk.look()
    assert (space.count, space.pictures) == (2, 30_000_000)
    assert space.needed == NEXT_PICTURES * 15_000_000
    room.free = space.needed - 1
    await disk.look()
    assert not disk.finding().well


async def test_bound_that_the_disk_cannot_keep_is_told_before_it_is_full(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.free = 30 * GB
    disk = room.disk(keep_gb=50)
    for _ in range(2):
        await disk.look()
    [line] = warnings(caplog)
    assert line.endswith("EASEL_KEEP_GB lets pictures take 50.0 GB more: make room for that, or set it lower")
    # Nothing is wrong yet, and nobody else can do anything about it.
    assert disk.finding().well
    assert "but EASEL_KEEP_GB" in disk.finding().said
    assert room.said == []
    room.free = 60 * GB
    await disk.look()
    assert "EASEL_KEEP_GB" not in disk.finding().said
    assert "EASEL_KEEP_GB" not in room.disk().finding().said


async def test_newest_backup_and_the_database_are_seen(room: Room) -> None:
    disk = room.disk()
    assert (await disk.look()).backed_up_at is None
    (room.data / folder.DATABASE).write_bytes(bytes(100))
    (room.data / f"{folder.DATABASE}-wal").write_bytes(bytes(11))
    (room.data / folder.BACKED_UP).touch()
    os.utime(room.data / folder.BACKED_UP, (5, 5))
    space = await disk.look()
    assert (space.backed_up_at, space.database) == (5, 111)


async def test_disk_that_says_nothing_is_no_end(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder, "free_bytes", fail)
    with pytest.raises(OSError, match="Input/output"):
        await room.disk().look()
