"""What Discord offers while an option is typed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
from msgspec.structs import replace

from bot import completions
from bot.database import Database
from bot.jobs import Jobs
from bot.policies.kept import Policies
from bot.policies.operator import Operator
from bot.policies.policy import Set
from bot.requests import grids
from inference.protocol import Grid, Ready
from tests.bot.conftest import add_on, finished, queued, ready, reply, request
from tests.bot.test_admission import interaction

INK = add_on("ink", "Ink", ("starter",), weight=0.8, trigger="ink drawing")
NEON = add_on("neon", "Neon lights", ("starter", "turbo"), weight=1.0)
XL = add_on("xl", "For XL", ("turbo",), weight=1.0)
ABLE = ready(loras=(INK, NEON, XL), controls=(NEON, XL), label_sets={"things": ("boat", "x" * 200)})


def typing(ready: Ready = ABLE, jobs: Jobs | None = None, operator: Set | None = None, **options: object) -> Any:
    """An interaction of a member who is typing a command, with these options so far; `operator` is what is set."""
    made = interaction()
    policies = Policies(create_autospec(Database, instance=True), {}, Operator(operator or {}))
    made.client.admission = SimpleNamespace(ready=ready, jobs=jobs, policies=policies, command_of=lambda of: of.kind)
    made.namespace = SimpleNamespace(**options)
    made.guild = None
    made.guild_id = 5
    return made


async def test_choices_go_on_after_the_last_comma() -> None:
    offered = await completions.loras(typing(), "")
    assert [(choice.name, choice.value) for choice in offered] == [
        ("Ink · say “ink drawing”", "ink:0.8"),
        ("Neon lights", "neon:1"),
    ]
    [more] = await completions.loras(typing(), "ink:1.2, ne")
    assert (more.name, more.value) == ("ink:1.2, Neon lights", "ink:1.2, neon:1")
    assert await completions.loras(typing(), "ink:1, in") == []


async def test_what_goes_with_the_model_that_was_chosen_is_offered() -> None:
    assert [choice.value for choice in await completions.controls(typing(), "")] == ["neon"]
    assert [choice.value for choice in await completions.controls(typing(model="turbo"), "")] == ["neon", "xl"]
    assert [choice.value for choice in await completions.styles(typing(), "OIL")] == ["oil"]
    assert await completions.styles(typing(model="turbo"), "") == []
    assert [choice.value for choice in await completions.samplers(typing(model="turbo"), "eu")] == ["Euler a"]
    # What is no model counts as none yet.
    assert [choice.value for choice in await completions.samplers(typing(model="tur"), "eu")] == ["Euler a"]


async def test_what_is_not_allowed_is_not_offered() -> None:
    allowed = typing(operator={"models": frozenset({"turbo"})})
    assert [choice.value for choice in await completions.models(allowed, "")] == ["turbo"]
    assert [choice.value for choice in await completions.editors(allowed, "")] == ["turbo"]
    # Who names no model has the one that is allowed.
    assert [choice.value for choice in await completions.samplers(allowed, "")] == ["Euler a"]


async def test_no_style_is_offered_by_name_where_one_is_set() -> None:
    oil = typing(operator={"style": "oil"})
    assert [choice.value for choice in await completions.styles(oil, "")] == ["none", "oil"]
    assert [choice.value for choice in await completions.styles(oil, "no")] == ["none"]
    assert [choice.value for choice in await completions.styles(typing(), "")] == ["oil"]


async def test_who_fills_is_offered_first_where_parts_are_painted_then_who_is_told_what_to_do() -> None:
    starter, turbo = ABLE.models
    able = replace(ABLE, models=(starter, replace(turbo, fills=True)))
    assert [choice.value for choice in await completions.models(typing(able), "")] == ["starter"]
    assert [choice.value for choice in await completions.editors(typing(able), "")] == ["turbo", "starter"]
    told = replace(ABLE, models=(starter, replace(turbo, references=2)))
    offered = await completions.editors(typing(told), "")
    assert [(choice.name, choice.value) for choice in offered] == [
        ("edits by instruction · Turbo (turbo)", "turbo"),
        ("Starter (starter)", "starter"),
    ]
    assert [choice.value for choice in await completions.editors(typing(told), "TUR")] == ["turbo"]


async def test_an_example_is_offered_for_every_lora_that_goes_with_the_model() -> None:
    offered = [choice.value for choice in await completions.axes(typing(), "Lora")]
    assert offered == ["lora ink:0, ink:0.4, ink:0.8", "lora neon:0, neon:0.5, neon:1"]
    assert [choice.value for choice in await completions.axes(typing(ready()), "")] == list(grids.EXAMPLES)


async def test_names_are_cut_to_what_discord_takes() -> None:
    [labels] = await completions.label_sets(typing(), "thing")
    assert (len(labels.name), labels.value) == (completions.CHOICE_CHARS, "things")


@pytest.mark.parametrize("typed", ["", "RED", 2])
async def test_own_jobs_are_offered_by_what_can_be_done_with_them(jobs: Jobs, tmp_path: Path, typed: str | int) -> None:
    waiting = await queued(jobs)
    done = await queued(jobs, request("two red houses"))
    await queued(jobs, of=reply(member_id=2))
    await jobs.start([done.id])
    await jobs.finish(finished(tmp_path, done.id, b"made"))
    cell = request()
    table = await queued(jobs, Grid(job=0, model="starter", cells=(cell, cell), columns=("a", "b"), rows=("",)))
    with_pictures = await completions.jobs_with_pictures(typing(jobs=jobs), typed)
    assert [(choice.name, choice.value) for choice in with_pictures] == [("#2 two red houses", done.id)]
    that_paint = await completions.jobs_that_paint(typing(jobs=jobs), "")
    assert [choice.value for choice in that_paint] == [table.id, done.id, waiting.id]
    assert that_paint[0].name == "#4 /grid"
