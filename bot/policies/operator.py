"""What the operator allows everywhere, under whatever a server says: read from a TOML file when asked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.errors import OperatorError
from bot.policies.policy import SETTINGS, Set
from bot.policies.settings import Among, OneOf, Value, commands_there
from bot.policies.wordlists import WordList, usable
from inference.protocol import Ready

WORDS, MEMBERS, SERVERS = "blocked_words", "blocked_members", "blocked_servers"


@dataclass(frozen=True)
class Operator:
    """The settings, and whom and what nobody else lets in."""

    settings: Set = field(default_factory=dict)
    words: WordList = field(default_factory=lambda: WordList({}))
    members: frozenset[int] = frozenset()
    servers: frozenset[int] = frozenset()


def read(file: Path | None, commands: Collection[str]) -> Operator:
    """What stands in the file, or nothing without one. Raises OperatorError with one line.

    `commands` are those that there are.
    """
    if file is None:
        return Operator()
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OperatorError(f"EASEL_POLICY: {file} cannot be read ({reason.lower()})") from error
    if unknown := given.keys() - {*SETTINGS, WORDS, MEMBERS, SERVERS}:
        known = ", ".join([*SETTINGS, WORDS, MEMBERS, SERVERS])
        raise OperatorError(f"EASEL_POLICY: {file} has {min(unknown)!r}, which is nothing that can be set: {known}")
    settings = {name: _value(file, name, given[name]) for name in SETTINGS if name in given}
    chosen = settings.get("commands", frozenset())
    if isinstance(chosen, frozenset) and (unheard := chosen - {*commands}):
        raise OperatorError(
            f"EASEL_POLICY: {file} allows /{min(unheard)}, which is no command that can be switched off"
        )
    words = given.get(WORDS, [])
    if not isinstance(words, list) or not all(isinstance(word, str) and usable(word) for word in words):
        raise OperatorError(f"EASEL_POLICY: {WORDS} in {file} must be a list of words, each with a letter in it")
    members, servers = (_ids(file, name, given.get(name, [])) for name in (MEMBERS, SERVERS))
    return Operator(settings, WordList.of(words), members, servers)


def strangers(operator: Operator, ready: Ready) -> Mapping[str, tuple[str, ...]]:
    """By settings, the names in them that the engine does not know: they may come with other weights or be misspelt."""
    found = {}
    for name, value in operator.settings.items():
        setting = SETTINGS[name]
        if isinstance(setting, Among | OneOf) and setting.offers is not commands_there:
            names = value if isinstance(value, frozenset) else {str(value)}
            if unknown := names - setting.offers(ready, ()).keys():
                found[name] = tuple(sorted(unknown))
    return found


def _value(file: Path, name: str, given: Any) -> Value:
    try:
        return SETTINGS[name].read(given)
    except ValueError as error:
        raise OperatorError(f"EASEL_POLICY: {name} in {file} cannot be {given!r}: see docs/community.md") from error


def _ids(file: Path, name: str, given: Any) -> frozenset[int]:
    listed = given if isinstance(given, list) else [given]
    if not all(re.fullmatch(r"[0-9]{1,19}", str(one)) for one in listed):
        raise OperatorError(f"EASEL_POLICY: {name} in {file} must be a list of Discord's numbers (ids)")
    return frozenset(int(one) for one in listed)
