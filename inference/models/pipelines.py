"""Whole pipelines of diffusers, from their folders on disk to what paints on the device: models and their refiners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    FluxPipeline,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from transformers import PreTrainedModel

from inference.catalog import hashes, headers, layouts
from inference.catalog.entries import Family, PipelineEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models import placement
from inference.models.adapters import Adapters
from inference.models.handles import PictureModel, PictureRefiner, networks
from inference.models.loaders import Plan, opening, revision_of
from inference.models.policy import Policy
from inference.models.prompts import PromptEncoder

PIPELINES: dict[Family, type[Any]] = {
    "sd1": StableDiffusionPipeline,
    "sd2": StableDiffusionPipeline,
    "sdxl": StableDiffusionXLPipeline,
    "sd3": StableDiffusion3Pipeline,
    "flux": FluxPipeline,
}


def model(catalog: Catalog, name: str, folder: Path, device: Device, policy: Policy) -> Plan[PictureModel]:
    """A picture model from its diffusers folder, kept as the policy says."""
    entry = catalog.models[name]
    dtype = placement.dtype(entry, device)
    files = layouts.component_files(folder, entry.variant)

    def load() -> PictureModel:
        quantization = placement.quantization(policy, files)
        pipeline = _pipeline(folder, entry, PIPELINES[entry.family], f"{entry.family} model", dtype, quantization)
        placement.place(pipeline, policy, device)
        return PictureModel(
            name=name,
            entry=entry,
            pipeline=pipeline,
            dtype=dtype,
            scheduler_config=dict(pipeline.scheduler.config),
            prompts=PromptEncoder(pipeline, entry.family),
            adapters=Adapters(pipeline),
            revision=revision_of(entry, folder),
            hashes=hashes.fingerprints(files),
            policy=policy,
        )

    parts = placement.measure(folder, entry, device).parts
    host_bytes = 0 if policy.offload == "none" else sum(parts.values())
    return Plan(expected_bytes=policy.device_bytes(parts), host_bytes=host_bytes, load=load)


def refiner(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureRefiner]:
    """SDXL's refiner from its diffusers folder."""
    entry = catalog.refiners[name]
    dtype = device.dtype(entry.dtype, "sdxl")
    files = layouts.component_files(folder, entry.variant)

    def load() -> PictureRefiner:
        pipeline = _pipeline(folder, entry, StableDiffusionXLImg2ImgPipeline, "SDXL refiner", dtype)
        pipeline.to(device.where)
        return PictureRefiner(
            name=name,
            entry=entry,
            pipeline=pipeline,
            prompts=PromptEncoder(pipeline, "sdxl"),
            revision=revision_of(entry, folder),
            hashes=hashes.fingerprints(files),
        )

    numbers = layouts.parameter_count(file for of_component in files.values() for file in of_component)
    return Plan(expected_bytes=numbers * dtype.itemsize, load=load)


def _pipeline(
    folder: Path, entry: PipelineEntry, kind: type[Any], what: str, dtype: torch.dtype, quantization: Any | None = None
) -> Any:
    absent: dict[str, Any] = dict.fromkeys(layouts.UNUSED & set(kind._optional_components))
    if kind is StableDiffusionPipeline:
        absent["requires_safety_checker"] = False
    with opening(folder, what):
        pipeline = kind.from_pretrained(
            folder,
            dtype=dtype,
            variant=entry.variant,
            use_safetensors=True,
            local_files_only=True,
            quantization_config=quantization,
            **absent,
        )
        for name, part in networks(pipeline).items():
            _require_all(name, part, layouts.component_files(folder, entry.variant)[name])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _require_all(name: str, part: torch.nn.Module, files: Iterable[Path]) -> None:
    """Raise ValueError where weights of this part are in none of its files.

    diffusers leaves them without numbers, transformers fills the gap with chance. They are known by their shapes: both
    libraries give some of them other names than they have in older files.
    """
    held = Counter(shape for file in files for shape in headers.tensors(file).values())
    lacking = Counter(tuple(parameter.shape) for parameter in part.parameters()) - held
    if lacking and (isinstance(part, PreTrainedModel) or any(parameter.is_meta for parameter in part.parameters())):
        raise ValueError(f"{lacking.total()} weights of its {name} are missing")
