"""Between its steps, each of which is shown, a picture waits for nothing that is on the card: counted on a CPU whose
tensors play the card's.

What comes of a network's weights or of latents is *there*; whatever Python asks of it would wait for all that the card
has been told, and what is brought there from the machine's memory is copied before the next word.
"""

from __future__ import annotations

import functools
import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from inference.catalog.reading import Catalog
from inference.families import FAMILIES
from inference.families.samplers import DIFFUSION
from inference.models.policy import Policy
from inference.models.store import Store
from inference.painting import decoding, samplers, setups
from inference.painting.passes import Pass
from inference.painting.previews import Previews
from inference.protocol import Control, Imagine, Lora
from tests.inference.cards import card
from tests.inference.conftest import ask_for
from tests.inference.families.test_every import OLD, add_ons, ask, mask_of, paint

ASKING = {
    *("item", "__bool__", "__int__", "__float__", "__index__", "tolist", "numpy", "__array__", "cpu", "nonzero"),
    *("argwhere", "unique", "masked_select", "equal", "allclose", "__contains__", "__repr__"),
}
"""What of torch cannot answer before the card has."""


class Watch(TorchFunctionMode):
    """Counts what is asked of tensors that are there, and what is brought there, while `counting`."""

    def __init__(self) -> None:
        super().__init__()
        self.counting = False
        self.asked: Counter[str] = Counter()
        self.brought: Counter[str] = Counter()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = [each for each in pytree.tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        there, name = [each for each in given if is_there(each)], getattr(function, "__name__", str(function))
        if self.counting and there:
            # A place in a list is a number for Python, and how much a mask picks is as well.
            picks = name == "__getitem__" and any(
                is_there(each) and (each.dtype == torch.bool or not each.dim()) for each in given[1:]
            )
            words = [each for each in (*args[1:], *(kwargs or {}).values()) if isinstance(each, str)]
            to_cpu = name == "to" and is_there(args[0]) and "cpu" in words
            # Both lie in one memory, so what is copied was made where it is to lie.
            to_cpu |= name == "copy_" and not is_there(args[0]) and not (kwargs or {}).get("non_blocking")
            if (name in ASKING and is_there(args[0])) or picks or to_cpu:
                self.asked[name] += 1
        made = args[0].clone() if name == "cpu" else function(*args, **(kwargs or {}))
        if self.counting and name == "to" and there and not is_there(args[0]) and args[0].dim():
            self.brought[name] += 1
        if there and name != "cpu" and (kwargs or {}).get("device") != "cpu":
            put_there(made)
            if name in ("__setitem__", "copy_"):
                put_there(args[0])
        return made


def is_there(tensor: Any) -> bool:
    return getattr(tensor, "is_there", False)


def put_there(values: Any) -> None:
    for value in pytree.tree_leaves(values):
        if isinstance(value, torch.Tensor):
            value.is_there = True  # type: ignore[attr-defined]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store, Imagine], Watch]:
    """What is asked between the end of the second step and that of the last, by the thread that takes them."""
    denoise, run_only = Pass.denoise, samplers._run_only
    watch = Watch()

    def with_times_there(scheduler: Any, *rest: Any) -> None:
        set_timesteps = scheduler.set_timesteps

        @functools.wraps(set_timesteps)
        def set_there(*args: Any, **kwargs: Any) -> None:
            set_timesteps(*args, **kwargs)
            if kwargs.get("device") is not None:
                put_there(scheduler.timesteps)

        scheduler.set_timesteps = set_there
        run_only(scheduler, *rest)

    def watched_denoise(self: Pass, places: Any, after_step: Any) -> torch.Tensor:
        request = places[0].request

        def counted(step: int, estimate: Any) -> None:
            assert is_there(estimate), "else nothing is watched"
            after_step(step, estimate)
            # What is brought once comes after the first.
            watch.counting = 1 < step < request.steps_taken

        for module in self._model.parts.values():
            put_there([*module.parameters(), *module.buffers()])
        with watch:
            return denoise(self, places, counted)

    def shown_after_every_step(self: Previews, *step: Any) -> None:
        self._due_s, self._under_way = -math.inf, None
        show(self, *step)
        begun.append(self._under_way)

    def seen_on(*given: Any) -> Any:
        looked.append(threading.current_thread())
        return look(*given)

    load, show, look = setups.load, Previews.step, decoding.pictures
    begun: list[object] = []
    looked: list[threading.Thread] = []
    monkeypatch.setattr(Pass, "denoise", watched_denoise)
    monkeypatch.setattr(samplers, "_run_only", with_times_there)
    monkeypatch.setattr(setups, "load", lambda *given: replace(load(*given), device=card()))
    monkeypatch.setattr(Previews, "step", shown_after_every_step)
    monkeypatch.setattr(decoding, "pictures", seen_on)

    def run(store: Store, request: Imagine) -> Watch:
        begun.clear()
        looked.clear()
        assert paint(store, request)
        assert None not in begun
        assert len(begun) == request.steps_taken - 1, "there is a preview of every step but the last"
        assert threading.main_thread() not in looked
        return watch

    return run


Watched = Callable[[Store, Imagine], Watch]


# diffusers' pipeline for Z-Image's ControlNets asks for the time itself, once a step: nothing here can help it.
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_asked_of_the_card_between_the_steps_of_any_family(
    family: str, known: Catalog, store: Store, watched: Watched
) -> None:
    ways: list[dict[str, Any]] = [{}, {"image": OLD, "mask": mask_of((5, 3, 20, 25)), "strength": 0.8}]
    if FAMILIES[family].control is not None and not FAMILIES[family].fills:
        ways += [{"control": Control(name, OLD)} for name in add_ons(known.controls, family)[:1]]
    ways += [{"loras": (Lora(name, 1.0),)} for name in add_ons(known.loras, family)[:1]]
    for way in ways:
        watch = watched(store, ask(family, known, steps=5, **way))
        asks_itself = family == "zimage" and "control" in way
        assert watch.asked == ({"item": 3} if asks_itself else {}), way
        assert watch.brought == {}, way
        watch.asked.clear()


@pytest.mark.parametrize("sampler", DIFFUSION)
def test_no_sampler_looks_at_the_card(sampler: str, store: Store, watched: Watched) -> None:
    watch = watched(store, ask_for(sampler=sampler, steps=5, prompt="a [red:blue:0.5] (house:1.2)"))
    # What words are changed to was read before, and is put there.
    assert (watch.asked, watch.brought) == ({}, {})


def test_drafts_look_no_more_at_it(store: Store, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    store.use("sd15", lambda: None)
    monkeypatch.setitem(store._chosen, "sd15", Policy(speed="draft"))
    watch = watched(store, ask_for(steps=8))
    assert (watch.asked, watch.brought) == ({}, {})


@pytest.mark.parametrize("ask_it", [torch.Tensor.item, bool, float, torch.Tensor.tolist, torch.Tensor.nonzero])
def test_what_would_wait_is_counted(ask_it: Callable[[torch.Tensor], Any]) -> None:
    watch, weight = Watch(), torch.ones(1)
    put_there(weight)
    with watch:
        watch.counting = True
        ask_it((torch.zeros(1) + weight)[0])
    assert watch.asked.total() >= 1
