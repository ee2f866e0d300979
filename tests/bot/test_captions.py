"""The captions of many pictures as one text, and back."""

from __future__ import annotations

import pytest

from bot.errors import MemberError
from bot.requests.captions import apart, replaced, tidy, together
from inference.protocol.limits.training import MAX_CAPTION_CHARS

THREE = {1: "a red house", 2: "", 3: "一艘船: blue"}


def test_what_was_put_together_comes_apart_as_it_was() -> None:
    assert apart(together(THREE, 4000), THREE) == THREE


def test_lines_are_read_as_people_write_them() -> None:
    typed = "1. a red house\n with a door \n\n#3：两艘船\n"
    assert apart(typed, THREE) == {1: "a red house with a door", 3: "两艘船"}
    assert apart("", THREE) == {}


@pytest.mark.parametrize(
    ("typed", "said"),
    [("a house", "number"), ("4: a house", "4"), ("1: a\n1: b", "twice"), ("1: " + "x" * 2001, "2001")],
)
def test_what_nobody_can_have_meant_changes_nothing(typed: str, said: str) -> None:
    with pytest.raises(MemberError, match=said):
        apart(typed, THREE)


def test_as_many_are_put_together_as_fit() -> None:
    long = dict.fromkeys(range(1, 200), "x" * 100)
    text = together(long, 4000)
    assert len(text) <= 4000
    assert len(apart(text, long)) == 38
    assert all(caption == "x" * 100 for caption in apart(text, long).values())
    assert len(together({1: "x" * 5000}, 4000)) == 4000


def test_words_are_one_line_of_letters() -> None:
    assert tidy(" a\x00 red\n\thouse\u202e ") == "a red house"
    assert tidy("x" * MAX_CAPTION_CHARS)
    with pytest.raises(MemberError):
        tidy("x" * (MAX_CAPTION_CHARS + 1))


def test_texts_are_replaced_as_they_are_and_nothing_else_changes() -> None:
    assert replaced(THREE, "RED", r"\1") == {1: r"a \1 house"}
    assert replaced(THREE, ".", "x") == {}
    with pytest.raises(MemberError):
        replaced({1: "e" * 1200}, "e", "ee")
