"""Texts as readers see them, whatever signs they are written in: capitals, accents, letters that look alike, digits in
the place of letters. Knows no words.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping

_DROPPED = {"Mn", "Me", "Cf", "Cc", "Cs", "Co"}
"""Kinds of characters that nobody sees by themselves, by Unicode's names: accents, zero-width ones, controls."""

_NAMED = re.compile(r".*\b(?:LATIN|REGIONAL INDICATOR)\b.*(?:LETTER|SMALL CAPITAL) ([A-Z])")
"""Letters in small capitals, boxes and flags, by their names in Unicode."""

_EAST_ASIAN = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u30ff\u3100-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no spaces between words, and Hangul: an accent there makes another letter."""

_DIGITS = str.maketrans("0345789", "oeastbg")
_SIGNS = {"@": "a", "$": "s", "€": "e", "+": "t"}
_STROKES = "1!|"
"""What is an i to one and an l to the next."""

_SIGN = re.compile(r"[@$€+!|]")
_BEFORE = r"(?=[\w@$€+!|])"
_BESIDE = rf"(?:{_BEFORE}|(?<=[\w@$€+!|].))"
"""Where a sign could be a letter: before one, or beside one. At the end of a word it is a sign as often as not."""


_DRAWN_ALIKE = dict(zip("питкмвншщзεηκτυωχνıł", "nutkmbhwwzenktuwxvil", strict=True))
"""What people write for Latin letters and the table leaves out, for it looks but roughly like them."""


def is_east_asian(text: str) -> bool:
    """Whether a text has letters of a script that puts no spaces between words."""
    return _EAST_ASIAN.search(text) is not None


def folded(text: str) -> str:
    """The text in small letters without accents, with the Latin letters that others look like in their place.

    What looks alike says Unicode (TR39's `confusables.txt`, in the package confusable-homoglyphs).
    """
    return _plain(text).casefold()


def readings(text: str) -> tuple[str, ...]:
    """The text in the ways in which it can be read, each once: as it stands, then with letters for the digits and signs
    that stand for them."""
    found: list[str] = []
    # A capital of other scripts may look like another letter than the small one does.
    for cased in (text,) if text.isascii() else dict.fromkeys((text, text.lower())):
        plain = _plain(cased)
        # A capital I is drawn as a small l is.
        strokes = plain.replace("I", "1").casefold().translate(_DIGITS)
        found.append(plain.casefold())
        signed = (_BEFORE, _BESIDE) if _SIGN.search(strokes) else (_BEFORE,)
        found += [_unsigned(strokes, stroke, where) for stroke in "il" for where in signed]
    return tuple(dict.fromkeys(found))


def _unsigned(text: str, stroke: str, where: str) -> str:
    """With letters for strokes, and for signs that stand where they could be one."""
    letters = _SIGNS | dict.fromkeys(_STROKES, stroke)
    return re.sub(_SIGN.pattern + where, lambda sign: letters[sign[0]], text.replace("1", stroke))


def squeezed(text: str) -> str:
    """A folded text without what separates letters, each run of the same letter as one."""
    return re.sub(r"(.)\1+", r"\1", re.sub(r"[\W_]+", "", text))


def _plain(text: str) -> str:
    """Folded, but for its capitals."""
    return unicodedata.normalize("NFKC", text.translate(_FOLDED))


class _Folded(dict[int, str]):
    """What every character is folded to, found when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _fold(chr(code))
        return found


_FOLDED = _Folded()


def _fold(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() or character.isspace() else ""
    if character.isspace():
        return " "
    if is_east_asian(character):
        return character
    if (named := _NAMED.fullmatch(unicodedata.name(character, ""))) is not None:
        return named[1].lower()
    alike = _look_alikes()
    return alike.get(character) or "".join(alike.get(one, one) for one in _unaccented(character))


def _unaccented(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(one for one in decomposed if unicodedata.category(one) not in _DROPPED)


@functools.cache
def _look_alikes() -> Mapping[str, str]:
    """The Latin letters that other characters look like."""
    # Imported here: it reads a table of a megabyte.
    from confusable_homoglyphs.confusables import confusables_data

    found: dict[str, str] = {}
    for character, alike in confusables_data.items():
        if character.isascii() or is_east_asian(character):
            continue
        for other in alike:
            letters = _unaccented(other["c"])
            if letters.isascii() and letters.isalpha():
                found[character] = letters
                break
    return _DRAWN_ALIKE | found
