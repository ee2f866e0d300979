"""Discord failing in every way that it has: refusals, cut and lost answers, what is gone, what is closed, outages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.faults.crowd import PEOPLE, Crowd, an_evening
from benchmarks.faults.judge import Verdict, judge
from benchmarks.faults.painter import Plan
from benchmarks.faults.trial import Trial

CALLBACK = {"method": "POST", "route": "/interactions/{}/{}/callback"}
EDIT = {"method": "PATCH", "route": "/webhooks/{}/{}/messages/{}"}
OWN_EDIT = {"method": "PATCH", "route": "/channels/{}/messages/{}"}
SEND = {"method": "POST", "route": "/channels/{}/messages"}
DELETE = {"method": "DELETE", "route": "/webhooks/{}/{}/messages/{}"}
FETCH = {"method": "GET", "route": "/webhooks/{}/{}/messages/{}"}

Json = dict[str, Any]
SLOW = Plan(step_s=0.05)
FEW: Json = {"times": 4}
ALL: Json = {"times": None}

FAILURES: Mapping[str, list[Json]] = {
    "429": [EDIT | ALL | {"status": 429, "retry_after": 0.4}, SEND | {"status": 429, "retry_after": 0.4}],
    "429 for all": [EDIT | FEW | {"status": 429, "retry_after": 1.0, "global": True}],
    "500, 502 and 503": [
        *[EDIT | {"status": status, "times": 3} for status in (500, 502, 503)],
        CALLBACK | {"after": 2, "times": 3, "status": 500},
        SEND | {"status": 502, "times": 2},
    ],
    "cut before": [one | FEW | {"after": 1, "cut": "before"} for one in (EDIT, CALLBACK, DELETE, FETCH)],
    "cut after": [one | FEW | {"after": 1, "cut": "after"} for one in (EDIT, CALLBACK, DELETE)],
    "slow": [one | ALL | {"delay_s": 1.0} for one in (EDIT, CALLBACK, DELETE, SEND)],
    "hanging": [EDIT | FEW | {"after": 2, "hang": True}, CALLBACK | {"after": 3, "times": 2, "hang": True}],
    "token expired": [EDIT | ALL | {"status": 401, "code": 50027}],
    "reply closed": [EDIT | ALL | {"status": 403, "code": 50001}],
    "reply closed, answers cut": [
        EDIT | ALL | {"status": 403, "code": 50001},
        SEND | FEW | {"cut": "after"},
    ],
    "reply and channel closed": [
        EDIT | ALL | {"status": 403, "code": 50001},
        SEND | {"status": 403, "code": 50013, "times": 20},
    ],
    "413": [EDIT | {"after": 3, "times": 5, "status": 413, "code": 40005}],
    "400 on cards": [EDIT | {"after": 3, "times": 3, "status": 400, "code": 50035}],
}
"""What is planned for the bot's requests, under the name of its row in the table."""


async def failing(seed: int, name: str, lasts_s: float = 8.0, cut: str | None = None) -> Verdict:
    """An evening under planned failures, which end after a while."""
    async with Trial() as trial:
        await trial.start(engines=(SLOW,), cut=cut)
        director = trial.director
        trial.reply_closed = "closed" in name
        await director.faults(failures=FAILURES[name])
        evening = asyncio.create_task(an_evening(trial, Crowd(trial, seed)))
        await asyncio.sleep(lasts_s)
        seen = (await director.faults())["failures"]
        await director.faults(failures=[], release=True)
        await evening
        await trial.quiet()
        return judge(trial, sum(_failed(one) for one in seen))


async def expired(seed: int) -> Verdict:
    """The reply's token runs out while its picture is painted: Discord's clock is a quarter of an hour further."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.3),))
        evening = asyncio.create_task(an_evening(trial, Crowd(trial, seed)))
        await asyncio.sleep(2.5)
        await trial.director.advance(16 * 60.0)
        await evening
        await trial.quiet()
        return judge(trial, 1)


async def too_large(seed: int) -> Verdict:
    """Discord takes less than it said: results come smaller."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(pixels=400),))
        await trial.director.faults(attachment_size_limit=110_000, attachment_size_announced=10 * 2**20)
        crowd = Crowd(trial, seed)
        await asyncio.gather(*(crowd.imagine(count=2) for _ in range(3)))
        await trial.quiet()
        return judge(trial, 3)


async def channel_deleted(seed: int) -> Verdict:
    """The channel goes away while pictures for it are painted: they reach their members as direct messages."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.3, batch=1),))
        await trial.member("Barbara").create_channel("short-lived")
        names = PEOPLE[:3]
        await asyncio.gather(
            *(trial.member(name, "short-lived").command("/imagine", {"prompt": f"for {name}"}) for name in names)
        )
        await trial.member("Barbara").delete_channel("short-lived")
        await trial.quiet()
        return judge(trial, 1)


async def deleted(seed: int) -> Verdict:
    """A moderator deletes messages, one by one and many at once, while their jobs wait, run and are delivered."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.05, batch=1),))
        crowd = Crowd(trial, seed)
        cards = [card for card in await asyncio.gather(*(crowd.imagine() for _ in range(12))) if card]
        for card in cards[:6]:
            await asyncio.sleep(crowd.rng.random() * 0.3)
            await crowd.delete_message(card)
        rest = [message for card in cards[6:9] if (message := crowd.message(card)) is not None]
        trial.deleted.update(card.job for card in cards[6:9])
        await trial.member("Grace").delete_many(rest)
        await trial.quiet()
        return judge(trial, 9)


async def disturbed(seed: int, times: int = 1) -> Verdict:
    """The gateway drops the connection in each of its ways while people play."""
    ways = ("close", "reconnect", "invalid_session") * times
    async with Trial() as trial:
        await trial.start(engines=(SLOW,))
        crowd = Crowd(trial, seed)
        for way in ways:
            evening = asyncio.create_task(an_evening(trial, crowd, many=2))
            await asyncio.sleep(0.5 + crowd.rng.random())
            await trial.director.faults(drop_gateway=way)
            await evening
        await trial.director.faults(forget_sessions=True)
        await trial.quiet()
        return judge(trial, len(ways) + 1)


async def outage(seed: int, lasts_s: float) -> tuple[Verdict, Json]:
    """Discord is away for a while. Also says how many seconds after its end the bot answered a command again."""
    async with Trial() as trial:
        await trial.start(engines=(Plan(step_s=0.3),))
        crowd = Crowd(trial, seed)
        await asyncio.gather(*(crowd.imagine() for _ in range(6)))
        await trial.director.faults(outage=True)
        await asyncio.sleep(lasts_s)
        await trial.director.faults(outage=False)
        began_s = time.monotonic()
        await trial.online()
        await crowd.imagine()
        back_s = time.monotonic() - began_s
        await trial.quiet()
        return judge(trial, 1), {f"back after an outage of {lasts_s:.0f} s, in s": round(back_s, 1)}


def _failed(failure: Json) -> int:
    """How many requests a planned failure has taken."""
    reached = max(failure["seen"] - failure["after"], 0)
    return int(reached if failure["times"] is None else min(reached, failure["times"]))
