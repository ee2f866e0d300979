"""How a job looks while it waits, runs and fails. How its result looks is its command's matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import discord
from discord import ui

from bot.buttons import JobButton
from bot.job import Job
from bot.pictures.fitting import Shown
from bot.words import say, why
from inference.protocol import Grid, Progress

ALT_CHARS = 1024
"""The longest description that Discord takes of a picture."""

PROMPT_CHARS = 300
"""What a card shows of a prompt; the whole of it stands in Edit."""

ANSWER_CHARS = 1500
"""What a card shows of an answer."""

TEXT_CHARS = 4000
"""The most that Discord takes of all the text of one message."""

SMALL_PRINT_CHARS = 1000

SPOILER = "SPOILER_"
"""How the names of files begin that Discord hides until somebody wants to see them."""

_WAITING = discord.Colour(0x8A8F98)
_RUNNING = discord.Colour(0xE8A33D)
_DONE = discord.Colour(0x4FA97A)
_FAILED = discord.Colour(0xC9504A)
_BAR_CELLS = 16


Absence = Literal["starting", "restarting"]
"""Why there is no engine: none was ready yet since the bot was started, or none is any more."""

Content = Path | bytes
"""Of a file that goes along: where it lies, or itself where it is small."""


@dataclass(frozen=True, slots=True)
class Card:
    """A message to be: components, and the files that they name as `attachment://name`."""

    view: ui.LayoutView
    files: tuple[tuple[str, Content], ...] = ()


class Look(Protocol):
    """What a command adds to the cards: how its requests are headed and its results are shown."""

    def headline(self, request: Any) -> str:
        """The request in a line of Discord's markdown."""

    def ways_on(self, job: Job) -> list[JobButton]:
        """The buttons of a job that failed or was cancelled."""

    def finished(self, job: Job, pictures: Sequence[Shown]) -> Card:
        """The result of a finished job."""


def plain(text: str) -> str:
    """What a member wrote, shortened to a card's length and shown as written: no markdown, no mentions."""
    return discord.utils.escape_mentions(discord.utils.escape_markdown(shorten(text, PROMPT_CHARS)))


def found(job: Job) -> str:
    """What a job found out in words, or that there is nothing; shown as it was said: no markdown, no mentions."""
    nothing = job.answer.nothing
    said = job.answer.text[:ANSWER_CHARS] if nothing is None else why(nothing)
    return discord.utils.escape_mentions(discord.utils.escape_markdown(said))


def shorten(text: str, most: int) -> str:
    """The text in one line of at most so many characters, for places that know no markdown."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def cut(text: str, most: int) -> str:
    """The text in at most so many characters: whole lines of it, and a part of the first where that is too long."""
    if len(text) <= most:
        return text
    end = text.rfind("\n", 0, most - 1)
    # A backslash at the end would escape what comes after it.
    return (text[:end] if end > 0 else text[: most - 2].rstrip("\\")) + ("\n…" if end > 0 else "…")


def arriving(job: Job, headline: str) -> Card:
    """A job whose uploads are still being read."""
    return _card(_WAITING, headline, _line(job, say("reading the picture")), [_cancel(job)])


def waiting(job: Job, headline: str, place: int, ready_at: float | None) -> Card:
    """A job in the queue: `place` counts from 1, `ready_at` is the estimate where there is one."""
    return _card(_WAITING, headline, _line(job, *places(place, ready_at)), [_cancel(job)])


def places(place: int, ready_at: float | None) -> list[str]:
    """What is said of a place in the queue, and of when it is ready."""
    turn = say("next in the queue") if place == 1 else say("place {place} in the queue", place=place)
    if ready_at is None:
        return [turn]
    when = f"<t:{ready_at:.0f}:R>"
    return [turn, say("ready {when}", when=when)]


def unattended(job: Job, headline: str, absence: Absence) -> Card:
    """A job that waits for the engine."""
    return _card(_WAITING, headline, _line(job, absent(absence)), [_cancel(job)])


def absent(absence: Absence) -> str:
    """Why nothing runs just now."""
    return say("the engine is starting") if absence == "starting" else say("the engine is being started again")


def running(job: Job, headline: str, progress: Progress | None, preview: bytes | None) -> Card:
    """A job in the engine's hands, with a progress bar and what the pictures look like so far."""
    if progress is None:
        line = say("starting")
    elif progress.stage == "loading":
        line = say("loading the model")
    else:
        line = f"{bar(progress.step, progress.steps)} {progress.step}/{progress.steps}"
    files = (("preview.webp", preview),) if preview is not None else ()
    alt = say("What job {job} looks like so far", job=job.id)
    return _card(_RUNNING, headline, _line(job, line), [_cancel(job)], files, alt)


def ended(job: Job, headline: str, ways_on: Sequence[JobButton]) -> Card:
    """A job that was cancelled or failed, in one sentence, with the ways on from here."""
    sentence = say("Cancelled.") if job.state == "cancelled" or job.failure is None else why(job.failure)
    colour = _WAITING if job.state == "cancelled" else _FAILED
    return _card(colour, f"{headline}\n{discord.utils.escape_markdown(sentence)}", _line(job), [ways_on])


def removed(job: Job, ways_on: Sequence[JobButton]) -> Card:
    """A finished job whose pictures are no longer on this machine."""
    sentence = say(
        "Its pictures are old and were removed from this machine: Try again makes them anew, from the same seed."
    )
    return _card(_WAITING, sentence, _line(job), [ways_on])


def bare(job: Job, sentence: str, files: Sequence[tuple[str, Content]] = ()) -> Card:
    """How a job ended, where its own card cannot be made or Discord does not take it: nothing that could go wrong."""
    colour = _DONE if job.state == "finished" else _FAILED
    whole = [original(job)] if job.pictures else []
    return _card(colour, sentence, _line(job), [[*whole, delete(job)]], files, sentence)


def addressed(card: Card, member_id: int) -> Card:
    """The card as a message of its own: it says for whom it is."""
    member = f"<@{member_id}>"
    line = "-# " + say("for {member}", member=member)
    [container] = (item for item in card.view.children if isinstance(item, ui.Container))
    if all(getattr(item, "content", None) != line for item in container.children):
        container.add_item(ui.TextDisplay(line))
    return card


def result(
    job: Job, text: str, facts: str, pictures: Sequence[Shown], alt: str, rows: Sequence[Sequence[ui.Item[Any]]]
) -> Card:
    """A finished job: its pictures as a grid, the text and the small print under them, rows of buttons under that."""
    notes = dict.fromkeys(why(shown.note) for shown in pictures if shown.note is not None)
    seconds = f"{job.seconds or 0:.1f}"
    print_ = _line(job, facts, say("{seconds} s", seconds=seconds), *notes, *map(why, job.answer.notes))
    whole: list[ui.Item[Any]] = [original(job)] if notes else []
    *others, last = rows
    return _card(_DONE, text, print_, [*others, [*last, *whole]], files(job, pictures), shorten(alt, ALT_CHARS))


def choice(job: Job, action: str) -> ui.LayoutView:
    """The question which of a job's pictures is meant, with a button for each that does this action to it."""
    question = ui.TextDisplay[Any](say("Which picture of #{job}?", job=job.id))
    buttons = [JobButton(action, job.id, index, label=str(index + 1)) for index in range(len(job.pictures))]
    return layout(question, ui.ActionRow(*buttons))


def layout(*items: ui.Item[Any]) -> ui.LayoutView:
    """A message of these. Of its buttons discord.py keeps nothing in memory: they carry their own state."""
    view = ui.LayoutView(timeout=None)
    for item in items:
        view.add_item(item)
    view.stop()
    return view


def files(job: Job, pictures: Sequence[Shown]) -> list[tuple[str, Content]]:
    """The pictures of a finished job as files of a card."""
    return [(file_name(job, index, f"{index + 1}.{shown.suffix}"), shown.file) for index, shown in enumerate(pictures)]


def file_name(job: Job, index: int, rest: str) -> str:
    """The name of a file that shows the picture of a job that is counted so, from 0, hidden where it was flagged."""
    return f"{SPOILER if job.pictures[index].flagged else ''}easel-{job.id}-{rest}"


def again(job: Job) -> JobButton:
    """The button that runs a job once more."""
    return JobButton("again", job.id, label=say("Try again"))


def original(job: Job) -> JobButton:
    """The button that has a job's pictures without any loss."""
    return JobButton("original", job.id, label=say("Original"))


def stars(job: Job, count: int) -> list[JobButton]:
    """The buttons that make pictures a member's favourites, or none any more."""
    if count == 1:
        return [JobButton("star", job.id, label=say("★ Favourite"))]
    return [JobButton("star", job.id, index, label=f"★{index + 1}") for index in range(count)]


def rate(job: Job) -> JobButton:
    """The button that asks how good a job's pictures are, or which cell of a table is the best."""
    return JobButton("rate", job.id, label=say("Vote") if isinstance(job.request, Grid) else say("Rate"))


def delete(job: Job) -> JobButton:
    """The button that forgets a job."""
    return JobButton("delete", job.id, label=say("Delete"), style=discord.ButtonStyle.danger)


def bar(step: int, steps: int) -> str:
    """A progress bar in text."""
    filled = round(_BAR_CELLS * step / steps) if steps else 0
    return "▰" * filled + "▱" * (_BAR_CELLS - filled)


def _line(job: Job, *said: str) -> str:
    """The small print: the job's number, and what there is to say of it."""
    return " · ".join([f"#{job.id}", *said])


def _cancel(job: Job) -> list[ui.Item[Any]]:
    return [JobButton("cancel", job.id, label=say("Cancel"))]


def _card(
    colour: discord.Colour,
    text: str,
    small_print: str,
    rows: Sequence[Sequence[ui.Item[Any]]],
    files: Sequence[tuple[str, Content]] = (),
    alt: str | None = None,
) -> Card:
    container: ui.Container[Any] = ui.Container(accent_colour=colour)
    if files:
        gallery: ui.MediaGallery[Any] = ui.MediaGallery()
        for name, _ in files:
            gallery.add_item(media=f"attachment://{name}", description=alt, spoiler=name.startswith(SPOILER))
        container.add_item(gallery)
    small_print = shorten(small_print, SMALL_PRINT_CHARS)
    container.add_item(ui.TextDisplay(f"{cut(text, TEXT_CHARS - SMALL_PRINT_CHARS - 100)}\n-# {small_print}"))
    for row in rows:
        container.add_item(ui.ActionRow(*row))
    return Card(layout(container), tuple(files))
