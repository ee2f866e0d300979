"""In which order choices are offered."""

from __future__ import annotations

import pytest

from bot.ranking import EXACT, PREFIX, SUBSTRING, WORD, fit, ranked


@pytest.mark.parametrize(
    ("typed", "names", "how_well"),
    [
        ("oil", ["Oil"], EXACT),
        ("oil", ["Oil painting", "x"], PREFIX),
        ("paint", ["Oil painting"], WORD),
        ("inting", ["Oil painting"], SUBSTRING),
        ("paint", ["Oil painting", "paint"], EXACT),
        ("ink", ["Oil painting"], None),
        ("", ["Oil painting"], PREFIX),
        ("  OIL   Paint ", ["oil painting"], PREFIX),
        ("STRASSE", ["straße"], EXACT),
        ("彩", ["水彩"], SUBSTRING),
        ("(", ["a (b)"], SUBSTRING),
        ("oil", [], None),
    ],
)
def test_name_fits_as_well_as_its_best_part(typed: str, names: list[str], how_well: int | None) -> None:
    assert fit(typed, names) == how_well


def test_best_fit_is_first_then_what_is_used_most_then_what_came_first() -> None:
    names = ["an ink wash", "inkwell", "sinking", "ink", "inks"]
    used = {"inks": 3, "sinking": 9}
    assert ranked(names, "ink", lambda name: [name], lambda name: used.get(name, 0)) == [
        "ink",
        "inks",
        "inkwell",
        "an ink wash",
        "sinking",
    ]
    assert ranked(names, "", lambda name: [name], lambda name: used.get(name, 0))[:3] == [
        "sinking",
        "inks",
        "an ink wash",
    ]
