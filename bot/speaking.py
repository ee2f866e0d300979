"""Short answers to members: a sentence for one of them alone, or a message that goes away."""

from __future__ import annotations

import logging

import discord

from bot.posting import UNREACHED
from bot.words import say

log = logging.getLogger(__name__)

SENTENCE_CHARS = 1900
"""Discord takes 2000 in a message."""


async def tell(interaction: discord.Interaction, sentence: str) -> bool:
    """Say one sentence to the member alone, whether or not the interaction was answered before; False where Discord
    does not take it."""
    if len(sentence) > SENTENCE_CHARS:
        sentence = sentence[: SENTENCE_CHARS - 1] + "…"
    try:
        if interaction.response.is_done():
            await interaction.followup.send(sentence, ephemeral=True)
        else:
            await interaction.response.send_message(sentence, ephemeral=True)
    except UNREACHED as error:
        # Too late or gone: there is nobody left to tell.
        # Not what: it may hold what they typed.
        log.warning("could not answer member %s: %s", interaction.user.id, error)
        return False
    return True


async def take_away(interaction: discord.Interaction) -> None:
    """Answer a press by removing the message that it was on; one that is gone already is no error, and where Discord
    cannot be reached the member hears what to do."""
    try:
        await interaction.response.defer()
        await interaction.delete_original_response()
    except discord.NotFound:
        # Pressed twice, or by two people at once.
        return
    except UNREACHED as error:
        log.warning("the message of a deleted job could not be taken away: %s", error)
        await tell(interaction, say("This job is deleted, but its message is still here: press Delete once more."))
