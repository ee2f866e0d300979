"""Grids: cells that are what /imagine paints, one job with one end, labels."""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange import reports
from inference.marks import marking, watermark
from inference.marks.marking import ALL, Marks
from inference.models.store import Store
from inference.pictures import drawing, images
from inference.protocol import Alive, Grid, Imagine, Lora, Preview, Progress, because
from inference.tasks import grid, imagine
from tests.inference.conftest import Record, ask_for, with_model
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_imagine import for_model, pixels

UNMARKED = Marks(watermark=False)
DARK = (0x2B, 0x2D, 0x31)


def grid_of(cells: Sequence[Imagine], columns: int, **changes: object) -> Grid:
    values: dict[str, object] = {
        "job": 9,
        "model": cells[0].model,
        "cells": tuple(cells),
        "columns": tuple(f"steps {number}" for number in range(columns)),
        "rows": tuple(f"guidance {number}" for number in range(len(cells) // columns)),
    }
    return Grid(**{**values, **changes})  # type: ignore[arg-type]


def run(store: Store, request: Grid, record: Record | None = None) -> Record:
    record = Record() if record is None else record
    record.begin(request)
    grid.run([request], {}, store, record.report)
    return record


SIX = [ask_for(job=0, seed=7, steps=steps, guidance=guidance) for guidance in (2.0, 5.0) for steps in (1, 2, 3)]


def test_the_cells_are_what_imagine_paints_and_stand_in_their_places(store: Store) -> None:
    # The watermark changes the last bits of the whole.
    finished = run(store, grid_of(SIX, 3), Record(UNMARKED)).finished()[9]
    [picture] = finished.pictures
    sheet = pixels(picture)
    left, top = picture.width - 3 * 32, picture.height - 2 * 32
    assert left > 0
    assert top > 0
    for place, cell in enumerate(SIX):
        record = Record(UNMARKED)
        record.begin(cell)
        imagine.run([cell], {}, store, record.report)
        alone = pixels(record.finished()[0].pictures[0])
        row, column = divmod(place, 3)
        here = sheet[top + row * 32 : top + (row + 1) * 32, left + column * 32 : left + (column + 1) * 32]
        assert np.array_equal(here, alone), place
    # Beside the cells: labels on the ground, and nothing in the corner.
    assert (sheet[:top, :left] == DARK).all()
    assert not (sheet[:top, left:] == DARK).all()
    assert not (sheet[top:, :left] == DARK).all()


def test_the_watermark_lies_in_the_cells_and_not_on_their_labels(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=with_model(known, max_size=256, max_pixels=256 * 256), device=cpu)
    cells = [ask_for(job=0, seed=seed, steps=1, width=192, height=256) for seed in (1, 2)]
    bare, marked = (run(store, grid_of(cells, 2), Record(marks)).finished()[9] for marks in (UNMARKED, ALL))
    before, after = pixels(bare.pictures[0]), pixels(marked.pictures[0])
    changed = (before != after).any(2)
    top, left = changed.shape[0] - 256, changed.shape[1] - 2 * 192
    assert min(top, left) > 0
    assert not changed[:top].any()
    assert not changed[:, :left].any()
    assert changed[top:, left:].mean() > 0.5
    assert watermark.found(Image.fromarray(after))
    assert marked.recipe["watermark"] == {**watermark.AS_RECIPE, "within": "painted"}
    assert bare.recipe["watermark"] is None


@pytest.mark.parametrize("name", ["sd15", "sd21", "sdxl", "sd35", "flux-dev"])
def test_every_family_paints_grids_and_repeats_them(name: str, known: Catalog, store: Store) -> None:
    cells = [for_model(name, known, job=0, prompt=f"a {colour} house") for colour in ("red", "(blue:1.2)", "{a|b}")]
    request = grid_of(cells, 3, rows=("",))
    first, second = run(store, request).finished()[9], run(store, request).finished()[9]
    assert hashes(first.pictures) == hashes(second.pictures)
    assert first.pictures[0].width == 3 * 32
    assert bool(first.answer.notes) == (name in ("sd35", "flux-dev"))


def test_models_stand_beside_each_other_each_as_it_paints_alone(known: Catalog, store: Store) -> None:
    cells = [for_model(name, known, job=0, width=width) for name, width in (("sd15", 32), ("flux-dev", 48))]
    finished = run(store, grid_of(cells, 2, rows=("",)), Record(UNMARKED)).finished()[9]
    row = pixels(finished.pictures[0])[-32:]
    for cell, left in zip(cells, (0, 48), strict=True):
        record = Record(UNMARKED)
        record.begin(cell)
        imagine.run([cell], {}, store, record.report)
        alone = pixels(record.finished()[0].pictures[0])
        assert np.array_equal(row[:, left : left + cell.width], alone), cell.model
    models = [each["model"] for each in finished.recipe["cells"]]
    assert [model["name"] for model in models] == ["sd15", "flux-dev"]
    told = marking.made_by(*finished.recipe["cells"])
    assert told.system == "Easel, sd15, flux-dev"
    assert told.version.split(", ")[1:] == [f"{model['name']} {model['hash']}" for model in models]


def test_blind_table_has_letters_and_numbers_in_the_place_of_its_labels(store: Store) -> None:
    blind = run(store, grid_of(SIX, 3, blind=True), Record(UNMARKED)).finished()[9]
    lettered = replace(grid_of(SIX, 3), columns=("A", "B", "C"), rows=("1", "2"))
    as_lettered = run(store, lettered, Record(UNMARKED)).finished()[9]
    assert np.array_equal(pixels(blind.pictures[0]), pixels(as_lettered.pictures[0]))
    labelled = run(store, grid_of(SIX, 3), Record(UNMARKED)).finished()[9]
    assert pixels(labelled.pictures[0]).shape != pixels(blind.pictures[0]).shape
    # Who looks into the recipe finds what it was.
    assert blind.recipe["request"]["columns"] == labelled.recipe["request"]["columns"]


def test_a_row_of_loras_differs_from_cell_to_cell_and_at_weight_0_it_is_none(store: Store) -> None:
    ways = [(), (Lora("ink", 0.0),), (Lora("ink", 0.8),), (Lora("ink", 0.8), Lora("words", 1.0))]
    cells = [ask_for(job=0, loras=loras) for loras in ways]
    finished = run(store, grid_of(cells, 4, rows=("",)), Record(UNMARKED)).finished()[9]
    row = pixels(finished.pictures[0])[-32:]
    none, zero, ink, both = (row[:, left : left + 32].tobytes() for left in range(0, 4 * 32, 32))
    assert none == zero
    assert len({none, ink, both}) == 3
    assert [[lora["name"] for lora in cell["loras"]] for cell in finished.recipe["cells"]] == [
        [], [], ["ink"], ["ink", "words"],
    ]  # fmt: skip


def test_its_recipe_has_the_request_and_what_made_each_cell(store: Store) -> None:
    finished = run(store, grid_of(SIX, 3)).finished()[9]
    image = Image.open(io.BytesIO(bytes_of(finished.pictures[0])))
    recipe = json.loads(image.info["easel"])
    assert recipe == json.loads(json.dumps(finished.recipe))
    assert [cell["steps"] for cell in recipe["request"]["cells"]] == [1, 2, 3, 1, 2, 3]
    assert len(recipe["cells"]) == 6
    assert "watermark" in recipe
    assert {cell["model"]["name"] for cell in recipe["cells"]} == {"sd15"}
    assert image.info["parameters"].startswith("a red house\nSteps: 1, ")


def test_progress_counts_over_all_cells_up_to_the_end(store: Store) -> None:
    record = run(store, grid_of(SIX, 3))
    record.finished()
    steps = [event for event in record if isinstance(event, Progress)]
    assert {event.job for event in record if not isinstance(event, Alive)} == {9}
    assert {event.steps for event in steps} == {12}
    assert [event.step for event in steps] == sorted(event.step for event in steps)
    assert steps[-1].step == 12


@pytest.mark.usefixtures("many_previews")
def test_previews_show_the_table_so_far(store: Store) -> None:
    record = run(store, grid_of(SIX, 3))
    record.finished()
    previews = [event for event in record if isinstance(event, Preview)]
    assert {event.job for event in previews} == {9}
    assert len(previews) >= 6
    assert Image.open(io.BytesIO(previews[-1].image)).format == "WEBP"


@pytest.mark.usefixtures("many_previews")
def test_nothing_is_encoded_but_what_is_sent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    for kind in ("png", "webp"):
        encode = getattr(images, kind)

        def count(*args: object, _encode: Any = encode, _kind: str = kind) -> bytes:
            encoded.append(_kind)
            return _encode(*args)

        monkeypatch.setattr(images, kind, count)
    record = run(store, grid_of(SIX, 3))
    record.finished()
    assert encoded.count("webp") == sum(isinstance(event, Preview) for event in record)
    assert encoded.count("png") == 1


@pytest.mark.usefixtures("many_previews")
def test_what_a_checker_flags_is_not_shown_on_the_way(known: Catalog, store: Store) -> None:
    for checker, safety, shown in (("lax", "block", True), ("strict", "block", False), ("strict", "spoiler", False)):
        checked = Store(catalog=with_model(known, checker=checker), device=store.device)
        record = run(checked, replace(grid_of(SIX, 3), safety=safety))
        assert bool(record.finished()) is (safety == "spoiler" or shown)
        assert any(isinstance(event, Preview) for event in record) is shown


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress after every step, however soon it comes."""
    monkeypatch.setattr(reports, "PROGRESS_INTERVAL_S", 0.0)


@pytest.mark.usefixtures("every_step")
def test_a_flagged_cell_ends_the_grid_with_nothing_to_show(known: Catalog, store: Store) -> None:
    checked = Store(catalog=with_model(known, checker="strict"), device=store.device)
    record = run(checked, grid_of(SIX, 3))
    assert not record.finished()
    assert record.failed()[9].kind == "unsafe"
    # Nothing that cannot share its pass with the flagged one is begun.
    assert max(event.step for event in record if isinstance(event, Progress)) == 1


@pytest.mark.usefixtures("every_step")
def test_a_cell_of_which_nothing_comes_ends_the_grid_with_its_reason(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unet = store.use("sd15", on_load=lambda: None).pipeline.unet
    forward, calls = unet.forward, itertools.count(1)

    def spoil_the_third_cell(*args: object, **kwargs: object) -> object:
        (noise,) = forward(*args, **kwargs)
        return (noise * math.nan if next(calls) == 6 else noise,)

    monkeypatch.setattr(unet, "forward", spoil_the_third_cell)
    record = run(store, grid_of(SIX, 3))
    assert not record.finished()
    assert record.failed()[9].reason == because("no_numbers")
    assert max(event.step for event in record if isinstance(event, Progress)) == 6


@pytest.mark.usefixtures("every_step")
def test_cancelling_stops_the_whole_grid_at_the_next_step(store: Store) -> None:
    record = Record()
    step = record.report.step

    def step_and_cancel(number: int, done: int, *rest: object) -> None:
        step(number, done, *rest)  # type: ignore[arg-type]
        if done >= 20:
            record.report.cancel(number)

    record.report.step = step_and_cancel  # type: ignore[method-assign,assignment]
    cells = [ask_for(job=0, steps=50, guidance=guidance) for guidance in (2.0, 3.0, 4.0)]
    run(store, grid_of(cells, 3, rows=("",)), record)
    assert not record.finished()
    assert record.failed()[9].kind == "cancelled"
    assert max(event.step for event in record if isinstance(event, Progress)) == 20


def test_who_asked_for_too_much_is_told_a_size(known: Catalog) -> None:
    cells = [ask_for(job=0, width=64, height=64), ask_for(job=0, width=32, height=32)]
    assert grid.too_large(grid_of(cells, 2), known) == imagine.too_large(cells[0], known)


def test_a_table_without_labels_is_its_cells_alone() -> None:
    cells = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    sheet = drawing.table(cells, ("", ""), ("",))
    assert sheet.size == (40, 10)
    assert (sheet.getpixel((5, 5)), sheet.getpixel((25, 5))) == ((255, 0, 0), (0, 0, 255))


def test_long_labels_are_cut_to_a_cells_width_and_missing_cells_are_grey() -> None:
    cells = [Image.new("RGB", (200, 100), "red"), None]
    sheet = drawing.table(cells, ("a very long label " * 20, "b"), ("another very long label " * 20,))
    assert 2 * 200 < sheet.width <= 3 * 200 + 50
    assert sheet.getpixel((sheet.width - 5, sheet.height - 5)) == (128, 128, 128)
