"""All that a bot has put before members, read from what it sent to Discord, and what of it no catalogue has said."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from discord import Locale

from bot.pictures.decoding import FORMATS
from bot.pictures.recipes import READERS
from inference.families.samplers import DIFFUSION, FLOW
from inference.protocol import Answer
from sandbox.client.member import Json

TEXTS = {"content", "label", "placeholder", "title", "description", "text"}
"""Where Discord takes what members read. Of an attachment the description is its alternative text."""

MENUS = (2, 3)
"""Commands that are chosen by their names, of members and of messages."""

NO_WORD = (
    r"```.*?```",  # a recipe, which other tools read
    r"`[^`]*`",  # what is to be typed as it is
    r"<[^<> ]*>",  # Discord's own marks
    r"\]\(https://[^)]*\)",  # where a link leads
    r"/[a-z]+\b",  # a command's name
    r"\w+…",  # what was cut in the middle
)


def said(entries: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Where, and what: of every message, form and list of choices, whatever became of it."""
    for entry in entries:
        if not _registers(entry):
            for text in _texts(entry["request"]):
                yield f"{entry['method']} {entry['path']}", text


def registered(entries: Iterable[Json]) -> Iterator[tuple[str, str]]:
    """Where, and what a client shows of the commands, in each of its languages."""
    for entry in filter(_registers, entries):
        for command in entry["request"]:
            if command["type"] in MENUS:
                yield from ((command["name"], text) for text in _in_all_languages(command, "name"))
            yield from _of_command(command, command["name"])


def plain_words(text: str, known: Iterable[str]) -> list[str]:
    """What of a text is neither accented nor known."""
    for pattern in NO_WORD:
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    # Cards show what models and operators say escaped.
    text = text.replace("\\", "")
    for one in sorted(known, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", " ", text)
    return re.findall(r"[A-Za-z]{2,}", text)


def names(models: Path, styles: Path) -> set[str]:
    """What operators and the authors of models have named."""
    known = {*DIFFUSION, *FLOW, *FORMATS.values(), *READERS}
    for file in (models, styles):
        known |= set(_names(tomllib.loads(file.read_text(encoding="utf-8"))))
    return {name for name in known if re.search("[A-Za-z]{2}", name)}


def answers(database: Path) -> set[str]:
    """What models have said of pictures, in their own words."""
    known: set[str] = set()
    for (row,) in _rows(database, "SELECT answer FROM job WHERE answer IS NOT NULL"):
        answer = msgspec.json.decode(row, type=Answer)
        known |= {answer.text, *(region.label for region in answer.regions)}
    return known - {""}


def captions(database: Path) -> set[str]:
    """What stands beside the pictures of trainings."""
    return {row for (row,) in _rows(database, "SELECT caption FROM training_picture")}


def drawn(database: Path) -> Iterator[tuple[str, str]]:
    """By which task, and what the engine was told to write into pictures."""
    for kind, row in _rows(database, "SELECT kind, request FROM job WHERE kind IN ('compare', 'grid')"):
        request = msgspec.json.decode(row)
        for text in request["captions"] if kind == "compare" else [*request["columns"], *request["rows"]]:
            yield kind, text


def _rows(database: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        return opened.execute(query).fetchall()


def _registers(entry: Json) -> bool:
    return entry["method"] == "PUT" and entry["path"].endswith("/commands")


def _texts(body: Any) -> Iterator[str]:
    match body:
        case list():
            for item in body:
                yield from _texts(item)
        case dict():
            for key, value in body.items():
                if key == "choices":
                    yield from (choice["name"] for choice in value)
                elif isinstance(value, str) and key in TEXTS:
                    yield value
                else:
                    yield from _texts(value)


def _of_command(of: Json, where: str) -> Iterator[tuple[str, str]]:
    """The descriptions and choices of a command or an option. What is in no language is what clients show then."""
    if of.get("description"):
        yield from ((where, text) for text in _in_all_languages(of, "description"))
    for choice in of.get("choices", ()):
        yield from ((where, text) for text in _in_all_languages(choice, "name"))
    for option in of.get("options", ()):
        yield from _of_command(option, f"{where} {option['name']}")


def _in_all_languages(of: Json, key: str) -> list[str]:
    said: dict[str, str] = of.get(f"{key}_localizations") or {}
    return [said.get(locale.value, of[key]) for locale in Locale]


def _names(tables: Json) -> Iterator[str]:
    """What stands in tables of tables or lists: the names of these, their titles, the labels."""
    for table in filter(lambda one: isinstance(one, dict), tables.values()):
        for name, entry in table.items():
            yield name
            yield from (
                entry if isinstance(entry, list) else (entry[key] for key in ("title", "trigger") if key in entry)
            )
