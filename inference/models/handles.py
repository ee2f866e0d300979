"""What runs on the device once loaded, a class for each kind. Use it only within the task that got it from `store`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from PIL import Image
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from inference.catalog.assembly import Assembly
from inference.catalog.entries import (
    AnnotatorEntry,
    CheckerEntry,
    ClassifierEntry,
    ControlEntry,
    DescriberEntry,
    FileEntry,
    ModelEntry,
    RefinerEntry,
    RestorerEntry,
    UpscalerEntry,
)
from inference.device import Device
from inference.families.record import Family
from inference.models.adapters import Adapters
from inference.models.embeddings import Embeddings
from inference.models.policy import Policy
from inference.models.prompts import PromptEncoder
from inference.models.vocabulary import Vocabulary
from inference.networks.annotator import Annotator
from inference.networks.classifier import Classifier
from inference.networks.describer import Describer

if TYPE_CHECKING:
    from inference.networks.restorer import Restorer
    from inference.networks.upscaler import Upscaler


def networks(pipeline: Any) -> dict[str, torch.nn.Module]:
    """The parts of a pipeline that have weights, by their names."""
    return {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureModel:
    """A loaded pipeline."""

    name: str
    entry: ModelEntry
    family: Family
    pipeline: Any
    dtype: torch.dtype
    scheduler_config: dict[str, Any]
    """As published; `samplers.build` derives every sampler from it."""
    prompts: PromptEncoder
    adapters: Adapters
    embeddings: Embeddings
    vocabulary: Vocabulary | None
    """The words that it was taught, if it says so."""
    revision: str | None
    """The hub's commit that the weights are of, or the SHA-256 of the one file that they are; None for a folder of the
    operator's own."""
    hashes: dict[str, str]
    """Short SHA-256 of each component's weights."""
    policy: Policy
    assembly: Assembly
    """What it was put together from."""
    thrifty: bool = False
    """Whether the policy is another than the first one, because the memory ran out under that."""

    @property
    def denoiser(self) -> Any:
        """The UNet or transformer."""
        return getattr(self.pipeline, self.family.denoiser.component)

    @property
    def latent_channels(self) -> int:
        """How many channels its latents have."""
        channels: int = self.pipeline.vae.config[self.family.latents.channels]
        return channels * self.family.latents.patch**2

    @property
    def latent_factor(self) -> int:
        """How many pixels wide and high a latent is."""
        factor: int = self.pipeline.vae_scale_factor
        return factor * self.family.latents.patch

    @property
    def parts(self) -> dict[str, torch.nn.Module]:
        """The networks of the pipeline by their names."""
        return networks(self.pipeline)

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return self.parts.values()


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureRefiner:
    """A loaded pipeline of a refiner, which goes on from latents."""

    name: str
    entry: RefinerEntry
    pipeline: Any
    prompts: PromptEncoder
    revision: str | None
    hashes: dict[str, str]

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return networks(self.pipeline).values()


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureUpscaler:
    """A loaded network that enlarges."""

    name: str
    entry: UpscalerEntry
    files: tuple[FileEntry, ...]
    """What it was loaded from."""
    network: Upscaler
    dtype: torch.dtype
    hash: str

    @property
    def scale(self) -> int:
        """How many times as wide and high it makes a picture."""
        return self.network.scale

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return (self.network.network,)


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureRestorer:
    """A loaded network that makes faces anew."""

    name: str
    entry: RestorerEntry
    network: Restorer
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
    folder: Path
    network: Any
    revision: str | None
    hash: str

    @property
    def modules(self) -> Iterable[torch.nn.Module]:
        """Everything that takes memory."""
        return (self.network,)


class Flagging(Protocol):
    """A network that says of which pictures nothing may be seen, or not at once."""

    model: Any

    def flags(self, picture: Image.Image) -> bool:
        """Whether this picture is one of them; the same picture always or never."""


ReaderEntry = TypeVar("ReaderEntry", bound=DescriberEntry | ClassifierEntry | CheckerEntry | AnnotatorEntry)
Network = TypeVar("Network", bound=Describer | Classifier | Flagging | Annotator)


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
PictureChecker = Reader[CheckerEntry, Flagging]
PictureAnnotator = Reader[AnnotatorEntry, Annotator]


def device_bytes(loaded: Any) -> int:
    """How much of the device's memory the weights of what was loaded take at once."""
    if isinstance(loaded, PictureModel):
        networks = loaded.policy.device_bytes({name: module_bytes(part) for name, part in loaded.parts.items()})
        return networks + loaded.adapters.device_bytes
    return sum(module_bytes(module) for module in loaded.modules)


def module_bytes(module: torch.nn.Module) -> int:
    """The bytes of a network's parameters and buffers, shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return sum(_tensor_bytes(tensor) for tensor in tensors.values())


def _tensor_bytes(tensor: torch.Tensor) -> int:
    if is_traceable_wrapper_subclass(tensor):
        # One with 8-bit weights says of itself that it is the tensor which it stands for.
        names, _ = tensor.__tensor_flatten__()
        return sum(_tensor_bytes(getattr(tensor, name)) for name in names)
    return tensor.numel() * tensor.element_size()


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What follows a picture, and how closely."""

    control: PictureControl
    annotator: PictureAnnotator | None
    """What the ControlNet names, unless that is built in."""
    weight: float
    place: int
    """Which of the request's controls it is, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that requests of one pass key are painted with; whatever of it changes a picture stands in its recipe."""

    model: PictureModel
    refiner: PictureRefiner | None = None
    followed: tuple[Followed, ...] = ()
    upscaler: PictureUpscaler | None = None
    checker: PictureChecker | None = None
    decoder: PictureDecoder | None = None
    """For previews; without one the model's own VAE makes them."""
    device: Device
    batch: int
    """The canonical number of pictures in a pass (`painting.setups.canonical_batch`)."""
    filled: bool = True
    """Whether a pass of fewer is filled up to that. Where it is not, pictures do not depend on their number."""
