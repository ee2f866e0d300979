"""Users, the bot's application, the servers, and where the gateway is: what a bot only reads."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox import errors
from sandbox.community import beginning
from sandbox.community.guilds import Guild
from sandbox.community.people import EASEL, EASEL_ID, Person
from sandbox.community.places import TEXT
from sandbox.rest.payload import read_object
from sandbox.rest.serving import answer
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

Json = dict[str, Any]
routes = web.RouteTableDef()


@routes.get("/gateway")
async def get_gateway(request: web.Request) -> web.Response:
    return answer({"url": state_of(request).gateway.url})


@routes.get("/gateway/bot")
async def get_bot_gateway(request: web.Request) -> web.Response:
    if "Authorization" not in request.headers:
        raise errors.unauthorized()
    gateway = state_of(request).gateway
    return answer({"url": gateway.url, "shards": 1, "session_start_limit": gateway.session_start_limit})


@routes.get("/oauth2/applications/@me")
@routes.get("/applications/@me")
async def get_application(request: web.Request) -> web.Response:
    return answer(_application(state_of(request)))


@routes.get("/applications/{application}/emojis")
async def list_application_emojis(request: web.Request) -> web.Response:
    return answer({"items": []})


@routes.get("/users/@me")
async def get_own_user(request: web.Request) -> web.Response:
    own = {"verified": True, "email": None, "mfa_enabled": False, "locale": "en-US"}
    return answer(EASEL.json() | own)


@routes.get("/users/@me/guilds")
async def list_own_guilds(request: web.Request) -> web.Response:
    state = state_of(request)
    forced = state.faults.settings.bot_permissions
    return answer(
        [
            {
                "id": str(guild.id),
                "name": guild.name,
                "icon": None,
                "banner": None,
                "owner": False,
                "features": [],
                "permissions": forced or str(int(guild.permissions(EASEL))),
            }
            for guild in state.world.guilds_of(EASEL)
        ]
    )


@routes.post("/users/@me/channels")
async def open_direct_messages(request: web.Request) -> web.Response:
    payload = await read_object(request)
    world = state_of(request).world
    person = world.people.get(snowflakes.parse(payload.body.get("recipient_id")) or 0)
    if person is None:
        raise errors.DiscordError(400, 50033, "Invalid Recipient(s)")
    if person is EASEL:
        raise errors.DiscordError(400, 50007, "Cannot send messages to this user")
    return answer(world.direct(person).json())


@routes.get("/users/{user}")
async def get_user(request: web.Request) -> web.Response:
    person = state_of(request).world.people.get(snowflakes.parse(request.match_info["user"]) or 0)
    if person is None:
        raise errors.unknown("User")
    return answer(person.json())


@routes.get("/guilds/{guild}")
async def get_guild(request: web.Request) -> web.Response:
    guild = _guild(request)
    counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
    with_counts = request.query.get("with_counts", "").lower() in ("true", "1")
    return answer(guild.json() | (counts if with_counts else {}))


@routes.get("/guilds/{guild}/channels")
async def list_channels(request: web.Request) -> web.Response:
    guild = _guild(request)
    channels = state_of(request).world.channels.values()
    return answer([one.json() for one in channels if one.guild_id == guild.id and one.type == TEXT])


@routes.get("/guilds/{guild}/threads/active")
async def list_active_threads(request: web.Request) -> web.Response:
    guild, world = _guild(request), state_of(request).world
    threads = [one for one in world.channels.values() if one.guild_id == guild.id and one.thread]
    seen = [one for one in threads if not one.archived and world.sees(EASEL, one)]
    own = [one.member_json(EASEL_ID) for one in seen if EASEL_ID in one.joined]
    return answer({"threads": [one.json() for one in seen], "members": own, "has_more": False})


@routes.get("/guilds/{guild}/roles")
async def list_roles(request: web.Request) -> web.Response:
    return answer([role.json() for role in _guild(request).roles])


@routes.get("/guilds/{guild}/emojis")
async def list_emojis(request: web.Request) -> web.Response:
    _guild(request)
    return answer([])


@routes.get("/guilds/{guild}/members")
async def list_members(request: web.Request) -> web.Response:
    guild, people = _guild(request), state_of(request).world.people
    query = request.query
    limit, after = snowflakes.parse(query.get("limit", "1")), snowflakes.parse(query.get("after", "0"))
    if limit is None or not 1 <= limit <= 1000 or after is None:
        raise errors.DiscordError(400, 50035, "Invalid Form Body")
    found = sorted(person_id for person_id in guild.members if person_id > after)[:limit]
    return answer([guild.member_json(people[person_id]) for person_id in found])


@routes.get("/guilds/{guild}/members/{user}")
async def get_member(request: web.Request) -> web.Response:
    guild = _guild(request)
    return answer(guild.member_json(_member(request, guild)))


def _guild(request: web.Request) -> Guild:
    guild = state_of(request).world.guilds.get(snowflakes.parse(request.match_info["guild"]) or 0)
    if guild is None:
        raise errors.unknown("Guild")
    return guild


def _member(request: web.Request, guild: Guild) -> Person:
    person_id = snowflakes.parse(request.match_info["user"]) or 0
    person = state_of(request).world.people.get(person_id)
    if person is None:
        raise errors.unknown("User")
    if person_id not in guild.members:
        raise errors.unknown("Member")
    return person


def _application(state: State) -> Json:
    """Return the bot's application."""
    return {
        "id": str(EASEL_ID),
        "name": EASEL.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": EASEL.json(),
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": state.faults.application_flags,
        "flags_new": str(state.faults.application_flags),
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": state.world.people[beginning.GRACE_ID].json(),
        "approximate_guild_count": len(state.world.guilds_of(EASEL)),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["bot", "applications.commands"],
    }
