"""The starter's world: its renderer, its captions, and the pairs that are held out."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from starter import captions
from starter.captions import Shares, caption, caption_zh, describe
from starter.pen import PAINT, mix
from starter.render import layout, render, sign_box, silhouettes
from starter.train.picture import make_scenes
from starter.world import COLOURS, COUNTS, HELD_OUT, LORA_STYLE, PLACES, SIZES, STYLES, THINGS, TIMES, Scene

ALL = Shares(1, 1, 1, 1, 1, 1)


def scenes(number: int, seed: int = 1) -> list[Scene]:
    rng = random.Random(seed)
    return [Scene.sample(rng, word_share=0.2) for _ in range(number)]


def in_all_styles(number: int) -> list[Scene]:
    """Scenes of which every tenth has the LoRA's style."""
    return [replace(s, style=LORA_STYLE) if n % 10 == 0 else s for n, s in enumerate(scenes(number))]


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
    plain = Scene("house", "red", seed=5)
    others = [
        replace(plain, thing="boat"),
        replace(plain, colour="blue"),
        replace(plain, count=2),
        replace(plain, size="large"),
        replace(plain, place="snow"),
        replace(plain, time="night"),
        replace(plain, style="cartoon"),
        replace(plain, word="CAFE"),
        replace(plain, blend="blue"),
        replace(plain, seed=6),
    ]
    pictures = {render(scene, 64).tobytes() for scene in [plain, *others]}
    assert len(pictures) == 1 + len(others)


def test_all_things_stand_inside_the_picture() -> None:
    for scene in scenes(500):
        for spot in layout(scene):
            # The outer ones of three may lose their very tip.
            assert spot.reach - 0.02 <= spot.x <= 1.02 - spot.reach, scene
            assert spot.reach <= spot.y <= 1 - spot.reach, scene


def test_silhouettes_are_where_the_thing_changes_the_picture() -> None:
    for scene in scenes(60, seed=2):
        flat = replace(scene, style="flat", word=None)
        masks = silhouettes(flat)
        assert len(masks) == flat.count
        bare = np.asarray(render(replace(flat, thing="star" if flat.thing != "star" else "heart"))).astype(int)
        changed = np.abs(np.asarray(render(flat)).astype(int) - bare).sum(2) > 60
        covered = np.any(masks, axis=0) | np.any(silhouettes(replace(flat, thing="star")), axis=0)
        covered |= np.any(silhouettes(replace(flat, thing="heart")), axis=0)
        # What is left over are shadows and soft edges.
        assert (changed & ~covered).mean() < 0.06, scene
        for mask, spot in zip(masks, layout(flat), strict=True):
            rows, columns = np.nonzero(mask)
            assert abs(columns.mean() / 64 - spot.x) < spot.reach * 0.5
            assert abs(rows.mean() / 64 - spot.y) < spot.reach * 0.6


def test_sign_stands_in_its_box() -> None:
    scene = Scene("house", "red", word="CAFE", seed=4)
    left, top, right, bottom = sign_box(scene)
    changed = np.asarray(render(scene)) != np.asarray(render(replace(scene, word="HI")))
    rows, columns = np.nonzero(changed.any(2))
    assert left - 1 <= columns.min()
    assert columns.max() <= right + 1
    assert top - 1 <= rows.min()
    assert rows.max() <= bottom + 1
    with pytest.raises(ValueError, match="no word"):
        sign_box(replace(scene, word=None))


def test_neon_is_a_dark_picture_with_bright_lines() -> None:
    for scene in scenes(20, seed=3):
        day = replace(scene, place="meadow", time="day", word=None)
        plain, neon = (np.asarray(render(replace(day, style=style))) for style in ("flat", LORA_STYLE))
        assert np.median(neon) < 0.6 * np.median(plain), scene
        assert neon.max(2).max() > 240, scene


def test_no_scene_is_drawn_in_the_loras_style_unless_asked() -> None:
    assert LORA_STYLE not in {scene.style for scene in scenes(2000)}


def test_pixel_art_is_made_of_equal_blocks() -> None:
    pixels = np.asarray(render(Scene("cat", "red", style="pixel"), 64))
    assert (pixels[::2, ::2] == pixels[1::2, 1::2]).all()


def test_world_is_as_large_as_promised() -> None:
    assert len(THINGS) >= 16
    assert (len(COLOURS), len(PLACES)) == (10, 8)
    assert (len(TIMES), len(STYLES), len(SIZES), COUNTS) == (3, 4, 3, (1, 2, 3))


def test_held_out_pairs_are_in_no_training_scene() -> None:
    easy, full, _ = make_scenes(4000, 4000, 0)
    assert not HELD_OUT & {(scene.thing, scene.colour) for scene in easy + full}


def test_every_pair_that_is_not_held_out_is_trained() -> None:
    easy, full, _ = make_scenes(4000, 4000, 0)
    seen = {(scene.thing, scene.colour) for scene in easy + full if scene.blend is None}
    assert seen == {(thing, colour) for thing in THINGS for colour in COLOURS} - HELD_OUT


def test_blended_colours_come_near_no_held_out_pair_and_have_no_name() -> None:
    rng = random.Random(4)
    easy, full, _ = make_scenes(2000, 2000, 0)
    blended = [scene for scene in easy + full if scene.blend is not None]
    assert len(blended) == 800
    words = {word for colour in COLOURS for word in captions.COLOUR_WORDS.get(colour, (colour,))}
    for scene in blended:
        assert scene.blend not in (None, scene.colour)
        assert (scene.thing, scene.blend) not in HELD_OUT
        said = caption(scene, rng, ALL).replace("in a green field", "on a meadow")
        assert not words & set(said.split())
        assert not any(colour in caption_zh(scene, rng, ALL) for colour in captions.COLOURS_ZH.values())


def test_a_caption_can_leave_open_what_the_thing_is() -> None:
    rng = random.Random(5)
    for scene in scenes(100):
        said = caption(scene, rng, Shares(place=0, style=0, thing=0))
        assert re.search(rf"\bthing{'s' if scene.count > 1 else ''}\b", said), said
        assert not any(re.search(rf"\b{noun}s?\b", said) for noun in captions.NOUNS[scene.thing]), said


def test_a_blend_is_painted_halfway_between_its_colours() -> None:
    scene = Scene("heart", "red", size="large", blend="blue", seed=3)
    found = np.asarray(render(scene, 64))[silhouettes(scene, 64)[0]]
    halfway = mix(PAINT["red"], PAINT["blue"], 0.5)
    assert np.abs(found.astype(int) - halfway).sum(1).min() <= 6


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
    said = " | ".join(caption(scene, rng) for scene in in_all_styles(6000))
    tables = (captions.NOUNS, captions.PLACES, captions.TIMES, captions.STYLES, captions.SIZES)
    words = {way for table in tables for ways in table.values() for way in ways} | set(COLOURS)
    assert [word for word in sorted(words) if word not in said] == []


def test_chinese_captions_together_use_the_whole_vocabulary() -> None:
    rng = random.Random(4)
    said = " | ".join(caption_zh(scene, rng) for scene in in_all_styles(6000))
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
