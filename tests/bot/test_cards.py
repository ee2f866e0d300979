"""What members wrote is shown as they wrote it, within Discord's lengths."""

from __future__ import annotations

import json

from bot import cards
from bot.commands.imagine import LOOK
from inference.protocol import Progress
from tests.bot.conftest import job


def test_markdown_and_mentions_are_disarmed() -> None:
    shown = cards.plain("**bold** @everyone <@1> # `code`\nsecond line")
    assert "**" not in shown
    assert "@everyone" not in shown
    assert "\n" not in shown


def test_long_prompt_is_shortened_where_it_is_shown() -> None:
    assert cards.shorten("x" * 400, 300) == "x" * 299 + "…"
    assert len(LOOK.headline(job(1, prompt="x" * 2000).request)) == cards.PROMPT_CHARS + 4


def test_progress_bar_fills_from_empty_to_full() -> None:
    assert [cards.bar(step, 8).count("▰") for step in (0, 4, 8)] == [0, 8, 16]


def test_running_card_shows_the_preview_and_can_be_cancelled() -> None:
    card = cards.running(job(3), "**x**", Progress(3, 2, 8), b"webp")
    shown = json.dumps(card.view.to_components(), ensure_ascii=False)
    assert card.files == (("preview.webp", b"webp"),)
    assert "attachment://preview.webp" in shown
    assert "2/8" in shown
    assert "easel:cancel:3" in shown
