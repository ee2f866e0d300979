"""/imagine from the keys to the picture: real bot, real engine, real starter model, the sandbox as Discord."""

from __future__ import annotations

import pytest

from inference.families.samplers import DIFFUSION
from sandbox.client.member import Member, text_of
from tests.e2e.asking import QUICK, finished, forgotten, gone, has_button, is_private, number, painted, picture
from tests.e2e.conftest import Studio

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_member_types_a_prompt_and_gets_a_picture_with_its_recipe(ada: Member) -> None:
    reply = await ada.command("/imagine prompt:a red house on a meadow at night seed:7")
    message, [data] = await painted(ada, reply)
    png = picture(data)
    assert (png.format, png.size) == ("PNG", (256, 256))
    assert png.info["parameters"].startswith("a red house on a meadow at night\n")
    assert "Seed: 7" in png.info["parameters"]
    assert "seed 7" in text_of(message)
    assert {"V1", "Re-roll", "Edit", "Delete"} == {
        label for label in ("V1", "V2", "Re-roll", "Edit", "Delete", "Cancel") if has_button(message, label)
    }


async def test_same_seed_gives_the_same_picture_and_another_seed_another(ada: Member, linus: Member) -> None:
    asked = f"/imagine prompt:a blue boat {QUICK} seed:"
    message, first = await painted(ada, await ada.command(f"{asked}18446744073709551615"))
    await forgotten(ada, message)
    _, second = await painted(linus, await linus.command(f"{asked}18446744073709551615"))
    _, other = await painted(ada, await ada.command(f"{asked}3"))
    assert first == second
    assert first != other


async def test_picture_of_a_set_can_be_made_again_alone(ada: Member) -> None:
    _, four = await painted(ada, await ada.command(f"/imagine prompt:a green tree {QUICK} seed:10 count:4"))
    _, third = await painted(ada, await ada.command(f"/imagine prompt:a green tree {QUICK} seed:12"))
    assert len(set(four)) == 4
    # Their recipes differ in the count; their pixels do not.
    assert picture(third[0]).tobytes() == picture(four[2]).tobytes()


async def test_variations_reroll_and_variation_of_a_variation(ada: Member, linus: Member) -> None:
    message, [original] = await painted(ada, await ada.command(f"/imagine prompt:a yellow star {QUICK} seed:5"))
    near, variations = await painted(linus, await linus.click(message, "V1"))
    assert len({original, *variations}) == 5
    assert "Variation seed" in picture(variations[0]).info["parameters"]
    _, nearer = await painted(ada, await ada.click(near, "V3"))
    assert len({*variations, *nearer}) == 8
    rerolled, again = await painted(ada, await ada.click(message, "Re-roll"))
    assert again != [original]
    assert "a yellow star" in text_of(rerolled)


async def test_reroll_by_number_paints_the_very_same_variations_again(ada: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:a cat {QUICK}"))
    varied, variations = await painted(ada, await ada.click(message, "V1"))
    job = number(varied)
    assert job in [choice["value"] for choice in await ada.complete("reroll", "job", job=str(job))]
    _, again = await painted(ada, await ada.command(f"/reroll job:{job}"))
    assert again == variations
    _, new = await painted(ada, await ada.command("reroll", {"job": job, "seed": "new"}))
    assert new != variations


async def test_edit_form_comes_filled_in_and_paints_what_it_says(ada: Member) -> None:
    message, [before] = await painted(ada, await ada.command(f"/imagine prompt:a red house {QUICK} seed:7"))
    form = await ada.click(message, "Edit")
    assert form.modal is not None
    values = {label["component"]["custom_id"]: label["component"].get("value") for label in form.modal["components"]}
    assert values == {"prompt": "a red house", "negative": None, "seed": "7", "size": "64x64", "steps": "4"}
    edited, [after] = await painted(ada, await ada.submit(form, {"prompt": "a blue house", "size": "96x64"}))
    assert picture(after).size == (384, 256)
    assert "a blue house" in text_of(edited)
    assert after != before
    form = await ada.click(message, "Edit")
    _, [same] = await painted(ada, await ada.submit(form, {}))
    assert same == before


async def test_only_the_member_or_a_moderator_deletes(ada: Member, linus: Member, grace: Member) -> None:
    first, _ = await painted(ada, await ada.command(f"/imagine prompt:a fish {QUICK}"))
    second, _ = await painted(ada, await ada.command(f"/imagine prompt:a fish {QUICK}"))
    refusal = await linus.click(first, "Delete")
    assert is_private(refusal)
    assert "only their member or a moderator" in text_of(refusal.message)
    await ada.click(first, "Delete", until="acknowledged")
    await grace.click(second, "Delete", until="acknowledged")
    for message in (first, second):
        await gone(ada, message)
    assert f"no job {number(first)}" in text_of((await ada.command(f"/reroll job:{number(first)}")).message)


async def test_waiting_and_running_jobs_can_be_cancelled(ada: Member, linus: Member) -> None:
    running = await ada.command("/imagine prompt:a slow robot steps:50 count:4")
    waiting = await linus.command("/imagine prompt:a patient mushroom steps:50 count:4")
    message = await linus.wait_for(waiting.message, lambda message: has_button(message, "Cancel"))
    assert "in the queue" in text_of(message)
    refusal = await ada.click(message, "Cancel")
    assert "This is not your job" in text_of(refusal.message)
    await linus.click(message, "Cancel", until="acknowledged")
    assert "Cancelled." in text_of(await finished(linus, waiting))
    message = await ada.wait_for(running.message, lambda message: has_button(message, "Cancel"))
    await ada.click(message, "Cancel", until="acknowledged")
    ended = await finished(ada, running)
    assert "Cancelled." in text_of(ended)
    assert has_button(ended, "Try again")


async def test_progress_and_previews_are_shown_on_the_way(ada: Member) -> None:
    reply = await ada.command("/imagine prompt:a red house in the snow steps:50 count:4")
    seen = await ada.wait_for(reply.message, lambda message: "▰" in text_of(message))
    assert "/200" in text_of(seen)
    seen = await ada.wait_for(seen, lambda message: "preview.webp" in str(message["components"]))
    [preview] = await ada.pictures(seen)
    assert picture(preview).format == "WEBP"
    _, pictures = await painted(ada, reply)
    assert len(pictures) == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("prompt:a house width:37", "Width 37 does not fit Starter: choose a multiple of"),
        ("prompt:a house steps:900", "Steps 900 does not fit: choose a number from 1 to"),
        ("prompt:a house model:dall-e", "There is no model called 'dall-e'"),
        ("prompt:a house model:sdxl", "The weights of 'sdxl' are not on this machine yet"),
        ("prompt:a house sampler:Heun", "has no sampler called 'Heun': choose one of"),
        ("prompt:a house seed:-1", "is not a whole number from 0 to 18446744073709551615"),
        ("prompt:a house seed:18446744073709551616", "is not a whole number from 0 to 18446744073709551615"),
        (f"prompt:{'x' * 5000}", "The prompt has 5000 characters and 4000 is the most"),
        ("prompt:  \u200b ", "The prompt is empty"),
    ],
)
async def test_bad_input_is_answered_to_the_member_alone(ada: Member, options: str, sentence: str) -> None:
    reply = await ada.command(f"/imagine {options}")
    assert is_private(reply)
    assert sentence in text_of(reply.message)


async def test_models_and_samplers_are_offered_as_one_types(ada: Member) -> None:
    assert [choice["value"] for choice in await ada.complete("imagine", "model", model="STAR")] == ["starter"]
    samplers = [choice["value"] for choice in await ada.complete("imagine", "sampler", sampler="")]
    assert sorted(samplers) == sorted(DIFFUSION)
    assert [choice["value"] for choice in await ada.complete("imagine", "sampler", sampler="ddi")] == ["DDIM"]


async def test_markdown_and_mentions_of_a_prompt_are_shown_as_written(ada: Member) -> None:
    message, _ = await painted(ada, await ada.command(f"/imagine prompt:@everyone **a** `tree` <@1> {QUICK}"))
    assert message["mention_everyone"] is False
    assert message["mentions"] == []
    assert "\\*\\*a\\*\\*" in text_of(message)


async def test_member_with_too_many_waiting_jobs_is_told(ada: Member) -> None:
    replies = [await ada.command("/imagine prompt:a cup steps:50 count:4") for _ in range(10)]
    refused = [reply for reply in replies if is_private(reply)]
    assert refused
    assert "5 jobs waiting" in text_of(refused[0].message)
    accepted = [reply for reply in replies if not is_private(reply)]
    for reply in reversed(accepted):
        message = await ada.wait_for(reply.message, lambda message: bool(message["components"]))
        await ada.click(message, "Cancel", until="acknowledged")
    for reply in accepted:
        await finished(ada, reply)


async def test_everything_the_bot_sent_keeps_to_discords_description(studio: Studio) -> None:
    assert await studio.problems() == []
