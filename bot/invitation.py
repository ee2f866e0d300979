"""How Easel comes into a server or to a member, and where it can be used then: the links, and Discord's contexts."""

from __future__ import annotations

import aiohttp
import discord
from discord import app_commands
from discord.http import Route

from bot.errors import OperatorError
from bot.settings import DISCORD_API

PERMISSIONS = discord.Permissions(
    # To bring a result into the channel where the reply can no more be changed, and to see who may see that.
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    attach_files=True,
    read_message_history=True,
)
"""All that Easel asks of a server."""


def contexts(direct_messages: bool, by_members: bool) -> app_commands.AppCommandContext:
    """Where commands are offered: in servers, in the direct messages with Easel, and, where members can install it for
    themselves, in those among members."""
    return app_commands.AppCommandContext(
        guild=True, dm_channel=direct_messages, private_channel=direct_messages and by_members
    )


def installs(by_members: bool) -> app_commands.AppInstallationType:
    """Who can install it: servers, and members for themselves where they may."""
    return app_commands.AppInstallationType(guild=True, user=by_members)


def links(application_id: int, by_members: bool) -> list[str]:
    """What to open in a browser: for a server, with the permissions that Easel needs, and for a member's own use."""
    scopes = ("bot", "applications.commands")
    own = discord.utils.oauth_url(application_id, scopes=("applications.commands",)) + "&integration_type=1"
    of_server = discord.utils.oauth_url(application_id, permissions=PERMISSIONS, scopes=scopes) + "&integration_type=0"
    return [of_server, own] if by_members else [of_server]


async def application_of(token: str, api_base: str = DISCORD_API) -> int:
    """The application whose bot has this token, as Discord says. Raises OperatorError where it does not."""
    if api_base.rstrip("/") != DISCORD_API:
        Route.BASE = api_base.rstrip("/")
    async with discord.Client(intents=discord.Intents.none()) as client:
        try:
            await client.login(token)
        except discord.LoginFailure as error:
            raise OperatorError(NO_TOKEN) from error
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            raise OperatorError(f"cannot reach Discord at {api_base}: {error}") from error
        assert client.application_id is not None, "a login tells it"
        return client.application_id


NO_TOKEN = (
    "Discord does not accept DISCORD_TOKEN: copy the bot's token again from https://discord.com/developers/applications"
)
"""For the operator."""
