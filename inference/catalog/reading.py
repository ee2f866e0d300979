"""The catalogue: models.toml read, checked and turned into what members may ask for.

It knows names and limits only; it never looks whether weights exist (`weights`) and never loads any (`store`). What
an upscaler's file says of itself it asks `architectures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from inference.catalog import (
    add_ons,
    architectures,
    checking,
    keeping,
    label_sets,
    remotes,
    sources,
    styles,
    tables,
    wildcards,
)
from inference.catalog.entries import (
    AddOnEntry,
    AnnotatorEntry,
    CheckerEntry,
    ClassifierEntry,
    ControlEntry,
    DecoderEntry,
    DescriberEntry,
    EmbeddingEntry,
    Entry,
    FolderEntry,
    LoraEntry,
    ModelEntry,
    RefinerEntry,
    RestorerEntry,
    UpscalerEntry,
)
from inference.catalog.fields import BUILT_IN_ANNOTATORS, Kind
from inference.catalog.remotes import RemoteEntry
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.protocol import AddOnInfo, ModelInfo, Refiner, Style, ToolInfo

KINDS: tuple[Kind, ...] = get_args(Kind)
FIELDS = ("default", "checker", *(f"{kind}s" for kind in KINDS), "label_sets", "wildcards")


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """models.toml, checked."""

    folder: Path
    """Where models.toml lies; relative paths start here."""
    default: str
    checker: str | None
    """What looks at every picture that is worked on, and at what models paint that name no other; None for nothing."""
    models: dict[str, ModelEntry]
    remotes: dict[str, RemoteEntry]
    """Models that other servers have; no other table has them."""
    refiners: dict[str, RefinerEntry]
    upscalers: dict[str, UpscalerEntry]
    restorers: dict[str, RestorerEntry]
    describers: dict[str, DescriberEntry]
    classifiers: dict[str, ClassifierEntry]
    decoders: dict[str, DecoderEntry]
    checkers: dict[str, CheckerEntry]
    loras: dict[str, LoraEntry]
    controls: dict[str, ControlEntry]
    annotators: dict[str, AnnotatorEntry]
    embeddings: dict[str, EmbeddingEntry]
    wildcards: Path | None
    """The folder of files whose lines prompts may draw from (`catalog.wildcards`)."""
    label_sets: dict[str, tuple[str, ...]]
    styles: dict[str, tuple[Style, ...]]
    """What styles.toml has for each model."""

    def entries(self, kind: Kind) -> Mapping[str, Entry]:
        """The table of this kind."""
        tables: dict[Kind, Mapping[str, Entry]] = {
            "model": self.models,
            "refiner": self.refiners,
            "upscaler": self.upscalers,
            "restorer": self.restorers,
            "describer": self.describers,
            "classifier": self.classifiers,
            "decoder": self.decoders,
            "checker": self.checkers,
            "lora": self.loras,
            "control": self.controls,
            "annotator": self.annotators,
            "embedding": self.embeddings,
        }
        return tables[kind]

    def info(self, name: str, on_gpu: bool) -> ModelInfo:
        """What members may ask of this model on a GPU, or on a CPU; its training is for who paints with it to say."""
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
            max_hires_pixels=entry.hires_pixels,
            batch=entry.batch if on_gpu else entry.cpu_batch,
            refiner=self._refiner(entry),
            upscale=self.scale(entry.upscaler) if entry.upscaler else 1,
            styles=self.styles[name],
            fills=FAMILIES[entry.family].fills,
            references=0 if (shown := FAMILIES[entry.family].references) is None else shown.most,
            usual_layer=_usual_layer(entry),
            clip_skip=entry.clip_skip,
            remote=None,
            training=None,
        )

    def _refiner(self, entry: ModelEntry) -> Refiner | None:
        return None if entry.refiner is None else Refiner(entry.refiner, self.refiners[entry.refiner].share)

    def tool_info(self, kind: Kind, name: str, on_gpu: bool) -> ToolInfo:
        """What members may ask of this upscaler, restorer, describer or classifier."""
        entry = self.entries(kind)[name]
        upscaler = entry if isinstance(entry, UpscalerEntry) else None
        return ToolInfo(
            name=name,
            title=entry.title,
            scale=1 if upscaler is None else self.scale(name),
            denoise=upscaler is not None and upscaler.grain is not None,
            tasks=entry.tasks if isinstance(entry, DescriberEntry) else (),
            languages=tuple(entry.questions) if isinstance(entry, DescriberEntry) else (),
            batch=self.places(kind, name, on_gpu),
        )

    def places(self, kind: Kind, name: str, on_gpu: bool) -> int:
        """How many pictures are in every pass of this tool: on a CPU one, or who comes alone would wait for copies."""
        entry = self.entries(kind)[name]
        return entry.batch if on_gpu and isinstance(entry, DescriberEntry | ClassifierEntry) else 1

    def scale(self, upscaler: str) -> int:
        """How many times as wide and high this upscaler, whose weights are on this machine, makes a picture."""
        entry = self.upscalers[upscaler]
        return entry.scale or architectures.nature(self.folder / entry.place, "upscaler").scale

    def add_on_info(self, name: str, entry: AddOnEntry, beside: tuple[str, ...] = ()) -> AddOnInfo:
        """What members may ask of this LoRA, ControlNet or embedding, a ControlNet `beside` these
        (`catalog.together`)."""
        lora = entry if isinstance(entry, LoraEntry) else None
        return AddOnInfo(
            name=name,
            title=entry.title,
            models=entry.models,
            weight=1.0 if isinstance(entry, EmbeddingEntry) else entry.weight,
            trigger="" if lora is None else lora.trigger,
            sampler=None if lora is None else lora.sampler,
            steps=None if lora is None else lora.steps,
            guidance=None if lora is None else lora.guidance,
            beside=beside,
            own=None,
        )


def load(path: Path) -> Catalog:
    """Read and check models.toml and the styles.toml beside it.

    Raises CatalogError with one line that names the file, the entry and the field.
    """
    try:
        document = tables.read(path, FIELDS)
    except FileNotFoundError as error:
        raise CatalogError(f"{path} is not there: run from the checkout, or set EASEL_MODELS to its place") from error
    document, elsewhere = remotes.parted(path, document)
    refiners = _folders(path, document, "refiners", RefinerEntry)
    upscalers = _files(path, document, "upscalers", UpscalerEntry)
    for name, upscaler in upscalers.items():
        architectures.check(f"{path}: upscalers.{name}", upscaler, document["upscalers"][name])
    decoders = _folders(path, document, "decoders", DecoderEntry)
    checkers = _folders(path, document, "checkers", CheckerEntry)
    models = tables.rows(path, document, "models", ModelEntry)
    if not models:
        raise CatalogError(f"{path}: it names no model: add a [models.NAME] table, see docs/models.md")
    checker = checking.usual(path, document, checkers)
    models, elsewhere = checking.resolved(models, checker), checking.of_remotes(path, elsewhere, checker, checkers)
    partners: dict[Kind, Mapping[str, Entry]] = {
        "model": models,
        "refiner": refiners,
        "upscaler": upscalers,
        "decoder": decoders,
        "checker": checkers,
    }
    for name, model in models.items():
        sources.check(f"{path}: models.{name}", model, models)
        _check_model(f"{path}: models.{name}", model, partners)
    loras = _files(path, document, "loras", LoraEntry)
    controls = _folders(path, document, "controls", ControlEntry)
    annotators = _folders(path, document, "annotators", AnnotatorEntry)
    for name, annotator in annotators.items():
        add_ons.check_annotator(f"{path}: annotators.{name}", name, annotator)
    for name, control in controls.items():
        if control.annotator not in (*BUILT_IN_ANNOTATORS, *annotators):
            where = f"{path}: controls.{name}"
            raise CatalogError(f"{where}: annotator: must be canny, none or the name of an [annotators.NAME]")
    embeddings = _files(path, document, "embeddings", EmbeddingEntry)
    for table, known in (("loras", loras), ("controls", controls), ("embeddings", embeddings)):
        for name, add_on in known.items():
            add_ons.check(f"{path}: {table}.{name}", add_on, models)
    describers = _folders(path, document, "describers", DescriberEntry)
    for name, describer in describers.items():
        if not describer.tasks:
            raise CatalogError(f"{path}: describers.{name}: tasks: name at least one, or leave them out for all")
    default = document.get("default")
    if default in elsewhere:
        raise CatalogError(f"{path}: default: {default} is a model of another server, name one of this machine")
    if default not in models:
        raise CatalogError(f"{path}: default: must name one of {', '.join(models)}, not {default!r}")
    if FAMILIES[models[default].family].fills:
        raise CatalogError(f"{path}: default: {default} only fills masked parts of pictures, name another model")
    return Catalog(
        folder=path.absolute().parent,
        default=default,
        checker=checker,
        models=models,
        remotes=elsewhere,
        refiners=refiners,
        upscalers=upscalers,
        restorers=_files(path, document, "restorers", RestorerEntry),
        describers=describers,
        classifiers=_folders(path, document, "classifiers", ClassifierEntry),
        decoders=decoders,
        checkers=checkers,
        loras=loras,
        controls=controls,
        annotators=annotators,
        embeddings=embeddings,
        wildcards=wildcards.place(path, document),
        label_sets=label_sets.load(path, document),
        styles=styles.load(path.absolute().parent / styles.FILE, models, loras),
    )


FileKind = TypeVar("FileKind", bound=UpscalerEntry | RestorerEntry | LoraEntry | EmbeddingEntry)
FolderKind = TypeVar("FolderKind", bound=FolderEntry)


def _folders(path: Path, document: dict[str, Any], table: str, kind: type[FolderKind]) -> dict[str, FolderKind]:
    entries = tables.rows(path, document, table, kind)
    for name, entry in entries.items():
        if (entry.path is None) == (entry.repo is None):
            where = f"{path}: {table}.{name}"
            raise CatalogError(f"{where}: path: give either a folder as path or a hub repository as repo")
    return entries


def _files(path: Path, document: dict[str, Any], table: str, kind: type[FileKind]) -> dict[str, FileKind]:
    entries = tables.rows(path, document, table, kind)
    for name, entry in entries.items():
        for file, what in zip(entry.files, ("", "grain: "), strict=False):
            if file.path is None and file.url is None:
                where = f"{path}: {table}.{name}"
                raise CatalogError(f"{where}: {what}path: give a file as path, or a url to fetch it from, or both")
    return entries


def _usual_layer(entry: ModelEntry) -> int | None:
    weighing = FAMILIES[entry.family].words.weighing
    return None if weighing is None else weighing.layer


def _check_model(where: str, entry: ModelEntry, partners: Mapping[Kind, Mapping[str, Entry]]) -> None:
    if entry.family not in FAMILIES:
        raise CatalogError(f"{where}: family: must be one of {', '.join(FAMILIES)}, not {entry.family!r}")
    family = FAMILIES[entry.family]
    if entry.size_multiple % family.size_multiple:
        least = family.size_multiple
        raise CatalogError(f"{where}: size_multiple: the {entry.family} family needs {least} or a multiple of it")
    if entry.negative and not family.words.negative:
        raise CatalogError(f"{where}: negative: must be false, the {entry.family} family takes no negative prompts")
    tables.require_size(where, entry)
    if entry.steps > entry.max_steps:
        raise CatalogError(f"{where}: steps: {entry.steps} is over max_steps ({entry.max_steps})")
    if entry.guidance > entry.max_guidance:
        raise CatalogError(f"{where}: guidance: {entry.guidance} is over max_guidance ({entry.max_guidance})")
    for name in entry.samplers or ():
        if name not in family.samplers:
            raise CatalogError(f"{where}: samplers: the {entry.family} family does not admit {name!r}")
    if entry.sampler not in entry.admitted_samplers():
        raise CatalogError(f"{where}: sampler: {entry.sampler!r} is not one of {', '.join(entry.admitted_samplers())}")
    if entry.refiner is not None and family.refiner is None:
        raise CatalogError(f"{where}: refiner: the {entry.family} family has none")
    usual = _usual_layer(entry)
    if entry.clip_skip is not None and (usual is None or entry.clip_skip < usual):
        can = "has no layers to skip" if usual is None else f"takes {usual} or more"
        raise CatalogError(f"{where}: clip_skip: the {entry.family} family {can}")
    keeping.check(where, entry)
    for kind, partner in entry.partners.items():
        if partner not in partners[kind]:
            raise CatalogError(f"{where}: {'base' if kind == 'model' else kind}: there is no [{kind}s.{partner}]")
