"""How the captions of a training that is prepared look: page by page beside their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import discord
from discord import ui

from bot import cards
from bot.buttons import MENU_CHARS, PanelButton, panel_menu
from bot.cards import Card
from bot.panels import page as pages
from bot.training.states import Training, TrainingPicture
from bot.words import say, why
from inference.protocol import Reason

ROWS = 5
"""Of a page: with their pictures, menus and buttons, well within the 40 components of a message."""

SHOWN_CHARS, HEAD_CHARS = 300, 900
"""Of a caption on a page, before its signs are escaped, and of what stands above: the whole of a caption stands in its
form, and a message has 4000."""


@dataclass(slots=True)
class Course:
    """How the captions of one training come on that the describer writes."""

    at_work: bool = True
    flagged: list[int] = field(default_factory=list)
    """The numbers of the pictures that the safety checker held back: they were taken out."""
    problem: Reason | str | None = None
    """Why no more are written."""


def page(
    training: Training,
    pictures: Sequence[TrainingPicture],
    number: int,
    small: Mapping[int, bytes],
    *,
    course: Course | None,
    able: bool,
) -> Card:
    """The page of this number, from 0: `small` are thumbnails by the numbers of their pictures, `course` how the
    writing of captions comes on, where it was asked for, `able` whether there is a describer that can."""
    describes = course is not None and course.at_work
    count, number, shown = paged(pictures, number)
    container: ui.Container[Any] = ui.Container(accent_colour=pages.COLOUR)
    head = [pages.heading(say("Captions of {name}", name=cards.plain(training.name)))]
    head += map(pages.small, _notes(training, course))
    container.add_item(ui.TextDisplay(cards.cut("\n".join(head), HEAD_CHARS)))
    files = []
    for picture in shown:
        text = f"**{picture.number}** {_words(picture)}"
        if picture.number not in small:
            container.add_item(ui.TextDisplay(text))
            continue
        name = f"{picture.number}.webp"
        files.append((name, small[picture.number]))
        thumbnail: ui.Thumbnail[Any] = ui.Thumbnail(f"attachment://{name}", description=_alt(picture))
        container.add_item(ui.Section(text, accessory=thumbnail))
    word = f"{training.id}:{number}"
    if shown:
        options = [
            discord.SelectOption(label=cards.shorten(_option(picture), MENU_CHARS), value=str(picture.number))
            for picture in shown
        ]
        change = panel_menu("traincaption", word, options, placeholder=say("Change the words of one"))
        remove = panel_menu("trainremove", word, options, placeholder=say("Take one out"))
        container.add_item(ui.ActionRow(change))
        container.add_item(ui.ActionRow(remove))
    bare = any(not picture.caption for picture in pictures)
    buttons: list[ui.Item[Any]] = [
        PanelButton("trainall", word, label=say("Change many at once"), disabled=not shown),
        PanelButton("trainreplace", word, label=say("Find and replace"), disabled=not shown),
    ]
    if able:
        buttons.append(
            PanelButton("trainwrite", word, label=say("Describe those without"), disabled=describes or not bare)
        )
    container.add_item(ui.ActionRow(*buttons))
    turning: list[ui.Item[Any]] = [PanelButton("train", str(training.id), label=say("Back"))]
    if count > 1:
        for to, label in ((number - 1, say("Previous")), (number + 1, say("Next"))):
            there = 0 <= to < count
            turning.append(PanelButton("traincaptions", f"{training.id}:{to}", label=label, disabled=not there))
    container.add_item(ui.ActionRow(*turning))
    return Card(cards.layout(container), tuple(files))


def paged(pictures: Sequence[TrainingPicture], number: int) -> tuple[int, int, Sequence[TrainingPicture]]:
    """How many pages there are, the number of one of them, and the pictures on it."""
    count = max(-(-len(pictures) // ROWS), 1)
    number = min(max(number, 0), count - 1)
    return count, number, pictures[number * ROWS : (number + 1) * ROWS]


def _notes(training: Training, course: Course | None) -> list[str]:
    notes = []
    if training.trigger:
        notes.append(say("“{trigger}” is put before each of them by itself.", trigger=cards.plain(training.trigger)))
    if course is not None and course.at_work:
        notes.append(say("They are being written at this moment: open this page again to see more."))
    if course is not None and course.flagged:
        numbers = ", ".join(map(str, course.flagged))
        notes.append(say("The safety checker held pictures back, which were taken out: {numbers}.", numbers=numbers))
    if course is not None and course.problem is not None:
        problem = cards.plain(why(course.problem))
        notes.append(say("The describer wrote no more: {problem}", problem=problem))
    return notes


def _words(picture: TrainingPicture) -> str:
    if not picture.caption:
        return "*" + say("no words yet") + "*"
    words = cards.shorten(picture.caption, SHOWN_CHARS)
    return discord.utils.escape_mentions(discord.utils.escape_markdown(words))


def _option(picture: TrainingPicture) -> str:
    words = picture.caption or say("no words yet")
    return f"{picture.number}: {words}"


def _alt(picture: TrainingPicture) -> str:
    return cards.shorten(picture.caption or say("Picture {number}", number=picture.number), cards.ALT_CHARS)
