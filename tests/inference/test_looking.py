"""Questions about pictures that share a pass: nobody's answer is any different for it, whoever is beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data

from inference.catalog import reading, weights
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.exchange import looking
from inference.models import loaders
from inference.models.store import Store
from inference.networks import describer
from inference.networks.classifier import Classifier
from inference.networks.describer import Describer
from inference.networks.filling import filled
from inference.pictures import images
from inference.protocol import (
    Batch,
    Began,
    Classify,
    Describe,
    DescribeTask,
    Event,
    Failed,
    Finished,
    Input,
    because,
    sha256_of,
)
from tests.inference import tiny
from tests.inference.conftest import uploaded
from tests.inference.folders import put
from tests.inference.peer import TIMEOUT_S
from tests.inference.serving import Serving

MODELS = Path(__file__).parents[2] / "models.toml"
PLACES = 4
SIZES = ((40, 30), (64, 64), (31, 77), (90, 20), (64, 64), (8, 9))
LABELS = ("house", "red boat", "a cat")


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights talk until they are stopped."""
    monkeypatch.setattr(describer, "MAX_TELLING_TOKENS", 8)
    monkeypatch.setattr(describer, "MAX_PLACING_TOKENS", 8)


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pass has four, as on a card."""
    monkeypatch.setattr(Catalog, "places", lambda *_: PLACES)


@pytest.fixture
def fresh(known: Catalog, cpu: Device) -> Store:
    """With passes of four: the one that all tests share has loaded its own."""
    return Store(catalog=known, device=cpu)


def pictures() -> list[Image.Image]:
    return [tiny.picture(*size).rotate(90 * number) for number, size in enumerate(SIZES)]


def in_slots(some: list[Image.Image], number: int) -> list[list[Image.Image]]:
    """This picture alone, and in every slot beside others, itself among them."""
    others = [picture for picture in some if picture is not some[number]]
    passes = [[some[number]], [some[number]] * PLACES]
    for slot in range(PLACES):
        passes.append([*others[:slot], some[number], *others[slot : PLACES - 1]])
        passes.append([*others[:slot], some[number]])
    return passes


def test_a_pass_is_filled_up_with_copies_and_takes_no_more_than_it_has_places() -> None:
    assert filled("ab", 4) == ["a", "b", "b", "b"]
    assert filled("abcd", 4) == ["a", "b", "c", "d"]
    for wrong in ("", "abcde"):
        with pytest.raises(ValueError, match="do not fit"):
            filled(wrong, 4)


def looks_the_same_in_every_slot(network: Classifier, some: list[Image.Image]) -> None:
    for number, picture in enumerate(some):
        alone = network.shares(picture, LABELS, ("{}", "one {}"))
        for taken in in_slots(some, number):
            look = network.looks(taken)[taken.index(picture)]
            assert network.fit(look, LABELS, ("{}", "one {}")) == alone


def answers_the_same_in_every_slot(network: Describer, some: list[Image.Image], task: DescribeTask, text: str) -> None:
    for number, picture in enumerate(some):
        alone = network.say(picture, task, text)
        for taken in in_slots(some, number):
            assert network.answers(taken, task, text)[taken.index(picture)] == alone


def test_shares_are_the_same_to_the_last_bit_alone_and_beside_others_in_any_slot(fresh: Store) -> None:
    looks_the_same_in_every_slot(fresh.use_classifier("clip", lambda: None).network, pictures())


@pytest.mark.parametrize(("task", "text"), [("caption", ""), ("find", "a red house")])
def test_answers_are_the_same_alone_and_beside_others_in_any_slot(
    task: DescribeTask, text: str, fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_the_same_in_every_slot(fresh.use_describer("florence", lambda: None).network, pictures()[:4], task, text)


def test_the_starters_answers_are_the_same_in_any_slot_though_they_are_of_different_lengths(
    cpu: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(Catalog, "places", lambda *_: PLACES)
    own = reading.load(MODELS)
    photographs: Any = data
    some = [Image.fromarray(each()).resize((256, 256)) for each in (photographs.astronaut, photographs.coffee)]
    some.append(some[0].rotate(90))

    def here(kind: Kind) -> Path:
        folder = weights.locate(own, kind, "starter")
        assert folder is not None
        return folder

    talks = loaders.describer(own, "starter", here("describer"), cpu).load().network
    assert len({len(talks.say(picture, "caption")) for picture in some}) > 1
    answers_the_same_in_every_slot(talks, some, "caption", "")
    looks_the_same_in_every_slot(loaders.classifier(own, "starter", here("classifier"), cpu).load().network, some)


def labelled(job: int, image: Input, **changes: Any) -> Classify:
    asked: dict[str, Any] = {"labels": LABELS, "templates": ("{}",)} | changes
    return Classify(job=job, model="clip", image=image, **asked)


def described(job: int, image: Input, task: DescribeTask = "caption", text: str = "") -> Describe:
    return Describe(job=job, model="florence", image=image, task=task, text=text)


def test_labels_may_differ_in_a_pass_and_questions_may_not() -> None:
    image, other = Input("0" * 64, 8, 8), Input("1" * 64, 9, 9)
    assert labelled(1, image).pass_key == labelled(2, other, labels=("x", "y"), templates=("a {}",)).pass_key
    assert described(1, image).pass_key == described(2, other).pass_key
    keys = {
        each.pass_key
        for each in (
            labelled(1, image),
            described(1, image),
            described(1, image, "find", "a house"),
            described(1, image, "find", "a red house"),
            described(1, image, "segment", "a house"),
        )
    }
    assert len(keys) == 5


def asked(count: int = len(SIZES)) -> list[Input]:
    """Pictures that are there to be asked about."""
    inputs = []
    for picture in pictures()[:count]:
        image, files = uploaded(picture)
        put(files)
        inputs.append(image)
    return inputs


def until_ended(serving: Serving, *jobs: int) -> list[Event]:
    left = set(jobs)

    def is_last(event: Event) -> bool:
        if isinstance(event, Finished | Failed):
            left.discard(event.job)
        return not left

    return serving.peer.until(is_last)


def ends(events: list[Event]) -> dict[int, Finished | Failed]:
    return {event.job: event for event in events if isinstance(event, Finished | Failed)}


def answers(events: list[Event]) -> dict[int, Any]:
    return {job: end.answer if isinstance(end, Finished) else end for job, end in ends(events).items()}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each pass of a network saw, as they are run."""
    counted: list[int] = []
    for network, method in ((Classifier, "looks"), (Describer, "answers")):
        run = getattr(network, method)

        def counting(self: Any, seen: Any, *args: Any, run: Any = run) -> Any:
            counted.append(len(seen))
            return run(self, seen, *args)

        monkeypatch.setattr(network, method, counting)
    return counted


@pytest.fixture
def serving_four(known: Catalog, fresh: Store) -> Iterator[Serving]:
    serving = Serving(known, fresh)
    serving.peer.ready()
    yield serving
    serving.peer.socket.close()
    assert serving.ended()


@pytest.mark.parametrize("ask", [labelled, described])
def test_jobs_sent_together_share_passes_and_have_the_answers_of_being_alone(
    ask: Any, serving_four: Serving, passes: list[int]
) -> None:
    inputs = asked()
    alone = {job: end.answer for job, end in serving_four.peer.paint(*[ask(1, inputs[0])]).items()}  # type: ignore[union-attr]
    passes.clear()
    serving_four.peer.send(Batch(tuple(ask(job, image) for job, image in enumerate(inputs, start=1))))
    together = answers(until_ended(serving_four, *range(1, len(inputs) + 1)))
    assert passes == [4, 2]
    assert together[1] == alone[1]
    for job, image in enumerate(inputs, start=1):
        assert answers(until_sent(serving_four, ask(job, image)))[job] == together[job]


def until_sent(serving: Serving, *requests: Any) -> list[Event]:
    serving.peer.send(Batch(requests))
    return until_ended(serving, *(request.job for request in requests))


@pytest.mark.parametrize("ask", [labelled, described])
def test_a_broken_picture_among_good_ones_fails_alone(ask: Any, serving_four: Serving, passes: list[int]) -> None:
    one, other = asked(2)
    file = b"\x89PNG\r\n\x1a\n and nothing that is one"
    put({sha256_of(file): file})
    broken = Input(sha256_of(file), 40, 30)
    found = ends(until_sent(serving_four, ask(1, one), ask(2, broken), ask(3, other)))
    assert passes == [2]
    assert found[2] == Failed(2, "invalid_input", because("input_broken"))
    assert isinstance(found[1], Finished)
    assert isinstance(found[3], Finished)


@pytest.mark.parametrize("ask", [labelled, described])
def test_a_job_that_is_cancelled_before_its_pass_ends_alone(
    ask: Any, serving_four: Serving, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_passes = looking.in_passes

    def cancelled_meanwhile(*args: Any) -> Any:
        serving_four.engine._report.cancel(2)
        return in_passes(*args)

    monkeypatch.setattr(looking, "in_passes", cancelled_meanwhile)
    found = ends(until_sent(serving_four, *(ask(job, image) for job, image in enumerate(asked(3), start=1))))
    assert passes == [2]
    assert {job for job, end in found.items() if isinstance(end, Failed) and end.kind == "cancelled"} == {2}


@pytest.mark.parametrize("error", [RuntimeError("a kernel broke"), MemoryError()])
def test_where_nothing_comes_of_a_pass_each_is_asked_alone_and_only_the_one_fails(
    error: Exception, serving_four: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = asked(3)
    looks = Classifier.looks

    def breaks(self: Classifier, seen: list[Image.Image]) -> Any:
        if any(picture.size == SIZES[1] for picture in seen):
            raise error
        return looks(self, seen)

    monkeypatch.setattr(Classifier, "looks", breaks)
    found = ends(until_sent(serving_four, *(labelled(job, image) for job, image in enumerate(inputs, start=1))))
    assert [isinstance(found[job], Finished) for job in (1, 2, 3)] == [True, False, True]
    kinds = {RuntimeError: "internal", MemoryError: "out_of_memory"}
    assert isinstance(found[2], Failed)
    assert found[2].kind == kinds[type(error)]


@pytest.mark.parametrize("ask", [labelled, described])
def test_a_job_that_comes_while_the_model_is_loaded_goes_along(
    ask: Any, serving_four: Serving, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = asked(2)
    in_passes = looking.in_passes

    def slowly(*args: Any) -> Any:
        inbox = serving_four.engine._inbox
        with inbox._changed:
            assert inbox._changed.wait_for(lambda: inbox._quick, TIMEOUT_S)
        return in_passes(*args)

    monkeypatch.setattr(looking, "in_passes", slowly)
    serving_four.peer.send(Batch((ask(1, one),)), Batch((ask(2, other),)))
    events = until_ended(serving_four, 1, 2)
    assert passes == [2]
    assert [event.jobs for event in events if isinstance(event, Began)] == [(1,), (1, 2)]
    assert all(isinstance(end, Finished) for end in ends(events).values())


def test_pictures_are_read_as_they_are_alone(fresh: Store) -> None:
    """An answer is about what the picture shows, transparency left out."""
    network = fresh.use_classifier("clip", lambda: None).network
    clear = tiny.picture(40, 30, mode="RGBA")
    clear.putalpha(0)
    assert network.shares(clear, LABELS, ("{}",)) == network.shares(images.opaque(clear), LABELS, ("{}",))


def test_an_answer_that_is_complete_before_others_is_given_without_what_fills_it_up(
    fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = fresh.use_describer("florence", lambda: None).network
    tokenizer = network._processor.tokenizer
    tokens = tokenizer(["a", "a much longer one", "b", "b"], padding=True, return_tensors="pt")["input_ids"]
    assert (tokens[0] == tokenizer.pad_token_id).any()
    monkeypatch.setattr(network.model, "generate", lambda **_: tokens)
    short, _ = network.answers(pictures()[:2], "caption")
    assert short == tokenizer.decode(tokens[0][tokens[0] != tokenizer.pad_token_id])
