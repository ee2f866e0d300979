"""What people say about a tableau, in English and in Chinese: as `starter.captions`, for several different things.

Nothing is said that the picture does not show, and where nothing else is said things are named from left to right: a
model that is asked for "a cat and a dog" need not choose between two pictures, which few steps cannot do well.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from starter import captions
from starter.captions import (
    COLOUR_WORDS,
    NUMBERS,
    OPENINGS,
    PLACES,
    PLACES_ZH,
    SIZES,
    STYLES,
    TIMES,
    Shares,
    plural,
    sentence,
    sentence_zh,
    subject,
    subject_zh,
)
from starter.next.tableau import Tableau
from starter.world import COLOURS, Scene

NOUNS: dict[str, tuple[str, ...]] = {
    **captions.NOUNS,
    "dog": ("dog", "dog", "puppy"),
    "butterfly": ("butterfly",),
    "castle": ("castle",),
    "tent": ("tent",),
    "train": ("train", "train", "locomotive"),
    "plane": ("plane", "airplane", "aeroplane"),
    "apple": ("apple",),
    "hat": ("hat", "hat", "top hat"),
    "crown": ("crown",),
    "turtle": ("turtle", "turtle", "tortoise"),
}
NOUNS_ZH: dict[str, tuple[str, str]] = {
    **captions.NOUNS_ZH,
    "dog": ("狗", "条"),
    "butterfly": ("蝴蝶", "只"),
    "castle": ("城堡", "座"),
    "tent": ("帐篷", "顶"),
    "train": ("火车", "列"),
    "plane": ("飞机", "架"),
    "apple": ("苹果", "个"),
    "hat": ("帽子", "顶"),
    "crown": ("王冠", "顶"),
    "turtle": ("乌龟", "只"),
}
WEATHERS: dict[str, tuple[str, ...]] = {
    "clear": ("",),
    "rain": ("in the rain", "while it rains", "in heavy rain"),
    "snowfall": ("while it snows", "in falling snow", "in a snowfall"),
    "fog": ("in the fog", "in fog", "in the mist"),
}
WEATHERS_ZH: dict[str, tuple[str, ...]] = {
    "clear": ("",),
    "rain": ("雨中", "下雨时"),
    "snowfall": ("下雪时", "飘雪中"),
    "fog": ("雾中", "大雾中"),
}
# Said with the place, never alone: the place that is called snow is winter too.
SEASONS: dict[str, tuple[str, ...]] = {
    "summer": ("",),
    "spring": ("in spring", "in spring", "in springtime"),
    "autumn": ("in autumn", "in autumn", "in fall"),
    "winter": ("in winter", "in wintertime"),
}
SEASONS_ZH = {"summer": "", "spring": "春天", "autumn": "秋天", "winter": "冬天"}
# {0} is the first subject of a tableau, left or behind or riding; the plainest way comes first.
TOGETHER: dict[tuple[str, int], tuple[str, ...]] = {
    ("beside", 2): (
        "{0} to the left of {1}", "{1} to the right of {0}", "{0} left of {1}", "{0} on the left and {1} on the right",
        "{0} and {1}", "{0} and {1}", "{0} and {1}", "{0} next to {1}", "{0} beside {1}",
    ),
    ("beside", 3): (
        "{0}, {1} and {2}", "{0}, {1} and {2}", "{0} and {1} and {2}", "{1} between {0} and {2}",
        "from left to right {0}, {1} and {2}", "{0}, {1}, and {2}",
    ),
    ("behind", 2): ("{0} behind {1}", "{1} in front of {0}"),
    ("on", 2): ("{0} on {1}", "{0} on top of {1}", "{0} sitting on {1}"),
    ("in", 2): ("{0} in {1}", "{0} inside {1}", "{0} sitting in {1}"),
}  # fmt: skip
TOGETHER_ZH: dict[tuple[str, int], tuple[str, ...]] = {
    ("beside", 2): (
        "{0}在{1}的左边", "{1}在{0}的右边", "左边是{0}，右边是{1}", "{0}和{1}", "{0}和{1}", "{0}和{1}", "{0}在{1}旁边",
    ),
    ("beside", 3): (
        "{0}、{1}和{2}", "{0}、{1}和{2}", "{1}在{0}和{2}中间", "从左到右是{0}、{1}和{2}",
    ),
    ("behind", 2): ("{0}在{1}的后面", "{1}在{0}的前面"),
    ("on", 2): ("{0}在{1}的上面", "{0}坐在{1}上面"),
    ("in", 2): ("{0}在{1}里面", "{0}坐在{1}里面"),
}  # fmt: skip
SIGNS = (
    ' with a sign that says "{}"', " with a sign that says {}", ' and a sign that says "{}"', ' with the word "{}"',
    " with a sign saying {}",
)  # fmt: skip
SIGNS_ZH = ("，牌子上写着“{}”", "，牌子上写着{}", "和写着“{}”的牌子")


# Words between the places where things are filled in.
_WORDS = re.compile(r"[a-z0-9-]+(?![}0-9])")
_WORDS_ZH = re.compile(r"[\u4e00-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Telling:
    """How often a random caption names what a tableau has beyond the attributes of `captions.Shares`."""

    weather: float = 0.9
    season: float = 0.9
    sign_alone: float = 0.15
    """A caption of a picture with a sign that speaks of the sign only."""


PLAIN, ALL = Telling(weather=1, season=1, sign_alone=0), Shares(1, 1, 1, 1, 1, 1)


def describe(tableau: Tableau, say: Shares = ALL, telling: Telling = PLAIN) -> str:
    """The plain English sentence that names what is to be said of the tableau; everything, if nothing else is told."""
    return _english(tableau, random.Random(0), say, telling, plain=True)


def describe_zh(tableau: Tableau, say: Shares = ALL, telling: Telling = PLAIN) -> str:
    """The same as a plain Chinese sentence."""
    return _chinese(tableau, random.Random(0), say, telling, plain=True)


def caption(tableau: Tableau, rng: random.Random, shares: Shares | None = None, telling: Telling | None = None) -> str:
    """A random English way to ask for the tableau."""
    return _english(tableau, rng, shares or Shares(), telling or Telling(), plain=False)


def caption_zh(
    tableau: Tableau, rng: random.Random, shares: Shares | None = None, telling: Telling | None = None
) -> str:
    """A random Chinese way to ask for the tableau."""
    return _chinese(tableau, rng, shares or Shares(), telling or Telling(), plain=False)


def _english(tableau: Tableau, rng: random.Random, say: Shares, telling: Telling, plain: bool) -> str:
    scene = replace(tableau.scene(), word=None)
    if tableau.word is not None and rng.random() < telling.sign_alone:
        head = f"a{SIGNS[rng.randrange(2)].format(tableau.word).removeprefix(' with a')}"
    else:
        told = [subject(scene, rng, _of_each(say, tableau), plain, NOUNS) for scene in _scenes(tableau)]
        ways = TOGETHER.get((tableau.arrangement, len(told)), ("{0}",))
        head = (ways[0] if plain else rng.choice(ways)).format(*told)
        if tableau.word is not None:
            head += (SIGNS[0] if plain else rng.choice(SIGNS)).format(tableau.word)
    weather = rng.choice(WEATHERS[tableau.weather][: 1 if plain else None])
    if rng.random() >= telling.weather:
        weather = ""
    places = PLACES
    if rng.random() < telling.season and tableau.season != "summer":
        places = {tableau.place: tuple(f"{p} {s}" for p in PLACES[tableau.place] for s in SEASONS[tableau.season])}
    return sentence(head, scene, rng, say, plain, weather, places)


def _chinese(tableau: Tableau, rng: random.Random, say: Shares, telling: Telling, plain: bool) -> str:
    scene = replace(tableau.scene(), word=None)
    if tableau.word is not None and rng.random() < telling.sign_alone:
        head = f"写着“{tableau.word}”的牌子"
    else:
        told = [subject_zh(scene, rng, _of_each(say, tableau), NOUNS_ZH) for scene in _scenes(tableau)]
        ways = TOGETHER_ZH.get((tableau.arrangement, len(told)), ("{0}",))
        head = (ways[0] if plain else rng.choice(ways)).format(*told)
        if tableau.word is not None:
            head += (SIGNS_ZH[0] if plain else rng.choice(SIGNS_ZH)).format(tableau.word)
    weather = rng.choice(WEATHERS_ZH[tableau.weather][: 1 if plain else None])
    if rng.random() >= telling.weather:
        weather = ""
    places = PLACES_ZH
    if rng.random() < telling.season and tableau.season != "summer":
        places = {tableau.place: tuple(f"{SEASONS_ZH[tableau.season]}的{p}" for p in PLACES_ZH[tableau.place])}
    return sentence_zh(head, scene, rng, say, weather, places)


def _scenes(tableau: Tableau) -> list[Scene]:
    return [tableau.scene(number) for number in range(len(tableau.subjects))]


def _of_each(say: Shares, tableau: Tableau) -> Shares:
    """Among several things nobody speaks of sizes, which say nothing there."""
    return say if len(tableau.subjects) == 1 else replace(say, size=0)


def chinese_words() -> list[str]:
    """Every word that a Chinese caption of a tableau is made of."""
    words = [word for pair in NOUNS_ZH.values() for word in pair]
    words += [way for ways in WEATHERS_ZH.values() for way in ways if way]
    words += [word for ways in (*TOGETHER_ZH.values(), SIGNS_ZH) for way in ways for word in _WORDS_ZH.findall(way)]
    words += ["写着", "、", *(said for said in SEASONS_ZH.values() if said)]
    return [*dict.fromkeys([*captions.chinese_words(), *words])]


def vocabulary() -> list[str]:
    """Every word that a caption can hold, English ones in lower case and then Chinese ones; what a sign says is none.

    A model taught on these captions has never seen any other word.
    """
    tables = (NOUNS, PLACES, TIMES, STYLES, SIZES, WEATHERS, SEASONS)
    ways = [way for table in tables for said in table.values() for way in said]
    ways += [plural(noun) for said in NOUNS.values() for noun in said]
    ways += [colour for name in COLOURS for colour in COLOUR_WORDS.get(name, (name,))]
    ways += [number for said in NUMBERS.values() for number in said] + [
        way for said in TOGETHER.values() for way in said
    ]
    ways += [*SIGNS, *OPENINGS, "an", "one", "thing", "things"]
    english = {word for way in ways for word in _WORDS.findall(way.lower())}
    return sorted(english) + sorted(word for word in chinese_words() if _WORDS_ZH.fullmatch(word))
