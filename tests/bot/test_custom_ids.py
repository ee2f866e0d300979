"""Custom_ids say what a button or form does and to what, and are understood for as long as messages stand."""

from __future__ import annotations

import pytest

from bot import custom_ids
from bot.buttons import JobButton
from bot.custom_ids import OfJob, OfMessage, OfWord, Target

UNDERSTOOD = [
    ("easel:vary:12", "vary", OfJob(12)),
    ("easel:vary:12:3", "vary", OfJob(12, 3)),
    ("easel:edit:1", "edit", OfJob(1)),
    ("easel:message:reimagine:1425060606060606060", "reimagine", OfMessage(1425060606060606060)),
    ("easel:new:compose:starter", "compose", OfWord("starter")),
    ("easel:new:compose:a:b c", "compose", OfWord("a:b c")),
]


@pytest.mark.parametrize(("custom_id", "action", "target"), UNDERSTOOD)
def test_what_was_ever_sent_is_understood_and_said_in_the_same_words(
    custom_id: str, action: str, target: Target
) -> None:
    assert custom_ids.parse(custom_id) == (action, target)
    assert custom_ids.make(action, target) == custom_id


@pytest.mark.parametrize(
    "custom_id",
    ["", "easel:", "other:vary:1", "easel:vary:", "easel:vary:x", "easel:VARY:1", "easel:vary:1:2:3", "easel:vary:٣"],
)
def test_what_is_no_custom_id_of_ours_is_nothing(custom_id: str) -> None:
    assert custom_ids.parse(custom_id) is None
    assert JobButton.__discord_ui_compiled_template__.fullmatch(custom_id) is None


@pytest.mark.parametrize(
    ("action", "target"), [("Vary", OfJob(1)), ("a b", OfWord("x")), ("compose", OfWord("x" * 90))]
)
def test_what_could_not_be_understood_is_not_said(action: str, target: Target) -> None:
    with pytest.raises(ValueError, match="is no custom_id"):
        custom_ids.make(action, target)


@pytest.mark.parametrize("typed", ["", "x", "-1", "+1", "1.0", " 1", "٣", "²", "1" * 19, "1" * 5000])
def test_what_is_no_number_or_is_longer_than_any_is_none(typed: str) -> None:
    assert custom_ids.number_in(typed) is None
    assert custom_ids.number_in("007") == 7
    assert custom_ids.number_in("9" * 18) == 10**18 - 1
