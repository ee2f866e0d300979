"""The wider world: more things, and one to three different ones of them in one picture.

Words and content only, as in `starter.world`; the drawing is in `render`, the sentences are in `captions`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from starter import world
from starter.world import COLOURS, COUNTS, PLACES, SIZES, STYLES, TIMES, Scene

THINGS = (
    *world.THINGS, "dog", "butterfly", "castle", "tent", "train", "plane", "apple", "hat", "crown", "turtle",
)  # fmt: skip
WEATHERS = ("clear", "rain", "snowfall", "fog")
SEASONS = ("summer", "spring", "autumn", "winter")
# Where a season other than summer can be told. A meadow in winter would be the place that is called snow.
SEASONAL = {
    "meadow": ("spring", "autumn"),
    "mountains": ("spring", "autumn", "winter"),
    "city": ("autumn", "winter"),
}
# How different things stand to each other. "behind": the first stands behind the second; "on" and "in": the first
# sits on top of the second, or in it.
ARRANGEMENTS = ("beside", "behind", "on", "in")
RIDERS = ("cat", "dog", "bird", "robot", "turtle")
# What a rider can sit on, with the height of its seat in the pen's coordinates, and what it can sit in.
SEATS = {"house": -0.8, "car": -0.4, "mushroom": -0.78, "train": -0.6, "hat": -0.62, "apple": -0.5}
VESSELS = ("boat", "cup")
WORDS = (
    "AM", "AN", "AT", "BE", "BY", "DO", "GO", "HE", "HI", "IF", "IN", "IT", "ME", "MY", "NO", "OF", "OH", "OK", "ON",
    "OR", "SO", "TO", "UP", "US", "WE", "ACE", "AIR", "ALE", "ART", "BAG", "BAR", "BAY", "BED", "BEE", "BIG", "BOX",
    "BUS", "CAB", "CAR", "CAT", "COW", "CUP", "DAY", "DOG", "EAR", "EAT", "EGG", "FAN", "FAR", "FIG", "FOX", "FUN",
    "GAS", "GYM", "HAM", "HAT", "HOT", "HUT", "ICE", "INK", "INN", "IVY", "JAM", "JAR", "JET", "JOB", "JOY", "KEY",
    "KID", "LAB", "LAW", "LOG", "MAP", "MIX", "MUD", "NET", "NEW", "NUT", "OAK", "OIL", "OWL", "PAN", "PEN", "PET",
    "PIE", "PIG", "POP", "POT", "PUB", "RED", "RUG", "RUN", "SEA", "SKI", "SKY", "SPA", "SUM", "SUN", "TAG", "TAX",
    "TEA", "TOP", "TOY", "VAN", "WAX", "WAY", "WEB", "WIN", "WOW", "YES", "YOU", "ZIP", "ZOO", "2026", "AQUA", "ARCH",
    "AUTO", "BABY", "BALL", "BAND", "BANK", "BATH", "BEAN", "BEAR", "BEER", "BELL", "BIKE", "BIRD", "BLUE", "BOAT",
    "BOOK", "CAFE", "CAKE", "CAMP", "CARE", "CITY", "CLUB", "COAT", "COLD", "COOK", "CORN", "DEAL", "DESK", "DOOR",
    "DUCK", "EAST", "EASY", "EXIT", "FARM", "FAST", "FILM", "FIRE", "FISH", "FOOD", "FORK", "FREE", "GAME", "GIFT",
    "GOAT", "GOLD", "GOOD", "HALL", "HAND", "HERB", "HERO", "HIGH", "HOME", "HOPE", "IDEA", "IRIS", "IRON", "JAZZ",
    "JUMP", "KEEP", "KIDS", "KING", "KITE", "KIWI", "LAKE", "LAMB", "LAMP", "LEAF", "LIFE", "LION", "LOVE", "LUCK",
    "LUNA", "MAIL", "MENU", "MILK", "MINT", "MOON", "NEWS", "NEXT", "NICE", "NOON", "NOTE", "OPEN", "OVEN", "PALM",
    "PARK", "PEAR", "PINK", "PLAY", "PLUM", "POEM", "POLO", "POOL", "PUSH", "QUIZ", "RAIN", "READ", "RICE", "RING",
    "ROAD", "ROCK", "ROOM", "ROSE", "SAFE", "SAIL", "SALE", "SALT", "SAND", "SEED", "SHOP", "SILK", "SLOW", "SNOW",
    "SOAP", "SOFA", "SOUP", "STAR", "STOP", "SURF", "SWIM", "TAXI", "TEAM", "TENT", "TIME", "TOUR", "TRAM", "TREE",
    "TUNA", "VASE", "VIEW", "VOTE", "WALK", "WARM", "WASH", "WEST", "WILD", "WIND", "WINE", "WOLF", "WOOD", "WORK",
    "YARD", "YOGA", "ZERO", "APPLE", "BEACH", "BERRY", "BOOKS", "BRAVO", "BREAD", "BRICK", "CANDY", "CHESS", "CLOCK",
    "CLOUD", "COCOA", "DAILY", "DANCE", "DREAM", "EAGLE", "EARTH", "FIELD", "FLOUR", "FRESH", "FRUIT", "GLASS",
    "GRAPE", "GREEN", "HAPPY", "HELLO", "HONEY", "HOTEL", "HOUSE", "JEANS", "JELLY", "JUICE", "KOALA", "LEMON",
    "LIGHT", "LUNCH", "MAGIC", "MAPLE", "METRO", "MUSIC", "NIGHT", "NORTH", "OCEAN", "OLIVE", "PAPER", "PARTY",
    "PEACE", "PHOTO", "PIANO", "PIZZA", "PLANT", "QUEEN", "QUICK", "QUIET", "RADIO", "RIVER", "ROBOT", "SALAD",
    "SHEEP", "SHOES", "SMILE", "SPACE", "SPORT", "STORE", "SUGAR", "SWEET", "TIGER", "TOAST", "TODAY", "TOWER",
    "TRAIN", "VIDEO", "VIVID", "WAGON", "WATER", "WHALE", "WHEAT", "WORLD", "YOUTH", "ZEBRA",
)  # fmt: skip
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Never in any training picture or caption, as `world.HELD_OUT`; the words are never painted on a sign.
HELD_OUT = world.HELD_OUT | {("dog", "blue"), ("castle", "purple"), ("train", "pink"), ("turtle", "red")}
HELD_OUT_WORDS = frozenset({"CAFE", "PARK", "ZOO", "LUCK", "MUSIC", "BREAD", "SHOP", "SUN", "TRAM", "WORLD"})


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of thing in a picture; `count` of them, where nothing else is in it. `blend` is as in a Scene."""

    thing: str
    colour: str
    count: int = 1
    size: str = "medium"
    blend: str | None = None


@dataclass(frozen=True, slots=True)
class Tableau:
    """One picture's whole content: its subjects, left to right or as `arrangement` says, and all about them.

    If it is `aligned` they stand in whole cells, as the picture model is taught; else anywhere, as others see them.
    """

    subjects: tuple[Subject, ...]
    arrangement: str = "beside"
    place: str = "meadow"
    time: str = "day"
    style: str = "flat"
    weather: str = "clear"
    season: str = "summer"
    word: str | None = None
    seed: int = 0
    aligned: bool = False

    def scene(self, number: int = 0) -> Scene:
        """The scene that one of the subjects would be alone, in clear weather."""
        s = self.subjects[number]
        return Scene(
            s.thing, s.colour, s.count, s.size, self.place, self.time, self.style, self.word, s.blend, self.seed
        )

    @classmethod
    def sample(
        cls,
        rng: random.Random,
        *,
        kinds: Sequence[int] = (1, 2, 3),
        counts: Sequence[int] = COUNTS,
        sizes: Sequence[str] = SIZES,
        held_out: bool = False,
        word_share: float = 0.0,
        weather_share: float = 0.25,
    ) -> Tableau:
        """Draw a picture's content at random, of one, two or three different things as `kinds` allows.

        Its first subject is of a held-out pair if `held_out`, and no other ever is. `word_share` of the pictures carry
        a painted word, `weather_share` show some weather; half of those in a place that knows seasons are in another
        than summer.
        """
        kind = rng.choice(kinds)
        arrangement = rng.choices(ARRANGEMENTS, (6, 2, 1, 1))[0] if kind == 2 else "beside"
        place = rng.choice(PLACES)
        weathered = place != "space" and rng.random() < weather_share
        drawn = cls(
            subjects=_subjects(rng, kind, arrangement, counts, sizes, held_out),
            arrangement=arrangement,
            place=place,
            time="night" if place == "space" else rng.choice(TIMES),
            style=rng.choice(STYLES),
            weather=rng.choice(WEATHERS[1:]) if weathered else "clear",
            word=sign_word(rng) if rng.random() < word_share else None,
            seed=rng.randrange(2**31),
        )
        # Its own chance: all else is drawn as before there were seasons, so that kept pictures stay theirs.
        chance = random.Random(drawn.seed)
        seasonal = place in SEASONAL and chance.random() < 0.5
        return replace(drawn, season=chance.choice(SEASONAL[place])) if seasonal else drawn


def _subjects(
    rng: random.Random, kind: int, arrangement: str, counts: Sequence[int], sizes: Sequence[str], held_out: bool
) -> tuple[Subject, ...]:
    while True:
        if arrangement in ("on", "in"):
            things = [rng.choice(RIDERS), rng.choice(list(SEATS) if arrangement == "on" else VESSELS)]
        else:
            things = rng.sample(THINGS, kind)
        # Colours of their own, or nobody could tell whether each has its own.
        pairs = list(zip(things, rng.sample(COLOURS, kind), strict=True))
        if [pair in HELD_OUT for pair in pairs] == [held_out, *[False] * (kind - 1)]:
            break
    if kind == 1:
        return (Subject(*pairs[0], count=rng.choice(counts), size=rng.choice(sizes)),)
    return tuple(Subject(*pair) for pair in pairs)


def sign_word(rng: random.Random) -> str:
    """A word for a sign, never a held-out one: half are real, half letters in any order.

    Only these teach spelling; real words alone would be learnt as pictures.
    """
    while True:
        if rng.random() >= 0.5:
            return spelling(rng)
        if (word := rng.choice(WORDS)) not in HELD_OUT_WORDS:
            return word


def spelling(rng: random.Random) -> str:
    """Two to five letters at random, never a held-out word."""
    while True:
        if (word := "".join(rng.choices(LETTERS, k=rng.randint(2, 5)))) not in HELD_OUT_WORDS:
            return word
