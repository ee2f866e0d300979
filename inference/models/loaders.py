"""From an entry of the catalogue and its weights on disk to what runs on the device. `store` decides when.

Each function returns a `Plan`: how much the weights will take, for whoever must make room, and what loads them. Whole
pipelines are the matter of `pipelines`. What not every engine needs is imported when the first of its kind is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from diffusers import AutoencoderTiny

from inference.catalog import hashes, layouts, weights
from inference.catalog.entries import FolderEntry
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.families.record import load_class
from inference.models import neighbours
from inference.models.handles import (
    Network,
    PictureAnnotator,
    PictureChecker,
    PictureClassifier,
    PictureControl,
    PictureDecoder,
    PictureDescriber,
    PictureRestorer,
    PictureUpscaler,
    Reader,
    ReaderEntry,
)
from inference.models.opening import opening, require_all, require_tensors
from inference.networks.annotator import depth, detector
from inference.networks.checker import Checker
from inference.networks.classifier import Classifier
from inference.networks.describer import Describer


class _Measurable(Protocol):
    @property
    def modules(self) -> Iterable[torch.nn.Module]: ...


Loaded = TypeVar("Loaded", bound=_Measurable)


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[Loaded]):
    """How something will be loaded."""

    expected_bytes: int
    """Of the device's memory."""
    host_bytes: int = 0
    """Of the machine's own, where parts wait there for their work."""
    load: Callable[[], Loaded]
    """Raises WeightsError where the weights are not what the catalogue says."""


def upscaler(catalog: Catalog, name: str, path: Path, device: Device) -> Plan[PictureUpscaler]:
    """An upscaler from its file, or its two."""
    entry = catalog.upscalers[name]
    dtype = device.dtype(entry.dtype)
    described = weights.in_use(catalog, entry)
    files = [catalog.folder / file.place for file in described]

    def load() -> PictureUpscaler:
        # Imported with the first upscaler: basicsr takes seconds that a start must not wait for.
        from inference.networks.upscaler import Upscaler

        for file, one in zip(files, described, strict=True):
            hashes.check(file, one, name)
        network = Upscaler(entry, files, device.where, dtype)
        return PictureUpscaler(
            name=name,
            entry=entry,
            files=described,
            network=network,
            dtype=network.dtype,
            hash=hashes.fingerprint(files),
        )

    return Plan(expected_bytes=path.stat().st_size, load=load)


def restorer(catalog: Catalog, name: str, path: Path, device: Device) -> Plan[PictureRestorer]:
    """A restorer of faces from its file."""
    entry = catalog.restorers[name]

    def load() -> PictureRestorer:
        # As late as upscalers, which are at work beside it.
        from inference.networks.restorer import Restorer

        hashes.check(path, entry, name)
        network = Restorer(entry, path, device.where, device.dtype(entry.dtype))
        return PictureRestorer(
            name=name, entry=entry, network=network, dtype=network.dtype, hash=hashes.fingerprint([path])
        )

    return Plan(expected_bytes=path.stat().st_size, load=load)


def describer(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureDescriber]:
    """A Florence-2 model from its transformers folder."""
    from transformers import Florence2ForConditionalGeneration

    entry = catalog.describers[name]
    load = partial(_transformer, folder, Florence2ForConditionalGeneration)
    network = partial(Describer, batch=catalog.places("describer", name, device.is_cuda))
    return _reader(name, entry, folder, device, layouts.transformer_files(folder), load, network)


def classifier(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureClassifier]:
    """A CLIP model from its transformers folder."""
    from transformers import CLIPModel

    entry = catalog.classifiers[name]
    load = partial(_transformer, folder, CLIPModel)
    network = partial(Classifier, batch=catalog.places("classifier", name, device.is_cuda))
    return _reader(name, entry, folder, device, layouts.transformer_files(folder), load, network)


def checker(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureChecker]:
    """A safety checker from its folder, or its two."""
    entry = catalog.checkers[name]
    if entry.kind == "nsfwjs":
        from inference.networks import nsfw

        file = layouts.nsfwjs_file(folder)
        return _reader(name, entry, folder, device, [file], partial(_nsfwjs, file), nsfw.NsfwChecker)
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPImageProcessor

    own, extractor = layouts.checker_folders(folder)
    load = partial(
        _transformer,
        own,
        StableDiffusionSafetyChecker,
        what="safety checker",
        of=extractor,
        processor=CLIPImageProcessor,
    )
    return _reader(name, entry, folder, device, layouts.checker_files(folder), load, Checker)


def decoder(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureDecoder]:
    """An AutoencoderTiny from its diffusers folder."""
    dtype = device.dtype(catalog.decoders[name].dtype)

    def load() -> PictureDecoder:
        return PictureDecoder(network=_network(folder, AutoencoderTiny, dtype, "tiny decoder").to(device.where).eval())

    return Plan(expected_bytes=layouts.parameter_count(layouts.diffusers_files(folder)) * dtype.itemsize, load=load)


def control(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureControl]:
    """A ControlNet from its diffusers folder; whether it knows what an entry says of it sees `control_of`."""
    entry = catalog.controls[name]
    family = FAMILIES[catalog.models[entry.models[0]].family]
    dtype = device.dtype(entry.dtype, family.dtype)
    files = layouts.diffusers_files(folder)

    def load() -> PictureControl:
        network = _network(folder, load_class(entry.known_by(family).network), dtype, "ControlNet")
        network.to(device.where).eval()
        neighbours.attending_alone(network)
        revision = revision_of(entry, folder)
        return PictureControl(
            name=name, entry=entry, network=network, revision=revision, hash=hashes.fingerprint(files), folder=folder
        )

    return Plan(expected_bytes=layouts.parameter_count(files) * dtype.itemsize, load=load)


def control_of(catalog: Catalog, name: str, loaded: PictureControl) -> PictureControl:
    """A loaded ControlNet as this entry of its network uses it. Raises WeightsError where it cannot be used so."""
    entry = catalog.controls[name]
    known = entry.known_by(FAMILIES[catalog.models[entry.models[0]].family])
    config = loaded.network.config
    with opening(loaded.folder, "ControlNet"):
        if known.reads_besides is not None and config.get(known.reads_besides):
            raise ValueError("it is for inpainting: it reads a mask besides")
        _check_mode(entry.mode, None if known.kinds is None else config.get(known.kinds))
    return replace(loaded, name=name, entry=entry)


def _check_mode(mode: int | None, kinds: int | None) -> None:
    """Raise ValueError where a ControlNet that follows so many kinds of pictures, None for one, has none of this
    number."""
    if mode is not None and kinds is None:
        raise ValueError("it follows one kind of pictures: leave its mode out")
    if mode is not None and kinds is not None and mode >= kinds:
        raise ValueError(f"it follows {kinds} kinds of pictures: its mode is 0 to {kinds - 1}")


def annotator(catalog: Catalog, name: str, folder: Path, device: Device) -> Plan[PictureAnnotator]:
    """A Depth Anything model from its transformers folder, or a detector from its own files."""
    entry = catalog.annotators[name]
    files = layouts.annotator_files(folder, entry.kind)

    def load() -> PictureAnnotator:
        with opening(folder, f"detector of {entry.kind}"):
            if entry.kind == "depth":
                from transformers import AutoImageProcessor, DepthAnythingForDepthEstimation

                kind, processor = DepthAnythingForDepthEstimation, AutoImageProcessor
                network = depth(*_transformer(folder, kind, torch.float32, processor=processor))
            else:
                for file in files:
                    require_tensors(file)
                network = detector(folder, entry.kind)
        network.model.to(device.where).eval()
        return PictureAnnotator(
            name=name,
            entry=entry,
            network=network,
            dtype=torch.float32,
            revision=revision_of(entry, folder),
            hash=hashes.fingerprint(files),
        )

    return Plan(expected_bytes=sum(file.stat().st_size for file in files), load=load)


def _reader(
    name: str,
    entry: ReaderEntry,
    folder: Path,
    device: Device,
    files: list[Path],
    transformer: Callable[[torch.dtype], tuple[Any, Any]],
    network: Callable[[Any, Any], Network],
) -> Plan[Reader[ReaderEntry, Network]]:
    dtype = device.dtype(entry.dtype)

    def load() -> Reader[ReaderEntry, Network]:
        loaded, processor = transformer(dtype)
        return Reader(
            name=name,
            entry=entry,
            network=network(loaded.to(device.where).eval(), processor),
            dtype=dtype,
            revision=revision_of(entry, folder),
            hash=hashes.fingerprint(files),
        )

    return Plan(expected_bytes=layouts.parameter_count(files) * dtype.itemsize, load=load)


def revision_of(entry: FolderEntry, folder: Path) -> str | None:
    """The hub's commit that the weights in this folder are of; None for a folder of the operator's own."""
    # The hub's cache names a snapshot by its commit.
    return None if entry.repo is None else folder.name


def _transformer(
    folder: Path,
    kind: Any,
    dtype: torch.dtype,
    *,
    what: str | None = None,
    of: Path | None = None,
    processor: Any = None,
) -> tuple[Any, Any]:
    """A model and its processor, which may lie in another folder.

    Unlike transformers, which fills gaps with chance, this wants every weight there.
    """
    from transformers import AutoConfig, AutoProcessor

    with opening(folder, what or f"{kind.config_class.model_type} model"):
        found = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
        if found != kind.config_class.model_type:
            raise ValueError(f"its config.json is of a {found} model")
        loaded, report = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        require_all(report)
        return loaded, (processor or AutoProcessor).from_pretrained(of or folder, local_files_only=True)


def _nsfwjs(file: Path, dtype: torch.dtype) -> tuple[Any, None]:
    from inference.networks import nsfw

    with opening(file.parent, "checker of nsfwjs"):
        return nsfw.load(file).to(dtype), None


def _network(folder: Path, kind: Any, dtype: torch.dtype, what: str) -> Any:
    """A single network of diffusers, with every weight there as well."""
    with opening(folder, what):
        found = kind.load_config(folder, local_files_only=True).get("_class_name", kind.__name__)
        if found != kind.__name__:
            raise ValueError(f"its config.json is of a {found}")
        loaded, report = kind.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        require_all(report)
        return loaded
