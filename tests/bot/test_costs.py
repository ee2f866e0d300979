"""What jobs of other servers cost: what is reserved, given back, kept, and too much."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from bot import costs
from bot.costs import Price
from bot.database import Database
from bot.job import Job, Reply
from bot.jobs import Jobs
from bot.policies.kept import Place, Policies
from bot.policies.policy import SETTINGS
from bot.till import Till
from inference.protocol import Ready, Remote, because
from tests.bot.conftest import ready, reply, request
from tests.bot.test_policies import KINDS


def far(**changes: object) -> Ready:
    """An engine with a model of another server."""
    remote = Remote(
        host="far", seeded=False, edits=True, currency="USD", price=40_000, prices={"96x64": 60_000}, most=4
    )
    [own, *others] = ready().models
    return ready(models=(own, replace(others[0], name="far", remote=replace(remote, **changes))), elsewhere=("far",))


def test_price_is_that_of_size_and_count() -> None:
    assert costs.price_of(request(), far()).is_free
    assert costs.price_of(request(model="far", count=2), far()) == Price("USD", 80_000)
    assert costs.price_of(request(model="far", width=96), far()) == Price("USD", 60_000)
    assert costs.price_of(request(model="far", count=2), far(), most=True) == Price("USD", 120_000)
    assert costs.price_of(request(model="far"), far(currency="")).is_free


async def spend(jobs: Jobs, policies: Policies, member_id: int = 1, millionths: int = 300_000) -> Job | str:
    """A job that costs so much, or the sentence's name by which it is refused."""
    price, of = Price("USD", millionths), there(member_id)
    if (reason := await policies.problem(request(model="far"), of, cost=price)) is not None:
        return reason.name
    arrived = await jobs.arrive(request(model="far"), of, cost=price)
    job = await jobs.acknowledge(arrived.id, 100)
    assert job is not None
    return job


def there(member_id: int) -> Reply:
    return reply(member_id)


@pytest.mark.parametrize(
    ("name", "fails", "returned"),
    [
        ("remote_unsafe", True, True),
        ("remote_busy", True, True),
        ("remote_late", True, False),
        ("remote_twice", True, False),
        ("flagged", True, False),
        ("disk_full", True, False),
        ("", False, False),
    ],
)
async def test_what_surely_was_not_paid_is_given_back_and_all_else_counts(
    database: Database, jobs: Jobs, name: str, fails: bool, returned: bool
) -> None:
    policies = Policies(database, KINDS)
    await policies.put(Place(there(1).guild_id or 0), "spent", 50)
    job = await spend(jobs, policies)
    assert isinstance(job, Job)
    assert await policies.problem_of(job) is None, "its own price is not counted twice"
    await jobs.start([job.id])
    if fails:
        await jobs.fail(job.id, "internal", because(name, model="Far"))
    await jobs.delete(job.id)
    again = await spend(jobs, policies)
    assert isinstance(again, Job) is returned
    if not returned:
        assert again == costs.TOO_MUCH["spent"]


async def test_a_day_a_month_a_member_and_a_server_are_counted_apart(database: Database, jobs: Jobs) -> None:
    now = 1_000_000_000.0
    jobs._clock = lambda: now
    policies = Policies(database, KINDS, clock=lambda: now)
    here = Place(there(1).guild_id or 0)
    for name, most in (("spent", 30), ("spent_month", 60), ("server_spent", 60), ("server_spent_month", 90)):
        await policies.put(here, name, most)
    assert isinstance(await spend(jobs, policies), Job)
    assert await spend(jobs, policies) == costs.TOO_MUCH["spent"]
    assert isinstance(await spend(jobs, policies, 2), Job)
    assert await spend(jobs, policies, 3) == costs.TOO_MUCH["server_spent"]
    now += 86_401
    assert isinstance(await spend(jobs, policies), Job)
    now += 86_401
    assert await spend(jobs, policies) == costs.TOO_MUCH["spent_month"]
    assert await spend(jobs, policies, 3) == costs.TOO_MUCH["server_spent_month"]
    now += 31 * 86_400
    assert isinstance(await spend(jobs, policies), Job)


async def test_an_upload_of_another_size_costs_what_it_comes_to(database: Database, jobs: Jobs) -> None:
    arrived = await jobs.arrive(request(model="far"), there(1), reading=True, cost=Price("USD", 60_000))
    await jobs.settle(arrived.id, request(model="far"), [], Price("USD", 40_000))
    [row] = await database.rows("SELECT millionths FROM cost")
    assert row["millionths"] == 40_000


def test_limits_of_money_are_whole_cents() -> None:
    assert SETTINGS["spent"].read("250") == 250
    with pytest.raises(ValueError, match="None"):
        SETTINGS["spent"].read("2.5")


async def test_many_members_at_once_spend_no_more_than_a_server_may(database: Database, jobs: Jobs) -> None:
    policies = Policies(database, KINDS)
    await policies.put(Place(there(1).guild_id or 0), "server_spent", 12)
    till = Till(jobs, policies)
    asked = (till.admit(request(model="far"), there(member), None, far(), reading=False) for member in range(1, 9))
    admitted = [one for one in await asyncio.gather(*asked) if isinstance(one, Job)]
    assert len(admitted) == 3
    [row] = await database.rows("SELECT sum(millionths) AS whole FROM cost")
    assert row["whole"] == 120_000


async def test_what_was_spent_is_told_by_member_server_and_currency(database: Database, jobs: Jobs) -> None:
    now = 1_000_000_000.0
    jobs._clock = lambda: now
    policies = Policies(database, KINDS, clock=lambda: now)
    job = await spend(jobs, policies, 1, 300_000)
    assert isinstance(job, Job)
    await jobs.start([job.id])
    now += 2 * costs.DAY_S
    await spend(jobs, policies, 1, 40_000)
    await spend(jobs, policies, 2, 12_500)
    await jobs.arrive(request(model="far"), there(1), cost=Price("EUR", 10_000))
    await jobs.delete(job.id)
    euros = Price("EUR", 10_000)
    told = await costs.of_member(database, 1, 5, now)
    assert told == [(euros, euros), (Price("USD", 40_000), Price("USD", 340_000))]
    assert await costs.of_member(database, 1, None, now) == []
    assert await costs.of_server(database, 5, now - costs.DAY_S) == [euros, Price("USD", 52_500)]


def test_amounts_are_said_in_hundredths_unless_they_have_smaller_parts() -> None:
    assert Price("USD", 300_000).said == "0.30 USD"
    assert Price("USD", 12_500).said == "0.0125 USD"
