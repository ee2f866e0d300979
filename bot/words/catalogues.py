"""The languages that can be spoken: English, as the source has it, for every other a gettext catalogue `LANGUAGE.po` in
this folder, and one that nobody speaks.

In `PSEUDO` every letter of a text bears an accent, so that whatever is shown without one did not come this way, or
is not in the template of which all catalogues are made.
"""

from __future__ import annotations

import functools
import io
import re
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

FOLDER = Path(__file__).parent

ENGLISH, PSEUDO = "en", "en-XA"
"""The second as Android and Chromium call theirs."""

ACCENTS = "àƀćđéƒĝĥíĵķłɱñóþɋŕšťúṽŵẋýžÀɃĆĐÉƑĜĤÍĴĶŁṀÑÓÞɊŔŠŤÚṼŴẊÝŽ"

_ACCENTED = str.maketrans("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", ACCENTS)

# What is no word: facts in braces, code, marks of Discord, commands.
_NO_WORD = re.compile(r"(\{[^{}]*\}|`[^`]*`|<[^<> ]*>|/[a-z]+\b)")


class BrokenCatalogue(Exception):
    """A file here is no catalogue; the message says which, and why."""


def languages() -> tuple[str, ...]:
    """What can be spoken."""
    return (ENGLISH, PSEUDO, *sorted(file.stem for file in FOLDER.glob("*.po")))


def babel_name(language: str) -> str:
    """A language as Babel calls it."""
    return language.replace("-", "_")


@functools.cache
def catalogue(language: str) -> NullTranslations:
    """The texts of one of the `languages`; those that nobody has translated are English. Raises BrokenCatalogue."""
    if language == ENGLISH:
        return NullTranslations()
    if language == PSEUDO:
        return _Pseudo()
    # Imported here: English needs none of it, and neither do child processes.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import PoFileError, read_po

    path, compiled = FOLDER / f"{language}.po", io.BytesIO()
    try:
        with path.open("rb") as file:
            messages = read_po(file, locale=babel_name(language), abort_invalid=True)
        write_mo(compiled, messages)
        compiled.seek(0)
        return GNUTranslations(compiled)
    except (PoFileError, ValueError, OSError) as error:
        raise BrokenCatalogue(f"{path.relative_to(FOLDER.parents[1])} cannot be read: {error}") from error


class _Pseudo(NullTranslations):
    """A catalogue as somebody would have made it who has translated the whole template."""

    def __init__(self) -> None:
        # Here for the same reason.
        from bot.words.template import template

        super().__init__()
        self._known = {text for message in template() for text in _texts(message.id)}

    def gettext(self, message: str) -> str:
        if message not in self._known:
            return message
        parts = _NO_WORD.split(message)
        return "".join(part if place % 2 else part.translate(_ACCENTED) for place, part in enumerate(parts))

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def _texts(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)
