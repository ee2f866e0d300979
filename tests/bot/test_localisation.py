"""Everybody is spoken to in the language of their own client, and of every job in the language of who asked for it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import discord
import msgspec
import pytest
from discord import Locale

from bot import commands
from bot.admission import Admission
from bot.app import Easel
from bot.background import Background
from bot.commands import Slice, Slices
from bot.custom_ids import OfJob
from bot.database import MIGRATIONS, open_database
from bot.errors import MemberError, OperatorError
from bot.jobs import Jobs
from bot.localisation import Languages, Localisation
from bot.posting import reply_of
from bot.words import catalogues, say, speaking, spoken
from bot.words.catalogues import ENGLISH, PSEUDO
from tests.bot.conftest import queued, request, stored
from tests.bot.test_admission import interaction

CHINESE = "zh-CN"


@pytest.mark.parametrize(
    ("default", "locale", "language"),
    [
        (ENGLISH, Locale.american_english, ENGLISH),
        (ENGLISH, Locale.british_english, ENGLISH),
        (ENGLISH, Locale.chinese, CHINESE),
        # Written otherwise, and still nearer than English.
        (ENGLISH, Locale.taiwan_chinese, CHINESE),
        (ENGLISH, Locale.polish, ENGLISH),
        (CHINESE, Locale.polish, CHINESE),
        # Who has an English client reads English.
        (CHINESE, Locale.american_english, ENGLISH),
        # The language that nobody speaks takes the place of English, and no other.
        (PSEUDO, Locale.american_english, PSEUDO),
        (PSEUDO, Locale.polish, PSEUDO),
        (PSEUDO, Locale.chinese, CHINESE),
    ],
)
async def test_client_chooses_the_language_and_else_the_operator(default: str, locale: Locale, language: str) -> None:
    asked = interaction()
    asked.locale = locale
    assert await Languages(default).of(asked) == language


async def test_what_a_member_chose_goes_before_their_client() -> None:
    chosen = {1: CHINESE, 2: "fr"}

    async def of(member_id: int) -> str | None:
        return chosen.get(member_id)

    languages = Languages(ENGLISH, of)
    assert await languages.of(interaction(1)) == CHINESE
    # What they chose may be gone with its catalogue.
    assert await languages.of(interaction(2)) == ENGLISH
    assert await languages.of(interaction(3)) == ENGLISH


def test_language_that_is_gone_is_spoken_as_the_operators() -> None:
    assert Languages(CHINESE).nearest(None) == CHINESE
    assert Languages(ENGLISH).nearest("pl") == ENGLISH
    assert Languages(ENGLISH).nearest(PSEUDO) == ENGLISH


def client(jobs: Jobs, **presses: Any) -> Easel:
    easel = Easel(jobs, Background())
    easel.add(Slices({"x": Slice(presses=presses)}), create_autospec(Admission))
    return easel


async def test_presses_and_their_errors_are_answered_in_the_pressers_language(jobs: Jobs) -> None:
    async def refuse(_: discord.Interaction, __: OfJob) -> None:
        raise MemberError("This job has ended already: there is nothing left to cancel.")

    easel = client(jobs, cancel=refuse)
    heard = {}
    for locale in (Locale.american_english, Locale.chinese):
        pressed = interaction()
        pressed.locale = locale
        # As discord.py does: each in a task of its own.
        await asyncio.create_task(easel.press(pressed, "cancel", OfJob(1)))
        heard[locale] = pressed.response.send_message.await_args.args[0]
    assert heard[Locale.american_english].startswith("This job has ended")
    with speaking(CHINESE):
        assert heard[Locale.chinese] == say("This job has ended already: there is nothing left to cancel.")
    assert heard[Locale.chinese] != heard[Locale.american_english]
    assert spoken() == ENGLISH


@pytest.mark.parametrize("kind", [discord.InteractionType.application_command, discord.InteractionType.autocomplete])
async def test_commands_completions_and_their_errors_are_answered_in_their_members_language(
    jobs: Jobs, kind: discord.InteractionType
) -> None:
    heard: list[str] = []

    @discord.app_commands.command(description="x")
    async def command(asked: discord.Interaction, option: str) -> None:
        heard.append(spoken())
        raise MemberError("This job failed.")

    @command.autocomplete("option")
    async def complete(asked: discord.Interaction, typed: str) -> list[discord.app_commands.Choice[str]]:
        heard.append(spoken())
        return []

    easel = client(jobs)
    easel.tree.add_command(command)
    asked = interaction()
    asked.locale, asked.type, asked.command_failed = Locale.chinese, kind, False
    option = {"name": "option", "type": 3, "value": "a", "focused": True}
    asked.data = {"name": "command", "type": 1, "options": [option]}
    asked.response.autocomplete = AsyncMock()
    easel.loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    easel.tree._from_interaction(asked)
    await asyncio.gather(*(asyncio.all_tasks() - before))
    assert heard == [CHINESE]
    if kind is discord.InteractionType.application_command:
        with speaking(CHINESE):
            asked.response.send_message.assert_awaited_once_with(say("This job failed."), ephemeral=True)


async def test_job_keeps_the_language_of_who_asked_and_old_ones_have_none(jobs: Jobs, tmp_path: Path) -> None:
    with speaking(CHINESE):
        of = reply_of(interaction())
    job = await queued(jobs, of=of)
    assert (await stored(jobs, job.id)).reply.language == CHINESE
    older = tmp_path / "older"
    older.mkdir()
    for file in sorted(MIGRATIONS.glob("*.sql")):
        if file.stem < "0008":
            (older / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    async with open_database(tmp_path / "old.sqlite3", older):
        pass
    with sqlite3.connect(tmp_path / "old.sqlite3") as connection:
        connection.execute(
            "INSERT INTO job (kind, request, state, member_id, channel_id, token, token_expires_at,"
            " attachment_size_limit, created_at) VALUES ('imagine', ?, 'queued', 1, 6, '', 0, 0, 0)",
            [msgspec.json.encode(request()).decode()],
        )
    connection.close()
    async with open_database(tmp_path / "old.sqlite3") as database:
        [old] = await Jobs(database, jobs.pictures).in_state("queued")
    assert old.reply.language is None


async def test_menus_are_named_in_every_language_and_what_is_typed_in_one(jobs: Jobs) -> None:
    localisation = Localisation(Languages())
    found = commands.load().commands.values()
    tree = Easel(jobs, Background()).tree
    for command in found:
        payload: dict[str, Any] = await command.get_translated_payload(tree, localisation)
        if isinstance(command, discord.app_commands.ContextMenu):
            assert payload["name_localizations"][CHINESE] != command.name
            assert payload["name_localizations"]["zh-TW"] == payload["name_localizations"][CHINESE]
            assert set(payload["name_localizations"]) == {CHINESE, "zh-TW"}
        else:
            assert not payload.get("name_localizations")
            assert CHINESE in payload["description_localizations"]
            for option in payload["options"]:
                assert not option.get("name_localizations")
                assert CHINESE in option["description_localizations"], option["name"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("pl", b"no catalogue\n", "bot/words/pl.po cannot be read: .*misformatted"),
        ("pl", b"\xff\xfe\x00 not text", "bot/words/pl.po cannot be read"),
        ("pl", b'msgid ""\nmsgstr ""\n"Plural-Forms: nplurals=2; plural=__import__(os);\\n"\n', "bot/words/pl.po"),
    ],
)
def test_broken_catalogue_is_named_to_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, problem: str
) -> None:
    folder = tmp_path / "bot" / "words"
    folder.mkdir(parents=True)
    (folder / f"{name}.po").write_bytes(content)
    monkeypatch.setattr(catalogues, "FOLDER", folder)
    catalogues.catalogue.cache_clear()
    with pytest.raises(OperatorError, match=problem):
        Languages()
    catalogues.catalogue.cache_clear()
