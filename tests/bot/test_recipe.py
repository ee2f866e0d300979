"""What Show recipe says of the texts in a picture."""

from __future__ import annotations

import pytest

from bot.commands.recipe import SHOWN_CHARS, _block, _of_file
from bot.pictures.recipes import Recipe

MOST_CHARS = 2000
"""Discord's limit for a message."""


@pytest.mark.parametrize("text", ["`" * number for number in range(1, 12)] + ["a```b````c`````d", "``\n`", "`" * 5000])
def test_no_run_of_backticks_ends_the_block(text: str) -> None:
    block = _block(text)
    assert block.startswith("```\n")
    assert block.endswith("\n```")
    assert "``" not in block.removeprefix("```").removesuffix("```")
    assert len(block) <= MOST_CHARS


def test_long_recipe_is_cut_and_comes_whole_in_a_file() -> None:
    long = "`" * SHOWN_CHARS + "x"
    said, [file] = _of_file(Recipe(None, long, long, "txt"))
    assert len(said) <= MOST_CHARS
    assert (file.filename, file.fp.read()) == ("recipe.txt", long.encode())
    said, files = _of_file(Recipe("Easel", long, "{}", "json"))
    assert len(said) <= MOST_CHARS
    assert [file.filename for file in files] == ["recipe.json", "recipe.txt"]


def test_recipe_says_whose_it_is_where_that_is_sure() -> None:
    said, files = _of_file(Recipe(None, "short", "short", "txt"))
    assert (said, files) == ("Made with another tool, as the file says:\n```\nshort\n```", [])
    said, [file] = _of_file(Recipe("ComfyUI", "a red house", "{}", "json"))
    assert said == "Made with ComfyUI, as the file says:\n```\na red house\n```"
    assert (file.filename, file.fp.read()) == ("recipe.json", b"{}")


def test_recipe_that_nobody_can_put_into_words_is_in_the_file() -> None:
    said, [file] = _of_file(Recipe("ComfyUI", "", "{}", "json"))
    assert said == "Made with ComfyUI, whose recipe is in the file."
    assert file.filename == "recipe.json"
