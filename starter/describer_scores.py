"""How well a caption model describes renders: names, boxes, words, outlines; all from what its processor parses."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from torchvision.ops import box_iou  # type: ignore[import-untyped]

from starter.answers import NUMBERS, SIDE, Truth, ask_about, truth_of
from starter.captions import PLACES, plural
from starter.describer import Describer
from starter.render import render
from starter.train.pictures import sample_scenes
from starter.world import COLOURS, THINGS, Scene

# Boxes and outlines are parsed at this size, so that the processor's rounding to whole pixels costs nothing.
FINE = 16
SEGMENTATION = "<REFERRING_EXPRESSION_SEGMENTATION>"
Boxes = list[tuple[str, list[float]]]


def score(
    describer: Describer, scenes: list[Scene], size: int = SIDE, batch: int = 50, beams: int = 1
) -> dict[str, Any]:
    """Shares of right answers on renders of the scenes at `size` pixels, with the number of answers of each kind.

    `absent` is the share of phrases about what is not there that are answered with nothing.
    """
    truths = [truth_of(scene) for scene in scenes]
    pictures = [render(scene, size) for scene in scenes]
    rng = random.Random(1)
    phrases = [_present(truth, rng) for truth in truths]
    wrong = [next(q for _ in range(999) if _is_absent(q := ask_about(SEGMENTATION, t, rng))) for t in truths]
    fine = (SIDE * FINE, SIDE * FINE)

    def ask(task: str, words: list[str] | None = None) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(pictures), batch):
            part = slice(start, start + batch)
            said = describer.texts(task, pictures[part], words[part] if words else None, beams)
            answers += describer.parse(task, said, [fine] * len(said))
        return answers

    figures: dict[str, Any] = {"n": len(scenes)}
    for name, right in names_right(ask("<CAPTION>"), scenes).items():
        figures[f"caption_{name}"] = right
    detailed = zip(ask("<DETAILED_CAPTION>"), scenes, strict=True)
    figures["detailed_names"] = float(np.mean([all(named(text, scene).values()) for text, scene in detailed]))
    found = [list(zip(a["labels"], a["bboxes"], strict=True)) for a in ask("<OD>")]
    true: list[Boxes] = [[(t.scene.thing, list(b)) for b in t.boxes] for t in truths]
    for boxes, truth in zip(true, truths, strict=True):
        boxes += [("sign", list(truth.sign))] if truth.sign else []
    figures["od_map50"] = mean_average_precision([[(k, [v / FINE for v in b]) for k, b in f] for f in found], true)
    read = ask("<OCR>")
    signed = [(said, scene.word) for said, scene in zip(read, scenes, strict=True) if scene.word]
    figures["ocr_n"] = len(signed)
    figures["ocr_exact"] = float(np.mean([said == word for said, word in signed])) if signed else 1.0
    silent = [said == "" for said, scene in zip(read, scenes, strict=True) if not scene.word]
    figures["ocr_none"] = float(np.mean(silent)) if silent else 1.0
    outlines = ask(SEGMENTATION, [words for words, _ in phrases])
    meant = [np.logical_or.reduce(t.masks[list(things)]) for t, (_, things) in zip(truths, phrases, strict=True)]
    overlaps = [mask_iou(answer, mask) for answer, mask in zip(outlines, meant, strict=True)]
    figures["segmentation_iou"] = float(np.mean(overlaps))
    figures["absent"] = float(np.mean([not a["polygons"] for a in ask(SEGMENTATION, [q.words for q in wrong])]))
    return figures


def held_out_scores(describer: Describer, number: int = 300, seed: int = 990_071, size: int = SIDE) -> dict[str, Any]:
    """The figures on scenes never trained on; `unseen_` ones are of pairs of thing and colour never trained."""
    seen = score(describer, sample_scenes(number, seed=seed, word_share=0.4), size)
    unseen = score(describer, sample_scenes(max(1, number // 3), seed=seed + 1, held_out=True, word_share=0.4), size)
    return seen | {f"unseen_{name}": value for name, value in unseen.items()}


def named(text: str, scene: Scene) -> dict[str, bool]:
    """Whether the text names the scene's thing, colour, count and place, and no other colour or thing."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    things = {thing for thing in THINGS if thing in words or plural(thing) in words}
    number = next((count for count, word in NUMBERS.items() if word in words), 1)
    return {
        "thing": things == {scene.thing},
        "colour": {colour for colour in COLOURS if colour in words} == {scene.colour},
        "count": number == scene.count,
        "place": any(way in text for way in PLACES[scene.place]),
    }


def names_right(texts: Iterable[str], scenes: Iterable[Scene]) -> dict[str, float]:
    """The share of texts that name each of thing, colour, count and place."""
    rows = [named(text, scene) for text, scene in zip(texts, scenes, strict=True)]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def mean_average_precision(found: list[Boxes], true: list[Boxes], least: float = 0.5) -> float:
    """The mean over labels of average precision at this IoU; boxes as (label, [x0, y0, x1, y1]), a list a picture.

    Florence's answers carry no scores, so each label has a single point of precision and recall: its average
    precision is their product.
    """
    labels = {label for boxes in true for label, _ in boxes}
    values = []
    for label in sorted(labels):
        hits = said = there = 0
        for ours, theirs in zip(found, true, strict=True):
            mine = [box for name, box in ours if name == label]
            wanted = [box for name, box in theirs if name == label]
            said, there = said + len(mine), there + len(wanted)
            hits += _matches(mine, wanted, least)
        values.append(hits / said * hits / there if said else 0.0)
    return float(np.mean(values))


def _matches(mine: list[list[float]], wanted: list[list[float]], least: float) -> int:
    """How many boxes find a true one of their own, best pairs first."""
    if not mine or not wanted:
        return 0
    overlaps = box_iou(torch.tensor(mine), torch.tensor(wanted))
    hits = 0
    while float(overlaps.max()) >= least:
        row, column = divmod(int(overlaps.argmax()), overlaps.shape[1])
        overlaps[row], overlaps[:, column] = -1.0, -1.0
        hits += 1
    return hits


def mask_iou(answer: dict[str, Any], mask: np.ndarray) -> float:
    """Intersection over union of an answer's polygons, in pixels of FINE times the mask's size, with the mask."""
    canvas = np.zeros((mask.shape[0] * FINE, mask.shape[1] * FINE), np.uint8)
    for polygons in answer["polygons"]:
        for polygon in polygons:
            if len(polygon) >= 6:
                cv2.fillPoly(canvas, [np.array(polygon, np.int32).reshape(-1, 2)], 1)
    large = np.kron(mask.astype(np.uint8), np.ones((FINE, FINE), np.uint8))
    return float((canvas & large).sum() / max(1, (canvas | large).sum()))


def _present(truth: Truth, rng: random.Random) -> tuple[str, tuple[int, ...]]:
    while True:
        question = ask_about(SEGMENTATION, truth, rng)
        if question.things:
            return question.words, question.things


def _is_absent(question: Any) -> bool:
    return not question.things and not question.sign
