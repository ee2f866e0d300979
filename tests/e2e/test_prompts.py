"""What can be written into a prompt, from the keys to the picture."""

from __future__ import annotations

import pytest

from inference.protocol import draw_words
from sandbox.client.member import Member, text_of
from tests.e2e.asking import QUICK, has_button, is_private, painted, picture
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")

WILD = "a {red|blue|green} {house|boat}"


async def test_wildcards_draw_words_for_every_picture_and_the_card_says_which(ada: Member) -> None:
    message, pictures = await painted(ada, await ada.command(f"/imagine prompt:{WILD} {QUICK} seed:7 count:4"))
    for index, data in enumerate(pictures):
        drawn = draw_words(WILD, 7 + index)
        assert picture(data).info["parameters"].splitlines()[0] == drawn
        assert f"{index + 1}. {drawn}" in text_of(message)
    assert picture(pictures[0]).tobytes() != picture(pictures[1]).tobytes()
    _, variations = await painted(ada, await ada.click(message, "V2"))
    words = {picture(data).info["parameters"].splitlines()[0] for data in variations}
    assert words == {draw_words(WILD, 8)}


async def test_style_is_offered_and_paints_with_words_that_the_model_knows(ada: Member) -> None:
    offered = [choice["value"] for choice in await ada.complete("imagine", "style", style="WATER")]
    assert offered == ["watercolour"]
    asked = f"/imagine prompt:a red house {QUICK} seed:7"
    message, [data] = await painted(ada, await ada.command(f"{asked} style:watercolour"))
    assert "Watercolour" in text_of(message)
    assert picture(data).info["parameters"].startswith("a red house, watercolour style\n")
    _, [written_out] = await painted(
        ada, await ada.command(f"/imagine prompt:a red house, watercolour style {QUICK} seed:7")
    )
    assert picture(written_out).tobytes() == picture(data).tobytes()
    _, [again] = await painted(ada, await ada.click(message, "Re-roll"))
    assert picture(again).info["parameters"].startswith("a red house, watercolour style\n")
    refused = await ada.command(f"{asked} style:oil")
    assert is_private(refused)
    assert "Starter has no style called 'oil': choose one of watercolour" in text_of(refused.message)


async def test_layers_of_a_composed_picture_become_an_imagine(ada: Member) -> None:
    form = await ada.command("/compose model:starter")
    assert form.modal is not None
    fields = {label["component"]["custom_id"]: label["component"] for label in form.modal["components"]}
    assert list(fields) == ["subject", "environment", "style"]
    assert [option["label"] for option in fields["style"]["options"]][:2] == ["Watercolour", "Cartoon"]
    layers = {"subject": "a red house, ", "environment": "on a meadow", "style": ["cartoon"]}
    message, [data] = await painted(ada, await ada.submit(form, layers))
    assert picture(data).info["parameters"].startswith("a red house, on a meadow, cartoon style\n")
    assert "Cartoon" in text_of(message)
    assert has_button(message, "Edit")
    _, [bare] = await painted(ada, await ada.submit(await ada.command("/compose"), {"subject": "a (red) house"}))
    assert picture(bare).info["parameters"].startswith("a (red) house\n")
    refused = await ada.submit(await ada.command("/compose"), {"subject": "a (red:99) house"})
    assert is_private(refused)
    assert "The weight 99" in text_of(refused.message)
    unknown = await ada.command("/compose model:dall-e")
    assert is_private(unknown)
    assert "There is no model called 'dall-e'" in text_of(unknown.message)


async def test_weights_and_long_prompts_change_the_picture(ada: Member) -> None:
    long = "a red house on a meadow at night, " * 20
    prompts = ("a red house", "a (red:1.0) house", "a (red:1.5) house", f"{long} cat", f"{long} boat")
    pixels = []
    for prompt in prompts:
        _, [data] = await painted(ada, await ada.command("imagine", {"prompt": prompt, "seed": "7", "steps": 4}))
        pixels.append(picture(data).tobytes())
    assert pixels[0] == pixels[1]
    assert len(set(pixels)) == 4


async def test_a_weight_that_means_nothing_is_answered_to_the_member_alone(ada: Member) -> None:
    reply = await ada.command("/imagine prompt:a (red:99) house")
    assert is_private(reply)
    assert "The weight 99 of 'red' does not fit: choose 0 to 10" in text_of(reply.message)


async def test_everything_the_bot_sent_keeps_to_discords_description(studio: Studio) -> None:
    assert await studio.problems() == []
