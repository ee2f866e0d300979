"""Every word that members read. English stands in the source; other languages are gettext catalogues of it.

`say` puts a text into the language that is spoken here, `why` a reason of the contract. A text that is written
down in one place and said in another is marked with `N_`, so that it is found for the catalogues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from bot.words.catalogues import ENGLISH, catalogue
from bot.words.facts import TYPED, cut, shown
from bot.words.marks import N_ as N_
from bot.words.reasons import TEXTS
from inference.protocol import Fact, Reason

_language = ContextVar("language", default=ENGLISH)


def say(text: str, /, **facts: Fact) -> str:
    """A text of the source in the language that is spoken here, with facts in the place of their names in braces."""
    return _filled(catalogue(_language.get()).gettext(text), facts)


def say_many(one: str, many: str, count: int, /, **facts: Fact) -> str:
    """The same where the text depends on a number, which is the fact `count`."""
    return _filled(catalogue(_language.get()).ngettext(one, many, count), {"count": count, **facts})


def why(reason: Reason | str) -> str:
    """A reason in the language that is spoken here. Jobs of older versions have whole sentences, which stay."""
    if isinstance(reason, str):
        return reason
    # What the bot finds wrong by itself is called by its text.
    text, facts = TEXTS.get(reason.name, reason.name), cut(reason.facts)
    if isinstance(text, str):
        return say(text, **facts)
    number = facts.get(text.by)
    return say_many(text.one, text.many, number if isinstance(number, int) else 0, **facts)


def why_logged(reason: Reason) -> str:
    """The same for the log, where nothing stands that a member typed."""
    return why(Reason(reason.name, {name: "…" if name == TYPED else fact for name, fact in reason.facts.items()}))


def spoken() -> str:
    """The language that is spoken here."""
    return _language.get()


def speak(language: str) -> None:
    """Speak this language from here on, in this task and in all that it begins: one of `catalogues.languages()`."""
    _language.set(language)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak this language within, and in all that is begun there: one of `catalogues.languages()`."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def _filled(text: str, facts: Mapping[str, Fact]) -> str:
    as_shown = shown(facts, catalogue(_language.get()).gettext)
    # Nothing but names: what str.format could do besides would be done with whatever stands in an old row.
    return re.sub(r"\{(\w+)\}", lambda name: as_shown.get(name[1], name[0]), text)
