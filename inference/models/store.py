"""The sole owner of models and of the device's memory: loads what is asked for, drops what was used longest ago."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from inference.catalog import together, weights
from inference.catalog.fields import BUILT_IN_ANNOTATORS, Kind
from inference.catalog.reading import Catalog
from inference.device import Device, host_free_bytes, unless_full
from inference.errors import OutOfMemory, UnavailableModel, WeightsError
from inference.models import loaders, pipelines, placement, policy, steadiness
from inference.models.handles import (
    PictureAnnotator,
    PictureChecker,
    PictureClassifier,
    PictureControl,
    PictureDecoder,
    PictureDescriber,
    PictureModel,
    PictureRefiner,
    PictureRestorer,
    PictureUpscaler,
    device_bytes,
)
from inference.models.loaders import Loaded, Plan
from inference.models.named import Named
from inference.models.policy import BUDGET_SHARE, Policy
from inference.models.waiting import Waiting
from inference.protocol import Lora, OwnLora

log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class _Resident:
    model: Any
    vram_bytes: int
    host_bytes: int


@dataclass(kw_only=True, eq=False)
class _Lease:
    """What one task uses."""

    kept: set[str] = field(default_factory=set)
    painting: tuple[str, int] | None = None
    """The picture model that it asked for last, and the pixels of its pictures."""


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
    host_cache_bytes: int = 0
    """What copies of models that left a card may take of the machine's own memory."""
    loras: Path | None = None
    """The folder of those that members have trained."""
    _resident: OrderedDict[str, _Resident] = field(default_factory=OrderedDict)
    _leases: list[_Lease] = field(default_factory=list)
    _chosen: dict[str, Policy] = field(default_factory=dict)
    """How each picture model is kept, to begin with."""
    _economies: dict[str, list[tuple[int, Policy]]] = field(default_factory=dict)
    """How, where memory ran out: for pictures of so many pixels and more."""
    _left: bool = False
    """Whether something has left whose memory was not given back yet."""
    _without: set[str] = field(default_factory=set)
    """Decoders that are known not to load, so that it is said once."""
    _waiting: Waiting = field(init=False)

    def __post_init__(self) -> None:
        self._waiting = Waiting(self.device, self.host_cache_bytes)

    def use(self, name: str, on_load: Callable[[], None], pixels: int = 0) -> PictureModel:
        """The named picture model, kept as pictures of so many pixels need it."""
        if self._leases:
            self._leases[-1].painting = name, pixels
        key, kept_as = f"model {name}", self._policy(name, pixels)
        known = self._resident[key].model if key in self._resident else self._waiting.model(key)
        if known and not known.policy.loads_like(kept_as):
            self._drop(key, for_good=True)
        model = self._use("model", name, on_load, partial(pipelines.model, policy=kept_as))
        thrifty = kept_as != self._chosen[name]
        if (model.policy, model.thrifty) != (kept_as, thrifty):
            placement.tile(model.pipeline, model.family, kept_as)
            model = self._resident[key].model = replace(model, policy=kept_as, thrifty=thrifty)
        return model

    def use_refiner(self, name: str, on_load: Callable[[], None]) -> PictureRefiner:
        """The named refiner."""
        return self._use("refiner", name, on_load, pipelines.refiner)

    def use_upscaler(self, name: str, on_load: Callable[[], None]) -> PictureUpscaler:
        """The named upscaler."""
        return self._use("upscaler", name, on_load, loaders.upscaler)

    def use_restorer(self, name: str, on_load: Callable[[], None]) -> PictureRestorer:
        """The named restorer of faces."""
        return self._use("restorer", name, on_load, loaders.restorer)

    def use_describer(self, name: str, on_load: Callable[[], None]) -> PictureDescriber:
        """The named describer."""
        return self._use("describer", name, on_load, loaders.describer)

    def use_classifier(self, name: str, on_load: Callable[[], None]) -> PictureClassifier:
        """The named classifier."""
        return self._use("classifier", name, on_load, loaders.classifier)

    def use_checker(self, name: str, on_load: Callable[[], None]) -> PictureChecker:
        """The named checker."""
        return self._use("checker", name, on_load, loaders.checker)

    def use_control(self, name: str, on_load: Callable[[], None]) -> PictureControl:
        """The named ControlNet; entries of one network that follow several kinds of pictures share its weights."""
        loaded = self._use("control", together.first_of_weights(self.catalog, name), on_load, loaders.control)
        return loaders.control_of(self.catalog, name, loaded)

    def use_annotator(self, name: str, on_load: Callable[[], None]) -> PictureAnnotator | None:
        """The named annotator; None for one that is built in."""
        return None if name in BUILT_IN_ANNOTATORS else self._use("annotator", name, on_load, loaders.annotator)

    def adapt(
        self, model: PictureModel, loras: Sequence[Lora], on_load: Callable[[], None], own: Sequence[OwnLora] = ()
    ) -> None:
        """Let exactly these LoRAs work in a model that was got from here; it stays so until the next time. `own` are
        those among them that members have trained.

        Calls `on_load` first where they are others than before. Raises UnavailableModel where one of them cannot be
        used as a whole, OutOfMemory as the `use` methods do. One that is wanted at weight 0 is left out.
        """
        working = [(one.name, one.weight, one.words) for one in model.adapters.active]
        if [(lora.name, lora.weight, lora.words) for lora in loras] != working:
            on_load()
        wanted, named = [], Named(self.catalog, own, self.loras)
        for lora in loras:
            try:
                adapter = named.adapter(lora)
                if lora.weight or lora.words:
                    wanted.append(adapter)
                    model.adapters.add(adapter)
            except WeightsError as error:
                log.error("%s", error)
                raise UnavailableModel("lora_unusable", lora=named.title(lora), model=model.entry.title) from error
        if tuple(wanted) == model.adapters.active:
            return
        self._waiting.give_up(model.adapters.host_bytes if wanted else 0)
        model.adapters.switch(wanted)
        steadiness.steady([model.denoiser], self.device)
        self._resident[f"model {model.name}"].vram_bytes = device_bytes(model)

    def use_decoder(self, name: str, on_load: Callable[[], None]) -> PictureDecoder | None:
        """The named decoder, or None where it is not to be had, which need be no mistake: previews can do without."""
        if name in self._without:
            return None
        try:
            return self._use("decoder", name, on_load, loaders.decoder)
        except (UnavailableModel, WeightsError) as error:
            self._without.add(name)
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
        self._leases.append(_Lease())
        try:
            yield
        finally:
            self._leases.pop()

    def let_go(self) -> None:
        """Give up everything that no lease keeps, for who needs its memory."""
        self._make_room(self.budget_bytes())

    def economise(self) -> bool:
        """Make do with less where memory ran out: all that this lease does not use leaves, and its picture model is
        kept the next thriftier way, from this size of pictures on, as long as the process lives.

        False where nothing is left to give up, so that trying again would end the same. Call it within the lease, when
        the error that told of it, whose traceback holds tensors, is gone.
        """
        crowded = bool(self._droppable())
        self.let_go()
        painting = self._leases[-1].painting
        if painting is None or painting[0] not in self._chosen:
            return crowded
        name, pixels = painting
        if (resident := self._resident.get(f"model {name}")) is not None:
            placement.rest(resident.model.pipeline)
        entry, so_far = self.catalog.models[name], self._policy(name, pixels)
        thriftier = policy.thriftier(so_far, entry, pixels, self.device.is_cuda)
        if thriftier is None:
            return crowded
        log.warning("%s ran out of memory at %d pixels: from now on %s", name, pixels, policy.in_words(thriftier))
        self._economies.setdefault(name, []).append((pixels, thriftier))
        return True

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
            self._admit(key, name, self._waiting.plan(key) or plan(self.catalog, name, place, self.device))
        self._resident.move_to_end(key)
        self._waiting.used(key)
        if self._leases:
            self._leases[-1].kept.add(key)
        loaded: Loaded = self._resident[key].model
        return loaded

    def _policy(self, name: str, pixels: int) -> Policy:
        """How this model is kept for pictures of so many pixels."""
        if name not in self._chosen:
            entry = self.catalog.models[name]
            assembly = weights.assemble(self.catalog, name, self._located("model", name))
            self._chosen[name] = placement.choose(assembly, entry, self.device, self.budget_bytes())
        economies = [kept_as for least, kept_as in self._economies.get(name, ()) if pixels >= least]
        return max([self._chosen[name], *economies], key=lambda kept_as: kept_as.thrift)

    def _located(self, kind: Kind, name: str) -> Path:
        place = weights.locate(self.catalog, kind, name)
        if place is None:
            raise UnavailableModel("not_here", kind=kind, name=name)
        return place

    def _admit(self, key: str, name: str, plan: Plan[Loaded]) -> None:
        """Make room, load, and keep count of what the weights really take."""
        self._make_room(plan.expected_bytes, plan.host_bytes)
        if self._kept_by_others() and not self._fits(plan.expected_bytes):
            raise OutOfMemory("no_room_beside", name=name)
        loaded = unless_full(plan.load)
        if loaded is None and self._droppable():
            log.warning("%s does not fit beside the others: letting go of all that are not in use", key)
            self.let_go()
            loaded = unless_full(plan.load)
        if loaded is None:
            self.device.release_cache()
            raise OutOfMemory("no_room", name=name)
        steadiness.steady(loaded.modules, self.device)
        vram_bytes = device_bytes(loaded)
        self._resident[key] = _Resident(model=loaded, vram_bytes=vram_bytes, host_bytes=plan.host_bytes)
        log.info("%s is resident with %.1f MB", key, vram_bytes / 1e6)

    def _make_room(self, needed_bytes: int, host_bytes: int = 0) -> None:
        """Let go of the least recently used until this many bytes fit the budget, or all that is left is in use.

        `host_bytes` are wanted of the machine's own memory, where models wait that are not on the device as a whole.
        """
        while not self._fits(needed_bytes) and (droppable := self._droppable()):
            self._drop(droppable[0])
        self._waiting.give_up(host_bytes)
        while host_bytes > host_free_bytes():
            waiting = [key for key in self._droppable() if self._resident[key].host_bytes]
            if not waiting:
                break
            self._drop(waiting[0])
            self._release()
        self._release()

    def _release(self) -> None:
        """Give back the memory of what has left. A load that nothing leaves for need not wait for that."""
        if self._left:
            self.device.release_cache()
            self._left = False

    def _drop(self, key: str, for_good: bool = False) -> None:
        gone, self._left = self._resident.pop(key, None), True
        waits = gone is not None and not for_good and self._waiting.leave(key, gone.model, gone.vram_bytes)
        if not waits:
            self._waiting.forget(key)
        log.info("%s leaves the device%s", key, " and waits in the machine's memory" if waits else "")

    def _fits(self, needed_bytes: int) -> bool:
        return sum(self.resident().values()) + needed_bytes <= self.budget_bytes()

    def _droppable(self) -> list[str]:
        """What no lease keeps, least recently used first."""
        kept = set().union(*(lease.kept for lease in self._leases))
        return [key for key in self._resident if key not in kept]

    def _kept_by_others(self) -> bool:
        return any(lease.kept for lease in self._leases[:-1])
