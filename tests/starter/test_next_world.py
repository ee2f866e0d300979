"""The wider world of the next set: its renderer, its captions in both languages, what is held out of it."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from starter import world
from starter.captions import COLOURS_ZH, Shares, plural
from starter.more_things import DRAW
from starter.next import captions
from starter.next.captions import PLAIN, Telling, caption, caption_zh, chinese_words, describe, describe_zh, vocabulary
from starter.next.render import arrange, outlined, render_tableau
from starter.next.signs import draw_sign, letters_of, sign_box
from starter.next.tableau import (
    ARRANGEMENTS,
    HELD_OUT,
    HELD_OUT_WORDS,
    RIDERS,
    SEASONAL,
    SEASONS,
    SEATS,
    THINGS,
    VESSELS,
    WEATHERS,
    Subject,
    Tableau,
    sign_word,
)
from starter.pen import PAINT
from starter.render import render
from starter.world import Scene

ALL = Shares(1, 1, 1, 1, 1, 1)
CAT_AND_HOUSE = (Subject("cat", "black"), Subject("house", "red"))


def tableaux(number: int, seed: int = 1, **wanted: Any) -> list[Tableau]:
    rng = random.Random(seed)
    return [Tableau.sample(rng, word_share=0.3, **wanted) for _ in range(number)]


def test_world_has_more_things_and_every_one_is_drawn_and_named() -> None:
    assert len(THINGS) == len(set(THINGS)) >= 24
    assert set(THINGS) == set(DRAW) == set(captions.NOUNS) == set(captions.NOUNS_ZH)
    assert {*RIDERS, *SEATS, *VESSELS} <= set(THINGS)


def test_a_single_thing_is_painted_as_the_smaller_world_paints_it() -> None:
    for drawn in tableaux(20, kinds=(1,), weather_share=0.0):
        tableau = replace(drawn, season="summer", word=None)
        assert render_tableau(tableau, 64).tobytes() == render(tableau.scene(), 64).tobytes()


def test_same_tableau_gives_the_same_picture_and_leaves_global_chance_alone() -> None:
    random.seed(3)
    before = random.getstate()
    for tableau in tableaux(20):
        assert render_tableau(tableau, 64).tobytes() == render_tableau(tableau, 64).tobytes()
    assert random.getstate() == before


def test_everything_that_is_said_changes_the_picture() -> None:
    plain = Tableau(CAT_AND_HOUSE, seed=5)
    others = [
        replace(plain, subjects=CAT_AND_HOUSE[::-1]),
        replace(plain, subjects=(Subject("cat", "white"), CAT_AND_HOUSE[1])),
        replace(plain, subjects=(CAT_AND_HOUSE[0], Subject("house", "blue"))),
        replace(plain, subjects=(*CAT_AND_HOUSE, Subject("tree", "green"))),
        *(replace(plain, arrangement=arrangement) for arrangement in ("behind", "on")),
        replace(plain, subjects=(CAT_AND_HOUSE[0], Subject("boat", "red")), arrangement="in"),
        *(replace(plain, weather=weather) for weather in WEATHERS[1:]),
        *(replace(plain, season=season) for season in SEASONAL[plain.place]),
        replace(plain, word="CAFE"),
        replace(plain, seed=6),
    ]
    assert len({render_tableau(tableau, 64).tobytes() for tableau in [plain, *others]}) == 1 + len(others)


def test_things_stand_where_the_tableau_says() -> None:
    for tableau in tableaux(400, kinds=(2, 3)):
        spots = arrange(tableau)
        assert all(spot.reach - 0.02 <= spot.x <= 1.02 - spot.reach for spot in spots), tableau
        assert all(spot.reach <= spot.y <= 1.01 - spot.reach for spot in spots), tableau
        match tableau.arrangement:
            case "beside":
                # Apart, so that each can be told.
                assert all(b.x - a.x > 1.7 * a.reach for a, b in itertools.pairwise(spots)), tableau
            case "behind":
                assert spots[0].y + spots[0].reach < spots[1].y + spots[1].reach
                assert 0.2 < abs(spots[0].x - spots[1].x) < spots[0].reach + spots[1].reach
            case _:
                assert spots[0].y + spots[0].reach < spots[1].y + spots[1].reach
                assert abs(spots[0].x - spots[1].x) < spots[1].reach


def test_aligned_things_stand_in_whole_cells_and_elsewhere_for_another_seed() -> None:
    for tableau in tableaux(300, seed=8):
        spots = arrange(replace(tableau, aligned=True))
        if tableau.arrangement in ("on", "in"):
            # Who sits in or on something goes with it.
            spots = spots[1:]
        for spot in spots:
            assert 16 * spot.x == round(16 * spot.x)
            assert 16 * spot.y == round(16 * spot.y)
    house = Tableau((Subject("house", "red"),), aligned=True)
    places = {(spot.x, spot.y) for seed in range(60) for spot in arrange(replace(house, seed=seed))}
    assert len(places) >= 12
    assert render_tableau(house).tobytes() != render_tableau(replace(house, aligned=False)).tobytes()


def test_every_thing_of_a_tableau_is_in_sight_in_its_own_colour() -> None:
    for tableau in tableaux(60, kinds=(2, 3)):
        seen = replace(tableau, style="flat", time="day", weather="clear", word=None)
        picture = np.asarray(render_tableau(seen, 128)).astype(int)
        masks = outlined(seen)
        assert sum(mask.astype(int) for mask in masks).max() == 1
        for mask, subject in zip(masks, seen.subjects, strict=True):
            assert mask.sum() > 128**2 * 0.008, (seen, subject)
            own = np.abs(picture[mask] - PAINT[subject.colour]).sum(1) < 8
            assert own.mean() > 0.15, (seen, subject)


def test_who_stands_in_front_hides_who_stands_behind() -> None:
    behind = Tableau((Subject("castle", "blue"), Subject("tree", "red")), "behind", seed=2)
    back, front = outlined(behind)
    alone = outlined(replace(behind, subjects=(behind.subjects[0], Subject("star", "red"))))[0]
    assert (back & front).sum() == 0
    assert front.sum() > 0
    assert back.sum() != alone.sum()


def test_half_of_who_sits_in_a_vessel_is_hidden() -> None:
    for vessel in VESSELS:
        inside = Tableau((Subject("cat", "red"), Subject(vessel, "blue")), "in", seed=4)
        rows = np.flatnonzero(outlined(inside)[0].any(1))
        spot = arrange(inside)[0]
        assert rows.max() / 128 < spot.y + 0.9 * spot.reach
        assert rows.min() / 128 < spot.y - 0.8 * spot.reach


def test_a_group_is_outlined_one_by_one() -> None:
    masks = outlined(Tableau((Subject("star", "red", count=3),), seed=1))
    assert len(masks) == 3
    middles = [np.flatnonzero(mask.any(0)).mean() for mask in masks]
    assert middles == sorted(middles)


def test_held_out_pairs_and_words_are_in_no_training_picture() -> None:
    drawn = tableaux(6000, seed=2)
    assert not HELD_OUT & {(s.thing, s.colour) for tableau in drawn for s in tableau.subjects}
    assert not HELD_OUT_WORDS & {tableau.word for tableau in drawn}
    assert world.HELD_OUT < HELD_OUT
    first = {(t.subjects[0].thing, t.subjects[0].colour) for t in tableaux(300, seed=3, held_out=True)}
    assert first == HELD_OUT


def test_samples_show_all_kinds() -> None:
    drawn = tableaux(3000, seed=4)
    assert {len(tableau.subjects) for tableau in drawn} == {1, 2, 3}
    assert {tableau.arrangement for tableau in drawn} == set(ARRANGEMENTS)
    assert {tableau.weather for tableau in drawn} == set(WEATHERS)
    seasons = {(tableau.place, tableau.season) for tableau in drawn if tableau.season != "summer"}
    assert seasons == {(place, season) for place, some in SEASONAL.items() for season in some}
    assert {s.thing for tableau in drawn for s in tableau.subjects} == set(THINGS)
    for tableau in drawn:
        assert len({s.thing for s in tableau.subjects}) == len({s.colour for s in tableau.subjects})
        assert not (tableau.place == "space" and (tableau.weather != "clear" or tableau.time != "night"))


def test_every_letter_of_a_sign_has_two_cells_of_the_grid() -> None:
    for word in ("TEA", "2026", "WORLD"):
        left, top, right, bottom = sign_box(word, 128)
        columns = letters_of(word, "".join(word), 16)
        assert [len(list(run)) for letter, run in itertools.groupby(columns.tolist()) if letter] == [2] * len(word)
        picture = Image.new("RGB", (128, 128))
        draw_sign(ImageDraw.Draw(picture), word, 128)
        written = np.argwhere(np.asarray(picture).any(2))
        assert written.min(0).tolist() == pytest.approx([top, left], abs=1)
        assert written.max(0).tolist() == pytest.approx([bottom, right], abs=1)


def test_sign_words_spell_every_letter_in_many_orders() -> None:
    rng = random.Random(5)
    words = [sign_word(rng) for _ in range(3000)]
    pairs = Counter(word[n : n + 2] for word in words for n in range(len(word) - 1))
    assert all(pairs[word[n : n + 2]] for word in HELD_OUT_WORDS for n in range(len(word) - 1))
    assert max(map(len, words)) <= 5


def test_plain_sentences_read_as_people_write() -> None:
    beside = Tableau(CAT_AND_HOUSE, place="beach", time="sunset")
    assert describe(beside) == "a black cat to the left of a red house on the beach at sunset, flat style"
    assert describe(replace(beside, arrangement="behind", weather="rain")) == (
        "a black cat behind a red house on the beach at sunset in the rain, flat style"
    )
    three = replace(beside, subjects=(*CAT_AND_HOUSE, Subject("apple", "green")), word="TEA")
    assert describe(three).startswith('a black cat, a red house and a green apple with a sign that says "TEA" on')
    riding = Tableau((Subject("dog", "white"), Subject("boat", "orange")), "in", place="sea", style="cartoon")
    assert describe(riding) == "a white dog in an orange boat at sea by day, cartoon"
    assert "一条白色" in describe_zh(riding)
    assert "里面" in describe_zh(riding)
    assert "two butterflies" in re.sub("red ", "", describe(Tableau((Subject("butterfly", "red", count=2),))))


@pytest.mark.parametrize("seed", [6, 7])
def test_captions_name_all_the_things_and_their_colours_in_both_languages(seed: int) -> None:
    rng = random.Random(seed)
    for tableau in tableaux(300, seed=seed):
        english, chinese = (say(tableau, rng, ALL, PLAIN) for say in (caption, caption_zh))
        for s in tableau.subjects:
            nouns = {form for noun in captions.NOUNS[s.thing] for form in (noun, plural(noun))}
            assert any(noun in english for noun in nouns), english
            assert captions.NOUNS_ZH[s.thing][0] in chinese
            assert COLOURS_ZH[s.colour] in chinese
        if tableau.word is not None:
            assert tableau.word in english
            assert tableau.word in chinese


def test_left_and_right_are_said_only_as_they_are() -> None:
    rng = random.Random(8)
    tableau = Tableau(CAT_AND_HOUSE)
    said = {caption(tableau, rng, Shares(1, 0, 0, 0, 0, 1)) for _ in range(400)}
    told = {re.sub(r"\b(a|one|an|black|red|picture of|image of|paint|draw) ", "", text) for text in said}
    told = {re.sub("kitty|kitten", "cat", re.sub("cottage|home", "house", text)).strip() for text in told}
    assert "cat to the left of house" in told
    assert "house to the right of cat" in told
    assert not any(re.search(r"house.*left|cat.*right of", text) for text in told)
    # What is named first stands on the left.
    assert "cat and house" in told
    assert not any(re.search(r"house (and|next|beside)", text) for text in told)
    chinese = {caption_zh(tableau, rng, Shares(1, 0, 0, 0, 0, 1)) for _ in range(200)}
    assert any("猫在一座" in text and text.endswith("的左边") for text in chinese)
    assert any("猫和一座" in text for text in chinese)
    assert not any(re.search("房子(在.*的左边|和|在.*旁边)", text) for text in chinese)


def test_a_caption_may_speak_of_the_sign_alone() -> None:
    rng = random.Random(9)
    tableau = Tableau(CAT_AND_HOUSE, word="TEA")
    only = Telling(sign_alone=1)
    assert (
        caption(tableau, rng, Shares(1, 0, 0, 0, 0, 1), only)
        .removeprefix("paint ")
        .replace('"', "")
        .endswith("a sign that says TEA")
    )
    assert "写着“TEA”的牌子" in caption_zh(tableau, rng, ALL, only)
    assert "cat" not in caption(tableau, rng, ALL, only)


def test_weather_is_said_only_where_it_is() -> None:
    rng = random.Random(10)
    dry = " | ".join(caption(t, rng, ALL, PLAIN) for t in tableaux(300, weather_share=0.0))
    assert not [way for weather in WEATHERS[1:] for way in captions.WEATHERS[weather] if way in dry]
    wet = tableaux(300, weather_share=1.0)
    for tableau in (t for t in wet if t.place != "space"):
        said = caption(tableau, rng, ALL, PLAIN)
        assert any(way in said for way in captions.WEATHERS[tableau.weather]), said


def test_season_is_said_with_its_place_and_never_alone() -> None:
    rng = random.Random(13)
    winter = Tableau(CAT_AND_HOUSE, place="city", season="winter")
    assert describe(winter) == "a black cat to the left of a red house in the city in winter by day, flat style"
    assert describe_zh(winter).startswith("冬天的城市里")
    for tableau in tableaux(400, seed=13):
        english, chinese = (say(tableau, rng, ALL, PLAIN) for say in (caption, caption_zh))
        ways = captions.SEASONS[tableau.season]
        told = [p for p in captions.PLACES[tableau.place] for way in ways if f"{p} {way}".strip() in english]
        assert told, english
        assert captions.SEASONS_ZH[tableau.season] in chinese
        if tableau.season == "summer" and tableau.place != "snow":
            assert not re.search(r"spring|autumn|\bfall\b|winter", english), english
            assert not any(way and way in chinese for way in captions.SEASONS_ZH.values())
    elsewhere = Shares(1, 0, 0, 0, 0, 1)
    assert "winter" not in " ".join(caption(winter, rng, elsewhere) for _ in range(100))


@pytest.mark.parametrize("place", SEASONAL)
def test_season_changes_the_ground_and_leaves_the_things_as_they_are(place: str) -> None:
    summer = Tableau(CAT_AND_HOUSE, place=place, seed=3)
    shown = np.any(outlined(summer), axis=0)
    pictures = {s: np.asarray(render_tableau(replace(summer, season=s))).astype(int) for s in SEASONS}
    for season in SEASONAL[place]:
        other = np.abs(pictures[season] - pictures["summer"]).sum(2)
        assert np.median(other[-12:]) > 30, season
        assert (other[shown] == 0).mean() > 0.95


def test_chinese_words_are_what_chinese_captions_are_made_of() -> None:
    rng = random.Random(11)
    known = "".join(sorted(chinese_words(), key=len, reverse=True))
    for tableau in tableaux(500, seed=11):
        said = caption_zh(tableau, rng)
        unknown = {letter for letter in said if letter not in known and not letter.isascii()}
        assert not unknown, said


def test_scene_of_a_subject_has_everything_around_it() -> None:
    tableau = Tableau(CAT_AND_HOUSE, place="snow", time="night", style="pixel", word="HI", seed=3)
    assert tableau.scene(1) == Scene("house", "red", 1, "medium", "snow", "night", "pixel", "HI", None, 3)


def test_vocabulary_is_every_word_of_the_captions_and_no_other() -> None:
    rng = random.Random(12)
    known = vocabulary()
    drawn = [replace(t, style="neon") if n % 9 == 0 else t for n, t in enumerate(tableaux(12_000, seed=12))]
    said = {}
    for tableau in drawn:
        text = caption(tableau, rng, Shares(thing=0.9))
        said |= dict.fromkeys(re.findall(r"[a-z0-9-]+", text.replace(tableau.word or " ", " ").lower()), text)
    english = [word for word in known if word.isascii()]
    assert not {word: text for word, text in said.items() if word not in english}
    assert not set(english) - set(said)
    assert {"dog", "butterflies", "left", "sign", "draw", "2", "狗", "的左边", "雨中"} <= set(known)
    assert not {"cafe", "zebra", "牌子上写着“", ""} & set(known)
