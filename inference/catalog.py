"""The catalogue: models.toml read, checked and turned into what members may ask for.

It knows names and limits only; it never looks whether weights exist (`weights`) and never loads any (`store`).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from inference.errors import CatalogError
from inference.protocol import ModelInfo

Family = Literal["sd1", "sd2", "sdxl", "sd3"]
Sampler = Literal["DPM++ 2M", "DPM++ 2M Karras", "Euler", "Euler a", "DDIM", "DDPM", "UniPC", "LCM", "FlowMatch Euler"]
"""What members type. `samplers` knows what each is made of."""

DIFFUSION_SAMPLERS: tuple[Sampler, ...] = tuple(name for name in get_args(Sampler) if name != "FlowMatch Euler")
FAMILY_SAMPLERS: dict[Family, tuple[Sampler, ...]] = {
    "sd1": DIFFUSION_SAMPLERS,
    "sd2": DIFFUSION_SAMPLERS,
    "sdxl": DIFFUSION_SAMPLERS,
    # Rectified flow: the samplers above integrate another process and would paint noise.
    "sd3": ("FlowMatch Euler",),
}

Pixels = Annotated[int, msgspec.Meta(ge=8, le=8192)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Guidance = Annotated[float, msgspec.Meta(ge=0, le=50)]


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[models.NAME]` of models.toml. Sizes in pixels; docs/models.md explains each field to the operator."""

    title: str
    family: Family
    path: str | None = None
    """A diffusers folder, relative to models.toml. Either this or `repo`."""
    repo: str | None = None
    revision: str | None = None
    variant: str | None = None
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    width: Pixels
    height: Pixels
    size_multiple: Count = 8
    min_size: Pixels
    max_size: Pixels
    max_pixels: Count
    steps: Count
    max_steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 150
    guidance: Guidance
    max_guidance: Guidance = 30.0
    sampler: Sampler
    samplers: tuple[Sampler, ...] | None = None
    negative: bool = True
    batch: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many pictures one forward pass paints on a GPU, always: part of what makes a picture repeatable."""
    upscaler: str | None = None

    def admitted_samplers(self) -> tuple[Sampler, ...]:
        """The samplers that members may choose for this model."""
        return FAMILY_SAMPLERS[self.family] if self.samplers is None else self.samplers


class UpscalerEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[upscalers.NAME]` of models.toml: a Real-ESRGAN network."""

    title: str
    arch: Literal["srvgg", "rrdb"]
    path: str
    """The .pth file, relative to models.toml."""
    scale: Annotated[int, msgspec.Meta(ge=1, le=8)]
    num_feat: Count = 64
    num_conv: Count = 16
    """Convolutions of an SRVGGNetCompact."""
    num_block: Count = 23
    num_grow_ch: Count = 32
    """Blocks, and channels that each grows by, of an RRDBNet."""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """models.toml, checked."""

    folder: Path
    """Where models.toml lies; relative paths start here."""
    default: str
    models: dict[str, ModelEntry]
    upscalers: dict[str, UpscalerEntry]

    def info(self, name: str) -> ModelInfo:
        """What members may ask of this model."""
        entry = self.models[name]
        return ModelInfo(
            name=name,
            title=entry.title,
            family=entry.family,
            samplers=entry.admitted_samplers(),
            sampler=entry.sampler,
            steps=entry.steps,
            max_steps=entry.max_steps,
            guidance=entry.guidance,
            max_guidance=entry.max_guidance,
            negative=entry.negative,
            width=entry.width,
            height=entry.height,
            size_multiple=entry.size_multiple,
            min_size=entry.min_size,
            max_size=entry.max_size,
            max_pixels=entry.max_pixels,
            upscale=self.upscalers[entry.upscaler].scale if entry.upscaler else 1,
        )


def load(path: Path) -> Catalog:
    """Read and check models.toml.

    Raises CatalogError with one line that names the file, the entry and the field.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CatalogError(f"{path} is not there: run from the checkout, or set EASEL_MODELS to its place") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{path} is not TOML: {error}") from error
    if surplus := sorted(document.keys() - {"default", "models", "upscalers"}):
        raise CatalogError(f"{path}: {surplus[0]}: no such field; there are default, [models.NAME], [upscalers.NAME]")
    upscalers = _entries(path, document, "upscalers", UpscalerEntry)
    models = _entries(path, document, "models", ModelEntry)
    if not models:
        raise CatalogError(f"{path}: it names no model: add a [models.NAME] table, see docs/models.md")
    for name, entry in models.items():
        _check_model(f"{path}: models.{name}", entry, upscalers)
    default = document.get("default")
    if default not in models:
        raise CatalogError(f"{path}: default: must name one of {', '.join(models)}, not {default!r}")
    return Catalog(folder=path.absolute().parent, default=default, models=models, upscalers=upscalers)


Entry = TypeVar("Entry", ModelEntry, UpscalerEntry)


def _entries(path: Path, document: dict[str, Any], table: str, kind: type[Entry]) -> dict[str, Entry]:
    section = document.get(table, {})
    if not isinstance(section, dict):
        raise CatalogError(f"{path}: {table}: must be tables such as [{table}.NAME]")
    entries: dict[str, Entry] = {}
    for name, fields in section.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
            raise CatalogError(f"{path}: {table}.{name}: a name is up to 64 of a-z, 0-9, dot, dash and underscore")
        try:
            entries[name] = msgspec.convert(fields, kind, strict=True)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            field = place.rstrip("`").lstrip(".")
            raise CatalogError(f"{path}: {table}.{name}: {field + ': ' if field else ''}{message}") from error
    return entries


def _check_model(where: str, entry: ModelEntry, upscalers: dict[str, UpscalerEntry]) -> None:
    if (entry.path is None) == (entry.repo is None):
        raise CatalogError(f"{where}: path: give either a folder as path or a hub repository as repo")
    for field in ("width", "height"):
        size = getattr(entry, field)
        if size % entry.size_multiple or not entry.min_size <= size <= entry.max_size:
            raise CatalogError(
                f"{where}: {field}: {size} must be a multiple of size_multiple ({entry.size_multiple})"
                f" from min_size ({entry.min_size}) to max_size ({entry.max_size})"
            )
    if entry.width * entry.height > entry.max_pixels:
        raise CatalogError(f"{where}: max_pixels: {entry.max_pixels} is less than width times height")
    if entry.steps > entry.max_steps:
        raise CatalogError(f"{where}: steps: {entry.steps} is over max_steps ({entry.max_steps})")
    if entry.guidance > entry.max_guidance:
        raise CatalogError(f"{where}: guidance: {entry.guidance} is over max_guidance ({entry.max_guidance})")
    for name in entry.samplers or ():
        if name not in FAMILY_SAMPLERS[entry.family]:
            raise CatalogError(f"{where}: samplers: the {entry.family} family does not admit {name!r}")
    if entry.sampler not in entry.admitted_samplers():
        raise CatalogError(f"{where}: sampler: {entry.sampler!r} is not one of {', '.join(entry.admitted_samplers())}")
    if entry.upscaler is not None and entry.upscaler not in upscalers:
        raise CatalogError(f"{where}: upscaler: there is no [upscalers.{entry.upscaler}]")
