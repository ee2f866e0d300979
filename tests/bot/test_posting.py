"""First answers go before everything else, and hold nothing up for ever."""

from __future__ import annotations

import asyncio
from unittest.mock import create_autospec

import discord
import pytest

from bot import posting as posting_module
from bot.posting import Posting


@pytest.fixture
async def posting() -> Posting:
    return Posting(create_autospec(discord.Client, instance=True))


async def test_nothing_waits_where_nobody_waits_for_an_answer(posting: Posting) -> None:
    await asyncio.wait_for(posting.calm(), 1)


async def test_everything_else_waits_for_the_last_answer(posting: Posting) -> None:
    with posting.answering():
        with posting.answering():
            waiting = asyncio.create_task(posting.calm())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1)


async def test_an_answer_that_takes_for_ever_holds_nothing_up(
    posting: Posting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting_module, "CALM_WITHIN_S", 0.01)
    with posting.answering():
        await asyncio.wait_for(posting.calm(), 20)
