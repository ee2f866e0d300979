"""Answers to interactions: https://discord.com/developers/docs/interactions/receiving-and-responding"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.limits.commands import check_choices
from sandbox.limits.forms import Form
from sandbox.limits.messages import Flag, check_message
from sandbox.limits.modals import check_modal
from sandbox.platform.interaction import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    DEFERRED,
    MODAL,
    MODAL_SUBMIT,
    REPLIED,
    Interaction,
)
from sandbox.platform.message import Message
from sandbox.rest.payload import Payload, read_object
from sandbox.rest.serving import answer, no_content
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

Json = dict[str, Any]
routes = web.RouteTableDef()

SEND, DEFER_SEND, DEFER_UPDATE, UPDATE, CHOICES, OPEN_MODAL = 4, 5, 6, 7, 8, 9  # callback types
_ALLOWED: dict[int, tuple[int, ...]] = {
    COMMAND: (SEND, DEFER_SEND, OPEN_MODAL),
    COMPONENT: (SEND, DEFER_SEND, DEFER_UPDATE, UPDATE, OPEN_MODAL),
    AUTOCOMPLETE: (CHOICES,),
    MODAL_SUBMIT: (SEND, DEFER_SEND, DEFER_UPDATE, UPDATE),
}


@routes.post("/interactions/{interaction}/{token}/callback")
async def respond(request: web.Request) -> web.Response:
    state = state_of(request)
    payload = await read_object(request)
    interaction_id = snowflakes.parse(request.match_info["interaction"])
    interaction = state.interactions.acknowledge(interaction_id, request.match_info["token"])
    kind, data = _read(payload, interaction)
    message = _carry_out(state, interaction, kind, data, payload)
    if request.query.get("with_response", "").lower() not in ("true", "1"):
        return no_content()
    return answer(_response(state, interaction, kind, message))


def _read(payload: Payload, interaction: Interaction) -> tuple[int, Json]:
    form = Form()
    allowed = _ALLOWED[interaction.type]
    if interaction.type == MODAL_SUBMIT and interaction.source_id is None:
        allowed = (SEND, DEFER_SEND)  # the form was opened by a command: there is no message to update
    kind = form.choice(payload.body, "type", (), allowed, required=True)
    needed = kind in (SEND, CHOICES, OPEN_MODAL)
    data = form.mapping(payload.body, "data", (), required=needed) or {}
    form.close()
    assert kind is not None
    return kind, data


def _carry_out(state: State, interaction: Interaction, kind: int, data: Json, payload: Payload) -> Message | None:
    """Do what the callback asks, and return the message that it made or changed."""
    interactions = state.interactions
    message: Message | None = None
    if kind == SEND:
        draft = check_message(data, payload.filenames, at=("data",))
        message = interactions.new_message(interaction, ephemeral=_ephemeral(data))
        message = state.messages.create(message, draft, payload.uploads)
        interaction.original_id = message.id
        interactions.answered(interaction, REPLIED, message)
    elif kind == DEFER_SEND:
        message = interactions.new_message(interaction, ephemeral=_ephemeral(data))
        message = state.messages.placeholder(message)
        interaction.original_id = message.id
        interactions.answered(interaction, DEFERRED, message)
    elif kind in (DEFER_UPDATE, UPDATE):
        interaction.original_id = interaction.source_id
        message = state.messages.find(interaction.source_id)
        if kind == UPDATE and message is not None:
            draft = check_message(
                data,
                payload.filenames,
                existing=message.files(),
                version_2=message.version_2,
                at=("data",),
            )
            message = state.messages.edit(message, draft, payload.uploads)
        interaction.silent = kind == DEFER_UPDATE
        interactions.answered(interaction, REPLIED if kind == UPDATE else DEFERRED, message)
    elif kind == CHOICES:
        form = Form()
        interaction.choices = check_choices(form, data, ("data",), _focused_type(interaction.data))
        form.close()
        interactions.answered(interaction, REPLIED)
    else:
        form = Form()
        interaction.modal = check_modal(form, data, ("data",))
        form.close()
        interactions.answered(interaction, MODAL)
        opened = {"type": "modal", "interaction_id": str(interaction.id), "modal": interaction.modal}
        state.hub.tell_members(opened, [interaction.member_id])
    return message


def _ephemeral(data: Json) -> bool:
    flags = data.get("flags")
    return isinstance(flags, int) and bool(flags & Flag.EPHEMERAL)


def _focused_type(data: Json) -> int:
    """Return the type of the option that is being completed, looking into sub-commands."""
    for option in data.get("options", ()):
        if option.get("focused"):
            return int(option["type"])
        if option.get("options"):
            return _focused_type(option)
    return 3


def _response(state: State, interaction: Interaction, kind: int, message: Message | None) -> Json:
    about: Json = {"id": str(interaction.id), "type": interaction.type}
    body: Json = {"interaction": about}
    if message is not None:
        about |= {
            "response_message_id": str(message.id),
            "response_message_loading": message.pending,
            "response_message_ephemeral": message.visible_to is not None,
        }
        if kind in (SEND, UPDATE):
            body["resource"] = {"type": kind, "message": state.messages.view(message)}
    return body
