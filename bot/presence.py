"""What Discord shows beside the bot's name: that it is there, and what it waits for where nothing runs just now."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import discord

from bot import cards
from bot.dispatcher import Dispatcher

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 5.0
"""Where Discord could not be told: the connection is being made anew then."""


async def keep(client: discord.Client, dispatcher: Dispatcher) -> None:
    """Tell Discord how things are whenever that changes, until cancelled; begin with it before the client connects."""
    while True:
        status, activity = _shown(dispatcher.absence)
        # What is said with a new connection; and on the one that there is.
        client.status, client.activity = status, activity
        await client.wait_until_ready()
        try:
            await client.change_presence(status=status, activity=activity)
        except (discord.ConnectionClosed, aiohttp.ClientError, OSError) as error:
            log.info("Discord could not be told how the engine is: %s", error)
            await asyncio.sleep(AGAIN_AFTER_S)
        else:
            await dispatcher.turned()


def _shown(absence: cards.Absence | None) -> tuple[discord.Status, discord.CustomActivity | None]:
    if absence is None:
        return discord.Status.online, None
    return discord.Status.idle, discord.CustomActivity(cards.absent(absence))
