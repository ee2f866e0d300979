"""What a bot does with an interaction's token after its first answer: follow-ups, edits, deletions."""

from __future__ import annotations

from aiohttp import web

from sandbox import errors
from sandbox.community.people import EASEL_ID
from sandbox.limits.messages import Flag, check_message
from sandbox.platform.interaction import DEFERRED, REPLIED, Interaction
from sandbox.platform.message import Message
from sandbox.rest.payload import read_object
from sandbox.rest.serving import answer, no_content
from sandbox.state import State, state_of
from sandbox.storage import snowflakes

routes = web.RouteTableDef()
_WEBHOOK = "/webhooks/{webhook}/{token}"
_MESSAGE = _WEBHOOK + "/messages/{message}"


@routes.post(_WEBHOOK)
async def follow_up(request: web.Request) -> web.Response:
    state = state_of(request)
    interaction = _interaction(request, state)
    payload = await read_object(request)
    draft = check_message(payload.body, payload.filenames)
    promised = state.messages.find(interaction.original_id)
    if promised is not None and promised.pending:
        # The first follow-up fills the promised message, and is seen by whoever was promised it.
        message = state.messages.edit(promised, draft, payload.uploads)
    else:
        ephemeral = bool((draft.flags or 0) & Flag.EPHEMERAL)
        message = state.interactions.new_message(interaction, ephemeral=ephemeral)
        message = state.messages.create(message, draft, payload.uploads)
    state.interactions.answered(interaction, REPLIED, message)
    return answer(state.messages.view(message))


@routes.get(_MESSAGE)
async def get_message(request: web.Request) -> web.Response:
    state = state_of(request)
    return answer(state.messages.view(_message(request, state, _interaction(request, state))))


@routes.patch(_MESSAGE)
async def edit_message(request: web.Request) -> web.Response:
    state = state_of(request)
    interaction = _interaction(request, state)
    message = _message(request, state, interaction)
    payload = await read_object(request)
    draft = check_message(payload.body, payload.filenames, existing=message.files(), version_2=message.version_2)
    message = state.messages.edit(message, draft, payload.uploads)
    state.interactions.answered(interaction, REPLIED, message)
    return answer(state.messages.view(message))


@routes.delete(_MESSAGE)
async def delete_message(request: web.Request) -> web.Response:
    state = state_of(request)
    interaction = _interaction(request, state)
    message = _message(request, state, interaction)
    state.messages.delete(message)
    if interaction.state == DEFERRED and message.id == interaction.original_id:
        state.interactions.answered(interaction, REPLIED)
    return no_content()


def _interaction(request: web.Request, state: State) -> Interaction:
    if snowflakes.parse(request.match_info["webhook"]) != EASEL_ID:
        raise errors.unknown("Webhook")
    return state.interactions.usable(request.match_info["token"])


def _message(request: web.Request, state: State, interaction: Interaction) -> Message:
    named = request.match_info["message"]
    wanted = interaction.original_id if named == "@original" else snowflakes.parse(named)
    message = state.messages.find(wanted)
    own = message is not None and wanted in (interaction.original_id, *interaction.message_ids)
    if message is None or not own:
        raise errors.unknown("Message")
    return message
