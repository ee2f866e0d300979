"""A full memory: what is not finished is painted once more with less, says so, and ends exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families.record import Family
from inference.models import placement, policy
from inference.models.policy import Policy
from inference.models.store import Store
from inference.painting import decoding
from inference.protocol import Batch, Cancel, Failed, Finished, Grid, because
from tests.inference.cards import card
from tests.inference.conftest import ask_for
from tests.inference.serving import Serving


@contextmanager
def served(known: Catalog, device: Device, *loaded: str) -> Iterator[tuple[Serving, Store]]:
    store = Store(catalog=known, device=device)
    # Here, not in a test: while the engine runs, the store is its thread's alone.
    for name in ("sd15", *loaded):
        store.use(name, lambda: None)
    serving = Serving(known, store)
    serving.peer.ready()
    yield serving, store
    serving.peer.socket.close()
    assert serving.ended()


def full(times: int, function: Callable[..., Any], when: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
    """The function, for which the memory is full the first few times that `when` says."""
    left = [times]

    def or_full(*args: Any, **kwargs: Any) -> Any:
        if left[0] and when(*args):
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return function(*args, **kwargs)

    return or_full


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "TILE", 16)


def test_a_picture_that_ran_out_of_memory_is_painted_again_thriftily_and_says_so(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNet2DConditionModel, "forward", full(1, UNet2DConditionModel.forward))
    with served(known, cpu) as (serving, _):
        ended = serving.peer.paint(ask_for(1))[1]
        assert ended.answer.notes == (because("painted_in_tiles"),)
        assert ended.recipe["policy"]["vae_tiling"] is True
        again = serving.peer.paint(ask_for(1))[1]
        assert again.pictures[0].sha256 == ended.pictures[0].sha256, "the same request, the same bytes"
        smaller = serving.peer.paint(ask_for(1, width=16, height=16))[1]
        assert smaller.answer.notes == ()
        assert smaller.recipe["policy"]["vae_tiling"] is False


def test_what_was_finished_before_is_not_painted_twice(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[int] = Counter()
    decode = decoding.decode

    def counted(*args: Any) -> Any:
        decoded.update(["decoded"])
        return decode(*args)

    monkeypatch.setattr(decoding, "decode", full(1, counted, when=lambda *_: decoded.total() == 1))
    with served(known, cpu) as (serving, _):
        serving.peer.send(Batch((ask_for(1), ask_for(2, seed=8))))
        ends = serving.peer.ends(2)
        later = serving.peer.paint(ask_for(3, width=16, height=16))
        assert set(later) == {3}, "nothing came in between"
    assert all(isinstance(end, Finished) for end in ends.values())
    assert [len(ends[job].answer.notes) for job in (1, 2)] == [0, 1]  # type: ignore[union-attr]
    assert decoded.total() == 3


def test_a_second_full_memory_names_the_size_that_fits_and_the_next_picture_begins_where_this_one_ended(
    known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(known, card()) as (serving, store):
        serving.peer.paint(ask_for(1))
        whole = store.resident()["model sd15"]
        monkeypatch.setattr(UNet2DConditionModel, "forward", full(3, UNet2DConditionModel.forward))
        # Reloaded after this, so that its hooks are put over what was replaced.
        serving.peer.send(Batch((ask_for(1, width=64, height=64),)))
        smaller = because("memory_for_size", width=64, height=64, smaller="40x40")
        assert serving.peer.ends(1)[1] == Failed(1, "out_of_memory", smaller)
        ended = serving.peer.paint(ask_for(2, width=64, height=64))[2]
        assert ended.recipe["policy"] | {"offload": "model", "vae_tiling": True} == ended.recipe["policy"]
        assert ended.answer.notes == (because("painted_in_tiles"), because("painted_by_parts"))
        assert store.resident()["model sd15"] < whole
        assert serving.peer.paint(ask_for(3))[3].recipe["policy"]["offload"] == "none"
        assert store.resident()["model sd15"] == whole


def test_a_model_that_does_not_load_whole_is_loaded_in_parts(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    place = placement.place

    def place_unless_whole(pipeline: Any, family: Family, kept_as: Policy, device: Device) -> None:
        if kept_as.offload == "none":
            raise torch.OutOfMemoryError("CUDA out of memory")
        place(pipeline, family, kept_as, device)

    with served(known, card()) as (serving, _):
        monkeypatch.setattr(placement, "place", place_unless_whole)
        ended = serving.peer.paint(ask_for(1, model="sd21", sampler="DDIM", width=16, height=16))[1]
        assert ended.recipe["policy"]["offload"] == "model"


def test_a_job_that_is_cancelled_as_the_memory_fills_ends_once(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = UNet2DConditionModel.forward
    with served(known, cpu) as (serving, _):
        engine = serving.engine

        def cancelled_and_full(*_: Any, **__: Any) -> Any:
            engine._report.cancel(1)
            monkeypatch.setattr(UNet2DConditionModel, "forward", forward)
            raise torch.OutOfMemoryError("CUDA out of memory")

        monkeypatch.setattr(UNet2DConditionModel, "forward", cancelled_and_full)
        serving.peer.send(Batch((ask_for(1), ask_for(2, seed=8))), Cancel(99))
        ends = serving.peer.ends(2)
        assert ends[1] == Failed(1, "cancelled", because("cancelled"))
        assert isinstance(ends[2], Finished)


def test_other_models_leave_before_a_quick_job_gives_up(
    known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UNet2DConditionModel, "forward", full(1, UNet2DConditionModel.forward))
    with served(known, cpu, "sdxl") as (serving, store):
        assert isinstance(serving.peer.paint(ask_for(1))[1], Finished)
        assert list(store.resident()) == ["model sd15"]


def test_a_grid_is_painted_again_as_a_whole(known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UNet2DConditionModel, "forward", full(1, UNet2DConditionModel.forward))
    cells = tuple(ask_for(0, steps=steps) for steps in (1, 2))
    with served(known, cpu) as (serving, _):
        ended = serving.peer.paint(Grid(job=1, model="sd15", cells=cells, columns=("1", "2"), rows=("",)))[1]
        assert len(ended.answer.notes) == 1
        assert {cell["policy"]["vae_tiling"] for cell in ended.recipe["cells"]} == {True}
