"""LoRAs and ControlNets beside a model: what they change, that at weight 0 they change nothing, and what is refused."""

from __future__ import annotations

import io
import logging
from functools import partial

import cv2
import msgspec
import numpy as np
import pytest
from PIL import Image

from inference.catalog import hashes, reading
from inference.catalog.reading import Catalog
from inference.errors import CatalogError, UnavailableModel
from inference.models.adapters import KEPT, Adapter
from inference.models.store import Store
from inference.networks import annotator
from inference.painting import setups
from inference.protocol import Control, Imagine, Lora, because
from starter.render import render
from starter.world import Scene
from tests.inference.conftest import ask_for, paint_from, uploaded
from tests.inference.folders import bytes_of

HOUSE, FILES = uploaded(render(Scene("house", "red", size="large", seed=4), 64))
BOAT, BOAT_FILES = uploaded(render(Scene("boat", "blue", size="large", place="sea", seed=4), 64))
FILES |= BOAT_FILES

paint = partial(paint_from, FILES)


def painted(store: Store, request: Imagine) -> bytes:
    """The pixels of a request's first picture."""
    return Image.open(io.BytesIO(bytes_of(paint(store, request)[1].pictures[0]))).tobytes()


def nothing() -> None:
    pass


@pytest.mark.parametrize("loras", [(Lora("ink", 0.8),), (Lora("words", 1.0),), (Lora("ink", 0.8), Lora("words", -1.0))])
def test_a_lora_changes_the_picture_repeatably_and_leaves_the_base_as_it_was(
    store: Store, loras: tuple[Lora, ...]
) -> None:
    base = painted(store, ask_for())
    adapted = painted(store, ask_for(loras=loras))
    assert adapted != base
    assert painted(store, ask_for()) == base
    assert painted(store, ask_for(loras=loras)) == adapted


def test_loras_are_told_apart_by_name_weight_and_company(store: Store) -> None:
    ways = [
        (Lora("ink", 0.8),),
        (Lora("ink", 1.5),),
        (Lora("ink", -0.8),),
        (Lora("words", 0.8),),
        (Lora("ink", 0.8), Lora("words", 0.8)),
    ]
    assert len({painted(store, ask_for(loras=loras)) for loras in ways}) == len(ways)


def test_at_weight_0_they_change_no_bit(store: Store) -> None:
    base = painted(store, ask_for())
    assert painted(store, ask_for(loras=(Lora("ink", 0.0),))) == base
    assert painted(store, ask_for(control=Control("canny", HOUSE, 0.0))) == base


def test_swapping_loras_keeps_the_model_and_never_more_than_a_few(store: Store) -> None:
    model = store.use("sd15", nothing)
    files = [store._located("lora", name) for name in ("ink", "words")]
    for number in range(KEPT + 3):
        # Links, since a file is known by its path.
        link = files[0].with_name(f"ink-{number}.safetensors")
        if not link.exists():
            link.symlink_to(files[0])
        model.adapters.switch([Adapter("ink", link, hashes.sha256(link), 1.0)])
    held = model.pipeline.get_list_adapters()
    assert all(len(names) <= KEPT for names in held.values())
    assert store.use("sd15", nothing) is model
    store.adapt(model, (), lambda: None)


def test_a_lora_for_another_model_is_refused_and_the_base_still_paints(store: Store) -> None:
    base = painted(store, ask_for())
    with pytest.raises(UnavailableModel) as refused:
        paint(store, ask_for(loras=(Lora("misnamed", 1.0),)))
    assert refused.value.reason == because("lora_unusable", lora="For XL, said to be for 1.5", model="Tiny 1.5")
    assert painted(store, ask_for()) == base


def test_a_lora_file_that_is_not_what_it_says_is_refused(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnavailableModel) as refused:
        paint(store, ask_for(loras=(Lora("forged", 1.0),)))
    assert refused.value.reason == because("lora_unusable", lora="Another file than it says", model="Tiny 1.5")
    assert "another file than sha256 in models.toml says: fetch forged again" in caplog.text


@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_a_controlnet_follows_the_picture_it_is_given(known: Catalog, store: Store, model: str) -> None:
    name = "canny" if model == "sd15" else "canny-xl"
    request = ask_for(model=model, sampler=known.models[model].sampler)
    ways = [None, Control(name, HOUSE), Control(name, BOAT), Control(name, HOUSE, 0.4)]
    pictures = [painted(store, msgspec.structs.replace(request, control=control)) for control in ways]
    assert len(set(pictures)) == len(ways)
    assert painted(store, msgspec.structs.replace(request, control=ways[1])) == pictures[1]


def test_control_a_start_and_a_lora_go_together(store: Store) -> None:
    request = ask_for(control=Control("canny", HOUSE), image=BOAT, strength=0.7, loras=(Lora("ink", 1.0),), steps=5)
    whole = painted(store, request)
    for field, value in (("control", None), ("image", None), ("loras", ())):
        assert painted(store, msgspec.structs.replace(request, **{field: value})) != whole


def test_a_controlled_picture_has_the_same_bytes_alone_and_beside_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    alone = paint(store, ask_for(control=Control("canny", HOUSE)))[1].pictures[0]
    other = ask_for(job=2, seed=99, control=Control("canny", BOAT))
    assert paint(store, other, ask_for(control=Control("canny", HOUSE)))[1].pictures[0].sha256 == alone.sha256


def test_canny_sees_outlines_and_maps_stay_as_they_are() -> None:
    picture = Image.new("RGB", (40, 40), "black")
    picture.paste("white", (10, 10, 30, 30))
    edges = np.asarray(annotator.BUILT_IN["canny"](picture).convert("L"))
    assert set(np.unique(edges)) == {0, 255}
    assert edges[:8].max() == edges[15:25, 15:25].max() == 0
    assert edges[:, 8:12].max() == 255
    assert np.array_equal(edges, cv2.Canny(np.asarray(picture), 100, 200))
    assert annotator.BUILT_IN["none"](picture).tobytes() == picture.tobytes()


def test_the_recipe_names_them_by_hash(store: Store) -> None:
    request = ask_for(loras=(Lora("ink", 0.8), Lora("words", 0.0)), control=Control("canny", HOUSE, 0.7))
    finished = paint(store, request)[1]
    [lora] = finished.recipe["loras"]
    assert (lora["name"], lora["weight"], len(lora["hash"])) == ("ink", 0.8, 10)
    [control] = finished.recipe["controls"]
    assert (control["name"], control["weight"], control["annotator"]) == ("canny", 0.7, {"name": "canny"})
    assert finished.recipe["request"]["control"]["image"]["sha256"] == HOUSE.sha256
    words = Image.open(io.BytesIO(bytes_of(finished.pictures[0]))).info["parameters"]
    assert words.splitlines()[0] == "a red house <lora:ink:0.8>"
    assert f'Lora hashes: "ink: {lora["hash"]}"' in words
    assert 'ControlNet 0: "Module: canny, Model: canny, Weight: 0.7"' in words


def test_those_that_are_not_here_are_not_used(store: Store) -> None:
    for kind, changes in (
        ("lora", {"loras": (Lora("unfetched", 1.0),)}),
        ("control", {"control": Control("unfetched", HOUSE)}),
    ):
        with pytest.raises(UnavailableModel) as refused:
            paint(store, ask_for(**changes))
        assert refused.value.reason == because("not_here", kind=kind, name="unfetched")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[loras.a]\ntitle = "A"\npath = "a.safetensors"\nmodels = ["none"]', "models: there is no [models.none]"),
        ('[loras.a]\ntitle = "A"\npath = "a.pt"\nmodels = ["sd15"]', "loras.a: path: a LoRA is a .safetensors file"),
        ('[loras.a]\ntitle = "A"\nmodels = ["sd15"]', "loras.a: path: give a file as path"),
        (
            '[controls.a]\ntitle = "A"\npath = "a"\nmodels = ["chroma-hd"]\nannotator = "canny"',
            "controls.a: models: no ControlNet can be used with the chroma family",
        ),
        (
            '[controls.a]\ntitle = "A"\npath = "a"\nmodels = ["sd15"]\nannotator = "canny"\nmode = 0',
            "controls.a: mode: the sd1 family has no ControlNets of several kinds",
        ),
        (
            '[controls.a]\ntitle = "A"\npath = "a"\nmodels = ["sd15", "sdxl"]\nannotator = "canny"',
            "controls.a: models: a ControlNet is of one family, these are of sd1, sdxl",
        ),
        (
            '[controls.a]\ntitle = "A"\npath = "a"\nmodels = ["sd15"]\nannotator = "pose"',
            "controls.a: annotator: must be canny, none or the name of an [annotators.NAME]",
        ),
        ('[annotators.none]\ntitle = "A"\npath = "a"\nkind = "depth"', "annotators.none: none is built in: call it"),
        ('[annotators.a]\ntitle = "A"\npath = "a"\nkind = "hats"', "annotators.a: kind: Invalid enum value 'hats'"),
        (
            '[annotators.a]\ntitle = "A"\npath = "a"\nkind = "depth"\ndtype = "float16"',
            "annotators.a: dtype: annotators compute in float32: leave it out",
        ),
    ],
)  # fmt: skip
def test_the_catalogue_says_what_is_wrong_with_one(known: Catalog, table: str, message: str) -> None:
    toml = known.folder / "models.toml"
    wrong = known.folder / "wrong.toml"
    wrong.write_text(f"{toml.read_text()}\n{table}\n")
    with pytest.raises(CatalogError) as refused:
        reading.load(wrong)
    assert message in str(refused.value)


def test_nothing_is_complained_of_on_the_way(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        paint(store, ask_for(loras=(Lora("words", 0.5),), control=Control("map", BOAT, 0.5)))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
