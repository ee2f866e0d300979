"""A job shown again stays within what Discord takes, whatever there is to say of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from discord import ui

from bot import cards, custom_ids
from bot.commands import show
from bot.commands.describe import Looks as DescribeLooks
from bot.commands.imagine import Looks
from bot.custom_ids import OfJob
from bot.job import Job, StoredPicture
from bot.lineage import SHOWN_ANCESTORS, SHOWN_CHILDREN, Line
from bot.pictures.fitting import Shown
from inference.protocol import Answer, Control, Describe, Input, Region, because
from tests.bot.conftest import job

PICTURE = Input("0" * 64, 64, 64)
RECIPE: dict[str, Any] = {
    "model": {"name": "x" * 300, "revision": "a" * 40},
    "scheduler": {"class": "DPMSolver`Multistep`Scheduler"},
    "device": "not a table",
    "versions": {"torch": "2.9"},
}
FEW = Line((), (), more_children=False)
MANY = Line(
    tuple(job(number) for number in range(1, SHOWN_ANCESTORS + 1)),
    tuple(job(number) for number in range(100, 100 + SHOWN_CHILDREN)),
    more_children=True,
)


def of_four() -> Job:
    made = job(50, count=4, control=Control("canny", PICTURE))
    pictures = tuple(StoredPicture("0" * 64, seed, 64, 64) for seed in range(4))
    return replace(made, state="finished", pictures=pictures)


def whole(of: Job, card: cards.Card, line: Line, picture: int | None = None) -> ui.LayoutView:
    card.view.add_item(show._around(Mock(), of, RECIPE, line, picture, card.view))
    return card.view


def actions(view: ui.LayoutView) -> list[tuple[str, int]]:
    """What the buttons do, and to which picture."""
    parsed = [custom_ids.parse(str(getattr(item, "custom_id", ""))) for item in view.walk_children()]
    return [(one[0], one[1].index) for one in parsed if one is not None and isinstance(one[1], OfJob)]


@pytest.mark.parametrize("line", [FEW, MANY])
def test_most_that_there_can_be_fits_into_a_message(line: Line) -> None:
    made = of_four()
    shown = [Shown(Path(f"{number}.webp"), "webp", because("shown smaller")) for number in range(4)]
    view = whole(made, Looks().finished(made, shown), line)
    assert view.total_children_count <= show.COMPONENTS
    assert view.content_length() <= cards.TEXT_CHARS
    assert len(set(actions(view))) == len(actions(view))
    assert {("again", 0), ("original", 0), ("describe", 3), ("star", 3), ("compare", 0)} <= set(actions(view))


def test_long_answer_leaves_room_or_all_of_it_is_its_own() -> None:
    asked = Describe(job=51, model="plain", image=PICTURE, task="caption regions")
    regions = tuple(Region("y" * 300, (0, 0, 64, 64), ()) for _ in range(20))
    answered = replace(
        job(51), request=asked, state="finished", answer=Answer(text="x" * 4000, regions=regions), pictures=()
    )
    view = whole(answered, DescribeLooks().finished(answered, []), MANY)
    assert view.content_length() <= cards.TEXT_CHARS
    assert view.total_children_count <= show.COMPONENTS


def test_one_picture_keeps_its_own_buttons_and_those_of_the_job() -> None:
    made = of_four()
    shown = [Shown(Path(f"{number}.png"), "png") for number in range(4)]
    card = show.only(Looks().finished(made, shown), 2)
    assert [name for name, _ in card.files] == ["easel-50-3.png"]
    [gallery] = [item for item in card.view.walk_children() if isinstance(item, ui.MediaGallery)]
    assert [item.media.url for item in gallery.items] == ["attachment://easel-50-3.png"]
    assert set(actions(whole(made, card, FEW, 3))) == {
        ("upscale", 2),
        ("vary", 2),
        ("star", 2),
        ("rate", 0),
        ("reroll", 0),
        ("edit", 0),
        ("compare", 0),
        ("delete", 0),
        ("again", 0),
        ("describe", 2),
    }


def test_recipe_is_said_as_far_as_it_is_there() -> None:
    text = "\n".join(show._facts(job(1), RECIPE))
    assert "`xxxxxxxxxxxx aaaaaaaaaaaa` · `DPMSolverMultistepScheduler` · `torch 2.9`" in text
    assert len(show._facts(job(1), {})) == 1
