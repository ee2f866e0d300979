"""Files that are left for the bot: whole, kept, or not there at all."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference.protocol import MAX_FRAME_BYTES, Alive, Failed, FrameTooLarge, because, leave, pack, place, sha256_of

DATA = b"what a picture is made of" * 1000


@contextmanager
def full_disk(free_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond this: the kernel refuses, as it does where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_was_left_is_whole_private_and_named_by_its_hash(tmp_path: Path) -> None:
    left = leave(tmp_path, DATA)
    file = tmp_path / left.file
    assert file.read_bytes() == DATA
    assert left.sha256 == sha256_of(DATA)
    assert left.file.startswith(f"{left.sha256}-")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_file_and_folder_are_flushed_before_anybody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    left = leave(tmp_path, DATA)
    # The file before it has its name, the folder after that.
    assert flushed == [str(tmp_path / f"{left.file}.part"), str(tmp_path)]


def test_the_same_picture_made_twice_is_left_twice(tmp_path: Path) -> None:
    one, other = leave(tmp_path, DATA), leave(tmp_path, DATA)
    assert one.sha256 == other.sha256
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with full_disk(1000), pytest.raises(OSError, match="too large"):
        leave(tmp_path, DATA)
    assert not list(tmp_path.iterdir())
    assert leave(tmp_path, DATA).sha256 == sha256_of(DATA), "there is room again"


def test_what_cannot_be_flushed_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    fsync = os.fsync

    def broken_folder(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError("the folder is broken")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", broken_folder)
    with pytest.raises(OSError, match="broken"):
        leave(tmp_path, DATA)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_somebody_tidied_away_is_made_again(tmp_path: Path) -> None:
    left = leave(tmp_path / "incoming", DATA)
    assert (tmp_path / "incoming" / left.file).read_bytes() == DATA


def test_a_folder_that_cannot_be_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        leave(tmp_path / "nowhere" / "incoming", DATA)


def test_pictures_lie_in_folders_by_the_first_of_their_hash(tmp_path: Path) -> None:
    assert place(tmp_path, "ab" + "0" * 62) == tmp_path / "ab" / f"ab{'0' * 62}.png"


def test_a_message_that_no_peer_takes_is_not_packed() -> None:
    assert pack(Alive(loading=False))
    with pytest.raises(FrameTooLarge):
        pack(Failed(1, "internal", because("x" * MAX_FRAME_BYTES)))
