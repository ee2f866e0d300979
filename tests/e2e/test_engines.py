"""Two engines on one machine, as two cards would have them: one queue, and each dies for itself."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.client.member import Member, Reply, text_of
from starter.render import render
from tests.e2e.asking import BOATS, QUICK, finished, forgotten, number, painted, png, said
from tests.e2e.conftest import Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "steps:50 count:4"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    async with running(tmp_path_factory.mktemp("data"), EASEL_DEVICE="cpu,cpu", EASEL_THREADS="1") as opened:
        yield opened


def attempts(studio: Studio, *jobs: int) -> list[int]:
    """How often an engine died of each of these jobs."""
    with sqlite3.connect(studio.data / "easel.sqlite3") as database:
        found = dict(database.execute("SELECT id, attempts FROM job"))
    return [found[job] for job in jobs]


async def painting(*asked: tuple[Member, str]) -> list[tuple[Member, Reply]]:
    """The replies to commands, each given when the one before it is being painted, so that no pass takes two."""
    replies = []
    for member, command in asked:
        replies.append((member, await member.command(command)))
        await member.wait_for(replies[-1][1].message, lambda message: "▰" in text_of(message))
    return replies


async def test_two_members_pictures_are_painted_at_once_and_a_question_is_answered_meanwhile(
    studio: Studio, ada: Member, grace: Member, linus: Member
) -> None:
    asked = f"/imagine prompt:a red house {LONG} seed:7"
    (_, first), (_, second) = await painting((ada, asked), (grace, asked))
    upload = ("boats.png", png(render(BOATS, 256)))
    _, answer = await said(linus, await linus.command("classify", {"labels": "house, boat"}, files={"image": upload}))
    assert answer.startswith("**boat**")
    _, of_first = await painted(ada, first)
    _, of_second = await painted(grace, second)
    # Whichever engine it was: the same to the last bit.
    assert of_first == of_second


async def test_engine_that_is_killed_in_the_middle_of_a_picture_costs_nobody_elses_a_try(
    studio: Studio, ada: Member, grace: Member
) -> None:
    first, [expected] = await painted(ada, await ada.command(f"/imagine prompt:a green tree {QUICK} seed:3"))
    before = studio.engines()
    assert len(before) == 2
    asked = f"/imagine prompt:a green tree {LONG} seed:3"
    replies = await painting((ada, asked), (grace, asked))
    os.kill(before[0], signal.SIGKILL)
    results = [await painted(member, reply) for member, reply in replies]
    assert results[0][1] == results[1][1]
    assert sorted(attempts(studio, *(number(message) for message, _ in results))) == [0, 1]
    # The other one has gone on; the dead one comes back and paints as before.
    assert before[1] in studio.engines()
    await forgotten(ada, first)
    _, again = await painted(ada, await ada.command(f"/imagine prompt:a green tree {QUICK} seed:3"))
    assert again == [expected]


async def test_cancel_finds_the_engine_that_paints(studio: Studio, ada: Member, grace: Member) -> None:
    asked = f"/imagine prompt:a fish {LONG} seed:1"
    (_, cancelled), (_, other) = await painting((ada, asked), (grace, asked))
    await ada.click(cancelled.message, "Cancel", until="acknowledged")
    assert "Cancelled." in text_of(await finished(ada, cancelled))
    assert len((await painted(grace, other))[1]) == 4
