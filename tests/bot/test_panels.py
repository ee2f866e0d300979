"""The panel of /settings: what it shows is within what Discord takes, however much there is, and turns page by page."""

from __future__ import annotations

import sqlite3
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import discord
import pytest
from msgspec import structs

from bot import commands
from bot.access import Access
from bot.commands import settings as acts
from bot.custom_ids import OfWord
from bot.database import Database
from bot.errors import MemberError
from bot.panels import settings as panel
from bot.panels import settings_forms
from bot.panels.scope import Scope
from bot.policies.kept import Place, Policies
from bot.policies.operator import Operator
from inference.protocol import Ready
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form
from tests.bot.conftest import ready
from tests.bot.test_admission import interaction

KINDS = commands.load().commands_of_kinds
NAMES = frozenset({"imagine", "describe"})


def many(count: int) -> Ready:
    """An engine with so many models."""
    model = ready().models[0]
    return ready(
        models=tuple(structs.replace(model, name=f"m{number}", title=f"*M{number}*") for number in range(count))
    )


@pytest.fixture
async def policies(database: Database) -> Policies:
    return Policies(database, KINDS)


def scope(policies: Policies, channel_id: int = 0, told: Ready | None = None) -> Scope:
    return Scope(5, channel_id, policies, told or ready(), NAMES)


def shown(view: discord.ui.LayoutView) -> list[dict[str, Any]]:
    """The components, which Discord would take."""
    components = view.to_components()
    form = Form()
    check_components(form, {"components": components}, set(), version_2=True)
    form.close()
    return components


def text(view: discord.ui.LayoutView) -> str:
    return "\n".join(part["content"] for part in shown(view)[0]["components"] if "content" in part)


def menu(view: discord.ui.LayoutView) -> list[tuple[str, bool]]:
    """What the first menu offers, and whether it is chosen."""
    [first, *_] = [row["components"][0] for row in shown(view)[0]["components"] if row["type"] == 1]
    return [(option["value"], option.get("default", False)) for option in first["options"]]


async def test_all_that_can_be_set_is_to_be_chosen_however_much_that_is(policies: Policies) -> None:
    for channel_id in (0, 2**62):
        whole = scope(policies, channel_id)
        rows = [row["components"] for row in shown(panel.home(whole))[0]["components"] if row["type"] == 1]
        offered = [option["value"] for row in rows for part in row for option in part.get("options", ())]
        assert sorted(offered) == sorted([*whole.settings, *whole.lists])


async def test_everything_at_its_most_is_still_taken_by_discord(policies: Policies, database: Database) -> None:
    await policies.put(Place(5), "models", frozenset(f"m{number}" for number in range(200)))
    await policies.put(Place(5), "style", "s" * 100)
    await policies.block_words(Place(5), [f"||{number}" + "*" * 90 for number in range(500)])
    async with database.transaction() as connection:
        ids = [(2**62 + number,) for number in range(1000)]
        await connection.executemany("INSERT INTO blocked_member VALUES (5, ?)", ids)
        await connection.executemany("INSERT INTO setting VALUES (5, 0, ?, 'day', '100000')", ids[:100])
    await policies.load()
    assert len(policies.blocked(5)) == 1000
    whole = scope(policies, told=many(200))
    shown(panel.home(whole))
    shown(panel.home(scope(policies, 2**62, many(200))))
    for name in ("words", "members", "roles", "models", "model", "commands", "style"):
        for number in (0, 3, 7, 9999):
            shown(panel.page(whole, name, number))
    for form in (
        settings_forms.number_form(whole, "pixels"),
        settings_forms.words_form(whole, block=True),
        settings_forms.role_form(whole, create_autospec(discord.Role, instance=True, id=2**62, **{"name": "r" * 100})),
    ):
        assert len(form.to_dict()["title"]) <= 45


async def test_every_word_is_on_some_page(policies: Policies) -> None:
    words = [f"{number:03}" + "*" * 97 for number in range(60)]
    await policies.block_words(Place(5), words)
    pages = "\n".join(text(panel.page(scope(policies), "words", number)) for number in range(4))
    assert [f"{number}. ||{number - 1:03}" in pages for number in range(1, 61)] == [True] * 60
    assert "…" not in pages


async def test_words_stay_behind_their_spoilers_and_names_are_shown_as_written(policies: Policies) -> None:
    await policies.block_words(Place(5), ["a||b"])
    assert "1. ||a\\|\\|b||" in text(panel.page(scope(policies), "words"))
    await policies.put(Place(5), "models", frozenset({"m1"}))
    assert "**Models**: \\*M1\\*" in text(panel.home(scope(policies, told=many(3))))


async def test_operator_says_what_is_there_to_choose_from(database: Database) -> None:
    policies = Policies(database, KINDS, Operator({"models": frozenset({"m1", "m2"})}))
    whole = scope(policies, told=many(4))
    assert menu(panel.page(whole, "models")) == [("m1", True), ("m2", True)]
    assert "by whoever runs this bot: \\*M1\\*, \\*M2\\*" in text(panel.home(whole))


def press(policies: Policies, told: Ready) -> Any:
    """What a moderator does, in a panel of their own."""
    made = interaction()
    made.user = create_autospec(discord.Member, instance=True, id=1)
    made.guild = create_autospec(discord.Guild, instance=True, id=5)
    made.guild.get_channel_or_thread.side_effect = lambda number: (
        create_autospec(discord.TextChannel, instance=True, id=number) if number == 6 else None
    )
    made.message = create_autospec(discord.Message, instance=True)
    made.message.flags.ephemeral = True
    made.client.admission.policies, made.client.admission.ready = policies, told
    made.client.admission.access = create_autospec(Access, spec_set=True, instance=True)
    made.client.tree.get_commands.return_value = []
    made.response.edit_message = AsyncMock()
    return made


async def test_what_is_chosen_on_one_page_leaves_the_others_as_they_are(policies: Policies) -> None:
    told = many(60)
    everything = {f"m{number}" for number in range(60)}
    moderator = press(policies, told)
    await acts.choose(moderator, OfWord("0:models:0"), ["m3"])
    beyond = {f"m{number}" for number in range(25, 60)}
    assert policies.set_in(Place(5))["models"] == {"m3"} | beyond
    [call] = moderator.response.edit_message.await_args_list
    assert [name for name, chosen in menu(call.kwargs["view"]) if chosen] == ["m3"]
    await acts.choose(moderator, OfWord("0:models:2"), [])
    assert policies.set_in(Place(5))["models"] == {"m3"} | {f"m{number}" for number in range(25, 50)}
    # A channel begins with what its server says.
    await acts.choose(moderator, OfWord("6:models:1"), [])
    assert policies.set_in(Place(5, 6))["models"] == {"m3"}
    # Everything in a server is no restriction; in a channel it is said, for its server may say otherwise.
    for page in range(3):
        chosen = [f"m{number}" for number in range(25 * page, min(25 * page + 25, 60))]
        await acts.choose(moderator, OfWord(f"0:models:{page}"), chosen)
        await acts.choose(moderator, OfWord(f"6:models:{page}"), chosen)
    assert "models" not in policies.set_in(Place(5))
    assert policies.set_in(Place(5, 6))["models"] == everything


async def test_every_part_of_the_panel_asks_who_uses_it(policies: Policies) -> None:
    parts = [*acts.SLICE.panel.values(), *(form.submit for form in acts.SLICE.forms.values())]
    refused = press(policies, ready())
    refused.client.admission.access.require.side_effect = MemberError("Away.")
    for act in parts:
        for word in ("0", "0:models:0"):
            with pytest.raises(MemberError):
                await act(refused, OfWord(word), {} if act in parts[len(acts.SLICE.panel) :] else ["starter"])
            refused.response.edit_message.assert_not_awaited()
            refused.response.send_modal.assert_not_awaited()
    assert not policies.set_in(Place(5))


async def test_what_cannot_be_written_down_is_said(policies: Policies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "put", AsyncMock(side_effect=sqlite3.OperationalError("database is locked")))
    with pytest.raises(MemberError, match="cannot write this down at the moment"):
        await acts.set_number(press(policies, ready()), OfWord("0:steps"), {"steps": "5"})
