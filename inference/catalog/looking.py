"""What a file or folder of weights would be as an entry of models.toml: `adding` writes it.

Nothing is loaded. Of a pickle the caller says which tensors are in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.catalog import assembly, fitting, headers, layouts, telling, weights
from inference.catalog.assembly import Assembly
from inference.catalog.entries import ModelEntry
from inference.catalog.fields import DETECTOR_FILES, INDEX, Kind
from inference.catalog.reading import Catalog
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.record import Family
from inference.families.releases import Release, Shapes

FOLDERS: Mapping[str, tuple[Kind, str]] = {
    "AutoencoderTiny": ("decoder", "a tiny VAE for previews"),
    "florence2": ("describer", "a Florence-2 model"),
    "clip": ("classifier", "a CLIP model"),
}
"""What a folder of one network is by the class or the type in its config.json, and in words."""

FOLLOWED: Mapping[str, tuple[str, ...]] = {
    "canny": ("canny",),
    "depth": ("depth",),
    "lineart": ("lineart", "line-art"),
    "softedge": ("softedge", "hed", "scribble"),
    "normal": ("normal",),
    "mlsd": ("mlsd",),
    "openpose": ("openpose", "pose"),
}
"""What a ControlNet follows, by what its name says."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found."""

    kind: Kind
    words: str
    """What it is, for the operator."""
    place: Path
    """Its file or folder: where it is nested, the inner one."""
    title: str
    fields: dict[str, Any]
    """Of its entry, but for title and path."""
    remarks: tuple[str, ...] = field(default_factory=tuple)
    assembly: Assembly | None = None
    """What a model is put together from; None of all else."""


def look(place: Path, catalog: Catalog, pickled: Shapes | None = None, config: Path | None = None) -> Look:
    """What this file or folder would be beside what the catalogue has. `pickled` are the tensors of a pickle, `config`
    is what `ModelEntry.config` is.

    Raises WeightsError, in one line, where it is nothing that the catalogue can hold, or lacks something.
    """
    if not place.exists():
        raise WeightsError(f"{place} is not there")
    if place.is_dir():
        alone = layouts.only_file(place)
        return _folder(place, catalog) if alone is None else _file(alone, catalog, None, config)
    return _file(place, catalog, pickled, config)


def _file(file: Path, catalog: Catalog, pickled: Shapes | None, config: Path | None) -> Look:
    if pickled is not None:
        return _embedding(file, pickled, catalog) if telling.is_embedding(pickled) else _upscaler(file, pickled)
    kind = telling.kind(file)
    match kind:
        case "model":
            return _model_file(file, catalog, config)
        case "lora":
            return _lora(file, catalog)
        case "embedding":
            return _embedding(file, headers.tensors(file), catalog)
        case "upscaler":
            return _upscaler(file, headers.tensors(file))
        case "vae":
            channels = telling.latent_channels(headers.tensors(file))
            raise WeightsError(
                f"{file} is a VAE with {channels} latent channels: write it as vae into the entry of a model"
            )
        case "text":
            raise WeightsError(f"{file} is a text encoder: write it into parts of a model's entry")
    raise WeightsError(f"{file} is {telling.in_words(file)}: no entry can be made of it")


def _model_file(file: Path, catalog: Catalog, config: Path | None) -> Look:
    told = telling.checkpoint(file)
    fields: dict[str, Any] = {"family": told.family.name, **_painted_with(told.release, file, catalog)}
    if config is not None:
        fields["config"] = _relative(config, catalog)
    known = told.prediction is not None or any(part in file.name.lower() for part in told.release.by_name)
    remarks = [] if known else list(told.release.remarks)
    if told.prediction == "v_prediction":
        remarks.append("It says that it predicts v.")
    if told.zero_snr:
        remarks.append(f"It says that its noise ends in noise alone: guidance_rescale is {assembly.ZERO_SNR_RESCALE}.")
    if any(kind.startswith("F8") for kind in told.weight_types):
        remarks.append("Its fp8 weights become the type that is computed in when they are loaded.")
    entry = ModelEntry(title="", path=str(file), **fields)
    base = _base(told.family, catalog)
    try:
        made = assembly.of_file(file, entry, {}, None, config)
    except WeightsError:
        if base is None:
            raise
        made = assembly.of_file(file, entry, {}, weights.locate(catalog, "model", base), config)
    if base is not None and (made.elsewhere or made.lacking or (told.release.folder or config) is None):
        fields["base"] = base
        remarks.append(f"What it has not itself comes from {base}.")
    if made.edits_only:
        remarks.append("It paints nothing but masked parts of pictures: /edit alone offers it.")
    words = f"a {told.release.title} model in {_in_words(told.weight_types)}"
    return Look(
        kind="model",
        words=words,
        place=file,
        title=_title(file, told.header.metadata),
        fields=fields,
        remarks=tuple(remarks),
        assembly=made,
    )


def _base(family: Family, catalog: Catalog) -> str | None:
    """A model of this family that is a folder on this machine, of which others can have what they lack."""
    for name, entry in catalog.models.items():
        if entry.family == family.name and not (entry.base or entry.url or entry.file):
            place = weights.locate(catalog, "model", name) if name in weights.available(catalog) else None
            if place is not None and place.is_dir():
                return name
    return None


def _folder(folder: Path, catalog: Catalog) -> Look:
    inner = layouts.pipeline_folder(folder)
    if (inner / layouts.CHECKER).is_dir() and not (inner / INDEX).is_file():
        return Look(kind="checker", words="a safety checker", place=inner, title=_title(folder), fields={})
    if (inner / INDEX).is_file() or not (inner / "config.json").is_file():
        return _model_folder(folder, inner, catalog)
    config = layouts.json_object(inner / "config.json")
    for called in (str(config.get("_class_name")), str(config.get("model_type"))):
        if called == "depth_anything":
            fields: dict[str, Any] = {"kind": "depth"}
            return Look(kind="annotator", words="Depth Anything", place=inner, title=_title(folder), fields=fields)
        if called in FOLDERS:
            kind, words = FOLDERS[called]
            return Look(kind=kind, words=words, place=inner, title=_title(folder), fields={})
        if any(family.control and called == family.control.network for family in FAMILIES.values()):
            return _control(inner, called, config, catalog)
    what = config.get("_class_name") or config.get("model_type") or "something that does not say what it is"
    if str(what).startswith("Autoencoder"):
        raise WeightsError(f"{inner} is a VAE ({what}): write it as vae into the entry of a model")
    raise WeightsError(f"{inner} is a folder of one network ({what}): no entry can be made of it")


def _model_folder(folder: Path, inner: Path, catalog: Catalog) -> Look:
    layouts.components(inner)
    called = layouts.json_object(inner / INDEX).get("_class_name")
    owners = [family for family in FAMILIES.values() if called in (family.pipeline, family.inpaint)]
    found = [(family, release) for family in owners for release in family.releases]
    if not found:
        raise WeightsError(f"{inner} is of a {called}, of which no family here has defaults: write its entry yourself")
    family, release = max(found, key=lambda pair: _likeness(inner, *pair))
    fields = {"family": family.name, **_painted_with(release, folder, catalog)}
    made = assembly.of_folder(inner, ModelEntry(title="", path=str(inner), **fields), {}, None)
    remarks = ["It paints nothing but masked parts of pictures: /edit alone offers it."] if made.edits_only else []
    words = f"a {release.title} model in a diffusers folder"
    return Look(
        kind="model",
        words=words,
        place=inner,
        title=_title(folder),
        fields=fields,
        remarks=tuple(remarks),
        assembly=made,
    )


def _likeness(folder: Path, family: Family, release: Release) -> int:
    """In how much the denoiser in this folder is configured as that of a release."""
    name = f"{family.denoiser.component}/config.json"
    if not (folder / name).is_file():
        return 0
    if release.folder is None:
        return 0
    own, its = layouts.json_object(folder / name), layouts.json_object(release.folder / name)
    return sum(own.get(field) == value for field, value in its.items())


def _painted_with(release: Release, place: Path, catalog: Catalog) -> dict[str, Any]:
    fields = dict(release.defaults)
    for part, changes in release.by_name.items():
        if part in place.name.lower():
            fields |= changes
    if fields.get("decoder") not in catalog.decoders:
        fields.pop("decoder", None)
    return fields


def _lora(file: Path, catalog: Catalog) -> Look:
    header = headers.header(file)
    fields: dict[str, Any] = {"models": _some(fitting.of_lora(header.shapes, catalog), file, "a LoRA")}
    if trigger := _one_line(header.metadata.get("modelspec.trigger_phrase", "")):
        fields["trigger"] = trigger
    return Look(kind="lora", words="a LoRA", place=file, title=_title(file, header.metadata), fields=fields)


def _embedding(file: Path, shapes: Shapes, catalog: Catalog) -> Look:
    words = "a textual inversion embedding"
    fields = {"models": _some(fitting.of_embedding(shapes, catalog), file, words)}
    return Look(kind="embedding", words=words, place=file, title=_title(file), fields=fields)


def _control(folder: Path, called: str, config: Mapping[str, Any], catalog: Catalog) -> Look:
    words = "a ControlNet"
    models = _some(fitting.of_control(called, config, catalog), folder, words)
    layouts.diffusers_files(folder)
    named = (kind for kind, words in FOLLOWED.items() if any(word in folder.name.lower() for word in words))
    annotator = _annotator(next(named, None), catalog)
    remarks = () if annotator else ("What it follows is not known: name its annotator where it is no finished map.",)
    fields = {"models": models, "annotator": annotator or "none"}
    return Look(kind="control", words=words, place=folder, title=_title(folder), fields=fields, remarks=remarks)


def _some(models: list[str], place: Path, words: str) -> list[str]:
    if not models:
        raise WeightsError(f"{place} is {words} for none of the models in models.toml")
    return models


def _annotator(kind: str | None, catalog: Catalog) -> str | None:
    if kind in (None, "canny"):
        return kind
    assert kind in (*DETECTOR_FILES, "depth")
    return next((name for name, entry in catalog.annotators.items() if entry.kind == kind), None)


def _upscaler(file: Path, shapes: Shapes) -> Look:
    """A network that enlarges: one of Real-ESRGAN's with its sizes, any other as it is."""
    convolutions = [shape for name, shape in shapes.items() if name.endswith(".weight") and len(shape) == 4]
    fields: dict[str, Any] = {}
    if "body.0.weight" in shapes and all(name.startswith("body.") for name in shapes):
        scale = math.isqrt(convolutions[-1][0] // 3)
        sizes = {"num_feat": convolutions[0][0], "num_conv": len(convolutions) - 2}
        fields = {"arch": "srvgg", "scale": scale, **sizes}
    elif "conv_first.weight" in shapes and "body.0.rdb1.conv1.weight" in shapes:
        features, channels = shapes["conv_first.weight"][:2]
        blocks = len({name.split(".")[1] for name in shapes if ".rdb1." in name})
        # What comes in is folded for what enlarges less.
        scale = {3: 4, 12: 2, 48: 1}.get(channels, 4)
        sizes = {"num_feat": features, "num_block": blocks, "num_grow_ch": shapes["body.0.rdb1.conv1.weight"][0]}
        fields = {"arch": "rrdb", "scale": scale, **sizes}
    elif not convolutions:
        raise WeightsError(f"{file} is nothing that is known here")
    return Look(kind="upscaler", words="an upscaler", place=file, title=_title(file), fields=fields)


def _title(place: Path, metadata: Mapping[str, str] | None = None) -> str:
    said = _one_line((metadata or {}).get("modelspec.title", ""))
    words = re.sub(r"[_\-\s]+", " ", place.stem if place.is_file() else place.name).strip()
    return said or words[:1].upper() + words[1:60] or "Unnamed"


def _one_line(text: str) -> str:
    return " ".join("".join(sign for sign in text if sign.isprintable() or sign.isspace()).split())[:60]


def _in_words(types: Iterable[str]) -> str:
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "fp8", "F8_E5M2": "fp8 (e5m2)"}
    return " and ".join(names.get(kind, kind) for kind in types)


def _relative(path: Path, catalog: Catalog) -> str:
    path = path.absolute()
    return str(path.relative_to(catalog.folder) if path.is_relative_to(catalog.folder) else path)
