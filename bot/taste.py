"""What a member favours: the styles, models, LoRAs and sizes of what they painted and starred last, counted.

Whoever does not want to hear of it favours nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from bot.finding import Where
from bot.job import Job
from bot.jobs import Jobs
from bot.words import say, say_many
from inference.protocol import Grid, Imagine

LOOKED_AT = 20
"""So many of a member's newest paintings are counted, and so many of the newest that they starred."""

LEAST = 3
"""What was used less often is no habit."""

Aspect = Literal["style", "lora", "model", "size"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
"""What tells most first."""


@dataclass(frozen=True, slots=True)
class Favoured:
    """Something that a member uses again and again."""

    aspect: Aspect
    name: str
    """As it is typed."""
    used: int
    """In so many of their last paintings."""
    starred: int
    """In so many of the paintings that they starred last."""


@dataclass(frozen=True)
class Taste:
    """How often a member used what, and starred what was made with it."""

    paintings: int = 0
    """How many were looked at."""
    stars: int = 0
    used: Mapping[Aspect, Counter[str]] = field(default_factory=dict)
    starred: Mapping[Aspect, Counter[str]] = field(default_factory=dict)

    def uses(self, aspect: Aspect, name: str) -> int:
        """How much this speaks for itself: each use and each star counts once."""
        return sum(of.get(aspect, Counter())[name] for of in (self.used, self.starred))

    def favoured(self, aspect: Aspect, name: str) -> Favoured:
        """How often one thing was used and starred."""
        used, starred = (of.get(aspect, Counter())[name] for of in (self.used, self.starred))
        return Favoured(aspect, name, used, starred)

    def best(self) -> list[Favoured]:
        """What they favour most of each kind; nothing of a kind of which nothing was used often enough."""
        found = []
        for aspect in ASPECTS:
            names = {name for of in (self.used, self.starred) for name in of.get(aspect, Counter())}
            name = max(sorted(names), key=lambda one: self.uses(aspect, one), default=None)
            if name is not None and self.uses(aspect, name) >= LEAST:
                found.append(self.favoured(aspect, name))
        return found


NO_TASTE = Taste()


def explained(taste: Taste, favoured: Favoured) -> str:
    """How often that was, so that nobody has to wonder."""
    said = []
    if favoured.used:
        said.append(
            say_many(
                "{used} of your last painting",
                "{used} of your last {count} paintings",
                taste.paintings,
                used=favoured.used,
            )
        )
    if favoured.starred:
        said.append(say("{starred} starred", starred=favoured.starred))
    return ", ".join(said)


async def of_member(jobs: Jobs, member_id: int, where: Where) -> Taste:
    """What a member favours, of what may be seen from where they ask."""
    if not await jobs.finding.wants_suggestions(member_id):
        return NO_TASTE
    painted = await jobs.all_of(await jobs.finding.painted(member_id, where, LOOKED_AT))
    starred = await jobs.all_of(await jobs.finding.newest_starred(member_id, where, LOOKED_AT))
    return Taste(len(painted), len(starred), _counted(painted), _counted(starred))


def _counted(jobs: Iterable[Job]) -> dict[Aspect, Counter[str]]:
    counted: dict[Aspect, Counter[str]] = {aspect: Counter() for aspect in ASPECTS}
    for job in jobs:
        match job.request:
            case Imagine() as request:
                pass
            case Grid(cells=(request, *_)):
                pass
            case _:
                continue
        counted["model"][request.model] += 1
        counted["size"][f"{request.width}x{request.height}"] += 1
        if request.style is not None:
            counted["style"][request.style.name] += 1
        counted["lora"].update({lora.name for lora in request.loras})
    return counted
