"""What Discord shows of the commands before anybody uses them, in the languages that there are catalogues of."""

from __future__ import annotations

from discord import Locale
from discord.app_commands import TranslationContextLocation, TranslationContextTypes, Translator, locale_str

from bot.words import catalogues, say, speaking

_NAMES = frozenset({TranslationContextLocation.command_name, TranslationContextLocation.parameter_name})
"""What members type, and what Discord allows few signs in."""

SAID_CHARS = 100
"""The most that Discord takes of a description or a choice."""


class Localisation(Translator):
    """Descriptions and choices in each client's language, or in the operator's where there is none of that."""

    def __init__(self, language: str) -> None:
        """`language` is one of `catalogues.languages()`."""
        super().__init__()
        self._language = language

    async def translate(self, string: locale_str, locale: Locale, context: TranslationContextTypes) -> str | None:
        """The text in a client's language; None where it is as good as the source's."""
        if context.location in _NAMES:
            return None
        with speaking(locale.value if locale.value in catalogues.languages() else self._language):
            said = say(string.message)
        return None if said == string.message else said[:SAID_CHARS]
