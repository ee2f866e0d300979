"""Every end reaches its member, whatever Discord says: with a real database, and a Discord that follows a script."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import discord
import pytest
from PIL import Image

from bot import cards, commands
from bot import delivery as delivery_module
from bot.background import Background
from bot.cards import TEXT_CHARS, Card
from bot.delivery import Delivery
from bot.errors import OperatorError
from bot.job import Job, Reply, Way
from bot.jobs import Jobs
from bot.pictures.workers import Workshop
from bot.posting import Posting, Unknown
from bot.words import say, speaking
from bot.words.catalogues import PSEUDO
from inference.protocol import INCOMING, Answer, Describe, Input, Reason, Region
from tests.bot.conftest import finished, queued, reply, request
from tests.bot.test_fitting import noise


def refusal(status: int, code: int = 0) -> discord.HTTPException:
    """What discord.py raises for an answer of this status."""
    response = create_autospec(discord.http.aiohttp.ClientResponse, instance=True)
    response.status, response.reason = status, "as told"
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(status, discord.HTTPException)
    return kind(response, {"code": code, "message": "no"})


class Discord:
    """What was put where; `says` decides what Discord answers to it."""

    def __init__(self) -> None:
        self.put: list[tuple[Way, str, tuple[str, ...]]] = []
        self.says: Callable[[Way, Card], int | Exception] = lambda way, card: 4711
        self.waited: list[float] = []
        self.tried = asyncio.Event()

    async def answer(self, job_id: int, to: Reply, card: Card, way: Way) -> int:
        text = str(card.view.to_components())
        self.put.append((way, text, tuple(name for name, _ in card.files)))
        self.tried.set()
        said = self.says(way, card)
        if isinstance(said, Exception):
            raise said
        return said

    @property
    def ways(self) -> list[Way]:
        return [way for way, _, _ in self.put]


@pytest.fixture
def discord_() -> Discord:
    return Discord()


@pytest.fixture
async def delivery(
    jobs: Jobs, discord_: Discord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Delivery]:
    monkeypatch.setattr(delivery_module, "RETRY_AFTER_S", (0.0,))
    monkeypatch.setattr(delivery_module, "DELETION_HEARD_WITHIN_S", 0.1)
    monkeypatch.setattr(delivery_module, "EDIT_EVERY_S", 0.0)
    posting = create_autospec(Posting, spec_set=True, instance=True)
    posting.put.side_effect = discord_.answer
    background = Background()
    workshop = Workshop(tmp_path / INCOMING)
    opened = Delivery(posting, background, jobs, commands.load().looks, workshop)
    yield opened
    opened.close()
    await background.close()
    await workshop.results.close()


async def ended(jobs: Jobs, data: Path, *pictures: bytes, of: Reply | None = None, **changes: object) -> Job:
    job = await queued(jobs, request(**changes), of)  # type: ignore[arg-type]
    await jobs.start([job.id])
    done = await jobs.finish(finished(data, job.id, *pictures))
    assert done is not None
    return done


async def arrived(jobs: Jobs, delivery: Delivery, job: Job) -> Job | None:
    """The job once its delivery has come to an end; None where it is gone."""
    await asyncio.wait_for(delivery._deliveries[job.id], 20)
    return await jobs.find(job.id)


async def way_of(jobs: Jobs, job: Job) -> str | None:
    row = await jobs._database.row("SELECT delivered_to FROM job WHERE id = ?", (job.id,))
    assert row is not None
    way: str | None = row["delivered_to"]
    return way


async def test_end_is_shown_in_the_reply(jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path) -> None:
    job = await ended(jobs, tmp_path, b"a picture")
    delivery.deliver(job)
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    assert discord_.ways == ["reply"]
    assert await way_of(jobs, job) == "reply"


async def test_end_goes_to_the_channel_and_then_to_the_member_where_the_reply_is_closed(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    closed = {"reply": refusal(403, 50001), "channel": refusal(403, 50013), "member": 4712}
    discord_.says = lambda way, card: closed[way]
    job = await ended(jobs, tmp_path, b"a picture")
    delivery.deliver(job)
    late = await arrived(jobs, delivery, job)
    assert late is not None
    assert discord_.ways == ["reply", "channel", "member"]
    assert await way_of(jobs, job) == "member"
    assert late.reply.message_id == 4712


async def test_end_whose_reply_nobody_can_find_goes_to_the_channel(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    discord_.says = lambda way, card: Unknown() if way == "reply" else 4712
    job = await ended(jobs, tmp_path, of=replace(reply(), message_id=None))
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    assert await way_of(jobs, job) == "channel"


async def test_delivery_never_gives_up(jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path) -> None:
    tries = 0

    def everything_fails_for_long(way: Way, card: Card) -> int | Exception:
        nonlocal tries
        tries += 1
        errors = [refusal(500), refusal(403), OSError("no route"), TimeoutError(), TypeError("a bug"), refusal(401)]
        return 4711 if tries > 60 else errors[tries % len(errors)]

    discord_.says = everything_fails_for_long
    job = await ended(jobs, tmp_path, b"a picture")
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    assert tries == 61


async def test_end_waits_no_longer_once_discord_is_back(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "RETRY_AFTER_S", (1000.0,))
    discord_.says = lambda way, card: refusal(503)
    job = await ended(jobs, tmp_path)
    delivery.deliver(job)
    await discord_.tried.wait()
    await asyncio.sleep(0)
    discord_.says = lambda way, card: 4711
    delivery.try_again()
    await arrived(jobs, delivery, job)
    assert await way_of(jobs, job) == "reply"


async def test_job_whose_message_was_deleted_is_not_shown_elsewhere(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    job = await ended(jobs, tmp_path, b"a picture")

    def deleted(way: Way, card: Card) -> Exception:
        deletion.append(asyncio.ensure_future(jobs.delete(job.id)))
        return refusal(404, 10008)

    deletion: list[asyncio.Future[None]] = []
    discord_.says = deleted
    delivery.deliver(job)
    assert await arrived(jobs, delivery, job) is None
    assert discord_.ways == ["reply"]


async def test_job_that_its_member_was_never_told_of_is_forgotten(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    discord_.says = lambda way, card: refusal(404, 10015)
    job = await ended(jobs, tmp_path, of=replace(reply(), message_id=None))
    delivery.deliver(job)
    assert await arrived(jobs, delivery, job) is None
    assert discord_.ways == ["reply"]


async def test_card_that_discord_does_not_take_becomes_plainer(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    discord_.says = lambda way, card: 4711 if not card.files else refusal(400, 50035)
    job = await ended(jobs, tmp_path, b"a picture", prompt="a peculiar prompt")
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    first, second, third = discord_.put
    assert "peculiar" in first[1]
    assert "peculiar" not in second[1]
    assert second[2] == first[2]
    assert third[2] == ()
    assert f"#{job.id}" in third[1]
    assert f"easel:delete:{job.id}" in third[1]


async def test_reply_that_takes_no_card_at_all_is_closed(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    discord_.says = lambda way, card: refusal(400, 50035) if way == "reply" else 4712
    job = await ended(jobs, tmp_path, b"a picture", prompt="a peculiar prompt")
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    assert discord_.ways == ["reply", "reply", "reply", "channel"]
    assert "peculiar" in discord_.put[-1][1]
    assert await way_of(jobs, job) == "channel"


async def test_look_that_raises_ends_in_a_plain_card(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> Card:
        raise KeyError("a request of years ago")

    monkeypatch.setattr(type(commands.load().looks["imagine"]), "finished", stumble)
    job = await ended(jobs, tmp_path, b"a picture")
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    [(_, text, files)] = discord_.put
    assert "This job is finished." in text
    assert files == (f"easel-{job.id}-1.png",)


async def test_picture_that_is_missing_ends_in_words(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = await ended(jobs, tmp_path, b"a picture")
    jobs.paths(job)[0].unlink()
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    [(_, text, _)] = discord_.put
    assert "were removed from this machine" in text
    assert "its picture" in caplog.text


async def test_result_that_cannot_be_made_smaller_is_told_and_can_be_had_whole(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    job = await ended(jobs, tmp_path, b"no picture at all", of=replace(reply(), attachment_size_limit=5))
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    [(_, text, files)] = discord_.put
    assert "too large to be shown" in text
    assert f"easel:original:{job.id}" in text
    assert files == ()


async def test_full_disk_is_waited_for_where_a_result_has_to_be_made_smaller(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, full = delivery.outgoing._workshop.desk, [OSError(28, "No space left on device")] * 3

    def no_room_at_first() -> Any:
        if full:
            raise full.pop()
        return desk()

    monkeypatch.setattr(delivery.outgoing._workshop, "desk", no_room_at_first)
    job = await ended(jobs, tmp_path, png(noise(64, 64)), of=replace(reply(), attachment_size_limit=5000))
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    assert [files for _, _, files in discord_.put] == [(f"easel-{job.id}-1.webp",)]


async def test_headline_that_raises_is_replaced(
    jobs: Jobs, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> str:
        raise KeyError("a request of years ago")

    monkeypatch.setattr(type(commands.load().looks["imagine"]), "headline", stumble)
    assert delivery.headline(await queued(jobs)) == "**#1**"


async def test_progress_that_cannot_be_shown_is_no_reason_to_stop(
    jobs: Jobs, delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    posting: Any = delivery._posting
    posting.edit.side_effect = [ValueError("anything"), 1]
    job = await queued(jobs)
    for _ in range(2):
        delivery.show(job, lambda headline: Card(discord.ui.LayoutView()))
        await asyncio.sleep(0.01)
    assert posting.edit.await_count == 2


async def test_result_too_large_for_discord_is_made_smaller(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    sizes: list[int] = []

    def most(way: Way, card: Card) -> int | Exception:
        sizes.append(max(size_of(data) for _, data in card.files))
        return 4711 if sizes[-1] <= 300_000 else refusal(413, 40005)

    discord_.says = most
    job = await ended(jobs, tmp_path, png(noise(600, 600)))
    delivery.deliver(job)
    await arrived(jobs, delivery, job)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 300_000


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def size_of(data: bytes | Path) -> int:
    return data.stat().st_size if isinstance(data, Path) else len(data)


@pytest.mark.parametrize("sign", ["*", "_", "`", "\\", "|", "~", "#", "x", "画"])
async def test_no_card_is_longer_than_discord_takes(jobs: Jobs, tmp_path: Path, sign: str) -> None:
    looks = commands.load().looks
    image = Input("0" * 64, 64, 64)
    regions = tuple(Region(sign * 200, (0.0, 0.0, 64.0, 64.0), ()) for _ in range(20))
    asked = Describe(job=1, model="m", image=image, task="detailed caption")
    answered = Job(1, asked, "finished", 0, reply(), 0.0, answer=Answer(text=sign * 5000, regions=regions))
    wild = "{" + "|".join([sign * 400, sign * 500]) + "}"
    painted = await ended(jobs, tmp_path, *([b"x"] * 4), prompt=wild, negative=wild, count=4)
    failed = replace(painted, state="failed", failure=Reason(sign * 9000, {}))
    cards_ = [
        looks["describe"].finished(answered, []),
        looks["imagine"].finished(painted, [delivery_module.Shown(tmp_path, "png", note=sign * 3000)] * 4),
        delivery_module.cards.ended(failed, looks["imagine"].headline(failed.request), []),
    ]
    for card in cards_:
        texts = [part["content"] for part in walk(card.view.to_components()) if part.get("type") == 10]
        assert sum(map(len, texts)) <= TEXT_CHARS
        assert f"#{card_number(card)}" in texts[-1]


def walk(parts: Any) -> list[dict[str, Any]]:
    """Every component, in order."""
    found: list[dict[str, Any]] = []
    for part in parts:
        found += [part, *walk(part.get("components", ()))]
    return found


def card_number(card: Card) -> int:
    buttons = [part["custom_id"] for part in walk(card.view.to_components()) if "custom_id" in part]
    return int(buttons[0].split(":")[2]) if buttons else 1


async def test_database_that_ends_the_bot_is_heard_of_from_the_background(
    jobs: Jobs, delivery: Delivery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fatal(*_: object) -> None:
        raise OperatorError("the database cannot be written any more")

    job = await ended(jobs, tmp_path, b"a picture")
    monkeypatch.setattr(jobs, "delivered", fatal)
    caplog.set_level(logging.ERROR)
    delivery.deliver(job)
    with pytest.raises(OperatorError, match="any more"):
        await asyncio.wait_for(delivery._background.broken(), 10)


async def test_end_waits_while_others_wait_for_their_first_answer(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    calm = asyncio.Event()
    posting: Any = delivery._posting
    posting.calm.side_effect = calm.wait
    job = await ended(jobs, tmp_path, b"a picture")
    delivery.deliver(job)
    await asyncio.sleep(0.05)
    assert discord_.put == []
    calm.set()
    await arrived(jobs, delivery, job)
    assert discord_.ways == ["reply"]


async def test_end_is_told_in_the_language_of_who_asked_whoever_makes_it_end(
    jobs: Jobs, delivery: Delivery, discord_: Discord, tmp_path: Path
) -> None:
    with speaking("zh-CN"):
        cancelled, delete, rest = map(say, ("Cancelled.", "Delete", "Discord did not take the rest."))
    assert {cancelled, delete, rest}.isdisjoint({"Cancelled.", "Delete", "Discord did not take the rest."})
    asked = replace(reply(), language="zh-CN")
    job = await queued(jobs, of=asked)
    # A moderator cancels it, in whose language this is begun.
    with speaking(PSEUDO):
        gone = await jobs.cancel(job.id)
        assert gone is not None
        delivery.deliver(gone)
    await arrived(jobs, delivery, job)
    assert cancelled in discord_.put[-1][1]
    assert delete in discord_.put[-1][1]
    # What Discord does not take is told barer, and at last in a sentence.
    done = await ended(jobs, tmp_path, b"a picture", of=asked)
    discord_.says = lambda way, card: 4711 if rest in str(card.view.to_components()) else refusal(400)
    with speaking(PSEUDO):
        delivery.deliver(done)
    await arrived(jobs, delivery, done)
    assert rest in discord_.put[-1][1]


async def test_progress_is_shown_in_the_language_of_who_asked(
    jobs: Jobs, delivery: Delivery, discord_: Discord
) -> None:
    job = await queued(jobs, of=replace(reply(), language="zh-CN"))
    shown: asyncio.Queue[str] = asyncio.Queue()
    edit: Any = delivery._posting.edit
    edit.side_effect = lambda _, card: shown.put_nowait(str(card.view.to_components()))
    with speaking(PSEUDO):
        delivery.show(job, lambda headline: cards.running(job, headline, None, None))
    text = await asyncio.wait_for(shown.get(), 10)
    with speaking("zh-CN"):
        assert say("starting") in text
        assert say("Cancel") in text
