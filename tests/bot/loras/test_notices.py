"""What moderators and owners are told of LoRAs, whatever Discord says to that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import discord
import pytest

from bot import notices as module
from bot.localisation import Languages
from bot.loras.lora import MemberLora
from bot.notices import Notices
from bot.panels.loras import PREVIEW
from bot.policies.kept import Place
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form
from tests.bot.loras.test_kept import GRACE, HERE, THERE, House
from tests.bot.loras.test_kept import house as house
from tests.bot.test_log_channel import CHANNEL, Place_, refusal


class Channel(Place_):
    """The same with files, which discord.py closes when it has sent them."""

    async def send(self, text: str | None = None, *, files: Any = (), **more: Any) -> Any:
        for file in files:
            file.close()
        return await super().send(text, **more)

    def get_partial_message(self, number: int) -> Any:
        message = super().get_partial_message(number)

        async def edit(*, attachments: Any = (), **more: Any) -> None:
            for file in attachments:
                file.close()
            await message.edit(**more)

        return SimpleNamespace(edit=edit)

    def _show(self, number: int, view: discord.ui.LayoutView) -> None:
        form = Form()
        check_components(form, {"components": view.to_components()}, {PREVIEW}, version_2=True)
        form.close()
        self.messages[number] = view


class Told:
    """A bot of two servers, one of which has a channel, and what it says there and to members."""

    def __init__(self, house: House) -> None:
        self.house, self.channel = house, Channel()
        self.messages: list[str] = []
        self.refuse: Exception | None = None
        self.gone: list[int] = []
        guild = SimpleNamespace(
            id=HERE,
            name="Here",
            preferred_locale=discord.Locale.american_english,
            get_channel_or_thread=lambda number: self.channel if number == CHANNEL else None,
        )
        client = Mock(spec_set=["get_guild", "get_partial_messageable", "fetch_user"])
        client.get_guild = lambda number: guild if number == HERE else None
        client.get_partial_messageable = lambda number, guild_id: self.channel
        client.fetch_user = AsyncMock(return_value=SimpleNamespace(send=self._send))
        admission: Any = SimpleNamespace(jobs=house.jobs, policies=house.policies)
        posting: Any = SimpleNamespace(calm=AsyncMock(), take_back=self._take_back)
        self.notices = Notices(client, house.database, admission, posting, Languages())

    async def shared(self) -> MemberLora:
        """Somebody wants to share a LoRA."""
        lora = await self.house.sharing.share(await self.house.landed(), "server", HERE)
        assert lora is not None
        return lora

    async def _send(self, text: str, **_: object) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.messages.append(text)

    async def _take_back(self, guild_id: int, channel_id: int, message_id: int, member_id: None) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.gone.append(message_id)


@pytest.fixture
def told(house: House, monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(module, "CLOSED_FOR_S", 0)
    return Told(house)


def buttons(told: Told) -> int:
    """How many buttons the question has."""
    return told.channel.text().count("easel:new:loradecide:")


async def test_moderators_are_asked_once_and_the_question_says_what_came_of_it(told: Told, house: House) -> None:
    lora = await told.shared()
    await told.notices.tell()
    assert told.channel.sent == [], "there is no log channel: /loras shows it"
    await house.policies.put(Place(HERE), "log", CHANNEL)
    for _ in range(3):
        await told.notices.tell()
    assert len(told.channel.sent) == 1
    assert buttons(told) == 2
    await house.loras.decide(lora.id, "usable", GRACE)
    await told.notices.tell()
    await told.notices.tell()
    assert buttons(told) == 0
    assert told.messages == ["ink (Here): shared with this server"]
    # Taken back by its owner and wanted again: the same message asks.
    await house.sharing.share(house.loras.all()[0], "own", HERE)
    await house.sharing.share(house.loras.all()[0], "server", HERE)
    await told.notices.tell()
    assert buttons(told) == 2
    assert len(told.channel.sent) == 1
    # Somebody has deleted it: then it is asked in another.
    told.channel.messages.clear()
    await house.loras.decide(lora.id, "refused", GRACE)
    await told.notices.tell()
    assert len(told.channel.sent) == 1
    await house.sharing.share(house.loras.all()[0], "server", HERE)
    await told.notices.tell()
    await told.notices.tell()
    assert len(told.channel.sent) == 2
    assert buttons(told) == 2


async def test_a_question_goes_with_its_lora_and_with_the_wish_to_share_it_here(told: Told, house: House) -> None:
    await house.policies.put(Place(HERE), "log", CHANNEL)
    lora = await told.shared()
    await told.notices.tell()
    await house.sharing.share(lora, "server", THERE)
    await told.notices.tell()
    assert told.gone == told.channel.sent
    await told.notices.tell()
    assert len(told.gone) == 1
    await house.sharing.share(house.loras.all()[0], "server", HERE)
    await told.notices.tell()
    await house.loras.delete(lora.id)
    told.refuse = refusal(503)
    await told.notices.tell()
    assert len(told.gone) == 1
    told.refuse = None
    await told.notices.tell()
    assert told.gone == told.channel.sent
    assert await house.database.rows("SELECT 1 FROM lora_question") == []


async def test_an_owner_who_cannot_be_told_now_is_told_later_and_who_never_can_is_let_be(
    told: Told, house: House
) -> None:
    lora = await told.shared()
    await house.loras.decide(lora.id, "refused", GRACE)
    told.refuse = refusal(503)
    await told.notices.tell()
    assert not house.loras.all()[0].told
    told.refuse = None
    await told.notices.tell()
    assert told.messages == ["ink (Here): the moderators do not let it be shared"]
    await house.loras.decide(lora.id, "usable", GRACE)
    told.refuse = refusal(403, discord.Forbidden)
    await told.notices.tell()
    assert house.loras.all()[0].told
    told.refuse = None
    await told.notices.tell()
    assert len(told.messages) == 1
