"""The caption model's making: answers that the processor reads back, dense labels, and both stages on tiny models."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Florence2Processor

from starter.answers import (
    CORNERS,
    OUTLINING,
    PHRASED,
    SIDE,
    TASKS,
    Question,
    Truth,
    answer,
    ask_about,
    bin_of,
    say,
    template,
    truth_of,
)
from starter.describer import Describer, load_describer
from starter.describer_scores import FINE, held_out_scores, mask_iou, mean_average_precision, named
from starter.render import render
from starter.train import florence as shape
from starter.train.describing import DescribeStage, load_eyes, make_lessons
from starter.train.eyes import LETTERS, EyesStage, Heads, Shown, held_out_readings, letters_of, roughen, show
from starter.train.florence import SEEN, Florence, export_florence, new_florence, new_processor, question
from starter.train.loop import Budget, train
from starter.train.pictures import sample_scenes
from starter.world import THINGS, WORDS, Scene


@pytest.fixture(scope="module")
def processor() -> Florence2Processor:
    return new_processor()


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    return [truth_of(scene) for scene in sample_scenes(120, seed=3, word_share=0.5)]


@pytest.fixture(scope="module")
def shown() -> Shown:
    return show(sample_scenes(12, seed=4, word_share=0.5))


@pytest.fixture
def tiny(processor: Florence2Processor, monkeypatch: pytest.MonkeyPatch) -> Florence:
    monkeypatch.setattr(shape, "WIDTHS", (16, 16, 16))
    torch.manual_seed(0)
    return new_florence(processor, width=32, layers=(1, 1))


def first_loss(stage: EyesStage | DescribeStage) -> float:
    """The loss of one fixed batch."""
    with torch.no_grad():
        return float(stage.loss(torch.Generator().manual_seed(5), 0.0)[0])


def parse(processor: Florence2Processor, task: str, text: str, size: int = SIDE) -> object:
    """What the processor reads from the text after it went through the tokenizer."""
    ids = processor.tokenizer(text).input_ids
    said = processor.batch_decode([ids], skip_special_tokens=False)[0]
    return processor.post_process_generation(text=said, task=task, image_size=(size, size))[task]


def test_every_pixel_edge_is_read_back_as_itself(processor: Florence2Processor) -> None:
    for edge in range(SIDE):
        read = processor.post_processor.dequantize(torch.tensor([[bin_of(edge)] * 2]), (SIDE, SIDE))
        assert read.tolist() == [[edge, edge]]
    assert bin_of(SIDE) == 999


def test_detections_are_read_back_from_left_to_right(processor: Florence2Processor, truths: list[Truth]) -> None:
    for truth in truths[:40]:
        read = parse(processor, "<OD>", answer("<OD>", truth))
        things = [truth.scene.thing] * truth.scene.count + ["sign"] * (truth.sign is not None)
        assert read["labels"] == things
        for ours, box in zip(read["bboxes"], truth.boxes, strict=False):
            assert ours == [min(int(edge), SIDE - 1) for edge in box]
        assert sorted(truth.boxes) == list(truth.boxes)


def test_told_texts_are_read_back_word_for_word(processor: Florence2Processor, truths: list[Truth]) -> None:
    for truth in truths:
        for task in ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>", "<OCR>"):
            assert parse(processor, task, answer(task, truth)) == say(task, truth.scene)


def test_plain_texts() -> None:
    boats = Scene("boat", "blue", 2, "small", "sea", "night", "pixel", "CAFE")
    assert say("<CAPTION>", boats) == "two blue boats at sea"
    assert say("<DETAILED_CAPTION>", boats) == (
        'two small blue boats at sea at night, pixel art, with a sign that says "CAFE"'
    )
    assert say("<OCR>", boats) == "CAFE"
    assert say("<CAPTION>", Scene("umbrella", "orange", place="space")) == "an orange umbrella in space"
    assert say("<OCR>", Scene("cup", "red")) == ""


def test_words_with_their_places_are_read_back(processor: Florence2Processor, truths: list[Truth]) -> None:
    for truth in truths[:40]:
        read = parse(processor, "<OCR_WITH_REGION>", answer("<OCR_WITH_REGION>", truth))
        assert read["labels"] == ([truth.scene.word] if truth.scene.word else [])
        assert all(len(quad) == 8 for quad in read["quad_boxes"])


@pytest.mark.parametrize("task", sorted(PHRASED))
def test_what_a_phrase_means_is_read_back_and_nothing_else(
    task: str, processor: Florence2Processor, truths: list[Truth]
) -> None:
    rng = random.Random(1)
    for truth in truths:
        asked = ask_about(task, truth, rng)
        read = parse(processor, task, answer(task, truth, asked.phrase, asked.things, asked.sign))
        number = len(asked.things) + asked.sign
        if task in OUTLINING:
            assert sum(len(polygons) for polygons in read["polygons"]) == number
        else:
            assert len(read["bboxes"]) == number, (asked, read)


def test_phrases_about_absent_things_name_what_the_picture_does_not_show(truths: list[Truth]) -> None:
    rng = random.Random(2)
    for truth in truths:
        asked = ask_about(OUTLINING[0], truth, rng)
        if not asked.things and not asked.sign and "sign" not in asked.words:
            there = truth.scene.colour in asked.words.split() and truth.scene.thing in asked.words
            assert not there, (asked, truth.scene)


def test_outlines_cover_the_silhouettes(processor: Florence2Processor, truths: list[Truth]) -> None:
    overlaps = []
    for truth in truths:
        text = answer(OUTLINING[0], truth, things=tuple(range(truth.scene.count)))
        overlaps.append(mask_iou(parse(processor, OUTLINING[0], text, SIDE * FINE), truth.masks.any(0)))
    assert np.mean(overlaps) > 0.85
    assert min(overlaps) > 0.7


def test_every_things_outline_has_as_many_corners() -> None:
    assert all(len(set(template(thing))) == CORNERS for thing in THINGS)


def test_words_of_the_world_are_single_tokens(processor: Florence2Processor) -> None:
    tokenizer = processor.tokenizer
    for word in (*WORDS, *THINGS, "sign"):
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1, word
    assert len(tokenizer("two blue boats at sea", add_special_tokens=False).input_ids) == 5


def test_our_questions_are_what_the_processor_makes_of_the_tasks(processor: Florence2Processor) -> None:
    for task in TASKS:
        words = "the red house" if task in PHRASED else ""
        ids = processor(text=task + words, images=render(Scene("cup", "red"), 80), return_tensors="pt").input_ids[0]
        assert ids[SEEN:].tolist() == processor.tokenizer(question(task, words)).input_ids


def test_labels_lie_where_the_renderer_drew(shown: Shown) -> None:
    for number, truth in enumerate(shown.truths):
        order = shown.order[number]
        assert set(order.unique().tolist()) == set(range(truth.scene.count + 1))
        first = shown.boxes[number][order == 1][0]
        assert tuple(first.tolist()) == truth.boxes[0]
        assert bool(shown.masks[number].any())


def test_letters_stand_in_reading_order() -> None:
    letters = letters_of("CAFE")
    there = [LETTERS[number - 1] for number in letters if number]
    assert "".join(dict.fromkeys(there)) == "CAFE"
    assert letters[0] == letters[-1] == 0
    assert not letters_of(None).any()


def test_roughening_changes_pictures_and_moves_nothing() -> None:
    pictures = torch.zeros(6, 3, 64, 64)
    pictures[:, :, 20:40, 20:40] = 1.0
    rough = roughen(pictures, torch.Generator().manual_seed(1))
    assert rough.shape == pictures.shape
    assert not torch.equal(rough, pictures)
    assert float(rough[:, :, 24:36, 24:36].mean()) > 0.7 > 0.3 > float(rough[:, :, :16].mean())
    assert torch.equal(rough, roughen(pictures, torch.Generator().manual_seed(1)))


def test_lessons_tell_about_every_picture_and_draw_on_it(truths: list[Truth]) -> None:
    lessons = make_lessons(truths, random.Random(1))
    assert len(lessons) == 2 * len(truths)
    assert {text.split()[0] for _, text, _ in lessons} == {"What", "Describe", "Locate"}


def test_eyes_learn_and_hand_their_weights_on(
    tiny: Florence, processor: Florence2Processor, shown: Shown, tmp_path: Path
) -> None:
    stage = EyesStage(torch.device("cpu"), tiny, Heads(32), shown, batch=6)
    before = first_loss(stage)
    weights = train(stage, Budget(steps=12), folder=tmp_path)
    stage.model.load_state_dict(weights)
    assert first_loss(stage) < before
    assert {"thing", "word", "mask_iou", "box_px"} <= held_out_readings(stage, shown).keys()
    fresh = new_florence(processor, width=32, layers=(1, 1))
    load_eyes(fresh, Heads(32), weights)
    name = "model.vision_tower.convs.0.conv.weight"
    assert torch.equal(fresh.state_dict()[name], weights["tower.convs.0.conv.weight"])


def test_describing_is_learnt_written_loaded_and_asked(
    tiny: Florence, processor: Florence2Processor, shown: Shown, tmp_path: Path
) -> None:
    stage = DescribeStage(torch.device("cpu"), tiny, processor.tokenizer, Heads(32), shown, batch=6, ask=make_lessons)
    before = first_loss(stage)
    stage.model.load_state_dict(train(stage, Budget(steps=10), folder=tmp_path))
    assert first_loss(stage) < before
    assert {"words", "places"} <= stage.loss(torch.Generator(), 0.0)[1].keys()
    export_florence(tmp_path / "caption", tiny, processor)
    described = load_describer(tmp_path / "caption")
    picture = render(Scene("cup", "red", word="TEA"), 100)
    for task in TASKS:
        words = ["the red cup"] if task in PHRASED else None
        assert len(described.ask(task, [picture], words)) == 1
    scores = held_out_scores(Describer(tiny.eval(), processor), 2)
    assert {"caption_thing", "od_map50", "ocr_exact", "segmentation_iou", "unseen_caption_thing"} <= scores.keys()
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (tmp_path / "caption").iterdir())


def test_places_are_spread_over_neighbours(tiny: Florence, processor: Florence2Processor, shown: Shown) -> None:
    stage = DescribeStage(torch.device("cpu"), tiny, processor.tokenizer, Heads(32), shown, ask=make_lessons)
    table = stage._spread_table(0.8)
    assert torch.allclose(table.sum(1), torch.ones(SIDE + 1))
    assert table[30].argmax() == 30
    assert table[30, 31] > table[30, 33]


def test_average_precision_counts_doubles_and_misses() -> None:
    box, other = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]
    assert mean_average_precision([[("cat", box)]], [[("cat", box)]]) == 1.0
    assert mean_average_precision([[("cat", box), ("cat", box)]], [[("cat", box)]]) == 0.5
    assert mean_average_precision([[("cat", box)]], [[("cat", box), ("cat", other)]]) == 0.5
    assert mean_average_precision([[("cat", box)]], [[("cat", box), ("sign", other)]]) == 0.5
    assert mean_average_precision([[("cat", other)]], [[("cat", box)]]) == 0.0
    assert mean_average_precision([[]], [[("cat", box)]]) == 0.0


def test_names_are_found_in_captions() -> None:
    scene = Scene("boat", "blue", 2, place="sea")
    assert all(named("two blue boats at sea", scene).values())
    assert named("a blue boat at sea", scene) == {"thing": True, "colour": True, "count": False, "place": True}
    assert not named("two blue boats and a cup at sea", scene)["thing"]
    assert not named("", scene)["thing"]


def test_a_question_has_no_words_by_itself() -> None:
    assert Question() == Question("", "", (), False)
