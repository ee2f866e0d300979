"""Enlarging as a task: the network's own result, in tiles that fit, cancelled on the way, on a full memory."""

from __future__ import annotations

import io
import json

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from inference.catalog.reading import Catalog
from inference.errors import OutOfMemory
from inference.models.store import Store
from inference.networks import tiles
from inference.protocol import Finished, Progress, Upscale, because
from inference.tasks import upscale
from tests.inference import tiny
from tests.inference.conftest import Record, uploaded
from tests.inference.folders import bytes_of


def ask(picture: Image.Image, **changes: object) -> tuple[Upscale, dict[str, bytes]]:
    image, files = uploaded(picture)
    return msgspec.structs.replace(Upscale(job=1, model="x4", image=image, factor=2), **changes), files


def enlarge(store: Store, asked: tuple[Upscale, dict[str, bytes]], record: Record | None = None) -> Finished:
    record, (request, files) = Record() if record is None else record, asked
    record.begin(request)
    upscale.run([request], files, store, record.report)
    return record.finished()[1]


def pixels(finished: Finished) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))))


@pytest.fixture
def in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscale, "LARGEST_ON_CPU", 64)


@pytest.mark.parametrize("model", ["x4", "x2"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_picture_comes_back_larger_as_the_network_made_it(store: Store, model: str, mode: str, factor: int) -> None:
    picture = tiny.picture(21, 12, mode=mode)
    finished = enlarge(store, ask(picture, model=model, factor=factor))
    network = store.use_upscaler(model, on_load=lambda: None).network
    assert np.array_equal(pixels(finished), np.asarray(network.enlarge(picture, factor)))
    (made,) = finished.pictures
    assert (made.width, made.height, made.seed) == (21 * factor, 12 * factor, None)


def test_the_recipe_names_the_files_and_the_tiles_and_travels_in_the_png(store: Store, in_tiles: None) -> None:
    finished = enlarge(store, ask(tiny.picture(150, 90), denoise=0.5))
    assert finished.recipe["tile"] == 64
    assert finished.recipe["request"]["denoise"] == 0.5
    assert [file["path"] for file in finished.recipe["model"]["files"]] == ["x4.pth", "x4-grain.pth"]
    image = Image.open(io.BytesIO(bytes_of(finished.pictures[0])))
    assert set(image.text) == {"easel", "XML:com.adobe.xmp"}
    assert json.loads(image.info["easel"]) == finished.recipe
    assert enlarge(store, ask(tiny.picture(), denoise=0.5)).recipe["tile"] == 0


def test_denoise_is_the_networks(store: Store) -> None:
    picture = tiny.picture()
    plain, noisy = (pixels(enlarge(store, ask(picture, denoise=share))) for share in (None, 0.0))
    assert not np.array_equal(plain, noisy)
    assert np.array_equal(plain, pixels(enlarge(store, ask(picture, denoise=1.0))))


def test_progress_counts_tiles(store: Store, in_tiles: None) -> None:
    record = Record()
    enlarge(store, ask(tiny.picture(150, 90, mode="RGBA")), record)
    steps = [event for event in record if isinstance(event, Progress) and event.stage != "loading"]
    assert {event.steps for event in steps} == {12}
    assert steps[0].step == 0
    assert [event.step for event in steps] == sorted(event.step for event in steps)
    assert (steps[-1].step, steps[-1].stage) == (12, "finishing")


def test_a_cancel_is_honoured_between_tiles(store: Store, in_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    record, (request, files) = Record(), ask(tiny.picture(150, 90))
    record.begin(request)
    network = store.use_upscaler("x4", on_load=lambda: None).network.network
    forward, passes = network.forward, []

    def cancel_in_the_second(tile: torch.Tensor) -> object:
        passes.append(tile.shape)
        if len(passes) == 2:
            record.report.cancel(1)
        return forward(tile)

    monkeypatch.setattr(network, "forward", cancel_in_the_second)
    upscale.run([request], files, store, record.report)
    assert not record.finished()
    assert record.failed()[1].kind == "cancelled"
    assert len(passes) == 2


def test_tiles_are_chosen_from_what_is_free(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, upscaler = tiny.picture(1000, 900), store.use_upscaler("x2", on_load=lambda: None)
    device = type(store.device)(where=torch.device("cpu"), name="a CPU", memory_bytes=1)
    for free_gib in (0.3, 64):
        monkeypatch.setattr(type(device), "free_bytes", lambda _, free=free_gib: int(free * 2**30))
        largest = upscale.LARGEST_ON_CPU
        expected = tiles.tile_for(upscaler.network.appetite, 1000, 900, int(free_gib * 2**30), 4, largest)
        assert upscale.first_tile(picture, upscaler, device) == expected
    assert expected == largest


@pytest.mark.parametrize(("holds", "tile", "stays"), [(192, 64, True), (100, 64, False)])
def test_a_full_memory_first_halves_the_tiles_and_then_lets_go_of_other_models(
    holds: int, tile: int, stays: bool, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Store(catalog=known, device=store.device)
    own.use("sd15", on_load=lambda: None)
    network = own.use_upscaler("x4", on_load=lambda: None).network.network
    forward, sides = network.forward, []

    def full_when_large(tile: torch.Tensor) -> object:
        sides.append(tile.shape[-1])
        # Without the other model there is room for a few pixels more.
        if (tile.shape[-1] > holds and "model sd15" in own.resident()) or tile.shape[-1] > 192:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(tile)

    monkeypatch.setattr(network, "forward", full_when_large)
    with own.lease():
        finished = enlarge(own, ask(tiny.picture(250, 250)))
    assert sides[0] == 250
    assert max(sides[1:]) == 64 + 2 * tiles.PADDING
    assert finished.recipe["tile"] == tile
    assert ("model sd15" in own.resident()) is stays


def test_a_memory_that_holds_nothing_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record, (request, files) = Record(), ask(tiny.picture(250, 250))
    record.begin(request)
    network = store.use_upscaler("x4", on_load=lambda: None).network.network

    def full(_: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(network, "forward", full)
        with pytest.raises(OutOfMemory) as refused:
            upscale.run([request], files, store, record.report)
    assert refused.value.reason == because("memory_for_upscale", width=250, height=250, model="Tiny x4")
    monkeypatch.setattr(upscale, "host_free_bytes", lambda: 1000)
    with pytest.raises(OutOfMemory):
        upscale.run([request], files, store, record.report)
