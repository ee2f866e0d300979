"""From what a member typed about a grid to a request that the engine can run: `steps 4, 8, 12` as an axis.

Like `painting`, on which it builds: every limit comes from the engine's `Ready`, and it knows nothing of Discord.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from bot.errors import MemberError
from bot.requests import painting
from bot.requests.lists import split
from bot.requests.numbers import number, whole
from bot.requests.painting import Options
from bot.words import N_, say
from inference.protocol import MAX_CELLS, AddOnInfo, Grid, Ready, because

HEADINGS = {
    "steps": N_("steps {value}"),
    "guidance": N_("guidance {value}"),
    "sampler": N_("sampler {value}"),
    "seed": N_("seed {value}"),
    "style": N_("style {value}"),
    "lora": N_("lora {value}"),
    "prompt": "{value}",
}
"""What can change from cell to cell, as members write it, and what is written beside the cells then."""

NAMES = tuple(HEADINGS)

HEADING_CHARS = 100

NO_GUIDANCE = N_("Guidance {typed} is not a number: write one like 0.6.")

EXAMPLES = (
    "steps 4, 8, 12",
    "guidance 2, 4, 8",
    "sampler Euler, DDIM, UniPC",
    "seed 1, 2, 3, 4",
    "style watercolour, cartoon",
    "prompt red, blue, green",
)
"""One for every name but `lora`, whose values depend on what is installed."""


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


def examples(loras: Sequence[AddOnInfo]) -> list[str]:
    """Axes that members can begin with, one for each of these LoRAs among them: without it, half of it, all of it."""
    halves = (f"lora {lora.name}:0, {lora.name}:{lora.weight / 2:g}, {lora.name}:{lora.weight:g}" for lora in loras)
    return [*EXAMPLES, *halves]


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


def resolve(options: Options, x: Axis, y: Axis | None, ready: Ready) -> Grid:
    """The request that options come to along these axes, which change nothing but what they name.

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
    first = painting.resolve(options, ready)
    # One noise for all of them, unless the seed is an axis.
    options = replace(options, seed=str(first.seed))
    rows = [options] if y is None else [_changed(options, y, value) for value in y.values]
    many = len(x.values) * len(rows)
    if many > MAX_CELLS:
        raise MemberError.of(because("cells", count=many, most=MAX_CELLS))
    return Grid(
        job=0,
        model=first.model,
        cells=tuple(painting.resolve(_changed(row, x, value), ready) for row in rows for value in x.values),
        columns=x.labels,
        rows=("",) if y is None else y.labels,
    )


def rerolled(request: Grid) -> Grid:
    """The same grid from new noise. Raises MemberError where the seed is an axis of it."""
    if len({cell.seed for cell in request.cells}) > 1:
        raise MemberError("The seed is an axis of this grid: ask for a new /grid with other seeds.")
    seed = painting.new_seed()
    return structs.replace(request, cells=tuple(structs.replace(cell, seed=seed) for cell in request.cells))


def _name(typed: str) -> str | None:
    """The axis that is called so, or stands so beside the cells; None where there is none."""
    called = {say(heading, value="").strip().lower(): name for name, heading in HEADINGS.items()}
    return typed if typed in NAMES else {**called, say("Prompt").lower(): "prompt"}.get(typed)


def _changed(options: Options, axis: Axis, value: str) -> Options:
    """The options with one value of an axis."""
    match axis.name:
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
