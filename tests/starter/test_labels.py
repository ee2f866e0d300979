"""The labels model: its words, its lessons on a tiny model, and what the committed weights can tell."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor, CLIPTokenizer

from starter.captions import NOUNS
from starter.labels import LABELS, NAMING, Value, label_accuracy, load_labels, plain_labels, zero_shot
from starter.render import render
from starter.train.label_texts import SAID, label_texts, said_texts, tell
from starter.train.labels import (
    GREY,
    WORLD,
    LabelsStage,
    cover_all,
    guess_loss,
    held_out_labels,
    patch_loss,
    teach,
)
from starter.train.loop import Budget
from starter.train.pictures import render_all, sample_scenes
from starter.train.plan import Plan
from starter.train.seeing import new_image_processor, normalised, roughen
from starter.train.text import new_tokenizer
from starter.train.told import UNTOLD
from starter.train.vit import Shape, new_clip
from starter.world import THINGS, Scene
from tests.starter.worlds import TINY_CLIP


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return new_tokenizer(sentences=2000)


@pytest.fixture(scope="module")
def labels() -> tuple[CLIPModel, CLIPProcessor]:
    return load_labels()


def tiny_stage(tokenizer: CLIPTokenizer) -> LabelsStage[Scene]:
    torch.manual_seed(0)
    return LabelsStage(torch.device("cpu"), WORLD, tokenizer, pictures=24, batch=16, shape=TINY_CLIP)


def test_every_value_has_its_own_label_in_both_languages() -> None:
    for attribute, values in NAMING.values.items():
        for chinese in (False, True):
            assert len(set(plain_labels(attribute, chinese))) == len(values)


def test_random_labels_stay_different_from_each_other() -> None:
    rng = random.Random(1)
    for _ in range(200):
        for attribute, values in NAMING.values.items():
            for chinese in (False, True):
                assert len(set(label_texts(attribute, rng, chinese))) == len(values)


def test_scenes_that_agree_in_what_is_said_share_a_caption() -> None:
    rng = random.Random(2)
    scenes = [Scene("boat", "red"), Scene("boat", "red", place="sea"), Scene("boat", "blue"), Scene("cat", "red")]
    texts, numbers = said_texts(scenes, rng, ("colour",), NAMING, tell)
    assert (len(texts), numbers) == (3, [0, 0, 1, 2])
    texts, numbers = said_texts(scenes, rng, ("colour", "place"), NAMING, tell)
    assert (len(texts), numbers) == (4, [0, 1, 2, 3])


def test_captions_say_no_number_unless_asked() -> None:
    rng = random.Random(3)
    said = [said_texts([Scene("car", "red", count=3)], rng, ("colour",), NAMING, tell)[0][0] for _ in range(80)]
    assert not [text for text in said if any(word in text.split() for word in ("three", "3", "a", "cars"))]


def test_lessons_never_say_a_held_out_pair(tokenizer: CLIPTokenizer) -> None:
    rng = random.Random(4)
    scenes = sample_scenes(400, seed=71)
    said = [text for _ in range(4) for text in said_texts(scenes, rng, rng.choice(SAID), NAMING, tell)[0]]
    assert not [text for text in said for noun in NOUNS["cat"] if f"green {noun}" in text]


def test_some_pictures_are_grey_and_tell_no_colours(tokenizer: CLIPTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, told = [], []

    def see(pictures: torch.Tensor) -> torch.Tensor:
        shown.append(pictures)
        return normalised(pictures)

    def guess(guesses: torch.Tensor, values: torch.Tensor, known: Mapping[str, tuple[Value, ...]]) -> torch.Tensor:
        told.append(values)
        return guess_loss(guesses, values, known)

    monkeypatch.setattr("starter.train.labels.normalised", see)
    monkeypatch.setattr("starter.train.labels.guess_loss", guess)
    tiny_stage(tokenizer).loss(torch.Generator().manual_seed(1), 0.5)
    # One tint all over: the channels go with each other but where it is as bright as can be.
    channels = shown[0].flatten(2)
    grey = torch.tensor([float(torch.corrcoef(one).min()) > 0.99 for one in channels])
    assert int(grey.sum()) == round(GREY * 16) == 3
    for column, attribute in enumerate(NAMING.values):
        untold = told[0][:, column] == UNTOLD
        assert untold.equal(grey if attribute in ("colour", "place", "time") else torch.zeros(16, dtype=torch.bool))


def test_picture_and_mask_are_moved_alike() -> None:
    scenes = sample_scenes(32, seed=5, sizes=("large",), counts=(1,))
    covered = cover_all(scenes, 64)
    # The pictures are their own masks, so they must still look like them afterwards.
    pictures, masks = roughen(255.0 * covered[:, None].expand(-1, 3, -1, -1), covered, torch.Generator().manual_seed(1))
    same = ((pictures[:, 0] > 128) == masks).float().mean((1, 2))
    assert float(same.min()) > 0.97
    assert not torch.equal(masks, covered)


def test_patches_are_taught_what_covers_them() -> None:
    covered = torch.zeros(1, 32, 32, dtype=torch.bool)
    covered[:, :16, :16] = True
    right = torch.zeros(1, 4, 1 + len(THINGS) + 10)
    right[0, 0, 1 + 3] = right[0, 0, 1 + len(THINGS) + 2] = 20
    right[0, 1:, 0] = 20
    values = torch.tensor([[3, 2]])
    assert float(patch_loss(right, covered, values, 16, len(THINGS))) < 0.01
    assert float(patch_loss(right.flip(1), covered, values, 16, len(THINGS))) > 5


def test_heads_start_out_looking_at_their_neighbours(tokenizer: CLIPTokenizer) -> None:
    model = new_clip(tokenizer, Shape(layers=1)).eval()
    with torch.no_grad():
        seen = model.vision_model(pixel_values=torch.randn(1, 3, 64, 64), output_attentions=True)
    left = seen.attentions[0][0, 0]
    # From the patch in row 4, column 4 (the class token comes first) to column 3.
    assert int(left[1 + 4 * 8 + 4].argmax()) == 1 + 4 * 8 + 3
    assert float(left[1 + 4 * 8 + 4].max()) > 0.5


def test_training_sees_pictures_as_the_processor_hands_them_over() -> None:
    scenes = sample_scenes(2, seed=6)
    pixels = new_image_processor(64)([render(scene, 64) for scene in scenes], return_tensors="pt").pixel_values
    assert torch.allclose(pixels, normalised(render_all(scenes, 64).float()), atol=1e-4)


def test_stage_writes_a_folder_that_clip_loads(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    plan = Plan(torch.device("cpu"), build=tmp_path / "build", models=tmp_path / "models")
    teach(tiny_stage(tokenizer), plan, Budget(steps=2))
    figures = held_out_labels(plan, 20)
    assert {"thing", "thing_zh", "unseen_thing", "colour", "style", "count"} <= figures.keys()
    model = CLIPModel.from_pretrained(tmp_path / "models" / "labels")
    assert model.dtype == torch.float16
    processor = CLIPProcessor.from_pretrained(tmp_path / "models" / "labels")
    picture = Image.fromarray(np.zeros((300, 500, 4), np.uint8), "RGBA")
    shares = zero_shot(model.float(), processor, [picture], ["a red boat", "猫"])
    assert shares.shape == (1, 2)
    assert float(shares.sum()) == pytest.approx(1.0)


def test_committed_model_is_small() -> None:
    assert sum(path.stat().st_size for path in LABELS.rglob("*.safetensors")) < 5_000_000


def test_committed_model_reads_renders_it_never_saw(labels: tuple[CLIPModel, CLIPProcessor]) -> None:
    scenes = sample_scenes(200, seed=77_071, word_share=0.1)
    pictures = [render(scene, 64) for scene in scenes]
    english = label_accuracy(*labels, scenes, pictures)
    chinese = label_accuracy(*labels, scenes, pictures, chinese=True)
    for name, least in (("thing", 0.92), ("colour", 0.94), ("place", 0.96), ("style", 0.9), ("count", 0.92)):
        assert english[name] >= least, (name, english[name])
        assert chinese[name] >= least - 0.03, (name, chinese[name])


def test_committed_model_tells_combinations_apart(labels: tuple[CLIPModel, CLIPProcessor]) -> None:
    asked = ["red boat", "blue boat", "red cat", "blue cat"]
    scenes = [Scene(what, colour, size="large", seed=seed) for what in ("boat", "cat") for colour in ("red", "blue")
              for seed in range(10)]  # fmt: skip
    best = zero_shot(*labels, [render(scene, 64) for scene in scenes], asked).argmax(1).tolist()
    right = [asked[number] == f"{scene.colour} {scene.thing}" for number, scene in zip(best, scenes, strict=True)]
    assert sum(right) >= 37


def test_committed_model_reads_large_pictures_too(labels: tuple[CLIPModel, CLIPProcessor]) -> None:
    scenes = sample_scenes(60, seed=77_072)
    shares = label_accuracy(*labels, scenes, [render(scene, 256) for scene in scenes])
    assert shares["thing"] >= 0.85
    assert shares["colour"] >= 0.9
