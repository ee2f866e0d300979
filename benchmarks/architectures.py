"""Whole models at their published sizes with random weights: what speed is measured on where no weights are.

Configurations that come with Easel are used as they are. Others are written down here, as far as they differ from the
defaults of diffusers, which are those of the published models. Vocabularies that do not come with Easel are letters:
what is padded is as long as ever, and what is not has a token for each letter of a short prompt. Nothing here measures.
"""

from __future__ import annotations

import inspect
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import pre_tokenizers

from inference.catalog import layouts
from inference.families.record import Family, load_class
from inference.families.releases import CONFIGS
from inference.models.checkpoints import clip_tokenizer
from inference.silence import silenced

Network = tuple[str, Mapping[str, Any]]
"""A class, as `load_class` takes it, and what its configuration says beside the defaults."""

QWEN3: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
}
"""Qwen3 4B."""

QWEN2_VL: dict[str, Any] = {
    "text_config": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1000000.0},
    },
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}
"""Qwen2.5-VL 7B."""

QWEN_IMAGE: dict[str, Network] = {
    "transformer": ("QwenImageTransformer2DModel", {}),
    "vae": ("AutoencoderKLQwenImage", {}),
    "text_encoder": ("transformers:Qwen2_5_VLForConditionalGeneration", QWEN2_VL),
}

GEMMA2: dict[str, Any] = {
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "vocab_size": 256000,
}
"""Gemma 2 2B."""

DC_AE: dict[str, Any] = {
    **{f"{half}_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3 for half in ("encoder", "decoder")},
    "downsample_block_type": "conv",
    "upsample_block_type": "interpolate",
    "scaling_factor": 0.41407,
}

SHIFTING: dict[str, Any] = {"use_dynamic_shifting": True, "base_shift": 0.5, "base_image_seq_len": 256}

CPU = torch.device("cpu")

MARKS = ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
TALK = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What the form of a conversation of Qwen's models comes to for one question."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model of the catalogue, as what it is built of."""

    base: str | None = None
    """Whose configurations of `families/configs` it has; None where it shares none."""
    of_base: Mapping[str, str] = field(default_factory=dict)
    """What it calls components that the base calls otherwise."""
    networks: Mapping[str, Network] = field(default_factory=dict)
    """Instead of the base's or beside them."""
    scheduler: Mapping[str, Any] | None = None
    """What its scheduler is told; None for the base's scheduler."""
    scheduled_by: str = "FlowMatchEulerDiscreteScheduler"
    """The class of that."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What its pipeline is told beside its components."""
    steps: int | None = None
    """How many are measured; None for the entry's own. All steps of a model take the same time."""


FLUX_FILL: dict[str, Any] = {"in_channels": 384, "out_channels": 64, "guidance_embeds": True}
KLEIN: dict[str, Any] = {
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 3 * 2560,
    "guidance_embeds": False,
}

ARCHITECTURES: dict[str, Architecture] = {
    "sdxl": Architecture(base="sdxl"),
    "sd15": Architecture(base="sd1"),
    "sdxl-turbo": Architecture(base="sdxl", steps=4),
    "flux2-klein": Architecture(
        networks={
            "transformer": ("Flux2Transformer2DModel", KLEIN),
            "vae": ("AutoencoderKLFlux2", {}),
            "text_encoder": ("transformers:Qwen3ForCausalLM", QWEN3),
        },
        scheduler={**SHIFTING, "shift": 3.0, "max_shift": 1.15, "max_image_seq_len": 4096},
        settings={"is_distilled": True},
    ),
    "sd35-large-turbo": Architecture(base="sd35-large"),
    "sd21": Architecture(base="sd2"),
    "z-image-turbo": Architecture(
        base="flux-dev",
        networks={
            "transformer": ("ZImageTransformer2DModel", {}),
            "text_encoder": ("transformers:Qwen3Model", QWEN3),
        },
        scheduler={"shift": 3.0},
    ),
    "sana": Architecture(
        networks={
            "transformer": ("SanaTransformer2DModel", {}),
            "vae": ("AutoencoderDC", DC_AE),
            "text_encoder": ("transformers:Gemma2Model", GEMMA2),
        },
        scheduler={"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0},
        scheduled_by="DPMSolverMultistepScheduler",
    ),
    "flux-schnell": Architecture(base="flux-schnell"),
    "chroma-hd": Architecture(
        base="flux-dev",
        of_base={"text_encoder": "text_encoder_2", "tokenizer": "tokenizer_2"},
        networks={"transformer": ("ChromaTransformer2DModel", {})},
        scheduler={"shift": 3.0},
        steps=4,
    ),
    "flux-kontext": Architecture(base="flux-dev", steps=4),
    "flux-fill": Architecture(
        base="flux-dev", networks={"transformer": ("FluxTransformer2DModel", FLUX_FILL)}, steps=4
    ),
    "qwen-image": Architecture(
        networks=QWEN_IMAGE,
        scheduler={**SHIFTING, "max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02},
        steps=4,
    ),
    "qwen-image-edit": Architecture(
        networks=QWEN_IMAGE,
        scheduler={**SHIFTING, "max_shift": 0.9, "max_image_seq_len": 8192, "shift_terminal": 0.02},
        steps=4,
    ),
}
"""By the names of models.toml, at least one of each family: first those that have goals, then by size."""


def pipeline(
    made_of: Architecture,
    family: Family,
    where: torch.device,
    dtype: torch.dtype,
    changed: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """A pipeline of random weights on this device, ready to be called; with no numbers at all on `meta`.

    `changed` are further words of configurations, by component: a test makes them small. torch's random state moves on.
    """
    kind = load_class(family.pipeline)
    wanted = set(inspect.signature(kind.__init__).parameters)
    parts: dict[str, Any] = {}
    for name, make in _makers(made_of).items():
        if name in wanted:
            # A scheduler's and a tokenizer's tables stay on the CPU.
            place = where if name not in ("scheduler", "tokenizer", "tokenizer_2", "tokenizer_3") else CPU
            with _made_on(place, dtype):
                parts[name] = make((changed or {}).get(name, {}))
    if "processor" in wanted:
        untyped: Any = transformers
        parts["processor"] = untyped.Qwen2VLProcessor(
            image_processor=transformers.Qwen2VLImageProcessor(),
            tokenizer=parts["tokenizer"],
            video_processor=transformers.Qwen2VLVideoProcessor(),
            chat_template=TALK,
        )
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    optional = dict.fromkeys(set(kind._optional_components) & wanted - set(parts))
    made = kind(**parts, **optional, **family.settings, **made_of.settings)
    made.set_progress_bar_config(disable=True)
    return made


def save(made: Any, folder: Path) -> None:
    """Such a pipeline as the folder of a model."""
    made.save_pretrained(folder)


def size_bytes(made: Any) -> int:
    """Of its weights."""
    parts = [part for part in made.components.values() if isinstance(part, torch.nn.Module)]
    return sum(math.prod(each.shape) * each.element_size() for part in parts for each in part.parameters())


def fits(folder: Path, needed_bytes: int) -> bool:
    """Whether a folder's disk has room for so much, and a tenth more."""
    return shutil.disk_usage(folder).free > 1.1 * needed_bytes


@contextmanager
def _made_on(where: torch.device, dtype: torch.dtype) -> Iterator[None]:
    # Built in its type, for twice as much would not fit: the few tensors that are float32 whatever the default become
    # so where they are loaded.
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with where, silenced("diffusers", "transformers"):
            yield
    finally:
        torch.set_default_dtype(before)


def _makers(made_of: Architecture) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """What makes each component, from changes to its configuration."""
    makers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
    if made_of.base is not None:
        folder = CONFIGS / made_of.base
        known = layouts.components(folder)
        for name in {**{name: name for name in known}, **made_of.of_base}:
            source = made_of.of_base.get(name, name)
            makers[name] = _of_folder(folder / source, known[source])
    for name, (called, config) in made_of.networks.items():
        makers[name] = _of_words(load_class(called), config)
        if called.startswith("transformers:Qwen"):
            makers["tokenizer"] = lambda _: _qwen_tokenizer()
        elif called.startswith("transformers:Gemma"):
            makers["tokenizer"] = lambda _: _gemma_tokenizer()
    if made_of.scheduler is not None:
        makers["scheduler"] = _of_words(load_class(made_of.scheduled_by), made_of.scheduler)
    return makers


def _of_folder(folder: Path, kind: tuple[str, str]) -> Callable[[Mapping[str, Any]], Any]:
    called = load_class(kind[1] if kind[0] == "diffusers" else f"{kind[0]}:{kind[1]}")
    if kind[1].startswith("CLIPTokenizer"):
        return lambda _: clip_tokenizer(folder)
    if kind[1].startswith("T5Tokenizer"):
        return lambda _: _t5_tokenizer()
    if kind[0] == "transformers":
        return lambda changes: called(called.config_class.from_pretrained(folder, local_files_only=True, **changes))
    return lambda changes: called.from_config({**called.load_config(folder, local_files_only=True), **changes})


def _of_words(kind: Any, config: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    if issubclass(kind, transformers.PreTrainedModel):
        return lambda changes: kind(kind.config_class(**{**config, **changes}))
    return lambda changes: kind.from_config({**config, **changes})


def _t5_tokenizer() -> Any:
    pieces = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz0123456789.,"]
    untyped: Any = transformers
    return untyped.T5TokenizerFast(vocab=[(piece, -1.0) for piece in pieces], extra_ids=0, model_max_length=512)


def _gemma_tokenizer() -> Any:
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *"▁abcdefghijklmnopqrstuvwxyz0123456789.,"]
    return transformers.GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def _qwen_tokenizer() -> Any:
    marks = [f"<|{mark}|>" for mark in MARKS]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>", *marks]
    made = transformers.Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        extra_special_tokens=dict(zip(MARKS, marks, strict=True)),
    )
    made.chat_template = TALK
    return made
