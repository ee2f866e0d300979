"""From what a member typed to a request that the engine can run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from bot.errors import MemberError
from bot.requests import painting
from bot.requests.painting import VARIATION_STRENGTH, Options, rerolled, varied
from inference.protocol import MAX_SEED, Hires, Imagine, Input, Ready, Refiner, Style, Variation
from tests.bot.conftest import possible, ready, request


def editing(most: int = 4) -> Ready:
    """An engine whose first model can be shown so many pictures, and whose second none."""
    told = ready()
    return structs.replace(told, models=(structs.replace(told.models[0], references=most), told.models[1]))


OLD, MARKED, OTHER = Input("a" * 64, 200, 100), Input("b" * 64, 200, 100), Input("c" * 64, 50, 90)


def edit(told: Ready, *others: Input, mask: Input | None = None, in_part: bool = False, **said: str | float) -> Imagine:
    options = Options(prompt="make it winter", **said)  # type: ignore[arg-type]
    wanted = painting.edit(options, OLD, mask, others, told, in_part=in_part or mask is not None)
    return possible(wanted, told)


def resolve(options: Options, told: Ready) -> Imagine:
    return possible(painting.resolve(options, told), told)


def edited(before: Imagine, fields: dict[str, str], told: Ready) -> Imagine:
    return possible(painting.edited(before, fields, told), told)


def test_silent_options_are_the_models_own() -> None:
    resolved = resolve(Options(prompt="  a red house "), ready())
    assert resolved.prompt == "a red house"
    assert (resolved.model, resolved.steps, resolved.guidance, resolved.sampler) == ("starter", 8, 4.0, "DPM++ 2M")
    assert (resolved.width, resolved.height, resolved.count) == (64, 64, 1)
    assert 0 <= resolved.seed <= MAX_SEED


def test_given_options_are_kept() -> None:
    options = Options(prompt="x", model="turbo", seed="18446744073709551615", steps=4, guidance=1.5, width=512, count=4)
    resolved = resolve(options, ready())
    assert (resolved.model, resolved.seed, resolved.steps) == ("turbo", MAX_SEED, 4)
    assert (resolved.guidance, resolved.width, resolved.height, resolved.count) == (1.5, 512, 512, 4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            Options(prompt="x", width=37),
            "Width 37 does not fit Starter: choose a multiple of 8 from 32 to 256, for example 40.",
        ),
        (Options(prompt="x", height=4096), "Height 4096 does not fit Starter: .* for example 256."),
        (Options(prompt="x", width=256, height=256), "256x256 is too large for Starter"),
        (
            Options(prompt="x", hires=3.0),
            "A second pass at 192x192 is too large for Starter: choose a hires of 2.5 or less, or a smaller width",
        ),
        (Options(prompt="x", hires=9.0), "Hires 9 does not fit: choose a number from 1 to 4."),
        (Options(prompt="x", hires=2.0, hires_strength=3.0), "Hires strength 3 does not fit"),
        (Options(prompt="x", hires_strength=0.5), "The hires strength is for a second pass: say how large as `hires`"),
        (Options(prompt="x", refine=True), "Starter has no refiner here: leave it out."),
        (Options(prompt="x", steps=900), "Steps 900 does not fit: choose a number from 1 to 150."),
        (Options(prompt="x", steps=0), "Steps 0 does not fit"),
        (Options(prompt="x", guidance=-1.0), "Guidance -1 does not fit: choose a number from 0 to 30."),
        (Options(prompt="x", guidance=float("nan")), "Guidance nan does not fit"),
        (Options(prompt="x", count=5), "Count 5 does not fit: choose a number from 1 to 4."),
        (Options(prompt="x", model="dall-e"), "There is no model called 'dall-e': choose one of starter, turbo."),
        (Options(prompt="x", model="sdxl"), "The weights of 'sdxl' are not on this machine yet"),
        (
            Options(prompt="x", sampler="Heun"),
            "Starter has no sampler called 'Heun': choose one of DPM\\+\\+ 2M, Euler a.",
        ),
        (Options(prompt="x", negative="blurry", model="turbo"), "Turbo takes no negative prompt"),
        (Options(prompt=" "), "The prompt is empty"),
        (Options(prompt="x" * 5000), "The prompt has 5000 characters and 2000 is the most: shorten it."),
        (Options(prompt="x", negative="y" * 2001), "The negative prompt has 2001 characters"),
        (Options(prompt="a (red:99) house"), "The weight 99 of 'red' does not fit: choose 0 to 10"),
        (Options(prompt="x", negative="[a] " * 41), "41 parts of the prompt are weighed and 40 is the most"),
        (Options(prompt="x", style="chalk"), "Starter has no style called 'chalk': choose one of oil."),
        (
            Options(prompt="x", style="oil", model="turbo"),
            "Turbo has no styles: leave it out, or choose another model.",
        ),
        (Options(prompt="x", seed="-1"), "Seed '-1' is not a whole number from 0 to 18446744073709551615"),
        (Options(prompt="x", seed="18446744073709551616"), "Seed '18446744073709551616' is not a whole number"),
        (Options(prompt="x", seed="٣"), "is not a whole number"),
        (Options(prompt="x", seed="lucky"), "Seed 'lucky' is not a whole number"),
    ],
)
def test_bad_input_gets_a_sentence_that_says_what_to_do(options: Options, sentence: str) -> None:
    with pytest.raises(MemberError, match=sentence):
        resolve(options, ready())


def test_guidance_is_refused_plainly_by_a_model_that_takes_none() -> None:
    told = ready()
    distilled = structs.replace(told.models[1], max_guidance=0.0)
    told = structs.replace(told, models=(told.models[0], distilled))
    assert resolve(Options(prompt="x", model="turbo"), told).guidance == 0
    with pytest.raises(MemberError, match="Turbo takes no guidance: leave it out, or choose another model."):
        resolve(Options(prompt="x", model="turbo", guidance=1.0), told)


def test_old_request_is_checked_against_todays_engine() -> None:
    with pytest.raises(MemberError, match="no model called 'retired'"):
        possible(request(model="retired"), ready())


def test_variation_steps_aside_from_the_picture_it_stands_under() -> None:
    near = varied(request(seed=MAX_SEED), 1, 55, 4)
    assert (near.seed, near.count) == (0, 4)
    assert near.variations == (Variation(55, VARIATION_STRENGTH),)


def test_variation_of_a_variation_keeps_the_way_there() -> None:
    first = varied(request(seed=7), 0, 55, 4)
    second = varied(first, 2, 99, 4)
    assert second.seed == 7
    assert second.variations == (Variation(57, VARIATION_STRENGTH), Variation(99, VARIATION_STRENGTH))


def test_variation_keeps_the_words_that_its_picture_drew() -> None:
    request_ = request("a {red|blue|green|white} {house|boat}", negative="{fog|rain}", seed=7)
    for index in range(4):
        prompt, negative = request_.drawn(7 + index)
        assert "{" not in prompt + negative
        near = varied(request_, index, 55, 4)
        assert (near.prompt, near.negative) == (prompt, negative)
        assert {near.drawn(near.seed_of(other)) for other in range(4)} == {(prompt, negative)}


def test_style_is_settled_into_the_request_and_stays_there() -> None:
    resolved = resolve(Options(prompt="a house", style="oil"), ready())
    assert resolved.style == Style("oil", "Oil painting", "oil painting of {prompt}", "photograph")
    assert resolved.prompt == "a house"
    assert resolved.styled == ("oil painting of a house", "photograph")
    assert edited(resolved, FORM | {"negative": "fog"}, ready()).styled == (
        "oil painting of a blue boat",
        "fog, photograph",
    )
    assert rerolled(resolved).style == varied(resolved, 0, 5, 4).style == resolved.style


def test_variation_of_a_style_with_wildcards_keeps_all_its_words() -> None:
    style = Style("any", "Any", "{oil|ink|chalk} of {prompt}")
    wild = request("a {red|blue} house", style=style)
    near = varied(wild, 2, 55, 4)
    assert near.drawn(55) == near.styled == wild.drawn(wild.seed_of(2))


def test_picture_of_a_long_prompt_in_a_style_can_be_varied() -> None:
    style = Style("any", "Any", "{oil|ink|chalk} painting of {prompt}, in fine detail")
    long = request("a {red|blue} house ".ljust(1940, "x"), style=style)
    near = varied(possible(long, ready()), 0, 55, 4)
    assert possible(near, ready()).styled == long.drawn(long.seed)
    assert possible(rerolled(near), ready()).prompt == near.prompt
    form = FORM | {"prompt": near.prompt, "seed": "8"}
    assert edited(near, form, ready()).variations == ()
    with pytest.raises(MemberError, match="The prompt has 2035 characters with the words of its style and 2000 is the"):
        possible(request("x" * 1991, style=style), ready())


def test_second_pass_is_as_many_times_larger_as_was_asked_for() -> None:
    resolved = resolve(Options(prompt="x", width=64, height=48, hires=1.6), ready())
    assert resolved.hires == Hires(104, 80, 0.45)
    assert resolve(Options(prompt="x"), ready()).hires is None
    again = edited(resolved, FORM | {"size": "64x48"}, ready())
    assert again.hires == resolved.hires


def test_refiner_is_taken_where_the_model_has_one_and_nobody_says_no() -> None:
    assert resolve(Options(prompt="x", model="turbo"), ready()).refiner == Refiner("turbo-refiner", 0.2)
    left_out = resolve(Options(prompt="x", model="turbo", refine=False), ready())
    assert left_out.refiner is None
    assert edited(left_out, FORM | {"size": "", "steps": ""}, ready()).refiner is None
    assert resolve(Options(prompt="x"), ready()).refiner is None


def test_few_steps_are_enough_for_the_strength_of_a_start_picture() -> None:
    image = Input("0" * 64, 64, 64)
    assert resolve(Options(prompt="x", model="turbo", image=image, strength=0.3), ready()).steps == 4
    assert resolve(Options(prompt="x", image=image, strength=0.3), ready()).steps == 8
    assert resolve(Options(prompt="x", model="turbo", image=image, strength=0.3, steps=2), ready()).steps == 2


def test_reroll_keeps_everything_but_the_noise() -> None:
    again = rerolled(request(variations=(Variation(1, 0.3),), steps=20))
    assert again.variations == ()
    assert again.steps == 20


FORM = {"prompt": "a blue boat", "negative": "", "seed": "7", "size": "64 x 96", "steps": "12"}


def test_edit_form_changes_what_was_typed_and_keeps_the_rest() -> None:
    old = request(seed=7, guidance=6.5, sampler="Euler a", count=2, variations=(Variation(1, 0.3),))
    new = edited(old, FORM, ready())
    assert (new.prompt, new.width, new.height, new.steps) == ("a blue boat", 64, 96, 12)
    assert (new.guidance, new.sampler, new.count, new.variations) == (6.5, "Euler a", 2, old.variations)


def test_edit_form_with_another_seed_leaves_the_variations_behind() -> None:
    assert edited(request(variations=(Variation(1, 0.3),)), FORM | {"seed": "8"}, ready()).variations == ()


def test_empty_fields_of_the_edit_form_are_left_to_the_model() -> None:
    new = edited(request(steps=50), FORM | {"seed": " ", "size": "", "steps": ""}, ready())
    assert (new.width, new.height, new.steps) == (64, 64, 8)


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("size", "huge", "Size 'huge' is not a width and a height: write it like 512x768."),
        ("size", "37x64", "Width 37 does not fit"),
        ("steps", "many", "Steps 'many' is not a whole number"),
        ("steps", "-3", "Steps -3 does not fit"),
        ("seed", "-1", "Seed '-1' is not a whole number"),
        ("prompt", "   ", "The prompt is empty"),
    ],
)
def test_bad_edit_form_gets_a_sentence(field: str, text: str, sentence: str) -> None:
    with pytest.raises(MemberError, match=sentence):
        edited(request(), FORM | {field: text}, ready())


def test_who_edits_by_instruction_is_shown_the_picture_and_starts_from_noise() -> None:
    asked = edit(editing())
    assert (asked.references, asked.image, asked.strength) == ((OLD,), None, 1.0)
    # In the picture's proportions, at as many pixels as the model's own size.
    assert (asked.width, asked.height) == (88, 48)
    assert edit(editing(), OTHER).references == (OLD, OTHER)
    assert edit(editing(), strength=1.0, seed="7") == edit(editing(), seed="7")
    under = edit(editing(), strength=0.5)
    assert (under.references, under.image, under.strength) == ((OLD,), OLD, 0.5)


@pytest.mark.parametrize("in_part", [{"mask": MARKED}, {"in_part": True}])
def test_in_a_part_of_a_picture_the_rest_is_kept_and_the_whole_is_shown_too(in_part: dict[str, Any]) -> None:
    asked = edit(editing(), OTHER, **in_part)
    assert (asked.image, asked.mask, asked.strength) == (OLD, in_part.get("mask"), 1.0)
    assert asked.references == (OLD, OTHER)


def test_other_models_are_asked_as_they_always_were() -> None:
    before = painting.resolve(Options(prompt="x", seed="1", image=OLD, mask=MARKED, strength=1.0), ready())
    asked = painting.edit(Options(prompt="x", seed="1"), OLD, MARKED, (), ready(), in_part=True)
    assert asked == before
    assert asked.references == ()
    with pytest.raises(MemberError, match="Starter looks at no pictures beside the words: leave `reference` out"):
        edit(ready(), OTHER, mask=MARKED)


def test_too_many_pictures_and_too_long_ones_are_refused_with_what_to_do() -> None:
    with pytest.raises(MemberError, match="2 pictures are too many for Starter, which looks at 1: leave some out."):
        edit(editing(1), OTHER)
    with pytest.raises(MemberError, match="A picture of 900x100 is too long to be looked at .* 8 times .*: cut it."):
        edit(editing(), Input("d" * 64, 900, 100))


def test_what_was_looked_at_stays_where_a_picture_is_made_again() -> None:
    told = editing()
    asked = edit(told, OTHER, seed="7")
    fields = {"prompt": "make it summer", "negative": "", "seed": "7", "size": "", "steps": ""}
    again = edited(asked, fields, told)
    assert again == structs.replace(asked, prompt="make it summer")
    assert rerolled(asked).references == varied(asked, 0, 5, 4).references == (OLD, OTHER)
    assert asked.inputs == (OLD, OTHER)


def test_requests_of_before_are_read_as_they_were() -> None:
    stored = msgspec.json.decode(msgspec.json.encode(request()))
    del stored["references"]
    assert msgspec.convert(stored, Imagine) == request()
