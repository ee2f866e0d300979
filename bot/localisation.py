"""Which language is spoken to whom, and what Discord shows in it of the commands before anybody uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import discord
from discord import Locale
from discord.app_commands import (
    ContextMenu,
    TranslationContextLocation,
    TranslationContextTypes,
    Translator,
    locale_str,
)

from bot.errors import OperatorError
from bot.words import catalogues, say, speaking
from bot.words.catalogues import ENGLISH, PSEUDO, BrokenCatalogue

_NAMES = frozenset({TranslationContextLocation.command_name, TranslationContextLocation.parameter_name})
"""What members type, tell each other whatever they speak, and find in every sentence: in all languages the same."""

SAID_CHARS, MENU_CHARS = 100, 32
"""The most that Discord takes of a description or a choice, and of what stands in the menu of a message."""

Chosen = Callable[[int], Awaitable[str | None]]
"""The language that a member chose for themselves, by their id; None where they chose none, or nobody can tell."""


async def _none(_member_id: int) -> str | None:
    return None


class Languages:
    """Which is spoken to whom: to each member the one that they chose, else their client's, else the operator's."""

    def __init__(self, default: str = ENGLISH, chosen: Chosen = _none) -> None:
        """`default` is the operator's, one of `catalogues.languages()`: the language that nobody speaks stands for
        English where it is that, and is not spoken else. Raises OperatorError where a catalogue is broken."""
        self._default = default
        self._chosen = chosen
        unspoken = ENGLISH if default == PSEUDO else PSEUDO
        self._spoken = tuple(language for language in catalogues.languages() if language != unspoken)
        for language in self._spoken:
            try:
                catalogues.catalogue(language)
            except BrokenCatalogue as error:
                raise OperatorError(f"{error} (mend it, or take it away)") from error

    async def of(self, interaction: discord.Interaction) -> str:
        """What is spoken to this member."""
        chosen = await self._chosen(interaction.user.id)
        return self.nearest(chosen, interaction.locale.value)

    def nearest(self, *wanted: str | None) -> str:
        """What is spoken to whoever would like the first of these best, as Discord calls them: itself, else the same as
        it is spoken elsewhere, else the next, else the operator's."""
        for locale in filter(None, wanted):
            if locale in self._spoken:
                return locale
            for language in self._spoken:
                if language.partition("-")[0] == locale.partition("-")[0]:
                    return language
        return self._default


class Localisation(Translator):
    """Descriptions, choices and menus in the language that is spoken to each client."""

    def __init__(self, languages: Languages) -> None:
        super().__init__()
        self._languages = languages

    async def translate(self, string: locale_str, locale: Locale, context: TranslationContextTypes) -> str | None:
        """The text in a client's language; None where it is as good as the source's."""
        # What stands in a message's menu is chosen, never typed.
        menu = isinstance(context.data, ContextMenu)
        if context.location in _NAMES and not menu:
            return None
        with speaking(self._languages.nearest(locale.value)):
            said = say(string.message)
        return None if said == string.message else said[: MENU_CHARS if menu else SAID_CHARS]
