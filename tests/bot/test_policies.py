"""What operators, servers and channels allow: how it goes together, what the one rule says, and that it is kept."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bot import commands, words
from bot.database import MIGRATIONS, Database, open_database
from bot.errors import MemberError, OperatorError
from bot.job import Reply
from bot.jobs import Jobs
from bot.policies import operator as operator_module
from bot.policies.kept import MOST_WORDS, Place, Policies
from bot.policies.operator import Operator
from bot.policies.policy import SETTINGS, Policy, resolved
from bot.policies.problem import Asked, Usage, problem
from bot.policies.settings import plain
from bot.policies.wordlists import Texts, WordList
from inference.protocol import (
    Classify,
    Describe,
    Drawn,
    Grid,
    Hires,
    Input,
    Mask,
    Request,
    Style,
    Upscale,
    because,
)
from tests.bot.conftest import finished, queued, ready, reply, request

IMAGE = Input("0" * 64, 64, 64)
KINDS = commands.load().commands_of_kinds


def said(asked: Request, policy: Policy, usage: Usage | None = None) -> str | None:
    """What the rule says, in words."""
    reason = problem(Asked(asked, KINDS[asked.kind]), policy, usage or Usage())
    return None if reason is None else words.why(reason)


EVERYTHING: tuple[Request, ...] = (
    request(count=4, steps=50, width=128, height=128),
    Grid(job=0, model="starter", cells=(request(),) * 16, columns=("",) * 4, rows=("",) * 4),
    Mask(job=0, model="looker", image=IMAGE, text="the boat", edit=request("a whale")),
    Upscale(job=0, model="plain", image=IMAGE, factor=4),
    Describe(job=0, model="looker", image=IMAGE, task="find", text="a boat"),
    Classify(job=0, model="looker", image=IMAGE, labels=("boat", "house"), templates=("{}",)),
)


@pytest.mark.parametrize("asked", EVERYTHING, ids=lambda asked: asked.kind)
def test_where_nothing_is_set_nothing_is_restricted(asked: Request) -> None:
    assert said(asked, Policy(), Usage(1000, 1000, 1000)) is None
    assert Policy().offered(ready()) == ready()


@pytest.mark.parametrize(
    ("asked", "policy", "sentence"),
    [
        (request(), Policy(commands=frozenset({"describe"})), "/imagine is not allowed here"),
        (EVERYTHING[2], Policy(commands=frozenset({"imagine"})), "/edit is not allowed here"),
        (request(), Policy(models=frozenset({"turbo"})), "The model starter is not allowed here: choose one of turbo."),
        (request(), Policy(models=frozenset()), "No model is allowed here"),
        (EVERYTHING[1], Policy(models=frozenset({"turbo"})), "The model starter is not allowed"),
        (EVERYTHING[2], Policy(models=frozenset({"turbo"})), "The model starter is not allowed"),
        (request(), Policy(pixels=4095), "64x64 is larger than is allowed here: choose a size of up to 4095 pixels"),
        (request(hires=Hires(96, 96, 0.5)), Policy(pixels=4096), "96x96 is larger than is allowed here"),
        (request(steps=9), Policy(steps=8), "9 steps are more than are allowed here, 8 is the most"),
        (request(count=2), Policy(count=1), "2 pictures at once are more than are allowed here"),
        (EVERYTHING[1], Policy(count=15), "16 pictures at once are more"),
        (request(), Policy(barred=because("Away with you.")), "Away with you."),
    ],
)
def test_rule_says_what_is_wrong(asked: Request, policy: Policy, sentence: str) -> None:
    assert str(said(asked, policy)).startswith(sentence)


def test_what_is_just_allowed_is_allowed() -> None:
    policy = Policy(
        commands=frozenset({"imagine"}), models=frozenset({"starter"}), pixels=4096, steps=8, count=1, hour=3, day=3
    )
    assert said(request(), policy, Usage(hour=2, day=2)) is None
    assert "3 jobs of yours an hour" in str(said(request(), policy, Usage(hour=3)))
    assert "3 jobs of yours a day" in str(said(request(), policy, Usage(day=3)))
    assert "1 job of yours may wait" in str(said(request(), Policy(waiting=1), Usage(waiting=1)))


@pytest.mark.parametrize(
    "asked",
    [
        request("a scary clown"),
        request("a house", style=Style("x", "X", "{prompt} with clowns, clown")),
        request("{clown|clown}"),
        request("(clo)(wn:1.2)"),
        request("c.l.o.w.n"),
        request("a {clo|clo}wn"),
        request("[a house:a clown:0.5]"),
        Grid(job=0, model="starter", cells=(request(), request("clown")), columns=("", "")),
        Mask(job=0, model="looker", image=IMAGE, text="the clown", edit=request("a whale")),
        Mask(job=0, model="looker", image=IMAGE, text="the boat", edit=request("a clown")),
        Describe(job=0, model="looker", image=IMAGE, task="find", text="clown"),
        Classify(job=0, model="looker", image=IMAGE, labels=("boat", "clown"), templates=("{}",)),
    ],
)
def test_blocked_word_is_found_in_every_text_and_never_said(asked: Request) -> None:
    lists = {"server": WordList({3: "clown"}), "channel": WordList({1: "boat*"})}
    answer = str(said(asked, Policy(words=lists)))
    assert answer == "Word 3 of this server's list is not allowed: say it in other words."


def test_negative_prompt_may_name_what_is_not_wanted() -> None:
    assert said(request("a house", negative="clown"), Policy(words={"server": WordList({3: "clown"})})) is None


@pytest.mark.parametrize(
    ("word", "text", "is_there"),
    [
        ("cunt", "Scunthorpe", False),
        ("ass", "a classic grass", False),
        ("ass", "a$$", True),
        ("hell", "he'll be back", False),
        ("hell", "HELL", True),
        ("god", "good", False),
        ("god", "gooood", True),
        ("naked", "nàkéd", True),
        ("naked", "n a k e d", True),
        ("naked", "ηакеd", True),
        ("bad word", "bad, word", True),
        ("bad word", "badword", False),
        ("cat*", "caterpillar", True),
        ("cat", "caterpillar", False),
        ("88", "1988", False),
        ("88", "no 88", True),
        ("未成年", "未 成 年人", True),
        ("рука", "РУКА", True),
        ("il" * 25, "1" * 4000, False),
    ],
)
def test_words_are_found_as_words(word: str, text: str, is_there: bool) -> None:
    assert (WordList.of([word]).found(Texts.of([text])) is not None) is is_there


def test_channel_goes_before_its_server_and_the_operator_under_both() -> None:
    operator = {"steps": 30, "models": frozenset({"a", "b"}), "model": "a"}
    server = {"steps": 20, "count": 2, "models": frozenset({"b", "c"})}
    channel = {"steps": 40, "model": "b"}
    assert resolved(operator, server, channel, ()) == {
        "steps": 30,
        "count": 2,
        "models": frozenset({"b"}),
        "model": "b",
    }
    assert resolved({}, server, channel, ())["steps"] == 40
    assert resolved(operator, {}, {}, ()) == operator


def test_most_generous_of_a_members_roles_counts_and_none_beyond_the_operators() -> None:
    roles = [{"hour": 10}, {"hour": 3, "day": 7}]
    assert resolved({}, {"hour": 5}, {}, roles) == {"hour": 10, "day": 7}
    assert resolved({}, {"hour": 5}, {"hour": 50}, roles[1:]) == {"hour": 5, "day": 7}
    assert resolved({"hour": 8}, {"hour": 5}, {}, roles)["hour"] == 8


@pytest.mark.parametrize(
    ("operator", "server", "holds"),
    [("block", "allow", "block"), ("spoiler", "allow", "spoiler"), ("allow", "spoiler", "spoiler")],
)
def test_flagged_pictures_are_shown_among_adults_alone_and_nobody_is_laxer_than_the_operator(
    operator: str, server: str, holds: str
) -> None:
    policy = Policy(flagged=str(resolved({"flagged": operator}, {"flagged": server}, {}, ())["flagged"]))
    assert (policy.safety(True), policy.safety(False)) == (holds, "block")
    assert (Policy().safety(True), Policy().safety(False)) == ("block", "block")


def test_what_members_leave_out_is_within_what_is_allowed() -> None:
    offered = Policy(models=frozenset({"turbo"}), pixels=256 * 256, steps=1, count=2).offered(ready())
    assert (offered.default_model, offered.max_count) == ("turbo", 2)
    starter, turbo = offered.models
    assert (turbo.width, turbo.height, starter.steps) == (256, 256, 1)
    assert Policy(model="turbo").offered(ready()).default_model == "turbo"
    assert Policy(model="gone").offered(ready()).default_model == "starter"


def test_style_that_is_set_is_taken_where_the_model_has_it_and_the_member_says_none() -> None:
    starter, turbo = ready().models
    policy = Policy(style="oil")
    assert (policy.styled(None, starter), policy.styled(None, turbo)) == ("oil", None)
    assert (policy.styled("none", starter), policy.styled("other", starter)) == (None, "other")


@pytest.fixture
async def policies(database: Database) -> Policies:
    opened = Policies(database, KINDS)
    await opened.load()
    return opened


SERVER, CHANNEL = Place(5), Place(5, 6)


async def test_all_that_is_set_survives_a_restart(database: Database, policies: Policies) -> None:
    await policies.put(SERVER, "steps", 20)
    await policies.put(CHANNEL, "models", frozenset({"turbo"}))
    await policies.put(Place(5, role_id=9), "hour", 3)
    await policies.block_words(SERVER, ["clown", "  bad   word "])
    await policies.block_words(CHANNEL, ["猫"])
    await policies.block(5, 77, blocked=True)
    again = Policies(database, KINDS)
    await again.load()
    of = replace(reply(member_id=77), role_ids=(9,))
    for one in (policies, again):
        held = one.of(of)
        assert (held.steps, held.models, held.hour) == (20, frozenset({"turbo"}), 3)
        assert held.words["server"].words == {1: "clown", 2: "bad word"}
        assert held.words["channel"].words == {1: "猫"}
        assert held.barred is not None
        assert one.of(replace(of, guild_id=4)) == Policy()
        assert one.of(replace(of, channel_id=8)).models is None
        # A thread stands under the channel around it.
        assert one.of(replace(of, channel_id=8, place_id=6)).models == frozenset({"turbo"})


async def test_what_is_not_understood_any_more_restricts_nothing(database: Database) -> None:
    for name, value in (("unheard", "1"), ("steps", '"many"'), ("models", "7"), ("count", "-1"), ("day", "5")):
        await database.change("INSERT INTO setting VALUES (5, 0, 0, ?, ?)", (name, value))
    opened = Policies(database, KINDS)
    await opened.load()
    assert opened.of(reply()) == Policy(day=5)


async def test_two_moderators_at_once_lose_nothing_of_one_another(policies: Policies, database: Database) -> None:
    await asyncio.gather(
        *(policies.put(SERVER, name, 5) for name in ("steps", "count", "hour")),
        *(policies.put(SERVER, "day", number) for number in range(20)),
        *(policies.block_words(SERVER, [f"word{number}"]) for number in range(20)),
    )
    again = Policies(database, KINDS)
    await again.load()
    for one in (policies, again):
        held = one.of(reply())
        assert (held.steps, held.count, held.hour) == (5, 5, 5)
        assert held.day == policies.of(reply()).day
        assert len(held.words["server"].words) == 20


async def test_words_keep_their_numbers_when_others_go(policies: Policies) -> None:
    await policies.block_words(SERVER, ["one", "two", "three", "one"])
    await policies.allow_words(SERVER, [2, 90])
    await policies.block_words(SERVER, ["four"])
    assert policies.words(SERVER).words == {1: "one", 3: "three", 4: "four"}
    for wrong in (["..."], ["x" * 101], ["*"], [f"w{number}" for number in range(MOST_WORDS)]):
        with pytest.raises(MemberError):
            await policies.block_words(SERVER, wrong)
    assert len(policies.words(SERVER).words) == 3


async def test_what_cannot_be_kept_does_not_hold(policies: Policies, database: Database) -> None:
    await database.change("DROP TABLE setting")
    with pytest.raises(sqlite3.OperationalError):
        await policies.put(SERVER, "steps", 20)
    assert policies.of(reply()) == Policy()


async def asks(policies: Policies, jobs: Jobs, of: Reply) -> str:
    """Ask for a job as `admission` does; what is said, or nothing."""
    reason = await policies.problem(request(), of)
    if reason is not None:
        return words.why(reason)
    await queued(jobs, of=of)
    return ""


async def test_limits_count_what_ran_and_give_back_what_did_not(policies: Policies, jobs: Jobs, tmp_path: Path) -> None:
    await policies.put(SERVER, "hour", 3)
    of = reply()
    assert [await asks(policies, jobs, of) for _ in range(3)] == ["", "", ""]
    assert "3 jobs of yours an hour" in await asks(policies, jobs, of)
    assert await asks(policies, jobs, replace(of, member_id=2)) == ""
    assert await asks(policies, jobs, replace(of, guild_id=4)) == ""
    await jobs.cancel(1)
    assert await asks(policies, jobs, of) == ""
    await jobs.start([2, 3])
    await jobs.fail(2, "internal", because("Broken."))
    assert await asks(policies, jobs, of) == ""
    # What was painted counts, deleted or not; so does what was cancelled in the middle.
    await jobs.finish(finished(tmp_path, 3, b"a house"))
    await jobs.delete(3)
    await jobs.start([6])
    await jobs.cancel(6)
    assert "an hour" in await asks(policies, jobs, of)
    # What never ran is given back by its deletion.
    await jobs.delete(7)
    assert await asks(policies, jobs, of) == ""


async def test_limits_look_an_hour_and_a_day_back(database: Database, jobs: Jobs) -> None:
    now = 1_000_000.0
    jobs._clock = lambda: now
    policies = Policies(database, KINDS, clock=lambda: now)
    await policies.put(SERVER, "hour", 1)
    await policies.put(SERVER, "day", 2)
    assert await asks(policies, jobs, reply()) == ""
    now += 3599
    assert "an hour" in await asks(policies, jobs, reply())
    now += 2
    assert await asks(policies, jobs, reply()) == ""
    now += 7200
    assert "a day" in await asks(policies, jobs, reply())
    now += 86_400
    assert await asks(policies, jobs, reply()) == ""
    assert len(await database.rows("SELECT * FROM spent")) == 1


async def test_limit_that_was_lowered_holds_for_jobs_that_wait_in_their_order(policies: Policies, jobs: Jobs) -> None:
    waiting = [await queued(jobs) for _ in range(3)]
    await policies.put(SERVER, "hour", 2)
    assert [(await policies.problem_of(job)) is None for job in waiting] == [True, True, False]


async def test_operators_own_hold_everywhere(database: Database) -> None:
    operator = Operator({"steps": 7}, WordList.of(["clown"]), frozenset({1}), frozenset({4}))
    policies = Policies(database, KINDS, operator)
    await policies.put(SERVER, "steps", 100)
    for guild_id in (5, None):
        held = policies.of(replace(reply(member_id=2), guild_id=guild_id))
        assert held.steps == 7
        assert "Word 1 of the list of whoever runs this bot" in str(said(request("a clown", steps=7), held))
        assert held.barred is None
    assert "blocked you" in words.why(policies.of(reply(member_id=1)).barred or "")
    assert "has blocked it" in words.why(policies.of(replace(reply(member_id=2), guild_id=4)).barred or "")


async def test_picture_of_a_child_is_not_edited_to_what_is_sexual_however_far_back_it_lies(
    policies: Policies, jobs: Jobs
) -> None:
    child = await queued(jobs, request("a child on a swing"))
    larger = await queued(jobs, Upscale(job=0, model="plain", image=IMAGE, factor=2), parent_id=child.id)
    edit = request("a nude body", image=IMAGE, strength=0.9)
    reason = await policies.problem(edit, reply(), parent_id=larger.id)
    assert "painted nowhere" in words.why(reason or "")
    assert await policies.problem(request("a nude statue"), reply(), parent_id=larger.id) is None
    assert await policies.problem(request("a red hat", image=IMAGE), reply(), parent_id=larger.id) is None
    # And when its turn has come.
    slipped = await queued(jobs, edit, parent_id=larger.id)
    assert await policies.problem_of(slipped) is not None


async def test_words_that_came_out_of_wildcards_are_read_before_the_picture_is_shown(
    policies: Policies, jobs: Jobs
) -> None:
    await policies.block_words(SERVER, ["clown"])
    job = await queued(jobs, request("a __thing__"))
    assert await policies.problem_of(job) is None
    assert await policies.problem_of_drawn(job, [Drawn("a house", "clown")]) is None
    assert await policies.problem_of_drawn(job, [Drawn("a clown", "")]) is not None
    assert await policies.problem_of_drawn(job, [Drawn("a nude child", "")]) is not None


def operators(tmp_path: Path, text: str) -> Operator:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return operator_module.read(file, {"imagine", "describe"})


def test_operators_file_is_read(tmp_path: Path) -> None:
    read = operators(
        tmp_path,
        'commands = ["imagine"]\nmodels = ["starter", "gone"]\nmodel = "starter"\nstyle = "oil"\npixels = "512x768"\n'
        'flagged = "spoiler"\ndays = 9\nlog = 1100000000000000002\nsteps = 30\ncount = 2\n'
        "waiting = 3\nhour = 10\nday = 50\nspent = 50\nspent_month = 500\n"
        "server_spent = 200\nserver_spent_month = 2000\n"
        "trainings = 3\ntraining_pictures = 50\ntraining_steps = 900\n"
        'sharing = "moderators"\nloras = 20\nlora_megabytes = 5000\n'
        'blocked_words = ["clown", "猫"]\n'
        'blocked_members = [1100000000000000101]\nblocked_servers = ["1100000000000002000"]\n',
    )
    assert read.settings.keys() == SETTINGS.keys()
    assert read.settings["pixels"] == 512 * 768
    assert plain(read.settings["models"]) == ["gone", "starter"]
    assert (read.words.words, read.members) == ({1: "clown", 2: "猫"}, {1100000000000000101})
    assert read.servers == {1100000000000002000}
    assert operator_module.strangers(read, ready()) == {"models": ("gone",)}
    assert not operator_module.read(None, ()).settings


@pytest.mark.parametrize(
    "text",
    [
        "steps = ",
        "stepps = 3",
        "steps = 0",
        "steps = true",
        'steps = "3.5"',
        'pixels = "99999x99999"',
        'models = "starter"',
        "models = [1]",
        "style = 3",
        'commands = ["settings"]',
        'commands = ["imagin"]',
        'blocked_words = "clown"',
        'blocked_words = ["..."]',
        "blocked_members = [-1]",
        "blocked_members = [true]",
        'blocked_servers = ["Easel Studio"]',
        "\ufeff\x00",
    ],
)
def test_operators_file_that_is_wrong_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(OperatorError, match="^EASEL_POLICY: .*policy.toml[^\n]*$"):
        operators(tmp_path, text)
    with pytest.raises(OperatorError, match="cannot be read"):
        operator_module.read(tmp_path / "nowhere.toml", ())


def before(number: str) -> list[Path]:
    """The migrations before the one of this number."""
    return sorted(file for file in MIGRATIONS.glob("[0-9]*.sql") if file.name < number)


async def test_database_of_before_is_brought_up_to_date_with_its_jobs(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for file in before("0007"):
        (old / file.name).write_text(file.read_text())
    async with open_database(tmp_path / "x.sqlite3", old) as database:
        await database.change(
            "INSERT INTO job (kind, request, state, member_id, channel_id, token, token_expires_at,"
            " attachment_size_limit, created_at) VALUES ('imagine', ?, 'queued', 1, 6, '', 0, 0, 0)",
            (msgspec.json.encode(request()).decode(),),
        )
    async with open_database(tmp_path / "x.sqlite3") as database:
        policies = Policies(database, KINDS)
        await policies.load()
        row = await database.row("SELECT place_id, role_ids FROM job")
        assert row is not None
        assert tuple(row) == (None, "[]")
