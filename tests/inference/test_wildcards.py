"""Wildcards, painted: every picture has its own words, the same ones whenever it is painted again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from inference.models.store import Store
from inference.painting import setups
from inference.protocol import MAX_SEED, Imagine, Picture, Variation
from tests.inference.conftest import ask_for
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_imagine import paint, pixels

WILD = "a {red|blue|green|white} {house|boat|{big|small} tree}"


def parameters(picture: Picture) -> list[str]:
    return str(Image.open(io.BytesIO(bytes_of(picture))).info["parameters"]).splitlines()


def plain_like(request: Imagine, index: int) -> Imagine:
    """The request for one picture of another, its words written out."""
    prompt, negative = request.drawn(request.seed_of(index))
    return ask_for(prompt=prompt, negative=negative, seed=request.seed_of(index))


@pytest.mark.parametrize("size", [1, 4])
def test_each_picture_is_painted_from_the_words_that_its_own_seed_drew(
    size: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: size)
    request = ask_for(prompt=WILD, negative="{fog|rain}", seed=MAX_SEED - 1, count=4)
    finished = paint(store, request)[1]
    drawn = [request.drawn(request.seed_of(index)) for index in range(4)]
    assert len(set(drawn)) > 1
    for index, picture in enumerate(finished.pictures):
        alone = paint(store, plain_like(request, index))[1].pictures[0]
        assert np.array_equal(pixels(picture), pixels(alone)), drawn[index]
        assert parameters(picture)[:2] == [drawn[index][0], f"Negative prompt: {drawn[index][1]}"]
    assert finished.recipe["request"]["prompt"] == WILD


def test_pictures_keep_their_places_where_their_words_differ_in_length(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    request = ask_for(prompt="a {red|very very very long and red} house", seed=1, count=4)
    lengths = [len(request.drawn(request.seed_of(index))[0]) for index in range(4)]
    # The first kind comes again after the second.
    assert lengths[0] in lengths[1:]
    assert len(set(lengths)) == 2
    for index, picture in enumerate(paint(store, request)[1].pictures):
        assert picture.seed == request.seed_of(index)
        assert parameters(picture)[0] == request.drawn(request.seed_of(index))[0]
        alone = paint(store, plain_like(request, index))[1].pictures[0]
        assert np.array_equal(pixels(picture), pixels(alone))


def test_the_same_request_draws_the_same_words_and_another_seed_others(store: Store) -> None:
    first, again = (paint(store, ask_for(prompt=WILD, seed=3, count=4))[1].pictures for _ in range(2))
    assert hashes(first) == hashes(again)
    drawn = {parameters(paint(store, ask_for(prompt=WILD, seed=seed))[1].pictures[0])[0] for seed in range(6)}
    assert len(drawn) > 2


def test_the_words_of_a_variation_are_drawn_from_its_own_seed(store: Store) -> None:
    wild = paint(store, ask_for(prompt=WILD, variations=(Variation(50, 0.3),)))[1].pictures[0]
    assert parameters(wild)[0] == ask_for(prompt=WILD).drawn(50)[0]
