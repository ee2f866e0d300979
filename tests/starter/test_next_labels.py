"""The next set's labels and safety checker: how its world is called in both languages, and that both are taught it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import CLIPModel, CLIPProcessor

from starter.labels import label_accuracy, load_labels, plain_labels
from starter.next.labelling import WORLD, run_safety
from starter.next.render import render_tableau
from starter.next.tableau import HELD_OUT, SEASONAL, SEASONS, THINGS, WEATHERS
from starter.next.words import new_tokenizer
from starter.train.label_texts import label_texts, said_texts
from starter.train.labels import LabelsStage, held_out_labels, patch_loss, teach, values_of
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.told import UNTOLD, cost, right
from tests.starter.worlds import TINY_CLIP


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """With labels as small as can be, trained for two steps."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("labels")
    plan = Plan(torch.device("cpu"), build=folder / "build", models=folder / "models")
    tokenizer = new_tokenizer()
    stage = LabelsStage(plan.device, WORLD, tokenizer, pictures=24, batch=16, shape=TINY_CLIP)
    teach(stage, plan, Budget(steps=2))
    return plan


@pytest.mark.parametrize("chinese", [False, True])
def test_every_value_has_its_own_label_in_both_languages(chinese: bool) -> None:
    rng = random.Random(1)
    for attribute, values in WORLD.naming.values.items():
        assert len(set(plain_labels(attribute, chinese, WORLD.naming))) == len(values)
        for _ in range(50):
            texts = label_texts(attribute, rng, chinese, WORLD.naming)
            assert len(set(texts)) == len(values), texts
            assert not any(text.isascii() == chinese for text in texts)
    assert WORLD.naming.values["thing"] == THINGS
    assert (WORLD.naming.values["weather"], WORLD.naming.values["season"]) == (WEATHERS, SEASONS)


def test_no_season_is_asked_where_none_can_be_told() -> None:
    tableaux = WORLD.sample(200, 1, False)
    column = list(WORLD.naming.values).index("season")
    for tableau, row in zip(tableaux, values_of(tableaux, WORLD.naming).tolist(), strict=True):
        told = UNTOLD if tableau.place not in SEASONAL else SEASONS.index(tableau.season)
        assert row[column] == told
        assert row[:2] == [THINGS.index(tableau.subjects[0].thing), row[1]]


def test_captions_say_what_is_to_be_said_and_share_what_they_agree_in() -> None:
    tableaux, rng = WORLD.sample(300, 2, False), random.Random(3)
    for said in (("colour",), ("place",), ("count",)):
        texts, numbers = said_texts(tableaux, rng, said, WORLD.naming, WORLD.tell)
        keys = {tuple(WORLD.naming.value(t, name) for name in ("thing", *said)) for t in tableaux}
        assert len(texts) == len(keys)
        assert len(numbers) == 300
    assert not [text for text in texts if " rain" in text or "spring" in text or "雨" in text.replace("雨伞", "")]


def test_what_is_untold_costs_nothing_and_does_no_harm() -> None:
    logits, none = torch.tensor([[9.0, 0.0], [0.0, 9.0]], requires_grad=True), torch.tensor([UNTOLD, UNTOLD])
    cost(logits, none).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad.any()
    assert (float(cost(logits, none).detach()), right(logits, none)) == (0, 1)
    half = torch.tensor([0, UNTOLD])
    assert float(cost(logits, half).detach()) < 0.01
    assert right(logits, half) == 1
    assert right(logits, torch.tensor([1, UNTOLD])) == 0


def test_held_out_pairs_are_asked_for_alone() -> None:
    pairs = {(t.subjects[0].thing, t.subjects[0].colour) for t in WORLD.sample(300, 4, True)}
    assert pairs == HELD_OUT
    assert not HELD_OUT & {(t.subjects[0].thing, t.subjects[0].colour) for t in WORLD.sample(2000, 4, False)}


def test_patches_are_taught_which_of_the_many_things_covers_them() -> None:
    covered = torch.ones(1, 16, 16, dtype=torch.bool)
    right = torch.zeros(1, 1, 1 + len(THINGS) + 10)
    right[0, 0, 1 + 25] = right[0, 0, 1 + len(THINGS) + 2] = 20
    assert float(patch_loss(right, covered, torch.tensor([[25, 2]]), 16, len(THINGS))) < 0.01
    assert float(patch_loss(right, covered, torch.tensor([[24, 2]]), 16, len(THINGS))) > 5


def test_labels_are_written_as_clip_loads_them_and_measured_in_both_languages(plan: Plan) -> None:
    figures = held_out_labels(plan, 20, WORLD, 128)
    assert {"thing", "thing_zh", "unseen_thing", "weather", "season_zh"} <= figures.keys()
    model, processor = load_labels(plan.models / "labels")
    assert isinstance(model, CLIPModel)
    assert isinstance(processor, CLIPProcessor)
    assert model.config.text_config.max_position_embeddings == 48


def test_accuracy_leaves_out_what_nobody_can_tell(plan: Plan) -> None:
    tableaux = [tableau for tableau in WORLD.sample(100, 5, False) if tableau.place not in SEASONAL][:4]
    pictures = [render_tableau(tableau, 64) for tableau in tableaux]
    assert label_accuracy(*load_labels(plan.models / "labels"), tableaux, pictures, naming=WORLD.naming)["season"] == 0


def test_safety_goes_on_from_the_labels(plan: Plan) -> None:
    assert run_safety(plan, Budget(steps=1), pictures=40, held_out=60).keys() == {"recall", "specificity"}
    assert (Path(plan.models) / "safety" / "safety_checker" / "model.safetensors").exists()
