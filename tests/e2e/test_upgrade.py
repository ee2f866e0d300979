"""What the first version of Easel left lives on: its database, its pictures, its buttons. Real bot, real engine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot import upgrade
from sandbox.client.member import Json, Member, buttons_of, text_of
from tests.e2e.asking import gone, has_button, painted
from tests.e2e.conftest import ROOT, Studio, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Studio]:
    """A bot on the data that the first version wrote: two finished jobs, a failed, a cancelled, a running and a
    waiting one."""
    data: Path = tmp_path_factory.mktemp("first") / "data"
    shutil.copytree(ROOT / "tests" / "bot" / "first", data)
    async with running(data) as opened:
        yield opened


async def of_job(member: Member, number: int) -> Json:
    """The message that shows this job's pictures, as soon as there is one."""
    async with asyncio.timeout(120):
        while True:
            for message in (await member.state())["messages"]:
                if f"#{number} " in text_of(message) and has_button(message, "V1"):
                    return dict(message)
            await asyncio.sleep(0.2)


async def test_the_start_notes_which_easel_works_there_now(studio: Studio) -> None:
    assert (studio.data / upgrade.FILE).is_file()


@pytest.mark.parametrize("number", [2, 5, 6])
async def test_undelivered_running_and_waiting_jobs_reach_the_channel(ada: Member, number: int) -> None:
    # Their messages are gone and their tokens are over, so they come as new messages.
    assert await ada.pictures(await of_job(ada, number))


async def test_buttons_and_forms_of_old_jobs_work(ada: Member, grace: Member) -> None:
    message = await of_job(ada, 2)
    # By the very words that the first version put under its pictures.
    assert {"easel:vary:2", "easel:reroll:2", "easel:edit:2", "easel:delete:2"} <= {
        button["custom_id"] for button in buttons_of(message)
    }
    _, pictures = await painted(ada, await ada.click(message, "V1"))
    assert len(pictures) == 4
    await painted(ada, await ada.click(message, "Re-roll"))
    form = await ada.click(message, "Edit")
    await painted(ada, await ada.submit(form, {"prompt": "a blue boat"}))
    await grace.click(message, "Delete", until="acknowledged")
    await gone(grace, message)


async def test_old_job_is_rerolled_by_its_number(ada: Member) -> None:
    _, [first] = await painted(ada, await ada.command("/reroll job:6"))
    _, [second] = await painted(ada, await ada.command("/reroll job:6"))
    assert first == second
