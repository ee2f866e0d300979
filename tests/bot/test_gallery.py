"""How jobs look in lists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from bot import gallery
from bot.admission import Admission
from bot.delivery import Delivery
from bot.job import Job, State, StoredPicture
from inference.protocol import Answer, Describe, Input, Upscale
from tests.bot.conftest import job

PICTURE = Input("1" * 64, 64, 64)


def admission() -> Any:
    made = create_autospec(Admission, instance=True)
    made.command_of.side_effect = lambda request: request.kind
    made.delivery = create_autospec(Delivery, spec_set=True, instance=True)
    made.delivery.headline.return_value = "**64x64 → 128x128**"
    return made


def made(count: int = 1, **changes: object) -> Job:
    pictures = tuple(StoredPicture(str(number) * 64, number, 64, 64) for number in range(count))
    return replace(job(7), state="finished", pictures=pictures, **changes)  # type: ignore[arg-type]


def test_line_says_what_it_was_and_leads_to_it_and_nothing_of_it_is_markdown_or_a_ping() -> None:
    wild = made(2, request=job(7, prompt="**red** @everyone " + "x" * 500, model="a_b_c").request)
    title, facts = gallery.line(admission(), wild, [1]).split("\n")
    assert title.startswith(r"**\*\*red\*\* @" + "\u200b")
    assert len(title) < 150
    assert facts == (r"-# [#7](https://discord.com/channels/5/6/100) · /imagine · a\_b\_c · 2 pictures · ★2 · <t:0:R>")
    assert "★ ·" in gallery.line(admission(), made(), [0])
    apart = made(reply=replace(job(7).reply, guild_id=None, message_id=None))
    assert gallery.link(apart) == "#7"


@pytest.mark.parametrize(("state", "said"), [("failed", "failed"), ("queued", "waiting"), ("running", "running")])
def test_line_says_what_became_of_it(state: State, said: str) -> None:
    assert f" · {said} · " in gallery.line(admission(), replace(job(7), state=state))


def test_what_has_no_prompt_is_called_by_its_answer_or_its_headline() -> None:
    asked = Describe(job=7, model="plain", image=PICTURE, task="caption")
    told = made(0, request=asked, answer=Answer(text="a *cat*"))
    assert gallery.title(admission(), told) == r"**a \*cat\***"
    assert gallery.plain_title(admission(), told) == "#7 a *cat*"
    larger = made(request=Upscale(job=7, model="plain", image=PICTURE, factor=2))
    assert gallery.title(admission(), larger) == "**64x64 → 128x128**"
    assert gallery.plain_title(admission(), larger) == "#7 /upscale"


def test_starred_picture_stands_for_its_job_and_what_it_was_about_where_it_made_none() -> None:
    asked = Describe(job=7, model="plain", image=PICTURE, task="caption")
    unread = Describe(job=7, model="plain", image=Input("", 0, 0), task="caption")
    assert gallery.thumbnailed([made(3)], {}) == {7: "0" * 64}
    assert gallery.thumbnailed([made(3)], {7: [2]}) == {7: "2" * 64}
    assert gallery.thumbnailed([made(0, request=asked)], {}) == {7: "1" * 64}
    assert gallery.thumbnailed([made(0, request=unread), job(8)], {}) == {}
