"""The committed caption model: what docs/starter.md says it can do, on renders it never saw."""

from __future__ import annotations

import pytest
import torch

from starter.describer import CAPTION, Describer, load_describer
from starter.describer_scores import score
from starter.render import render
from starter.train.pictures import sample_scenes
from starter.world import Scene


@pytest.fixture(scope="module")
def describer() -> Describer:
    torch.set_num_threads(1)
    return load_describer()


def test_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in CAPTION.iterdir()) < 7_000_000


def test_it_describes_renders_it_never_saw(describer: Describer) -> None:
    figures = score(describer, sample_scenes(60, seed=77_061, word_share=0.5))
    for name, least in (("thing", 0.85), ("colour", 0.85), ("count", 0.85), ("place", 0.9)):
        assert figures[f"caption_{name}"] >= least, name
    assert figures["od_map50"] >= 0.65
    assert figures["ocr_exact"] >= 0.75
    assert figures["ocr_none"] >= 0.9
    assert figures["segmentation_iou"] >= 0.6


def test_large_pictures_are_described_in_their_own_pixels(describer: Describer) -> None:
    picture = render(Scene("house", "red", size="large", place="meadow"), 256)
    (found,) = describer.ask("<OD>", [picture])
    assert found["labels"][0] == "house"
    left, top, right, bottom = found["bboxes"][0]
    assert right - left > 100
    assert bottom - top > 100


def test_what_is_not_there_is_not_outlined(describer: Describer) -> None:
    pictures = [render(Scene("house", "red", seed=seed), 64) for seed in range(8)]
    answers = describer.ask("<REFERRING_EXPRESSION_SEGMENTATION>", pictures, ["the blue fish"] * 8)
    assert sum(not answer["polygons"] for answer in answers) >= 6


def test_beams_find_the_same_boats(describer: Describer) -> None:
    picture = render(Scene("boat", "blue", 2, place="sea"), 64)
    assert describer.ask("<CAPTION>", [picture], beams=3)[0].startswith("two blue boats")
