"""How jobs are found again: searches and their pages, favourites, where a job came from and what came of it.

Everything here answers with numbers of jobs; what they are is read from `jobs`. A member's own jobs are filtered by the
place that asks, as `access.may_see` would; of all others it has to be asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec

from bot.database import Database

INDEXED_CHARS = 3
"""The shortest word that the index of words knows; shorter ones are looked for in a member's own jobs alone."""

WORDS_AT_MOST, WORDS_CHARS = 12, 200
"""Of one search."""

KEPT_SEARCHES = 100
"""Of each member: buttons of older ones say that they are too old."""

PAGES_IN_A_STEP = 200
"""Of the index of words, which takes some milliseconds."""

ANCESTORS = 200
"""So far back is looked for a job's root."""

HERE = "+guild_id IS ?"
"""Of a server. With the plus SQLite goes by the member, who has few of its jobs, and not by the server's own index."""

UNFINISHED = "state IN ('arriving', 'reading', 'queued', 'running')"

_EDITED = "(json_extract(request, '$.mask') IS NOT NULL OR json_extract(request, '$.references[0]') IS NOT NULL)"
"""Of a painting: only a part of a picture was painted anew, or that was done to it which the words say."""

_OF_COMMAND = {
    "imagine": f"kind = 'imagine' AND NOT {_EDITED}",
    "edit": f"kind IN ('imagine', 'mask') AND (kind = 'mask' OR {_EDITED})",
}
"""What each command made, where that is not what is called as the command is."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a member looks for; "" where they do not say."""

    words: str = ""
    """All of them stand in what was asked for, each as a part of a word at least."""
    command: str = ""
    model: str = ""
    favourites: bool = False
    """What they starred, whoever made it, and nothing else."""
    channel_id: int | None = None
    """Where it was asked for, a channel or a thread; None where they do not say."""


@dataclass(frozen=True, slots=True)
class Where:
    """From where is asked: what was made in other servers is not to be seen there, what is for adults alone perhaps."""

    guild_id: int | None
    age_restricted: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and whether there are more on either side."""

    jobs: tuple[int, ...]
    newer: bool = False
    older: bool = False


class Finding:
    """The tables by which jobs are found again."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def page(
        self,
        member_id: int,
        search: Search,
        where: Where,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> Page:
        """The newest jobs that a member looks for, or those before or after the job of a number, next to it."""
        condition, values = _condition(member_id, search, where)
        if after is not None:
            found = await self._ids(f"{condition} AND id > ? ORDER BY id LIMIT ?", *values, after, limit)
            found.reverse()
        if after is None or len(found) < limit:
            # Where there is less than a page of newer ones the newest page is full all the same.
            newest = before if before is not None and after is None else 2**63 - 1
            found = await self._ids(f"{condition} AND id < ? ORDER BY id DESC LIMIT ?", *values, newest, limit)
        if not found:
            return Page(())
        newer = await self._ids(f"{condition} AND id > ? ORDER BY id LIMIT 1", *values, found[0])
        older = await self._ids(f"{condition} AND id < ? ORDER BY id DESC LIMIT 1", *values, found[-1])
        return Page(tuple(found), bool(newer), bool(older))

    async def keep(self, member_id: int, search: Search) -> int:
        """The number by which this search is found again: the same for the same one."""
        values = (member_id, search.words, search.command, search.model, search.favourites, self._clock())
        [row] = await self._database.change(
            "INSERT INTO search (member_id, words, command, model, favourites, used_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET used_at = excluded.used_at RETURNING id",
            values,
        )
        await self._database.change(
            "DELETE FROM search WHERE member_id = ? AND id NOT IN"
            " (SELECT id FROM search WHERE member_id = ? ORDER BY used_at DESC LIMIT ?)",
            (member_id, member_id, KEPT_SEARCHES),
        )
        return int(row["id"])

    async def kept(self, member_id: int, number: int) -> Search | None:
        """The search of this number, None where this member has none."""
        if not 0 < number < 2**63:
            return None
        row = await self._database.row("SELECT * FROM search WHERE id = ? AND member_id = ?", (number, member_id))
        if row is None:
            return None
        return Search(row["words"], row["command"], row["model"], bool(row["favourites"]))

    async def star(self, member_id: int, job_id: int, index: int) -> bool | None:
        """Make a picture one of a member's favourites, or none any more; whether it is one then, None where the picture
        is gone."""
        if max(job_id, index) >= 2**63:
            return None
        star = (member_id, job_id, index)
        async with self._database.transaction() as connection:
            taken = await connection.execute(
                "DELETE FROM favourite WHERE member_id = ? AND job_id = ? AND position = ?", star
            )
            if taken.rowcount:
                return False
            given = await connection.execute(
                "INSERT INTO favourite SELECT ?, job_id, position, ? FROM picture WHERE job_id = ? AND position = ?",
                (member_id, self._clock(), job_id, index),
            )
            return True if given.rowcount else None

    async def starred(self, member_id: int, job_ids: Collection[int]) -> dict[int, list[int]]:
        """Which pictures of these jobs, counted from 0, are favourites of a member; nothing of jobs that have none."""
        found: dict[int, list[int]] = {}
        for row in await self._database.rows(
            "SELECT job_id, position FROM favourite WHERE member_id = ? AND job_id IN (SELECT value FROM json_each(?))"
            " ORDER BY job_id, position",
            (member_id, msgspec.json.encode(list(job_ids)).decode()),
        ):
            found.setdefault(row["job_id"], []).append(row["position"])
        return found

    async def painted(self, member_id: int, where: Where, limit: int) -> list[int]:
        """The newest jobs by which a member has painted something."""
        return await self._ids(
            f"member_id = ? AND kind IN ('imagine', 'grid') AND state = 'finished' AND {HERE}"
            " AND (age_restricted = 0 OR ?) ORDER BY id DESC LIMIT ?",
            *(member_id, where.guild_id, where.age_restricted, limit),
        )

    async def newest_starred(self, member_id: int, where: Where, limit: int) -> list[int]:
        """The painted jobs of which a member starred something last."""
        return await self._ids(
            "id IN (SELECT job_id FROM favourite WHERE member_id = ?) AND kind IN ('imagine', 'grid')"
            f" AND {HERE} AND (age_restricted = 0 OR ?) ORDER BY id DESC LIMIT ?",
            *(member_id, where.guild_id, where.age_restricted, limit),
        )

    async def ancestors(self, job_id: int) -> list[int]:
        """What a job came from, what that came from and so on, as far as there is anything."""
        rows = await self._database.rows(
            "WITH RECURSIVE line (id, parent_id, far) AS ("
            " SELECT id, parent_id, 0 FROM job WHERE id = ?"
            " UNION ALL SELECT job.id, job.parent_id, far + 1"
            " FROM line JOIN job ON job.id = line.parent_id WHERE far < ?"
            ") SELECT id FROM line WHERE far > 0 ORDER BY far",
            (job_id, ANCESTORS),
        )
        return [row["id"] for row in rows]

    async def children(self, job_id: int, limit: int) -> list[int]:
        """The newest jobs that came from this one."""
        return await self._ids("parent_id = ? ORDER BY id DESC LIMIT ?", job_id, limit)

    async def unfinished_of(self, member_id: int) -> list[int]:
        """A member's jobs that wait or run, oldest first."""
        return await self._ids(f"member_id = ? AND {UNFINISHED} ORDER BY id", member_id)

    async def unfinished_in(self, guild_id: int, limit: int) -> list[int]:
        """Those of everybody in a server, so many of the oldest."""
        return await self._ids(f"guild_id = ? AND {UNFINISHED} ORDER BY id LIMIT ?", guild_id, limit)

    async def wants_suggestions(self, member_id: int) -> bool:
        """Whether a member is told what they favour: until they say otherwise."""
        row = await self._database.row("SELECT 1 FROM member_without_suggestions WHERE member_id = ?", (member_id,))
        return row is None

    async def want_suggestions(self, member_id: int, wanted: bool) -> None:
        """Keep what they say."""
        statement = (
            "DELETE FROM member_without_suggestions WHERE member_id = ?"
            if wanted
            else "INSERT OR IGNORE INTO member_without_suggestions VALUES (?)"
        )
        await self._database.change(statement, (member_id,))

    async def forget_deleted_words(self) -> None:
        """Let nothing be left of deleted jobs in the index of words, in which until then they are marked as deleted. In
        small steps, between which others write."""
        pages = -PAGES_IN_A_STEP  # the first step begins with all parts of the index, as a negative number says
        while True:
            async with self._database.transaction() as connection:
                before = connection.total_changes
                await connection.execute("INSERT INTO job_words (job_words, rank) VALUES ('merge', ?)", (pages,))
                if connection.total_changes - before < 2:
                    # So SQLite says that there is nothing more to be done.
                    return
            pages = PAGES_IN_A_STEP

    async def _ids(self, condition: str, *values: object) -> list[int]:
        rows = await self._database.rows(f"SELECT id FROM job WHERE {condition}", values)
        return [row["id"] for row in rows]


def words_of(typed: str) -> list[str]:
    """The words of a search: what is between spaces, and no more than can be looked for."""
    readable = "".join(sign if sign.isprintable() else " " for sign in typed[:WORDS_CHARS])
    return readable.split()[:WORDS_AT_MOST]


def _condition(member_id: int, search: Search, where: Where) -> tuple[str, list[object]]:
    """What is true of the jobs that are looked for."""
    of_member = "id IN (SELECT job_id FROM favourite WHERE member_id = ?)" if search.favourites else "member_id = ?"
    conditions = [of_member, HERE, "(age_restricted = 0 OR ?)"]
    values: list[object] = [member_id, where.guild_id, where.age_restricted]
    if search.channel_id is not None:
        conditions.append("channel_id = ?")
        values.append(search.channel_id)
    if search.command:
        conditions.append(_OF_COMMAND.get(search.command, "kind = ?"))
        values += [] if search.command in _OF_COMMAND else [search.command]
    if search.model:
        conditions.append("json_extract(request, '$.model') = ?")
        values.append(search.model)
    words = words_of(search.words)
    if indexed := [word for word in words if len(word) >= INDEXED_CHARS]:
        conditions.append("id IN (SELECT rowid FROM job_words WHERE job_words MATCH ?)")
        values.append(" ".join('"' + word.replace('"', '""') + '"' for word in indexed))
    for word in words:
        if len(word) < INDEXED_CHARS:
            forms = _forms(word)
            # An expression and no column: some versions of SQLite find nothing by the index for patterns this short.
            likes = " OR ".join(["words || '' LIKE ? ESCAPE '\\'"] * len(forms))
            conditions.append(f"EXISTS (SELECT 1 FROM job_words WHERE rowid = job.id AND ({likes}))")
            values += forms
    return " AND ".join(conditions), values


def _forms(word: str) -> list[str]:
    """The patterns of a word, in capitals and not: SQLite's own LIKE knows them of ASCII alone."""
    return [f"%{_escaped(form)}%" for form in sorted({word, word.lower(), word.upper(), word.title()})]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
