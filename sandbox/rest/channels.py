"""Channels and the messages that a bot sends, reads, changes and deletes in them with its own rights."""

from __future__ import annotations

from aiohttp import web

from sandbox import errors, snowflakes, world
from sandbox.errors import DiscordError
from sandbox.forms import Form
from sandbox.limits.messages import check_message
from sandbox.messages import REPLY, Message
from sandbox.permissions import Permission
from sandbox.rest.payload import read_object
from sandbox.rest.serving import answer, no_content
from sandbox.state import State, state_of

routes = web.RouteTableDef()
_MESSAGES = "/channels/{channel}/messages"
_MESSAGE = _MESSAGES + "/{message}"


@routes.get("/channels/{channel}")
async def get_channel(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state)
    messages = state.messages.in_channel(channel.id)
    return answer(channel.json(messages[-1].id if messages else None))


@routes.post("/channels/{channel}/typing")
async def start_typing(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state, Permission.SEND_MESSAGES)
    frame = {"type": "typing", "channel_id": str(channel.id), "user_id": str(world.EASEL_ID)}
    state.hub.tell_members(frame, channel.recipient.id if channel.recipient else None)
    return no_content()


@routes.get(_MESSAGES)
async def list_messages(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state, Permission.READ_MESSAGE_HISTORY)
    form = Form()
    query = dict(request.query)
    limit = form.number(query, "limit", (), least=1, most=100)
    bounds = {key: snowflakes.parse(query.get(key, "0")) for key in ("before", "after", "around")}
    for key, value in bounds.items():
        if value is None:
            form.error((key,), "NUMBER_TYPE_COERCE", f'Value "{query[key]}" is not snowflake.')
    form.close()
    count = 50 if limit is None else int(limit)
    found = [one for one in state.messages.in_channel(channel.id) if one.visible_to is None]
    if bounds["around"]:
        found.sort(key=lambda one: abs(one.id - (bounds["around"] or 0)))
        found = sorted(found[:count], key=lambda one: one.id)
    elif bounds["before"]:
        found = [one for one in found if one.id < (bounds["before"] or 0)]
    elif bounds["after"]:
        found = [one for one in found if one.id > (bounds["after"] or 0)][:count]
    return answer([state.messages.view(one) for one in reversed(found[-count:])])


@routes.get(_MESSAGE)
async def get_message(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state, Permission.READ_MESSAGE_HISTORY)
    return answer(state.messages.view(_message(request, state, channel)))


@routes.post(_MESSAGES)
async def create_message(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state, Permission.SEND_MESSAGES)
    payload = await read_object(request)
    if payload.uploads and not state.bot_permissions & Permission.ATTACH_FILES:
        raise errors.missing_permissions()
    draft = check_message(payload.body, payload.filenames)
    message = state.messages.new(channel.id, world.EASEL)
    if draft.reference_id is not None:
        message.type = REPLY
        if state.messages.get(channel.id, draft.reference_id) is None:
            if payload.body["message_reference"].get("fail_if_not_exists", True):
                form = Form()
                form.error(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
                form.close()
            draft.reference_id, message.type = None, 0
    state.messages.create(message, draft, payload.uploads)
    return answer(state.messages.view(message))


@routes.patch(_MESSAGE)
async def edit_message(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state)
    message = _message(request, state, channel)
    payload = await read_object(request)
    if message.author_id != world.EASEL_ID:
        raise DiscordError(403, 50005, "Cannot edit a message authored by another user")
    draft = check_message(payload.body, payload.filenames, existing=message.files(), version_2=message.version_2)
    edited = state.messages.edit(message, draft, payload.uploads)
    state.interactions.message_edited(edited)
    return answer(state.messages.view(edited))


@routes.delete(_MESSAGE)
async def delete_message(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state)
    message = _message(request, state, channel)
    own = message.author_id == world.EASEL_ID
    if not own and channel.recipient is not None:
        raise DiscordError(403, 50003, "Cannot execute action on a DM channel")
    if not own and not state.bot_permissions & Permission.MANAGE_MESSAGES:
        raise errors.missing_permissions()
    state.messages.delete(message)
    return no_content()


def _channel(request: web.Request, state: State, needed: Permission = Permission.VIEW_CHANNEL) -> world.Channel:
    channel = world.channel(snowflakes.parse(request.match_info["channel"]))
    if channel is None:
        raise errors.unknown("Channel")
    if channel.recipient is None:
        if not state.bot_permissions & Permission.VIEW_CHANNEL:
            raise errors.missing_access()
        if not state.bot_permissions & needed:
            raise errors.missing_permissions()
    return channel


def _message(request: web.Request, state: State, channel: world.Channel) -> Message:
    """Return the named message. Ephemeral ones are reached through their interaction only."""
    message = state.messages.get(channel.id, snowflakes.parse(request.match_info["message"]))
    if message is None or message.visible_to is not None:
        raise errors.unknown("Message")
    return message
