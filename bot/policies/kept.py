"""What moderators have set, kept in the database and in memory, and by it the policy of every member in every place."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite
import msgspec

from bot import costs
from bot.audit import Audit
from bot.costs import FREE, Price
from bot.database import Database
from bot.errors import MemberError
from bot.job import Job, Reply, request_of
from bot.policies import problem as rule
from bot.policies import usages
from bot.policies.operator import Operator
from bot.policies.policy import SETTINGS, Policy, Set, resolved
from bot.policies.problem import Asked
from bot.policies.settings import Value, plain
from bot.policies.texts import paintings
from bot.policies.wordlists import WordList, usable
from bot.words import N_
from inference.protocol import Drawn, Reason, Request, Safety, because

MOST_WORDS, MOST_MEMBERS = 500, 1000
"""Of one list."""

WORD_CHARS = 100

LINEAGE = 32
"""So many of the jobs that a picture came from are looked at."""

SET = (
    "INSERT INTO setting VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (guild_id, channel_id, role_id, name) DO UPDATE SET value = excluded.value"
)
FORGET = "DELETE FROM setting WHERE guild_id = ? AND channel_id = ? AND role_id = ? AND name = ?"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is set: a server, one of its channels, or for one of its roles."""

    guild_id: int
    channel_id: int = 0
    role_id: int = 0


class Policies:
    """All that is set. `load` it once; one process alone changes it."""

    def __init__(
        self,
        database: Database,
        commands: Mapping[str, str],
        operator: Operator | None = None,
        clock: Callable[[], float] = time.time,
        own_loras: Callable[[Request, Reply], Reason | None] | None = None,
    ) -> None:
        """`commands` names, for each kind of request, the command by which it is asked for; `own_loras` says why one
        may not bring the members' LoRAs that it brings."""
        self._own_loras = own_loras or _none_known
        self.operator = operator or Operator()
        self._database = database
        self._audit = Audit(database, clock)
        self._commands = commands
        self._clock = clock
        self._set: dict[Place, dict[str, Value]] = defaultdict(dict)
        self._words: dict[Place, WordList] = {}
        self._members: dict[int, frozenset[int]] = {}
        self.closed_logs: dict[int, int] = {}
        """The log channels that could not be written into, by server."""
        # What is in memory is in the order of what is on disk.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read all that was set. What this version does not know, or holds for wrong, is left out."""
        for row in await self._database.rows("SELECT * FROM setting"):
            place = Place(row["guild_id"], row["channel_id"], row["role_id"])
            if (setting := SETTINGS.get(row["name"])) is not None:
                try:
                    self._set[place][row["name"]] = setting.read(msgspec.json.decode(row["value"]))
                except ValueError:
                    continue
        listed: dict[Place, dict[int, str]] = defaultdict(dict)
        for row in await self._database.rows("SELECT * FROM blocked_word ORDER BY number"):
            listed[Place(row["guild_id"], row["channel_id"])][row["number"]] = row["word"]
        self._words = {place: WordList(words) for place, words in listed.items()}
        members: dict[int, set[int]] = defaultdict(set)
        for row in await self._database.rows("SELECT * FROM blocked_member"):
            members[row["guild_id"]].add(row["member_id"])
        self._members = {guild_id: frozenset(ids) for guild_id, ids in members.items()}

    def of(self, reply: Reply) -> Policy:
        """What holds for whoever is answered there."""
        server = channel = Place(0)
        roles: list[Set] = []
        if reply.guild_id is not None:
            server = Place(reply.guild_id)
            channel = Place(reply.guild_id, reply.place_id or reply.channel_id)
            roles = [self.set_in(Place(reply.guild_id, role_id=role_id)) for role_id in reply.role_ids]
        lists = {"operator": self.operator.words, "server": self.words(server), "channel": self.words(channel)}
        return Policy(
            **resolved(self.operator.settings, self.set_in(server), self.set_in(channel), roles),
            words={whose: listed for whose, listed in lists.items() if listed.words},
            barred=self._barred(reply),
        )

    def days_kept(self, guild_id: int | None) -> int | None:
        """How many days the pictures of a server's jobs are kept, or of those in direct messages; None for ever."""
        held = self.of_server(guild_id, "days")
        assert held is None or isinstance(held, int)
        return held

    def log_channel(self, guild_id: int) -> int | None:
        """The channel in which a server is told of its jobs."""
        held = self.of_server(guild_id, "log")
        assert held is None or isinstance(held, int)
        return held

    def of_server(self, guild_id: int | None, name: str) -> Value | None:
        """What holds for a whole server, or for direct messages, of the setting of this name."""
        own = {} if guild_id is None else self.set_in(Place(guild_id))
        return resolved(self.operator.settings, own, {}, ()).get(name)

    async def problem(
        self,
        request: Request,
        reply: Reply,
        *,
        parent_id: int | None = None,
        before: Job | None = None,
        cost: Price = FREE,
    ) -> Reason | None:
        """Why a request that is answered there may not be done, and paid with this; None where it may.

        `parent_id` is the job that its pictures come from; `before` the job itself, where it is one already.
        """
        policy = self.of(reply)
        asked = Asked(
            request,
            self._commands[request.kind],
            await self._made_from(before.id if before else parent_id) if request.inputs and paintings(request) else (),
        )
        usage = await usages.of(self._database, reply, policy, before, self._clock())
        wrong = self._own_loras(request, reply) or await rule.problem_of_any(asked, policy, usage)
        return wrong or await costs.problem(self._database, policy, reply, cost, before, self._clock())

    async def problem_of(self, job: Job) -> Reason | None:
        """The same of a job whose turn has come, as things are set now."""
        return await self.problem(job.request, job.reply, before=job)

    def safety_of(self, job: Job) -> Safety:
        """What becomes of the pictures of a job that a checker flags, as things are set now."""
        return self.of(job.reply).safety(job.reply.age_restricted)

    async def problem_of_drawn(self, job: Job, drawn: Sequence[Drawn]) -> Reason | None:
        """Why pictures of these words, which came out of wildcards, may not be shown; None where they may."""
        made_from = await self._made_from(job.id) if drawn else ()
        texts = [text for one in drawn for text in (one.prompt, *(lora.name for lora in one.loras))]
        return rule.of_drawn(texts, made_from, self.of(job.reply))

    def set_in(self, place: Place) -> Set:
        """What is set in this place itself."""
        return self._set.get(place, {})

    async def put(self, place: Place, name: str, value: Value | None, by: int | None = None) -> None:
        """Set one thing in one place; None leaves it to what is around it. `by` is who does it."""
        key = (place.guild_id, place.channel_id, place.role_id, name)
        async with self._changing:
            before = self._set[place].get(name)
            async with self._database.transaction() as connection:
                if value is None:
                    await connection.execute(FORGET, key)
                else:
                    await connection.execute(SET, (*key, msgspec.json.encode(plain(value)).decode()))
                changed = {"name": name, "from": _plainly(before), "to": _plainly(value)}
                if place.role_id:
                    changed["role"] = place.role_id
                if value != before:
                    await self._note(connection, "set", place, by, changed)
            if value is None:
                self._set[place].pop(name, None)
            else:
                self._set[place][name] = value

    def roles_of(self, guild_id: int) -> dict[int, Set]:
        """What is set for roles of a server, by their ids."""
        return {place.role_id: dict(set_) for place, set_ in self._set.items() if _is_role(place, guild_id) and set_}

    def words(self, place: Place) -> WordList:
        """The words that are blocked by this place's own list."""
        return self._words.get(place, _NO_WORDS)

    async def block_words(self, place: Place, words: Iterable[str], by: int | None = None) -> None:
        """Add words to a list; those that it has already are no error. Raises MemberError where they do not fit."""
        wanted = [" ".join(word.split()) for word in words]
        for word in filter(None, wanted):
            if len(word) > WORD_CHARS or not usable(word):
                raise MemberError(
                    "A blocked word has a letter or a digit in it, and up to {most} signs: write another one.",
                    most=WORD_CHARS,
                )
        async with self._changing:
            words_now = dict(self.words(place).words)
            for word in dict.fromkeys(filter(None, wanted)):
                if word not in words_now.values():
                    words_now[max(words_now, default=0) + 1] = word
            if len(words_now) > MOST_WORDS:
                raise MemberError("A list holds up to {most} words: take some out of it first.", most=MOST_WORDS)
            await self._keep_words(place, words_now, by)

    async def allow_words(self, place: Place, numbers: Iterable[int], by: int | None = None) -> None:
        """Take words out of a list by their numbers; those that it has not are no error."""
        gone = set(numbers)
        async with self._changing:
            kept = {number: word for number, word in self.words(place).words.items() if number not in gone}
            await self._keep_words(place, kept, by)

    async def _keep_words(self, place: Place, words: Mapping[int, str], by: int | None) -> None:
        before = self.words(place).words
        async with self._database.transaction() as connection:
            await connection.execute(
                "DELETE FROM blocked_word WHERE guild_id = ? AND channel_id = ?", (place.guild_id, place.channel_id)
            )
            await connection.executemany(
                "INSERT INTO blocked_word VALUES (?, ?, ?, ?)",
                [(place.guild_id, place.channel_id, number, word) for number, word in words.items()],
            )
            # The words themselves are nobody's to read there.
            for what, numbers in (("words blocked", words.keys() - before), ("words allowed", before.keys() - words)):
                if numbers:
                    await self._note(connection, what, place, by, {"numbers": sorted(numbers)})
        self._words[place] = WordList(words)

    def blocked(self, guild_id: int) -> frozenset[int]:
        """The members who can ask for nothing in a server, by its moderators' will."""
        return self._members.get(guild_id, frozenset())

    async def block(self, guild_id: int, member_id: int, *, blocked: bool, by: int | None = None) -> None:
        """Block a member of a server, or let them in again. Raises MemberError where there are too many."""
        async with self._changing:
            if blocked and len(self.blocked(guild_id)) >= MOST_MEMBERS:
                raise MemberError("Up to {most} members can be blocked: let some in again first.", most=MOST_MEMBERS)
            statement = "INSERT OR IGNORE INTO blocked_member VALUES (?, ?)"
            if not blocked:
                statement = "DELETE FROM blocked_member WHERE guild_id = ? AND member_id = ?"
            async with self._database.transaction() as connection:
                cursor = await connection.execute(statement, (guild_id, member_id))
                if cursor.rowcount:
                    what = "member blocked" if blocked else "member let in"
                    await self._note(connection, what, Place(guild_id), by, {}, member_id)
            now = self.blocked(guild_id)
            self._members[guild_id] = now | {member_id} if blocked else now - {member_id}

    async def _note(
        self,
        connection: aiosqlite.Connection,
        what: str,
        place: Place,
        by: int | None,
        details: Mapping[str, Any],
        member_id: int | None = None,
    ) -> None:
        await self._audit.write(
            connection,
            what,
            place.guild_id,
            channel_id=place.channel_id,
            member_id=member_id,
            by_id=by,
            details=details,
        )

    def _barred(self, reply: Reply) -> Reason | None:
        if reply.guild_id in self.operator.servers:
            return because(rule.BARRED_SERVER)
        if reply.member_id in self.operator.members:
            return because(rule.BARRED_EVERYWHERE)
        return because(rule.BARRED_MEMBER) if reply.member_id in self.blocked(reply.guild_id or 0) else None

    async def _made_from(self, job_id: int | None) -> list[Request]:
        """The request of a job, and those of the jobs that its pictures came from."""
        rows = await self._database.rows(
            "WITH RECURSIVE lineage (id, parent_id, request, depth) AS ("
            " SELECT id, parent_id, request, 1 FROM job WHERE id = ?"
            " UNION ALL SELECT job.id, job.parent_id, job.request, depth + 1"
            " FROM job JOIN lineage ON job.id = lineage.parent_id WHERE depth < ?"
            ") SELECT request FROM lineage",
            (job_id, LINEAGE),
        )
        return [request_of(row) for row in rows]


_NO_WORDS = WordList({})


def _none_known(request: Request, _: Reply) -> Reason | None:
    return because(N_("LoRAs of members cannot be used here: leave them out.")) if request.lora_files else None


def _plainly(value: Value | None) -> object:
    return None if value is None else plain(value)


def _is_role(place: Place, guild_id: int) -> bool:
    return place.guild_id == guild_id and bool(place.role_id)
