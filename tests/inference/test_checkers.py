"""Safety checkers: what they flag is shown to nobody, and what they were to check is not painted without them."""

from __future__ import annotations

import dataclasses
import io
import logging
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs
from PIL import Image
from safetensors.torch import load_file, save_file

from inference.catalog import hashes, layouts, reading, weights
from inference.catalog.reading import Catalog
from inference.catalog.remotes import RemoteEntry
from inference.device import Device
from inference.errors import UnavailableModel, WeightsError
from inference.gate import Gate
from inference.models.store import Store
from inference.networks.checker import Checker
from inference.painting import setups
from inference.protocol import (
    Alive,
    Batch,
    Check,
    Classify,
    Failed,
    Finished,
    Grid,
    Imagine,
    Preview,
    Progress,
    Safety,
    Upscale,
    because,
)
from inference.tasks import grid, imagine
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, is_whole, uploaded, with_model
from tests.inference.folders import bytes_of, put
from tests.inference.serving import Serving


def nothing() -> None:
    pass


def paint(store: Store, *requests: Imagine) -> Record:
    record = Record()
    record.begin(*requests)
    imagine.run(requests, {}, store, record.report)
    record.report.close()
    return record


def pictures(finished: Finished) -> list[Image.Image]:
    return [Image.open(io.BytesIO(bytes_of(picture))).convert("RGB") for picture in finished.pictures]


def pixels(finished: Finished) -> list[bytes]:
    """The pictures without their recipes."""
    return [picture.tobytes() for picture in pictures(finished)]


def seen(checker: Checker, picture: Image.Image) -> torch.Tensor:
    """What a checker makes of a picture, of length 1."""
    values = checker._extractor(images=picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        embedded = checker.model.visual_projection(checker.model.vision_model(values).pooler_output)[0]
    return torch.nn.functional.normalize(embedded, dim=0)


def flag_only(checker: Checker, flagged: Image.Image, *harmless: Image.Image) -> None:
    """Set the checker's one concept so that this picture is over its threshold and these are not."""
    own, others = seen(checker, flagged), [seen(checker, picture) for picture in harmless]
    concept = torch.nn.functional.normalize(own - torch.stack(others).mean(dim=0), dim=0)
    nearest = max(float(other @ concept) for other in others)
    assert float(own @ concept) > nearest + 0.004, "these pictures cannot be told apart"
    checker.model.concept_embeds.data[0] = concept
    checker.model.concept_embeds_weights.data[0] = (float(own @ concept) + nearest) / 2


@pytest.mark.usefixtures("many_previews")
def test_of_a_flagged_job_nothing_leaves_the_engine_but_why(known: Catalog, cpu: Device) -> None:
    record = paint(Store(catalog=with_model(known, checker="strict"), device=cpu), ask_for(steps=3, count=2))
    failed = record.failed()[1]
    assert failed == Failed(1, "unsafe", because("flagged"))
    assert {type(event) for event in record} == {Alive, Progress, type(failed)}
    assert max(event.step for event in record if isinstance(event, Progress)) <= 3, "the second picture is not painted"


@pytest.mark.usefixtures("many_previews")
def test_what_passes_is_the_picture_without_a_checker_previews_and_all(
    known: Catalog, cpu: Device, store: Store
) -> None:
    unchecked = paint(store, ask_for(steps=3))
    assert any(isinstance(event, Preview) for event in unchecked)
    record = paint(Store(catalog=with_model(known, checker="lax"), device=cpu), ask_for(steps=3))
    assert [event.image for event in record if isinstance(event, Preview)] == [
        event.image for event in unchecked if isinstance(event, Preview)
    ]
    finished, before = record.finished()[1], unchecked.finished()[1]
    assert pixels(finished) == pixels(before)
    files = layouts.checker_files(known.folder / "lax")
    assert finished.recipe["checker"] == {"name": "lax", "hash": hashes.fingerprint(files)}
    assert before.recipe["checker"] is None


def test_one_flagged_picture_fails_its_whole_job_and_no_other(
    known: Catalog, cpu: Device, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    requests = [ask_for(1, count=3), ask_for(2, seed=30), ask_for(3, seed=40, count=2)]
    ends = paint(store, *requests).finished()
    first, flagged, *harmless = [picture for job in (1, 2, 3) for picture in pictures(ends[job])]
    checking = Store(catalog=with_model(known, checker="lax"), device=cpu)
    flag_only(checking.use_checker("lax", nothing).network, flagged, first, *harmless)
    record = paint(checking, *requests)
    assert {job: failed.kind for job, failed in record.failed().items()} == {1: "unsafe"}
    assert list(record.finished()) == [2, 3]
    for job in (2, 3):
        assert pixels(record.finished()[job]) == pixels(ends[job])


def test_a_picture_is_checked_before_it_is_enlarged(known: Catalog, cpu: Device) -> None:
    checking = Store(catalog=with_model(known, checker="strict", upscaler="x4"), device=cpu)
    network: Any = checking.use_upscaler("x4", nothing).network
    enlarged: list[int] = []
    network.network.register_forward_hook(lambda *_: enlarged.append(1))
    assert paint(checking, ask_for()).failed()[1].kind == "unsafe"
    assert not enlarged


def test_a_model_whose_checker_is_not_here_cannot_be_used(known: Catalog, cpu: Device) -> None:
    lacking = with_model(known, checker="unfetched")
    assert "sd15" not in weights.available(lacking)
    assert "sd21" in weights.available(lacking)
    with pytest.raises(
        WeightsError, match="the checker unfetched of the default model sd15 has no weights .* put them into"
    ):
        weights.require(lacking)
    record = Record()
    record.begin(ask_for())
    with pytest.raises(UnavailableModel) as refused:
        imagine.run([ask_for()], {}, Store(catalog=lacking, device=cpu), record.report)
    assert refused.value.reason == because("not_here", kind="checker", name="unfetched")
    assert not record.finished()


def test_a_model_of_another_server_whose_checker_is_not_here_is_told_at_the_start(
    known: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    far = RemoteEntry(title="Far", family="openai", base_url="https://example.com/v1", model="far")
    entries = {name: structs.replace(far, checker=name) for name in ("lax", "unfetched")}
    weights.require(dataclasses.replace(known, remotes={**entries, "none": far}))
    [said] = [record.getMessage() for record in caplog.records if "what it paints" in record.getMessage()]
    assert said.startswith("[models.unfetched] what it paints cannot be shown without its checker unfetched: it is not")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("strict", "safety_checker/config.json"),
        ("strict", "safety_checker/model.safetensors"),
        ("strict", "feature_extractor/preprocessor_config.json"),
        ("lax", "config.json"),
        ("lax", "model.safetensors"),
        ("lax", "preprocessor_config.json"),
    ],
)
def test_a_checker_is_here_with_all_its_files_in_one_folder_or_in_two(
    name: str, missing: str, models_toml: Path, tmp_path: Path
) -> None:
    entry = reading.load(models_toml).checkers[name]
    shutil.copytree(models_toml.parent / name, tmp_path / name)
    assert is_whole(tmp_path / name, entry)
    (tmp_path / name / missing).unlink()
    assert not is_whole(tmp_path / name, entry)


def test_weights_named_as_the_published_ones_are_load_as_they_are(
    models_toml: Path, cpu: Device, tmp_path: Path
) -> None:
    shutil.copytree(models_toml.parent / "strict" / "safety_checker", tmp_path / "strict")
    shutil.copytree(models_toml.parent / "strict" / "feature_extractor", tmp_path / "strict", dirs_exist_ok=True)
    shutil.copy(models_toml, tmp_path)
    file = tmp_path / "strict" / "model.safetensors"
    tensors = load_file(file)
    # In 2022 the tower had one more name, and a buffer that today's has not.
    old = {name.replace("vision_model.", "vision_model.vision_model.", 1): data for name, data in tensors.items()}
    positions = {"vision_model.vision_model.embeddings.position_ids": torch.arange(5).unsqueeze(0)}
    save_file(old | positions, file, metadata={"format": "pt"})
    model = (
        Store(catalog=reading.load(tmp_path / "models.toml"), device=cpu).use_checker("strict", nothing).network.model
    )
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], data) for name, data in tensors.items())


def test_a_folder_of_another_kind_is_refused_rather_than_filled_up_with_chance(
    models_toml: Path, cpu: Device, tmp_path: Path
) -> None:
    shutil.copytree(models_toml.parent / "clip", tmp_path / "strict")
    shutil.copy(models_toml, tmp_path)
    with pytest.raises(WeightsError, match="does not load as a safety checker: its weights have no fitting concept"):
        Store(catalog=reading.load(tmp_path / "models.toml"), device=cpu).use_checker("strict", nothing)


def test_a_checker_that_cannot_tell_lets_nothing_pass(known: Catalog, cpu: Device) -> None:
    checker = Store(catalog=known, device=cpu).use_checker("lax", nothing).network
    assert not checker.flags(tiny.picture())
    checker.model.visual_projection.weight.data[0, 0] = float("nan")
    with pytest.raises(FloatingPointError):
        checker.flags(tiny.picture())


def test_flags_are_for_the_member_and_not_for_the_log(
    known: Catalog, cpu: Device, caplog: pytest.LogCaptureFixture
) -> None:
    checker = Store(catalog=known, device=cpu).use_checker("strict", nothing).network
    logger = logging.getLogger("diffusers.pipelines.stable_diffusion.safety_checker")
    logger.addHandler(caplog.handler)
    try:
        assert checker.flags(tiny.picture())
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record for record in caplog.records if "NSFW" in record.message]


@pytest.mark.usefixtures("many_previews")
def test_flagged_pictures_are_hidden_or_shown_as_their_request_says_with_the_same_pixels(
    known: Catalog, cpu: Device, store: Store
) -> None:
    unchecked = pixels(paint(store, ask_for(count=2, steps=3)).finished()[1])
    strict = Store(catalog=with_model(known, checker="strict"), device=cpu)
    hidden = paint(strict, ask_for(count=2, steps=3, safety="spoiler"))
    assert [picture.flagged for picture in hidden.finished()[1].pictures] == [True, True]
    assert not any(isinstance(event, Preview) for event in hidden), "a preview is hidden from nobody"
    shown = paint(strict, ask_for(count=2, steps=3, safety="allow"))
    assert [picture.flagged for picture in shown.finished()[1].pictures] == [False, False]
    assert any(isinstance(event, Preview) for event in shown)
    assert pixels(hidden.finished()[1]) == pixels(shown.finished()[1]) == unchecked
    assert "safety" not in hidden.finished()[1].recipe["request"]


def test_those_who_may_see_and_those_who_may_not_share_a_pass(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    requests = [ask_for(1), ask_for(2, safety="spoiler"), ask_for(3, safety="allow")]
    assert len({request.pass_key for request in requests}) == 1
    record = paint(Store(catalog=with_model(known, checker="strict"), device=cpu), *requests)
    assert {job: failed.kind for job, failed in record.failed().items()} == {1: "unsafe"}
    flagged = {job: [picture.flagged for picture in made.pictures] for job, made in record.finished().items()}
    assert flagged == {2: [True], 3: [False]}


def test_a_grid_with_a_flagged_cell_is_held_back_or_hidden_as_a_whole(known: Catalog, cpu: Device) -> None:
    strict = Store(catalog=with_model(known, checker="strict"), device=cpu)
    cells = (ask_for(seed=1), ask_for(seed=2))
    ends = []
    for safety in ("block", "spoiler"):
        request = Grid(job=1, model="sd15", cells=cells, columns=("1", "2"), safety=safety)
        record = Record()
        record.begin(request)
        grid.run([request], {}, strict, record.report)
        ends.append(record.finished().get(1) or record.failed()[1])
    blocked, hidden = ends
    assert isinstance(blocked, Failed)
    assert blocked.kind == "unsafe"
    assert isinstance(hidden, Finished)
    assert [picture.flagged for picture in hidden.pictures] == [True]
    assert all("safety" not in cell for cell in hidden.recipe["request"]["cells"])


IMAGE, FILES = uploaded(tiny.picture(40, 30))


def asked_of(job: int, safety: Safety = "block") -> list[Upscale | Classify | Imagine]:
    """What works on a picture: it is made larger, looked at, and started from."""
    labels = {"labels": ("a", "b"), "templates": ("{}",)}
    return [
        Upscale(job=job, model="x4", image=IMAGE, factor=2, safety=safety),
        Classify(job=job + 1, model="clip", image=IMAGE, safety=safety, **labels),
        ask_for(job + 2, image=IMAGE, strength=0.5, safety=safety),
    ]


def test_nothing_is_done_with_a_flagged_picture_that_somebody_brings(known: Catalog, cpu: Device) -> None:
    put(FILES)
    catalog = dataclasses.replace(known, checker="strict")
    serving = Serving(catalog, Store(catalog=catalog, device=cpu))
    try:
        serving.peer.ready()
        serving.peer.send(Batch(tuple(asked_of(1))))
        refused = serving.peer.ends(3)
        assert refused == {job: Failed(job, "unsafe", because("input_flagged")) for job in (1, 2, 3)}
        serving.peer.send(Batch(tuple(asked_of(11, "spoiler"))))
        hidden = serving.peer.ends(3)
        serving.peer.send(Batch(tuple(asked_of(21, "allow"))))
        shown = serving.peer.ends(3)
    finally:
        serving.peer.socket.shutdown(socket.SHUT_WR)
        assert serving.ended()
    flags = {
        job: [picture.flagged for picture in end.pictures]
        for job, end in {**hidden, **shown}.items()
        if isinstance(end, Finished)
    }
    assert flags == {11: [True], 12: [], 13: [True], 21: [False], 22: [], 23: [False]}


def test_the_bot_is_told_what_checkers_say_of_pictures_from_elsewhere(known: Catalog, cpu: Device) -> None:
    put(FILES)
    catalog = dataclasses.replace(known, checker="strict")
    serving = Serving(catalog, Store(catalog=catalog, device=cpu))
    try:
        serving.peer.ready()
        names = ("", "lax", "strict", "unfetched")
        asked = (Check(job=job, model=name, pictures=(IMAGE,) * 2, safety="allow") for job, name in enumerate(names))
        serving.peer.send(Batch(tuple(asked)))
        ends = serving.peer.ends(len(names))
    finally:
        serving.peer.socket.shutdown(socket.SHUT_WR)
        assert serving.ended()
    assert isinstance(ends[3], Failed)
    said = [end.answer.flagged for job, end in sorted(ends.items()) if isinstance(end, Finished)]
    assert said == [(True, True), (False, False), (True, True)]


def test_a_picture_that_comes_again_is_looked_at_once(known: Catalog, cpu: Device) -> None:
    catalog = dataclasses.replace(known, checker="lax")
    store = Store(catalog=catalog, device=cpu)
    gate, looked = Gate(store), []
    network: Any = store.use_checker("lax", nothing).network
    network.model.register_forward_hook(lambda *_: looked.append(1))
    assert [gate.flags(IMAGE, FILES, nothing) for _ in range(3)] == [False] * 3
    assert len(looked) == 1
