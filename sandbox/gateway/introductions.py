"""What a bot is told of the world when it comes: itself, its servers, and the members it asks for."""

from __future__ import annotations

from typing import Any

from sandbox.community.guilds import Guild
from sandbox.community.people import EASEL, EASEL_ID, JOINED
from sandbox.community.places import TEXT
from sandbox.community.world import World
from sandbox.storage import snowflakes

Json = dict[str, Any]
LARGE = 250  # of a larger server, a bot is told its members only when it asks for them…
CHUNK = 1000  # …that many at a time


def ready(world: World, application_flags: int, direct_messages: list[Json]) -> Json:
    """Return what READY says, but for the session."""
    return {
        "v": 10,
        "user": EASEL.json() | {"verified": True, "email": None, "mfa_enabled": False},
        "guilds": [{"id": str(guild.id), "unavailable": True} for guild in world.guilds_of(EASEL)],
        "session_type": "normal",
        "application": {"id": str(EASEL_ID), "flags": application_flags},
        "private_channels": direct_messages,
        "relationships": [],
        "presences": [],
        "user_settings": {},
        "_trace": [],
    }


def guild_create(world: World, guild: Guild, *, everyone: bool) -> Json:
    """Return what GUILD_CREATE says of a server; its members only with `everyone`, and if they are few."""
    people = [world.people[person_id] for person_id in guild.members]
    large = len(people) > LARGE
    shown = people if everyone and not large else [EASEL]
    channels = [one for one in world.channels.values() if one.guild_id == guild.id]
    return guild.json() | {
        "joined_at": JOINED,
        "large": large,
        "unavailable": False,
        "member_count": len(people),
        "members": [guild.member_json(person) for person in shown],
        "channels": [channel.json() for channel in channels if channel.type == TEXT],
        "threads": [one.json() for one in channels if one.thread and not one.archived and world.sees(EASEL, one)],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def members_chunks(world: World, request: Json) -> list[Json]:
    """Return the members whom a bot has asked for, a thousand at a time."""
    guild = world.guilds.get(snowflakes.parse(request.get("guild_id")) or 0)
    if guild is None:
        return []
    wanted = request.get("user_ids")
    ids = {str(wanted)} if isinstance(wanted, str | int) else {str(one) for one in wanted or ()}
    query = str(request.get("query") or "").casefold()
    people = [world.people[person_id] for person_id in guild.members]
    found = [
        guild.member_json(person)
        for person in people
        if (str(person.id) in ids if ids else person.name.casefold().startswith(query))
    ]
    missing = sorted(ids - {member["user"]["id"] for member in found})
    chunks = [found[start : start + CHUNK] for start in range(0, len(found), CHUNK)] or [[]]
    return [
        {
            "guild_id": str(guild.id),
            "members": chunk,
            "chunk_index": index,
            "chunk_count": len(chunks),
            "not_found": missing,
            "nonce": request.get("nonce"),
        }
        for index, chunk in enumerate(chunks)
    ]
