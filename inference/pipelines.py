"""Whole pipelines of diffusers, from their folders on disk to what paints on the device: models and their refiners."""

from __future__ import annotations

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

from inference import placement, weights
from inference.adapters import Adapters
from inference.catalog import Catalog
from inference.device import Device
from inference.entries import Family, PipelineEntry
from inference.loaded import PictureModel, PictureRefiner
from inference.loading import Plan, does_not_load, revision_of
from inference.policy import Policy
from inference.prompts import PromptEncoder

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
    files = weights.component_files(folder, entry.variant)

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
            hashes={component: weights.fingerprint(of) for component, of in files.items()},
            policy=policy,
        )

    parts = placement.measure(folder, entry, device).parts
    host_bytes = 0 if policy.offload == "none" else sum(parts.values())
    return Plan(expected_bytes=policy.device_bytes(parts), host_bytes=host_bytes, load=load)


def refiner(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureRefiner]:
    """SDXL's refiner from its diffusers folder."""
    entry = catalog.refiners[name]
    dtype = device.dtype(entry.dtype, "sdxl")
    files = weights.component_files(folder, entry.variant)

    def load() -> PictureRefiner:
        pipeline = _pipeline(folder, entry, StableDiffusionXLImg2ImgPipeline, "SDXL refiner", dtype)
        pipeline.to(device.where)
        return PictureRefiner(
            name=name,
            entry=entry,
            pipeline=pipeline,
            prompts=PromptEncoder(pipeline, "sdxl"),
            revision=revision_of(entry, folder),
            hashes={component: weights.fingerprint(of) for component, of in files.items()},
        )

    numbers = weights.parameter_count(file for of_component in files.values() for file in of_component)
    return Plan(expected_bytes=numbers * dtype.itemsize, load=load)


def _pipeline(
    folder: Path, entry: PipelineEntry, kind: type[Any], what: str, dtype: torch.dtype, quantization: Any | None = None
) -> Any:
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
            quantization_config=quantization,
            **absent,
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise does_not_load(folder, what, error) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
