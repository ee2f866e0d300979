"""What Discord offers while an option is typed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import pytest
from msgspec.structs import replace

from bot import completions
from bot.audit import Audit
from bot.database import Database
from bot.finding import Finding
from bot.jobs import Jobs
from bot.loras.kept import Loras
from bot.members import Members
from bot.policies.kept import Policies
from bot.policies.operator import Operator
from bot.policies.policy import Set
from bot.requests import grids
from inference.protocol import Grid, Ready, Style
from tests.bot.conftest import add_on, finished, queued, ready, reply, request
from tests.bot.test_admission import interaction
from tests.bot.test_finding import done

INK = add_on("ink", "Ink", ("starter",), weight=0.8, trigger="ink drawing")
NEON = add_on("neon", "Neon lights", ("starter", "turbo"), weight=1.0)
XL = add_on("xl", "For XL", ("turbo",), weight=1.0)
CANNY = add_on("canny", "Canny", ("starter",), beside=("canny", "depth"))
DEPTH = add_on("depth", "Depth", ("starter",), beside=("canny", "depth"))
ABLE = ready(loras=(INK, NEON, XL), controls=(NEON, XL), label_sets={"things": ("boat", "x" * 200)})


def typing(ready: Ready = ABLE, jobs: Jobs | None = None, operator: Set | None = None, **options: object) -> Any:
    """An interaction of a member who is typing a command, with these options so far; `operator` is what is set."""
    made = interaction()
    policies = Policies(create_autospec(Database, instance=True), {}, Operator(operator or {}))
    if jobs is None:
        jobs = create_autospec(Jobs, instance=True)
        jobs.finding = create_autospec(Finding, spec_set=True, instance=True)
        jobs.finding.wants_suggestions.return_value = False
        jobs.members = Members(create_autospec(Database, instance=True))
        jobs.loras = Loras(create_autospec(Database, instance=True), Path(), create_autospec(Audit, instance=True))
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


async def test_what_can_be_followed_beside_the_first_is_offered_after_the_comma() -> None:
    told = typing(ready(controls=(CANNY, DEPTH, NEON)))
    assert [choice.value for choice in await completions.controls(told, "")] == ["canny", "depth", "neon"]
    offered = await completions.controls(told, "canny:0.8, ")
    assert [(choice.name, choice.value) for choice in offered] == [
        ("canny:0.8, Canny (canny)", "canny:0.8, canny"),
        ("canny:0.8, Depth (depth)", "canny:0.8, depth"),
    ]
    assert [choice.value for choice in await completions.controls(told, "canny, de")] == ["canny, depth"]
    assert await completions.controls(told, "neon, ") == []
    assert await completions.controls(told, "canny, depth, ") == []
    assert await completions.controls(told, f"{'x' * 120}, ") == []


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
    examples = [*grids.EXAMPLES, "model starter, turbo"]
    assert [choice.value for choice in await completions.axes(typing(ready()), "")] == examples


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
    assert that_paint[0].name == "#4 a red house"


async def test_jobs_of_any_age_are_offered_by_their_words_and_one_by_its_number_first(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completions, "LOOKED_AT", 3)
    await queued(jobs, request("一座红色的房子"))
    for _ in range(20):
        await queued(jobs, request("12 boats"))
    of_another = await queued(jobs, of=reply(member_id=2))
    assert [choice.value for choice in await completions.jobs(typing(jobs=jobs), "红色")] == [1]
    first, *_ = await completions.jobs(typing(jobs=jobs), "#12")
    assert first.value == 12
    assert [choice.value for choice in await completions.jobs(typing(jobs=jobs), "")] == [21, 20, 19]
    for typed in (str(of_another.id), "9" * 4400, "²"):
        assert of_another.id not in [choice.value for choice in await completions.jobs(typing(jobs=jobs), typed)]


async def test_what_a_member_uses_is_first_of_what_fits_alike_and_says_so(jobs: Jobs, tmp_path: Path) -> None:
    starter, turbo = ABLE.models
    many = tuple(Style(f"s{number}", f"Style {number}", "{prompt}") for number in range(40))
    able = replace(ABLE, models=(replace(starter, styles=many), turbo))
    for _ in range(3):
        await done(jobs, tmp_path, request(style=many[33], model="turbo"))
    offered = await completions.styles(typing(able, jobs), "")
    assert len(offered) == completions.CHOICES
    assert (offered[0].name, offered[0].value) == ("Style 33 (s33) · 3 of your last 3 paintings", "s33")
    assert [choice.value for choice in await completions.styles(typing(able, jobs), "s3")][:2] == ["s3", "s33"]
    assert [choice.value for choice in await completions.models(typing(able, jobs), "")] == ["turbo", "starter"]
    await jobs.finding.want_suggestions(1, wanted=False)
    assert [choice.value for choice in await completions.models(typing(able, jobs), "")] == ["starter", "turbo"]
