"""Classifying: the shares that CLIP's own arithmetic gives, whoever stands beside; the task from end to end."""

from __future__ import annotations

import io
import json

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from inference.models.store import Store
from inference.networks.classifier import Classifier
from inference.protocol import Classify, Finished
from inference.tasks import classify
from tests.inference import tiny
from tests.inference.conftest import Record, uploaded
from tests.inference.folders import bytes_of

LABELS = ("house", "red boat", "tree {}", "a cat")


@pytest.fixture
def classifier(store: Store) -> Classifier:
    return store.use_classifier("clip", on_load=lambda: None).network


def ask(job: int = 1, **changes: object) -> tuple[Classify, dict[str, bytes]]:
    image, files = uploaded(tiny.picture(40, 30))
    request = Classify(job=job, model="clip", image=image, labels=LABELS, templates=("a picture of a {}.",))
    return msgspec.structs.replace(request, **changes), files


def answer(store: Store, asked: tuple[Classify, dict[str, bytes]]) -> Finished:
    record, (request, files) = Record(), asked
    record.begin(request)
    classify.run([request], files, store, record.report)
    return record.finished()[request.job]


def test_with_one_template_the_shares_are_those_of_the_zero_shot_pipeline(classifier: Classifier) -> None:
    picture = tiny.picture(40, 30)
    sentences = [f"this is {label}" for label in LABELS]
    inputs = classifier._processor(text=sentences, images=picture, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = classifier.model(**inputs).logits_per_image[0].softmax(dim=-1).tolist()
    assert classifier.shares(picture, LABELS, ["this is {}"]) == pytest.approx(expected, abs=1e-6)


def test_templates_are_averaged_as_directions(classifier: Classifier) -> None:
    picture, templates = tiny.picture(40, 30), ("a {}", "one {}")
    with torch.no_grad():
        seen = classifier._processor(images=picture, return_tensors="pt")
        image = classifier.model.get_image_features(**seen).pooler_output[0]
        directions = []
        for label in LABELS:
            means = torch.zeros_like(image)
            for template in templates:
                tokens = classifier._processor(text=template.replace("{}", label), return_tensors="pt")
                features = classifier.model.get_text_features(**tokens).pooler_output[0]
                means += features / features.norm()
            directions.append(means / means.norm())
        logits = torch.stack(directions) @ (image / image.norm()) * classifier.model.logit_scale.exp()
    expected = logits.softmax(dim=0).tolist()
    assert classifier.shares(picture, LABELS, templates) == pytest.approx(expected, abs=1e-6)


def test_a_label_is_encoded_once_and_the_same_beside_any_others(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, templates = tiny.picture(40, 30), ("a {} of my own", "{}")
    classifier.shares(picture, LABELS[:2], templates)
    kept = classifier._encoded(LABELS[0], templates)
    encoded: list[int] = []
    get_text_features = classifier.model.get_text_features

    def count(*args: object, **kwargs: object) -> object:
        encoded.append(1)
        return get_text_features(*args, **kwargs)

    monkeypatch.setattr(classifier.model, "get_text_features", count)
    classifier.shares(picture, LABELS, templates)
    assert len(encoded) == 2
    classifier._kept.clear()
    classifier.shares(picture, ["something much longer than the others, to be filled up to", LABELS[0]], templates)
    assert torch.equal(classifier._encoded(LABELS[0], templates), kept)


def test_a_sentence_longer_than_the_models_window_is_cut(classifier: Classifier) -> None:
    shares = classifier.shares(tiny.picture(), ["x" * 100, "y"], ["a picture of a {} and of nothing else"])
    assert sum(shares) == pytest.approx(1)


def test_the_best_label_comes_first_and_few_need_no_chart(store: Store) -> None:
    finished = answer(store, ask())
    shares = [each.share for each in finished.answer.labels]
    assert {each.label for each in finished.answer.labels} == set(LABELS)
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert not finished.pictures
    assert finished.recipe["model"]["name"] == "clip"
    assert list(finished.recipe["request"]["templates"]) == ["a picture of a {}."]
    assert answer(store, ask()).answer == finished.answer


def test_many_labels_come_with_a_chart(store: Store) -> None:
    finished = answer(store, ask(labels=tuple(f"label {number}" for number in range(50))))
    assert len(finished.answer.labels) == 50
    (picture,) = finished.pictures
    image = Image.open(io.BytesIO(bytes_of(picture)))
    assert image.size == (picture.width, picture.height)
    assert json.loads(image.info["easel"])["request"]["model"] == "clip"
    assert np.asarray(image).std() > 5
