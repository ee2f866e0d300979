"""What a file of weights is, told by the names and shapes of its tensors: nothing of it is loaded, its header is read.

What a family's own files look like is in its record; here is what else people keep in such files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.catalog import headers
from inference.catalog.fields import Prediction
from inference.catalog.headers import Header
from inference.errors import WeightsError
from inference.families import FAMILIES
from inference.families.record import Family
from inference.families.releases import Release, Shapes, bare

Test = Callable[[Shapes], bool]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One file with a picture model's denoiser, and often with its other parts."""

    family: Family
    release: Release
    header: Header
    parts: Mapping[str, str]
    """Of the networks that are in it, what stands before the names of their tensors."""
    prediction: Prediction | None
    """What it was trained to predict; None where it does not say."""
    zero_snr: bool

    @property
    def denoiser(self) -> str:
        """What stands before the names of its denoiser's tensors."""
        return self.parts[self.family.denoiser.component]

    @property
    def channels(self) -> int | None:
        """How many channels its denoiser reads, where that is a UNet."""
        shape = self.header.shapes.get(f"{self.denoiser}input_blocks.0.0.weight")
        return None if shape is None else shape[1]

    @property
    def weight_types(self) -> tuple[str, ...]:
        """What its denoiser's weights are kept in, as safetensors or ggml calls it, the most frequent first."""
        names = self.header.shapes
        own = [name for name in names if name.startswith(self.denoiser) and name.endswith(".weight")]
        counted = Counter(self.header.types[name] for name in own)
        return tuple(kind for kind, _ in counted.most_common())


def _within(*pieces: str) -> Test:
    return lambda shapes: any(piece in name for name in shapes for piece in pieces)


def _beginning(*starts: str) -> Test:
    return lambda shapes: any(name.startswith(starts) for name in shapes)


def is_embedding(shapes: Shapes) -> bool:
    """Whether these are the few vectors of a textual inversion."""
    return 0 < len(shapes) <= 4 and all(
        1 <= len(shape) <= 2 and (name in ("emb_params", "clip_l", "clip_g", "t5xxl", "*") or name.startswith("<"))
        for name, shape in shapes.items()
    )


BEFORE: Mapping[str, tuple[str, Test]] = {
    "lora": (
        "a LoRA",
        _within(".lora_down", ".lora_up", ".lora_A.", ".lora_B.", ".lora.down", ".hada_w", ".lokr_w", ".oft_"),
    ),
    "control": (
        "a ControlNet",
        _beginning("control_model.", "controlnet_", "input_hint_block.", "control_layers.", "zero_convs."),
    ),
    "adapter": ("an IP-Adapter", _beginning("ip_adapter.", "image_proj.")),
    "embedding": ("a textual inversion embedding", is_embedding),
    "edm": ("a model of Playground's kind, whose noise no family here knows", _within("edm_mean")),
}
"""By what they are: in words, and how they are told. These may also hold what a model holds."""

AFTER: Mapping[str, tuple[str, Test]] = {
    "upscaler": (
        "an upscaler",
        lambda shapes: (
            any(name in shapes for name in ("conv_first.weight", "body.0.weight", "model.0.weight"))
            or _beginning("params.", "params_ema.")(shapes)
        ),
    ),
    "part": (
        "a denoiser in the layout of diffusers: it belongs into a folder, with its config.json",
        _beginning("down_blocks.", "transformer_blocks.", "single_transformer_blocks.", "all_x_embedder."),
    ),
    # Before the parts that it may hold.
    "other": ("a model of a family that is not here", _within("diffusion_model.", "double_blocks.", "joint_blocks.")),
    "vae": ("a VAE", lambda shapes: latent_channels(shapes) is not None),
    "decoder": ("a tiny VAE for previews", _beginning("decoder.layers.", "encoder.layers.", "taesd_")),
    "text": (
        "a text encoder",
        _within("text_model.encoder.layers.", "encoder.block.0.layer.0.", "model.layers.0.self_attn."),
    ),
}
"""The same of what a model's own parts are when they are alone."""


def checkpoint(file: Path) -> Checkpoint:
    """What a file of a picture model is. Raises WeightsError, in one line, with what it is where it is none."""
    header = headers.of_model(file)
    found = None if any(test(header.shapes) for _, test in BEFORE.values()) else _release(header.shapes)
    if found is None:
        raise WeightsError(f"{file} is {in_words(file)}, and no picture model of one file")
    family, release = found
    parts = {
        part: start
        for part, starts in release.parts.items()
        for start in starts
        if (start or part == family.denoiser.component) and _holds(header.shapes, start, release)
    }
    return Checkpoint(
        family=family,
        release=release,
        header=header,
        parts=parts,
        prediction=_prediction(header),
        zero_snr="ztsnr" in header.shapes or header.metadata.get("ss_zero_terminal_snr") == "True",
    )


def _holds(shapes: Shapes, start: str, release: Release) -> bool:
    if start:
        return any(name.startswith(start) for name in shapes)
    # What has no beginning is a denoiser that is alone.
    return release.told(shapes)


def kind(file: Path) -> str:
    """What a safetensors or GGUF file is, in a word: a key of BEFORE or AFTER, or `model`, or `unknown`.

    Raises WeightsError where it is none.
    """
    shapes = headers.of_model(file).shapes
    for called, (_, test) in BEFORE.items():
        if test(shapes):
            return called
    if _release(shapes) is not None:
        return "model"
    return next((called for called, (_, test) in AFTER.items() if test(shapes)), "unknown")


def in_words(file: Path) -> str:
    """The same for the operator."""
    called = kind(file)
    if called == "model":
        return f"a {checkpoint(file).release.title} model"
    if called == "vae":
        return f"a VAE with {latent_channels(headers.of_model(file).shapes)} latent channels"
    words, _ = {**BEFORE, **AFTER}.get(called, ("nothing that is known here", None))
    return words


def latent_channels(shapes: Shapes) -> int | None:
    """How many channels the latents of a VAE have whose tensors these are; None where they are of none."""
    for start in ("", "first_stage_model.", "vae."):
        shape = shapes.get(f"{start}decoder.conv_in.weight", ())
        if len(shape) == 4:
            return shape[1]
    return None


def _release(shapes: Shapes) -> tuple[Family, Release] | None:
    alone = bare(shapes)
    for family in FAMILIES.values():
        for release in family.releases:
            if release.told(alone):
                return family, release
    return None


def _prediction(header: Header) -> Prediction | None:
    """What the file says itself: by an empty tensor, as ComfyUI reads it, or by what trainers write beside it."""
    # https://github.com/Stability-AI/ModelSpec
    said = header.metadata.get("modelspec.prediction_type", "")
    architecture = header.metadata.get("modelspec.architecture", "")
    if "v_pred" in header.shapes or said == "v" or "768-v" in architecture:
        return "v_prediction"
    if header.metadata.get("ss_v_parameterization") == "True":
        return "v_prediction"
    if said == "epsilon" or architecture.startswith("stable-diffusion-v2-512"):
        return "epsilon"
    return None
