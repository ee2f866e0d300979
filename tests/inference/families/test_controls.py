"""Pictures that are followed at once, by one ControlNet or by two: every family's own way, and what it cannot do."""

from __future__ import annotations

import inspect
import io
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from inference.catalog import together
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import UnavailableModel, WeightsError
from inference.families import FAMILIES
from inference.families.record import load_class
from inference.models import loaders
from inference.models.handles import PictureModel
from inference.models.store import Store
from inference.networks import annotator
from inference.painting import samplers, setups
from inference.protocol import Control, Finished, Hires, Imagine, Input, Lora, Ready, because, limits
from tests.inference.conftest import paint_from, uploaded
from tests.inference.families.test_every import HEIGHT, OF_EACH, WIDTH, ask, pixels
from tests.inference.folders import bytes_of, hashes
from tests.inference.tiny import picture

PICTURES = [picture(WIDTH, HEIGHT, seed=seed) for seed in (3, 4)]
(ONE, OF_ONE), (OTHER, OF_OTHER) = (uploaded(each) for each in PICTURES)
FILES = OF_ONE | OF_OTHER

PAIRS = {
    "sd1": ("canny", "soft"),
    "sdxl": ("union-xl", "union-xl-pose"),
    "sd3": ("canny-sd3", "canny-sd3"),
    "flux": ("canny-flux", "union-flux"),
    "qwen": ("union-qwen", "union-qwen-map"),
}
"""Two of each family that follows two pictures at once."""

each = pytest.mark.parametrize("family", PAIRS)


def paint(store: Store, *requests: Imagine) -> list[Finished]:
    return list(paint_from(FILES, store, *requests).values())


def painted(store: Store, request: Imagine) -> bytes:
    return pixels(paint(store, request)[0]).tobytes()


def parts_of(model: PictureModel, request: Imagine) -> dict[str, Any]:
    """What a bare pipeline is made of, with the sampler that was asked for, as no run has left it."""
    family, config, factor = model.family, model.scheduler_config, model.latent_factor
    spacing = family.spacing(config, request.steps, HEIGHT // factor, WIDTH // factor)
    scheduler = samplers.build(family.samplers[request.sampler], config, request.steps, spacing=spacing)
    return {**model.pipeline.components, "scheduler": scheduler}


def test_every_family_is_here_that_follows_two_at_once(ready: Ready) -> None:
    assert PAIRS.keys() == {
        name for name, family in FAMILIES.items() if family.control is not None and family.control.together
    } - {"sd2"}
    for first, second in PAIRS.values():
        assert second in next(one.beside for one in ready.controls if one.name == first)


@each
def test_both_are_followed_each_by_its_own_network_as_closely_as_it_is_asked(
    family: str, known: Catalog, store: Store
) -> None:
    first, second = PAIRS[family]

    def along(*controls: Control) -> bytes:
        fields = dict(zip(("control", "control2"), controls, strict=False))
        return painted(store, ask(family, known, **fields))

    both = along(Control(first, ONE), Control(second, OTHER))
    ways = [
        both,
        along(),
        along(Control(first, ONE)),
        along(Control(second, OTHER)),
        along(Control(first, ONE), Control(second, ONE)),
        along(Control(first, ONE, 0.4), Control(second, OTHER)),
        along(Control(first, ONE), Control(second, OTHER, 0.4)),
    ]
    if first != second:
        ways.append(along(Control(first, OTHER), Control(second, ONE)))
    assert len(set(ways)) == len(ways)
    assert along(Control(first, ONE), Control(second, OTHER, 0.0)) == along(Control(first, ONE))
    assert along(Control(first, ONE, 0.0), Control(second, OTHER)) == along(Control(second, OTHER))


@each
def test_the_recipe_has_both_and_paints_it_again_whatever_the_chance_of_the_process(
    family: str, known: Catalog, store: Store, ready: Ready
) -> None:
    first, second = PAIRS[family]
    request = ask(family, known, control=Control(first, ONE, 0.9), control2=Control(second, OTHER, 0.6))
    assert limits.problem(request, ready) is None
    finished = []
    for chance in (1, 2):
        for seeded in (torch.manual_seed, np.random.seed, random.seed):
            seeded(chance)
        finished += paint(store, request)
        request = msgspec.convert({"job": 1, **finished[0].recipe["request"]}, Imagine)
    assert hashes(finished[0].pictures) == hashes(finished[1].pictures)
    made_of = finished[0].recipe["controls"]
    assert [(one["name"], one["weight"]) for one in made_of] == [(first, 0.9), (second, 0.6)]
    for one in made_of:
        entry = known.controls[one["name"]]
        assert one["hash"] == store.use_control(one["name"], lambda: None).hash
        assert (one["path"], one["annotator"]["name"]) == (entry.path, entry.annotator)
        assert one.get("mode") == entry.mode


@each
def test_who_follows_two_others_beside_changes_no_bit(
    family: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    first, second = PAIRS[family]
    own = {"control": Control(first, ONE), "control2": Control(second, OTHER)}
    others = {"control": Control(first, OTHER), "control2": Control(second, ONE)}
    request, other = ask(family, known, seed=8, **own), ask(family, known, job=2, seed=100, **others)
    assert request.pass_key == other.pass_key
    [alone] = paint(store, request)
    for order in ((other, request), (request, other)):
        made = paint_from(FILES, store, *order)
        assert made[1].pictures[0].sha256 == alone.pictures[0].sha256
        assert made[2].pictures[0].sha256 != alone.pictures[0].sha256


@each
def test_the_engine_follows_two_as_the_bare_pipeline_does(
    family: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = PAIRS[family]
    request = ask(family, known, control=Control(first, ONE, 0.9), control2=Control(second, OTHER, 0.6))
    [ours] = paint(store, request)
    model = store.use(OF_EACH[family], lambda: None)
    networks: Any = [store.use_control(name, lambda: None).network for name in (first, second)]
    maps = [
        annotator.BUILT_IN[known.controls[name].annotator](given)
        for name, given in zip((first, second), PICTURES, strict=True)
    ]
    # In the forms in which its own documentation shows them.
    pipeline, told, network = {
        "sd1": ("StableDiffusionControlNetPipeline", {"image": maps}, networks),
        "sdxl": (
            "StableDiffusionXLControlNetUnionPipeline",
            {"control_image": maps, "control_mode": [2, 0]},
            networks[0],
        ),
        "sd3": ("StableDiffusion3ControlNetPipeline", {"control_image": maps}, networks),
        "flux": ("FluxControlNetPipeline", {"control_image": maps, "control_mode": [-1, 0]}, networks),
        "qwen": ("QwenImageControlNetPipeline", {"control_image": maps, "negative_prompt": " "}, None),
    }[family]
    if network is None:
        network = load_class("QwenImageMultiControlNetModel")(networks[:1])
    # What a picture's place in the latents is drawn from, where it is drawn.
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda found, generator=None: found.mode())
    bare = load_class(pipeline)(**parts_of(model, request), **model.family.settings, controlnet=network)
    made = bare(
        prompt=request.prompt,
        width=WIDTH,
        height=HEIGHT,
        num_inference_steps=request.steps,
        generator=torch.Generator().manual_seed(request.seed),
        controlnet_conditioning_scale=[0.9, 0.6],
        **{model.family.guidance: request.guidance},
        **told,
    )
    assert np.array_equal(pixels(ours), np.asarray(made.images[0]))


def test_one_alone_is_followed_as_the_bare_pipeline_does_in_qwen_image(
    known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask("qwen", known, control=Control("other-qwen", ONE, 0.7), negative="blue", steps=3)
    [ours] = paint(store, request)
    model = store.use("qwen", lambda: None)
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda found, generator=None: found.mode())
    network = store.use_control("other-qwen", lambda: None).network
    made: Any = load_class("QwenImageControlNetPipeline")(**parts_of(model, request), controlnet=network)(
        prompt=request.prompt,
        negative_prompt="blue",
        width=WIDTH,
        height=HEIGHT,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(request.seed),
        control_image=PICTURES[0],
        controlnet_conditioning_scale=0.7,
        true_cfg_scale=request.guidance,
    )
    assert np.array_equal(pixels(ours), np.asarray(made.images[0]))


def test_what_the_pipelines_tell_of_the_first_network_is_the_same_of_the_second(known: Catalog, ready: Ready) -> None:
    beside = {one.name: one.beside for one in ready.controls}
    assert beside["canny-sd3"] == ("canny-sd3",)
    assert beside["canny-sd3-large"] == ("canny-sd3-large",)
    assert "canny-flux-pixels" not in beside["union-flux"] == beside["canny-flux"]
    assert beside["canny-xl"] == ("canny-xl",)
    assert beside["union-xl"] == beside["union-xl-pose"] == ("union-xl", "union-xl-pose")
    assert beside["union-qwen"] == beside["union-qwen-map"] == ("union-qwen", "union-qwen-map")
    assert beside["other-qwen"] == ("other-qwen",)
    assert beside["canny-zimage"] == ()
    for name in ready.controls:
        entry = known.controls[name.name]
        known_by = entry.known_by(FAMILIES[known.models[entry.models[0]].family])
        defaults = inspect.signature(load_class(known_by.network)).parameters
        assert {field: defaults[field].default for field in known_by.alike} == known_by.alike


@pytest.mark.parametrize(
    ("family", "names", "reason"),
    [
        ("zimage", ("canny-zimage", "canny-zimage"), because("one_control", model="Tiny Z-Image")),
        (
            "sdxl",
            ("canny-xl", "union-xl"),
            because("controls_apart", control="canny-xl", typed="union-xl", choices=("canny-xl",)),
        ),
        (
            "sd3",
            ("canny-sd3", "canny-sd3-large"),
            because("controls_apart", control="canny-sd3", typed="canny-sd3-large", choices=("canny-sd3",)),
        ),
        ("sd1", ("canny", "canny-xl"), because("control_of_others", typed="canny-xl", model="Tiny 1.5")),
        ("sd1", ("canny", "nobody"), None),
    ],
)
def test_what_no_pipeline_follows_at_once_is_told(
    family: str, names: tuple[str, str], reason: object, known: Catalog, ready: Ready
) -> None:
    first, second = (Control(name, ONE) for name in names)
    problem = limits.problem(ask(family, known, control=first, control2=second), ready)
    assert problem is not None
    assert problem == reason or (reason is None and problem.name == "no_control")
    wrong = msgspec.structs.replace(first, weight=2.5)
    for fields in ({"control": wrong}, {"control": first, "control2": wrong}, {"control2": wrong}):
        found = limits.problem(ask(family, known, **fields), ready)
        assert found is not None
        assert found.name in ("control_weight", "one_control")


def test_entries_of_one_network_are_loaded_once_each_with_its_own_kind(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    edges, pose = (store.use_control(name, lambda: None) for name in ("union-xl", "union-xl-pose"))
    assert edges.network is pose.network
    assert (edges.name, edges.entry.mode, pose.name, pose.entry.mode) == ("union-xl", 2, "union-xl-pose", 0)
    assert [*store.resident()] == ["control union-xl"]
    assert store.use_control("canny", lambda: None).network is store.use_control("depth", lambda: None).network
    assert store.use_control("soft", lambda: None).network is not store.use_control("canny", lambda: None).network
    assert together.first_of_weights(known, "depth") == "canny"
    wrong = msgspec.structs.replace(known.controls["union-xl-pose"], mode=3)
    store.catalog.controls["union-xl-pose"] = wrong
    try:
        with pytest.raises(WeightsError, match="its mode is 0 to 2"):
            store.use_control("union-xl-pose", lambda: None)
        assert store.use_control("union-xl", lambda: None).entry.mode == 2
    finally:
        store.catalog.controls["union-xl-pose"] = msgspec.structs.replace(wrong, mode=0)


@pytest.mark.parametrize("name", ["other-qwen", "canny-sd3"])
def test_one_that_wants_a_mask_as_well_is_told_when_it_is_loaded(name: str, known: Catalog, store: Store) -> None:
    loaded = store.use_control(name, lambda: None)
    family = FAMILIES[known.models[known.controls[name].models[0]].family]
    field = loaded.entry.known_by(family).reads_besides
    assert field is not None
    assert inspect.signature(type(loaded.network)).parameters[field].default == 0
    wider = type(loaded.network).from_config({**loaded.network.config, field: 4})
    with pytest.raises(WeightsError, match="it is for inpainting: it reads a mask besides"):
        loaders.control_of(known, name, replace(loaded, network=wider))


@pytest.mark.parametrize(
    ("family", "name", "field", "wrong"),
    [
        ("sd1", "canny", "in_channels", 7),
        ("sd1", "canny", "block_out_channels", (4, 16)),
        ("sdxl", "union-xl", "cross_attention_dim", 12),
        ("sd3", "canny-sd3", "joint_attention_dim", 40),
        ("flux", "canny-flux", "joint_attention_dim", 40),
    ],
)
def test_one_that_was_made_for_another_width_is_told_before_anything_is_painted(
    family: str,
    name: str,
    field: str,
    wrong: object,
    known: Catalog,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = ask(family, known, control=Control(name, ONE))
    loaded = store.use_control(name, lambda: None)
    config = {**loaded.network.config, field: wrong}
    assert loaded.network.config[field] not in (None, wrong)
    monkeypatch.setattr(store, "use_control", lambda *_: replace(loaded, network=SimpleNamespace(config=config)))
    with pytest.raises(UnavailableModel) as refused:
        paint(store, request)
    title, of = loaded.entry.title, known.models[request.model].title
    assert refused.value.reason == because("control_unusable", control=title, model=of)
    told = f"the ControlNet {name} cannot be used with {request.model}: it was made for another width: {wrong} where"
    assert told in caplog.text


def test_a_picture_says_in_its_parameters_by_what_it_followed_which(known: Catalog, store: Store) -> None:
    request = ask("sd1", known, control=Control("canny", ONE, 0.9), control2=Control("depth", OTHER, 0.6))
    [finished] = paint(store, request)
    words = Image.open(io.BytesIO(bytes_of(finished.pictures[0]))).info["parameters"]
    assert 'ControlNet 0: "Module: canny, Model: canny, Weight: 0.9"' in words
    assert 'ControlNet 1: "Module: depth, Model: depth, Weight: 0.6"' in words
    one_alone = msgspec.structs.replace(request, control=Control("canny", ONE, 0.0))
    words = Image.open(io.BytesIO(bytes_of(paint(store, one_alone)[0].pictures[0]))).info["parameters"]
    assert 'ControlNet 0: "Module: depth' in words
    assert "ControlNet 1" not in words


def test_two_go_with_a_start_a_mask_a_lora_and_a_second_pass(known: Catalog, store: Store, ready: Ready) -> None:
    both = {"control": Control("canny", ONE), "control2": Control("soft", OTHER)}
    fields: dict[str, Any] = {"image": OTHER, "strength": 0.7, "loras": (Lora("ink", 1.0),), "steps": 4}
    request = ask("sd1", known, **both, **fields)
    whole = painted(store, request)
    for name in both:
        assert painted(store, msgspec.structs.replace(request, **{name: None})) != whole
    again = ask("sd1", known, **both, width=32, height=32, hires=Hires(48, 48, 0.5))
    assert limits.problem(again, ready) is None
    [first] = paint(store, again)
    assert hashes(paint(store, again)[0].pictures) == hashes(first.pictures)
    assert first.pictures[0].sha256 != paint(store, msgspec.structs.replace(again, control2=None))[0].pictures[0].sha256


def test_requests_of_one_control_are_read_as_they_were_written() -> None:
    image = {"sha256": "0" * 64, "width": 8, "height": 8}
    old = {
        **{"type": "imagine", "job": 3, "model": "sd15", "prompt": "a house", "seed": 7, "steps": 4},
        **{"guidance": 4.0, "sampler": "DPM++ 2M", "width": 32, "height": 32},
        "control": {"name": "canny", "image": image, "weight": 0.7},
    }
    request = msgspec.json.decode(msgspec.json.encode(old), type=Imagine)
    assert request.controls == (Control("canny", msgspec.convert(image, Input), 0.7),)
    assert request.control2 is None
    assert len(request.inputs) == 1
