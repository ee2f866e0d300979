"""Users, the bot's application, the server, and where the gateway is: what does not change."""

from __future__ import annotations

from aiohttp import web

from sandbox import errors, snowflakes, world
from sandbox.rest.payload import read_object
from sandbox.rest.serving import answer
from sandbox.state import state_of

routes = web.RouteTableDef()


@routes.get("/gateway")
async def get_gateway(request: web.Request) -> web.Response:
    return answer({"url": state_of(request).gateway.url})


@routes.get("/gateway/bot")
async def get_bot_gateway(request: web.Request) -> web.Response:
    if "Authorization" not in request.headers:
        raise errors.unauthorized()
    limit = {"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 1}
    return answer({"url": state_of(request).gateway.url, "shards": 1, "session_start_limit": limit})


@routes.get("/oauth2/applications/@me")
@routes.get("/applications/@me")
async def get_application(request: web.Request) -> web.Response:
    return answer(world.application_json())


@routes.get("/applications/{application}/emojis")
async def list_application_emojis(request: web.Request) -> web.Response:
    return answer({"items": []})


@routes.get("/users/@me")
async def get_own_user(request: web.Request) -> web.Response:
    own = {"verified": True, "email": None, "mfa_enabled": False, "locale": "en-US"}
    return answer(world.EASEL.json() | own)


@routes.get("/users/@me/guilds")
async def list_own_guilds(request: web.Request) -> web.Response:
    permissions = str(state_of(request).bot_permissions)
    guild = {"id": str(world.GUILD_ID), "name": "Easel Studio", "icon": None, "banner": None}
    return answer([guild | {"owner": False, "features": [], "permissions": permissions}])


@routes.post("/users/@me/channels")
async def open_direct_messages(request: web.Request) -> web.Response:
    payload = await read_object(request)
    wanted = snowflakes.parse(payload.body.get("recipient_id"))
    for person in world.MEMBERS:
        if person.id == wanted:
            channel = world.channel(person.direct_channel_id)
            assert channel is not None
            return answer(channel.json())
    if wanted == world.EASEL_ID:
        raise errors.DiscordError(400, 50007, "Cannot send messages to this user")
    raise errors.DiscordError(400, 50033, "Invalid Recipient(s)")


@routes.get("/users/{user}")
async def get_user(request: web.Request) -> web.Response:
    return answer(_person(request, "User").json())


@routes.get("/guilds/{guild}")
async def get_guild(request: web.Request) -> web.Response:
    _check_guild(request)
    counts = {"approximate_member_count": len(world.PEOPLE), "approximate_presence_count": len(world.PEOPLE)}
    with_counts = request.query.get("with_counts", "").lower() in ("true", "1")
    return answer(world.guild_json() | (counts if with_counts else {}))


@routes.get("/guilds/{guild}/channels")
async def list_channels(request: web.Request) -> web.Response:
    _check_guild(request)
    return answer([channel.json() for channel in world.CHANNELS])


@routes.get("/guilds/{guild}/roles")
async def list_roles(request: web.Request) -> web.Response:
    _check_guild(request)
    return answer([role.json() for role in world.ROLES])


@routes.get("/guilds/{guild}/emojis")
async def list_emojis(request: web.Request) -> web.Response:
    _check_guild(request)
    return answer([])


@routes.get("/guilds/{guild}/members")
async def list_members(request: web.Request) -> web.Response:
    _check_guild(request)
    return answer([person.member_json() for person in world.PEOPLE.values()])


@routes.get("/guilds/{guild}/members/{user}")
async def get_member(request: web.Request) -> web.Response:
    _check_guild(request)
    return answer(_person(request, "Member").member_json())


def _check_guild(request: web.Request) -> None:
    if snowflakes.parse(request.match_info["guild"]) != world.GUILD_ID:
        raise errors.unknown("Guild")


def _person(request: web.Request, what: str) -> world.Person:
    person = world.PEOPLE.get(snowflakes.parse(request.match_info["user"]) or 0)
    if person is None:
        raise errors.unknown(what)
    return person
