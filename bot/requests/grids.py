"""From what a member typed about a grid to a request that the engine can run: `steps 4, 8, 12` as an axis.

Like `painting`, on which it builds: every limit comes from the engine's `Ready`, and it knows nothing of Discord.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from msgspec import structs

from bot.errors import MemberError
from bot.requests import painting
from bot.requests.lists import split
from bot.requests.numbers import number, whole
from bot.requests.painting import Options
from bot.words import N_, say
from inference.protocol import MAX_CELLS, AddOnInfo, Grid, Imagine, ModelInfo, Ready, because

HEADINGS = {
    "steps": N_("steps {value}"),
    "guidance": N_("guidance {value}"),
    "sampler": N_("sampler {value}"),
    "model": N_("model {value}"),
    "seed": N_("seed {value}"),
    "style": N_("style {value}"),
    "lora": N_("lora {value}"),
    "prompt": "{value}",
}
"""What can change from cell to cell, as members write it, and what is written beside the cells then."""

NAMES = tuple(HEADINGS)

HEADING_CHARS = 100

NO_GUIDANCE = N_("Guidance {typed} is not a number: write one like 0.6.")

COMPARED = 3
"""So many models the example of an axis names."""

EXAMPLES = (
    "steps 4, 8, 12",
    "guidance 2, 4, 8",
    "sampler Euler, DDIM, UniPC",
    "seed 1, 2, 3, 4",
    "style watercolour, cartoon",
    "prompt red, blue, green",
)
"""One for every name but `model` and `lora`, whose values depend on what is installed."""


@dataclass(frozen=True)
class Axis:
    """What changes from cell to cell, and the values it takes."""

    name: str
    """One of NAMES."""
    values: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """What is written beside the cells."""
        return tuple(say(HEADINGS[self.name], value=value)[:HEADING_CHARS] for value in self.values)


def examples(loras: Sequence[AddOnInfo], models: Sequence[ModelInfo] = ()) -> list[str]:
    """Axes that members can begin with, one for each of these LoRAs among them: without it, half of it, all of it; and
    one of the first of these models, where there are several."""
    halves = (f"lora {lora.name}:0, {lora.name}:{lora.weight / 2:g}, {lora.name}:{lora.weight:g}" for lora in loras)
    compared = ", ".join(model.name for model in models[:COMPARED])
    return [*EXAMPLES, *[f"model {compared}"] * (len(models) > 1), *halves]


def parse(text: str) -> Axis:
    """An axis as members write it: a name, or what their language calls it, then values with commas between them; one
    with a comma in quotes."""
    match = re.match(r"\s*([^\W\d]+)\s*[:：]?(.*)", text, re.DOTALL)
    name = _name(match[1].lower()) if match else None
    if match is None or name is None:
        raise MemberError(
            "{typed} is no axis: begin with one of {names}, for example `{example}`.",
            typed=text,
            names=NAMES,
            example=EXAMPLES[0],
        )
    found = tuple(value for value in split(" ".join(match[2].split())) if value)
    if not found:
        raise MemberError("The axis `{axis}` has no values: write some with commas between them.", axis=name)
    return Axis(name, found)


def compares_models(*axes: Axis | None) -> bool:
    """Whether one of these axes is that of models."""
    return any(axis is not None and axis.name == "model" for axis in axes)


def resolve(options: Options, x: Axis, y: Axis | None, ready: Ready, *, blind: bool = False) -> Grid:
    """The request that options come to along these axes, which change nothing but what they name; `blind` in an order
    that nobody knows, and with nothing of it beside the cells.

    Raises MemberError where what was typed makes no grid.
    """
    # Words and LoRAs can stand beside others of their kind; of everything else a picture has one.
    if y is not None and x.name == y.name and x.name not in ("prompt", "lora"):
        raise MemberError("Both axes change the `{axis}`: choose something else for one of them.", axis=x.name)
    for axis in (x, y):
        if axis is not None and axis.name == "prompt" and axis.values[0] not in options.prompt:
            raise MemberError(
                "The prompt does not hold {typed}: begin the values with words that stand in it; the others take their"
                " place.",
                typed=axis.values[0],
            )
    rows = 1 if y is None else len(y.values)
    if (many := len(x.values) * rows) > MAX_CELLS:
        raise MemberError.of(because("cells", count=many, most=MAX_CELLS))

    def cell(row: int, column: int) -> Imagine:
        changed = options if y is None else _changed(options, y, y.values[row])
        return painting.resolve(_changed(changed, x, x.values[column]), ready)

    # One noise for all of them, unless the seed is an axis.
    options = replace(options, seed=str(cell(0, 0).seed) if options.seed is None else options.seed)
    cells = [[cell(row, column) for column in range(len(x.values))] for row in range(rows)]
    grid = Grid(
        job=0,
        model=cells[0][0].model,
        cells=tuple(chain.from_iterable(cells)),
        columns=x.labels,
        rows=("",) if y is None else y.labels,
        blind=blind,
    )
    return _shuffled(grid) if blind else grid


def rerolled(request: Grid) -> Grid:
    """The same grid from new noise, and a blind one in a new order. Raises MemberError where the seed is an axis."""
    if len({cell.seed for cell in request.cells}) > 1:
        raise MemberError("The seed is an axis of this grid: ask for a new /grid with other seeds.")
    seed = painting.new_seed()
    again = structs.replace(request, cells=tuple(structs.replace(cell, seed=seed) for cell in request.cells))
    return _shuffled(again) if request.blind else again


def _shuffled(grid: Grid) -> Grid:
    """The grid with its columns and its rows in an order of chance; the first cell names its model as before."""
    chance = secrets.SystemRandom()
    across = chance.sample(range(len(grid.columns)), len(grid.columns))
    down = chance.sample(range(len(grid.rows)), len(grid.rows))
    return structs.replace(
        grid,
        cells=tuple(grid.cells[row * len(across) + column] for row in down for column in across),
        columns=tuple(grid.columns[column] for column in across),
        rows=tuple(grid.rows[row] for row in down),
    )


def _name(typed: str) -> str | None:
    """The axis that is called so, or stands so beside the cells; None where there is none."""
    called = {say(heading, value="").strip().lower(): name for name, heading in HEADINGS.items()}
    return typed if typed in NAMES else {**called, say("Prompt").lower(): "prompt"}.get(typed)


def _changed(options: Options, axis: Axis, value: str) -> Options:
    """The options with one value of an axis."""
    match axis.name:
        case "model":
            return replace(options, model=value)
        case "steps":
            return replace(options, steps=whole(value, painting.NO_STEPS))
        case "guidance":
            return replace(options, guidance=number(value, NO_GUIDANCE))
        case "sampler":
            return replace(options, sampler=value)
        case "seed":
            return replace(options, seed=value)
        case "style":
            return replace(options, style=None if value.lower() == "none" else value)
        case "lora":
            added = "" if value.lower() == "none" else re.sub("[+＋]", ",", value)
            return replace(options, loras=",".join((options.loras or "", added)))
        case _:
            return replace(options, prompt=options.prompt.replace(axis.values[0], value))
