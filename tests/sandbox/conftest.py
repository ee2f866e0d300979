"""A sandbox with a clock that stands still, a bare bot and a member."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sandbox.client.member import Member
from sandbox.clock import ManualClock
from sandbox.server import Sandbox
from tests.sandbox.rawbot import RawBot


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def sandbox(clock: ManualClock) -> AsyncIterator[Sandbox]:
    async with Sandbox(clock=clock, privileged_intents=True) as running:
        yield running


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[RawBot]:
    async with RawBot(sandbox.url) as raw:
        yield raw


@pytest.fixture
async def ada(sandbox: Sandbox) -> AsyncIterator[Member]:
    async with Member(sandbox.url, "Ada") as member:
        yield member
