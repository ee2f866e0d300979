"""Sentences to members stay short, whatever was typed and however much there is."""

from __future__ import annotations

import aiohttp
import pytest

from bot.errors import MemberError
from bot.requests import adapters, grids, numbers, painting, tools
from bot.requests.painting import Options
from bot.speaking import SENTENCE_CHARS, take_away, tell
from bot.words.facts import echo, nearest
from inference.protocol import Input
from tests.bot.conftest import add_on, possible, ready, tool
from tests.bot.test_admission import interaction

LONG = "x" * 4000


def test_few_names_are_all_said() -> None:
    assert nearest("b", ["a", "b"]) == "a, b"


def test_of_many_names_the_nearest_are_said_and_how_many_more() -> None:
    names = [f"lora-{number:03}" for number in range(120)] + ["watercolour"]
    assert nearest("WaterColor", names) == "watercolour (+120)"
    assert nearest(LONG, names) == "lora-000, lora-001, lora-002, lora-003, lora-004 (+116)"


def test_what_was_typed_is_cut_and_in_one_line() -> None:
    assert echo("a\nb") == "'a b'"
    assert len(echo(LONG)) == 62


IMAGE = Input("0" * 64, 64, 64)
MANY = ready(
    loras=tuple(add_on(f"lora-{number}-{'y' * 60}", "A LoRA", ("starter",), weight=1.0) for number in range(120)),
    max_loras=3,
    upscalers=tuple(tool(f"upscaler-{number}-{'y' * 60}", "An upscaler") for number in range(120)),
    label_sets={f"set-{number}-{'y' * 60}": ("a", "b") for number in range(120)},
    classifiers=(tool("clip", "CLIP"),),
    max_labels=100,
)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: painting.resolve(Options(prompt="x", loras=LONG), MANY),
        lambda: painting.resolve(Options(prompt="x", model=LONG), MANY),
        lambda: painting.resolve(Options(prompt="x", sampler=LONG), MANY),
        lambda: painting.resolve(Options(prompt="x", style=LONG), MANY),
        lambda: painting.resolve(Options(prompt="x", seed=LONG), MANY),
        lambda: painting.resolve(Options(prompt="x", control_image=IMAGE, control=LONG), MANY),
        lambda: adapters.loras(adapters.named(f"lora-1-{'y' * 60}:{LONG}"), MANY.models[0], MANY),
        lambda: tools.upscale(IMAGE, MANY, upscaler=LONG),
        lambda: tools.classify(IMAGE, MANY, label_set=LONG),
        lambda: tools.classify(IMAGE, MANY, labels=f"{LONG}, b"),
        lambda: grids.parse(LONG),
        lambda: grids.resolve(Options(prompt="x"), grids.parse(f"prompt {LONG}, b"), None, MANY),
        lambda: numbers.whole(LONG, "Steps {typed} is not a whole number."),
        lambda: numbers.number(LONG, "Strength {typed} is not a number."),
    ],
)
def test_no_mistake_makes_a_long_sentence(mistake: object) -> None:
    with pytest.raises(MemberError) as raised:
        possible(mistake(), MANY)  # type: ignore[operator]
    assert len(str(raised.value)) < 700


async def test_longest_sentence_fits_a_message() -> None:
    asked = interaction()
    await tell(asked, LONG)
    [said] = asked.response.send_message.call_args.args
    assert len(said) == SENTENCE_CHARS


@pytest.mark.parametrize("step", ["defer", "delete"])
async def test_message_that_discord_does_not_take_away_is_told_of(step: str) -> None:
    asked = interaction()
    failing = asked.response.defer if step == "defer" else asked.delete_original_response
    failing.side_effect = aiohttp.ServerDisconnectedError
    await take_away(asked)
    assert "press Delete once more" in asked.followup.send.call_args.args[0]
