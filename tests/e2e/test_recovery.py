"""Nothing accepted is lost: the bot is stopped and killed, the engine is killed, Discord fails."""

from __future__ import annotations

import signal

import pytest

from sandbox.client.member import Member, text_of
from tests import forkserver
from tests.e2e.asking import QUICK, finished, forgotten, gone, painted
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "steps:50 count:4"


async def test_buttons_and_open_forms_work_after_a_restart(studio: Studio, ada: Member) -> None:
    message, [before] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    form = await ada.click(message, "Edit")
    assert await studio.stop() == 0
    await studio.start()
    _, [same] = await painted(ada, await ada.submit(form, {}))
    assert same == before
    _, variations = await painted(ada, await ada.click(message, "V1"))
    assert len(variations) == 4
    _, rerolled = await painted(ada, await ada.click(message, "Re-roll"))
    assert rerolled != [before]
    await ada.click(message, "Delete", until="acknowledged")
    await gone(ada, message)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_running_and_waiting_jobs_are_answered_after_the_bot_comes_back(
    studio: Studio, ada: Member, linus: Member, number: signal.Signals
) -> None:
    asked = f"/imagine prompt:a red house {LONG} seed:{100 + number}"
    first, expected = await painted(ada, await ada.command(asked))
    await forgotten(ada, first)
    running = await ada.command(asked)
    waiting = await linus.command(f"/imagine prompt:a blue boat {QUICK} seed:1")
    await ada.wait_for(running.message, lambda message: "▰" in text_of(message))
    await studio.stop(number)
    await studio.start()
    _, pictures = await painted(ada, running)
    assert pictures == expected
    await painted(linus, waiting)


async def test_engine_that_is_killed_is_started_again_and_its_job_runs_once_more(studio: Studio, ada: Member) -> None:
    running = await ada.command(f"/imagine prompt:a green tree {LONG} seed:3")
    await ada.wait_for(running.message, lambda message: "▰" in text_of(message))
    studio.kill_engine()
    await painted(ada, running)


async def test_job_that_ends_the_engine_twice_is_set_aside_in_words(studio: Studio, ada: Member) -> None:
    running = await ada.command(f"/imagine prompt:a green tree {LONG} seed:4")
    for _ in range(2):
        message = await ada.wait_for(running.message, lambda message: "▰" in text_of(message))
        with forkserver.held():
            studio.kill_engine()
            await ada.wait_for(message, lambda message: "▰" not in text_of(message))
    message = await finished(ada, running)
    assert "stopped the engine 2 times" in text_of(message)
    _, pictures = await painted(ada, await ada.command(f"/imagine prompt:a cat {QUICK}"))
    assert pictures


async def test_picture_arrives_although_the_interaction_token_has_expired(studio: Studio, ada: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a red house {LONG} seed:9")
    await ada.wait_for(reply.message, lambda message: "▰" in text_of(message))
    expired = {"method": "PATCH", "route": "/webhooks/{}/{}/messages/{}", "status": 401, "code": 50027, "times": 50}
    await ada.faults(fail_next=expired)
    try:
        _, pictures = await painted(ada, reply)
    finally:
        await ada.faults(fail_next=None)
    assert len(pictures) == 4


async def test_picture_arrives_although_discord_cannot_be_reached_at_first(studio: Studio, ada: Member) -> None:
    reply = await ada.command(f"/imagine prompt:a red house {LONG} seed:10")
    await ada.wait_for(reply.message, lambda message: "▰" in text_of(message))
    broken = {"method": "PATCH", "route": "/webhooks/{}/{}/messages/{}", "cut": "before", "times": 2}
    await ada.faults(fail_next=broken)
    _, pictures = await painted(ada, reply)
    assert len(pictures) == 4


async def test_bot_stays_through_rate_limits_and_a_lost_gateway(studio: Studio, ada: Member) -> None:
    await ada.faults(rate_limits=True)
    try:
        _, pictures = await painted(ada, await ada.command(f"/imagine prompt:a fish {LONG} seed:2"))
        assert len(pictures) == 4
    finally:
        await ada.faults(rate_limits=False)
    for way in ("close", "reconnect", "invalid_session"):
        await ada.faults(drop_gateway=way)
        await studio.online()
        await painted(ada, await ada.command(f"/imagine prompt:a fish {QUICK}"))
    assert await studio.problems() == []
