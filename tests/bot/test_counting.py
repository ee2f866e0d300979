"""What jobs come to: real SQLite, numbers counted a second time in Python."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot import counting
from bot.counting import Counting
from bot.database import Database
from bot.panels import stats as panel
from bot.pictures import charts
from bot.words import speaking
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form

NOW, HOUR_S = 1_000_000.0, 3600.0
GUILD = 5


async def fill(database: Database, count: int) -> list[tuple[int, str, str, float, float | None, str | None]]:
    """So many jobs of two days: member, state, model, when asked for and started, the kind of failure."""
    chance = random.Random(count)
    rows: list[tuple[int, str, str, float, float | None, str | None]] = []
    for _ in range(count):
        state = chance.choice(["finished", "finished", "failed", "cancelled", "queued"])
        at = NOW - chance.random() * 48 * HOUR_S
        started = None if state == "queued" else at + chance.random() * 100
        failure = chance.choice(["internal", "unsafe"]) if state == "failed" else None
        rows.append((chance.randint(1, 30), state, chance.choice(["a", "b", "c"]), at, started, failure))
    async with database.transaction() as connection:
        await connection.executemany(
            "INSERT INTO job (kind, request, state, member_id, guild_id, channel_id, token, token_expires_at,"
            " attachment_size_limit, created_at, started_at, failure_kind)"
            " VALUES ('imagine', ?, ?, ?, ?, 6, '', 0, 1, ?, ?, ?)",
            [
                (json.dumps({"model": model, "prompt": "x" * 50}), state, member, guild, at, started, failure)
                for member, state, model, at, started, failure in rows
                for guild in (GUILD, 7)
            ],
        )
    return rows


async def test_numbers_are_those_that_one_would_count_by_hand(database: Database) -> None:
    rows = [row for row in await fill(database, 2000) if row[3] >= NOW + 1 - 24 * HOUR_S]
    counted = await Counting(database, lambda: NOW).of_server(GUILD, 3, width_s=HOUR_S, parts=24)
    assert counted.total == len(rows) == sum(counted.buckets)
    assert counted.finished == sum(row[1] == "finished" for row in rows)
    of_members = Counter(row[0] for row in rows)
    assert (counted.members, counted.own) == (len(of_members), of_members[3])
    assert counted.rank == 1 + sum(count > of_members[3] for count in of_members.values())
    assert list(counted.of_members.values()) == sorted(of_members.values(), reverse=True)[: counting.LISTED]
    assert dict(counted.models) == Counter(row[2] for row in rows)
    ends = Counter(
        "cancelled" if row[1] == "cancelled" else row[5] for row in rows if row[1] in ("cancelled", "failed")
    )
    assert dict(counted.ends) == ends
    waits = sorted(row[4] - row[3] for row in rows if row[4] is not None)
    assert counted.median_wait_s == pytest.approx(statistics.median_low(waits))
    assert counted.p95_wait_s is not None
    assert sum(wait <= counted.p95_wait_s + 1e-6 for wait in waits) >= 0.95 * len(waits)
    assert sum(wait < counted.p95_wait_s - 1e-6 for wait in waits) < 0.95 * len(waits)
    part = int((rows[0][3] - (NOW + 1 - 24 * HOUR_S)) / HOUR_S)
    assert counted.buckets[part] == sum(int((row[3] - (NOW + 1 - 24 * HOUR_S)) / HOUR_S) == part for row in rows)


async def test_of_many_who_ask_at_once_one_is_served_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, most, now = database.row, 0, 0

    async def row(*query: Any) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        try:
            return await whole(*query)
        finally:
            now -= 1

    monkeypatch.setattr(database, "row", row)
    counting_ = Counting(database, lambda: NOW)
    await asyncio.gather(*(counting_.of_server(GUILD, each, width_s=HOUR_S, parts=24) for each in range(20)))
    assert most == 1


async def test_server_without_jobs_has_none(database: Database) -> None:
    counted = await Counting(database, lambda: NOW).of_server(GUILD, 3, width_s=HOUR_S, parts=24)
    assert (counted.total, counted.own, counted.rank, counted.median_wait_s) == (0, 0, None, None)
    assert counted.buckets == [0] * 24
    assert "Nothing was asked for" in panel.alt(counted, "day")


async def test_no_request_is_read_however_many_jobs_there_are(database: Database) -> None:
    named = {"guild": GUILD, "member": 3, "since": 0, "until": NOW, "width": 1, "limit": 3, "own": 3, "place": 1}
    for statement in (
        counting.TOTALS,
        counting.BUCKETS,
        counting.MODELS,
        counting.MEMBERS,
        counting.RANK,
        counting.ENDS,
        counting.WAIT,
    ):
        plan = [row["detail"] for row in await database.rows(f"EXPLAIN QUERY PLAN {statement}", named)]
        assert any("INDEX job_of_guild (guild_id=? AND created_at>" in one for one in plan), plan
        # What has to look into the request itself calls the function; the index has what it said.
        assert "Function" not in {
            row["opcode"]
            for row in await database.rows(f"EXPLAIN {statement}", named)
            if str(row["p4"]).startswith("json_extract")
        }


@pytest.mark.parametrize("language", ["en", "zh-CN", "en-XA"])
async def test_chart_and_card_are_what_discord_takes(database: Database, tmp_path: Path, language: str) -> None:
    await fill(database, 300)
    for period, (_, width_s, parts) in panel.PERIODS.items():
        counted = await Counting(database, lambda: NOW).of_server(GUILD, 3, width_s=width_s, parts=parts)
        with speaking(language):
            picture = charts.draw(panel.chart(counted, period), tmp_path)
            card = panel.card(counted, period, picture, moderates=True)
        form = Form()
        check_components(form, {"components": card.view.to_components()}, {panel.FILE}, version_2=True)
        form.close()
        with Image.open(picture) as drawn:
            assert drawn.width == charts.WIDTH
            assert charts.BAR in {colour for _, colour in drawn.getcolors(100_000) or []}


async def test_members_of_others_are_for_moderators_alone(database: Database) -> None:
    await fill(database, 50)
    counted = await Counting(database, lambda: NOW).of_server(GUILD, 3, width_s=86400.0, parts=7)
    seen, hidden = (
        str(panel.card(counted, "week", None, moderates=each).view.to_components()) for each in (True, False)
    )
    assert "<@" in seen
    assert "<@" not in hidden


def test_longest_names_and_no_font_of_all_scripts_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = charts.Bars("标题", ("模型" * 99, "x" * 999), (10**9, 0))
    charts.draw((part, charts.Bars("t", ("",) * 30, (0,) * 30, over_time=True)), tmp_path)
    monkeypatch.setattr(charts, "FONTS", ())
    charts.draw((part,), tmp_path)


def test_curve_is_drawn_of_any_numbers(tmp_path: Path) -> None:
    for points in ((), ((1.0, 0.3),), tuple((float(step), 1 / (step + 1)) for step in range(100))):
        file = charts.trace(charts.Curve("标题", points, 50.0, ((10.0, "1"), (20.0, "2"))), tmp_path)
        with Image.open(file) as drawn:
            assert drawn.width == charts.WIDTH
            has_line = charts.BAR in {colour for _, colour in drawn.getcolors(100_000) or []}
            assert has_line is (len(points) > 1)
