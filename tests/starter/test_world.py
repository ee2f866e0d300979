"""The starter's world: its renderer, its captions, and the pairs that are held out."""

from __future__ import annotations

import random

import numpy as np
import pytest

from starter import captions
from starter.captions import Shares, caption, caption_zh, describe
from starter.render import layout, render
from starter.train.picture import make_scenes
from starter.world import COLOURS, COUNTS, HELD_OUT, PLACES, SIZES, STYLES, THINGS, TIMES, Scene

ALL = Shares(1, 1, 1, 1, 1, 1)


def scenes(number: int, seed: int = 1) -> list[Scene]:
    rng = random.Random(seed)
    return [Scene.sample(rng, word_share=0.2) for _ in range(number)]


def test_same_scene_gives_the_same_picture() -> None:
    for scene in scenes(40):
        assert render(scene, 64).tobytes() == render(scene, 64).tobytes()


def test_renderer_leaves_global_chance_alone() -> None:
    random.seed(3)
    before = random.getstate()
    render(scenes(1)[0], 64)
    assert random.getstate() == before


@pytest.mark.parametrize("size", [32, 64, 256])
def test_picture_has_the_size_asked_for(size: int) -> None:
    picture = render(scenes(1)[0], size)
    assert (picture.size, picture.mode) == ((size, size), "RGB")


def test_every_attribute_changes_the_picture() -> None:
    plain = Scene("house", "red", 1, "medium", "meadow", "day", "flat", None, 5)
    others = [
        Scene("boat", "red", 1, "medium", "meadow", "day", "flat", None, 5),
        Scene("house", "blue", 1, "medium", "meadow", "day", "flat", None, 5),
        Scene("house", "red", 2, "medium", "meadow", "day", "flat", None, 5),
        Scene("house", "red", 1, "large", "meadow", "day", "flat", None, 5),
        Scene("house", "red", 1, "medium", "snow", "day", "flat", None, 5),
        Scene("house", "red", 1, "medium", "meadow", "night", "flat", None, 5),
        Scene("house", "red", 1, "medium", "meadow", "day", "cartoon", None, 5),
        Scene("house", "red", 1, "medium", "meadow", "day", "flat", "CAFE", 5),
        Scene("house", "red", 1, "medium", "meadow", "day", "flat", None, 6),
    ]
    pictures = {render(scene, 64).tobytes() for scene in [plain, *others]}
    assert len(pictures) == 1 + len(others)


def test_all_things_stand_inside_the_picture() -> None:
    for scene in scenes(500):
        for spot in layout(scene):
            # The outer ones of three may lose their very tip.
            assert spot.reach - 0.02 <= spot.x <= 1.02 - spot.reach, scene
            assert spot.reach <= spot.y <= 1 - spot.reach, scene


def test_pixel_art_is_made_of_equal_blocks() -> None:
    pixels = np.asarray(render(Scene("cat", "red", style="pixel"), 64))
    assert (pixels[::2, ::2] == pixels[1::2, 1::2]).all()


def test_world_is_as_large_as_promised() -> None:
    assert len(THINGS) >= 16
    assert (len(COLOURS), len(PLACES)) == (10, 8)
    assert (len(TIMES), len(STYLES), len(SIZES), COUNTS) == (3, 4, 3, (1, 2, 3))


def test_held_out_pairs_are_in_no_training_scene() -> None:
    easy, full = make_scenes(4000, 4000)
    assert not HELD_OUT & {(scene.thing, scene.colour) for scene in easy + full}


def test_every_pair_that_is_not_held_out_is_trained() -> None:
    easy, full = make_scenes(4000, 4000)
    seen = {(scene.thing, scene.colour) for scene in easy + full}
    assert seen == {(thing, colour) for thing in THINGS for colour in COLOURS} - HELD_OUT


def test_held_out_scenes_can_be_asked_for() -> None:
    rng = random.Random(2)
    drawn = {(s.thing, s.colour) for s in (Scene.sample(rng, held_out=True) for _ in range(200))}
    assert drawn == HELD_OUT


def test_plain_sentences_read_as_people_write() -> None:
    assert (
        describe(Scene("house", "red", place="meadow", time="night")) == "a red house on a meadow at night, flat style"
    )
    boats = Scene("boat", "blue", 3, place="sea", style="pixel")
    assert describe(boats) == "three blue boats at sea by day, pixel art"
    mushroom = Scene("mushroom", "green", size="small", place="snow", time="sunset", style="cartoon")
    assert describe(mushroom) == "a small green mushroom in the snow at sunset, cartoon"
    assert describe(Scene("umbrella", "orange")).startswith("an orange umbrella")
    assert "fishs" not in describe(Scene("fish", "red", 2))


def test_captions_together_use_the_whole_vocabulary() -> None:
    rng = random.Random(4)
    said = " | ".join(caption(scene, rng) for scene in scenes(6000))
    tables = (captions.NOUNS, captions.PLACES, captions.TIMES, captions.STYLES, captions.SIZES)
    words = {way for table in tables for ways in table.values() for way in ways} | set(COLOURS)
    assert [word for word in sorted(words) if word not in said] == []


def test_chinese_captions_together_use_the_whole_vocabulary() -> None:
    rng = random.Random(4)
    said = " | ".join(caption_zh(scene, rng) for scene in scenes(6000))
    assert [word for word in captions.chinese_words() if word not in said and word != "在"] == []


def test_full_caption_names_thing_and_colour_of_its_scene() -> None:
    rng = random.Random(5)
    for scene in scenes(300):
        said = caption(scene, rng, ALL)
        nouns = {form for noun in captions.NOUNS[scene.thing] for form in (noun, captions.plural(noun))}
        colours = captions.COLOUR_WORDS.get(scene.colour, (scene.colour,))
        assert any(noun in said for noun in nouns), said
        assert any(colour in said for colour in colours), said


def test_short_caption_may_be_colour_and_thing_alone() -> None:
    rng = random.Random(6)
    bare = Shares(colour=1, place=0, time=0, style=0, size=0, count=0)
    said = {caption(Scene("house", "red"), rng, bare) for _ in range(50)}
    assert "red house" in said
