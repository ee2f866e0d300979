"""What a panel of settings is about, and what is set there, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.policies.kept import Place, Policies
from bot.policies.policy import SETTINGS, Set
from bot.policies.settings import Among, Channel, MostPixels, OneOf, Setting, Value
from bot.words import N_, say, say_many
from inference.protocol import Ready

WORDS, MEMBERS, ROLES = "words", "members", "roles"
LISTS = {WORDS: N_("Blocked words"), MEMBERS: N_("Blocked members"), ROLES: N_("Limits of roles")}
"""What there is beside the settings, in a channel the first alone."""

NAMED = 10
"""So many names a line shows."""


@dataclass(frozen=True)
class Scope:
    """Of what the panel is: a server, or one of its channels."""

    guild_id: int
    channel_id: int
    policies: Policies
    ready: Ready
    commands: Collection[str]
    by: int | None = None
    """The member who sees it."""

    @property
    def place(self) -> Place:
        """Where it is set."""
        return Place(self.guild_id, self.channel_id)

    @property
    def own(self) -> Set:
        """What is set here itself."""
        return self.policies.set_in(self.place)

    @property
    def inherited(self) -> Set:
        """What is set around here: for a channel in its server."""
        return self.policies.set_in(Place(self.guild_id)) if self.channel_id else {}

    @property
    def settings(self) -> Mapping[str, Setting]:
        """What can be set here."""
        return {name: one for name, one in SETTINGS.items() if one.of_channels or not self.channel_id}

    @property
    def lists(self) -> Mapping[str, str]:
        """The other pages that there are here."""
        return {name: title for name, title in LISTS.items() if name == WORDS or not self.channel_id}

    def offers(self, name: str) -> Mapping[str, str]:
        """What can be chosen for a setting: what there is, as far as the operator allows it."""
        setting = self.settings[name]
        assert isinstance(setting, Among | OneOf)
        most = self.policies.operator.settings.get(name)
        there = setting.offers(self.ready, self.commands)
        return {one: title for one, title in there.items() if not isinstance(most, frozenset) or one in most}


def state_of(scope: Scope, name: str) -> str:
    """What is set, and by whom."""
    setting, own = scope.settings[name], scope.own.get(name)
    around = scope.inherited.get(name)
    said = _value(setting, around if own is None else own, scope)
    if scope.channel_id and own is None:
        said = say("as the server says: {state}", state=said)
    if (operator := scope.policies.operator.settings.get(name)) is not None:
        said += " · " + say("by whoever runs this bot: {state}", state=_value(setting, operator, scope))
    return said


def chosen_of(scope: Scope, name: str) -> frozenset[str]:
    """What is chosen at present of what a menu offers."""
    value = scope.own.get(name, scope.inherited.get(name))
    if value is None:
        return frozenset(scope.offers(name)) if isinstance(scope.settings[name], Among) else frozenset()
    return value if isinstance(value, frozenset) else frozenset({str(value)})


def _value(setting: Setting, value: Value | None, scope: Scope) -> str:
    match setting:
        case Among():
            if value is None:
                return say("all")
            assert isinstance(value, frozenset)
            titles = setting.offers(scope.ready, scope.commands)
            names = [titles.get(one, one) for one in sorted(value)]
            more = [f"+{len(names) - NAMED}"] if len(names) > NAMED else []
            return ", ".join([*names[:NAMED], *more]) or say("none at all")
        case OneOf():
            return say(setting.unset) if value is None else setting.offers(scope.ready, ()).get(str(value), str(value))
        case Channel():
            closed = value is not None and scope.policies.closed_logs.get(scope.guild_id) == value
            said = say("none") if value is None else f"<#{value}>"
            return " · ".join((said, say("Easel cannot write there"))) if closed else said
        case _ if value is None:
            return say("no limit")
        case MostPixels():
            assert isinstance(value, int)
            return say_many("{count} pixel", "{count} pixels", value)
        case _:
            return str(value)


def count_of(scope: Scope, name: str) -> str:
    """How many there are in a list."""
    if name == WORDS:
        return str(len(scope.policies.words(scope.place).words))
    return str(
        len(scope.policies.blocked(scope.guild_id) if name == MEMBERS else scope.policies.roles_of(scope.guild_id))
    )
