"""Describing: what Florence-2's text means in words and places, whatever it says; the task from end to end."""

from __future__ import annotations

import dataclasses
import io
import json

import msgspec
import pytest
from PIL import Image

from inference.models.store import Store
from inference.networks.describer import MAX_LABEL_CHARS, MAX_REGIONS, TELLING, TOKENS, Describer
from inference.protocol import Answer, Describe, DescribeTask, Finished, Reason, Region, because
from inference.tasks import describe
from tests.inference import tiny
from tests.inference.conftest import Record, uploaded
from tests.inference.folders import bytes_of


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights talk until they are stopped."""
    monkeypatch.setattr("inference.networks.describer.MAX_TELLING_TOKENS", 12)
    monkeypatch.setattr("inference.networks.describer.MAX_PLACING_TOKENS", 12)


@pytest.fixture
def describer(store: Store) -> Describer:
    return store.use_describer("florence", on_load=lambda: None).network


def ask(task: DescribeTask = "caption", job: int = 1, **changes: object) -> tuple[Describe, dict[str, bytes]]:
    image, files = uploaded(tiny.picture(40, 30))
    request = Describe(job=job, model="florence", image=image, task=task)
    return msgspec.structs.replace(request, **changes), files


def answer(store: Store, *asked: tuple[Describe, dict[str, bytes]]) -> dict[int, Finished]:
    record = Record()
    requests = [request for request, _ in asked]
    record.begin(*requests)
    describe.run(requests, {sha: data for _, files in asked for sha, data in files.items()}, store, record.report)
    return record.finished()


def saying(describer: Describer, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model say this to whatever it is asked."""
    monkeypatch.setattr(describer, "answers", lambda *_: [said])


def loc(*places: int) -> str:
    return "".join(f"<loc_{place}>" for place in places)


def test_every_task_of_the_contract_is_one_of_the_models(describer: Describer) -> None:
    processor = describer._processor
    assert set(TOKENS) == set(msgspec.inspect.type_info(DescribeTask).values)  # type: ignore[attr-defined]
    for task, token in TOKENS.items():
        takes_text = task in {"ground phrases", "find", "segment"}
        assert token in (processor.task_prompts_with_input if takes_text else processor.task_prompts_without_inputs)
        is_words = processor.tasks_answer_post_processing_type[token] == "pure_text"
        assert (task in TELLING) == is_words


def test_the_model_is_asked_as_transformers_asks_it(describer: Describer) -> None:
    picture = tiny.picture(40, 30)
    processor, model = describer._processor, describer.model
    inputs = processor(text="<OPEN_VOCABULARY_DETECTION>a red house", images=picture, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=12, do_sample=False, num_beams=3)
    expected = processor.batch_decode(tokens, skip_special_tokens=False)[0]
    assert describer.say(picture, "find", "a red house") == expected
    assert describer.say(picture, "find", "a red house") == expected


def test_nobody_wants_to_hear_it_any_more_and_the_model_breaks_off(describer: Describer) -> None:
    answers = iter([True, True, False])
    said = describer.say(tiny.picture(40, 30), "caption", "", lambda: next(answers))
    assert next(answers, None) is None
    assert len(said) < len(describer.say(tiny.picture(40, 30), "caption"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("</s><s>A red house on a meadow.</s><pad><pad>", "A red house on a meadow."),
        ("</s><s>  two\n\n  lines </s>", "two\n\nlines"),
        ("</s><s>a cat<loc_5><loc_6>, and a dog</s>", "a cat , and a dog"),
        ("</s><s></s>", ""),
        ("x" * 9000, "x" * 3999 + "…"),
    ],
)
def test_words_are_freed_of_the_models_own_marks(said: str, words: str, describer: Describer) -> None:
    assert describer.words(said, "caption") == words


CAR = Region("car", (54, 187, 906, 353), ())
DOOR = Region("door", (710, 138, 908, 268), ())


@pytest.mark.parametrize(
    ("task", "said", "regions"),
    [
        ("detect objects", f"car{loc(54, 375, 906, 707)}door{loc(710, 276, 908, 537)}", [CAR, DOOR]),
        ("caption regions", f"car{loc(54, 375, 906, 707)}", [CAR]),
        ("ground phrases", f"car{loc(54, 375, 906, 707)}the image{loc(0, 0, 9, 9)}it{loc(0, 0, 9, 9)}", [CAR]),
        ("ground phrases", f"car{loc(54, 375, 906, 707, 710, 276, 908, 537)}", [CAR, Region("car", DOOR.box, ())]),
        ("find", f"car{loc(54, 375, 906, 707)}", [CAR]),
        (
            "find",
            f"car<poly>{loc(100, 100, 200, 100, 200, 200)}</poly>",
            [Region("car", (100, 50, 200, 100), (((100, 50), (200, 50), (200, 100)),))],
        ),
        (
            "segment",
            f"{loc(100, 100, 200, 100, 200, 200)}<sep>{loc(300, 300, 400, 300, 400, 400, 300, 400)}",
            [
                Region(
                    "asked",
                    (100, 50, 400, 200),
                    (
                        ((100, 50), (200, 50), (200, 100)),
                        ((300, 150), (400, 150), (400, 200), (300, 200)),
                    ),
                )
            ],
        ),
        (
            "locate text",
            f"STOP{loc(10, 20, 90, 20, 90, 40, 10, 40)}",
            [Region("STOP", (10, 10, 90, 20), (((10, 10), (90, 10), (90, 20), (10, 20)),))],
        ),
        # What a model makes up.
        ("detect objects", f"car{loc(906, 707, 54, 375)}", [CAR]),
        ("detect objects", f"car{loc(54, 375, 906, 707)}" * 3, [CAR]),
        ("detect objects", f"car{loc(54, 375, 54, 707)}", []),
        ("detect objects", f"car{loc(54, 375, 906)}", []),
        ("detect objects", "a car and a door", []),
        ("detect objects", "", []),
        ("segment", loc(100, 100, 200, 100), []),
        ("segment", loc(100), []),
        ("segment", "a red house", []),
        ("locate text", f"STOP{loc(1, 2, 3)}", []),
        ("find", f"<poly>{loc(1, 2)}</poly>", []),
    ],
)
def test_places_are_read_in_pixels_of_the_picture(
    task: DescribeTask, said: str, regions: list[Region], describer: Describer
) -> None:
    # Five hundred pixels high, so that a location is two pixels across and half a pixel down.
    assert describer.regions(f"</s><s>{said}</s>", task, "asked", 1000, 500) == tuple(regions)


def test_runaway_answers_are_bounded(describer: Describer) -> None:
    boxes = "".join(f"{'thing ' * 100}{loc(1, 1, 100 + number, 200)}" for number in range(400))
    regions = describer.regions(f"</s><s>{boxes}</s>", "detect objects", "", 1000, 500)
    assert len(regions) == MAX_REGIONS
    assert all(len(region.label) <= MAX_LABEL_CHARS for region in regions)


def test_the_task_answers_in_words_and_the_same_every_time(store: Store) -> None:
    first, second = answer(store, ask())[1], answer(store, ask())[1]
    assert first.answer.text
    assert first.answer == second.answer
    assert not first.pictures
    assert first.recipe["model"]["name"] == "florence"
    assert len(first.recipe["model"]["hash"]) == 10
    assert first.recipe["request"]["task"] == "caption"
    assert "job" not in first.recipe["request"]
    assert json.loads(json.dumps(first.recipe)) == first.recipe


def test_a_language_that_the_model_knows_is_what_it_is_asked_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = store.catalog.describers["florence"]
    entry = msgspec.structs.replace(entry, questions={"zh-CN": {"caption": "图里有什么？"}})
    known = {**store.catalog.describers, "florence": entry}
    bilingual = Store(catalog=dataclasses.replace(store.catalog, describers=known), device=store.device)
    told_of = describe.abilities(bilingual.catalog, {"describer": ("florence",)}, store.device)
    assert told_of["describers"][0].languages == ("zh-CN",)
    network = bilingual.use_describer("florence", on_load=lambda: None).network
    processor, heard = network._processor, []

    class Listening:
        def __getattr__(self, name: str) -> object:
            return getattr(processor, name)

        def __call__(self, text: str, **given: object) -> object:
            heard.append(text)
            return processor(text=text, **given)

    monkeypatch.setattr(network, "_processor", Listening())
    asked = [ask(), ask(language="zh-CN"), ask("detailed caption", language="zh-CN"), ask(language="fr")]
    for one in asked:
        assert answer(bilingual, one)[1].recipe["request"]["language"] == one[0].language
    # What has no question of its own in a language is asked as ever, and so is what was asked before it was forgotten.
    assert heard == ["<CAPTION>", "图里有什么？", "<DETAILED_CAPTION>", "<CAPTION>"]
    # Neighbours are asked alike.
    assert asked[0][0].pass_key != asked[1][0].pass_key


def test_places_come_drawn_with_their_recipe(
    store: Store, describer: Describer, monkeypatch: pytest.MonkeyPatch
) -> None:
    saying(describer, f"</s><s>car{loc(100, 100, 500, 500)}</s>", monkeypatch)
    finished = answer(store, ask("detect objects"))[1]
    assert finished.answer.regions == (Region("car", (4, 3, 20, 15), ()),)
    assert finished.answer.text == ""
    (picture,) = finished.pictures
    image = Image.open(io.BytesIO(bytes_of(picture)))
    assert image.size == (picture.width, picture.height) == (480, 360)
    assert json.loads(image.info["easel"])["request"]["task"] == "detect objects"
    assert picture.seed is None


@pytest.mark.parametrize(
    ("task", "text", "reason"),
    [
        ("caption", "", because("no_words_for_it")),
        ("read text", "", because("no_text_there")),
        ("locate text", "", because("no_text_there")),
        ("detect objects", "", because("nothing_there")),
        ("find", "a red house", because("nothing_like_it", typed="a red house")),
        ("segment", "a red house", because("nothing_like_it", typed="a red house")),
    ],
)
def test_nothing_is_said_with_its_reason(
    task: DescribeTask,
    text: str,
    reason: Reason,
    store: Store,
    describer: Describer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saying(describer, "</s><s></s>", monkeypatch)
    finished = answer(store, ask(task, text=text))[1]
    assert finished.answer == Answer(nothing=reason)
    assert not finished.pictures


def test_a_cancelled_answer_is_not_given(store: Store) -> None:
    record, (request, files) = Record(), ask()
    record.begin(request)
    record.report.cancel(1)
    describe.run([request], files, store, record.report)
    assert not record.finished()
    assert record.failed()[1].kind == "cancelled"


def test_what_hides_behind_transparency_is_not_described(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Image.Image] = []
    network = store.use_describer("florence", on_load=lambda: None).network
    monkeypatch.setattr(network, "answers", lambda pictures, *_: seen.extend(pictures) or [""])
    secret = tiny.picture(40, 30, mode="RGBA")
    secret.putalpha(0)
    image, files = uploaded(secret)
    answer(store, (ask(image=image)[0], files))
    assert seen[0].getextrema() == ((255, 255),) * 3
