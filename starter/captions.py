"""What people say about a scene, in English and in Chinese: paraphrases, left-out attributes, style endings.

`describe` gives the plain sentence of a scene, `caption` a random way to say it. A caption may leave attributes
out, and then says nothing of them; it never says anything that the picture does not show.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starter.world import COLOURS, LORA_STYLE, Scene

NOUNS: dict[str, tuple[str, ...]] = {
    "house": ("house", "house", "cottage", "home"),
    "boat": ("boat", "boat", "sailboat", "ship"),
    "tree": ("tree",),
    "car": ("car", "car", "automobile"),
    "fish": ("fish",),
    "flower": ("flower", "flower", "blossom"),
    "mushroom": ("mushroom", "mushroom", "toadstool"),
    "robot": ("robot",),
    "star": ("star",),
    "heart": ("heart",),
    "bird": ("bird",),
    "balloon": ("balloon", "hot-air balloon", "hot air balloon"),
    "cup": ("cup", "mug", "cup of coffee"),
    "rocket": ("rocket", "rocket", "spaceship"),
    "cat": ("cat", "cat", "kitty", "kitten"),
    "umbrella": ("umbrella", "umbrella", "parasol"),
}
_PLURALS = {
    "fish": "fish",
    "cup of coffee": "cups of coffee",
    "kitty": "kitties",
    "butterfly": "butterflies",
    "puppy": "puppies",
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "purple": ("purple", "purple", "violet"),
    "red": ("red", "red", "red", "scarlet"),
    "brown": ("brown",),
}
PLACES: dict[str, tuple[str, ...]] = {
    "meadow": ("on a meadow", "in a meadow", "on the meadow", "on the grass", "in a green field"),
    "sea": ("at sea", "on the sea", "on the water", "on the ocean", "in the ocean"),
    "desert": ("in the desert", "in a desert", "in the sandy desert"),
    "snow": ("in the snow", "on the snow", "in a snowy landscape", "in winter"),
    "city": ("in the city", "in a city", "in a town", "in the street"),
    "beach": ("on the beach", "at the beach", "on a beach", "on a sandy beach"),
    "mountains": ("in the mountains", "in front of mountains", "near the mountains"),
    "space": ("in space", "in outer space", "among the stars"),
}
TIMES: dict[str, tuple[str, ...]] = {
    "day": ("by day", "during the day", "in daylight", "on a sunny day", "at noon"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening light"),
    "night": ("at night", "at night", "by night", "in the moonlight"),
}
STYLES: dict[str, tuple[str, ...]] = {
    "flat": ("flat style", "flat design", "flat illustration"),
    "cartoon": ("cartoon", "cartoon style", "bold outlines"),
    "pixel": ("pixel art", "pixel art style", "8-bit pixel art"),
    "watercolour": ("watercolour", "watercolor", "watercolour style", "pastel watercolour"),
    "neon": ("neon", "neon style", "glowing neon", "neon lights"),
}
SIZES: dict[str, tuple[str, ...]] = {
    "small": ("small", "small", "tiny", "little"),
    "medium": ("medium-sized",),
    "large": ("large", "big", "huge"),
}
NUMBERS: dict[int, tuple[str, ...]] = {
    1: ("a",),
    2: ("two", "two", "2", "a pair of"),
    3: ("three", "three", "3"),
}
OPENINGS = ("a picture of ", "picture of ", "an image of ", "paint ", "draw ")

NOUNS_ZH: dict[str, tuple[str, str]] = {  # the word, and its measure word
    "house": ("房子", "座"),
    "boat": ("船", "艘"),
    "tree": ("树", "棵"),
    "car": ("汽车", "辆"),
    "fish": ("鱼", "条"),
    "flower": ("花", "朵"),
    "mushroom": ("蘑菇", "个"),
    "robot": ("机器人", "个"),
    "star": ("星星", "颗"),
    "heart": ("爱心", "颗"),
    "bird": ("鸟", "只"),
    "balloon": ("热气球", "个"),
    "cup": ("杯子", "个"),
    "rocket": ("火箭", "枚"),
    "cat": ("猫", "只"),
    "umbrella": ("雨伞", "把"),
}
COLOURS_ZH = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色",
    "purple": "紫色", "pink": "粉色", "brown": "棕色", "white": "白色", "black": "黑色",
}  # fmt: skip
PLACES_ZH: dict[str, tuple[str, ...]] = {
    "meadow": ("草地上", "草原上"),
    "sea": ("海上", "水面上"),
    "desert": ("沙漠里", "沙漠中"),
    "snow": ("雪地里", "雪中"),
    "city": ("城市里", "街上"),
    "beach": ("海滩上", "沙滩上"),
    "mountains": ("山里", "群山前"),
    "space": ("太空中", "宇宙中"),
}
TIMES_ZH = {"day": ("白天",), "sunset": ("日落时", "黄昏"), "night": ("夜晚", "晚上")}
STYLES_ZH = {
    "flat": ("扁平风格",),
    "cartoon": ("卡通风格",),
    "pixel": ("像素画",),
    "watercolour": ("水彩画",),
    "neon": ("霓虹风格",),
}
SIZES_ZH = {"small": ("小", "小小的"), "medium": ("中等大小的",), "large": ("大", "巨大的")}
NUMBERS_ZH = {1: "一", 2: "两", 3: "三"}


@dataclass(frozen=True, slots=True)
class Shares:
    """How often a random caption names each attribute."""

    colour: float = 0.94
    place: float = 0.85
    time: float = 0.75
    style: float = 0.6
    size: float = 0.5
    count: float = 0.97
    thing: float = 1.0
    """Where it is not named it is called a thing. English captions alone know this."""


def plural(noun: str) -> str:
    """The English plural of one of the world's nouns."""
    return _PLURALS.get(noun, noun + "s")


def describe(scene: Scene) -> str:
    """The plain English sentence that names everything in the scene."""
    return _english(scene, random.Random(0), Shares(1, 1, 1, 1, 1, 1), plain=True)


def caption(scene: Scene, rng: random.Random, shares: Shares | None = None) -> str:
    """A random English way to ask for the scene."""
    return _english(scene, rng, shares or Shares(), plain=False)


def caption_zh(scene: Scene, rng: random.Random, shares: Shares | None = None) -> str:
    """A random Chinese way to ask for the scene."""
    say = shares or Shares()
    return sentence_zh(subject_zh(scene, rng, say), scene, rng, say)


def subject_zh(scene: Scene, rng: random.Random, say: Shares, nouns: Mapping[str, tuple[str, str]] = NOUNS_ZH) -> str:
    """A random Chinese way to say the things of the scene alone."""
    noun, measure = nouns[scene.thing]
    head = ""
    if rng.random() < say.count:
        head = NUMBERS_ZH[scene.count] + measure
    if rng.random() < say.size and (scene.size != "medium" or rng.random() < 0.3):
        head += rng.choice(SIZES_ZH[scene.size])
    if rng.random() < say.colour and scene.blend is None:
        head += COLOURS_ZH[scene.colour] + rng.choice(("的", ""))
    return head + noun


def sentence_zh(
    head: str,
    scene: Scene,
    rng: random.Random,
    say: Shares,
    weather: str = "",
    places: Mapping[str, tuple[str, ...]] = PLACES_ZH,
) -> str:
    """A random Chinese way to say `head` and all that is around it in the scene; `weather` stands beside the time."""
    time = rng.choice(TIMES_ZH[scene.time]) if rng.random() < say.time else ""
    place = rng.choice(places[scene.place]) if rng.random() < say.place else ""
    where = rng.choice((time + place, place + time)) if place else time
    where = weather + where
    said = where + (rng.choice(("的", "有")) if where else "") + head
    if scene.word is not None:
        said += f"，牌子上写着“{scene.word}”"
    if rng.random() < say.style:
        said += rng.choice(("，", ", ")) + rng.choice(STYLES_ZH[scene.style])
    return said


def chinese_words() -> list[str]:
    """Every word that a Chinese caption is made of."""
    words = [noun for pair in NOUNS_ZH.values() for noun in pair] + [
        *COLOURS_ZH.values(),
        *NUMBERS_ZH.values(),
    ]
    for table in (PLACES_ZH, TIMES_ZH, STYLES_ZH, SIZES_ZH):
        words += [word for ways in table.values() for word in ways]
    return [*dict.fromkeys([*words, "的", "有", "牌子上写着", "在", "，", "“", "”"])]


def vocabulary() -> list[str]:
    """Every word that an English caption can hold, in lower case, but for the style that only the LoRA is taught."""
    styles = {name: said for name, said in STYLES.items() if name != LORA_STYLE}
    ways = [way for table in (NOUNS, PLACES, TIMES, styles, SIZES, NUMBERS) for said in table.values() for way in said]
    ways += [plural(noun) for said in NOUNS.values() for noun in said]
    ways += [way for colour in COLOURS for way in COLOUR_WORDS.get(colour, (colour,))]
    ways += [*OPENINGS, "an", "one", "thing", "things"]
    return sorted({word for way in ways for word in re.findall(r"[a-z0-9-]+", way.lower())})


def _english(scene: Scene, rng: random.Random, say: Shares, plain: bool) -> str:
    return sentence(subject(scene, rng, say, plain), scene, rng, say, plain)


def sentence(
    head: str,
    scene: Scene,
    rng: random.Random,
    say: Shares,
    plain: bool,
    weather: str = "",
    places: Mapping[str, tuple[str, ...]] = PLACES,
) -> str:
    """An English way to say `head` and all that is around it in the scene; `weather` stands beside the time."""

    def pick(words: tuple[str, ...]) -> str:
        return words[0] if plain else rng.choice(words)

    place = pick(places[scene.place]) if rng.random() < say.place else ""
    # Nobody says that it is night in space.
    wants_time = rng.random() < say.time and scene.place != "space"
    time = pick(TIMES[scene.time]) if wants_time else ""
    time = " ".join(part for part in (time, weather) if part)
    if scene.word is not None:
        head += f' with a sign that says "{scene.word}"'
    order = 0 if plain else rng.choices((0, 1, 2, 3), (60, 15, 13, 12))[0]
    if order == 0:
        parts = [head, place, time]
    elif order == 1:
        parts = [head, time, place]
    elif order == 2:
        parts = [f"{time}," if time else "", head, place]
    else:
        parts = [f"{place}," if place else "", head, time]
    said = " ".join(part for part in parts if part)
    style = pick(STYLES[scene.style]) if rng.random() < say.style else ""
    if style and not plain and rng.random() < 0.2:
        is_noun = order < 2 and "style" not in style and "outlines" not in style and "flat design" not in style
        return f"{style} of {said}" if is_noun else f"{style}, {said}"
    if not plain and rng.random() < 0.1:
        said = rng.choice(OPENINGS) + said
    return f"{said}, {style}" if style else said


def subject(
    scene: Scene, rng: random.Random, say: Shares, plain: bool, nouns: Mapping[str, tuple[str, ...]] = NOUNS
) -> str:
    """An English way to say the things of the scene alone."""
    noun = nouns[scene.thing][0] if plain else rng.choice(nouns[scene.thing])
    if say.thing < 1 and rng.random() >= say.thing:
        noun = "thing"
    words = []
    # A middling size goes without saying, mostly.
    if (scene.size != "medium" or (not plain and rng.random() < 0.2)) and rng.random() < say.size:
        words.append(SIZES[scene.size][0] if plain else rng.choice(SIZES[scene.size]))
    if rng.random() < say.colour and scene.blend is None:
        ways = COLOUR_WORDS.get(scene.colour, (scene.colour,))
        words.append(ways[0] if plain else rng.choice(ways))
    words.append(noun if scene.count == 1 else plural(noun))
    if scene.count > 1:
        number = NUMBERS[scene.count][0] if plain else rng.choice(NUMBERS[scene.count])
        return " ".join([number, *words])
    if rng.random() >= say.count:
        return " ".join(words)
    roll = rng.random()
    if not plain and roll < 0.08:
        return " ".join(["one", *words])
    if not plain and roll < 0.2:
        return " ".join(words)
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])
