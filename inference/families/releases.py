"""What a family's makers published once and others trained further: by which tensors one file of it is told, where its
parts lie in that file, and what such models are painted with. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).with_name("configs")
"""Small configurations of whole pipelines, a folder for each release, as diffusers lays them out: all that one file of
weights does not say of itself. `clip` holds the vocabulary that all of CLIP's tokenizers share."""

CLIP_MERGES = CONFIGS / "clip" / "merges.txt"

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each tensor by its name."""

WHOLE = "model.diffusion_model."
"""What stands before the names of a denoiser's tensors in one file of a whole model."""


def no_file(shapes: Shapes) -> bool:
    """Whether these are a denoiser's tensors, where its models come as folders alone: never (`Release.told`)."""
    return False


@dataclass(frozen=True, kw_only=True)
class Release:
    """Models that differ in nothing but the numbers of their weights."""

    title: str
    config: str | None = None
    """Its folder in CONFIGS; None where its configurations come from a model that is a folder (`ModelEntry.base`), as
    those must of which more than CLIP's vocabulary is wanted in any case."""
    told: Callable[[Shapes], bool] = no_file
    """Whether these are its denoiser's tensors, by their names without WHOLE. Asks for structure rather than for
    sizes, so that a smaller one of the same kind is told too; never true of two releases, and of none whose models
    are folders."""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The networks of its pipeline, each with what may stand before the names of its tensors in one file."""
    optional: frozenset[str] = frozenset()
    """Components that its pipeline can do without."""
    defaults: Mapping[str, Any]
    """What an entry of models.toml says of it where nobody knows better: fields of `ModelEntry`, in their order."""
    by_name: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What else it says where this is a part of the file's name, which is all that tells some models from others."""
    remarks: tuple[str, ...] = ()
    """What stands there as comments, for what nothing tells, the file's name included."""

    @property
    def folder(self) -> Path | None:
        """Where its configurations are that come with Easel."""
        return None if self.config is None else CONFIGS / self.config


def bare(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """These tensors, a denoiser's by the names that they have where it has a file to itself."""
    return {name.removeprefix(WHOLE): shape for name, shape in shapes.items()}


def is_unet(shapes: Shapes, conditioned: bool, projections: int) -> bool:
    """Whether a UNet of Stable Diffusion is among these: `conditioned` on more than words and time, its attention
    between `projections` of so many dimensions (convolutions have 4, linear layers 2)."""
    return (
        "input_blocks.0.0.weight" in shapes
        and len(shapes.get("middle_block.1.proj_in.weight", ())) == projections
        and ("label_emb.0.0.weight" in shapes) == conditioned
    )


def reads_words_of(shapes: Shapes, width: int) -> bool:
    """Whether the layers of a LoRA for a UNet fit states of text encoders that are so wide."""
    halves = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".hada_w1_b", ".diff")
    # What reads words: keys and values of the second attention of each block.
    readers = ("attn2_to_k", "attn2_to_v", "attn2.to_k", "attn2.to_v", "attn2.processor.to_k", "attn2.processor.to_v")
    widths = {
        shape[1]
        for name, shape in shapes.items()
        if len(shape) > 1 and name.endswith(halves) and any(reader in name for reader in readers)
    }
    return widths == {width}
