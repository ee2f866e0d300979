"""The kinds of settings: how a value is read, how the operator's goes with a server's, what there is to choose from.

Values are kept as JSON: a number, a name, or a list of names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.words import N_, say
from inference.protocol import Ready, Safety

Value = int | str | frozenset[str]

Offers = Callable[[Ready, Iterable[str]], Mapping[str, str]]
"""What can be chosen, by its name, with a title: of what the engine can do, and of all commands."""


def commands_there(_: Ready, commands: Iterable[str]) -> Mapping[str, str]:
    """The commands."""
    return {name: f"/{name}" for name in sorted(commands)}


def models_there(ready: Ready, _: Iterable[str]) -> Mapping[str, str]:
    """The models that paint."""
    return {model.name: model.title for model in ready.models}


def styles_there(ready: Ready, _: Iterable[str]) -> Mapping[str, str]:
    """The styles of all models."""
    return {style.name: style.title for model in ready.models for style in model.styles}


TREATMENTS: Mapping[Safety, str] = {
    "block": N_("nobody sees them"),
    "spoiler": N_("hidden until somebody wants to see them"),
    "allow": N_("shown: nothing is looked at"),
}
"""The strictest first."""


def treatments(_: Ready, __: Iterable[str]) -> Mapping[str, str]:
    """What can become of flagged pictures."""
    return {name: say(title) for name, title in TREATMENTS.items()}


SHARINGS: Mapping[str, str] = {
    "off": N_("nobody shares any"),
    "moderators": N_("moderators decide about each"),
    "free": N_("whoever has trained one"),
}
"""The strictest first."""


def sharings(_: Ready, __: Iterable[str]) -> Mapping[str, str]:
    """How members can come to share their LoRAs with their server."""
    return {name: say(title) for name, title in SHARINGS.items()}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing that can be set. Every field of `policy.Policy` has one, and stands for everything about it."""

    title: str
    """What it is called, to be said in the language of who reads it."""
    of_channels: bool = True
    """Whether a channel can have it otherwise than its server."""
    of_roles: bool = False
    """Whether it is a limit that roles can have otherwise: of a member's roles the most generous counts."""

    def read(self, given: Any) -> Value:
        """The value of what was kept, written or typed. Raises ValueError where it is none."""
        raise NotImplementedError

    def together(self, operator: Value, own: Value) -> Value:
        """What holds where both the operator and a server have set it."""
        return own


@dataclass(frozen=True, kw_only=True)
class Most(Setting):
    """A bound, which the operator's goes under."""

    least: int = 1
    most: int

    def read(self, given: Any) -> int:
        if isinstance(given, str):
            given = int(given) if re.fullmatch(r"[0-9]{1,12}", given.strip()) else None
        if not isinstance(given, int) or isinstance(given, bool) or not self.least <= given <= self.most:
            raise ValueError(given)
        return given

    def together(self, operator: Value, own: Value) -> Value:
        assert isinstance(operator, int)
        assert isinstance(own, int)
        return min(operator, own)


@dataclass(frozen=True, kw_only=True)
class MostPixels(Most):
    """The same of a size: in pixels, or as width x height."""

    def read(self, given: Any) -> int:
        if isinstance(given, str) and (sides := re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})\s*", given)):
            given = int(sides[1]) * int(sides[2])
        return super().read(given)


@dataclass(frozen=True, kw_only=True)
class OneOf(Setting):
    """One name of those that there are."""

    offers: Offers
    unset: str = N_("none")
    """What holds where nothing is chosen."""

    def read(self, given: Any) -> str:
        if not isinstance(given, str) or not given or len(given) > 100:
            raise ValueError(given)
        return given


@dataclass(frozen=True, kw_only=True)
class Graded(OneOf):
    """One of few ways to do something. Nobody is laxer than the operator."""

    grades: Mapping[Any, str]
    """Each with its title, the strictest first."""

    def read(self, given: Any) -> str:
        if given not in self.grades:
            raise ValueError(given)
        return str(given)

    def together(self, operator: Value, own: Value) -> Value:
        return str(next(one for one in self.grades if one in (operator, own)))


@dataclass(frozen=True, kw_only=True)
class Among(Setting):
    """Names of those that there are; what is none of them is not allowed. What the operator leaves out nobody has."""

    offers: Offers

    def read(self, given: Any) -> frozenset[str]:
        if not isinstance(given, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in given):
            raise ValueError(given)
        return frozenset(given)

    def together(self, operator: Value, own: Value) -> Value:
        assert isinstance(operator, frozenset)
        assert isinstance(own, frozenset)
        return operator & own


@dataclass(frozen=True, kw_only=True)
class Channel(Setting):
    """A channel of the server, by its id."""

    def read(self, given: Any) -> int:
        if isinstance(given, str) and re.fullmatch(r"[0-9]{1,19}", given, re.ASCII):
            given = int(given)
        if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 2**63:
            raise ValueError(given)
        return given


def plain(value: Value) -> int | str | list[str]:
    """The value as JSON has it."""
    return sorted(value) if isinstance(value, frozenset) else value
