"""Annotators: what a ControlNet sees of a picture, that recipes name who saw it, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import types
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, DepthAnythingForDepthEstimation

from inference.catalog import fetching, fields, layouts, weights
from inference.catalog.entries import AnnotatorEntry
from inference.catalog.fields import AnnotatorKind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import UnavailableModel, WeightsError
from inference.models.store import Store
from inference.networks import annotator
from inference.pictures import images
from inference.protocol import Compare, Control, because
from inference.silence import silenced
from inference.tasks import compare
from starter.render import render
from starter.world import Scene
from tests.inference.conftest import Record, ask_for, paint_from, uploaded
from tests.inference.folders import bytes_of, hashes
from tests.inference.tiny_add_ons import write_depth

PICTURE = render(Scene("house", "red", size="large", seed=4), 64)
HOUSE, FILES = uploaded(PICTURE)
paint = partial(paint_from, FILES)
DETECTED = tuple(fields.DETECTOR_FILES)


def nothing() -> None:
    pass


def with_annotator(known: Catalog, folder: Path, kind: AnnotatorKind, cpu: Device) -> Store:
    """A store that knows one annotator, called as its kind, in this folder."""
    entry = AnnotatorEntry(title="Only one", kind=kind, path=str(folder))
    return Store(catalog=dataclasses.replace(known, annotators={kind: entry}), device=cpu)


def write_detector(folder: Path, kind: AnnotatorKind) -> None:
    """The files of a detector with random weights, as lllyasviel/Annotators has them."""
    with silenced():
        from controlnet_aux.hed import ControlNetHED_Apache2
        from controlnet_aux.lineart import Generator
        from controlnet_aux.mlsd.models.mbv2_mlsd_large import MobileV2_MLSD_Large
        from controlnet_aux.normalbae.nets.NNET import NNET
        from controlnet_aux.open_pose.model import bodypose_model

        torch.manual_seed(0)
        for name in fields.DETECTOR_FILES[kind]:
            saved: dict[str, Any]
            match kind:
                case "lineart":
                    saved = Generator(3, 1, 3).state_dict()
                case "softedge":
                    saved = ControlNetHED_Apache2().half().state_dict()
                case "mlsd":
                    saved = MobileV2_MLSD_Large().state_dict()
                case "openpose":
                    # Its own names have no place for the group that a layer is in.
                    saved = {key.partition(".")[2]: value for key, value in bodypose_model().state_dict().items()}
                case _:
                    settings = types.SimpleNamespace(architecture="BN", sampling_ratio=0.4, importance_ratio=0.7)
                    saved = {"model": NNET(settings).state_dict()}
            torch.save(saved, folder / name)


def test_what_is_nearer_is_brighter(known: Catalog, store: Store) -> None:
    annotator = store.use_annotator("depth", nothing)
    assert annotator is not None
    folder = known.folder / "depth"
    model: Any = DepthAnythingForDepthEstimation.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    picture = PICTURE.resize((56, 28))
    with torch.no_grad():
        near = model(**processor(images=picture, return_tensors="pt")).predicted_depth[0]
    assert near.shape == (28, 56)
    assert near.std() > 0.01 * near.mean()
    seen = np.asarray(annotator.network.seen(picture))
    assert (seen.shape, seen.min(), seen.max()) == ((28, 56, 3), 0, 255)
    assert (seen == seen[..., :1]).all()
    assert np.allclose(seen[..., 0], 255 * (near - near.min()) / (near.max() - near.min()), atol=0.51)
    assert annotator.network.seen(picture.resize((40, 24))).size == (40, 24)


def test_a_controlnet_follows_what_its_annotator_sees_and_the_recipe_names_both(store: Store) -> None:
    edges = paint(store, ask_for(control=Control("canny", HOUSE)))[1]
    depth, again = (paint(store, ask_for(control=Control("depth", HOUSE)))[1] for _ in range(2))
    assert hashes(depth.pictures) == hashes(again.pictures)
    assert depth.pictures[0].sha256 != edges.pictures[0].sha256
    assert edges.recipe["controls"][0]["annotator"] == {"name": "canny"}
    found = depth.recipe["controls"][0]["annotator"]
    named = {**found}
    assert len(named.pop("hash")) == 10
    assert named.pop("library").startswith("transformers 5.")
    assert named == {"name": "depth", "kind": "depth", "path": "depth", "revision": None}
    assert (
        json.loads(Image.open(io.BytesIO(bytes_of(depth.pictures[0]))).info["easel"])["controls"][0]["annotator"]
        == found
    )
    assert "Module: depth, Model: depth" in Image.open(io.BytesIO(bytes_of(depth.pictures[0]))).info["parameters"]


def test_an_annotator_takes_its_place_in_the_memory_once_it_is_needed(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    paint(store, ask_for(control=Control("depth", HOUSE, 0.0)))
    paint(store, ask_for(control=Control("canny", HOUSE)))
    assert "annotator depth" not in store.resident()
    with store.lease():
        paint(store, ask_for(control=Control("depth", HOUSE)))
        store.let_go()
        parameters = layouts.parameter_count([known.folder / "depth" / "model.safetensors"])
        assert store.resident()["annotator depth"] == 4 * parameters


def test_a_comparison_shows_what_was_seen(store: Store) -> None:
    request = Compare(job=1, model="depth", image=HOUSE, width=32, height=32, painted=(HOUSE,))
    record = Record()
    record.begin(request)
    compare.run([request], FILES, store, record.report)
    finished = record.finished()[1]
    whole = Image.open(io.BytesIO(bytes_of(finished.pictures[0]))).convert("RGB")
    annotator = store.use_annotator("depth", nothing)
    assert annotator is not None
    seen = annotator.network.seen(images.fitting(PICTURE, 32, 32)).resize((256, 256), Image.Resampling.NEAREST)
    left = (whole.width - 256) // 2
    assert whole.crop((left, whole.height - 256, left + 256, whole.height)).tobytes() == seen.tobytes()
    assert [one["name"] for one in finished.recipe["annotators"]] == ["depth"]
    assert finished.recipe["device"]["dtype"] == "float32"


def test_a_controlnet_without_its_annotator_is_not_here(known: Catalog, store: Store) -> None:
    assert weights.available(known, "annotator") == ("depth",)
    here = weights.available(known, "control")
    assert "depth" in here
    assert "blind" not in here
    with pytest.raises(UnavailableModel) as refused:
        paint(store, ask_for(control=Control("blind", HOUSE)))
    assert refused.value.reason == because("not_here", kind="annotator", name="unfetched")


def test_fetching_a_controlnet_wants_its_annotator_too(known: Catalog) -> None:
    titles = [entry.title for entry in fetching.wanted(known, "blind")]
    assert titles == ["Whose annotator was never fetched", "Never fetched"]


@pytest.mark.parametrize("kind", DETECTED)
def test_without_the_extra_a_detector_counts_as_not_here_and_is_not_fetched(
    kind: AnnotatorKind, known: Catalog, cpu: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in fields.DETECTOR_FILES[kind]:
        torch.save({name: torch.ones(1)}, tmp_path / name)
    alone = with_annotator(known, tmp_path, kind, cpu).catalog
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)
    assert weights.locate(alone, "annotator", kind) is None
    with pytest.raises(WeightsError, match="needs a library that is not here: pip install 'easel.annotators.'"):
        list(fetching.fetch(alone, kind))
    monkeypatch.setitem(sys.modules, "controlnet_aux", types.ModuleType("controlnet_aux"))
    monkeypatch.setattr(weights, "find_spec", lambda _: object())
    assert weights.locate(alone, "annotator", kind) == tmp_path
    (tmp_path / fields.DETECTOR_FILES[kind][-1]).unlink()
    with pytest.raises(WeightsError, match=f"is not whole: it has no {fields.DETECTOR_FILES[kind][-1]}"):
        weights.locate(alone, "annotator", kind)


def test_depth_in_metres_is_refused(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    write_depth(tmp_path, depth_estimation_type="metric")
    with pytest.raises(WeightsError, match="as a detector of depth: it estimates metric depth, not relative"):
        with_annotator(known, tmp_path, "depth", cpu).use_annotator("depth", nothing)


def test_what_needs_no_weights_is_built_in(store: Store) -> None:
    assert set(annotator.BUILT_IN) == set(fields.BUILT_IN_ANNOTATORS)
    assert {*DETECTED, "depth"} == set(get_args(AnnotatorKind))
    assert all(store.use_annotator(name, nothing) is None for name in annotator.BUILT_IN)


@pytest.mark.parametrize("kind", DETECTED)
def test_a_detector_draws_what_it_finds_in_the_pictures_own_size(
    kind: AnnotatorKind, known: Catalog, cpu: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_detector(tmp_path, kind)
    capsys.readouterr()
    store = with_annotator(known, tmp_path, kind, cpu)
    annotator = store.use_annotator(kind, nothing)
    assert annotator is not None
    seen = [annotator.network.seen(PICTURE.resize((72, 40))) for _ in range(2)]
    assert seen[0].size == (72, 40)
    assert seen[0].mode == "RGB"
    assert seen[0].tobytes() == seen[1].tobytes()
    # By chance nobody stands in the picture.
    assert (np.asarray(seen[0]).std() > 0) == (kind != "openpose")
    assert store.resident()[f"annotator {kind}"] > 1e6
    assert capsys.readouterr().out == ""


def test_a_detectors_file_that_holds_more_than_tensors_is_refused(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    torch.save({"model": nothing}, tmp_path / "mlsd_large_512_fp32.pth")
    with pytest.raises(WeightsError, match="mlsd_large_512_fp32.pth is not loaded: it holds more than tensors"):
        with_annotator(known, tmp_path, "mlsd", cpu).use_annotator("mlsd", nothing)
