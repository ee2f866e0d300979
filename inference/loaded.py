"""What runs on the device once loaded, a class for each kind. Use it only within the task that got it from `store`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from inference.adapters import Adapters
from inference.annotating import Annotator
from inference.checking import Checker
from inference.classifying import Classifier
from inference.describing import Describer
from inference.device import Device
from inference.entries import (
    AnnotatorEntry,
    CheckerEntry,
    ClassifierEntry,
    ControlEntry,
    DescriberEntry,
    ModelEntry,
    RefinerEntry,
    UpscalerEntry,
)
from inference.prompts import PromptEncoder

if TYPE_CHECKING:
    from inference.upscaling import Upscaler


def networks(pipeline: Any) -> Iterable[torch.nn.Module]:
    """The parts of a pipeline that have weights."""
    return (part for part in pipeline.components.values() if isinstance(part, torch.nn.Module))


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureModel:
    """A loaded pipeline."""

    name: str
    entry: ModelEntry
    pipeline: Any
    dtype: torch.dtype
    scheduler_config: dict[str, Any]
    """As published; `samplers.build` derives every sampler from it."""
    prompts: PromptEncoder
    adapters: Adapters
    revision: str | None
    """The hub's commit that the weights are of; None for a folder of the operator's own."""
    hashes: dict[str, str]
    """Short SHA-256 of each component's weights."""

    @property
    def denoiser(self) -> Any:
        """The UNet or transformer."""
        return self.pipeline.unet if hasattr(self.pipeline, "unet") else self.pipeline.transformer

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return networks(self.pipeline)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureRefiner:
    """A loaded pipeline of SDXL's refiner, which goes on from latents."""

    name: str
    entry: RefinerEntry
    pipeline: Any
    prompts: PromptEncoder
    revision: str | None
    hashes: dict[str, str]

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return networks(self.pipeline)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureUpscaler:
    """A loaded Real-ESRGAN network."""

    name: str
    entry: UpscalerEntry
    network: Upscaler
    dtype: torch.dtype
    hash: str

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return (self.network.network,)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureDecoder:
    """A loaded AutoencoderTiny. For previews alone, so no recipe names it."""

    network: Any

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return (self.network,)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureControl:
    """A loaded ControlNet."""

    name: str
    entry: ControlEntry
    network: Any
    revision: str | None
    hash: str

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return (self.network,)


ReaderEntry = TypeVar("ReaderEntry", bound=DescriberEntry | ClassifierEntry | CheckerEntry | AnnotatorEntry)
Network = TypeVar("Network", bound=Describer | Classifier | Checker | Annotator)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reader(Generic[ReaderEntry, Network]):
    """A loaded model that reads pictures."""

    name: str
    entry: ReaderEntry
    network: Network
    dtype: torch.dtype
    revision: str | None
    hash: str

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return (self.network.model,)


PictureDescriber = Reader[DescriberEntry, Describer]
PictureClassifier = Reader[ClassifierEntry, Classifier]
PictureChecker = Reader[CheckerEntry, Checker]
PictureAnnotator = Reader[AnnotatorEntry, Annotator]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that requests of one pass key are painted with; whatever of it changes a picture stands in its recipe."""

    model: PictureModel
    refiner: PictureRefiner | None = None
    control: PictureControl | None = None
    annotator: PictureAnnotator | None = None
    """What the ControlNet names, unless that is built in."""
    upscaler: PictureUpscaler | None = None
    checker: PictureChecker | None = None
    device: Device
    batch: int
    """The canonical number of pictures in a pass (`tasks.imagine.canonical_batch`)."""
