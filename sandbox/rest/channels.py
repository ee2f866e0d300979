"""Channels and the messages that a bot sends, reads, changes and deletes in them with its own rights."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from aiohttp import web

from sandbox import errors
from sandbox.community.people import EASEL, EASEL_ID
from sandbox.community.permissions import Permission
from sandbox.community.places import Channel
from sandbox.errors import DiscordError
from sandbox.limits.forms import Form
from sandbox.limits.messages import check_message
from sandbox.platform.message import REPLY, Message
from sandbox.rest.payload import read_object
from sandbox.rest.serving import answer, no_content
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

routes = web.RouteTableDef()
Json = dict[str, Any]
NONCE_REMEMBERED_S = 5 * 60.0
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
    frame = {"type": "typing", "channel_id": str(channel.id), "user_id": str(EASEL_ID)}
    people = state.world.people
    state.hub.tell_members(frame, [one for one in state.hub.listening if state.world.sees(people[one], channel)])
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
    closed = state.faults.settings.direct_messages_closed
    if channel.recipient is not None and {channel.recipient.name, str(channel.recipient.id)} & set(closed):
        raise errors.cannot_message()
    if payload.uploads and not state.bot_permissions(channel) & Permission.ATTACH_FILES:
        raise errors.missing_permissions()
    draft = check_message(payload.body, payload.filenames)
    if (sent := _sent_before(state, channel, payload.body)) is not None:
        return answer(state.messages.view(sent))
    message = state.messages.new(channel.id, EASEL)
    message.nonce = str(payload.body["nonce"]) if payload.body.get("nonce") is not None else None
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
    if message.author_id != EASEL_ID:
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
    own = message.author_id == EASEL_ID
    if not own and channel.recipient is not None:
        raise DiscordError(403, 50003, "Cannot execute action on a DM channel")
    if not own and not state.bot_permissions(channel) & Permission.MANAGE_MESSAGES:
        raise errors.missing_permissions()
    state.messages.delete(message)
    return no_content()


@routes.post(_MESSAGES + "/bulk-delete")
async def delete_messages(request: web.Request) -> web.Response:
    state = state_of(request)
    channel = _channel(request, state, Permission.MANAGE_MESSAGES)
    payload = await read_object(request)
    if channel.recipient is not None:
        raise DiscordError(403, 50003, "Cannot execute action on a DM channel")
    listed = payload.body.get("messages")
    if not isinstance(listed, list) or not 2 <= len(listed) <= 100:
        raise DiscordError(400, 50016, "Provided too few or too many messages to delete. Must provide 2 to 100.")
    found = [state.messages.get(channel.id, one) for one in dict.fromkeys(map(snowflakes.parse, listed))]
    state.messages.delete_many(channel, [one for one in found if one is not None and one.visible_to is None])
    return no_content()


@routes.get("/channels/{channel}/thread-members")
async def list_thread_members(request: web.Request) -> web.Response:
    thread = _thread(request)
    return answer([thread.member_json(person_id) for person_id in thread.joined])


@routes.get("/channels/{channel}/thread-members/{user}")
async def get_thread_member(request: web.Request) -> web.Response:
    thread = _thread(request)
    person_id = snowflakes.parse(request.match_info["user"])
    if person_id is None or person_id not in thread.joined:
        raise errors.unknown("Member")
    return answer(thread.member_json(person_id))


@routes.put("/channels/{channel}/thread-members/@me")
async def join_thread(request: web.Request) -> web.Response:
    state_of(request).building.join(_thread(request), EASEL)
    return no_content()


@routes.delete("/channels/{channel}/thread-members/@me")
async def leave_thread(request: web.Request) -> web.Response:
    state_of(request).building.leave(_thread(request), EASEL)
    return no_content()


def _sent_before(state: State, channel: Channel, body: Json) -> Message | None:
    """Return the message that the bot has sent with this nonce some minutes ago, where it wants only one."""
    if not body.get("enforce_nonce") or body.get("nonce") is None:
        return None
    since = state.clock.now() - NONCE_REMEMBERED_S
    recent = takewhile(lambda one: one.created > since, reversed(state.messages.in_channel(channel.id)))
    return next((one for one in recent if one.nonce == str(body["nonce"])), None)


def _thread(request: web.Request) -> Channel:
    channel = _channel(request, state_of(request))
    if not channel.thread:
        raise DiscordError(400, 50024, "Cannot execute action on this channel type")
    return channel


def _channel(request: web.Request, state: State, needed: Permission = Permission.VIEW_CHANNEL) -> Channel:
    channel = state.world.channel(snowflakes.parse(request.match_info["channel"]))
    if channel is None:
        raise errors.unknown("Channel")
    if channel.thread and needed == Permission.SEND_MESSAGES:
        needed = Permission.SEND_MESSAGES_IN_THREADS
    if channel.recipient is None:
        bits = state.bot_permissions(channel)
        if not bits & Permission.VIEW_CHANNEL:
            raise errors.missing_access()
        if not bits & needed:
            raise errors.missing_permissions()
    return channel


def _message(request: web.Request, state: State, channel: Channel) -> Message:
    """Return the named message. Ephemeral ones are reached through their interaction only."""
    message = state.messages.get(channel.id, snowflakes.parse(request.match_info["message"]))
    if message is None or message.visible_to is not None:
        raise errors.unknown("Message")
    return message
