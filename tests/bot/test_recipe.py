"""What Show recipe says of the texts in a picture."""

from __future__ import annotations

import pytest

from bot.commands.recipe import SHOWN_CHARS, _block, _of_texts
from bot.errors import MemberError

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
    said, [file] = _of_texts({"parameters": "`" * SHOWN_CHARS + "x"})
    assert len(said) <= MOST_CHARS
    assert file.fp.read() == b"`" * SHOWN_CHARS + b"x"
    said, files = _of_texts({"parameters": "short"})
    assert (said, files) == ("```\nshort\n```", [])


def test_recipes_of_other_tools_come_as_files() -> None:
    said, [file] = _of_texts({"workflow": "{}"})
    assert "ComfyUI" in said
    assert file.filename == "recipe.json"
    with pytest.raises(MemberError, match="carries no recipe"):
        _of_texts({})
