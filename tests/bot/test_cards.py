"""What members wrote is shown as they wrote it, within Discord's lengths."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bot import cards
from bot.commands.imagine import Looks
from bot.job import StoredPicture, asked
from bot.pictures.fitting import Shown
from inference.protocol import Answer, Imagine, Progress
from tests.bot.conftest import job


def test_markdown_and_mentions_are_disarmed() -> None:
    shown = cards.plain("**bold** @everyone <@1> # `code`\nsecond line")
    assert "**" not in shown
    assert "@everyone" not in shown
    assert "\n" not in shown


def test_long_prompt_is_shortened_where_it_is_shown() -> None:
    assert cards.shorten("x" * 400, 300) == "x" * 299 + "…"
    assert len(Looks().headline(job(1, prompt="x" * 2000).request)) == cards.PROMPT_CHARS + 4


def test_progress_bar_fills_from_empty_to_full() -> None:
    assert [cards.bar(step, 8).count("▰") for step in (0, 4, 8)] == [0, 8, 16]


def test_running_card_shows_the_preview_and_can_be_cancelled() -> None:
    card = cards.running(job(3), "**x**", Progress(3, 2, 8), b"webp")
    shown = json.dumps(card.view.to_components(), ensure_ascii=False)
    assert card.files == (("preview.webp", b"webp"),)
    assert "attachment://preview.webp" in shown
    assert "2/8" in shown
    assert "easel:cancel:3" in shown
    assert described(card) == ["What job 3 looks like so far"]


def described(card: cards.Card) -> list[str | None]:
    """What is said of the pictures of a card to who does not see them."""
    [container] = card.view.to_components()
    return [item["description"] for part in container["components"] for item in part.get("items", [])]


def test_picture_that_was_flagged_is_hidden_until_somebody_wants_to_see_it() -> None:
    of_two = replace(
        job(3),
        state="finished",
        pictures=(StoredPicture("a" * 64, 7, 64, 64, flagged=True), StoredPicture("b" * 64, 8, 64, 64)),
    )
    shown = [Shown(Path("one.png"), "png"), Shown(Path("two.png"), "png")]
    card = cards.result(of_two, "**x**", "", shown, "a house", [[]])
    [container] = card.view.to_components()
    items = [item for part in container["components"] for item in part.get("items", [])]
    assert [(item["media"]["url"], item["spoiler"]) for item in items] == [
        ("attachment://SPOILER_easel-3-1.png", True),
        ("attachment://easel-3-2.png", False),
    ]
    assert [name for name, _ in card.files] == ["SPOILER_easel-3-1.png", "easel-3-2.png"]
    barer = cards.bare(of_two, "This job is finished.", card.files)
    assert described(barer) == ["This job is finished."] * 2
    assert "true" in json.dumps(barer.view.to_components())


def test_words_that_wildcards_drew_are_shown_for_each_picture() -> None:
    pictures = tuple(StoredPicture("0" * 64, seed, 64, 64) for seed in (7, 8))
    wild = replace(job(3, prompt="a {red|blue} *house*", negative="{fog|rain}", count=2), pictures=pictures)
    request = asked(wild, Imagine)
    shown = [Shown(Path("made.png"), "png")] * 2
    text = str(Looks().finished(wild, shown).view.to_components())
    for number, seed in ((1, 7), (2, 8)):
        prompt, negative = request.drawn(seed)
        assert f"{number}. {cards.plain(prompt)} · without {negative}" in text.replace("\\\\", "\\")
    plain = replace(job(3, prompt="a {red} house", count=2), pictures=pictures)
    assert "1. " not in str(Looks().finished(plain, shown).view.to_components())


def test_what_was_done_otherwise_than_asked_stands_in_the_small_print() -> None:
    done = replace(job(3), answer=Answer(notes=("Tiny does not weigh words: the weights were left out.",)))
    shown = json.dumps(Looks().finished(done, []).view.to_components())
    assert "the weights were left out" in shown
