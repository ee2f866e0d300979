"""What members do: run commands, press buttons, submit forms, write and delete messages."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from sandbox.community.people import EASEL_ID, OTHER_APP, Person
from sandbox.community.permissions import Permission
from sandbox.community.places import Channel
from sandbox.community.world import Scene
from sandbox.errors import MemberError
from sandbox.limits.commands import MESSAGE_COMMAND, USER, USER_COMMAND
from sandbox.limits.components import BUTTON
from sandbox.limits.messages import MOST_ATTACHMENTS, MOST_CONTENT, Draft, Flag, NewFile, check_message
from sandbox.limits.selects import OPTION_SELECT, SELECTS
from sandbox.member import commandbar
from sandbox.member.filling import fill_modal, forge_component, forge_modal, use_component
from sandbox.member.requests import MemberRequest, read_request, visible_message
from sandbox.platform.interaction import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, MODAL_SUBMIT, Interaction
from sandbox.platform.interactions import ACKNOWLEDGE_WITHIN_S
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

Json = dict[str, Any]
routes = web.RouteTableDef()


@routes.post("/commands")
async def run_command(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    scene = asked.scene
    commands = state.commands.for_member(scene.member, scene.channel)
    if "target_message" in asked.body or "target_user" in asked.body:
        data = _context_menu(state, asked, scene, commands)
    else:
        values: Json
        if "text" in asked.body:
            invocation, values = commandbar.read(commands, asked.text("text"))
        else:
            invocation, values = commandbar.find(commands, asked.text("name")), asked.mapping("options")
        files = {name: listed[-1] for name, listed in asked.file_fields(scene.channel).items()}
        options, resolved = commandbar.convert(invocation, values, files, scene)
        data = invocation.data(options) | ({"resolved": resolved} if resolved else {})
    return _sent(state.interactions.start(COMMAND, scene.member, scene.channel, data, state.terms))


@routes.post("/autocomplete")
async def autocomplete(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    scene = asked.scene
    invocation = commandbar.find(state.commands.for_member(scene.member, scene.channel), asked.text("name"))
    focused = asked.text("focused")
    options, _ = commandbar.convert(invocation, asked.mapping("options"), {}, scene, focused=focused)
    if not any(one["name"] == focused and one.get("autocomplete") for one in invocation.options):
        raise MemberError(f"The option “{focused}” is not completed by the bot.")
    data = invocation.data(options)
    interaction = state.interactions.start(AUTOCOMPLETE, scene.member, scene.channel, data, state.terms)
    deadline = asyncio.get_running_loop().time() + ACKNOWLEDGE_WITHIN_S
    while not interaction.acknowledged and interaction.failed_reason is None:
        remaining_s = deadline - asyncio.get_running_loop().time()
        if remaining_s <= 0 or not await state.hub.change(remaining_s, [interaction.id]):
            break
    return web.json_response({"choices": interaction.choices})


@routes.post("/components")
async def use_message_component(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    message_id = snowflakes.parse(asked.body.get("message_id"))
    message = visible_message(state, asked.member, None, message_id)
    channel = state.world.find_channel(str(message.channel_id), asked.member)
    custom_id = asked.text("custom_id")
    values = None if asked.body.get("values") is None else asked.listed("values", str)
    if asked.forged:
        kind = asked.body.get("component_type", BUTTON if values is None else OPTION_SELECT)
        if kind not in (BUTTON, *SELECTS):
            raise MemberError("component_type is that of a button or a select.")
        data = forge_component(custom_id, kind, values)
    elif message.author_id != EASEL_ID:
        raise MemberError("This message is not the bot's.")
    else:
        data = use_component(message.components, custom_id, values, Scene(state.world, asked.member, channel))
    return _sent(state.interactions.start(COMPONENT, asked.member, channel, data, state.terms, source=message))


@routes.post("/modals")
async def submit_modal(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    if asked.forged:
        return _submit_forged(state, asked)
    opener = state.interactions.get(snowflakes.parse(asked.body.get("interaction_id")))
    if opener is None or opener.state != MODAL or opener.member_id != asked.member.id or opener.modal is None:
        raise MemberError("There is no such form open.", 404)
    if opener.submitted:
        raise MemberError("The form has been submitted already.")
    channel = state.world.find_channel(str(opener.channel_id), asked.member)
    scene = Scene(state.world, asked.member, channel)
    data = fill_modal(opener.modal, asked.mapping("values"), asked.file_fields(channel), scene)
    opener.submitted = True
    source = state.messages.find(opener.source_id)
    return _sent(
        state.interactions.start(
            MODAL_SUBMIT, asked.member, channel, data, state.terms, source=source, opened_by=opener
        )
    )


def _submit_forged(state: State, asked: MemberRequest) -> web.Response:
    """Submit a form that nobody has opened, on a message where one is named."""
    channel, source = asked.channel, None
    if "message_id" in asked.body:
        source = visible_message(state, asked.member, None, snowflakes.parse(asked.body["message_id"]))
        channel = state.world.find_channel(str(source.channel_id), asked.member)
    data = forge_modal(asked.text("custom_id"), asked.mapping("values"))
    return _sent(state.interactions.start(MODAL_SUBMIT, asked.member, channel, data, state.terms, source=source))


@routes.post("/messages")
async def write_message(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    member, channel = asked.member, asked.channel
    content = str(asked.body.get("content") or "")
    if len(content) > MOST_CONTENT:
        raise MemberError(f"A message may have at most {MOST_CONTENT} characters.")
    if len(asked.files) > MOST_ATTACHMENTS:
        raise MemberError(f"A message may have at most {MOST_ATTACHMENTS} files.")
    needed = Permission.SEND_MESSAGES_IN_THREADS if channel.thread else Permission.SEND_MESSAGES
    if not state.world.permissions(member, channel) & needed:
        raise MemberError(f"{member.name} may not write here.", 403)
    uploads = dict(enumerate(upload for _, upload in asked.files))
    files = [NewFile(index, upload.filename) for index, upload in uploads.items()]
    draft, author = Draft(content=content, new_files=files), member
    if "app_message" in asked.body:
        filenames = {index: upload.filename for index, upload in uploads.items()}
        draft, author = check_message(asked.mapping("app_message"), filenames), OTHER_APP
    message = state.messages.new(channel.id, author)
    state.messages.create(message, draft, uploads)
    return web.json_response({"message": state.messages.member_view(message)})


@routes.post("/messages/forward")
async def forward_message(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    original = visible_message(state, asked.member, None, snowflakes.parse(asked.body.get("message")))
    if original.flags & Flag.EPHEMERAL or original.pending:
        raise MemberError("This message cannot be forwarded.")
    if original.snapshot is not None:
        original = original.snapshot
    message = state.messages.forward(state.messages.new(asked.channel.id, asked.member), original)
    return web.json_response({"message": state.messages.member_view(message)})


@routes.delete("/messages/{channel}/{message}")
async def delete_message(request: web.Request) -> web.Response:
    state = state_of(request)
    member = state.world.find_member(request.query.get("member"))
    channel = state.world.find_channel(request.match_info["channel"], member)
    message = visible_message(state, member, channel, snowflakes.parse(request.match_info["message"]))
    own = member.id in (message.author_id, message.visible_to)
    if not own and not may_moderate(state, member, channel):
        raise MemberError(f"{member.name} may not delete this message.", 403)
    state.messages.delete(message)
    return web.Response(status=204)


@routes.post("/messages/delete")
async def delete_messages(request: web.Request) -> web.Response:
    state = state_of(request)
    asked = await read_request(request, state)
    member, channel = asked.member, asked.channel
    if not may_moderate(state, member, channel):
        raise MemberError(f"{member.name} may not delete messages here.", 403)
    ids = dict.fromkeys(asked.listed("messages", str))
    found = [visible_message(state, member, channel, snowflakes.parse(one)) for one in ids]
    state.messages.delete_many(channel, found)
    return web.Response(status=204)


def may_moderate(state: State, member: Person, channel: Channel) -> bool:
    """Say whether a member may delete other people's messages in a channel."""
    bits = state.world.permissions(member, channel)
    return channel.recipient is None and bool(bits & Permission.MANAGE_MESSAGES)


def _context_menu(state: State, asked: MemberRequest, scene: Scene, commands: list[Json]) -> Json:
    kind = MESSAGE_COMMAND if "target_message" in asked.body else USER_COMMAND
    name = asked.text("name")
    command = next((one for one in commands if (one["type"], one["name"]) == (kind, name)), None)
    if command is None:
        raise MemberError(f"There is no context menu command “{name}” here.")
    resolved: Json = {}
    if kind == MESSAGE_COMMAND:
        target = snowflakes.parse(asked.body["target_message"])
        message = visible_message(state, scene.member, scene.channel, target)
        if message.flags & Flag.EPHEMERAL:
            raise MemberError("Ephemeral messages have no context menu commands.")
        resolved["messages"] = {str(message.id): state.messages.view(message)}
        target_id = str(message.id)
    else:
        target_id = commandbar.resolve(USER, asked.body["target_user"], "target_user", scene, resolved)
    data = {"id": command["id"], "name": name, "type": kind, "target_id": target_id, "resolved": resolved}
    return data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


def _sent(interaction: Interaction) -> web.Response:
    return web.json_response({"interaction_id": str(interaction.id)})
