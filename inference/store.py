"""The sole owner of models and of the device's memory: loads what is asked for, drops what was used longest ago."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from inference import loading, weights
from inference.adapters import Adapter
from inference.catalog import Catalog
from inference.device import Device, is_out_of_memory
from inference.entries import BUILT_IN_ANNOTATORS, Kind
from inference.errors import OutOfMemory, UnavailableModel, WeightsError
from inference.loaded import (
    PictureAnnotator,
    PictureChecker,
    PictureClassifier,
    PictureControl,
    PictureDecoder,
    PictureDescriber,
    PictureModel,
    PictureRefiner,
    PictureUpscaler,
)
from inference.loading import Loaded, Plan
from inference.protocol import Lora

log = logging.getLogger(__name__)

BUDGET_SHARE = 0.7
"""Share of the device's memory for resident weights where the operator sets none; the rest is for painting."""

Result = TypeVar("Result")


@dataclass(kw_only=True, eq=False)
class _Resident:
    model: Any
    vram_bytes: int


@dataclass(kw_only=True, eq=False)
class Store:
    """What is loaded, by the names of the catalogue. Belongs to the thread that owns the device.

    The `use` methods are one and the same for each kind: what they return is on the device, `on_load` is called first
    where it must be loaded. They raise UnavailableModel where its weights are not on this machine, WeightsError where
    they do not load, OutOfMemory where the device cannot hold them; `use_decoder` alone returns None instead.
    """

    catalog: Catalog
    device: Device
    vram_budget_bytes: int | None = None
    _resident: OrderedDict[str, _Resident] = field(default_factory=OrderedDict)
    _leases: list[set[str]] = field(default_factory=list)
    _without: set[str] = field(default_factory=set)
    """Decoders that are known not to load, so that it is said once."""

    def use(self, name: str, on_load: Callable[[], None]) -> PictureModel:
        """The named picture model."""
        return self._use("model", name, on_load, loading.model)

    def use_refiner(self, name: str, on_load: Callable[[], None]) -> PictureRefiner:
        """The named refiner."""
        return self._use("refiner", name, on_load, loading.refiner)

    def use_upscaler(self, name: str, on_load: Callable[[], None]) -> PictureUpscaler:
        """The named upscaler."""
        return self._use("upscaler", name, on_load, loading.upscaler)

    def use_describer(self, name: str, on_load: Callable[[], None]) -> PictureDescriber:
        """The named describer."""
        return self._use("describer", name, on_load, loading.describer)

    def use_classifier(self, name: str, on_load: Callable[[], None]) -> PictureClassifier:
        """The named classifier."""
        return self._use("classifier", name, on_load, loading.classifier)

    def use_checker(self, name: str, on_load: Callable[[], None]) -> PictureChecker:
        """The named checker."""
        return self._use("checker", name, on_load, loading.checker)

    def use_control(self, name: str, on_load: Callable[[], None]) -> PictureControl:
        """The named ControlNet."""
        return self._use("control", name, on_load, loading.control)

    def use_annotator(self, name: str, on_load: Callable[[], None]) -> PictureAnnotator | None:
        """The named annotator; None for one that is built in."""
        return None if name in BUILT_IN_ANNOTATORS else self._use("annotator", name, on_load, loading.annotator)

    def adapt(self, model: PictureModel, loras: Sequence[Lora]) -> None:
        """Let exactly these LoRAs work in a model that was got from here; it stays so until the next time.

        Raises as the `use` methods do. One that is wanted at weight 0 is left out.
        """
        wanted = []
        for lora in loras:
            file = self._located("lora", lora.name)
            weights.check_sha256(file, self.catalog.loras[lora.name], lora.name)
            if lora.weight:
                wanted.append(Adapter(lora.name, file, lora.weight))
        if tuple(wanted) == model.adapters.active:
            return
        model.adapters.switch(wanted)
        self._resident[f"model {model.name}"].vram_bytes = sum(module_bytes(module) for module in model.modules)

    def use_decoder(self, name: str, on_load: Callable[[], None]) -> PictureDecoder | None:
        """The named decoder, or None where it is not to be had: previews can do without."""
        if name in self._without:
            return None
        try:
            return self._use("decoder", name, on_load, loading.decoder)
        except (UnavailableModel, WeightsError) as error:
            self._without.add(name)
            # That it was never fetched is no mistake.
            level = logging.INFO if isinstance(error, UnavailableModel) else logging.WARNING
            log.log(level, "previews do without the decoder %s: %s", name, error)
        except OutOfMemory as error:
            log.info("this time previews do without the decoder %s: %s", name, error)
        return None

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Keep on the device what is used within, until the end. One lease for each running task.

        Within the lease of another task, which waits, nothing is loaded that does not fit the budget beside that
        task's models: they need the rest of the memory themselves. It raises OutOfMemory instead.
        """
        self._leases.append(set())
        try:
            yield
        finally:
            self._leases.pop()

    def let_go(self) -> None:
        """Give up everything that no lease keeps, for who needs its memory."""
        self._make_room(self.budget_bytes())

    def resident(self) -> dict[str, int]:
        """What is on the device now and the bytes of its weights, least recently used first."""
        return {key: resident.vram_bytes for key, resident in self._resident.items()}

    def budget_bytes(self) -> int:
        """How much resident weights may take together; a single model may take more, then it stays alone."""
        if self.vram_budget_bytes is not None:
            return self.vram_budget_bytes
        return int(self.device.memory_bytes * BUDGET_SHARE)

    def _use(
        self,
        kind: Kind,
        name: str,
        on_load: Callable[[], None],
        plan: Callable[[Catalog, str, Path, Device], Plan[Loaded]],
    ) -> Loaded:
        key = f"{kind} {name}"
        if key not in self._resident:
            place = self._located(kind, name)
            on_load()
            self._admit(key, plan(self.catalog, name, place, self.device))
        self._resident.move_to_end(key)
        if self._leases:
            self._leases[-1].add(key)
        loaded: Loaded = self._resident[key].model
        return loaded

    def _located(self, kind: Kind, name: str) -> Path:
        place = weights.locate(self.catalog, kind, name)
        if place is None:
            raise UnavailableModel(f"The {kind} {name} is not on this machine; choose another one.")
        return place

    def _admit(self, key: str, plan: Plan[Loaded]) -> None:
        """Make room, load, and keep count of what the weights really take."""
        self._make_room(plan.expected_bytes)
        if self._kept_by_others() and not self._fits(plan.expected_bytes):
            raise OutOfMemory(f"The {key} does not fit beside what is being painted; try again later.")
        loaded = _unless_full(plan.load)
        if loaded is None and self._droppable():
            log.warning("%s does not fit beside the others: letting go of all that are not in use", key)
            self.let_go()
            loaded = _unless_full(plan.load)
        if loaded is None:
            self.device.release_cache()
            raise OutOfMemory(f"The {key} does not fit into the device's memory; choose another one.")
        vram_bytes = sum(module_bytes(module) for module in loaded.modules)
        self._resident[key] = _Resident(model=loaded, vram_bytes=vram_bytes)
        log.info("%s is resident with %.1f MB", key, vram_bytes / 1e6)

    def _make_room(self, needed_bytes: int) -> None:
        """Let go of the least recently used until this many bytes fit the budget, or all that is left is in use."""
        while not self._fits(needed_bytes) and (droppable := self._droppable()):
            del self._resident[droppable[0]]
            log.info("%s leaves the device", droppable[0])
        self.device.release_cache()

    def _fits(self, needed_bytes: int) -> bool:
        return sum(self.resident().values()) + needed_bytes <= self.budget_bytes()

    def _droppable(self) -> list[str]:
        """What no lease keeps, least recently used first."""
        kept = set().union(*self._leases)
        return [key for key in self._resident if key not in kept]

    def _kept_by_others(self) -> bool:
        return any(self._leases[:-1])


def _unless_full(load: Callable[[], Result]) -> Result | None:
    """What `load` returns, or None where the memory does not hold it."""
    # Returning gives up the error, whose traceback would hold on to what was loaded in part.
    try:
        return load()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def module_bytes(module: torch.nn.Module) -> int:
    """The bytes of a network's parameters and buffers, shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
