"""Who and what there is at the moment, who may see it, and who may do what where.

What changes it is in `sandbox.platform.building`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

from sandbox.community import beginning
from sandbox.community.guilds import Guild
from sandbox.community.people import EASEL, OTHER_APP, Person
from sandbox.community.permissions import ALL, EVERYONE, Permission
from sandbox.community.places import DIRECT, MEMBER, PRIVATE_THREAD, TEXT, Channel
from sandbox.errors import MemberError


class World:
    """The servers, people and channels. `members` more people than those of the beginning make it a crowd."""

    def __init__(self, *, members: int = 0) -> None:
        many = beginning.crowd(members)
        self.members = (*beginning.PEOPLE, *many)
        self.people = {person.id: person for person in (*self.members, EASEL, OTHER_APP)}
        self.guilds = {guild.id: guild for guild in beginning.guilds(many)}
        self.channels = {channel.id: channel for channel in beginning.channels()}
        self._direct = {
            person.direct_channel_id: Channel(id=person.direct_channel_id, type=DIRECT, recipient=person)
            for person in self.members
        }
        self._named = {name: person for person in self.members for name in (str(person.id), person.name.casefold())}

    def channel(self, channel_id: int | None) -> Channel | None:
        """Return a channel or thread of a server, or somebody's direct messages with the bot."""
        return self.channels.get(channel_id or 0) or self._direct.get(channel_id or 0)

    def person(self, person_id: int) -> Person:
        """Return who has, or had, this id: a crowd may have been larger once."""
        return self.people.get(person_id) or Person(person_id, "Deleted User")

    def direct(self, member: Person) -> Channel:
        return self._direct[member.direct_channel_id]

    def guild_of(self, channel: Channel) -> Guild | None:
        return None if channel.guild_id is None else self.guilds[channel.guild_id]

    def guilds_of(self, person: Person) -> list[Guild]:
        return [guild for guild in self.guilds.values() if person.id in guild.members]

    def channels_of(self, person: Person) -> list[Channel]:
        """Return the channels that a person sees in all servers, each followed by its threads."""
        seen = [one for one in self.channels.values() if self.sees(person, one)]
        return [
            channel
            for guild in self.guilds_of(person)
            for text in sorted(
                (one for one in seen if one.type == TEXT and one.guild_id == guild.id),
                key=lambda one: (one.position, one.id),
            )
            for channel in (text, *(one for one in seen if one.parent_id == text.id))
        ]

    def age_restricted(self, channel: Channel) -> bool:
        parent = self.channels.get(channel.parent_id or 0)
        return channel.nsfw or (parent is not None and parent.nsfw)

    def sees(self, person: Person, channel: Channel) -> bool:
        return bool(self.permissions(person, channel) & Permission.VIEW_CHANNEL)

    def permissions(self, person: Person, channel: Channel) -> Permission:
        """Return what a person may do in a channel; nothing where they don't see it."""
        guild = self.guild_of(channel)
        if guild is None:
            return EVERYONE if person in (channel.recipient, EASEL) else Permission(0)
        bits = guild.permissions(person)
        if bits == ALL:
            return bits
        bits = self._overwritten(bits, person, guild, channel)
        hidden = (
            channel.type == PRIVATE_THREAD and person.id not in channel.joined and not bits & Permission.MANAGE_THREADS
        )
        return Permission(0) if hidden or not bits & Permission.VIEW_CHANNEL else bits

    def _overwritten(self, bits: Permission, person: Person, guild: Guild, channel: Channel) -> Permission:
        """Return a member's permissions as the channel, or a thread's parent, changes them."""
        holder = self.channels.get(channel.parent_id or 0, channel)
        if not holder.overwrites:
            return bits
        roles = guild.role_ids(person) - {guild.id}
        for step in (
            [one for one in holder.overwrites if one.id == guild.id],
            [one for one in holder.overwrites if one.id in roles],
            [one for one in holder.overwrites if one.type == MEMBER and one.id == person.id],
        ):
            denied = reduce(or_, (one.deny for one in step), 0)
            allowed = reduce(or_, (one.allow for one in step), 0)
            bits = Permission(bits & ~denied | allowed)
        return bits

    def find_member(self, name: object) -> Person:
        """Return the member with this id or name; raise MemberError where there is none."""
        found = self._named.get(str(name or "").strip().lstrip("@").casefold())
        if found is None:
            names = ", ".join(person.name for person in self.members if not person.crowd)
            raise MemberError(f"There is no member “{name}” here; there are {names}.")
        return found

    def find_channel(self, name: object, member: Person) -> Channel:
        """Return the channel with this id or name that `member` can see; no name means their first."""
        wanted = str(name or "").strip().casefold()
        direct = self.direct(member)
        if wanted in (str(direct.id), f"@{EASEL.name.casefold()}"):
            return direct
        for candidate in self.channels.values():
            if wanted.lstrip("#") in (str(candidate.id), candidate.name.casefold()) and self.sees(member, candidate):
                return candidate
        seen = self.channels_of(member)
        if not wanted and seen:
            return seen[0]
        names = ", ".join(f"#{candidate.name}" for candidate in seen)
        raise MemberError(f"There is no channel “{name}” here; there are {names} and @{EASEL.name}.")


@dataclass(frozen=True)
class Scene:
    """Who acts where: what a name in a command or form may mean there."""

    world: World
    member: Person
    channel: Channel

    @property
    def guild(self) -> Guild | None:
        return self.world.guild_of(self.channel)

    @property
    def people(self) -> list[Person]:
        """Whom the member can name: who is in the server, or themselves and the bot."""
        guild = self.guild
        if guild is None:
            return [self.member, EASEL]
        return [self.world.people[person_id] for person_id in guild.members]

    @property
    def channels(self) -> list[Channel]:
        return [one for one in self.world.channels_of(self.member) if one.guild_id == self.channel.guild_id]
