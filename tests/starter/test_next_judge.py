"""The next set's judge: what it should read in a picture, what it makes of its readings, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import to_pil_image

from starter.next.judge import GRID, LEAST, WHOLE, Found, Judge, Seen, _things, load_judge, look
from starter.next.judging import JudgeStage, cells_of, held_out_judgement, judge_tableaux, wholes_of
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.stages import run_judge
from starter.next.tableau import HELD_OUT, THINGS, Subject, Tableau
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.told import UNTOLD
from starter.world import COLOURS

CAT_AND_HOUSE = Tableau((Subject("cat", "black"), Subject("house", "red")), seed=5)


def seen_in(tableau: Tableau) -> Seen:
    """What a judge would see that reads every cell as it should."""
    things, colours = cells_of(tableau)
    hues = torch.nn.functional.one_hot(colours.clamp(min=0), len(COLOURS)).permute(2, 0, 1).float().numpy()
    return Seen(_things(things.numpy(), hues), {})


def test_a_perfect_reading_shows_every_tableau() -> None:
    # Overlapping ones may be cut in two, which takes nothing away.
    for tableau in sample_tableaux(150, seed=1):
        seen = seen_in(tableau)
        assert seen.shows(tableau), (tableau, seen)


def test_another_colour_place_or_thing_is_not_what_was_asked_for() -> None:
    seen = seen_in(CAT_AND_HOUSE)
    assert [one.thing for one in sorted(seen.things, key=lambda one: one.x)] == ["cat", "house"]
    cat, house = CAT_AND_HOUSE.subjects
    for others in (
        (house, cat),
        (cat,),
        (cat, house, Subject("tree", "green")),
        (Subject("cat", "red"), Subject("house", "black")),
        (Subject("dog", "black"), house),
    ):
        assert not seen.shows(replace(CAT_AND_HOUSE, subjects=others)), others
    # Who stands behind whom has no left and right.
    assert seen.shows(replace(CAT_AND_HOUSE, subjects=(house, cat), arrangement="behind"))


def test_specks_are_no_things() -> None:
    kinds = np.full((GRID, GRID), len(THINGS))
    kinds[3, 3 : 3 + LEAST - 1] = THINGS.index("cat")
    kinds[8:10, 8:12] = THINGS.index("dog")
    hues = np.zeros((len(COLOURS), GRID, GRID))
    hues[COLOURS.index("blue")] = 1
    assert _things(kinds, hues) == (Found("dog", "blue", 10 / 16, 8),)


def test_whole_pictures_are_labelled_by_what_they_show() -> None:
    three = replace(CAT_AND_HOUSE, subjects=(*CAT_AND_HOUSE.subjects, Subject("tree", "green")), weather="fog")
    group = Tableau((Subject("cat", "red", count=2, size="large"),), place="sea", time="night", style="neon")
    for tableau, said in (
        (three, ("meadow", "day", "flat", "fog", "summer", 3, None)),
        (group, ("sea", "night", "neon", "clear", "summer", 2, "large")),
    ):
        row = wholes_of([tableau])[0].tolist()
        told = tuple(None if w == UNTOLD else v[w] for v, w in zip(WHOLE.values(), row, strict=True))
        assert told == said


def test_judge_is_shown_the_pairs_that_are_held_out() -> None:
    shown = {(s.thing, s.colour) for tableau in judge_tableaux(4000) for s in tableau.subjects}
    assert shown >= HELD_OUT


def test_judge_learns_what_is_where(tmp_path: Path) -> None:
    torch.manual_seed(0)
    stage = JudgeStage(torch.device("cpu"), sample_tableaux(16, seed=2), batch=8)

    def misread() -> float:
        with torch.no_grad():
            return float(stage.loss(torch.Generator().manual_seed(1), 0.0)[0])

    before, optimizer = misread(), torch.optim.AdamW(stage.groups(), lr=2e-3)
    for number in range(25):
        optimizer.zero_grad()
        stage.loss(torch.Generator().manual_seed(number), 0.0)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert misread() < 0.8 * before


def test_written_judge_reads_pictures_of_any_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(torch.device("cpu"), build=tmp_path / "build", models=tmp_path / "models")
    figures = run_judge(plan, Budget(steps=1), pictures=20, held_out=8)
    assert {"single_shown", "several_shown", "several_weather", "single_size"} <= figures.keys()
    assert "several_size" not in figures
    judge = load_judge(plan.models / "judge" / "judge.safetensors")
    picture = to_pil_image(paint_all([CAT_AND_HOUSE])[0])
    seen = look(judge, [picture, picture.resize((300, 300))])
    assert len(seen) == 2
    assert seen[0].whole.keys() == WHOLE.keys()


def test_held_out_judgement_is_whole_for_a_perfect_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    tableaux = iter([*sample_tableaux(3, seed=990_131, kinds=(1,)), *sample_tableaux(3, seed=990_132, kinds=(2, 2, 3))])

    def perfect(judge: Judge, pictures: list[object]) -> list[Seen]:
        told = [next(tableaux) for _ in pictures]
        rows = [[max(0, w) for w in row] for row in wholes_of(told).tolist()]
        wholes = [{name: v[w] for (name, v), w in zip(WHOLE.items(), row, strict=True)} for row in rows]
        return [Seen(seen_in(t).things, whole) for t, whole in zip(told, wholes, strict=True)]

    monkeypatch.setattr("starter.next.judging.look", perfect)
    figures = held_out_judgement(Judge(), 6)
    assert set(figures.values()) == {1.0}
