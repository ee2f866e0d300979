"""The next set's caption stage: its words, what it is asked in both languages, and how often it is right."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import numpy as np
from transformers import RobertaTokenizer

from starter.answers import BOXING, OUTLINING, PHRASED, SIDE, TASKS, TELLING, Question
from starter.describer import Describer
from starter.describer_scores import FINE, Boxes, mask_iou, mean_average_precision
from starter.next import eyes
from starter.next.answers import ASKED_ZH, Truth, answer, ask_about, say, truth_of
from starter.next.eyes import WORD_SHARE, Heads, show, training_tableaux
from starter.next.pictures import sample_tableaux
from starter.next.reader import LETTERS
from starter.next.render import render_tableau
from starter.next.tableau import THINGS, Tableau
from starter.train.describing import BOXING_SHARES, TELLING_SHARES, DescribeStage, Lesson, load_eyes, taught
from starter.train.florence import new_florence, new_processor, question, tokenizer_from
from starter.train.loop import Budget
from starter.train.plan import Plan, averaged

# Of the questions that can be asked in Chinese.
CHINESE = 0.4


def new_tokenizer(sentences: int = 3000) -> RobertaTokenizer:
    """A BART tokenizer with the words of all questions and answers; what stands on signs is spelt out."""
    rng, texts = random.Random(195), []
    for tableau in sample_tableaux(sentences, seed=195, kinds=(1, 2, 3), word_share=0.3):
        truth = Truth(tableau, tableau.subjects, np.zeros((0, SIDE, SIDE), bool), boxes=(), sign=None)
        told = [say(task, tableau, chinese) for task in ASKED_ZH for chinese in (False, True)]
        # A sign's letters apart, or the trainer would make words of them.
        texts += [text.replace(tableau.word, " ") if tableau.word else text for text in told]
        texts += [question(task, ask_about(task, truth, rng).words) for task in sorted(PHRASED)]
        texts += [ask_about("<OPEN_VOCABULARY_DETECTION>", truth, rng).words for _ in range(3)]
    texts += [*THINGS, "sign", *ASKED_ZH.values(), *LETTERS] * 20
    return tokenizer_from(texts + [question(task, "") for task in TASKS for _ in range(20)])


def make_lessons(truths: list[Truth], rng: random.Random) -> list[Lesson]:
    """What to ask about a batch of pictures; each is told about, and half have boxes drawn, the other half outlines."""
    lessons: list[Lesson] = []
    for number, truth in enumerate(truths):
        kinds = [rng.choices(TELLING, TELLING_SHARES)[0]]
        kinds.append(rng.choices(BOXING, BOXING_SHARES)[0] if number % 2 else OUTLINING[0])
        for task in kinds:
            chinese = task in ASKED_ZH and rng.random() < CHINESE
            asked = ask_about(task, truth, rng) if task in PHRASED else Question()
            words = ASKED_ZH[task] if chinese else question(task, asked.words)
            lessons.append((number, words, answer(task, truth, asked, chinese)))
    return lessons


def run_eyes(plan: Plan, budget: Budget) -> dict[str, Any]:
    """Train the eyes; give their readings of tableaux that they never saw."""
    return eyes.run_eyes(plan, budget, new_processor(new_tokenizer()))


def run_caption(plan: Plan, budget: Budget, pictures: int = 24_000, held_out: int = 300) -> dict[str, Any]:
    """Train the caption model from the schooled eyes and write it; how often it is right."""
    processor = new_processor(new_tokenizer())
    florence = new_florence(processor)
    heads = Heads(florence.config.text_config.d_model)
    load_eyes(florence, heads, averaged(plan.build / "eyes.pt"))
    shown, batch = show(training_tableaux(pictures)), 32 * plan.batch_factor
    stage = DescribeStage(plan.device, florence, processor.tokenizer, heads, shown, batch, ask=make_lessons)
    return held_out_scores(taught(stage, processor, plan, budget), held_out)


def held_out_scores(describer: Describer, number: int) -> dict[str, Any]:
    """The figures on tableaux never trained on; `unseen_` ones begin with pairs of thing and colour never trained."""
    sample = partial(sample_tableaux, kinds=(1, 1, 2, 3), word_share=WORD_SHARE)
    seen = score(describer, sample(number, 990_195))
    unseen = score(describer, sample(max(1, number // 3), 990_196, held_out=True))
    return seen | {f"unseen_{name}": value for name, value in unseen.items()}


def score(describer: Describer, tableaux: list[Tableau], batch: int = 50) -> dict[str, Any]:
    """Shares of answers that are right to the word, and how well things are found.

    What is told in brief must be the right sentence: it names every thing, its colour, how they stand and where.
    """
    truths = [truth_of(tableau) for tableau in tableaux]
    pictures = [render_tableau(tableau, SIDE) for tableau in tableaux]
    fine = (SIDE * FINE, SIDE * FINE)

    def ask(task: str, words: list[str] | None = None, instead: str = "") -> list[Any]:
        """`instead` is asked in the place of the task."""
        answers: list[Any] = []
        for start in range(0, len(pictures), batch):
            part = slice(start, start + batch)
            said = describer.texts(instead or task, pictures[part], words[part] if words else None)
            answers += describer.parse(task, said, [fine] * len(said))
        return answers

    def share(right: list[bool]) -> float:
        return float(np.mean(right)) if right else 1.0

    figures: dict[str, Any] = {"n": len(tableaux)}
    for task, name in (("<CAPTION>", "brief"), ("<DETAILED_CAPTION>", "detailed")):
        for chinese, ending in ((False, ""), (True, "_zh")):
            told = ask(task, instead=ASKED_ZH[task] if chinese else "")
            figures[name + ending] = share([a == say(task, t, chinese) for a, t in zip(told, tableaux, strict=True)])
    read = ask("<OCR>")
    figures["ocr_exact"] = share([said == t.word for said, t in zip(read, tableaux, strict=True) if t.word])
    figures["ocr_none"] = share([said == "" for said, t in zip(read, tableaux, strict=True) if not t.word])
    found = [list(zip(a["labels"], a["bboxes"], strict=True)) for a in ask("<OD>")]
    true: list[Boxes] = [[(s.thing, list(b)) for s, b in zip(t.things, t.boxes, strict=True)] for t in truths]
    for boxes, truth in zip(true, truths, strict=True):
        boxes += [("sign", list(truth.sign))] if truth.sign else []
    figures["od_map50"] = mean_average_precision([[(k, [v / FINE for v in b]) for k, b in f] for f in found], true)
    rng = random.Random(1)
    meant = [next(q for _ in range(999) if (q := ask_about(OUTLINING[0], t, rng)).things) for t in truths]
    outlines = ask(OUTLINING[0], [one.words for one in meant])
    masks = [np.logical_or.reduce(t.masks[list(q.things)]) for t, q in zip(truths, meant, strict=True)]
    overlaps = [mask_iou(one, mask) for one, mask in zip(outlines, masks, strict=True)]
    figures["segmentation_iou"] = float(np.mean(overlaps))
    return figures
