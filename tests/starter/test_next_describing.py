"""The next set's caption model: answers about several things in both languages, dense labels, and both stages."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Florence2Processor

from starter.answers import OUTLINING, PHRASED, SIDE, TASKS, Question
from starter.describer import Describer
from starter.describer_scores import FINE, mask_iou
from starter.next import describing
from starter.next.answers import ASKED_ZH, Truth, answer, ask_about, say, truth_of
from starter.next.describing import held_out_scores, make_lessons, new_tokenizer, score
from starter.next.eyes import STRIPS, Heads, Shown, show
from starter.next.pictures import sample_tableaux
from starter.next.reader import LETTERS
from starter.next.signs import letters_of
from starter.next.tableau import THINGS, Subject, Tableau
from starter.train import florence as shape
from starter.train.describing import DescribeStage, load_eyes, taught
from starter.train.eyes import EyesStage, held_out_readings
from starter.train.florence import Florence, new_florence, new_processor, question
from starter.train.loop import Budget, train
from starter.train.plan import Plan
from starter.train.told import UNTOLD
from starter.world import COLOURS

CAT_AND_HOUSE = Tableau((Subject("cat", "black"), Subject("house", "red")), place="beach", time="night", word="TEA")


@pytest.fixture(scope="module")
def processor() -> Florence2Processor:
    return new_processor(new_tokenizer(600))


@pytest.fixture(scope="module")
def truths() -> list[Truth]:
    return [truth_of(tableau) for tableau in sample_tableaux(60, seed=3, kinds=(1, 2, 3), word_share=0.5)]


@pytest.fixture(scope="module")
def shown() -> Shown:
    return show(sample_tableaux(12, seed=4, kinds=(1, 2, 3), word_share=0.5))


@pytest.fixture
def tiny(processor: Florence2Processor, monkeypatch: pytest.MonkeyPatch) -> Florence:
    monkeypatch.setattr(shape, "WIDTHS", (16, 16, 16))
    torch.manual_seed(0)
    return new_florence(processor, width=32, layers=(1, 1))


def parse(processor: Florence2Processor, task: str, text: str, size: int = SIDE) -> object:
    """What the processor reads from the text after it went through the tokenizer."""
    ids = processor.tokenizer(text).input_ids
    said = processor.batch_decode([ids], skip_special_tokens=False)[0]
    return processor.post_process_generation(text=said, task=task, image_size=(size, size))[task]


def test_several_things_are_told_in_the_language_that_is_asked_in() -> None:
    assert say("<CAPTION>", CAT_AND_HOUSE) == "a black cat to the left of a red house on the beach"
    assert say("<DETAILED_CAPTION>", CAT_AND_HOUSE).endswith(
        'with a sign that says "TEA" on the beach at night, flat style'
    )
    assert say("<MORE_DETAILED_CAPTION>", CAT_AND_HOUSE) == (
        "The image shows a black cat to the left of a red house on the beach at night."
        ' It is painted as flat style. A sign says "TEA".'
    )
    for task in ASKED_ZH:
        told = say(task, CAT_AND_HOUSE, chinese=True)
        assert "黑色" in told
        assert "房子" in told
        assert not re.search("[a-z]", told)
        assert ("TEA" in told) == (task != "<CAPTION>")
    assert say("<OCR>", CAT_AND_HOUSE, chinese=True) == "TEA"


def test_things_are_known_by_their_places_from_left_to_right(truths: list[Truth]) -> None:
    for truth in truths:
        assert sorted(truth.boxes) == list(truth.boxes)
        assert {(one.thing, one.colour) for one in truth.things} == {
            (s.thing, s.colour) for s in truth.tableau.subjects
        }
        for mask, box in zip(truth.masks, truth.boxes, strict=True):
            assert mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])].sum() == mask.sum()


def test_answers_are_read_back_as_what_they_mean(processor: Florence2Processor, truths: list[Truth]) -> None:
    rng = random.Random(1)
    for truth in truths[:30]:
        read = parse(processor, "<OD>", answer("<OD>", truth, Question()))
        signs = ["sign"] * (truth.sign is not None)
        assert sorted(read["labels"]) == sorted([one.thing for one in truth.things] + signs)
        for task in ASKED_ZH:
            for chinese in (False, True):
                assert parse(processor, task, answer(task, truth, Question(), chinese)) == say(
                    task, truth.tableau, chinese
                )
        for task in sorted(PHRASED):
            asked = ask_about(task, truth, rng)
            read = parse(processor, task, answer(task, truth, asked))
            number = len(asked.things) + asked.sign
            parts = sum(map(len, read["polygons"])) if task in OUTLINING else len(read["bboxes"])
            assert parts == number, (asked, read)


def test_what_is_asked_about_is_of_one_kind_and_what_is_absent_is_not_there(truths: list[Truth]) -> None:
    rng = random.Random(2)
    for truth in truths:
        for _ in range(5):
            asked = ask_about(OUTLINING[0], truth, rng)
            kinds = {truth.things[number].thing for number in asked.things}
            assert len(kinds) <= 1
            if not kinds and not asked.sign and "sign" not in asked.words:
                assert not [
                    s for s in truth.tableau.subjects if s.colour in asked.words.split() and s.thing in asked.words
                ]


def test_outlines_cover_what_is_in_sight(processor: Florence2Processor, truths: list[Truth]) -> None:
    overlaps = []
    for truth in truths:
        text = answer(OUTLINING[0], truth, Question(things=tuple(range(len(truth.things)))))
        overlaps.append(mask_iou(parse(processor, OUTLINING[0], text, SIDE * FINE), truth.masks.any(0)))
    assert np.mean(overlaps) > 0.8


def test_words_are_single_tokens_and_signs_are_spelt(processor: Florence2Processor) -> None:
    tokenizer = processor.tokenizer
    for thing in THINGS:
        assert len(tokenizer(thing, add_special_tokens=False).input_ids) == 1, thing
    assert len(tokenizer("JZQX", add_special_tokens=False).input_ids) == 4


def test_cells_are_labelled_with_what_covers_them_each_by_itself(shown: Shown) -> None:
    for number, truth in enumerate(shown.truths):
        kinds, hues = shown.kinds[number], shown.hues[number]
        assert set(kinds.unique().tolist()) - {0} == {THINGS.index(one.thing) + 1 for one in truth.things}
        for subject in truth.tableau.subjects:
            own = kinds == THINGS.index(subject.thing) + 1
            assert set(hues[own].tolist()) == {COLOURS.index(subject.colour)}
        assert set(hues[kinds == 0].tolist()) == {UNTOLD}
        assert (shown.order[number] > 0).equal(kinds > 0)


def test_every_letter_of_a_sign_stands_in_some_strip() -> None:
    for word in ("JZQX", "WWWWW", "IIII", "2026"):
        letters = letters_of(word, LETTERS[1:], STRIPS)
        assert "".join(dict.fromkeys(LETTERS[n] for n in letters if n)) == "".join(dict.fromkeys(word))
    none = letters_of(None, LETTERS[1:], STRIPS)
    assert none.shape == (STRIPS,)
    assert not none.any()


def test_some_lessons_are_in_chinese_throughout(truths: list[Truth]) -> None:
    lessons = make_lessons(truths * 5, random.Random(1))
    chinese = [said for _, asked, said in lessons if asked in ASKED_ZH.values()]
    assert 60 < len(chinese) < 130
    assert all(any("一" <= letter <= "鿿" for letter in said) for said in chinese)
    others = [said for _, asked, said in lessons if asked not in ASKED_ZH.values()]
    assert not any("一" <= letter <= "鿿" for said in others for letter in said)


def test_processor_asks_in_chinese_what_is_taught(processor: Florence2Processor) -> None:
    for task, words in ASKED_ZH.items():
        batch = processor(text=words, images=Image.new("RGB", (80, 80)), return_tensors="pt")
        assert batch.input_ids[0, shape.SEEN :].tolist() == processor.tokenizer(words).input_ids
        assert words != question(task)


def test_both_stages_learn_and_what_is_written_is_asked(
    tiny: Florence, processor: Florence2Processor, shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starter.train.describing.new_florence", lambda one: new_florence(one, width=32, layers=(1, 1)))
    plan = Plan(torch.device("cpu"), build=tmp_path / "build", models=tmp_path / "models")
    eyes = EyesStage(plan.device, tiny, Heads(32), shown, batch=6)
    with torch.no_grad():
        before = float(eyes.loss(torch.Generator().manual_seed(5), 0.0)[0])
    weights = train(eyes, Budget(steps=12), folder=plan.build)
    eyes.model.load_state_dict(weights)
    with torch.no_grad():
        assert float(eyes.loss(torch.Generator().manual_seed(5), 0.0)[0]) < before
    assert {"thing", "letters", "mask_iou", "box_px"} <= held_out_readings(eyes, shown).keys()
    heads = Heads(32)
    load_eyes(tiny, heads, weights)
    stage = DescribeStage(plan.device, tiny, processor.tokenizer, heads, shown, 6, ask=make_lessons)
    describer = taught(stage, processor, plan, Budget(steps=4))
    figures = held_out_scores(describer, 3)
    assert {"brief", "brief_zh", "detailed_zh", "ocr_exact", "od_map50", "unseen_brief"} <= figures.keys()
    assert (plan.models / "caption" / "model.safetensors").exists()


class Knowing(Describer):
    """Knows all answers, but no Chinese."""

    known: dict[str, list[str]]

    def texts(self, task, pictures, words=None, beams=1):  # type: ignore[no-untyped-def]
        return self.known[task]


def test_scores_are_whole_for_who_knows_everything_and_count_each_language(processor: Florence2Processor) -> None:
    tableaux = sample_tableaux(4, seed=5, kinds=(1, 2), word_share=0.5)
    truths = [truth_of(tableau) for tableau in tableaux]
    known = {task: [answer(task, truth, Question()) for truth in truths] for task in TASKS if task not in PHRASED}
    known |= {asked: ["?"] * 4 for asked in ASKED_ZH.values()}
    rng = random.Random(1)
    meant = [next(q for _ in range(999) if (q := ask_about(OUTLINING[0], t, rng)).things) for t in truths]
    known[OUTLINING[0]] = [answer(OUTLINING[0], t, q) for t, q in zip(truths, meant, strict=True)]
    describer = Knowing(None, processor)
    object.__setattr__(describer, "known", known)
    figures = score(describer, tableaux)
    assert (figures["brief"], figures["detailed"], figures["ocr_exact"], figures["ocr_none"]) == (1, 1, 1, 1)
    assert (figures["brief_zh"], figures["od_map50"]) == (0, pytest.approx(1))
    assert figures["segmentation_iou"] > 0.7
    assert describing.CHINESE > 0
