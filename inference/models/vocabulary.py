"""The words that a model was taught, where a file beside its weights lists them; of all others it has never seen one.

Large models have seen everything and come without such a file. Nothing of it decides what is painted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inference.errors import WeightsError

FILE = "vocabulary.txt"
MAX_BYTES = 1_000_000

SIGN = "sign"
"""A model that was taught this word spells what stands on one: what is in quotes is nothing that it must have seen."""

_QUOTED = re.compile(r'"[^"]*"|“[^”]*”|「[^」]*」')
_EMBEDDING = re.compile("\0[^\0]*\0")
_HAN = "\u3400-\u9fff"
_WORDS = re.compile(rf"[{_HAN}]+|(?:(?![{_HAN}])[\w'’-])+")


@dataclass(frozen=True)
class Vocabulary:
    """The words of one model, in lower case."""

    words: frozenset[str]

    @classmethod
    def beside(cls, folder: Path) -> Vocabulary | None:
        """That of the model in this folder, a word a line; None where it says nothing of its words.

        Raises WeightsError where the file cannot be one.
        """
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            if file.stat().st_size > MAX_BYTES:
                raise WeightsError(f"{file} is no list of words: it has more than {MAX_BYTES} bytes")
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(f"{file} cannot be read as a list of words: {error}") from error
        return cls(frozenset(line.strip().lower() for line in lines if line.strip()))

    def unseen(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The words of these texts that are not among them, each once, as they were first written."""
        found: dict[str, str] = {}
        for text in texts:
            plain = _EMBEDDING.sub(" ", text)
            for word in _WORDS.findall(_QUOTED.sub(" ", plain) if SIGN in self.words else plain):
                for part in self._parts(word):
                    found.setdefault(part.lower(), part)
        return tuple(found.values())

    def _parts(self, word: str) -> list[str]:
        """What is left of a run of letters once all that is known is taken out."""
        if not re.match(f"[{_HAN}]", word):
            bare = word.strip("'’-_")
            return [bare] if bare and bare.lower() not in self.words else []
        # Chinese is written without spaces: the longest words are taken out first.
        known = sorted((one for one in self.words if one in word), key=len, reverse=True)
        parts = re.split("|".join(map(re.escape, known)), word) if known else [word]
        return [part for part in parts if part]
