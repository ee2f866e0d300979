"""What can be written into a prompt: weights and wildcards, as text alone."""

from __future__ import annotations

import pytest

from inference.protocol import Reason, because, draw_words, plain_words, weigh_words, weight_problem


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("a red house", [("a red house", 1)]),
        ("a (red) house", [("a ", 1), ("red", 1.1), (" house", 1)]),
        ("((red)) house", [("red", 1.21), (" house", 1)]),
        ("(red:1.3) house", [("red", 1.3), (" house", 1)]),
        ("( red : .5 ) house", [(" red ", 0.5), (" house", 1)]),
        ("(red:0)", [("red", 0)]),
        ("[red] house", [("red", 1 / 1.1), (" house", 1)]),
        ("[[red]]", [("red", 1 / 1.21)]),
        ("(a red (house:1.5):2)", [("a red ", 2), ("house", 3)]),
        ("(a) b [c]", [("a", 1.1), (" b ", 1), ("c", 1 / 1.1)]),
        ("(one)(two)", [("onetwo", 1.1)]),
        ("(red:1) house", [("red house", 1)]),
        ("[(red)] house", [("red house", 1)]),
        (r"\(red\) \[house\] \\", [(r"(red) [house] " + "\\", 1)]),
        (r"(red\) house:1.2)", [("red) house", 1.2)]),
        (r"\{a\|b\}", [("{a|b}", 1)]),
        (r"C:\new", [(r"C:\new", 1)]),
        ("ends with \\", [("ends with \\", 1)]),
        ("a sign: open", [("a sign: open", 1)]),
        # What does not close is plain text.
        ("a happy house :) and (", [("a happy house :) and (", 1)]),
        ("(red", [("(red", 1)]),
        ("red] [house", [("red] [house", 1)]),
        ("((red:1.2) house", [("(", 1), ("red", 1.2), (" house", 1)]),
        ("house:1.2)", [("house:1.2)", 1)]),
        ("(house:big)", [("house:big", 1.1)]),
        ("红色(房子：1.2)", [("红色", 1), ("房子：1.2", 1.1)]),
    ],
)
def test_weights_are_read_as_automatic1111_writes_them(text: str, parts: list[tuple[str, float]]) -> None:
    read = weigh_words(text)
    assert [part.text for part in read] == [words for words, _ in parts]
    assert [part.weight for part in read] == pytest.approx([weight for _, weight in parts])
    assert plain_words(text) == "".join(words for words, _ in parts)


def test_a_weight_of_exactly_1_is_no_weight() -> None:
    assert [part.weight for part in weigh_words("a (red:1) [(house)] ((big:0.5):2)")] == [1.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(red:11)", because("word_weight", value=11, typed="red", most=10)),
        ("(red:-1)", because("word_weight", value=-1, typed="red", most=10)),
        ("(" * 40 + "red" + ")" * 40, because("word_weight", value=pytest.approx(1.1**40), typed="red", most=10)),
        ("[a] " * 41, because("weighed_parts", count=41, most=40)),
    ],
)
def test_weights_that_no_model_can_follow_are_a_reason(text: str, reason: Reason) -> None:
    assert weight_problem(text) == reason


def test_ordinary_weights_are_no_problem() -> None:
    assert weight_problem("a ((red)) [house] (tree:0) :)") is None


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a {red|blue} house", {"a red house", "a blue house"}),
        ("a {red|blue|} house", {"a red house", "a blue house", "a  house"}),
        ("{a {red|blue}|no} house", {"a red house", "a blue house", "no house"}),
        ("{a|b}{c|d}", {"ac", "ad", "bc", "bd"}),
        # Nothing to choose from: plain text.
        ("a {red} house", {"a {red} house"}),
        ("{a {red}|b}", {"a {red}", "b"}),
        ("a {red|blue house", {"a {red|blue house"}),
        ("a red|blue} house", {"a red|blue} house"}),
        ("{a {red|blue}", {"{a red", "{a blue"}),
        (r"\{red|blue\}", {r"\{red|blue\}"}),
        (r"{red\|blue|\}}", {r"red\|blue", r"\}"}),
    ],
)
def test_wildcards_draw_each_of_their_alternatives_and_nothing_else(text: str, drawn: set[str]) -> None:
    assert {draw_words(text, seed) for seed in range(200)} == drawn


def test_the_same_seed_draws_the_same_words_in_every_version() -> None:
    text = "{red|blue|green} {house|boat|{big|small} tree}"
    assert [draw_words(text, seed) for seed in (0, 7, 2**64 - 1)] == ["green boat", "red boat", "red house"]


@pytest.mark.parametrize("text", ["{a|b} {c}", "{a|{b", r"{\{a|b\}|c}", "{{a|b}|", "a {b {c|d}|e} }"])
def test_drawing_again_from_what_was_drawn_changes_nothing(text: str) -> None:
    for seed in range(50):
        assert draw_words(draw_words(text, seed), seed + 1) == draw_words(text, seed)


def test_every_alternative_comes_about_equally_often() -> None:
    drawn = [draw_words("{a|b|c|d}", seed) for seed in range(4000)]
    assert all(900 < drawn.count(letter) < 1100 for letter in "abcd")
