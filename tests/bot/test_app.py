"""The connection: how long an outage of Discord outlasts itself, and what an error comes to."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import discord
import pytest

from bot import app as app_module
from bot.__main__ import _for_the_operator
from bot.admission import Admission
from bot.app import Easel
from bot.background import Background
from bot.errors import MemberError, OperatorError
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
    easel.add([], admission)
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


async def test_forged_button_or_form_of_a_job_that_is_hidden_does_nothing(
    easel: Easel, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = AsyncMock(return_value=False)
    monkeypatch.setattr(app_module, "may_see", hidden)
    said: list[Exception] = []
    monkeypatch.setattr(easel, "answer_error", AsyncMock(side_effect=lambda _, error: said.append(error)))
    done = AsyncMock()
    easel._presses["vary"] = done
    easel._forms["edit"] = done
    job = await queued(jobs)
    await easel.press(interaction(), "vary", job.id, 0)
    form = interaction()
    form.type = discord.InteractionType.modal_submit
    form.data = {"custom_id": f"easel:edit:{job.id}", "components": []}
    await easel.on_interaction(form)
    await easel.press(interaction(), "vary", 2**70, 0)
    done.assert_not_awaited()
    assert [type(error) for error in said] == [MemberError] * 3


def test_what_the_operator_must_hear_of_is_found_at_any_depth() -> None:
    error = OperatorError("the catalogue is broken")
    group = ExceptionGroup("a", [ValueError(), ExceptionGroup("b", [ExceptionGroup("c", [error])])])
    assert _for_the_operator(group) is error
    assert _for_the_operator(ExceptionGroup("a", [ValueError()])) is None
