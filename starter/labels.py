"""Zero-shot labels: which of some words fits a picture best, by a CLIP model; and how often it is right on renders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPModel, CLIPProcessor

from starter import captions
from starter.judge import MODELS
from starter.world import COLOURS, COUNTS, PLACES, SIZES, STYLES, THINGS, TIMES, Scene

LABELS = MODELS / "labels"
# What CLIP is asked with: a label stands in each of these, and the answers are averaged.
TEMPLATES = ("{}", "a picture of {}", "an image of {}")
TEMPLATES_ZH = ("{}", "{}的图片")
COUNT_LABELS = {1: ("one thing", "one"), 2: ("two things", "two"), 3: ("three things", "three")}
COUNT_LABELS_ZH = {1: ("一个",), 2: ("两个",), 3: ("三个",)}
Value = str | int
Words = Mapping[Any, tuple[str, ...]]
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Naming(Generic[S]):
    """How the attributes of a world are called: what there is of each, and the words for it, the plainest first."""

    values: Mapping[str, tuple[Value, ...]]
    english: Mapping[str, Words]
    chinese: Mapping[str, Words]
    value: Callable[[S, str], Value | None]
    """What a scene has of an attribute, if anything."""


NAMING: Naming[Scene] = Naming(
    {
        "thing": THINGS,
        "colour": COLOURS,
        "place": PLACES,
        "time": TIMES,
        "style": STYLES,
        "size": SIZES,
        "count": COUNTS,
    },
    {
        "thing": captions.NOUNS,
        "colour": {colour: captions.COLOUR_WORDS.get(colour, (colour,)) for colour in COLOURS},
        "place": captions.PLACES,
        "time": captions.TIMES,
        "style": captions.STYLES,
        "size": captions.SIZES,
        "count": COUNT_LABELS,
    },
    {
        "thing": {thing: (noun,) for thing, (noun, _) in captions.NOUNS_ZH.items()},
        "colour": {colour: (word,) for colour, word in captions.COLOURS_ZH.items()},
        "place": captions.PLACES_ZH,
        "time": captions.TIMES_ZH,
        "style": captions.STYLES_ZH,
        "size": captions.SIZES_ZH,
        "count": COUNT_LABELS_ZH,
    },
    getattr,
)


def load_labels(folder: Path = LABELS) -> tuple[CLIPModel, CLIPProcessor]:
    """The trained model in float32, ready to be asked, and its processor."""
    model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    processor: CLIPProcessor = CLIPProcessor.from_pretrained(folder)
    return model.eval(), processor


def plain_labels(attribute: str, chinese: bool = False, naming: Naming[Any] = NAMING) -> list[str]:
    """The label of each of an attribute's values, as a member would type it."""
    words = (naming.chinese if chinese else naming.english)[attribute]
    return [words[value][0] for value in naming.values[attribute]]


@torch.no_grad()
def embed_labels(
    model: CLIPModel, processor: CLIPProcessor, labels: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> torch.Tensor:
    """One direction a label, (labels, width): the mean over the templates."""
    tokenizer: Any = getattr(processor, "tokenizer")  # noqa: B009 - set by the processor's constructor, untyped
    texts = [template.format(label) for label in labels for template in templates]
    settings: Any = model.config.text_config
    limit = settings.max_position_embeddings
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt").to(model.device)
    features = F.normalize(model.get_text_features(**tokens).pooler_output, dim=-1)
    return F.normalize(features.view(len(labels), len(templates), -1).mean(1), dim=-1)


@torch.no_grad()
def embed_pictures(model: CLIPModel, processor: CLIPProcessor, pictures: Sequence[Image.Image]) -> torch.Tensor:
    """One direction a picture, (pictures, width)."""
    call: Any = processor
    parts = []
    for start in range(0, len(pictures), 100):
        batch = call(images=list(pictures[start : start + 100]), return_tensors="pt").to(model.device)
        parts.append(F.normalize(model.get_image_features(**batch).pooler_output, dim=-1))
    return torch.cat(parts)


def zero_shot(
    model: CLIPModel,
    processor: CLIPProcessor,
    pictures: Sequence[Image.Image],
    labels: Sequence[str],
    templates: Sequence[str] = TEMPLATES,
) -> torch.Tensor:
    """How likely each label is for each picture, (pictures, labels); every row sums to one."""
    directions = embed_labels(model, processor, labels, templates)
    seen = embed_pictures(model, processor, pictures)
    return (float(model.logit_scale.detach().exp()) * seen @ directions.T).softmax(-1)


def label_accuracy(
    model: CLIPModel,
    processor: CLIPProcessor,
    scenes: Sequence[S],
    pictures: Sequence[Image.Image],
    chinese: bool = False,
    naming: Naming[S] = NAMING,  # type: ignore[assignment]
) -> dict[str, float]:
    """The share of scenes whose value gets the highest probability among the attribute's, by attribute."""
    seen = embed_pictures(model, processor, pictures)
    shares = {}
    for attribute, values in naming.values.items():
        labels = plain_labels(attribute, chinese, naming)
        directions = embed_labels(model, processor, labels, TEMPLATES_ZH if chinese else TEMPLATES)
        best = (seen @ directions.T).argmax(1).tolist()
        told = [(naming.value(scene, attribute), values[number]) for number, scene in zip(best, scenes, strict=True)]
        right = [seen == wanted for wanted, seen in told if wanted is not None]
        shares[attribute] = sum(right) / max(1, len(right))
    return shares
