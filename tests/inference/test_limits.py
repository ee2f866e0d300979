"""The one rule of what an engine can be asked: every reason that it knows, and that what it advises is possible."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import torch
from msgspec.structs import fields, replace

from inference import engine
from inference.catalog import weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models.store import Store
from inference.protocol import (
    MAX_SEED,
    AddOnInfo,
    Batch,
    Classify,
    Compare,
    Control,
    Describe,
    Failed,
    Finished,
    Grid,
    Hires,
    Imagine,
    Input,
    Lora,
    Mask,
    ModelInfo,
    OwnLora,
    Picture,
    Ready,
    Reason,
    Refiner,
    Region,
    Request,
    Style,
    ToolInfo,
    Upscale,
    Variation,
    limits,
)
from inference.protocol.limits import bounds, painting, tools
from inference.protocol.pictures import OF_ONE_PICTURE
from tests.inference.conftest import ask_for, with_model
from tests.inference.serving import Serving

GIVEN, OTHER, MASK = (Input(sign * 64, 32, 32) for sign in "012")
SIX = tuple(ask_for(job=0, steps=steps) for steps in range(1, 7))
NAN = float("nan")


def flux(name: str = "flux-dev", **changes: object) -> Imagine:
    return ask_for(model=name, sampler="FlowMatch Euler", **changes)


def two(first: str, second: str) -> dict[str, object]:
    return {"control": Control(first, GIVEN), "control2": Control(second, OTHER)}


def klein(**changes: object) -> Imagine:
    asked = ask_for(model="klein", sampler="FlowMatch Euler", guidance=1.0, references=(GIVEN,))
    return replace(asked, **changes)


def grid(**changes: object) -> Grid:
    asked = Grid(job=1, model="sd15", cells=SIX, columns=("a", "b", "c"), rows=("d", "e"))
    return replace(asked, **changes)


def upscale(width: int = 20, height: int = 12, **changes: object) -> Upscale:
    return replace(Upscale(job=1, model="x4", image=Input("0" * 64, width, height), factor=2), **changes)


def describe(**changes: object) -> Describe:
    return replace(Describe(job=1, model="florence", image=GIVEN, task="caption"), **changes)


def mask(**changes: object) -> Mask:
    asked = Mask(job=1, model="florence", image=GIVEN, text="the house", edit=ask_for(image=GIVEN))
    return replace(asked, **changes)


def classify(**changes: object) -> Classify:
    asked = Classify(job=1, model="clip", image=GIVEN, labels=("cat", "dog"), templates=("a picture of a {}.",))
    return replace(asked, **changes)


def compare(**changes: object) -> Compare:
    return replace(Compare(job=1, model="canny", image=GIVEN, width=32, height=32, painted=(OTHER,)), **changes)


def styled(words: str, negative: str = "", **changes: object) -> Imagine:
    return ask_for(style=Style("x", "X", words, negative), **changes)


SOUND: tuple[Request, ...] = (
    ask_for(),
    ask_for(prompt="x" * 2000, negative="x" * 2000, count=4, seed=MAX_SEED),
    # What a picture of a style is varied from holds the style's words too.
    ask_for(prompt="x" * 4000, negative="x" * 4000, variations=(Variation(1, 0.3),) * 16),
    ask_for(image=GIVEN, mask=MASK, strength=0.05, control=Control("canny", OTHER, 2.0)),
    ask_for(loras=(Lora("ink", -2.0), Lora("words", 2.0)), hires=Hires(64, 64, 0.05)),
    ask_for(model="sdxl", sampler="Euler", refiner=Refiner("sdxl", 0.5)),
    ask_for(model="sdxl-turbo", sampler="Euler a", guidance=1.0),
    flux(),
    klein(),
    # Part of a picture beside others, one of them eight times as long as wide.
    klein(image=GIVEN, mask=MASK, references=(GIVEN, OTHER, Input("3" * 64, 800, 100), GIVEN)),
    mask(edit=klein()),
    grid(),
    upscale(3840, 2160),
    upscale(3840, 2160, factor=4),
    upscale(4096, 2160, factor=3),
    upscale(4096, 4096, model="x2"),
    upscale(denoise=0.0),
    upscale(faces="faces"),
    describe(),
    describe(task="find", text="x" * 300),
    mask(),
    mask(model="sd15", text="", drawn=MASK),
    classify(),
    classify(labels=tuple(map(str, range(50))), templates=("{}",) * 8),
    compare(painted=(OTHER,) * 4),
)

CASES: tuple[tuple[str, Request], ...] = (
    ("no_model", ask_for(model="dall-e")),
    ("no_weights", ask_for(model="absent", sampler="DDIM")),
    ("no_prompt", ask_for(prompt="  ")),
    ("no_prompt", ask_for(prompt=" \u200b ")),
    ("prompt_chars", ask_for(prompt="x" * 5000)),
    ("prompt_chars", ask_for(prompt="x" * 4001, variations=(Variation(1, 0.3),))),
    ("no_negative", flux(negative="x")),
    ("negative_chars", ask_for(negative="x" * 5000)),
    ("styled_chars", styled("x" * 4000 + " {prompt}")),
    ("negative_chars", styled("{prompt}", "x" * 4001)),
    ("styled_chars", styled("{prompt} {prompt} {prompt}", prompt="x" * 2000)),
    ("word_weight", styled("({prompt}:50)")),
    ("word_weight", ask_for(prompt="a (red:99) house")),
    ("weighed_parts", ask_for(negative="[a] " * 41)),
    ("no_sampler", ask_for(sampler="Heun")),
    ("no_sampler", ask_for(sampler="FlowMatch Euler")),
    ("steps", ask_for(steps=0)),
    ("steps", ask_for(steps=900)),
    ("guidance", ask_for(guidance=-1.0)),
    ("guidance", ask_for(guidance=NAN)),
    ("no_guidance", ask_for(model="sdxl-turbo", sampler="Euler a")),
    ("no_guidance", flux("flux-schnell")),
    ("count", ask_for(count=0)),
    ("count", ask_for(count=5)),
    ("no_refiner", ask_for(refiner=Refiner("sdxl", 0.25))),
    ("no_refiner", ask_for(model="sdxl", sampler="Euler", refiner=Refiner("gone", 0.25))),
    ("no_clip_skip", flux(clip_skip=2)),
    ("clip_skip", ask_for(clip_skip=0)),
    ("clip_skip", ask_for(clip_skip=13)),
    ("clip_skip", ask_for(model="sdxl", sampler="Euler", clip_skip=1)),
    ("no_lora", ask_for(prompt="{<lora:nobody>|} a")),
    ("lora_of_others", styled("{prompt} <lora:XL>")),
    ("lora_weight", ask_for(prompt="{<lora:ink:1:9>|} a")),
    ("refiner_share", ask_for(model="sdxl", sampler="Euler", refiner=Refiner("sdxl", 1.0))),
    ("width", ask_for(width=37)),
    ("width", ask_for(width=4096)),
    ("height", ask_for(height=8)),
    ("seed", ask_for(seed=-1)),
    ("seed", ask_for(variations=(Variation(-1, 0.5),))),
    ("variations", ask_for(variations=(Variation(1, 0.5),) * 17)),
    ("variation_strength", ask_for(variations=(Variation(1, 1.5),))),
    ("strength", ask_for(image=GIVEN, strength=0.0)),
    ("strength", ask_for(image=GIVEN, strength=-1.0)),
    ("strength", ask_for(image=GIVEN, strength=1.5)),
    ("strength", ask_for(image=GIVEN, strength=NAN)),
    ("strength_of_nothing", ask_for(strength=0.5)),
    ("mask_of_nothing", ask_for(mask=MASK)),
    ("needs_mask", flux("flux-fill-dev")),
    ("needs_mask", flux("flux-fill-dev", image=GIVEN)),
    ("mask_size", ask_for(image=Input("0" * 64, 10, 10), mask=MASK)),
    ("hires_of_mask", ask_for(image=GIVEN, mask=MASK, hires=Hires(64, 48, 0.5))),
    ("hires_strength", ask_for(hires=Hires(64, 64, 0.0))),
    ("hires_smaller", ask_for(hires=Hires(16, 64, 0.5))),
    ("hires_side", ask_for(hires=Hires(60, 60, 0.5))),
    ("hires_pixels", ask_for(hires=Hires(128, 64, 0.5))),
    ("no_references", ask_for(references=(GIVEN,))),
    ("references", klein(references=(GIVEN,) * 5)),
    ("references", mask(edit=klein(model="kontext", references=(GIVEN, OTHER)))),
    ("reference_proportions", klein(references=(GIVEN, Input("3" * 64, 100, 801)))),
    ("no_pixels", klein(references=(Input("3" * 64, 0, 0),))),
    ("cell", grid(cells=(*SIX[:5], klein()))),
    ("loras", ask_for(loras=tuple(Lora(f"l{number}", 1.0) for number in range(4)))),
    ("lora_of_others", ask_for(loras=(Lora("xl", 1.0),))),
    ("no_lora", ask_for(loras=(Lora("nobody", 1.0),))),
    ("no_lora", ask_for(loras=(Lora("unfetched", 1.0),))),
    ("no_loras", ask_for(model="sd35", sampler="FlowMatch Euler", loras=(Lora("nobody", 1.0),))),
    ("lora_twice", ask_for(loras=(Lora("ink", 1.0), Lora("ink", 0.5)))),
    ("lora_weight", ask_for(loras=(Lora("ink", 3.0),))),
    ("control_of_others", ask_for(control=Control("canny-xl", GIVEN))),
    ("no_control", ask_for(control=Control("nobody", GIVEN))),
    ("no_control", ask_for(control=Control("unfetched", GIVEN))),
    ("no_control", ask_for(control=Control("blind", GIVEN))),
    ("no_controls", flux("chroma-hd", control=Control("nobody", GIVEN))),
    ("control_weight", ask_for(control=Control("canny", GIVEN, -1.0))),
    ("control_weight", ask_for(control=Control("canny", GIVEN), control2=Control("map", GIVEN, NAN))),
    ("no_control", ask_for(control=Control("canny", GIVEN), control2=Control("nobody", GIVEN))),
    ("one_control", flux("z-image", **two("canny-zimage", "canny-zimage"))),
    ("controls_apart", flux(**two("canny-flux", "canny-flux-pixels"))),
    ("cells", grid(cells=())),
    ("cells", grid(cells=SIX * 3)),
    ("headings", grid(rows=("one",))),
    ("heading_chars", grid(columns=("x" * 201, "b", "c"))),
    ("steps", grid(cells=(*SIX[:5], ask_for(steps=900)))),
    ("cell", grid(cells=(*SIX[:5], ask_for(count=2)))),
    ("cell", grid(cells=(*SIX[:5], ask_for(image=GIVEN)))),
    ("no_model", grid(cells=(*SIX[:5], ask_for(model="dall-e")))),
    ("no_upscaler", upscale(model="waifu2x")),
    ("no_upscaler", upscale(model="unfetched")),
    ("factor", upscale(factor=1)),
    ("factor", upscale(factor=8)),
    ("denoise", upscale(denoise=1.5)),
    ("denoise", upscale(denoise=NAN)),
    ("no_denoise", upscale(model="x2", denoise=0.5)),
    ("enlarged_pixels", upscale(5000, 5000, factor=4)),
    ("enlarged_at_all", upscale(8000, 8000)),
    ("network_pixels", upscale(5000, 5000)),
    ("no_pixels", upscale(0, 5)),
    ("no_restorer", upscale(faces="waifu2x")),
    ("no_restorer", upscale(faces="x4")),
    ("no_describer", describe(model="gpt")),
    ("task_needs_text", describe(task="find")),
    ("task_needs_text", describe(task="segment", text="  ")),
    ("task_takes_no_text", describe(text="a cat")),
    ("text_chars", describe(task="find", text="x" * 301)),
    ("text_signs", describe(task="find", text="<OD>")),
    ("text_signs", describe(task="find", text="<image>")),
    ("no_describer", mask(model="gpt")),
    ("task_needs_text", mask(text=" ")),
    ("mask_size", mask(model="sd15", text="", drawn=Input("0" * 64, 8, 8))),
    ("steps", mask(model="sd15", drawn=MASK, edit=ask_for(image=GIVEN, steps=900))),
    ("grow", mask(grow=21)),
    ("grow", mask(grow=-21)),
    ("steps", mask(edit=ask_for(image=GIVEN, steps=900))),
    ("no_classifier", classify(model="resnet")),
    ("few_labels", classify(labels=())),
    ("few_labels", classify(labels=("cat",))),
    ("labels", classify(labels=tuple(map(str, range(51))))),
    ("no_label", classify(labels=("cat", " "))),
    ("label_chars", classify(labels=("cat", "x" * 101))),
    ("label_twice", classify(labels=("cat", "cat"))),
    ("templates", classify(templates=())),
    ("templates", classify(templates=("{}",) * 9)),
    ("template", classify(templates=("a picture",))),
    ("template", classify(templates=("{}" + "x" * 100,))),
    ("no_control", compare(model="nobody")),
    ("no_control", compare(model2="nobody", image2=OTHER)),
    ("count", compare(painted=())),
    ("count", compare(painted=(OTHER,) * 5)),
    ("compared_size", compare(width=0)),
    ("compared_size", compare(height=9000)),
)
"""Every case that an engine on the tests' own catalogue refuses."""

CANNOT_TRAVEL: tuple[tuple[str, Request], ...] = (
    ("seed", ask_for(seed=MAX_SEED + 1)),
    ("seed", ask_for(variations=(Variation(MAX_SEED + 1, 0.5),))),
)
"""Those that no bot can even send."""

NARROW: tuple[tuple[str, Request], ...] = (
    ("pixels", ask_for(width=64, height=64)),
    ("no_task", describe(task="read text")),
    ("no_upscalers", upscale()),
    ("no_classifiers", classify()),
)
"""Those of a catalogue of less: a model of fewer pixels, a describer of one task, no upscaler and no classifier."""

WIDE: tuple[tuple[str, Request], ...] = (
    ("grid_pixels", grid(cells=tuple(ask_for(width=8192, height=8192) for _ in range(6)))),
    ("no_describers", describe()),
    ("no_describers", mask()),
    ("needs_mask", ask_for(model="sd21", sampler="DDIM")),
    ("needs_mask", ask_for(model="sd21", sampler="DDIM", image=GIVEN)),
    ("no_restorers", upscale(faces="faces")),
)
"""Those of one of a model that paints what no grid holds, of another that only edits, of no describer and of nothing
that restores faces."""


@pytest.fixture(scope="module")
def narrow(known: Catalog) -> Catalog:
    caption = replace(known.describers["florence"], tasks=("caption",))
    smaller = with_model(known, max_pixels=2048)
    return dataclasses.replace(smaller, upscalers={}, classifiers={}, describers={"florence": caption})


@pytest.fixture(scope="module")
def wide(known: Catalog, files: Path) -> Catalog:
    editing = with_model(known, "sd21", family="sd1", path=str(files / "inpainting"))
    large = with_model(editing, max_size=8192, max_pixels=8192**2)
    return dataclasses.replace(large, describers={}, restorers={})


def told(catalog: Catalog, device: Device) -> Ready:
    return engine.readiness(catalog, weights.inventory(catalog), device)


def names(cases: tuple[tuple[str, Request], ...]) -> list[str]:
    return [name for name, _ in cases]


@pytest.mark.parametrize("request_", SOUND, ids=lambda each: each.kind)
def test_what_can_be_asked_is_no_problem(request_: Request, ready: Ready) -> None:
    assert limits.problem(request_, ready) is None


@pytest.mark.parametrize(("name", "request_"), [*CASES, *CANNOT_TRAVEL], ids=names((*CASES, *CANNOT_TRAVEL)))
def test_what_cannot_be_asked_has_its_reason(name: str, request_: Request, ready: Ready) -> None:
    reason = limits.problem(request_, ready)
    assert reason is not None
    assert reason.name == name


def test_what_can_be_asked_depends_on_what_the_engine_says_of_itself(
    ready: Ready, narrow: Catalog, wide: Catalog, cpu: Device
) -> None:
    for catalog, cases in ((narrow, NARROW), (wide, WIDE)):
        for name, request in cases:
            reason = limits.problem(request, told(catalog, cpu))
            assert reason is not None
            assert reason.name == name
            assert name in ("grid_pixels",) or limits.problem(request, ready) is None
    assert limits.problem(describe(), told(narrow, cpu)) is None


def test_every_reason_of_the_rule_is_the_reason_for_something() -> None:
    in_words = {"word_weight", "weighed_parts"}
    # Of models that other servers have: tests/inference/test_remote.py.
    elsewhere = {"away", "listed_size", "no_grid", "no_samplers"}
    assert {name for name, _ in (*CASES, *CANNOT_TRAVEL, *NARROW, *WIDE)} == {
        *_names_in_source(),
        *in_words,
    } - elsewhere


def test_what_is_not_on_the_machine_is_unavailable_and_nothing_else() -> None:
    kinds = (*get_args(limits.ToolKind), *get_args(limits.AddOnKind))
    of_kinds = {f"no_{kind}{plural}" for kind in kinds for plural in ("", "s")}
    assert {"away", "no_model", "no_weights", "no_refiner"} | of_kinds == limits.UNAVAILABLE


def _names_in_source() -> Iterator[str]:
    """The names of all reasons that `limits` gives, whether by themselves, from a loop, or with a kind in them."""
    sources = (inspect.getsource(module) for module in (bounds, painting, tools))
    for function in (each for source in sources for each in ast.parse(source).body):
        if not isinstance(function, ast.FunctionDef):
            continue
        kinds = {one.arg: ast.unparse(one.annotation) for one in function.args.args if one.annotation}
        for node in ast.walk(function):
            if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
                for row in node.iter.elts:
                    if isinstance(row, ast.Tuple) and isinstance(row.elts[0], ast.Constant):
                        yield str(row.elts[0].value)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("because", "outside"):
                match node.args[0]:
                    case ast.Constant(value=str(name)):
                        yield name
                    case ast.JoinedStr(values=parts):
                        for kind in get_args(getattr(bounds, kinds["kind"])):
                            yield "".join(part.value if isinstance(part, ast.Constant) else kind for part in parts)


@pytest.mark.parametrize("which", ["known", "narrow", "wide"])
def test_the_engine_refuses_by_the_rule_and_says_whether_it_lies_in_what_is_here(
    which: str, store: Store, request: pytest.FixtureRequest
) -> None:
    cases = {"known": CASES, "narrow": NARROW, "wide": WIDE}[which]
    serving = Serving(request.getfixturevalue(which), store)
    try:
        ready = serving.peer.ready()
        asked = [replace(each, job=job) for job, (_, each) in enumerate(cases)]
        serving.peer.send(Batch(tuple(asked)))
        for job, end in serving.peer.ends(len(cases)).items():
            assert isinstance(end, Failed)
            here = end.reason.name not in limits.UNAVAILABLE
            assert (end.reason.name, end.kind) == (cases[job][0], "invalid_input" if here else "unavailable_model")
            reason = limits.problem(asked[job], ready)
            assert reason is not None
            assert repr(_as_sent(reason)) == repr(end.reason)
    finally:
        serving.peer.socket.close()
        assert serving.ended()


def _as_sent(reason: Reason) -> Reason:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(reason), type=Reason)


@pytest.mark.parametrize(
    ("wrong", "with_choice"),
    [
        (ask_for(model="dall-e"), lambda name: ask_for(model=name)),
        (ask_for(sampler="Heun"), lambda name: ask_for(sampler=name)),
        (ask_for(loras=(Lora("nobody", 1.0),)), lambda name: ask_for(loras=(Lora(name, 1.0),))),
        (ask_for(control=Control("nobody", GIVEN)), lambda name: ask_for(control=Control(name, GIVEN))),
        (flux(**two("canny-flux", "canny-flux-pixels")), lambda name: flux(**two("canny-flux", name))),
        (upscale(model="waifu2x"), lambda name: upscale(model=name)),
        (upscale(factor=8), lambda factor: upscale(factor=int(factor))),
        (describe(model="gpt"), lambda name: describe(model=name)),
        (classify(model="resnet"), lambda name: classify(model=name)),
        (compare(model="nobody"), lambda name: compare(model=name)),
    ],
)
def test_all_that_a_reason_gives_to_choose_from_can_be_chosen(
    wrong: Request, with_choice: Callable[[str], Request], ready: Ready
) -> None:
    reason = limits.problem(wrong, ready)
    assert reason is not None
    choices = reason.facts["choices"]
    assert isinstance(choices, tuple)
    assert choices
    for choice in choices:
        again = limits.problem(with_choice(choice), ready)
        assert again is None or again.name != reason.name


@pytest.mark.parametrize(
    ("name", "with_value"),
    [
        ("steps", lambda value: ask_for(steps=value)),
        ("guidance", lambda value: ask_for(guidance=value)),
        ("count", lambda value: ask_for(count=value)),
        ("variation_strength", lambda value: ask_for(variations=(Variation(1, value),))),
        ("strength", lambda value: ask_for(image=GIVEN, strength=value)),
        ("hires_strength", lambda value: ask_for(hires=Hires(64, 64, value))),
        ("lora_weight", lambda value: ask_for(loras=(Lora("ink", value),))),
        ("control_weight", lambda value: ask_for(control=Control("canny", GIVEN, value))),
        ("denoise", lambda value: upscale(denoise=value)),
        ("grow", lambda value: mask(grow=value)),
    ],
)
def test_the_bounds_that_a_reason_names_are_those_that_hold(
    name: str, with_value: Callable[[float], Request], ready: Ready
) -> None:
    reason = limits.problem(with_value(1000), ready)
    assert reason is not None
    least, most = reason.facts["least"], reason.facts["most"]
    assert isinstance(least, int | float)
    assert isinstance(most, int | float)
    assert limits.problem(with_value(least), ready) is limits.problem(with_value(most), ready) is None
    for value in (least - 0.01, most + 0.01, NAN):
        outside = limits.problem(with_value(value), ready)
        assert outside is not None
        assert outside.name == name


def test_the_sizes_and_factors_that_a_reason_names_are_possible(ready: Ready) -> None:
    for width in (1, 17, 37, 63, 4096):
        reason = limits.problem(ask_for(width=width), ready)
        assert reason is not None
        assert limits.problem(ask_for(width=int(str(reason.facts["near"]))), ready) is None
    reason = limits.problem(upscale(5000, 5000, model="x2", factor=4), ready)
    assert reason is not None
    assert limits.problem(upscale(5000, 5000, model="x2", factor=int(str(reason.facts["factor"]))), ready) is None
    reason = limits.problem(ask_for(hires=Hires(128, 64, 0.5)), ready)
    assert reason is not None
    side = int(32 * float(str(reason.facts["factor"])))
    assert limits.problem(ask_for(hires=Hires(side, side, 0.5)), ready) is None


FOLLOWED = ask_for(image=GIVEN, mask=MASK, strength=0.5, control=Control("canny", GIVEN, 0.5))
FOLLOWED = replace(FOLLOWED, control2=Control("map", GIVEN, 0.6))
OWN: dict[str, object] = {
    "job": 2,
    "safety": "spoiler",
    "prompt": "a blue boat",
    "negative": "fog",
    "style": Style("oil", "Oil", "oil painting of {prompt}"),
    "seed": 8,
    "count": 3,
    "variations": (Variation(5, 0.3),),
    "image": OTHER,
    "mask": OTHER,
    "control": Control("canny", OTHER, 0.5),
    "control2": Control("map", OTHER, 0.6),
}
"""Another value of every field that pictures of one pass may differ in."""

SHARED: dict[str, object] = {
    "model": "sdxl",
    "steps": 3,
    "guidance": 5.0,
    "clip_skip": 2,
    "sampler": "Euler",
    "width": 40,
    "height": 40,
    "strength": 0.6,
    "loras": (Lora("ink", 1.0),),
    "own_loras": (OwnLora(name="ink", sha256="0" * 64, family="sd1"),),
    "hires": Hires(64, 64, 0.5),
    "refiner": Refiner("sdxl", 0.25),
    "references": (OTHER,),
}
"""And of every other."""


def test_requests_share_a_pass_where_only_words_seeds_and_inputs_are_their_own() -> None:
    assert OWN.keys() == OF_ONE_PICTURE
    assert OWN.keys() | SHARED.keys() == set(Imagine.__struct_fields__)
    for name, value in (OWN | SHARED).items():
        changed = replace(FOLLOWED, **{name: value})
        assert changed != FOLLOWED
        assert (changed.pass_key == FOLLOWED.pass_key) is (name in OWN), name


@pytest.mark.parametrize(
    "changes",
    [
        {"control": None},
        {"control": Control("map", GIVEN, 0.5)},
        {"control": Control("canny", GIVEN, 0.6)},
        {"control2": None},
        {"control2": Control("depth", GIVEN, 0.6)},
        {"control2": Control("map", GIVEN, 0.5)},
        {"mask": None},
        {"image": None, "mask": None},
    ],
)
def test_whether_there_is_a_picture_and_how_it_is_followed_is_shared(changes: dict[str, object]) -> None:
    assert replace(FOLLOWED, **changes).pass_key != FOLLOWED.pass_key


@pytest.mark.parametrize("struct", [Ready, ModelInfo, ToolInfo, AddOnInfo, Picture, Region, Finished])
def test_what_the_engine_says_leaves_nothing_to_a_default(struct: type[msgspec.Struct]) -> None:
    assert [field.name for field in fields(struct) if not field.required] == []


def test_ready_says_how_many_pictures_share_a_pass_on_this_device(known: Catalog, cpu: Device) -> None:
    gpu = Device(where=torch.device("cuda"), name="a GPU", memory_bytes=1)
    of_four = with_model(known, batch=4)
    assert {model.name: model.batch for model in told(of_four, gpu).models if model.batch > 1} == {"sd15": 4}
    assert {model.batch for model in told(of_four, cpu).models} == {1}
