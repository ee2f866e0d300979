"""How the page of /rate looks: a menu of stars for each picture of a job, one for the best of them, the votes so far.

Its menus say in their words of which job, and of which of its pictures, they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import discord
from discord import ui

from bot import cards
from bot.buttons import panel_menu
from bot.job import Job
from bot.panels.page import heading, page, small, title
from bot.ratings import STARS, Opinion, is_blind, pictures_of, places_of
from bot.words import N_, say, say_many
from inference.protocol import Grid

GRADES = {5: N_("excellent"), 4: N_("good"), 3: N_("fair"), 2: N_("poor"), 1: N_("bad")}
"""What the stars mean: the five grades of ITU-R BT.500, by which pictures are judged elsewhere too."""

NONE = "none"
"""What is chosen from a menu by whoever takes back what they said."""

LABEL_CHARS = 100
"""Of an option of a menu, or of a placeholder."""


def of_job(job: Job, own: Opinion, votes: Mapping[int, int]) -> ui.LayoutView:
    """The page of a job for a member with this opinion; what others voted for is for who has voted."""
    lines = [heading(say("Rate #{job}", job=job.id))]
    rows = [[_stars(job, index, own.stars.get(index))] for index in range(pictures_of(job))]
    places = range(places_of(job))
    if is_blind(job):
        hidden = say("What is compared is shown once you have chosen: then you cannot choose anew.")
        lines.append(hidden if not own.has_voted else "")
        # Whoever has seen what is what can take their choice back, and no more.
        places = range(0) if own.has_voted and own.place is None else places
        places = places if own.place is None else range(own.place, own.place + 1)
    if places:
        rows.append([_best(job, places, own)])
    if own.has_voted:
        lines += [title(say("Votes so far")), *_votes(job, votes)]
    lines.append(small(say("No member is shown who said what.")))
    return page(filter(None, lines), rows)


def place_named(job: Job, place: int, *, hidden: bool) -> str:
    """What a place of a job is called, where what differs is `hidden` or not."""
    if not isinstance(job.request, Grid):
        return say("Picture {number}", number=place + 1)
    request = job.request
    row, column = divmod(place, len(request.columns))
    columns, rows = request.headings
    sign, said = f"{columns[column]}{rows[row]}", " · ".join(filter(None, (request.columns[column], request.rows[row])))
    if not request.blind:
        return said
    return sign if hidden else f"{sign} · {said}"


def _stars(job: Job, index: int, chosen: int | None) -> ui.Select[Any]:
    of_many = pictures_of(job) > 1
    options = [
        discord.SelectOption(
            # A chosen option stands where the question was.
            label=_numbered(index, f"{'★' * stars} {say(GRADES[stars])}", of_many and stars == chosen),
            value=str(stars),
            default=stars == chosen,
        )
        for stars in reversed(STARS)
    ]
    question = say("How good is picture {number}?", number=index + 1) if of_many else say("How good is it?")
    return _menu("ratestars", f"{job.id}:{index}", question, options, chosen is not None)


def _best(job: Job, places: Iterable[int], own: Opinion) -> ui.Select[Any]:
    hidden = not own.has_voted
    options = [
        discord.SelectOption(
            label=cards.shorten(place_named(job, place, hidden=hidden), LABEL_CHARS),
            value=str(place),
            default=place == own.place,
        )
        for place in places
    ]
    return _menu("ratebest", str(job.id), say("Which is the best?"), options, own.place is not None)


def _menu(
    action: str, word: str, question: str, options: Sequence[discord.SelectOption], has_chosen: bool
) -> ui.Select[Any]:
    back = [discord.SelectOption(label=say("Take it back")[:LABEL_CHARS], value=NONE)] if has_chosen else []
    return panel_menu(action, word, [*options, *back], placeholder=question[:LABEL_CHARS])


def _numbered(index: int, text: str, numbered: bool) -> str:
    return f"{index + 1}: {text}" if numbered else text


def _votes(job: Job, votes: Mapping[int, int]) -> list[str]:
    """Those places that have votes; all of them to whom it was hidden what they are."""
    places = [*votes, *(place for place in range(places_of(job)) if is_blind(job) and place not in votes)]
    lines = []
    for place in places:
        said = cards.plain(cards.shorten(place_named(job, place, hidden=False), LABEL_CHARS))
        count = say_many("{count} vote", "{count} votes", votes.get(place, 0))
        lines.append(f"- {said}: {count}")
    return lines or [say("none")]
