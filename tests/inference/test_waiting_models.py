"""Models that leave a card wait in the machine's memory, within a bound, and come back as they were.

The card is a CPU that says it is one: what is moved stays in the same memory, but who waits, what that takes and who
goes first is counted as on a card.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import torch

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import OutOfMemory
from inference.models import pipelines, waiting
from inference.models.policy import Policy
from inference.models.store import Store
from inference.protocol import Lora
from tests.inference.cards import card
from tests.inference.conftest import ask_for, paint_from, with_model
from tests.inference.folders import hashes

PLENTY = 10**9


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are read from disk, as they are."""
    read: list[str] = []
    model = pipelines.model

    def counted(catalog: Catalog, name: str, *rest: Any, **policy: Any) -> Any:
        read.append(name)
        return model(catalog, name, *rest, **policy)

    monkeypatch.setattr(pipelines, "model", counted)
    return read


def on_card(known: Catalog, host_cache_bytes: int = PLENTY) -> Store:
    """A card with room for one model at a time, which is kept whole unless its entry says otherwise."""
    whole = {
        name: msgspec.structs.replace(entry, offload=entry.offload or "none") for name, entry in known.models.items()
    }
    return Store(
        catalog=replace(known, models=whole), device=card(), vram_budget_bytes=10, host_cache_bytes=host_cache_bytes
    )


def nothing() -> None:
    pass


def test_a_model_that_comes_back_is_not_read_again_and_paints_the_same(known: Catalog, loads: list[str]) -> None:
    store = on_card(known)
    request = ask_for(loras=(Lora("ink", 0.8),))
    first = paint_from({}, store, request)[1]
    plain = paint_from({}, store, ask_for())[1]
    there = store.resident()["model sd15"]
    store.use("sd21", nothing)
    assert list(store.resident()) == ["model sd21"]
    again = paint_from({}, store, request)[1]
    assert hashes(again.pictures) == hashes(first.pictures)
    assert hashes(paint_from({}, store, ask_for())[1].pictures) == hashes(plain.pictures)
    assert loads == ["sd15", "sd21"]
    assert list(store.resident()) == ["model sd15"]
    assert store.resident()["model sd15"] == there


def test_what_waits_is_counted_as_it_is_and_copied_once(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[torch.Tensor] = []
    copy = waiting.Waiting._copied

    def counted(self: waiting.Waiting, tensor: torch.Tensor) -> torch.Tensor:
        copied.append(tensor)
        return copy(self, tensor)

    monkeypatch.setattr(waiting.Waiting, "_copied", counted)
    store = on_card(known)
    model = store.use("sd15", nothing)
    whole = [tensor for part in model.modules for tensor in (*part.parameters(), *part.buffers())]
    assert store._waiting.held_bytes == 0
    store.let_go()
    assert len(copied) == len({id(each) for each in whole})
    # Powers of two, as torch pins them.
    assert sum(each.nbytes for each in copied) <= store._waiting.held_bytes < 2 * sum(each.nbytes for each in copied)
    assert store.resident() == {}
    store.use("sd15", nothing)
    store.let_go()
    assert len(copied) == len({id(each) for each in whole}), "copies stay when their model is back"
    changed = store.use("sd15", nothing)
    assert changed is model


def test_who_was_used_longest_ago_makes_room_within_the_bound(known: Catalog, loads: list[str]) -> None:
    sizes = {}
    for name in ("sd15", "sd21", "sdxl"):
        alone = on_card(known)
        alone.use(name, nothing)
        alone.let_go()
        sizes[name] = alone._waiting.held_bytes
    store = on_card(known, sizes["sd15"] + sizes["sd21"] + sizes["sdxl"] - 1)
    del loads[:]
    for name in ("sd15", "sd21", "sd15", "sdxl"):
        store.use(name, nothing)
    store.let_go()
    assert store._waiting.held_bytes == sizes["sd15"] + sizes["sdxl"]
    store.use("sd15", nothing)
    assert loads == ["sd15", "sd21", "sdxl"]
    store.use("sd21", nothing)
    assert loads[3:] == ["sd21"]
    small = on_card(known, sizes["sd15"] - 1)
    small.use("sd15", nothing)
    small.let_go()
    assert small._waiting.held_bytes == 0


@pytest.mark.parametrize("host", [0, PLENTY])
def test_nothing_waits_where_the_machine_has_no_memory_for_it(
    host: int, known: Catalog, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "host_free_bytes", lambda: 0)
    store = on_card(known, host)
    for name in ("sd15", "sd21", "sd15"):
        store.use(name, nothing)
    assert loads == ["sd15", "sd21", "sd15"]
    assert store._waiting.held_bytes == 0


def test_copies_go_before_models_that_need_the_machines_memory_themselves(
    known: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = on_card(with_model(known, "sdxl", offload="model"))
    store.use("sd15", nothing)
    store.let_go()
    assert store._waiting.held_bytes > 0
    monkeypatch.setattr(waiting, "host_free_bytes", lambda: 0)
    store.use("sdxl", nothing)
    assert store._waiting.held_bytes == 0


def test_copies_go_before_those_of_weights_that_loras_change(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    store = on_card(with_model(known, compile=True))
    store.use("sdxl", nothing)
    model = store.use("sd15", nothing)
    store.adapt(model, (Lora("ink", 1.0),), nothing)
    store.adapt(model, (), nothing)
    assert store._waiting.held_bytes > 0
    monkeypatch.setattr(waiting, "host_free_bytes", lambda: model.adapters.host_bytes - 1)
    store.adapt(model, (), nothing)
    assert store._waiting.held_bytes > 0
    store.adapt(model, (Lora("ink", 1.0),), nothing)
    assert store._waiting.held_bytes == 0


def test_what_is_in_parts_in_that_memory_anyway_does_not_wait_there(known: Catalog, loads: list[str]) -> None:
    store = on_card(with_model(known, offload="model"))
    store.use("sd15", nothing)
    store.let_go()
    assert store._waiting.held_bytes == 0
    store.use("sd15", nothing)
    assert loads == ["sd15", "sd15"]


def test_one_that_finds_the_card_full_waits_on(known: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    store = on_card(known)
    store.use("sd15", nothing)
    store.let_go()
    to: Callable[..., torch.Tensor] = torch.Tensor.to

    def full(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if kwargs.get("non_blocking"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return to(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(torch.Tensor, "to", full)
        with pytest.raises(OutOfMemory):
            store.use("sd15", nothing)
    assert store.resident() == {}
    assert hashes(paint_from({}, store, ask_for())[1].pictures)


def test_one_that_shall_be_kept_otherwise_is_read_anew(known: Catalog, loads: list[str]) -> None:
    store = on_card(known)
    store.use("sd15", nothing)
    store.let_go()
    store._chosen["sd15"] = Policy(offload="model")
    assert store.use("sd15", nothing).policy.offload == "model"
    assert loads == ["sd15", "sd15"]
    assert store._waiting.held_bytes == 0


def test_on_a_cpu_what_leaves_is_gone(known: Catalog, cpu: Device, loads: list[str]) -> None:
    store = Store(catalog=known, device=cpu, vram_budget_bytes=10, host_cache_bytes=PLENTY)
    for name in ("sd15", "sd21", "sd15"):
        store.use(name, nothing)
    assert loads == ["sd15", "sd21", "sd15"]
