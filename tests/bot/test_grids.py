"""From the axes that a member typed to the cells of a grid."""

from __future__ import annotations

import pytest

from bot.errors import MemberError
from bot.requests import grids
from bot.requests.grids import Axis
from bot.requests.painting import Options
from bot.words import speaking
from inference.protocol import Grid, Lora, Ready
from tests.bot.conftest import add_on, possible, ready

OPTIONS = Options(prompt="a red house", seed="7")
INK = add_on("ink", "Ink", ("starter",), weight=0.8)
NEON = add_on("neon", "Neon", ("starter", "turbo"), weight=1.0)
XL = add_on("xl", "For XL", ("turbo",), weight=1.0)


def able() -> Ready:
    return ready(loras=(INK, NEON, XL), max_loras=3)


def resolved(x: str, y: str | None = None, options: Options = OPTIONS) -> Grid:
    return possible(grids.resolve(options, grids.parse(x), None if y is None else grids.parse(y), able()), able())


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("steps 4, 8, 12", Axis("steps", ("4", "8", "12"))),
        (" Steps: 4,8 ", Axis("steps", ("4", "8"))),
        ("guidance 2.5", Axis("guidance", ("2.5",))),
        ("sampler DPM++ 2M, Euler a", Axis("sampler", ("DPM++ 2M", "Euler a"))),
        ('prompt red, "red, white", deep  blue,', Axis("prompt", ("red", "red, white", "deep blue"))),
        ("prompt red, blue, “red, white and blue”", Axis("prompt", ("red", "blue", "red, white and blue"))),
        ("prompt： red， «blue, white»，„green, grey“", Axis("prompt", ("red", "blue, white", "green, grey"))),
        ("prompt ‘a, b’, cat’s, rock ’n’ roll", Axis("prompt", ("a, b", "cat’s", "rock ’n’ roll"))),
        ('prompt "a ""b"" c", “d”e', Axis("prompt", ('a "b" c', "“d”e"))),
        ('prompt red, 6" wide', Axis("prompt", ("red", '6" wide'))),
        ("seed 1,\r\n2", Axis("seed", ("1", "2"))),
        ("lora neon:0, ink + neon:0.5,none", Axis("lora", ("neon:0", "ink + neon:0.5", "none"))),
        *((example, grids.parse(example)) for example in grids.examples([INK])),
    ],
)
def test_an_axis_is_a_name_and_its_values(text: str, axis: Axis) -> None:
    assert grids.parse(text) == axis


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hats 1, 2", "'hats 1, 2' is no axis: begin with one of steps, guidance, .*, for example `steps 4, 8, 12`."),
        ("4, 8", "'4, 8' is no axis"),
        ("", "'' is no axis"),
        ("steps", "The axis `steps` has no values: write some with commas between them."),
        ("steps , ,", "The axis `steps` has no values"),
    ],
)
def test_what_is_no_axis_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(MemberError, match=sentence):
        grids.parse(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("步数 4, 8", "steps"),
        ("步数4，8", "steps"),
        ("引导系数：4, 8", "guidance"),
        ("采样器 4, 8", "sampler"),
        ("种子 4, 8", "seed"),
        ("风格 4, 8", "style"),
        ("LoRA 4, 8", "lora"),
        ("提示词 4, 8", "prompt"),
        ("steps 4, 8", "steps"),
    ],
)
def test_an_axis_is_called_as_it_stands_beside_the_cells_too(text: str, name: str) -> None:
    with speaking("zh-CN"):
        assert grids.parse(text) == Axis(name, ("4", "8"))
    if name != "lora" and text[0] != "s":
        with pytest.raises(MemberError, match="is no axis"):
            grids.parse(text)


def test_cells_stand_row_by_row_and_differ_in_nothing_but_the_axes() -> None:
    grid = resolved("steps 4, 8, 12", "guidance 2, 5")
    assert [(cell.steps, cell.guidance) for cell in grid.cells] == [
        (4, 2), (8, 2), (12, 2),
        (4, 5), (8, 5), (12, 5),
    ]  # fmt: skip
    assert (grid.columns, grid.rows) == (("steps 4", "steps 8", "steps 12"), ("guidance 2", "guidance 5"))
    assert {(cell.prompt, cell.seed, cell.sampler, cell.width) for cell in grid.cells} == {
        ("a red house", 7, "DPM++ 2M", 64)
    }
    assert grid.places == 6
    assert grid.work == sum(cell.work for cell in grid.cells)


def test_without_a_seed_all_cells_have_the_same_new_one() -> None:
    options = Options(prompt="a red house")
    first, second = resolved("steps 4, 8", options=options), resolved("steps 4, 8", options=options)
    assert len({cell.seed for cell in first.cells}) == 1
    assert first.cells[0].seed != second.cells[0].seed


def test_every_axis_changes_what_it_names() -> None:
    assert [cell.seed for cell in resolved("seed 3, 1").cells] == [3, 1]
    assert [cell.sampler for cell in resolved("sampler Euler a, DPM++ 2M").cells] == ["Euler a", "DPM++ 2M"]
    assert [cell.style and cell.style.name for cell in resolved("style none, oil").cells] == [None, "oil"]
    words = resolved("prompt red, blue", "prompt house, boat")
    assert [cell.prompt for cell in words.cells] == ["a red house", "a blue house", "a red boat", "a blue boat"]
    assert (words.columns, words.rows) == (("red", "blue"), ("house", "boat"))
    added = resolved("lora none, neon:0, Ink + neon:-0.5")
    assert [cell.loras for cell in added.cells] == [(), (Lora("neon", 0.0),), (Lora("ink", 0.8), Lora("neon", -0.5))]
    assert added.columns == ("lora none", "lora neon:0", "lora Ink + neon:-0.5")


def test_two_axes_of_loras_and_the_prompts_own_tags_add_up() -> None:
    options = Options(prompt="a red house <lora:ink:0.3>", seed="7")
    assert {cell.loras for cell in resolved("seed 1, 2", options=options).cells} == {(Lora("ink", 0.3),)}
    assert [cell.loras for cell in resolved("lora none, neon:1", options=options).cells] == [
        (Lora("ink", 0.3),),
        (Lora("neon", 1.0), Lora("ink", 0.3)),
    ]
    table = resolved("lora ink:0, ink:1", "lora neon:0, neon:1")
    assert [tuple(lora.weight for lora in cell.loras) for cell in table.cells] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {tuple(lora.name for lora in cell.loras) for cell in table.cells} == {("neon", "ink")}


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        ("steps 4, 8", "steps 2", "Both axes change the `steps`: choose something else for one of them."),
        ("prompt green, blue", None, "The prompt does not hold 'green': begin the values with words that stand in it"),
        ("steps 1,2,3,4,5", "guidance 1,2,3,4", "This grid has 20 pictures and 16 is the most: name fewer values."),
        ("steps 4, 900", None, "Steps 900 does not fit: choose a number from 1 to 150."),
        ("steps 4, many", None, "Steps 'many' is not a whole number"),
        ("guidance high", None, "Guidance 'high' is not a number"),
        ("sampler Heun", None, "Starter has no sampler called 'Heun'"),
        ("style chalk", None, "Starter has no style called 'chalk'"),
        ("seed lucky", None, "Seed 'lucky' is not a whole number"),
        ("prompt red, (red:99)", None, "The weight 99"),
        ("lora neon, chalk:1", None, "There is no LoRA called 'chalk' here: choose one of ink, neon."),
        ("lora xl", None, "The LoRA 'xl' does not go with Starter: leave `lora` out"),
        ("lora neon:3", None, "The weight 3 of a LoRA does not fit: choose a number from -2 to 2."),
        ("lora neon:much", None, "The weight of neon 'much' is not a number"),
        ("lora neon:1 + neon:0.5", None, "The LoRA 'neon' comes twice: name it once."),
        ("lora neon:1", "lora none, neon:0.5", "The LoRA 'neon' comes twice"),
    ],
)
def test_a_grid_that_cannot_be_painted_gets_a_sentence(x: str, y: str | None, sentence: str) -> None:
    with pytest.raises(MemberError, match=sentence):
        resolved(x, y)


def test_a_grid_of_too_many_pixels_gets_a_sentence() -> None:
    engine = ready()
    large = [type(model)(**{**_fields(model), "upscale": 32}) for model in engine.models]
    with pytest.raises(MemberError, match="This grid would have 268 million pixels and 140 is the most"):
        told = ready(models=tuple(large))
        seeds = grids.parse("seed " + ",".join("123456789"[:8] * 2))
        possible(grids.resolve(Options(prompt="x", width=128, height=128), seeds, None, told), told)


def _fields(struct: object) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}  # type: ignore[attr-defined]


def test_reroll_gives_all_cells_one_new_seed_unless_the_seed_is_an_axis() -> None:
    again = grids.rerolled(resolved("steps 4, 8"))
    assert len({cell.seed for cell in again.cells}) == 1
    assert [cell.steps for cell in again.cells] == [4, 8]
    with pytest.raises(MemberError, match="The seed is an axis of this grid"):
        grids.rerolled(resolved("seed 1, 2"))


def test_old_grid_is_checked_against_todays_engine() -> None:
    with pytest.raises(MemberError, match="no model called 'starter'"):
        possible(resolved("steps 4, 8"), ready(models=(), default_model="turbo"))


def test_models_are_compared_each_with_its_own_settings_where_none_are_named() -> None:
    grid = resolved("model starter, turbo", options=Options(prompt="a red house", model="turbo", steps=1))
    assert [(cell.model, cell.steps, cell.width) for cell in grid.cells] == [("starter", 1, 64), ("turbo", 1, 512)]
    assert len({cell.seed for cell in grid.cells}) == 1
    assert (grid.model, grid.columns) == ("starter", ("model starter", "model turbo"))
    # The model of the command is none of them.
    assert resolved("model starter", "steps 2, 3", Options(prompt="x", model="none such")).cells[0].model == "starter"
    with pytest.raises(MemberError, match="no model called 'none such'"):
        resolved("model starter, none such")
    assert grids.examples((), ready().models)[-1] == "model starter, turbo"
    assert grids.examples((), ready().models[:1]) == [*grids.EXAMPLES]


def test_blind_grid_is_mixed_and_its_labels_with_it() -> None:
    def mixed() -> Grid:
        able_to = able()
        axes = grids.parse("steps 1, 2, 3, 4"), grids.parse("guidance 1, 2, 3, 4")
        return possible(grids.resolve(OPTIONS, *axes, able_to, blind=True), able_to)

    seen = {mixed().cells for _ in range(8)}
    assert len(seen) > 1
    for grid in (mixed(), grids.rerolled(mixed())):
        assert grid.headings == (("A", "B", "C", "D"), ("1", "2", "3", "4"))
        assert sorted(grid.columns) == [f"steps {steps}" for steps in (1, 2, 3, 4)]
        for place, cell in enumerate(grid.cells):
            row, column = divmod(place, 4)
            assert grid.columns[column] == f"steps {cell.steps}"
            assert grid.rows[row] == f"guidance {cell.guidance:g}"
    again = {grids.rerolled(mixed()).columns for _ in range(12)}
    assert len(again) > 1
    assert resolved("steps 1, 2").headings == (("steps 1", "steps 2"), ("",))
