"""What the command files add to the bot: nothing twice, and nothing that shows a job to whom it is hidden from."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from bot import commands, sources
from bot.buttons import JobButton
from bot.commands import Form, Slice, Slices
from bot.commands.upscale import upscale
from bot.custom_ids import OfJob, OfMessage, OfWord
from bot.errors import MemberError
from bot.finding import Search
from bot.jobs import Jobs
from inference.protocol import Classify, Input
from tests.bot.conftest import queued
from tests.bot.test_admission import Gate, interaction
from tests.bot.test_cards import Looks

ANY: Any = AsyncMock()


@pytest.mark.parametrize(
    ("slice_", "what"),
    [
        (Slice(commands=[upscale]), "upscale"),
        (Slice(kind="imagine", look=Looks()), "imagine"),
        (Slice(presses={"vary": ANY}), "vary"),
        (Slice(panel={"turn": ANY}), "turn"),
        (Slice(forms={"edit": Form((OfMessage,), ANY)}), "edit"),
    ],
)
def test_nothing_is_claimed_by_two_files(slice_: Slice, what: str) -> None:
    Slices({"one": slice_})
    with pytest.raises(ValueError, match=f"two: .*{what}.* is another file's already"):
        Slices({"one": slice_, "two": slice_})


@pytest.mark.parametrize("half", [Slice(kind="imagine"), Slice(look=Looks())])
def test_kind_has_a_look(half: Slice) -> None:
    with pytest.raises(ValueError, match="one: a kind and its look belong together"):
        Slices({"one": half})


def test_every_file_is_found() -> None:
    files = {file.stem for file in Path(commands.__path__[0]).glob("[a-z]*.py")}
    found = {command.callback.__module__.rpartition(".")[2] for command in commands.load().commands.values()}
    assert found == files - {"compare", "favourites", "log", "ownership", "train_captions", "train_course"}


LOADED = commands.load()
ACTIONS: Mapping[str, Any] = {f"press {action}": press for action, press in LOADED.presses.items()} | {
    f"form {action}": form.submit for action, form in LOADED.forms.items() if OfJob in form.about
}


@pytest.mark.parametrize("action", ACTIONS)
async def test_forged_button_or_form_of_a_job_that_is_hidden_does_nothing(
    action: str, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(jobs, tmp_path)
    monkeypatch.setattr(sources, "may_see", AsyncMock(return_value=False))
    job = await queued(jobs)
    for number in (job.id, job.id + 1, 2**70):
        forged = interaction()
        forged.client.admission = gate.admission
        fields = ({"prompt": "a boat", "strength": "", "labels": "a, b"},) * action.startswith("form")
        forged.permissions.manage_messages = False
        with pytest.raises(MemberError, match="is not to be seen here"):
            await ACTIONS[action](forged, OfJob(number), *fields)
        forged.response.send_modal.assert_not_awaited()
    assert [(row[0], row[1]) for row in await gate.rows()] == [(job.id, "queued")]
    await gate.background.close()


@pytest.mark.parametrize(
    "action", ["press vary", "press reroll", "press regrid", "press grow", "press paint", "press compare", "form edit"]
)
async def test_forged_button_or_form_of_a_job_of_another_kind_is_refused(
    action: str, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(jobs, tmp_path)
    monkeypatch.setattr(sources, "may_see", AsyncMock(return_value=True))
    job = await queued(
        jobs, Classify(job=0, model="plain", image=Input("0" * 64, 64, 64), labels=("a", "b"), templates=("{}",))
    )
    forged = interaction()
    forged.client.admission = gate.admission
    fields = ({"prompt": "a boat", "strength": ""},) * action.startswith("form")
    with pytest.raises(MemberError, match=f"does not go with job {job.id}"):
        await ACTIONS[action](forged, OfJob(job.id), *fields)
    await gate.background.close()


PANELS: Mapping[str, Any] = {f"use {action}": use for action, use in LOADED.panels.items()} | {
    f"form {action}": form.submit for action, form in LOADED.forms.items() if action == "search"
}


@pytest.mark.parametrize("action", PANELS)
async def test_panel_does_nothing_for_whom_its_command_is_forbidden(action: str, jobs: Jobs, tmp_path: Path) -> None:
    gate = Gate(jobs, tmp_path)
    gate.access.require.side_effect = MemberError("You may not.")
    job = await queued(jobs)
    search = await jobs.finding.keep(1, Search())
    forged = interaction()
    forged.client.admission = gate.admission
    for word in (f"{search}:", str(search), f"off:{search}", f"{job.id}:0"):
        # What is in no panel's words is refused as that.
        with pytest.raises(MemberError, match="You may not|This is not to be chosen"):
            await PANELS[action](forged, OfWord(word), {"words": "x"} if action.startswith("form") else [str(job.id)])
    forged.edit_original_response.assert_not_awaited()
    forged.response.send_modal.assert_not_awaited()
    assert [(row[0], row[1]) for row in await gate.rows()] == [(job.id, "queued")]
    assert await jobs.finding.wants_suggestions(1)
    await gate.background.close()


def test_every_button_and_form_that_is_shown_has_its_action() -> None:
    """What stands under messages: each word that a JobButton is made with, in all of the bot's source."""
    made = {
        node.args[0].value
        for file in Path(commands.__path__[0]).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == JobButton.__name__
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(made) > 8
    assert made <= set(LOADED.presses)
