"""The messages of trainings: whatever happens they say how it is, and never more often than Discord allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import discord
import pytest

from bot.jobs import Jobs
from bot.localisation import Languages
from bot.teaching import posts as posts_module
from bot.teaching.posts import STEPS_EVERY_S, Posts
from bot.training.progress import Progress
from inference.protocol import because
from tests.bot.teaching.conftest import posted
from tests.bot.test_admission import Gate
from tests.bot.test_delivery import refusal
from tests.bot.training.test_store import ADA


class Channel:
    """A channel of Discord's, and a clock."""

    def __init__(self, gate: Gate) -> None:
        self.now = 100.0
        self.edits: list[tuple[int, str]] = []
        self.sent: list[Any] = []
        self.gone: list[int] = []
        self.refuse: Exception | None = None
        self.client = create_autospec(discord.Client, instance=True)
        self.client.get_partial_messageable.return_value.get_partial_message.side_effect = self._message
        gate.posting.take_back = AsyncMock(side_effect=lambda _, __, message_id, ___: self.gone.append(message_id))
        self.posts = Posts(self.client, gate.admission, gate.posting, Languages(), lambda: self.now)

    def _message(self, message_id: int) -> Any:
        async def edit(view: discord.ui.LayoutView, **_: object) -> None:
            if self.refuse is not None:
                raise self.refuse
            self.edits.append((message_id, str(view.to_components())))

        async def send(text: str, **more: Any) -> None:
            self.sent.append((text, more["nonce"], [one.id for one in more["allowed_mentions"].users]))

        return MagicMock(edit=edit, channel=MagicMock(send=send))

    async def look(self) -> list[tuple[int, str]]:
        """What is edited now."""
        self.edits.clear()
        await self.posts._look()
        return [*self.edits]


@pytest.fixture
def channel(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Channel:
    monkeypatch.setattr(posts_module, "PAUSE_S", 0.0)
    return Channel(gate)


@pytest.fixture
def progress(jobs: Jobs) -> Progress:
    return Progress(jobs._database, jobs.trainings)


async def test_steps_are_shown_now_and_then_and_all_else_at_once(
    channel: Channel, jobs: Jobs, progress: Progress, tmp_path: Path
) -> None:
    training = await posted(jobs, tmp_path, 11)
    behind = await posted(jobs, tmp_path, 12)
    assert {message for message, _ in await channel.look()} == {11, 12}
    await progress.begin_next()
    await progress.planned(training.id, 0, 20, 2)
    [(message, said), *others] = await channel.look()
    assert message == 11
    assert "being trained" in said
    assert others == [], "that others wait for one less is no hurry"
    for step in range(1, 9):
        jobs.trainings.note(training.id, step, 0.5)
        assert await channel.look() == []
    channel.now += STEPS_EVERY_S
    edits = dict(await channel.look())
    assert "8/20" in edits[11]
    assert "place 2 in the queue" in edits[12]
    jobs.trainings.note(training.id, 9, 0.5)
    assert await channel.look() == []
    await progress.epoch_ended(training.id, 1, 10, 0.4)
    [(_, said)] = await channel.look()
    assert "epoch 1 of 2" in said
    assert channel.sent == []
    await jobs.trainings.stop(behind.id)
    [(_, said)] = await channel.look()
    assert "stopped" in said
    await jobs.trainings.fail(training.id, because("training_diverged", step=11))
    [(_, said)] = await channel.look()
    assert "smaller rate" in said
    [(text, nonce, mentioned)] = channel.sent
    assert "failed" in text
    assert len(nonce) <= 25
    assert mentioned == [ADA]


async def test_message_that_was_deleted_is_done_with_and_that_of_a_deleted_training_goes(
    channel: Channel, jobs: Jobs, tmp_path: Path
) -> None:
    training, other = await posted(jobs, tmp_path, 11), await posted(jobs, tmp_path, 12)
    await channel.look()
    channel.refuse = refusal(404, 10008)
    await jobs.trainings.stop(training.id)
    await channel.look()
    now = await jobs.trainings.find(training.id)
    assert now is not None
    assert now.message_id is None
    await jobs.trainings.erase(training.id)
    await jobs.trainings.erase(other.id)
    await channel.look()
    assert channel.gone == [12]


async def test_what_cannot_be_shown_keeps_no_other_from_it(channel: Channel, jobs: Jobs, tmp_path: Path) -> None:
    training = await posted(jobs, tmp_path, 11)
    channel.refuse = ZeroDivisionError()
    assert await channel.look() == []
    channel.refuse = None
    await jobs.trainings.stop(training.id)
    assert len(await channel.look()) == 1


async def test_erased_member_leaves_no_message(jobs: Jobs, tmp_path: Path) -> None:
    await posted(jobs, tmp_path, 11)
    up_to = await jobs.belongings.doom(ADA)
    await jobs.erase(ADA, up_to)
    assert [row["message_id"] for row in await jobs.belongings.messages(ADA)] == [11]
    assert await jobs.trainings.of_member(ADA) == []
