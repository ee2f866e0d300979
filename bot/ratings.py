"""What members think of pictures: their stars, their votes for the best of several, and what these come to for a
server's models. Who may see a picture, and how all this looks, is not known here.

A member has one rating for each picture and one vote for each job, and counts as one, however much they rate: means are
those of the members' own means, and errors those between members.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bot.database import Database
from bot.job import Job
from inference.protocol import Grid, Imagine, Upscale

STARS = (1, 2, 3, 4, 5)

A_MINUTE, MINUTE_S = 30, 60.0
"""So many ratings and votes of a member are written down in a minute."""

FEW = 5
"""Of fewer members a mean says little."""

FORGET_AT = 1000
"""Of so many members at most is kept when they rated last."""

RATE = (
    "INSERT INTO rating SELECT ?, picture.job_id, picture.position, ?, ?, job.guild_id,"
    " json_extract(job.request, '$.model') FROM picture JOIN job ON job.id = picture.job_id"
    " WHERE picture.job_id = ? AND picture.position = ?"
    " ON CONFLICT (member_id, job_id, position) DO UPDATE SET stars = excluded.stars, rated_at = excluded.rated_at"
    " RETURNING 1"
)
VOTE = (
    "INSERT INTO vote SELECT ?, id, ?, ?, guild_id, ?, ? FROM job WHERE id = ? AND state = 'finished'"
    " ON CONFLICT (member_id, job_id) {again} RETURNING 1"
)
CHANGED = (
    "DO UPDATE SET place = excluded.place, voted_at = excluded.voted_at, won = excluded.won, beaten = excluded.beaten"
)
RATED = (
    "SELECT model, member_id, sum(stars) AS stars, count(*) AS count FROM rating WHERE guild_id = ?"
    " GROUP BY model, member_id"
)
VOTED = (
    "SELECT won, beaten, member_id, count(*) AS count FROM vote WHERE guild_id = ? AND won IS NOT NULL"
    " GROUP BY won, beaten, member_id"
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one member has said of a job's pictures."""

    stars: Mapping[int, int]
    """By the pictures that they rated, counted from 0."""
    place: int | None
    """What they voted for."""
    has_voted: bool
    """Whether they ever did, also where they took it back and had seen by then what was hidden."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of members' means."""

    value: float
    error: float | None
    """Its standard error; None of one member alone."""
    count: int
    """How many ratings or votes there were."""
    members: int

    @property
    def is_of_few(self) -> bool:
        """Whether it says little."""
        return self.members < FEW


@dataclass(frozen=True, slots=True)
class OfModel:
    """What a server's members think of a model."""

    stars: Mean | None
    won: Mean | None
    """The share of comparisons with other models that it won; half of them is what chance gives."""
    against: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Of each model that it was compared with: how many members chose this one more often, and how many that one."""


class Ratings:
    """The tables of ratings and votes."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._newest: dict[int, deque[float]] = {}
        # However many ask at once, what is to be written down waits for one of these statements, not for all.
        self._counting = asyncio.Lock()

    def admit(self, member_id: int) -> bool:
        """Whether a member may rate or vote once more now, which is counted; nobody floods the disk."""
        now = self._clock()
        if len(self._newest) > FORGET_AT:
            self._newest = {one: times for one, times in self._newest.items() if now - times[-1] < MINUTE_S}
        times = self._newest.setdefault(member_id, deque(maxlen=A_MINUTE))
        if len(times) == A_MINUTE and now - times[0] < MINUTE_S:
            return False
        times.append(now)
        return True

    async def rate(self, member_id: int, job_id: int, index: int, stars: int) -> bool:
        """Let a member's rating of a picture be this; False where there is no such picture any more."""
        return bool(await self._database.change(RATE, (member_id, stars, self._clock(), job_id, index)))

    async def unrate(self, member_id: int, job_id: int, index: int) -> None:
        """Take a rating back; one that is not there is no error."""
        await self._database.change(
            "DELETE FROM rating WHERE member_id = ? AND job_id = ? AND position = ?", (member_id, job_id, index)
        )

    async def vote(self, member_id: int, job: Job, place: int) -> bool:
        """Let a member's vote be for this place of a finished job; False where that job is gone, or where what was
        hidden was seen by voting: then the first vote counts."""
        won, beaten = compared(job, place)
        statement = VOTE.format(again="DO NOTHING" if is_blind(job) else CHANGED)
        values = (member_id, place, self._clock(), won, msgspec.json.encode(beaten).decode(), job.id)
        return bool(await self._database.change(statement, values))

    async def unvote(self, member_id: int, job: Job) -> None:
        """Take a vote back; one that is not there is no error."""
        gone = "DELETE FROM vote" if not is_blind(job) else "UPDATE vote SET place = NULL, won = NULL, beaten = '[]'"
        await self._database.change(f"{gone} WHERE member_id = ? AND job_id = ?", (member_id, job.id))

    async def of_member(self, member_id: int, job_id: int) -> Opinion:
        """What a member has said of a job."""
        rows = await self._database.rows(
            "SELECT position, stars FROM rating WHERE member_id = ? AND job_id = ?", (member_id, job_id)
        )
        vote = await self._database.row(
            "SELECT place FROM vote WHERE member_id = ? AND job_id = ?", (member_id, job_id)
        )
        stars = {row["position"]: row["stars"] for row in rows}
        return Opinion(stars, None if vote is None else vote["place"], vote is not None)

    async def votes(self, job_id: int) -> dict[int, int]:
        """How many votes each place of a job has, of those that have any, most first."""
        rows = await self._database.rows(
            "SELECT place, count(*) AS count FROM vote WHERE job_id = ? AND place IS NOT NULL"
            " GROUP BY place ORDER BY count DESC, place",
            (job_id,),
        )
        return {row["place"]: row["count"] for row in rows}

    async def of_server(self, guild_id: int) -> dict[str, OfModel]:
        """What the members of a server think of its models, ever since; those first of which they have said most."""
        async with self._counting:
            rated = await self._database.rows(RATED, (guild_id,))
            voted = await self._database.rows(VOTED, (guild_id,))
        stars: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for row in rated:
            stars[row["model"]].append((row["stars"], row["count"]))
        won: dict[str, dict[int, tuple[float, int]]] = defaultdict(dict)
        balance: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for row in voted:
            member_id, beaten = row["member_id"], msgspec.json.decode(row["beaten"], type=list[str])
            for model, score in scores(row["won"], beaten).items():
                total, count = won[model].get(member_id, (0.0, 0))
                won[model][member_id] = (total + score * row["count"], count + row["count"])
            for model in beaten:
                balance[row["won"], model][member_id] += row["count"]
                balance[model, row["won"]][member_id] -= row["count"]
        against: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for (model, other), of_members in balance.items():
            votes = of_members.values()
            against[model][other] = (sum(each > 0 for each in votes), sum(each < 0 for each in votes))
        found = {
            model: OfModel(
                mean(stars.get(model, ()), 1, 5),
                mean(won.get(model, {}).values(), 0, 1),
                dict(sorted(against[model].items(), key=lambda one: (-sum(one[1]), one[0]))),
            )
            for model in {*stars, *won}
        }
        return dict(sorted(found.items(), key=lambda one: (-_said(one[1]), one[0])))


def pictures_of(job: Job) -> int:
    """How many pictures of a job can be rated: those that were painted or enlarged, and no tables."""
    return len(job.pictures) if isinstance(job.request, Imagine | Upscale) else 0


def places_of(job: Job) -> int:
    """Among how many pictures or cells of a job one can be the best; 0 where there is nothing to choose."""
    if not job.pictures:
        return 0
    many = len(job.request.cells) if isinstance(job.request, Grid) else pictures_of(job)
    return many if many > 1 else 0


def is_blind(job: Job) -> bool:
    """Whether what differs is hidden from whoever has not voted yet."""
    return isinstance(job.request, Grid) and job.request.blind


def compared(job: Job, place: int) -> tuple[str | None, tuple[str, ...]]:
    """The model of this place and the others that it beats; None where the job compares no models, or where
    one of them has more pictures than another and would win more often by chance."""
    models = [cell.model for cell in job.request.cells] if isinstance(job.request, Grid) else []
    each = {model: models.count(model) for model in models}
    if len(each) < 2 or len(set(each.values())) > 1:
        return None, ()
    return models[place], tuple(sorted(each.keys() - {models[place]}))


def scores(won: str, beaten: Sequence[str]) -> dict[str, float]:
    """What a vote gives each model: the share of its comparisons with the others, one by one, that it won.

    The chosen one has won all; another has lost to that one, and of those that were not chosen nobody said which is
    better: they count half, as ties do in tournaments. Whoever chooses by chance so gives a half to each on average, be
    they two or many. (H. A. David, The Method of Paired Comparisons, 2nd ed. 1988, on scores and ties.)
    """
    others = len(beaten)
    return {won: 1.0} | dict.fromkeys(beaten, (others - 1) / (2 * others))


def mean(of_members: Iterable[tuple[float, int]], least: float, most: float) -> Mean | None:
    """The mean of members who each gave so much in so many ratings or votes; None where there are none.

    Its error is s / √n of the members' own means. Where these are all alike that would be 0 however few they are: then
    it is the one that Agresti and Coull (1998) give for a share, here that of the way from `least` to `most`.
    """
    given = list(of_members)
    if not given:
        return None
    values = [total / count for total, count in given]
    value, error = statistics.fmean(values), None
    if len(values) > 1:
        error = statistics.stdev(values) / math.sqrt(len(values))
        if max(values) - min(values) < 1e-9:
            trials = len(values) + 4
            share = ((value - least) / (most - least) * len(values) + 2) / trials
            error = (most - least) * math.sqrt(share * (1 - share) / trials)
    return Mean(value, error, sum(count for _, count in given), len(given))


def _said(of: OfModel) -> int:
    return sum(one.count for one in (of.stars, of.won) if one is not None)
