"""The captions of many pictures as one text, and back: a line of each, with the picture's number before it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from bot.errors import MemberError
from inference.protocol.limits.training import MAX_CAPTION_CHARS

LINE = re.compile(r"\s*#?([0-9]{1,4})\s*[:：.、)]\s*(.*)", re.ASCII)


def tidy(typed: str) -> str:
    """What a member typed as a caption: one line without signs that are no letters. Raises MemberError where it is too
    long."""
    line = " ".join("".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in typed).split())
    if len(line) > MAX_CAPTION_CHARS:
        raise MemberError(
            "These words have {count} characters and {most} are the most: say less of this picture.",
            count=len(line),
            most=MAX_CAPTION_CHARS,
        )
    return line


def together(captions: Mapping[int, str], most: int) -> str:
    """As many of these as fit into so many characters, from the first on, and of one too long a part."""
    lines: list[str] = []
    for number, caption in captions.items():
        line = f"{number}: {caption}"
        if lines and len("\n".join(lines)) + 1 + len(line) > most:
            break
        lines.append(line)
    return "\n".join(lines)[:most]


def apart(text: str, known: Mapping[int, str]) -> dict[int, str]:
    """What this text says of the pictures that it numbers; a line without a number goes on with the one before.

    Raises MemberError where it says it of none, of one that there is not, or of one twice.
    """
    found: dict[int, list[str]] = {}
    at: list[str] | None = None
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            if at is None and line.strip():
                raise MemberError(
                    "Begin every line with the number of its picture, as in “3: a red house”: “{line}” has none.",
                    line=line.strip()[:60],
                )
            if at is not None:
                at.append(line)
            continue
        number = int(match[1])
        if number not in known:
            raise MemberError("There is no picture {number} here: the numbers stand before the words.", number=number)
        if number in found:
            raise MemberError("Picture {number} stands there twice: leave one of the two lines out.", number=number)
        at = found[number] = [match[2]]
    return {number: tidy(" ".join(parts)) for number, parts in found.items()}


def replaced(captions: Mapping[int, str], old: str, new: str) -> dict[int, str]:
    """Those of these captions that change where one text is put in another's place, whatever its capitals."""
    pattern = re.compile(re.escape(old), re.IGNORECASE)
    changed = {number: tidy(pattern.sub(lambda _: new, caption)) for number, caption in captions.items()}
    return {number: caption for number, caption in changed.items() if caption != captions[number]}
