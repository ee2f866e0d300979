"""The pictures on disk, each named by the SHA-256 of its bytes, so that the same picture lies there once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from inference.protocol import INCOMING, PICTURES, Left, fsync_folder, place

THUMBNAILS = "thumbnails"
"""The folder of what is shown in lists: it can be made again, and is removed before it fills the disk."""

MANIFEST = ".c2pa"
"""Beside a picture of ours that went out: the C2PA manifest store with which it did, and will again."""

INGREDIENT = ".ingredient"
"""Beside an upload: what it said itself of where it comes from, by a C2PA manifest."""

BESIDE = (MANIFEST, INGREDIENT)
"""What lies beside pictures, and goes with them."""

THUMBNAILS_IN_A_FOLDER = 80
"""Of some 256 folders: all of them together take about 200 MB."""


class Pictures:
    """The folders of the data folder that hold pictures. Which job a file belongs to is known to the database alone."""

    def __init__(self, data: Path) -> None:
        """Call `prepare` before anything else."""
        self.data = data
        self._kept = data / PICTURES
        self._thumbnails = data / THUMBNAILS
        self.incoming = data / INCOMING
        """Where the engine and the decoders leave what they have finished."""

    def prepare(self) -> None:
        """Make the folders, and remove what was left and taken over by nobody. Only while nothing else runs.

        Raises OSError.
        """
        for folder in (self._kept, self._thumbnails, self.incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.incoming.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    async def take_over(self, left: Left) -> None:
        """Put a file that was left in `incoming` to its place, so that it survives a power cut. Doing it twice does no
        harm. Raises OSError, FileNotFoundError where it lies in neither."""
        await asyncio.to_thread(self._take_over, left)

    async def lend(self, left: Left) -> None:
        """Let a file that was left in `incoming` be seen at its place, until it is taken over or found unused: the
        engine looks nowhere else. Raises OSError, FileNotFoundError where it lies in neither."""
        await asyncio.to_thread(self._lend, left)

    def path(self, sha256: str) -> Path:
        """Where the picture of this hash lies, if it is kept."""
        return place(self._kept, sha256)

    def manifest(self, sha256: str) -> Path:
        """Where the manifest lies with which this picture went out, if it did."""
        return self.path(sha256).with_suffix(MANIFEST)

    def ingredient(self, sha256: str) -> Path:
        """Where that lies which this upload said of itself, if it did."""
        return self.path(sha256).with_suffix(INGREDIENT)

    async def keep_manifest(self, sha256: str, made: Path) -> None:
        """Put the manifest of a picture, which somebody has `made` on the same disk, to its place, unless the picture
        has gone meanwhile. Raises OSError."""
        await asyncio.to_thread(self._keep_manifest, sha256, made)

    async def drop(self, sha256: str) -> int:
        """Remove the picture and what belongs to it; how many bytes that had, 0 where it is not there."""
        return await asyncio.to_thread(self._drop, sha256)

    async def total_bytes(self) -> int:
        """How much all pictures together take."""
        _, total = await self.measure()
        return total

    async def measure(self) -> tuple[int, int]:
        """How many pictures there are, and how much they take together."""
        return await asyncio.to_thread(self._measure)

    def thumbnail(self, sha256: str) -> Path:
        """Where the thumbnail of the picture of this hash lies, if there is one."""
        return place(self._thumbnails, sha256).with_suffix(".webp")

    async def read_thumbnail(self, sha256: str) -> bytes | None:
        """The thumbnail itself, None where there is none (yet)."""
        return await asyncio.to_thread(self._read_thumbnail, sha256)

    async def keep_thumbnail(self, sha256: str, made: Path) -> None:
        """Put the thumbnail of a picture, which somebody has `made` on the same disk, to its place, unless the picture
        has gone meanwhile. Raises OSError."""
        await asyncio.to_thread(self._keep_thumbnail, sha256, made)

    async def tidy_thumbnails(self) -> None:
        """Remove those whose pictures are gone."""
        await asyncio.to_thread(self._tidy_thumbnails)

    def folders(self) -> Iterator[Path]:
        """The folders of what is kept, each of some hundredth of it."""
        yield from (folder for folder in self._kept.iterdir() if folder.is_dir())

    async def hashes(self, folder: Path) -> list[str]:
        """The hashes of the pictures in one of the `folders`."""
        return await asyncio.to_thread(lambda: [file.stem for file in folder.glob("*.png")])

    async def tidy(self, folder: Path, unused: Collection[str]) -> None:
        """Remove these pictures from one of the `folders`, and whatever lies there that is no picture of ours."""
        await asyncio.to_thread(self._tidy, folder, frozenset(unused))

    def _take_over(self, left: Left) -> None:
        target = self.path(left.sha256)
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fsync_folder(self._kept)
        try:
            if left.ingredient is not None:
                # First: with the picture all is there.
                with contextlib.suppress(FileNotFoundError):
                    (self.incoming / left.ingredient).replace(self.ingredient(left.sha256))
            # What lies there under the same name may be damaged; this is whole.
            (self.incoming / left.file).replace(target)
        except FileNotFoundError:
            if not target.is_file():
                raise
        fsync_folder(target.parent)

    def _lend(self, left: Left) -> None:
        target = self.path(left.sha256)
        if target.is_file():
            return
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun = self.incoming / f"{left.file}.lent"
        # Whoever sees it sees all of it; a link, were it the same file, could not be renamed onto it later.
        shutil.copyfile(self.incoming / left.file, begun)
        begun.replace(target)

    def _drop(self, sha256: str) -> int:
        picture, freed = self.path(sha256), 0
        for file in (picture, *(picture.with_suffix(suffix) for suffix in BESIDE)):
            with contextlib.suppress(FileNotFoundError):
                size = file.stat().st_size
                file.unlink()
                freed += size
        self.thumbnail(sha256).unlink(missing_ok=True)
        return freed

    def _measure(self) -> tuple[int, int]:
        count = total = 0
        for folder in self.folders():
            with os.scandir(folder) as files:
                for file in files:
                    with contextlib.suppress(FileNotFoundError):
                        total += file.stat().st_size
                        count += 1
        return count, total

    def _read_thumbnail(self, sha256: str) -> bytes | None:
        file = self.thumbnail(sha256)
        try:
            # What was looked at lately is removed last.
            os.utime(file)
            return file.read_bytes()
        except FileNotFoundError:
            return None

    def _keep_thumbnail(self, sha256: str, made: Path) -> None:
        target = self.thumbnail(sha256)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made.replace(target)
        if not self.path(sha256).is_file():
            target.unlink(missing_ok=True)
        there = sorted(target.parent.iterdir(), key=lambda file: file.stat().st_mtime)
        for oldest in there[:-THUMBNAILS_IN_A_FOLDER]:
            oldest.unlink(missing_ok=True)

    def _tidy_thumbnails(self) -> None:
        for file in self._thumbnails.glob("*/*"):
            if not self.path(file.stem).is_file():
                file.unlink(missing_ok=True)

    def _keep_manifest(self, sha256: str, made: Path) -> None:
        made.replace(self.manifest(sha256))
        if not self.path(sha256).is_file():
            self.manifest(sha256).unlink(missing_ok=True)

    @staticmethod
    def _tidy(folder: Path, unused: frozenset[str]) -> None:
        for file in folder.iterdir():
            is_ours = file.suffix == ".png" or (file.suffix in BESIDE and file.with_suffix(".png").is_file())
            if not is_ours or file.stem in unused:
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
