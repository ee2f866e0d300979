"""What every family keeps, whatever else it can: one tiny model of each, asked through the engine's own session.

Who registers a family and gives it a tiny model (`test_records.OF_EACH`) is tested here with all others.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.catalog.reading import Catalog
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.models import loaders, placement
from inference.models.policy import Policy
from inference.models.store import Store
from inference.painting import decoding, samplers, setups
from inference.protocol import Control, Finished, Hires, Imagine, Lora, Preview, Ready, limits
from inference.tasks import imagine
from tests.inference.cards import card
from tests.inference.conftest import Record, ask_for, paint_from, uploaded, with_model
from tests.inference.families.test_records import OF_EACH
from tests.inference.folders import bytes_of, hashes
from tests.inference.tiny import picture

WIDTH, HEIGHT = 64, 32
LEFT = (0, 0, WIDTH // 2 - 1, HEIGHT - 1)
OLD, FILES = uploaded(picture(WIDTH, HEIGHT, seed=3))
OTHER, _FILES = uploaded(picture(WIDTH, HEIGHT, seed=4))
FILES |= _FILES

each = pytest.mark.parametrize("family", FAMILIES)
paint = partial(paint_from, FILES)


def mask_of(box: tuple[int, int, int, int]) -> Any:
    mask = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    given, data = uploaded(mask)
    FILES.update(data)
    return given


def ask(family: str, known: Catalog, **changes: Any) -> Imagine:
    """A request that this family can meet: one that fills gets the left half of a picture to fill."""
    entry = known.models[OF_EACH[family]]
    asked: dict[str, Any] = {
        "model": OF_EACH[family],
        "steps": 2,
        "guidance": entry.guidance,
        "sampler": entry.sampler,
        "width": WIDTH,
        "height": HEIGHT,
    }
    if FAMILIES[family].fills:
        asked |= {"image": OLD, "mask": mask_of(LEFT)}
    return ask_for(**{**asked, **changes})


def pixels(finished: Finished, index: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[index]))).convert("RGB"))


def add_ons(table: Mapping[str, Any], family: str) -> list[str]:
    """The names of those that go with the family's model."""
    lacking = ("unfetched", "blind", "misnamed", "forged")
    return [name for name, entry in table.items() if OF_EACH[family] in entry.models and name not in lacking]


SAMPLERS = [(family, sampler) for family, record in FAMILIES.items() for sampler in record.samplers]


@pytest.mark.parametrize(("family", "sampler"), SAMPLERS)
def test_nothing_is_drawn_but_from_a_pictures_own_seed(family: str, sampler: str, known: Catalog, store: Store) -> None:
    ways: list[dict[str, Any]] = [{"mask": mask_of(LEFT), "image": OLD, "strength": 0.8, "steps": 3}]
    if not FAMILIES[family].fills:
        ways.append({})
        if sampler == known.models[OF_EACH[family]].sampler:
            ways += [{"control": Control(name, OTHER)} for name in add_ons(known.controls, family)]
    for way in ways:
        request = ask(family, known, sampler=sampler, **way)
        painted = []
        for chance in (1, 2):
            for seeded in (torch.manual_seed, np.random.seed, random.seed):
                seeded(chance)
            painted.append(hashes(paint(store, request)[1].pictures))
        assert painted[0] == painted[1], way


@each
def test_its_recipe_paints_the_picture_again(family: str, known: Catalog, store: Store, ready: Ready) -> None:
    finished = paint(store, ask(family, known, negative="blue" if known.models[OF_EACH[family]].negative else ""))[1]
    again = msgspec.convert({"job": 1, **finished.recipe["request"]}, Imagine)
    assert limits.problem(again, ready) is None
    assert hashes(paint(store, again)[1].pictures) == hashes(finished.pictures)
    assert pixels(finished).std() > 1


@each
@pytest.mark.parametrize("size", [1, 2])
def test_who_is_painted_beside_changes_no_bit(
    family: str, size: int, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: size)
    alone = paint(store, ask(family, known, seed=8))[1].pictures[0].sha256
    negatives = ({"negative": "red and green"},) if FAMILIES[family].words.negative else ()
    for words in ({"prompt": "a red house"}, {"prompt": "a boat at sea, in the long light of evening"}, *negatives):
        other = ask(family, known, job=2, seed=100, count=1 + size % 2, **words)
        beside = paint(store, other, ask(family, known, seed=8))
        assert beside[1].pictures[0].sha256 == alone, words
    second = paint(store, ask(family, known, seed=7, count=2))[1]
    assert np.array_equal(pixels(second, 1), pixels(paint(store, ask(family, known, seed=8))[1]))


@each
def test_it_goes_as_far_from_a_picture_as_it_is_asked(family: str, known: Catalog, store: Store) -> None:
    # Of as many latents as those of other families, where each of its own is made of more pixels.
    larger = max(1, FAMILIES[family].size_multiple // 16)
    size = {"width": larger * WIDTH, "height": larger * HEIGHT}
    given, data = uploaded(picture(**size, seed=3))
    FILES.update(data)
    model = store.use(OF_EACH[family], lambda: None)
    latents = decoding.encode(model.pipeline, model.family, Image.open(io.BytesIO(FILES[given.sha256])))
    # All that an autoencoder whose weights are chance leaves of it.
    old = np.asarray(decoding.decode(model.pipeline, model.family, latents)[0]).astype(int)
    mask = mask_of((0, 0, WIDTH - 1, HEIGHT - 1)) if FAMILIES[family].fills else None
    near, far = (
        paint(store, ask(family, known, image=given, strength=strength, steps=10, mask=mask, **size))[1]
        for strength in (0.1, 0.9)
    )
    assert abs(pixels(near) - old).mean() < abs(pixels(far) - old).mean()


@each
def test_what_is_not_masked_stays_bit_for_bit(family: str, known: Catalog, store: Store) -> None:
    old = np.asarray(Image.open(io.BytesIO(FILES[OLD.sha256])).convert("RGB"))
    for box in (LEFT, (5, 3, 20, 25)):
        finished = paint(store, ask(family, known, image=OLD, mask=mask_of(box), strength=0.8))[1]
        inside = np.zeros(old.shape[:2], bool)
        inside[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
        assert np.array_equal(pixels(finished)[~inside], old[~inside])
        assert (pixels(finished)[inside] != old[inside]).any(1).mean() > 0.9


@each
@pytest.mark.usefixtures("many_previews")
def test_it_is_shown_on_its_way(family: str, known: Catalog, store: Store) -> None:
    record = Record()
    request = ask(family, known, count=2, steps=4)
    record.begin(request)
    imagine.run([request], FILES, store, record.report)
    assert record.finished()
    shown = [Image.open(io.BytesIO(event.image)) for event in record if isinstance(event, Preview)]
    assert len(shown) == 2 * (request.steps_taken - 1)
    assert np.asarray(shown[-1]).std() > 1


@each
def test_a_second_pass_paints_larger_where_it_paints_whole_pictures(
    family: str, known: Catalog, store: Store, ready: Ready
) -> None:
    height = 32 + max(16, FAMILIES[family].size_multiple)
    request = ask(family, known, width=32, hires=Hires(64, height, 0.5))
    problem = limits.problem(request, ready)
    if FAMILIES[family].fills:
        assert problem is not None
        assert problem.name == "hires_of_mask"
        return
    assert problem is None
    first, again = (paint(store, request)[1] for _ in range(2))
    assert pixels(first).shape == (height, 64, 3)
    assert hashes(first.pictures) == hashes(again.pictures)


@each
def test_loras_change_it_and_leave_the_base_as_it_was(family: str, known: Catalog, store: Store) -> None:
    def painted(*loras: Lora) -> bytes:
        return pixels(paint(store, ask(family, known, loras=loras))[1]).tobytes()

    base = painted()
    for name in add_ons(known.loras, family):
        ways = [painted(Lora(name, weight)) for weight in (1.0, 0.5, -1.0)]
        assert len({base, *ways}) == 1 + len(ways), name
        assert painted(Lora(name, 0.0)) == painted() == base, name


@each
def test_the_steps_are_known_before_the_pipeline_sets_them(
    family: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = store.use(OF_EACH[family], lambda: None)
    request = ask(family, known, steps=5)
    factor = getattr(model, "latent_factor", model.pipeline.vae_scale_factor)
    spacing = model.family.spacing(model.scheduler_config, 5, HEIGHT // factor, WIDTH // factor)
    ours = samplers.build(model.family.samplers[request.sampler], model.scheduler_config, 5, spacing=spacing)
    ours.set_timesteps(5)
    built: list[Any] = []
    build = samplers.build

    def build_unspaced(*args: Any) -> Any:
        built.append(build(*args[:-1]))
        return built[-1]

    monkeypatch.setattr(samplers, "build", build_unspaced)
    # What starts from a picture asks the scheduler before the pipeline does.
    monkeypatch.setattr(samplers, "noised", lambda _, __, noise, ___: noise)
    paint(store, request)
    assert torch.equal(ours.timesteps, built[0].timesteps)
    if hasattr(ours, "sigmas"):
        assert torch.equal(ours.sigmas, built[0].sigmas)


@each
def test_tiles_are_a_switch(family: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # At least two latents wide, so that tiles can overlap, and half as wide as what is painted.
    side = max(32, 2 * FAMILIES[family].size_multiple)
    monkeypatch.setattr("inference.models.policy.TILE", side)
    size = {"width": 2 * side} if not FAMILIES[family].fills else {}
    model = store.use(OF_EACH[family], lambda: None)
    whole = paint(store, ask(family, known, **size))[1]
    placement.tile(model.pipeline, model.family, Policy(vae_tiling=True))
    tiled = paint(store, ask(family, known, **size))[1]
    placement.tile(model.pipeline, model.family, Policy())
    assert not np.array_equal(pixels(tiled), pixels(whole))
    assert hashes(paint(store, ask(family, known, **size))[1].pictures) == hashes(whole.pictures)


@each
@pytest.mark.parametrize("offload", ["model", "group"])
def test_parts_that_come_and_go_paint_nearly_the_same(
    family: str, offload: str, known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # diffusers looks for a card itself when it puts its hooks on again.
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.get_device", lambda: "cpu:0")
    name = OF_EACH[family]
    plain, moved = (
        Store(catalog=with_model(known, name, **fields), device=card()) for fields in ({}, {"offload": offload})
    )
    known_control = FAMILIES[family].control
    stays = known_control is not None and known_control.borrows and offload == "group"
    controls = [] if FAMILIES[family].fills or stays else add_ons(known.controls, family)
    for way in ({"image": OLD, "strength": 0.7}, *({"control": Control(control, OTHER)} for control in controls[:1])):
        request = ask(family, known, **way)
        made = paint(moved, request)[1]
        assert made.recipe["policy"]["offload"] == offload
        # Where weights lie in memory decides last bits of sums.
        assert abs(pixels(made).astype(int) - pixels(paint(plain, request)[1])).max() <= 1


@pytest.mark.parametrize("family", [family for family, record in FAMILIES.items() if record.control is not None])
def test_controlnets_follow_what_they_are_given_each_in_its_own_way(family: str, known: Catalog, store: Store) -> None:
    def painted(*control: Control) -> bytes:
        return pixels(paint(store, ask(family, known, control=control[0] if control else None))[1]).tobytes()

    names = [name for name in add_ons(known.controls, family) if known.controls[name].annotator == "canny"]
    assert names or family == "sd2", "which takes what sd1 takes"
    free = painted()
    seen = {free}
    for name in names:
        seen |= {painted(Control(name, OLD)), painted(Control(name, OTHER)), painted(Control(name, OLD, 0.4))}
        assert painted(Control(name, OLD, 0.0)) == free, name
    # Those of several kinds too, of which two entries share the weights.
    assert len(seen) == 1 + 3 * len(names)


@pytest.mark.parametrize(
    "family", [family for family, record in FAMILIES.items() if record.control and record.control.union]
)
@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("union", 3, "it follows 3 kinds of pictures: its mode is 0 to 2"),
        ("canny", 0, "it follows one kind of pictures|its config.json is of a ControlNetModel"),
    ],
)
def test_a_kind_that_a_controlnet_does_not_know_is_told_when_it_is_loaded(
    family: str, name: str, mode: int, said: str, known: Catalog, store: Store
) -> None:
    own = next(own for own in add_ons(known.controls, family) if own.startswith(name))
    controls = {**known.controls, own: msgspec.structs.replace(known.controls[own], mode=mode)}
    folder = known.folder / str(controls[own].path)
    with pytest.raises(WeightsError, match=said):
        changed = replace(known, controls=controls)
        loaders.control_of(changed, own, loaders.control(changed, own, folder, store.device).load())
