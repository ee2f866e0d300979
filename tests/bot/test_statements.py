"""What is said of how each kind of picture was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot.credentials import statements
from bot.pictures.kept import Pictures
from inference.protocol import Classify, Compare, Control, Describe, Grid, Input, Mask, Request, Upscale
from tests.bot.conftest import request

A, B, C, MASK = (Input(letter * 64, 64, 64) for letter in "abcd")
PAINTED = request("a red house")
FOLLOWING = replace(PAINTED, control=Control("canny", B), references=(C,))
EDITED = replace(FOLLOWING, image=A, mask=MASK)

MODEL = {"model": {"name": "sdxl", "hash": "0123"}}


@pytest.mark.parametrize(
    ("asked", "index", "expected"),
    [
        (PAINTED, 0, []),
        (replace(PAINTED, control=Control("canny", B)), 0, [("inputTo", B)]),
        (EDITED, 0, [("parentOf", A), ("inputTo", C), ("inputTo", B)]),
        # What an instruction is done to comes first.
        (replace(PAINTED, references=(A, B)), 0, [("parentOf", A), ("inputTo", B)]),
        (replace(PAINTED, image=A, references=(A, B)), 0, [("parentOf", A), ("inputTo", B)]),
        (Upscale(job=0, model="m", image=A, factor=2), 0, [("parentOf", A)]),
        (Describe(job=0, model="m", image=A, task="objects"), 0, [("parentOf", A)]),
        (Classify(job=0, model="m", image=A, labels=("x",), templates=("{}",)), 0, [("inputTo", A)]),
        (Mask(job=0, model="m", image=A, drawn=MASK, edit=PAINTED), 0, [("parentOf", A)]),
        (Mask(job=0, model="m", image=A, drawn=MASK, edit=PAINTED), 1, [("inputTo", A)]),
        (
            Compare(job=0, model="m", image=A, width=64, height=64, painted=(B, C)),
            0,
            [("componentOf", A), ("componentOf", B), ("componentOf", C)],
        ),
        (
            Grid(job=0, model="m", cells=(EDITED, EDITED), columns=("", "")),
            0,
            [("inputTo", A), ("inputTo", C), ("inputTo", B)],
        ),
    ],
)
def test_each_kind_says_what_went_into_it_and_how(
    asked: Request, index: int, expected: list[tuple[str, Input]], tmp_path: Path
) -> None:
    pictures = Pictures(tmp_path)
    said = statements.of(asked, index, MODEL, pictures)
    assert [(each.relation, each.png) for each in said.ingredients] == [
        (relation, pictures.path(picture.sha256)) for relation, picture in expected
    ]
    assert said.agent == {"name": "sdxl", "version": "0123"}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({}, {}),
        ({"request": {"model": "m"}, "annotators": []}, {}),
        ({"cells": [MODEL, {}]}, {"name": "sdxl", "version": "0123"}),
        (
            {"cells": [MODEL, {"model": {"name": "m", "hash": "45"}}, MODEL]},
            {"name": "sdxl, m", "version": "0123, 45"},
        ),
        ({"cells": [MODEL, {"model": {"name": "m", "hash": None}}]}, {"name": "sdxl, m"}),
        ({"model": {"name": "m", "hash": None}}, {"name": "m"}),
        ({"model": "of long ago"}, {}),
    ],
)
def test_model_is_named_where_the_recipe_names_one(recipe: dict[str, Any], expected: dict[str, str]) -> None:
    assert statements.agent(recipe) == expected


def test_many_ingredients_have_a_bound(tmp_path: Path) -> None:
    cells = tuple(replace(PAINTED, image=Input(f"{number:064}", 64, 64)) for number in range(40))
    said = statements.of(Grid(job=0, model="m", cells=cells, columns=("",)), 0, MODEL, Pictures(tmp_path))
    assert len(said.ingredients) == statements.MOST
