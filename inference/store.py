"""The sole owner of models and of the device's memory: loads what is asked for, drops what was used longest ago."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

from inference import weights
from inference.catalog import Catalog, Family, ModelEntry, UpscalerEntry
from inference.device import Device, is_out_of_memory
from inference.errors import OutOfMemory, UnavailableModel, WeightsError
from inference.prompts import PromptEncoder

if TYPE_CHECKING:
    from inference.upscaling import Upscaler

log = logging.getLogger(__name__)

PIPELINES: dict[Family, type[Any]] = {
    "sd1": StableDiffusionPipeline,
    "sd2": StableDiffusionPipeline,
    "sdxl": StableDiffusionXLPipeline,
    "sd3": StableDiffusion3Pipeline,
}

BUDGET_SHARE = 0.7
"""Share of the device's memory for resident weights where the operator sets none; the rest is for painting."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureModel:
    """A loaded pipeline, ready on the device. Use it only within the task that got it from the store."""

    name: str
    entry: ModelEntry
    pipeline: Any
    dtype: torch.dtype
    scheduler_config: dict[str, Any]
    """As published; `samplers.build` derives every sampler from it."""
    prompts: PromptEncoder
    revision: str | None
    """The hub's commit that the weights are of; None for a folder of the operator's own."""
    hashes: dict[str, str]
    """Short SHA-256 of each component's weights."""

    @property
    def denoiser(self) -> Any:
        """The UNet or transformer."""
        return self.pipeline.unet if hasattr(self.pipeline, "unet") else self.pipeline.transformer


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureUpscaler:
    """A loaded Real-ESRGAN network, ready on the device."""

    name: str
    entry: UpscalerEntry
    network: Upscaler
    hash: str


Loaded = TypeVar("Loaded", PictureModel, PictureUpscaler)
Result = TypeVar("Result")


@dataclass(kw_only=True, eq=False)
class _Resident:
    model: PictureModel | PictureUpscaler
    vram_bytes: int


@dataclass(kw_only=True, eq=False)
class Store:
    """Models by the names of the catalogue. Belongs to the thread that owns the device."""

    catalog: Catalog
    device: Device
    vram_budget_bytes: int | None = None
    _resident: OrderedDict[str, _Resident] = field(default_factory=OrderedDict)

    def use(self, name: str, on_load: Callable[[], None]) -> PictureModel:
        """The named picture model, on the device. `on_load` is called first where it must be loaded.

        Raises UnavailableModel where its weights are not on this machine, WeightsError where they do not load,
        OutOfMemory where the device cannot hold them.
        """
        resident = self._take(f"model {name}")
        if resident is None:
            folder = weights.locate(self.catalog, name)
            if folder is None:
                raise UnavailableModel(f"The model {name} is not on this machine; choose another one.")
            on_load()
            resident = self._load_model(name, folder)
        assert isinstance(resident, PictureModel)
        return resident

    def use_upscaler(self, name: str, on_load: Callable[[], None]) -> PictureUpscaler:
        """The named upscaler, on the device, on the same terms as `use`."""
        resident = self._take(f"upscaler {name}")
        if resident is None:
            path = weights.locate_upscaler(self.catalog, name)
            if path is None:
                raise UnavailableModel(f"The upscaler {name} is not on this machine.")
            on_load()
            resident = self._load_upscaler(name, path)
        assert isinstance(resident, PictureUpscaler)
        return resident

    def resident(self) -> dict[str, int]:
        """What is on the device now and the bytes of its weights, least recently used first."""
        return {key: resident.vram_bytes for key, resident in self._resident.items()}

    def budget_bytes(self) -> int:
        """How much resident weights may take together; a single model may take more, then it stays alone."""
        if self.vram_budget_bytes is not None:
            return self.vram_budget_bytes
        return int(self.device.memory_bytes * BUDGET_SHARE)

    def _take(self, key: str) -> PictureModel | PictureUpscaler | None:
        if key not in self._resident:
            return None
        self._resident.move_to_end(key)
        return self._resident[key].model

    def _load_model(self, name: str, folder: Path) -> PictureModel:
        entry = self.catalog.models[name]
        dtype = self.device.dtype(entry.dtype, entry.family)
        files = weights.component_files(folder, entry.variant)
        expected_bytes = weights.parameter_count(files) * dtype.itemsize

        def load() -> tuple[PictureModel, Iterable[torch.nn.Module]]:
            pipeline = _pipeline(folder, entry, dtype)
            pipeline.to(self.device.where)
            model = PictureModel(
                name=name,
                entry=entry,
                pipeline=pipeline,
                dtype=dtype,
                scheduler_config=dict(pipeline.scheduler.config),
                prompts=PromptEncoder(pipeline, entry.family),
                # The hub's cache names a snapshot by its commit.
                revision=None if entry.repo is None else folder.name,
                hashes={component: weights.fingerprint(of) for component, of in files.items()},
            )
            return model, (part for part in pipeline.components.values() if isinstance(part, torch.nn.Module))

        return self._admit(f"model {name}", expected_bytes, load)

    def _load_upscaler(self, name: str, path: Path) -> PictureUpscaler:
        # Imported with the first upscaler: basicsr takes seconds that a start must not wait for.
        from inference.upscaling import Upscaler

        entry = self.catalog.upscalers[name]

        def load() -> tuple[PictureUpscaler, Iterable[torch.nn.Module]]:
            network = Upscaler(entry, path, self.device.where, half=self.device.is_cuda)
            upscaler = PictureUpscaler(name=name, entry=entry, network=network, hash=weights.fingerprint([path]))
            return upscaler, (network.network,)

        return self._admit(f"upscaler {name}", path.stat().st_size, load)

    def _admit(
        self, key: str, expected_bytes: int, load: Callable[[], tuple[Loaded, Iterable[torch.nn.Module]]]
    ) -> Loaded:
        """Make room, load, and keep count of what the weights really take."""
        self._make_room(expected_bytes)
        loaded = _unless_full(load)
        if loaded is None and self._resident:
            log.warning("%s does not fit beside the others: letting go of all of them", key)
            self._make_room(self.budget_bytes())
            loaded = _unless_full(load)
        if loaded is None:
            self.device.release_cache()
            raise OutOfMemory(f"The {key} does not fit into the device's memory; choose another one.")
        model, modules = loaded
        vram_bytes = sum(module_bytes(module) for module in modules)
        self._resident[key] = _Resident(model=model, vram_bytes=vram_bytes)
        log.info("%s is resident with %.1f MB", key, vram_bytes / 1e6)
        return model

    def _make_room(self, needed_bytes: int) -> None:
        """Let go of the least recently used until this many bytes fit the budget, or nothing is left."""
        while self._resident and sum(self.resident().values()) + needed_bytes > self.budget_bytes():
            key, _ = self._resident.popitem(last=False)
            log.info("%s leaves the device", key)
        self.device.release_cache()


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


def _pipeline(folder: Path, entry: ModelEntry, dtype: torch.dtype) -> Any:
    kind = PIPELINES[entry.family]
    absent: dict[str, Any] = dict.fromkeys(weights.UNUSED & set(kind._optional_components))
    if kind is StableDiffusionPipeline:
        absent["requires_safety_checker"] = False
    try:
        pipeline = kind.from_pretrained(
            folder,
            dtype=dtype,
            variant=entry.variant,
            use_safetensors=True,
            local_files_only=True,
            **absent,
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{folder} does not load as a {entry.family} model: {reason}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
