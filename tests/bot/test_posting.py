"""What the bot takes for a job's message in Discord."""

from __future__ import annotations

from unittest.mock import create_autospec

import discord
import pytest

from bot.posting import Posting
from tests.bot.conftest import reply


@pytest.mark.parametrize(("alone", "found"), [(False, 4711), (True, None)])
async def test_sentence_for_the_member_alone_is_no_jobs_reply(
    monkeypatch: pytest.MonkeyPatch, alone: bool, found: int | None
) -> None:
    """A job that could not be written down in time was refused in words, and its row may be there all the same."""
    webhook = create_autospec(discord.Webhook, instance=True)
    webhook.fetch_message.return_value.id = 4711
    webhook.fetch_message.return_value.flags = discord.MessageFlags(ephemeral=alone)
    posting = Posting(create_autospec(discord.Client, instance=True))
    monkeypatch.setattr(posting, "_webhook", lambda _: webhook)
    assert await posting.find(reply()) == found
