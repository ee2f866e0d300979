"""What a picture model is put together from: its folder or its one file, and what its entry names beside that.

Everything is found by names, headers and small JSON files; nothing is loaded. `models.pipelines` loads what is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.catalog import ggufs, headers, layouts, telling
from inference.catalog.entries import ModelEntry
from inference.catalog.fields import INDEX, Prediction
from inference.catalog.telling import Checkpoint
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.record import Family

BUILT_IN_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
"""Whose vocabulary comes with Easel."""

READABLE = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
"""What weights can be kept in, as safetensors calls it: the last two become the type that is computed in."""

ZERO_SNR_RESCALE = 0.7
"""How far guidance is rescaled where a model's noise ends in noise alone (Lin et al., 2023, section 3.4)."""

V: Prediction = "v_prediction"

Components = Mapping[str, tuple[str, str]]
"""Library and class of each component of a pipeline."""


@dataclass(frozen=True)
class Part:
    """The weights of one component."""

    files: tuple[Path, ...]
    start: str = ""
    """What stands before the names of its tensors in them."""

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of its tensors, from the headers."""
        return [shape for shape, _ in self._tensors()]

    def held_bytes(self, number_bytes: int) -> int:
        """What it takes where each number takes so many: those in blocks stay as small as they lie there."""
        plain = ggufs.Kind("", size=number_bytes)
        kinds = [(math.prod(shape), ggufs.PACKED.get(kind, plain)) for shape, kind in self._tensors()]
        return sum(numbers // kind.numbers * kind.size for numbers, kind in kinds)

    def _tensors(self) -> list[tuple[tuple[int, ...], str]]:
        """Shape and type of each."""
        found = [headers.of_model(file) for file in self.files]
        return [
            (shape, of.types[name]) for of in found for name, shape in of.shapes.items() if name.startswith(self.start)
        ]

    def parameters(self, matrices: bool = False) -> int:
        """How many numbers it holds, or its matrices alone."""
        return sum(math.prod(shape) for shape in self.shapes() if len(shape) == 2 or not matrices)


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """One model, as far as it can be known without loading it."""

    place: Path
    """Its folder, or its file."""
    config: Path
    """The folder with model_index.json and the configuration of each component."""
    parts: Mapping[str, Part]
    """The weights of each network."""
    elsewhere: Mapping[str, Path]
    """Of components that lie neither in its folder nor in its file: where, in a folder or a file of their own."""
    edits_only: bool
    """Whether its denoiser reads a mask and what is around it, and so paints nothing without them."""
    scheduling: Mapping[str, Any]
    """Changes to the configuration of its scheduler."""
    guidance_rescale: float
    variant: str | None = None
    """Which of the files that lie side by side in its folder are meant."""
    checkpoint: Checkpoint | None = None
    """What its file is; None for a folder."""
    built_in: frozenset[str] = field(default_factory=frozenset)
    """Tokenizers whose vocabulary comes with Easel."""
    lacking: frozenset[str] = field(default_factory=frozenset)
    """Components that its pipeline does without."""


def of_folder(folder: Path, entry: ModelEntry, elsewhere: Mapping[str, Path], base: Path | None) -> Assembly:
    """A model in this folder, with components that lie elsewhere.

    Raises `layouts.Incomplete` where a part has no files, and WeightsError where it is of another family or broken.
    """
    folder, family = layouts.pipeline_folder(folder), FAMILIES[entry.family]
    components = layouts.components(folder)
    _check_class(folder, entry)
    elsewhere = {**_from_base(base, layouts.absent_components(folder)), **elsewhere}
    _check_named(folder, elsewhere, components)
    variant = layouts.variant_of(folder, entry.variant, elsewhere)
    layouts.check_pipeline(folder, variant, elsewhere)
    own = layouts.component_files(folder, variant, elsewhere)
    latents = _latent_channels(folder, elsewhere, family)
    reads = _number(folder / family.denoiser.component, "in_channels")
    return Assembly(
        place=folder,
        config=folder,
        parts={component: Part(tuple(files)) for component, files in own.items()}
        | _parts_elsewhere(elsewhere, components),
        elsewhere=elsewhere,
        edits_only=_edits_only(folder, family, reads, latents),
        scheduling=_scheduling(folder, entry.prediction, entry.zero_snr),
        guidance_rescale=_rescale(entry, bool(entry.zero_snr)),
        variant=variant,
    )


def of_file(
    file: Path, entry: ModelEntry, elsewhere: Mapping[str, Path], base: Path | None, config: Path | None
) -> Assembly:
    """A model in this file, with components that lie elsewhere, of the configurations in this folder, or of its
    release's where that is None.

    Raises WeightsError, in one line, where it is of another family, or which part is in none of them.
    """
    told, family = telling.checkpoint(file), FAMILIES[entry.family]
    title = told.release.title
    if told.family is not family:
        raise WeightsError(f"{file} is a {title} model: write family = {told.family.name!r}, not {entry.family!r}")
    if file.suffix == ggufs.GGUF:
        _check_blocks(file, told)
    if unread := sorted(set(told.weight_types) - READABLE - ggufs.PACKED.keys()):
        raise WeightsError(f"{file} is a {title} model with weights in {', '.join(unread)}, which are not read here")
    config = told.release.folder or base if config is None else layouts.pipeline_folder(config)
    if config is None:
        raise WeightsError(
            f"{file} is a {title} model, whose configurations do not come with Easel: write base, a model of the"
            " catalogue of its kind that is a folder"
        )
    components = layouts.components(config)
    if config != told.release.folder and (others := _of_others(config, family)) is not None:
        raise WeightsError(f"{file} is a {title} model, and {config} is of a {others[0]}: name one of its own kind")
    whole = {component for component in components if layouts.has_tokenizer(config / component)}
    wanted = components.keys() - told.parts.keys() - whole - {"scheduler"}
    built_in = {component for component in wanted if components[component][1] in BUILT_IN_TOKENIZERS}
    elsewhere = {**_from_base(base, wanted - built_in), **elsewhere}
    _check_named(file, elsewhere, components)
    lacking = wanted - built_in - elsewhere.keys()
    if missing := sorted(lacking - told.release.optional):
        raise WeightsError(f"{file} is a {title} model without {', '.join(missing)}: {_how_to_complete(missing)}")
    # Of what it can do without there must be all: an encoder of words is none without its tokenizer.
    without = told.release.optional if lacking else frozenset()
    elsewhere = {component: path for component, path in elsewhere.items() if component not in without}
    own = {name: Part((file,), start) for name, start in told.parts.items() if name not in without}
    prediction = entry.prediction or told.prediction
    said = told.zero_snr and prediction == V
    zero_snr = said if entry.zero_snr is None else entry.zero_snr
    return Assembly(
        place=file,
        config=config,
        parts=own | _parts_elsewhere(elsewhere, components),
        elsewhere=elsewhere,
        edits_only=_edits_only(file, family, told.channels, _latent_channels(config, elsewhere, family)),
        scheduling=_scheduling(config, prediction, zero_snr or None),
        guidance_rescale=_rescale(entry, zero_snr),
        checkpoint=told,
        built_in=frozenset(built_in - without - elsewhere.keys()),
        lacking=without,
    )


def _check_blocks(file: Path, told: Checkpoint) -> None:
    """Raise WeightsError where a GGUF file is not the denoiser alone of a model that can be read out of one."""
    title, component = told.release.title, told.family.denoiser.component
    if component != "transformer":
        raise WeightsError(
            f"{file} is a GGUF file of a {title} model, and of those only models with a transformer are read: take the"
            " same weights as safetensors"
        )
    if more := sorted(told.parts.keys() - {component}):
        raise WeightsError(
            f"{file} is a GGUF file with {', '.join(more)} in it, which is read with the {component} alone"
        )


def _check_class(folder: Path, entry: ModelEntry) -> None:
    """Raise WeightsError where the folder's own pipeline is that of other families."""
    if (others := _of_others(folder, FAMILIES[entry.family])) is not None:
        called, names = others
        raise WeightsError(f"{folder} is of a {called}: write family = {names}, not {entry.family!r}")


def _of_others(folder: Path, family: Family) -> tuple[str, str] | None:
    """What the pipeline in a folder is called, and the families that have it; None where this is one of them, or none
    is."""
    called = layouts.json_object(folder / INDEX).get("_class_name")
    owners = [other for other in FAMILIES.values() if called in (other.pipeline, other.inpaint)]
    if not owners or family in owners:
        return None
    return str(called), " or ".join(repr(owner.name) for owner in owners)


def _check_named(place: Path, elsewhere: Mapping[str, Path], components: Components) -> None:
    for component, path in elsewhere.items():
        if component not in components:
            known = ", ".join(sorted(components))
            raise WeightsError(f"{place} has no part {component}, which models.toml names: it has {known}")
        if not path.exists():
            raise WeightsError(f"{path} is not there, which models.toml names as {component} of {place}")


def _from_base(base: Path | None, wanted: Iterable[str]) -> dict[str, Path]:
    if base is None:
        return {}
    return {component: base / component for component in wanted if (base / component).is_dir()}


def _parts_elsewhere(elsewhere: Mapping[str, Path], components: Components) -> dict[str, Part]:
    """The weights of networks that lie elsewhere; raises where they are broken."""
    found = {}
    for component, path in elsewhere.items():
        if component == "scheduler" or "Tokenizer" in components[component][1]:
            continue
        files = layouts.network_files(path, components[component][0]) if path.is_dir() else [path]
        for file in files:
            if not file.is_file():
                raise layouts.Incomplete(path, file.name)
            if file.suffix == ggufs.GGUF:
                raise WeightsError(f"{file} is a GGUF file, and {component} is not read out of one: take safetensors")
            headers.check(file)
        found[component] = Part(tuple(files))
    return found


def _edits_only(place: Path, family: Family, reads: Any, latents: int | None) -> bool:
    """Whether a denoiser that reads so many channels reads latents twice and a mask; raises where it is anything else
    that cannot be painted with."""
    if family.fills:
        return True
    if family.inpaint is None or reads is None or latents is None or reads == latents:
        return False
    if reads == 2 * latents + 1:
        return True
    raise WeightsError(
        f"{place}: its denoiser reads {reads} channels: one that reads {latents} can paint, one that reads"
        f" {2 * latents + 1} can edit, and no other is of use here"
    )


def _latent_channels(config: Path, elsewhere: Mapping[str, Path], family: Family) -> int | None:
    """How many the model has; None where nothing says so. Raises WeightsError where a VAE of its own has others."""
    own = _number(config / "vae", family.latents.channels)
    if (path := elsewhere.get("vae")) is None:
        return own
    folder = path.is_dir()
    found = _number(path, family.latents.channels) if folder else telling.latent_channels(headers.tensors(path))
    if found is None:
        raise WeightsError(f"{path} is {'a folder' if folder else telling.in_words(path)}, and no VAE")
    if own is not None and found != own:
        raise WeightsError(f"{path} is a VAE with {found} latent channels, and the model's has {own}")
    return found


def _number(part: Path, name: str) -> int | None:
    """What the configuration of a part calls so; None where it says nothing."""
    config = part / "config.json"
    found = layouts.json_object(config).get(name) if config.is_file() else None
    return found if isinstance(found, int) else None


def _scheduling(config: Path, prediction: str | None, zero_snr: bool | None) -> dict[str, Any]:
    scheduler = config / "scheduler" / "scheduler_config.json"
    if zero_snr and (prediction or layouts.json_object(scheduler).get("prediction_type")) != V:
        # In noise alone there is no share of the picture that the noise could be told from.
        raise WeightsError(
            f"{config.name}: zero_snr is for what predicts v: write prediction = {V!r} too, or leave it out"
        )
    changes: dict[str, Any] = {} if prediction is None else {"prediction_type": prediction}
    if zero_snr is not None:
        changes["rescale_betas_zero_snr"] = zero_snr
    if zero_snr:
        # Other spacings leave the last time out, at which there is noise alone.
        changes["timestep_spacing"] = "trailing"
    return changes


def _rescale(entry: ModelEntry, zero_snr: bool) -> float:
    if entry.guidance_rescale is not None:
        return entry.guidance_rescale
    return ZERO_SNR_RESCALE if zero_snr else 0.0


def _how_to_complete(missing: list[str]) -> str:
    parts = ", ".join(f'{name} = "…"' for name in missing if name != "vae")
    ways = ['vae = "…"'] * ("vae" in missing) + [f"parts = {{ {parts} }}"] * bool(parts)
    return f"name files or folders that have them, {' and '.join(ways)}, or as base a model that is a folder"
