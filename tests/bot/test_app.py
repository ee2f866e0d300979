"""The connection: how long an outage of Discord outlasts itself, and what an error comes to."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import aiohttp
import discord
import pytest

from bot import app as app_module
from bot.admission import Admission
from bot.app import Easel
from bot.assembly import for_the_operator
from bot.background import Background
from bot.commands import Form, Slice, Slices
from bot.custom_ids import OfJob, OfMessage, OfWord
from bot.errors import OperatorError
from bot.jobs import Jobs
from tests.bot.conftest import queued, reply
from tests.bot.test_admission import interaction


@pytest.fixture
async def easel(jobs: Jobs) -> Easel:
    return Easel(jobs, Background())


async def test_connection_that_stays_away_is_begun_anew(easel: Easel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "OFFLINE_S", 0.05)
    monkeypatch.setattr(app_module, "CHECK_EVERY_S", 0.01)
    connects = 0
    stays, begun_anew = asyncio.Event(), asyncio.Event()

    async def connect(*, reconnect: bool) -> None:
        nonlocal connects
        connects += 1
        if connects == 3:
            await easel.on_connect()
            stays.set()
        elif connects == 4:
            begun_anew.set()
        # As discord.py does, for as long as 17 minutes.
        await asyncio.Event().wait()

    monkeypatch.setattr(easel, "login", AsyncMock())
    monkeypatch.setattr(easel, "connect", connect)
    connected = asyncio.create_task(easel.stay_connected("t"))
    await stays.wait()
    await asyncio.sleep(0.2)
    assert connects == 3
    await easel.on_disconnect()
    await easel.on_disconnect()
    await asyncio.wait_for(begun_anew.wait(), 20)
    connected.cancel()


async def test_every_try_to_log_in_closes_what_the_one_before_has_opened(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app_module, "RECONNECT_AFTER_S", 0)
    opened, tried = [], asyncio.Event()
    session = aiohttp.ClientSession

    def open_one(**given: object) -> aiohttp.ClientSession:
        opened.append(session(**given))  # type: ignore[arg-type]
        if len(opened) == 3:
            tried.set()
        return opened[-1]

    monkeypatch.setattr("discord.http.aiohttp.ClientSession", open_one)
    # Where it is set for all, it is put back.
    monkeypatch.setattr("discord.http.Route.BASE", app_module.DISCORD_API)
    # Nobody listens there.
    easel = Easel(jobs, Background(), "http://127.0.0.1:9/api/v10")
    connecting = asyncio.create_task(easel.stay_connected("t"))
    await asyncio.wait_for(tried.wait(), 30)
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    assert [one.closed for one in opened[:2]] == [True, True]
    await easel.close()
    assert all(one.closed for one in opened)


async def test_short_break_is_left_to_discord_py(easel: Easel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "OFFLINE_S", 30.0)
    monkeypatch.setattr(app_module, "CHECK_EVERY_S", 0.01)
    monkeypatch.setattr(easel, "login", AsyncMock())
    connect = AsyncMock(side_effect=asyncio.Event().wait)
    monkeypatch.setattr(easel, "connect", connect)
    connected = asyncio.create_task(easel.stay_connected("t"))
    await asyncio.sleep(0.05)
    await easel.on_disconnect()
    await asyncio.sleep(0.05)
    assert connect.await_count == 1
    connected.cancel()


async def test_connection_that_ends_for_good_is_the_operators(easel: Easel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "CHECK_EVERY_S", 0.01)
    monkeypatch.setattr(easel, "login", AsyncMock())
    monkeypatch.setattr(easel, "connect", AsyncMock(side_effect=discord.PrivilegedIntentsRequired(None)))
    with pytest.raises(OperatorError, match="intents"):
        await easel.stay_connected("t")


async def test_deleted_message_deletes_its_job(easel: Easel, jobs: Jobs) -> None:
    admission = create_autospec(Admission, instance=True)
    easel.add(Slices({}), admission)
    job = await queued(jobs, of=reply(message_id=4711))
    payload: Any = create_autospec(discord.RawMessageDeleteEvent, instance=True, message_id=4711)
    await easel.on_raw_message_delete(payload)
    admission.delete.assert_awaited_once_with(job)
    many: Any = create_autospec(discord.RawBulkMessageDeleteEvent, instance=True, message_ids={4711, 4712})
    await easel.on_raw_bulk_message_delete(many)
    assert admission.delete.await_count == 2


async def test_error_that_must_stop_the_bot_stops_it_from_a_command_too(easel: Easel) -> None:
    asked = interaction()
    await easel.answer_error(asked, OperatorError("the database cannot be written any more"))
    with pytest.raises(OperatorError, match="any more"):
        await asyncio.wait_for(easel._background.broken(), 5)


def submitted(custom_id: str, **fields: str) -> Any:
    """A form that a member sends."""
    form = interaction()
    form.type = discord.InteractionType.modal_submit
    components = [{"component": {"custom_id": name, "value": value}} for name, value in fields.items()]
    form.data = {"custom_id": custom_id, "components": components}
    return form


async def test_forms_and_presses_go_to_their_actions_with_what_they_are_about(easel: Easel) -> None:
    vary, edit, compose = AsyncMock(), AsyncMock(), AsyncMock()
    forms: Any = {"edit": Form((OfJob, OfMessage), edit), "compose": Form((OfWord,), compose)}
    easel.add(Slices({"imagine": Slice(presses={"vary": vary}, forms=forms)}), create_autospec(Admission))
    await easel.press(pressed := interaction(), "vary", OfJob(7, 2))
    vary.assert_awaited_once_with(pressed, OfJob(7, 2))
    await easel.on_interaction(sent := submitted("easel:edit:7:1", prompt="a boat"))
    edit.assert_awaited_once_with(sent, OfJob(7, 1), {"prompt": "a boat"})
    await easel.on_interaction(sent := submitted("easel:message:edit:99"))
    edit.assert_awaited_with(sent, OfMessage(99), {})
    await easel.on_interaction(sent := submitted("easel:new:compose:a:b"))
    compose.assert_awaited_once_with(sent, OfWord("a:b"), {})


def used(custom_id: str, **data: Any) -> Any:
    """A button or menu of a panel that a member uses."""
    use = interaction()
    use.type = discord.InteractionType.component
    use.data = {"custom_id": custom_id, **data}
    return use


async def test_buttons_and_menus_of_panels_go_to_their_actions_with_what_was_chosen(easel: Easel) -> None:
    turn = AsyncMock()
    easel.add(Slices({"history": Slice(panel={"turn": turn})}), create_autospec(Admission))
    await easel.on_interaction(sent := used("easel:new:turn:2"))
    turn.assert_awaited_once_with(sent, OfWord("2"), ())
    await easel.on_interaction(sent := used("easel:new:turn:2", values=["imagine", "edit"]))
    turn.assert_awaited_with(sent, OfWord("2"), ["imagine", "edit"])
    # A job's own button comes another way.
    await easel.on_interaction(sent := used("easel:turn:7"))
    sent.response.send_message.assert_not_awaited()
    await easel.on_interaction(sent := used("easel:new:retired:2"))
    assert "another version of Easel" in sent.response.send_message.call_args.args[0]


@pytest.mark.parametrize("custom_id", ["easel:retired:7", "easel:message:compose:7", "easel:compose:7"])
async def test_form_that_nobody_knows_or_that_is_about_something_else_is_refused(easel: Easel, custom_id: str) -> None:
    compose = AsyncMock()
    easel.add(Slices({"compose": Slice(forms={"compose": Form((OfWord,), compose)})}), create_autospec(Admission))
    await easel.on_interaction(sent := submitted(custom_id))
    compose.assert_not_awaited()
    assert "another version of Easel" in sent.response.send_message.call_args.args[0]


async def test_form_of_another_bots_making_is_left_alone(easel: Easel) -> None:
    await easel.on_interaction(sent := submitted("other:7"))
    sent.response.send_message.assert_not_awaited()


def test_what_the_operator_must_hear_of_is_found_at_any_depth() -> None:
    error = OperatorError("the catalogue is broken")
    group = ExceptionGroup("a", [ValueError(), ExceptionGroup("b", [ExceptionGroup("c", [error])])])
    assert for_the_operator(group) is error
    assert for_the_operator(ExceptionGroup("a", [ValueError()])) is None
