"""Whole pipelines of diffusers, from their folders on disk to what paints on the device: models and their refiners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from inference.catalog import hashes, headers, layouts
from inference.catalog.entries import PipelineEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.families.record import Family, load_class
from inference.models import placement
from inference.models.adapters import Adapters
from inference.models.handles import PictureModel, PictureRefiner, networks
from inference.models.loaders import Plan, opening, revision_of
from inference.models.policy import Policy
from inference.models.prompts import PromptEncoder


def model(catalog: Catalog, name: str, folder: Path, device: Device, policy: Policy) -> Plan[PictureModel]:
    """A picture model from its diffusers folder, kept as the policy says."""
    entry = catalog.models[name]
    family = FAMILIES[entry.family]
    dtype = placement.dtype(entry, device)
    files = layouts.component_files(folder, entry.variant)

    def load() -> PictureModel:
        quantization = placement.quantization(policy, files, dtype)
        pipeline = _pipeline(folder, entry, family, family.pipeline, f"{entry.family} model", dtype, quantization)
        placement.place(pipeline, family, policy, device)
        return PictureModel(
            name=name,
            entry=entry,
            family=family,
            pipeline=pipeline,
            dtype=dtype,
            scheduler_config=dict(pipeline.scheduler.config),
            prompts=PromptEncoder(pipeline, family.words),
            adapters=Adapters(pipeline, family.check_lora),
            revision=revision_of(entry, folder),
            hashes=hashes.fingerprints(files),
            policy=policy,
        )

    parts = placement.measure(folder, entry, device).parts
    host_bytes = 0 if policy.offload == "none" else sum(parts.values())
    return Plan(expected_bytes=policy.device_bytes(parts), host_bytes=host_bytes, load=load)


def refiner(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureRefiner]:
    """A refiner from its diffusers folder."""
    entry = catalog.refiners[name]
    family = next(FAMILIES[refined.family] for refined in catalog.models.values() if refined.refiner == name)
    dtype = device.dtype(entry.dtype, family.dtype)
    files = layouts.component_files(folder, entry.variant)

    def load() -> PictureRefiner:
        assert family.refiner is not None, "the catalogue was checked"
        pipeline = _pipeline(folder, entry, family, family.refiner, f"refiner of {family.name} models", dtype)
        pipeline.to(device.where)
        return PictureRefiner(
            name=name,
            entry=entry,
            pipeline=pipeline,
            prompts=PromptEncoder(pipeline, family.words),
            revision=revision_of(entry, folder),
            hashes=hashes.fingerprints(files),
        )

    numbers = layouts.parameter_count(file for of_component in files.values() for file in of_component)
    return Plan(expected_bytes=numbers * dtype.itemsize, load=load)


def _pipeline(
    folder: Path,
    entry: PipelineEntry,
    family: Family,
    name: str,
    what: str,
    dtype: torch.dtype,
    quantization: Any | None = None,
) -> Any:
    kind = load_class(name)
    absent: dict[str, Any] = dict.fromkeys(layouts.UNUSED & set(kind._optional_components))
    with opening(folder, what):
        pipeline = kind.from_pretrained(
            folder,
            dtype=dtype,
            variant=entry.variant,
            use_safetensors=True,
            local_files_only=True,
            quantization_config=quantization,
            **absent,
            **family.settings,
        )
        for component, part in networks(pipeline).items():
            _require_all(component, part, layouts.component_files(folder, entry.variant)[component])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _require_all(name: str, part: torch.nn.Module, files: Iterable[Path]) -> None:
    """Raise ValueError where weights of this part are in none of its files.

    diffusers leaves them without numbers, transformers fills the gap with chance. They are known by their shapes: both
    libraries give some of them other names than they have in older files.
    """
    held = Counter(shape for file in files for shape in headers.tensors(file).values())
    lacking = Counter(_shape(parameter) for parameter in part.parameters()) - held
    if lacking and (isinstance(part, PreTrainedModel) or any(parameter.is_meta for parameter in part.parameters())):
        raise ValueError(f"{lacking.total()} weights of its {name} are missing")


def _shape(parameter: torch.nn.Parameter) -> tuple[int, ...]:
    """That of the numbers it stands for: bitsandbytes packs them in rows of its own."""
    packed = getattr(parameter, "quant_state", None)
    return tuple(parameter.shape if packed is None else packed.shape)
