"""What single fields of an entry of models.toml may hold. Which fields an entry has is the matter of `entries`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from inference.protocol.limits import MAX_LABEL_CHARS, MAX_LABELS, MAX_LORA_WEIGHT

Kind = Literal[
    "model",
    "refiner",
    "upscaler",
    "restorer",
    "describer",
    "classifier",
    "decoder",
    "checker",
    "lora",
    "control",
    "annotator",
    "embedding",
]
"""What an entry is. Its table in models.toml is called the same, in the plural."""

Offload = Literal["none", "model", "group"]
"""What of a model waits in the machine's own memory: nothing, every part but the one at work, every layer but a few."""
Attention = Literal["sdpa", "sliced", "xformers", "flash"]
Precision = Literal["full", "8bit", "fp8", "int4", "nf4"]
"""What the numbers of large matrices are kept as: as they are, as integers or floats of 8 or 4 bits."""

Speed = Literal["full", "draft"]
"""Whether every step is computed, or some are foretold from those before."""
WHOLE_STEPS = 3
"""The first steps of a draft, which are computed in any case, as is the last."""

Prediction = Literal["epsilon", "v_prediction"]
"""What a denoiser predicts: the noise, or the mixture of noise and picture that Salimans and Ho call v (2022)."""

DENOISERS = ("unet", "transformer")
INDEX = "model_index.json"
"""Components of a pipeline that paint, one of which each has; and the file that lists all of them."""

WEIGHTS = "weights"
"""The folder beside models.toml where files lie that were fetched from a url."""


def place_of(url: str | None) -> str | None:
    """Where such a file lies, relative to models.toml."""
    return None if url is None else f"{WEIGHTS}/{url.rpartition('/')[2]}"


BUILT_IN_ANNOTATORS = ("canny", "none")
"""Those that need no weights: edges, and `none` where a member's picture is already what a ControlNet follows."""

NO_CHECKER = "none"
"""In the place of a checker's name: nothing looks at what a model paints."""

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
Gigabytes = Annotated[float, msgspec.Meta(gt=0, le=10_000)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Repo = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
Revision = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
"""A branch, a tag or a commit of the hub."""
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#]+/[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
Labels = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_CHARS)], ...],
    msgspec.Meta(min_length=2, max_length=MAX_LABELS),
]


FileOfRepo = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$")]
"""The path of a file in a repository of the hub."""


class Teaching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`training` of one `[models.NAME]`; None is as its family has it."""

    rank: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    rate: Annotated[float, msgspec.Meta(gt=0, le=0.01)] | None = None
    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    epochs: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    together: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None
    """Pictures of one step."""
