"""LoRAs and ControlNets as members ask for them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from bot.errors import MemberError
from bot.requests import painting
from bot.requests.painting import Options
from inference.protocol import Control, Drawn, Imagine, Input, Lora, Ready, Style, without_sure_tags
from tests.bot.conftest import add_on, possible, ready, request


def resolve(options: Options, told: Ready) -> Imagine:
    return possible(painting.resolve(options, told), told)


def edited(before: Imagine, fields: dict[str, str], told: Ready) -> Imagine:
    return possible(painting.edited(before, fields, told), told)


INK = add_on("ink", "Ink", ("starter",), weight=0.8, trigger="ink drawing")
NEON = add_on("neon", "Neon lights", ("starter", "turbo"), weight=1.0)
XL = add_on("xl", "For XL", ("turbo",), weight=1.0)
CANNY = add_on("canny", "Canny", ("starter",), weight=0.7, beside=("canny", "depth"))
DEPTH = add_on("depth", "Depth, near is bright", ("starter",), weight=0.9, beside=("canny", "depth"))
ALONE = add_on("alone", "Alone", ("starter",))
APART = add_on("apart", "Of another kind", ("starter",), beside=("apart",))
PICTURE = Input("0" * 64, 64, 64)
OTHER = Input("1" * 64, 64, 64)


def able() -> Ready:
    return ready(loras=(INK, NEON, XL), controls=(CANNY, DEPTH, ALONE, APART), max_loras=3)


@pytest.mark.parametrize(
    ("typed", "loras"),
    [
        ("ink", (Lora("ink", 0.8),)),
        ("ink:1.2, Neon lights", (Lora("ink", 1.2), Lora("neon", 1.0))),
        (" neon : -0.5 ,", (Lora("neon", -0.5),)),
        ("INK:0", (Lora("ink", 0.0),)),
        ("ink：0.5， neon:1:0.5", (Lora("ink", 0.5), Lora("neon", 0.5, 1.0))),
    ],
)
def test_loras_are_written_as_names_with_weights(typed: str, loras: tuple[Lora, ...]) -> None:
    assert resolve(Options(prompt="x", loras=typed), able()).loras == loras


def test_tags_of_other_tools_leave_the_prompt_and_become_loras() -> None:
    resolved = resolve(Options(prompt="a cat <lora:ink:0.5> at night <lora:neon>"), able())
    assert resolved.prompt == "a cat at night"
    assert resolved.loras == (Lora("ink", 0.5), Lora("neon", 1.0))
    assert without_sure_tags("a  cat, 2 < 3") == ("a  cat, 2 < 3", ())


@pytest.mark.parametrize(
    ("prompt", "loras"),
    [
        ("<lora:ink:1:0.5> a red house", (Lora("ink", 0.5, 1.0),)),
        ("<lora:ink:te=1:unet=0.5> a red house", (Lora("ink", 0.5, 1.0),)),
        ("<lyco:ink:1> a red house", (Lora("ink", 1.0),)),
        ("<LORA:INK:1> a red house", (Lora("ink", 1.0),)),
        ("<lora：ink：0.5> a red house", (Lora("ink", 0.5),)),
    ],
)
def test_tags_are_read_however_other_tools_write_them(prompt: str, loras: tuple[Lora, ...]) -> None:
    resolved = resolve(Options(prompt=prompt), able())
    assert (resolved.prompt, resolved.loras) == ("a red house", loras)


def test_a_tag_that_cannot_be_followed_is_refused_and_not_painted() -> None:
    for prompt in ("<lora:ink:1:lbw=IN02> a red house", "{<lora:ink:1:lbw=IN02>|} a red house"):
        with pytest.raises(MemberError, match="The LoRA ink cannot be set as 'lbw=IN02': leave that out."):
            resolve(Options(prompt=prompt), able())
    with pytest.raises(MemberError, match="There is no LoRA called 'nobody' here: choose one of ink, neon."):
        resolve(Options(prompt="{<lora:nobody:1>|} a red house"), able())
    with pytest.raises(MemberError, match="does not go with Starter"):
        resolve(Options(prompt="{<lora:XL>|} a red house"), able())
    with pytest.raises(MemberError, match="The weight 9 of a LoRA does not fit"):
        resolve(Options(prompt="{<lora:ink:9>|} a red house"), able())


def test_what_a_wildcard_decides_about_stays_in_the_prompt() -> None:
    wild = "{<lora:ink:1>|<lora:neon:0.5>|} a red house"
    resolved = resolve(Options(prompt=f"{wild} <lora:neon>"), able())
    assert (resolved.prompt, resolved.loras) == (wild, (Lora("neon", 1.0),))


def test_a_lora_for_few_steps_brings_what_it_needs_where_nothing_else_is_asked() -> None:
    few = structs.replace(NEON, sampler="Euler a", steps=3, guidance=1.0)
    told = ready(loras=(INK, few), max_loras=3)

    def settings(options: Options) -> tuple[str, int, float]:
        resolved = resolve(options, told)
        return resolved.sampler, resolved.steps, resolved.guidance

    usual = settings(Options(prompt="x", loras="ink"))
    assert settings(Options(prompt="x", loras="ink, neon")) == ("Euler a", 3, 1.0) != usual
    assert settings(Options(prompt="x <lora:neon:0.5>")) == ("Euler a", 3, 1.0)
    assert settings(Options(prompt="x", loras="neon:0")) == usual
    asked = Options(prompt="x", loras="neon", sampler="DPM++ 2M", steps=9, guidance=5.0)
    assert settings(asked) == ("DPM++ 2M", 9, 5.0)
    assert settings(Options(prompt="{<lora:neon>|}")) == usual


def test_clip_skip_is_the_models_own_and_the_usual_one_is_none() -> None:
    told = ready()
    starter = structs.replace(told.models[0], usual_layer=1, clip_skip=2)
    able = structs.replace(told, models=(starter, *told.models[1:]))
    assert resolve(Options(prompt="x"), able).clip_skip == 2
    assert resolve(Options(prompt="x", clip_skip=1), able).clip_skip is None
    assert resolve(Options(prompt="x", clip_skip=12), able).clip_skip == 12
    for wrong, sentence in ((0, "Clip skip 0 does not fit: choose a number from 1 to 12"), (13, "Clip skip 13")):
        with pytest.raises(MemberError, match=sentence):
            resolve(Options(prompt="x", clip_skip=wrong), able)
    with pytest.raises(MemberError, match="Starter has no layers to skip"):
        resolve(Options(prompt="x", clip_skip=2), told)


def test_a_variation_keeps_the_words_and_the_loras_that_its_picture_drew() -> None:
    wild = resolve(Options(prompt="{<lora:ink:1>|} a __colour__ house", style=None), able())
    drawn = (Drawn("a red house", "", (Lora("ink", 1.0),)), Drawn("a blue house", "fog"))
    second = painting.varied(wild, 1, 9, 1, drawn)
    assert (second.prompt, second.negative, second.loras) == ("a blue house", "fog", ())
    assert painting.varied(wild, 0, 9, 1, drawn).loras == (Lora("ink", 1.0),)


def test_a_variation_of_a_long_prompt_with_a_wildcard_and_a_style_is_possible() -> None:
    style = Style("oil", "Oil", "oil painting of {prompt}, thick strokes")
    long = structs.replace(request(prompt="{red|blue} house, " + "x" * 1970), style=style)
    assert len(long.prompt) > 1980
    told = structs.replace(able(), max_prompt_chars=4000)
    possible(painting.varied(possible(long, told), 0, 9, 1), told)


def test_a_picture_to_follow_takes_the_first_controlnet_that_goes_with_the_model() -> None:
    assert resolve(Options(prompt="x", control_image=PICTURE), able()).control == Control("canny", PICTURE, 0.7)
    chosen = Options(prompt="x", control_image=PICTURE, control="canny", control_weight=1.5)
    assert resolve(chosen, able()).control == Control("canny", PICTURE, 1.5)


@pytest.mark.parametrize(
    ("options", "controls"),
    [
        ({}, (Control("canny", PICTURE, 0.7), Control("canny", OTHER, 0.7))),
        ({"control": "depth"}, (Control("depth", PICTURE, 0.9), Control("depth", OTHER, 0.9))),
        ({"control": "depth, Canny"}, (Control("depth", PICTURE, 0.9), Control("canny", OTHER, 0.7))),
        ({"control": "canny：0.5， depth:0"}, (Control("canny", PICTURE, 0.5), Control("depth", OTHER, 0.0))),
        (
            {"control": "canny:0.5, depth", "control_weight": 0.2},
            (Control("canny", PICTURE, 0.5), Control("depth", OTHER, 0.2)),
        ),
        (
            {"control": "canny, depth", "control_image2": None},
            (Control("canny", PICTURE, 0.7), Control("depth", PICTURE, 0.9)),
        ),
        ({"control": "Depth, near is bright", "control_image2": None}, (Control("depth", PICTURE, 0.9),)),
        ({"control": "depth", "control_image": None}, (Control("depth", OTHER, 0.9),)),
    ],
)
def test_two_pictures_are_followed_as_they_are_named_each_with_its_weight(
    options: dict[str, Any], controls: tuple[Control, ...]
) -> None:
    given = Options(**{"prompt": "x", "control_image": PICTURE, "control_image2": OTHER, **options})
    assert resolve(given, able()).controls == controls


def followed(control: str) -> Options:
    return Options(prompt="x", control_image=PICTURE, control_image2=OTHER, control=control)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(prompt="x", loras="oil"), "There is no LoRA called 'oil' here: choose one of ink, neon."),
        (Options(prompt="x", loras="xl"), "The LoRA 'xl' does not go with Starter: leave `lora` out"),
        (Options(prompt="x", loras="ink:much"), "The weight of ink 'much' is not a number"),
        (Options(prompt="x", loras="ink:3"), "The weight 3 of a LoRA does not fit: choose a number from -2 to 2."),
        (Options(prompt="x", loras="ink, ink:0.5"), "The LoRA 'ink' comes twice: name it once."),
        (Options(prompt="x <lora:ink:1> <lora:neon:1>", loras="ink"), "The LoRA 'ink' comes twice"),
        (Options(prompt="<lora:ink:1>"), "The prompt is empty"),
        (Options(prompt="x", control="canny"), "give one as `control_image`"),
        (Options(prompt="x", control_weight=1.0), "give one as `control_image`"),
        (Options(prompt="x", control_image=PICTURE, control="pose"), "no ControlNet called 'pose' here: choose"),
        (Options(prompt="x", control_image=PICTURE, control_weight=-1.0), "Control weight -1 does not fit"),
        (Options(prompt="x", model="turbo", control_image=PICTURE), "There is no ControlNet for Turbo here"),
        (followed("alone, canny"), "Starter follows one picture at a time, by one ControlNet: leave the other out."),
        (followed("canny, alone"), "The ControlNet 'alone' does not work beside canny: choose one of canny, depth"),
        (followed("apart, canny"), "The ControlNet 'canny' does not work beside apart: choose one of apart as the"),
        (followed("canny, pose"), "no ControlNet called 'pose' here: choose"),
        (followed("canny, depth, canny"), "3 ControlNets are too many: name up to 2."),
        (followed("canny, depth:3"), "Control weight 3 does not fit"),
        (followed("canny:much"), "Write a ControlNet as canny, or with its weight as canny:0.8."),
        (followed("canny:1:0.5"), "Write a ControlNet as canny, or with its weight as canny:0.8."),
    ],
)  # fmt: skip
def test_what_does_not_fit_gets_a_sentence(options: Options, sentence: str) -> None:
    with pytest.raises(MemberError) as refused:
        resolve(options, able())
    assert sentence in str(refused.value)


def test_too_many_loras_are_refused() -> None:
    few = ready(loras=(INK, NEON), max_loras=1)
    with pytest.raises(MemberError, match="2 LoRAs are too many: choose up to 1."):
        resolve(Options(prompt="x", loras="ink, neon"), few)


def test_an_old_request_whose_lora_is_gone_is_refused() -> None:
    with pytest.raises(MemberError, match="There is no LoRA called 'gone' here"):
        possible(request(loras=(Lora("gone", 1.0),)), able())


def test_an_edit_keeps_them_unless_the_words_name_others() -> None:
    before = request(loras=(Lora("ink", 0.8),), control=Control("canny", PICTURE, 1.0))
    before = structs.replace(before, control2=Control("depth", OTHER, 0.4))
    fields = {"prompt": "a boat", "negative": "", "seed": "7", "size": "", "steps": ""}
    after = edited(before, fields, able())
    assert (after.loras, after.controls) == (before.loras, before.controls)
    assert painting.rerolled(before).controls == painting.varied(before, 0, 9, 1).controls == before.controls
    other = edited(before, {**fields, "prompt": "a boat <lora:neon:0.3>"}, able())
    assert other.loras == (Lora("neon", 0.3),)
