"""Which jobs use which of the pictures that are kept, and that those leave the disk that no job uses."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

import aiosqlite
import msgspec

from bot.database import Database
from bot.pictures.kept import Pictures
from inference.protocol import Request


class Uses:
    """The uses of pictures. Hold `lock` from taking over a file to writing down its use, and around what says so here:
    nobody may find it unused and remove it in between."""

    def __init__(self, database: Database, pictures: Pictures) -> None:
        self.lock = asyncio.Lock()
        self._database = database
        self._pictures = pictures

    @staticmethod
    async def add(connection: aiosqlite.Connection, job_id: int, request: Request) -> None:
        """Write down which pictures a job works on. What it makes is in its own rows."""
        await connection.executemany(
            "INSERT OR REPLACE INTO input VALUES (?, ?, ?)",
            [(job_id, position, image.sha256) for position, image in enumerate(request.inputs) if image.sha256],
        )

    async def of_job(self, job_id: int) -> list[str]:
        """The hashes of the pictures that a job works on or has made."""
        rows = await self._database.rows("SELECT sha256 FROM file_use WHERE job_id = ?", (job_id,))
        return [row["sha256"] for row in rows]

    async def drop_unused(self, hashes: Iterable[str]) -> int:
        """Remove those of these pictures that no job uses; how many bytes that frees. Call it with `lock` held."""
        candidates = set(hashes)
        return sum([await self._pictures.drop(sha256) for sha256 in candidates - await self._used(candidates)])

    async def tidy(self) -> None:
        """Remove every picture that no job uses, folder by folder, and thumbnails of what is gone."""
        for folder in self._pictures.folders():
            async with self.lock:
                hashes = await self._pictures.hashes(folder)
                await self._pictures.tidy(folder, set(hashes) - await self._used(hashes))
        await self._pictures.tidy_thumbnails()

    async def _used(self, hashes: Collection[str]) -> set[str]:
        rows = await self._database.rows(
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM picture WHERE sha256 = value"
            " AND job_id NOT IN (SELECT job_id FROM let_go)) OR EXISTS (SELECT 1 FROM input WHERE sha256 = value"
            " AND job_id NOT IN (SELECT job_id FROM let_go))",
            (msgspec.json.encode(sorted(hashes)).decode(),),
        )
        return {row["value"] for row in rows}
