"""Lists of words and phrases, and which of them a text has in it: as words of their own, however they are written.

cat         the cat; not concatenate
cat*        cats and catapults too
a cat       with whatever stands between words
猫          wherever it stands: Chinese puts no spaces between words
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bot.policies.folding import folded, is_east_asian, readings, squeezed

_WITHIN = r"(?:[^\w\s'’@$€+!|]|_){0,2}"
"""What may stand within a written word, such as a hyphen. Not an apostrophe: `he'll` is another word."""

_BETWEEN = r"[\W_]{1,5}"
"""What stands between the words of a phrase."""

_SPACED = r"[\W_]{1,3}"
"""What stands between the letters of a word that is spelled out."""

SPELLED_CHARS = 3
"""So many letters a word has at least that is looked for spelled out: `a s` is no word."""


def usable(word: str) -> bool:
    """Whether there is anything in a word that a text could be searched for."""
    return bool(squeezed(folded(word.rstrip("*"))))


@dataclass(frozen=True)
class Reading:
    """One way in which a text can be read."""

    text: str
    squeezed: str
    """It as `folding.squeezed` has it: where a word is not in this, it is nowhere."""


@dataclass(frozen=True)
class Texts:
    """Texts made ready to be searched for many words."""

    readings: tuple[Reading, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """All readings of these texts."""
        found = dict.fromkeys(reading for text in dict.fromkeys(texts) for reading in readings(text))
        return cls(tuple(Reading(reading, squeezed(reading)) for reading in found))


class WordList:
    """Words by their numbers, by which members hear of them."""

    def __init__(self, words: Mapping[int, str]) -> None:
        self.words = words
        self._cores = [(number, squeezed(folded(word.lower())), word) for number, word in words.items()]

    @classmethod
    def of(cls, words: Sequence[str]) -> WordList:
        """These words, counted from 1."""
        return cls(dict(enumerate(words, start=1)))

    def found(self, texts: Texts) -> int | None:
        """The number of the first word that is in one of the texts; None where none is."""
        for number, core, word in self._cores:
            for reading in texts.readings:
                if core in reading.squeezed and _pattern(word).search(reading.text):
                    return number
        return None


@functools.lru_cache(maxsize=4096)
def _pattern(word: str) -> re.Pattern[str]:
    """What finds the word in a folded text. Of a long list few are ever needed."""
    starred = word.rstrip().endswith("*")
    parts = re.findall(r"[^\W_]+", folded(word.lower()))
    core = squeezed("".join(parts))
    if is_east_asian(core):
        return re.compile(r"[\W_]{0,3}".join(re.escape(letter) for letter in "".join(parts)))
    forms = [_BETWEEN.join(_WITHIN.join(_runs(part)) for part in parts)]
    letters = [re.escape(letter) for letter in "".join(parts)]
    if len(letters) >= SPELLED_CHARS:
        forms.append(_SPACED.join(letters))
    # A digit before a word is no part of it, as in `2cats`.
    before, after = (r"\d" if side and side.isdigit() else "" for side in (core[:1], core[-1:]))
    end = "" if starred else f"(?![^\\W\\d_]{f'|{after}' if after else ''})"
    return re.compile(f"(?<![^\\W\\d_]){f'(?<!{before})' if before else ''}(?:{'|'.join(forms)}){end}")


def _runs(part: str) -> list[str]:
    """Each letter of a word, as often as it has it in a row or much more often: `fuuun` is fun, and `cool` no `col`."""
    runs = [(re.escape(letter), len(list(run))) for letter, run in groupby(part)]
    return [letter * count if letter.isdigit() else f"{letter}{{{count}}}(?:{letter}{{2,}})?" for letter, count in runs]
