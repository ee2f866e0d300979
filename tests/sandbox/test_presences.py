"""What a bot says beside its name, as Discord takes it."""

from __future__ import annotations

import discord
import pytest

from sandbox.client.member import Member
from sandbox.gateway.presences import custom_status
from tests.sandbox.rawbot import RawBot

WORDS = discord.CustomActivity("the engine is starting").to_dict()


@pytest.mark.parametrize(
    ("presence", "words"),
    [
        ({"status": "idle", "activities": [WORDS], "afk": False, "since": 0}, "the engine is starting"),
        ({"status": "idle", "game": WORDS}, "the engine is starting"),
        ({"status": "online", "activities": []}, ""),
        ({"status": "online", "activities": [{"type": 0, "name": "Chess", "state": "of it"}]}, ""),
    ],
)
def test_words_of_its_own_are_shown(presence: object, words: str) -> None:
    assert custom_status(presence) == words


@pytest.mark.parametrize(
    "presence",
    [
        None,
        {},
        {"status": "busy"},
        {"status": "idle", "activities": [{"type": 4}]},
        {"status": "idle", "activities": [{"type": 9, "name": "x"}]},
        {"status": "idle", "activities": [{**WORDS, "state": "x" * 129}]},
        {"status": "idle", "activities": ["x"]},
    ],
)
def test_what_discord_would_not_take_is_refused(presence: object) -> None:
    with pytest.raises(ValueError, match=r"presence|activity|status"):
        custom_status(presence)


async def test_members_see_it_when_it_is_said_and_not_after_a_new_login(bot: RawBot, ada: Member) -> None:
    gateway = await bot.login()
    await gateway.send(3, {"status": "idle", "activities": [WORDS], "afk": False, "since": 0})
    while not (said := (await ada.state())["bot"]["says"]):
        pass
    assert said == "the engine is starting"
    await gateway.send(3, {"status": "busy"})
    assert await gateway.close_code() == 4002
    await bot.login()
    assert (await ada.state())["bot"]["says"] == ""
