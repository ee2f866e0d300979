"""What buttons and forms say in their custom_ids: what they do, and to what. It is all that they know.

    easel:ACTION:JOB[:INDEX]     a job, or the picture of it that is counted so, from 0
    easel:message:ACTION:ID      a message, whoever wrote it
    easel:new:ACTION:WORD        nothing that there is yet; the word is the action's own

What was ever sent in these words stands under messages of years ago: they can be added to, and not changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CUSTOM_ID_CHARS = 100
"""The most that Discord takes."""

NUMBER_DIGITS = 18
"""Nothing that is numbered here has a longer number."""

OF_JOB = re.compile(r"easel:(?P<action>[a-z]+):(?P<job>\d+)(?::(?P<index>\d+))?", re.ASCII)
_OF_MESSAGE = re.compile(r"easel:message:(?P<action>[a-z]+):(?P<message>\d+)", re.ASCII)
_OF_WORD = re.compile(r"easel:new:(?P<action>[a-z]+):(?P<word>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OfJob:
    """A job or one of its pictures. Anybody can forge one: who may see the job is for `sources.job_of` to say."""

    number: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class OfMessage:
    """A message of any channel."""

    id: int


@dataclass(frozen=True, slots=True)
class OfWord:
    """Nothing but a word that whoever opened the form gave it."""

    word: str


Target = OfJob | OfMessage | OfWord


def make(action: str, target: Target) -> str:
    """The custom_id of a button or form that does this to its target."""
    match target:
        case OfJob(number, index):
            made = f"easel:{action}:{number}" + (f":{index}" if index else "")
        case OfMessage(id_):
            made = f"easel:message:{action}:{id_}"
        case OfWord(word):
            made = f"easel:new:{action}:{word}"
    if len(made) > CUSTOM_ID_CHARS or parse(made) != (action, target):
        raise ValueError(f"{made!r} is no custom_id")
    return made


def number_in(text: str, digits: int = NUMBER_DIGITS) -> int | None:
    """A number of so many digits at most that a word or a choice holds, which anybody can forge; None if it is none."""
    return int(text) if re.fullmatch(f"[0-9]{{1,{digits}}}", text, re.ASCII) else None


def parse(custom_id: str) -> tuple[str, Target] | None:
    """The action and its target; None where that is no custom_id of Easel's."""
    if match := OF_JOB.fullmatch(custom_id):
        return match["action"], OfJob(int(match["job"]), int(match["index"] or 0))
    if match := _OF_MESSAGE.fullmatch(custom_id):
        return match["action"], OfMessage(int(match["message"]))
    if match := _OF_WORD.fullmatch(custom_id):
        return match["action"], OfWord(match["word"])
    return None
