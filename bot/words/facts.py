"""Facts in sentences: numbers as people write them, what members typed in quotes, names to choose from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

from bot.words.marks import N_
from inference.protocol import Fact

FEW, NEAREST = 10, 5
"""So many names a sentence holds as they are; of more, so many."""

ECHO_CHARS = 60
"""How much of what a member typed is said back to them."""

TYPED = "typed"
"""The fact that is what a member typed: it stands in quotes, and names to choose from are those that are like it."""

TASK, TASKS = "task", "tasks"
"""The facts that are tasks of a describer, or all that it can do: names of our own, said as they are offered."""

DESCRIBER_TASKS = (
    N_("caption"),
    N_("detailed caption"),
    N_("more detailed caption"),
    N_("read text"),
    N_("locate text"),
    N_("detect objects"),
    N_("caption regions"),
    N_("ground phrases"),
    N_("find"),
    N_("segment"),
)


def shown(facts: Mapping[str, Fact], said: Callable[[str], str]) -> dict[str, str]:
    """The facts of a sentence as they stand in it; `said` puts what is a word of ours into its language."""
    return {name: _shown(name, fact, str(facts.get(TYPED, "")), said) for name, fact in facts.items()}


def cut(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """Facts from anywhere, names among them cut to what a sentence holds."""
    return {name: _short(fact) if isinstance(fact, str) and name != TYPED else fact for name, fact in facts.items()}


def _shown(name: str, fact: Fact, typed: str, said: Callable[[str], str]) -> str:
    match fact:
        case str() if name == TYPED:
            return echo(fact)
        case str() if name == TASK:
            return said(fact)
        case float():
            return f"{fact:g}"
        case tuple() | list():
            return nearest(typed, map(said, fact) if name == TASKS else fact)
        case _:
            return str(fact)


def echo(text: str) -> str:
    """What a member typed, in quotes, in one line and cut where it is long."""
    return repr(_short(" ".join(text.split())))


def nearest(typed: str, names: Iterable[str]) -> str:
    """The names to choose from: all where they are few, else those most like what was typed, and how many more."""
    known = list(names)
    if len(known) <= FEW:
        return ", ".join(_short(name) for name in known)
    lowered = {name.lower(): name for name in known}
    alike = difflib.get_close_matches(typed.lower(), lowered, n=NEAREST, cutoff=0.4)
    chosen = [lowered[name] for name in alike] or known[:NEAREST]
    return f"{', '.join(_short(name) for name in chosen)} (+{len(known) - len(chosen)})"


def _short(name: str) -> str:
    return name if len(name) <= ECHO_CHARS else name[: ECHO_CHARS - 1] + "…"
