"""What jobs cost that other servers paint: their prices, the SQL of what was spent, and what of it was too much."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import aiosqlite

from bot.database import Database
from bot.job import Job, Reply
from bot.words import N_
from inference.protocol import MILLIONTHS, Imagine, Ready, Reason, Request, because

DAY_S, MONTH_S = 86400.0, 30 * 86400.0

CENT = MILLIONTHS // 100
"""In millionths. Limits are said in hundredths of a currency."""

TOO_MUCH = {
    "spent": N_(
        "That would be more than the {most} {currency} that you may spend here in a day: try again tomorrow, or choose"
        " another model."
    ),
    "spent_month": N_(
        "That would be more than the {most} {currency} that you may spend here in 30 days: choose another model."
    ),
    "server_spent": N_(
        "That would be more than the {most} {currency} that may be spent here in a day: try again tomorrow, or choose"
        " another model."
    ),
    "server_spent_month": N_(
        "That would be more than the {most} {currency} that may be spent here in 30 days: choose another model."
    ),
}
"""By the names of the settings."""

SPENT = (
    "SELECT coalesce(sum(millionths) FILTER (WHERE member_id = :member AND at > :day), 0) AS spent,"
    " coalesce(sum(millionths) FILTER (WHERE member_id = :member), 0) AS spent_month,"
    " coalesce(sum(millionths) FILTER (WHERE at > :day), 0) AS server_spent,"
    " coalesce(sum(millionths), 0) AS server_spent_month"
    " FROM cost WHERE guild_id IS :guild AND currency = :currency AND at > :month AND job_id < :number"
)


@dataclass(frozen=True, slots=True)
class Price:
    """What a job costs, in millionths of a currency."""

    currency: str
    millionths: int

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing."""
        return self.millionths == 0

    @property
    def said(self) -> str:
        """The amount with its currency, in hundredths unless it has smaller parts."""
        return f"{self.millionths / MILLIONTHS:.{4 if self.millionths % CENT else 2}f} {self.currency}"


FREE = Price("", 0)


def price_of(request: Request, ready: Ready, *, most: bool = False) -> Price:
    """What a request costs; the `most` that it can, where its size is not known yet."""
    model = ready.model(request.model) if isinstance(request, Imagine) else None
    if not isinstance(request, Imagine) or model is None or model.remote is None or not model.remote.currency:
        return FREE
    remote = model.remote
    if most:
        return Price(remote.currency, request.count * max(remote.price, *remote.prices.values(), 0))
    return Price(remote.currency, remote.price_of(request.width, request.height, request.count))


async def of_member(database: Database, member_id: int, guild_id: int | None, now: float) -> list[tuple[Price, Price]]:
    """What a member has spent in this server, by currency: in a day, and in 30 days."""
    rows = await database.rows(
        "SELECT currency, coalesce(sum(millionths) FILTER (WHERE at > :day), 0) AS day, sum(millionths) AS month"
        " FROM cost WHERE member_id = :member AND guild_id IS :guild AND at > :month"
        " GROUP BY currency ORDER BY currency",
        {"member": member_id, "guild": guild_id, "day": now - DAY_S, "month": now - MONTH_S},
    )
    return [(Price(row["currency"], row["day"]), Price(row["currency"], row["month"])) for row in rows]


async def of_server(database: Database, guild_id: int, since: float) -> list[Price]:
    """What was spent in a server since then, by currency."""
    rows = await database.rows(
        "SELECT currency, sum(millionths) AS millionths FROM cost WHERE guild_id = ? AND at >= ? GROUP BY currency"
        " ORDER BY currency",
        (guild_id, since),
    )
    return [Price(row["currency"], row["millionths"]) for row in rows]


async def reserve(connection: aiosqlite.Connection, row: sqlite3.Row, price: Price) -> None:
    """Let the new job of this row cost this. Call it in the transaction that writes the job down."""
    if price.is_free:
        return
    whose = (row["id"], row["member_id"], row["guild_id"], row["created_at"])
    values = (*whose, price.currency, price.millionths)
    await connection.execute("INSERT INTO cost VALUES (?, ?, ?, ?, ?, ?)", values)


async def settle(connection: aiosqlite.Connection, job_id: int, price: Price) -> None:
    """Let a job cost this whose size is known now."""
    if not price.is_free:
        await connection.execute("UPDATE cost SET millionths = ? WHERE job_id = ?", (price.millionths, job_id))


async def problem(
    database: Database, policy: object, reply: Reply, price: Price, before: Job | None, now: float
) -> Reason | None:
    """Why this may not be spent there, by the settings of this policy that TOO_MUCH names; None where it may.

    Of a job that is one already its own price is known here, and what came after it does not count."""
    limits: dict[str, int | None] = {name: getattr(policy, name) for name in TOO_MUCH}
    if all(limits[name] is None for name in TOO_MUCH):
        return None
    if before is not None:
        row = await database.row("SELECT currency, millionths FROM cost WHERE job_id = ?", (before.id,))
        price = FREE if row is None else Price(row["currency"], row["millionths"])
    if price.is_free:
        return None
    at = now if before is None else before.created_at
    named = {"member": reply.member_id, "guild": reply.guild_id, "currency": price.currency}
    times = {"day": at - DAY_S, "month": at - MONTH_S, "number": 2**63 - 1 if before is None else before.id}
    row = await database.row(SPENT, named | times)
    assert row is not None, "it sums up"
    for name, sentence in TOO_MUCH.items():
        most = limits[name]
        if most is not None and row[name] + price.millionths > most * CENT:
            return because(sentence, most=f"{most / 100:.2f}", currency=price.currency)
    return None
