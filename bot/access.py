"""Who may see what a job made, change it, and use which command: what Discord would say, asked where it does not.

Discord itself refuses commands; for buttons, forms and jobs called by their number it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import discord
from discord.app_commands import AppCommand

from bot.errors import MemberError
from bot.finding import Where
from bot.job import Job
from bot.posting import UNREACHED, is_age_restricted, place_of

Overrides = Mapping[int, bool]
"""What the moderators of a server said of a command: who (a role's, a member's or a channel's id) may use it."""


async def may_see(interaction: discord.Interaction, job: Job) -> bool:
    """Whether a job may be shown here to this member: it is of this server, of a channel that they can read, and not
    for adults alone where this channel is for everybody."""
    if job.reply.age_restricted and not is_age_restricted(interaction.channel):
        return False
    if interaction.message is not None and interaction.message.id == job.reply.message_id:
        # It stands right here.
        return True
    if job.reply.guild_id != interaction.guild_id:
        return False
    if job.reply.member_id == interaction.user.id:
        return True
    if interaction.guild is None or not isinstance(interaction.user, discord.Member):
        return False
    try:
        return await _can_read(interaction.guild, job.reply.channel_id, interaction.user)
    except UNREACHED:
        # Hidden, gone, or Discord does not say: then it is not to be shown.
        return False


def may_change(interaction: discord.Interaction, job: Job) -> bool:
    """Whether this member may cancel or delete the job: it is theirs, or they look after the channel."""
    if interaction.user.id == job.reply.member_id:
        return True
    return interaction.channel_id == job.reply.channel_id and interaction.permissions.manage_messages


def where_of(interaction: discord.Interaction) -> Where:
    """What `may_see` lets a member see here of their own jobs."""
    return Where(interaction.guild_id, is_age_restricted(interaction.channel))


async def moderates(interaction: discord.Interaction, job: Job) -> bool:
    """Whether this member looks after the channel of this server in which a job was asked for."""
    if interaction.guild is None or not isinstance(interaction.user, discord.Member):
        return False
    if job.reply.guild_id != interaction.guild_id:
        return False
    try:
        channel = await _channel(interaction.guild, job.reply.channel_id)
    except UNREACHED:
        return False
    return channel.permissions_for(interaction.user).manage_messages


async def _channel(guild: discord.Guild, channel_id: int) -> discord.abc.GuildChannel | discord.Thread:
    return guild.get_channel_or_thread(channel_id) or await guild.fetch_channel(channel_id)


async def _can_read(guild: discord.Guild, channel_id: int, member: discord.Member) -> bool:
    channel = await _channel(guild, channel_id)
    allowed = channel.permissions_for(member)
    if not (allowed.read_messages and allowed.read_message_history):
        return False
    if isinstance(channel, discord.Thread) and channel.is_private() and not allowed.manage_threads:
        # The permissions are those of the channel around it: who is in the thread is another matter.
        try:
            await channel.fetch_member(member.id)
        except discord.NotFound:
            return False
    return True


@dataclass(frozen=True, slots=True)
class At:
    """A member in a channel of a server, with the permissions that they have there."""

    guild: discord.Guild
    member: discord.Member
    channel: object
    place: int
    """The channel, or of a thread that around it."""
    permissions: discord.Permissions


class Access:
    """Which commands the members of each server may use. Learns it from Discord, once for each server."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client
        self._commands: dict[str, AppCommand] = {}
        self._overrides: dict[int, dict[int, Overrides]] = {}

    def learn(self, commands: Iterable[AppCommand]) -> None:
        """Know the bot's commands, as they were registered."""
        self._commands = {command.name: command for command in commands}

    def forget(self, guild_id: int) -> None:
        """A server's moderators have changed their minds."""
        self._overrides.pop(guild_id, None)

    async def require(self, interaction: discord.Interaction, name: str) -> None:
        """Raise MemberError where the member who pressed a button or sent a form may not use the command behind it."""
        if interaction.type is discord.InteractionType.application_command:
            # Discord lets nobody send a command who may not use it.
            return
        if interaction.guild is None or not isinstance(interaction.user, discord.Member):
            return
        place = place_of(interaction.channel) or interaction.channel_id or 0
        at = At(interaction.guild, interaction.user, interaction.channel, place, interaction.permissions)
        await self.require_of(at, name)

    async def require_of(self, at: At, name: str) -> None:
        """The same of a member who is not there by an interaction."""
        command = self._commands.get(name)
        if command is None or at.permissions.administrator or at.guild.owner_id == at.member.id:
            return
        if command.nsfw and not is_age_restricted(at.channel):
            raise MemberError("/{command} is for age-restricted channels: use it there.", command=name)
        if not _allows(await self._of(at.guild, command), command, at):
            raise MemberError("You may not use /{command} here: ask the moderators of this server.", command=name)

    async def _of(self, guild: discord.Guild, command: AppCommand) -> Overrides:
        """What this server's moderators said of a command, or else of all commands of this bot."""
        if guild.id not in self._overrides:
            application_id = self._client.application_id
            assert application_id is not None, "commands are registered by an application"
            try:
                said = await self._client.http.get_guild_application_command_permissions(application_id, guild.id)
            except UNREACHED as error:
                raise MemberError("Discord does not say who may do this: try again in a moment.") from error
            self._overrides[guild.id] = {
                int(of["id"]): {int(one["id"]): one["permission"] for one in of["permissions"]} for of in said
            }
        known = self._overrides[guild.id]
        return known.get(command.id) or known.get(self._client.application_id or 0) or {}


def _allows(overrides: Overrides, command: AppCommand, at: At) -> bool:
    """Discord's own rule: first the channel, then the member, then their roles, then everybody, then the default."""
    guild = at.guild
    if not overrides.get(at.place, overrides.get(guild.id - 1, True)):
        return False
    if (own := overrides.get(at.member.id)) is not None:
        return own
    of_roles = [overrides[role.id] for role in at.member.roles if role.id in overrides and role.id != guild.id]
    if of_roles:
        return any(of_roles)
    if (everybody := overrides.get(guild.id)) is not None:
        return everybody
    needed = command.default_member_permissions
    return needed is None or at.permissions >= needed
