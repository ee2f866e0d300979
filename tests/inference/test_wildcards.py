"""Wildcards, painted: every picture has its own words, the same ones whenever it is painted again."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference import engine
from inference.catalog import weights
from inference.catalog.entries import EmbeddingEntry
from inference.catalog.reading import Catalog
from inference.catalog.wildcards import MAX_NAMES, Wildcards
from inference.device import Device
from inference.models.store import Store
from inference.painting import setups
from inference.protocol import MAX_SEED, Imagine, Picture, Variation, draw_words
from inference.protocol.frames import pack, unpack_event
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


def test_the_engine_says_which_files_and_embeddings_prompts_can_name(
    known: Catalog, cpu: Device, tmp_path: Path
) -> None:
    (tmp_path / "animals").mkdir()
    odd = (b"\xff\xfe.txt", b"a__b.txt", b"it's.txt", b"x" * 101 + b".txt", b"_.txt", b"a`b.txt", b"none.md")
    for name in (b"colours.txt", b"animals/big cats.txt", "色.txt".encode(), *odd):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("red")
    embedding = EmbeddingEntry(title="Bad", path=str(tmp_path / "bad.safetensors"), models=("sd15",))
    catalog = replace(known, wildcards=tmp_path, embeddings={"bad": embedding})
    here = {**weights.inventory(known), "embedding": ("bad",)}
    ready = engine.readiness(catalog, here, cpu)
    assert ready.wildcards == ("animals/big cats", "colours", "色")
    for name in ready.wildcards:
        assert draw_words(f"a __{name}__ house", 1, Wildcards(tmp_path).lines) == "a red house"
    assert [(one.name, one.title, one.models, one.trigger) for one in ready.embeddings] == [
        ("bad", "Bad", ("sd15",), "")
    ]
    assert unpack_event(pack(ready)[4:]) == ready
    for number in range(MAX_NAMES + 9):
        (tmp_path / f"n{number}.txt").touch()
    assert len(Wildcards(tmp_path).names()) == MAX_NAMES
    assert Wildcards(None).names() == ()
