"""How /stats looks: the numbers in words, as a chart, and what a screen reader says of that."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discord import ui

from bot import cards
from bot.cards import Card
from bot.counting import Counted
from bot.measured import Measured
from bot.panels import page, quality
from bot.pictures.charts import Bars
from bot.ratings import OfModel
from bot.words import N_, say, say_many

FILE = "stats.png"

NOTHING: Mapping[str, Any] = {}

HOUR_S, DAY_S = 3600.0, 86400.0

PERIODS: Mapping[str, tuple[str, float, int]] = {
    "day": (N_("The last 24 hours"), HOUR_S, 24),
    "week": (N_("The last 7 days"), DAY_S, 7),
    "month": (N_("The last 30 days"), DAY_S, 30),
}
"""What each is called, how long a bar of its chart is, in seconds, and how many of them there are."""

NAMED_BARS = 6
"""Under so many bars over time, evenly apart, stands when that was."""

ENDS: Mapping[str, str] = {
    "cancelled": N_("was cancelled"),
    "invalid_input": N_("could not be done as asked"),
    "unsafe": N_("was held back"),
    "out_of_memory": N_("did not fit into memory"),
    "unavailable_model": N_("the model was not there"),
    "internal": N_("something went wrong in Easel"),
}


def chart(counted: Counted, period: str) -> tuple[Bars, ...]:
    """What is drawn."""
    title, width_s, parts = PERIODS[period]
    every = -(-parts // NAMED_BARS)
    names = tuple(
        _when(time.time() - (parts - 1 - index) * width_s, width_s) if (parts - 1 - index) % every == 0 else ""
        for index in range(parts)
    )
    bars = [Bars(" · ".join((say("Jobs"), say(title))), names, tuple(counted.buckets), over_time=True)]
    bars.append(Bars(say("Models"), tuple(counted.models), tuple(counted.models.values())))
    if counted.ends:
        ends = tuple(say(ENDS.get(name, name)) for name in counted.ends)
        bars.append(Bars(say("What came to nothing"), ends, tuple(counted.ends.values())))
    return tuple(bars)


def card(
    counted: Counted,
    period: str,
    picture: Path | None,
    *,
    moderates: bool,
    thought: Mapping[str, OfModel] = NOTHING,
    measured: Mapping[str, Measured] = NOTHING,
) -> Card:
    """The numbers of some time; those of single members for who `moderates` alone. Of models that were used or rated
    here stands what members `thought` of them and what was `measured`, whenever that was."""
    title, *_ = PERIODS[period]
    head = say("Statistics of this server")
    lines = [f"## {head}", f"-# {say(title)}", *_numbers(counted)]
    lines += _list(say("Models"), ((cards.plain(name), count) for name, count in counted.models.items()))
    lines += _list(
        say("What came to nothing"), ((say(ENDS.get(name, name)), count) for name, count in counted.ends.items())
    )
    lines += quality.of_models(counted.models, thought, measured)
    if moderates:
        members = ((f"<@{member_id}>", count) for member_id, count in counted.of_members.items())
        lines += _list(say("Members"), members)
        if counted.spent:
            sums = ", ".join(one.said for one in counted.spent)
            spent = say("Spent on models of other servers")
            lines.append(f"**{spent}**: {sums}")
    container: ui.Container[Any] = ui.Container(accent_colour=page.COLOUR)
    files: tuple[tuple[str, Path], ...] = ()
    if picture is not None:
        gallery: ui.MediaGallery[Any] = ui.MediaGallery()
        gallery.add_item(media=f"attachment://{FILE}", description=alt(counted, period))
        container.add_item(gallery)
        files = ((FILE, picture),)
    container.add_item(ui.TextDisplay(cards.cut("\n".join(lines), page.CHARS)))
    return Card(cards.layout(container), files)


def alt(counted: Counted, period: str) -> str:
    """The chart in words."""
    title, *_ = PERIODS[period]
    models = [f"{name} {count}" for name, count in counted.models.items()]
    ends = [f"{say(ENDS.get(name, name))} {count}" for name, count in counted.ends.items()]
    listed = ": ".join((say("Models"), ", ".join(models))) if models else ""
    said = [say(title), *_numbers(counted), listed, ", ".join(ends)]
    return cards.shorten(" · ".join(filter(None, said)), cards.ALT_CHARS)


def _numbers(counted: Counted) -> list[str]:
    if not counted.total:
        return [say("Nothing was asked for in this time.")]
    jobs = say_many("{count} job", "{count} jobs", counted.total)
    members = say_many("{count} member", "{count} members", counted.members)
    lines = [say("{jobs} by {members}; {finished} finished", jobs=jobs, members=members, finished=counted.finished)]
    if counted.median_wait_s is not None and counted.p95_wait_s is not None:
        median, most = f"{counted.median_wait_s:.1f}", f"{counted.p95_wait_s:.1f}"
        lines.append(say("Waits: half up to {median} s, 95 of 100 up to {most} s", median=median, most=most))
    if counted.rank is not None:
        lines.append(
            say_many(
                "{count} of them is yours: place {rank}",
                "{count} of them are yours: place {rank}",
                counted.own,
                rank=counted.rank,
            )
        )
    return lines


def _list(title: str, counts: Iterable[tuple[str, int]]) -> list[str]:
    rows = [f"{name}: {count}" for name, count in counts]
    return [f"**{title}**", *(f"- {row}" for row in rows)] if rows else []


def _when(at: float, width_s: float) -> str:
    """In UTC, as numbers that everybody reads."""
    return time.strftime("%H:00" if width_s == HOUR_S else "%m-%d", time.gmtime(at))
