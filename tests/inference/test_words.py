"""What can be written into a prompt: weights and wildcards, as text alone."""

from __future__ import annotations

import pytest

from inference.protocol import (
    Reason,
    WeighedWords,
    at_steps,
    because,
    chunks,
    draw_words,
    joined,
    parts,
    plain_words,
    read_tag,
    schedule_problem,
    tag_of,
    unbroken,
    weigh_words,
    weight_problem,
    without_sure_tags,
    without_tags,
)


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
        # As phones write them.
        ("红色（房子：1.2）", [("红色", 1), ("房子", 1.2)]),
        ("［red］（house）", [("red", 1 / 1.1), ("house", 1.1)]),
        ("红色：房子", [("红色：房子", 1)]),
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
        # A bar of what changes from step to step is none of a wildcard's.
        ("{a [b|c]|d}", {"a [b|c]", "d"}),
        ("{[a|b}", {"[a", "b"}),
        ("｛red｜blue｝", {"red", "blue"}),
        # Several of them, without taking one twice.
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{1-2$$ and $$a|b}", {"a", "b", "a and b", "b and a"}),
        ("{5$$a|b}", {"a, b", "b, a"}),
        ("{2$$a|{b|c}}", {"a, b", "b, a", "a, c", "c, a"}),
        ("{1::a|0::b}", {"a"}),
        ("__colours__ house", {"__colours__ house"}),
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


def test_alternatives_come_as_often_as_their_shares_say() -> None:
    drawn = [draw_words("{0.5::red|2::blue|white}", seed) for seed in range(3500)]
    assert [drawn.count(colour) for colour in ("red", "blue", "white")] == pytest.approx([500, 2000, 1000], rel=0.1)


FILES = {"colours": ("red", "2::blue"), "loop": ("__loop__ x",), "both": ("{a|b} __colours__",), "deep/kind": ("cat",)}


def from_files(text: str, seed: int) -> str:
    return draw_words(text, seed, lambda name: FILES.get(name.lower(), ()))


def test_wildcard_files_give_one_of_their_lines_and_may_lead_to_others() -> None:
    def all_of(text: str) -> set[str]:
        return {from_files(text, seed) for seed in range(100)}

    assert all_of("a __Colours__ house") == {"a red house", "a blue house"}
    assert all_of("__both__") == {"a red", "a blue", "b red", "b blue"}
    assert all_of("{__deep/kind__|dog}") == {"cat", "dog"}
    assert all_of("__nothing__!") == {"!"}
    assert all_of("snake_case and __init") == {"snake_case and __init"}
    assert from_files("__loop__", 1).strip("x ") == ""
    assert len(from_files("__loop__" * 1000, 1)) < 10_000


@pytest.mark.parametrize(
    ("text", "steps", "stretches"),
    [
        ("a [b] (c:1.2)", 4, [(0, "a [b] (c:1.2)")]),
        ("a [cat:dog:0.5] here", 4, [(0, "a cat here"), (2, "a dog here")]),
        ("a [cat:dog:3]", 4, [(0, "a cat"), (3, "a dog")]),
        ("[hat:0.25]", 4, [(0, ""), (1, "hat")]),
        ("[hat::0.75]", 4, [(0, "hat"), (3, "")]),
        ("a [cow|horse]", 3, [(0, "a cow"), (1, "a horse"), (2, "a cow")]),
        ("[a|b|]", 4, [(0, "a"), (1, "b"), (2, ""), (3, "a")]),
        ("[(a:1.2):[b:c:3]:2]", 4, [(0, "(a:1.2)"), (2, "b"), (3, "c")]),
        ("[a:b:9]", 4, [(0, "a")]),
        ("[a:b:0]", 4, [(0, "b")]),
        ("（[a：b：0.5]）", 4, [(0, "（a）"), (2, "（b）")]),
        # What changes nothing is what it was.
        ("[a:b] [c:d:e] [a:b:c:0.5] [red] [", 4, [(0, "[a:b] [c:d:e] [a:b:c:0.5] [red] [")]),
        (r"\[a|b\] [a\|b] [a:b\:0.5]", 4, [(0, r"\[a|b\] [a\|b] [a:b\:0.5]")]),
    ],
)  # fmt: skip
def test_words_change_at_the_steps_that_automatic1111_changes_them_at(
    text: str, steps: int, stretches: list[tuple[int, str]]
) -> None:
    assert list(at_steps(text, steps)) == stretches


def test_in_a_second_pass_shares_above_1_count() -> None:
    assert at_steps("[a:b:0.5]", 4, second=True) == ((0, "b"),)
    assert at_steps("[a:b:1.5]", 4, second=True) == ((0, "a"), (2, "b"))
    assert at_steps("[a:b:1.5]", 4) == ((0, "a"),)
    assert at_steps("[a:b:2]", 4, second=True) == ((0, "b"),)


def test_and_joins_prompts_with_weights_and_break_parts_windows() -> None:
    assert parts("a cat AND a dog :1.2") == (WeighedWords("a cat", 1.0), WeighedWords("a dog", 1.2))
    assert parts("a cat :-0.5 AND a dog") == (WeighedWords("a cat", -0.5), WeighedWords("a dog", 1.0))
    for plain in ("a house: 2", "SAND and ANDY", "cat AND_dog"):
        assert parts(plain) == (WeighedWords(plain, 1.0),)
        assert joined(plain) == plain
    assert parts("AND a cat") == (WeighedWords("a cat", 1.0),)
    assert joined("a cat AND a dog :1.2") == "a cat, a dog"
    assert joined("AND") == ""
    read = chunks(weigh_words("red (hat BREAK blue:1.2) coat"))
    assert [[(part.text, part.weight) for part in one] for one in read] == [
        [("red ", 1), ("hat", 1.2)],
        [("blue", 1.2), (" coat", 1)],
    ]
    assert unbroken("red hat BREAK blue") == "red hat blue"
    assert unbroken("BREAKFAST") == "BREAKFAST"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" AND ".join("abcde"), because("joined_parts", count=5, most=4)),
        ("a AND b :99", because("joined_weight", value=99.0, typed="b", most=10.0)),
        ("[" + "|".join(map(str, range(40))) + "]", because("scheduled_texts", count=40, most=32)),
    ],
)
def test_what_changes_too_often_is_a_reason(text: str, reason: Reason) -> None:
    assert schedule_problem(text, 50) == reason
    assert schedule_problem("a [b|c] AND [d:e:0.5]", 50) is None


@pytest.mark.parametrize("sign", ["[", "(", "{", "[a:", "{a|", "[a|", "]", "<lora:", "__", "[a:[b|", "\\"])
def test_thousands_of_brackets_are_read_at_once_and_as_text(sign: str) -> None:
    closing = {"[": "]", "(": ")", "{": "}"}
    text = sign * (2000 // len(sign))
    for hostile in (text, text + "".join(closing.get(one, "") + ":0.5" for one in reversed(text))[:4000]):
        at_steps(draw_words(hostile, 1), 8)
        without_tags(hostile)
        weigh_words(hostile)
        chunks(weigh_words(hostile))


@pytest.mark.parametrize(
    ("tag", "read"),
    [
        ("<lora:neon>", ("neon", None, None)),
        ("<lora:neon:0.8>", ("neon", 0.8, None)),
        ("<lora:neon:1:0.5>", ("neon", 0.5, 1.0)),
        ("<lora:neon:0.5:0.5>", ("neon", 0.5, None)),
        ("<lora:neon:te=1:unet=0.5>", ("neon", 0.5, 1.0)),
        ("<LORA:Neon:1>", ("Neon", 1.0, None)),
        ("<lyco:neon:0,5>", ("neon", 0.5, None)),
        ("<lora：neon：0.5>", ("neon", 0.5, None)),
    ],
)
def test_tags_are_read_as_other_tools_write_them(tag: str, read: tuple[str, float | None, float | None]) -> None:
    words, [found] = without_tags(f"a red house {tag}")
    assert words.strip() == "a red house"
    assert (found.name, found.weight, found.words, found.problem) == (*read, None)
    if found.weight is not None:
        assert without_tags(tag_of(found.name, found.weight, found.words))[1] == (found,)


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("<lora:neon:1:lbw=IN02>", because("lora_setting", lora="neon", typed="lbw=IN02")),
        ("<lora:neon:1:1:8>", because("lora_setting", lora="neon", typed="8")),
        ("<lora:neon:strong>", because("lora_no_number", lora="neon", typed="strong")),
        ("<hypernet:neon:1>", because("no_hypernets", typed="neon")),
    ],
)
def test_a_tag_that_cannot_be_followed_says_why(tag: str, reason: Reason) -> None:
    words, [found] = without_tags(f"{tag} a red house")
    assert found.problem == reason
    assert words.strip() == "a red house"


def test_only_tags_outside_of_wildcards_are_sure() -> None:
    text = "{<lora:a:1>|<lora:b:0.5>|} a red house <lora:c>"
    words, [sure] = without_sure_tags(text)
    assert (words.strip(), sure.name) == ("{<lora:a:1>|<lora:b:0.5>|} a red house", "c")
    assert [tag.name for tag in without_tags(text)[1]] == ["a", "b", "c"]
    assert read_tag("ink:0.8").weight == 0.8
