"""What one entry of models.toml may say: a struct for each table, with the words and limits that belong to it.

`reading` reads the file into these and checks what fields say together; nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import msgspec

from inference.families import FAMILIES
from inference.protocol import DescribeTask
from inference.protocol.limits import MAX_CONTROL_WEIGHT, MAX_LABEL_CHARS, MAX_LABELS, MAX_LORA_WEIGHT

Kind = Literal[
    "model", "refiner", "upscaler", "describer", "classifier", "decoder", "checker", "lora", "control", "annotator"
]
"""What an entry is. Its table in models.toml is called the same, in the plural."""

Offload = Literal["none", "model", "group"]
"""What of a model waits in the machine's own memory: nothing, every part but the one at work, every layer but a few."""
Attention = Literal["sdpa", "sliced", "xformers", "flash"]
Precision = Literal["full", "8bit"]

WEIGHTS = "weights"
"""The folder beside models.toml where files lie that were fetched from a url."""

BUILT_IN_ANNOTATORS = ("canny", "none")
"""Those that need no weights: edges, and `none` where a member's picture is already what a ControlNet follows."""

AnnotatorKind = Literal["depth", "lineart", "softedge", "normal", "mlsd", "openpose"]
"""What an annotator finds in a picture, in the words of Stable Diffusion tools."""

DETECTOR_FILES: Mapping[AnnotatorKind, tuple[str, ...]] = {
    "lineart": ("sk_model.pth", "sk_model2.pth"),
    "softedge": ("ControlNetHED.pth",),
    "normal": ("scannet.pt",),
    "mlsd": ("mlsd_large_512_fp32.pth",),
    "openpose": ("body_pose_model.pth",),
}
"""The kinds that are found by detectors of controlnet-aux, with the names that it knows their weights by."""

Dtype = Literal["auto", "float32", "float16", "bfloat16"]
"""What a network's weights are kept in on a GPU."""

Weight = Annotated[float, msgspec.Meta(ge=-MAX_LORA_WEIGHT, le=MAX_LORA_WEIGHT)]
Pixels = Annotated[int, msgspec.Meta(ge=8, le=8192)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Guidance = Annotated[float, msgspec.Meta(ge=0, le=50)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Repo = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
Revision = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
"""A branch, a tag or a commit of the hub."""
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#]+/[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Labels = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_CHARS)], ...],
    msgspec.Meta(min_length=2, max_length=MAX_LABELS),
]


class FolderEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every entry says whose weights are a folder: of this machine or of the hub."""

    title: str
    path: str | None = None
    """Relative to models.toml. Either this or `repo`."""
    repo: Repo | None = None
    revision: Revision | None = None
    dtype: Dtype = "auto"

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
    """One `[models.NAME]`: a diffusers folder. Sizes in pixels; docs/models.md explains each field to the operator."""

    family: str
    """One of `families.FAMILIES`, which `reading` sees to."""
    width: Pixels
    height: Pixels
    size_multiple: Count = 8
    min_size: Pixels
    max_size: Pixels
    max_pixels: Count
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
    styles: tuple[str, ...] | None = None
    """Those of styles.toml that it knows; None for all."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many pictures one forward pass paints on a GPU, always: part of what makes a picture repeatable."""
    cpu_batch: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """How many share one on a CPU, at most, where that changes no bit and takes less time: for small models alone."""
    refiner: str | None = None
    upscaler: str | None = None
    checker: str | None = None
    decoder: str | None = None
    """For previews alone: without its weights the model's own VAE paints them."""
    # How it is kept in a card's memory and computed there; what is None is chosen (`policy.choose`).
    offload: Offload | None = None
    vae_tiling: bool | None = None
    attention: Attention = "sdpa"
    weights: Precision = "full"
    compile: bool = False
    channels_last: bool = False

    @property
    def partners(self) -> dict[Kind, str]:
        """The entries of other kinds that it names."""
        named: dict[Kind, str | None] = {
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

    @property
    def place(self) -> str:
        """Where the file lies, relative to models.toml."""
        return self.path or f"{WEIGHTS}/{str(self.url).rpartition('/')[2]}"

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """All that it is made of, its own weights first."""
        return (self,)


class UpscalerEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[upscalers.NAME]`: a Real-ESRGAN network."""

    title: str
    arch: Literal["srvgg", "rrdb"]
    scale: Annotated[int, msgspec.Meta(ge=1, le=8)]
    dtype: Dtype = "auto"
    num_feat: Count = 64
    num_conv: Count = 16
    """Convolutions of an SRVGGNetCompact."""
    num_block: Count = 23
    num_grow_ch: Count = 32
    """Blocks, and channels that each grows by, of an RRDBNet."""
    grain: FileEntry | None = None
    """The same network, trained to keep a picture's grain: `Upscale.denoise` mixes the two."""

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Its own weights, and those that keep the grain."""
        return (self,) if self.grain is None else (self, self.grain)


class DescriberEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[describers.NAME]`: a Florence-2 folder in transformers' own layout."""

    tasks: tuple[DescribeTask, ...] = get_args(DescribeTask)
    """What it can be asked."""


class ClassifierEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[classifiers.NAME]`: a CLIP folder in transformers' layout."""


class DecoderEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[decoders.NAME]`: a diffusers `AutoencoderTiny` folder."""


class CheckerEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[checkers.NAME]`: Stable Diffusion's safety checker with its feature extractor, in one folder or in two."""


class LoraEntry(FileEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[loras.NAME]`: a LoRA's .safetensors file, in any of the layouts that diffusers reads."""

    title: str
    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Those that it was trained for or goes with: a family's name would promise too much."""
    weight: Weight = 1.0
    trigger: str = ""
    """Words that it was trained to answer to; members see them where they choose it."""


class ControlEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[controls.NAME]`: a ControlNet's diffusers folder."""

    models: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    annotator: str
    """Turns a member's picture into what it was trained to follow: built in, or an `[annotators.NAME]`."""
    weight: Annotated[float, msgspec.Meta(ge=0, le=MAX_CONTROL_WEIGHT)] = 1.0

    @property
    def partners(self) -> dict[Kind, str]:
        """The annotator, without which it cannot be used, where that is an entry of its own."""
        return {} if self.annotator in BUILT_IN_ANNOTATORS else {"annotator": self.annotator}


class AnnotatorEntry(FolderEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[annotators.NAME]`: a Depth Anything folder in transformers' layout, or one with DETECTOR_FILES."""

    kind: AnnotatorKind


AddOnEntry = LoraEntry | ControlEntry
ReaderEntry = DescriberEntry | ClassifierEntry | CheckerEntry
ToolEntry = RefinerEntry | UpscalerEntry | ReaderEntry | DecoderEntry | AnnotatorEntry
Entry = ModelEntry | ToolEntry | AddOnEntry
