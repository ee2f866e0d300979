"""What a member favours is counted in what they painted and starred last."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import taste
from bot.finding import Where
from bot.jobs import Jobs
from inference.protocol import Imagine, Lora, Style
from tests.bot.conftest import queued, reply, request
from tests.bot.test_finding import ADA, GRACE, HERE, at, done

OIL = Style("oil", "Oil painting", "oil painting of {prompt}", "photograph")


def oil() -> Imagine:
    return request(style=OIL, loras=(Lora("ink", 0.8),))


async def test_uses_and_stars_are_counted_and_explained(jobs: Jobs, tmp_path: Path) -> None:
    painted = [await done(jobs, tmp_path, oil()) for _ in range(3)]
    await done(jobs, tmp_path, request(width=32))
    await queued(jobs, oil())
    of_grace = await done(jobs, tmp_path, oil(), of=reply(GRACE))
    for job in (painted[0], of_grace):
        await jobs.finding.star(ADA, job.id, 0)
    found = await taste.of_member(jobs, ADA, HERE)
    best = {one.aspect: one for one in found.best()}
    assert {aspect: one.name for aspect, one in best.items()} == {
        "style": "oil",
        "lora": "ink",
        "model": "starter",
        "size": "64x64",
    }
    assert taste.explained(found, best["style"]) == "3 of your last 4 paintings, 2 starred"
    assert taste.explained(found, best["model"]) == "4 of your last 4 paintings, 2 starred"
    assert (await taste.of_member(jobs, GRACE, HERE)).best() == []


async def test_the_last_ones_alone_are_counted(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taste, "LOOKED_AT", 3)
    for wanted in (oil(), oil(), oil(), request(), request(), request()):
        await done(jobs, tmp_path, wanted)
    found = await taste.of_member(jobs, ADA, HERE)
    assert [one.aspect for one in found.best()] == ["model", "size"]
    assert found.paintings == 3


async def test_who_does_not_want_to_hear_of_it_favours_nothing(jobs: Jobs, tmp_path: Path) -> None:
    for _ in range(3):
        await done(jobs, tmp_path, oil())
    await jobs.finding.want_suggestions(ADA, wanted=False)
    assert (await taste.of_member(jobs, ADA, HERE)).best() == []


async def test_what_may_not_be_seen_here_is_not_counted_here(jobs: Jobs, tmp_path: Path) -> None:
    for _ in range(3):
        job = await done(jobs, tmp_path, oil(), of=at(age_restricted=True))
        await jobs.finding.star(ADA, job.id, 0)
    assert (await taste.of_member(jobs, ADA, HERE)).best() == []
    assert len((await taste.of_member(jobs, ADA, Where(5, age_restricted=True))).best()) == 4
