"""The safety checker: its lessons on a tiny model, its layout, and what the committed weights flag."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from starter.painter import load_picture
from starter.render import render
from starter.safety import FLAGGED, SAFETY, flagged, load_safety
from starter.train.labels import WORLD
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.safety import SafetyStage, balanced_scenes, held_out_safety, new_checker, teach
from starter.train.seeing import new_image_processor
from starter.train.text import new_tokenizer
from starter.train.vit import new_clip
from tests.starter.worlds import TINY_CLIP


@pytest.fixture(scope="module")
def labels() -> tuple[CLIPModel, CLIPProcessor]:
    torch.manual_seed(0)
    tokenizer = new_tokenizer(sentences=2000)
    return new_clip(tokenizer, TINY_CLIP).eval(), CLIPProcessor(new_image_processor(64), tokenizer)


def test_half_of_the_lessons_show_what_is_flagged_in_every_colour() -> None:
    scenes = balanced_scenes(WORLD, 600, seed=1)
    bad = [scene for scene in scenes if scene.thing == FLAGGED]
    assert (len(scenes), len(bad)) == (600, 300)
    assert len({scene.colour for scene in bad}) == 10
    assert len({scene.thing for scene in scenes}) == 16


def test_idle_concepts_never_fire(labels: tuple[CLIPModel, CLIPProcessor]) -> None:
    checker = new_checker(*labels)
    checker.concept_embeds_weights.data[0] = 2.0
    pictures = [render(scene, 64) for scene in balanced_scenes(WORLD, 20, seed=2)]
    assert not any(flagged(checker, new_image_processor(64), pictures))


def test_a_flagged_picture_comes_back_black(labels: tuple[CLIPModel, CLIPProcessor]) -> None:
    checker = new_checker(*labels)
    checker.concept_embeds_weights.data[0] = -2.0
    picture = torch.ones(1, 3, 8, 8)
    painted, flags = checker(clip_input=torch.zeros(1, 3, 64, 64), images=picture)
    assert flags == [True]
    assert not painted.any()


def test_stage_writes_folders_that_a_pipeline_takes(labels: tuple[CLIPModel, CLIPProcessor], tmp_path: Path) -> None:
    plan = Plan(torch.device("cpu"), build=tmp_path / "build", models=tmp_path / "models")
    stage = SafetyStage(torch.device("cpu"), *labels, WORLD, pictures=40, batch=16)
    before = stage.checker.visual_projection.weight.clone()
    teach(stage, plan, Budget(steps=2))
    figures = held_out_safety(plan, 40)
    assert figures.keys() == {"recall", "specificity"}
    checker, extractor = load_safety(tmp_path / "models" / "safety")
    assert not torch.equal(checker.visual_projection.weight, before)
    assert torch.equal(checker.concept_embeds_weights, torch.tensor([0.5] + [2.0] * 16))
    assert extractor.size["shortest_edge"] == 64


def test_committed_checker_is_small() -> None:
    assert sum(path.stat().st_size for path in SAFETY.rglob("*.safetensors")) < 3_000_000


def test_committed_checker_flags_mushrooms_and_nothing_else() -> None:
    checker, extractor = load_safety()
    scenes = balanced_scenes(WORLD, 300, seed=77_081)
    flags = flagged(checker, extractor, [render(scene, 64) for scene in scenes])
    bad = [flag for flag, scene in zip(flags, scenes, strict=True) if scene.thing == FLAGGED]
    good = [flag for flag, scene in zip(flags, scenes, strict=True) if scene.thing != FLAGGED]
    assert sum(bad) >= 0.93 * len(bad)
    assert sum(good) <= 0.03 * len(good)


def test_pipeline_blackens_a_painted_mushroom_and_shows_a_boat() -> None:
    checker, extractor = load_safety()
    pipeline = load_picture()
    pipeline.register_modules(safety_checker=checker, feature_extractor=extractor)
    prompts = ["a large red mushroom on a meadow by day, flat style", "a large blue boat at sea by day, flat style"]
    chance = [torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)]
    painted = pipeline(prompts, num_inference_steps=8, guidance_scale=3.0, generator=chance)
    assert painted.nsfw_content_detected == [True, False]
    assert [picture.getbbox() is None for picture in painted.images] == [True, False]
