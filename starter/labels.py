"""Zero-shot labels: which of some words fits a picture best, by a CLIP model; and how often it is right on renders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPModel, CLIPProcessor

from starter import captions
from starter.judge import MODELS
from starter.render import render
from starter.world import COLOURS, COUNTS, PLACES, SIZES, STYLES, THINGS, TIMES, Scene

LABELS = MODELS / "labels"
# What CLIP is asked with: a label stands in each of these, and the answers are averaged.
TEMPLATES = ("{}", "a picture of {}", "an image of {}")
TEMPLATES_ZH = ("{}", "{}的图片")
VALUES: dict[str, tuple[str | int, ...]] = {
    "thing": THINGS,
    "colour": COLOURS,
    "place": PLACES,
    "time": TIMES,
    "style": STYLES,
    "size": SIZES,
    "count": COUNTS,
}
COUNT_LABELS = {1: "one thing", 2: "two things", 3: "three things"}
COUNT_LABELS_ZH = {1: "一个", 2: "两个", 3: "三个"}


def load_labels(folder: Path = LABELS) -> tuple[CLIPModel, CLIPProcessor]:
    """The trained model in float32, ready to be asked, and its processor."""
    model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    processor: CLIPProcessor = CLIPProcessor.from_pretrained(folder)
    return model.eval(), processor


def plain_labels(attribute: str, chinese: bool = False) -> list[str]:
    """The label of each of an attribute's values, as a member would type it."""
    tables: dict[str, dict[Any, Any]]
    if chinese:
        tables = {
            "thing": captions.NOUNS_ZH,
            "colour": captions.COLOURS_ZH,
            "place": captions.PLACES_ZH,
            "time": captions.TIMES_ZH,
            "style": captions.STYLES_ZH,
            "size": captions.SIZES_ZH,
            "count": COUNT_LABELS_ZH,
        }
    else:
        tables = {
            "thing": captions.NOUNS,
            "colour": {colour: colour for colour in COLOURS},
            "place": captions.PLACES,
            "time": captions.TIMES,
            "style": captions.STYLES,
            "size": captions.SIZES,
            "count": COUNT_LABELS,
        }
    labels = [tables[attribute][value] for value in VALUES[attribute]]
    return [label if isinstance(label, str) else label[0] for label in labels]


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
    scenes: Sequence[Scene],
    pictures: Sequence[Image.Image] | None = None,
    chinese: bool = False,
) -> dict[str, float]:
    """The share of scenes whose value gets the highest probability among the attribute's, by attribute.

    `pictures` stand in for the scenes' renders at 64 px.
    """
    seen = embed_pictures(model, processor, pictures or [render(scene, 64) for scene in scenes])
    shares = {}
    for attribute, values in VALUES.items():
        labels = plain_labels(attribute, chinese)
        directions = embed_labels(model, processor, labels, TEMPLATES_ZH if chinese else TEMPLATES)
        best = (seen @ directions.T).argmax(1).tolist()
        right = [values[number] == getattr(scene, attribute) for number, scene in zip(best, scenes, strict=True)]
        shares[attribute] = sum(right) / len(right)
    return shares
