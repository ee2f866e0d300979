"""Whole pipelines of diffusers, from their weights on disk to what paints on the device: models and their refiners."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig
from transformers import PreTrainedModel

from inference.catalog import hashes, headers, layouts, weights
from inference.catalog.assembly import Assembly
from inference.catalog.entries import ModelEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.record import Family, load_class
from inference.models import checkpoints, placement
from inference.models.adapters import Adapters
from inference.models.embeddings import Embeddings
from inference.models.handles import PictureModel, PictureRefiner, networks
from inference.models.loaders import Plan, revision_of
from inference.models.opening import opening
from inference.models.policy import Policy
from inference.models.prompts import PromptEncoder
from inference.models.vocabulary import Vocabulary

log = logging.getLogger(__name__)


def model(catalog: Catalog, name: str, place: Path, device: Device, policy: Policy) -> Plan[PictureModel]:
    """A picture model from its diffusers folder or its one file, kept as the policy says."""
    entry = catalog.models[name]
    family = FAMILIES[entry.family]
    dtype = placement.dtype(entry, device)
    assembly = weights.assemble(catalog, name, place)

    def load() -> PictureModel:
        if entry.sha256 not in (None, hashes.sha256(assembly.place) if assembly.checkpoint else None):
            raise WeightsError(f"{assembly.place} is another file than sha256 in models.toml says: fetch {name} again")
        pipeline = _model_pipeline(assembly, entry, family, dtype, policy)
        placement.place(pipeline, family, policy, device)
        prompts = PromptEncoder(pipeline, family.words, family.references)
        return PictureModel(
            name=name,
            entry=entry,
            family=family,
            pipeline=pipeline,
            dtype=dtype,
            scheduler_config={**pipeline.scheduler.config, **assembly.scheduling},
            prompts=prompts,
            adapters=Adapters(pipeline, family, compiled=policy.compile),
            embeddings=Embeddings(
                {one: embedding for one, embedding in catalog.embeddings.items() if name in embedding.models},
                partial(weights.locate, catalog, "embedding"),
                prompts.require_fit,
                entry.title,
            ),
            vocabulary=None if assembly.checkpoint else Vocabulary.beside(assembly.place),
            revision=_revision(entry, assembly),
            hashes=hashes.fingerprints({part: of.files for part, of in assembly.parts.items()}),
            policy=policy,
            assembly=assembly,
        )

    parts = placement.measure(assembly, entry, device).parts
    host_bytes = 0 if policy.offload == "none" else sum(parts.values())
    return Plan(expected_bytes=policy.device_bytes(parts), host_bytes=host_bytes, load=load)


def refiner(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureRefiner]:
    """A refiner from its diffusers folder."""
    entry = catalog.refiners[name]
    family = next(FAMILIES[refined.family] for refined in catalog.models.values() if refined.refiner == name)
    dtype = device.dtype(entry.dtype, family.dtype)
    variant = layouts.variant_of(folder, entry.variant)
    files = layouts.component_files(folder, variant)

    def load() -> PictureRefiner:
        assert family.refiner is not None, "the catalogue was checked"
        kind = load_class(family.refiner)
        with opening(folder, f"refiner of {family.name} models"):
            pipeline = _from_folder(folder, variant, kind, family, files, dtype)
        pipeline.set_progress_bar_config(disable=True)
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


def _revision(entry: ModelEntry, assembly: Assembly) -> str | None:
    """What tells these weights from others of the same name: the hub's commit, or the SHA-256 of the one file."""
    if entry.repo is not None:
        return weights.commit(entry)
    return None if assembly.checkpoint is None else hashes.sha256(assembly.place)


def _model_pipeline(assembly: Assembly, entry: ModelEntry, family: Family, dtype: torch.dtype, policy: Policy) -> Any:
    kind = load_class(family.inpaint if assembly.edits_only and family.inpaint else family.pipeline)
    quantization = placement.quantization(policy, assembly, dtype)
    with opening(assembly.place, f"{entry.family} model"):
        if assembly.checkpoint is not None:
            pipeline = checkpoints.pipeline(assembly, kind, family, dtype, quantization)
        else:
            loaded = checkpoints.given(assembly, dtype, quantization)
            files = {part: of.files for part, of in assembly.parts.items() if part not in loaded}
            quantization = {part: config for part, config in quantization.items() if part in files}
            pipeline = _from_folder(
                assembly.place, assembly.variant, kind, family, files, dtype, quantization, **loaded
            )
        for name, part in networks(pipeline).items():
            # Out of one file diffusers leaves T5 in training, where it drops words by chance.
            part.eval()
            if any(parameter.is_meta for parameter in part.parameters()):
                lacking = [name for name, parameter in part.named_parameters() if parameter.is_meta]
                raise ValueError(f"{len(lacking)} weights of its {name} are missing, {lacking[0]} among them")
        placement.pack(networks(pipeline), policy, assembly, dtype)
    if assembly.lacking:
        log.warning(
            "%s does without %s: name all of them as parts", assembly.place, ", ".join(sorted(assembly.lacking))
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _from_folder(
    folder: Path,
    variant: str | None,
    kind: Any,
    family: Family,
    files: Mapping[str, Iterable[Path]],
    dtype: torch.dtype,
    quantization: Mapping[str, Any] | None = None,
    **given: Any,
) -> Any:
    """A pipeline from its folder, of whose networks these are the files; those that are `given` come from elsewhere."""
    absent: dict[str, Any] = dict.fromkeys(layouts.UNUSED & set(kind._optional_components))
    pipeline = kind.from_pretrained(
        folder,
        dtype=dtype,
        variant=variant,
        use_safetensors=True,
        local_files_only=True,
        quantization_config=PipelineQuantizationConfig(quant_mapping=dict(quantization)) if quantization else None,
        **absent,
        **given,
        **family.settings,
    )
    for name, part in networks(pipeline).items():
        if name in files:
            _require_all(name, part, files[name])
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
