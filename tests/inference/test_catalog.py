"""models.toml: what is read from it, and what the operator is told where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from inference import catalog, samplers
from inference.errors import CatalogError

GOOD = """
default = "one"
[models.one]
title = "One"
family = "sd1"
path = "weights"
width = 64
height = 64
min_size = 32
max_size = 128
max_pixels = 16384
steps = 8
guidance = 4
sampler = "DPM++ 2M"
upscaler = "x4"
[upscalers.x4]
title = "Four"
arch = "srvgg"
path = "x4.pth"
scale = 4
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text)
    return path


def test_a_good_catalogue_says_what_members_may_ask(tmp_path: Path) -> None:
    known = catalog.load(written(tmp_path, GOOD))
    info = known.info("one")
    assert (info.width, info.upscale, info.guidance, info.negative) == (64, 4, 4.0, True)
    assert "Euler a" in info.samplers
    assert "FlowMatch Euler" not in info.samplers
    assert known.folder == tmp_path


def test_the_catalogue_of_this_checkout_is_good() -> None:
    known = catalog.load(Path(__file__).parents[2] / "models.toml")
    assert known.default == "starter"
    assert {"sd15", "sd21", "sdxl", "sdxl-turbo", "sd35-large-turbo"} < set(known.models)


def test_every_sampler_that_the_catalogue_admits_is_made_of_something() -> None:
    assert set(get_args(catalog.Sampler)) == set(samplers.SCHEDULERS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 8", 'steps = "8"', "models.one: steps: Expected `int`, got `str`"),
        ("steps = 8", "steps = 8\nspeed = 9", "models.one: Object contains unknown field `speed`"),
        ("steps = 8\n", "", "models.one: Object missing required field `steps`"),
        ("steps = 8", "steps = 200", "models.one: steps: 200 is over max_steps (150)"),
        ('family = "sd1"', 'family = "sd9"', "models.one: family: Invalid enum value 'sd9'"),
        ("width = 64", "width = 60", "models.one: width: 60 must be a multiple of size_multiple (8)"),
        ("max_pixels = 16384", "max_pixels = 64", "models.one: max_pixels: 64 is less than width times height"),
        ("guidance = 4", "guidance = 40", "models.one: guidance: 40.0 is over max_guidance (30.0)"),
        ('path = "weights"\n', "", "models.one: path: give either a folder as path or a hub repository as repo"),
        ('"DPM++ 2M"', '"FlowMatch Euler"', "models.one: sampler: 'FlowMatch Euler' is not one of DPM++ 2M,"),
        ('"DPM++ 2M"', '"DDIM"\nsamplers = ["FlowMatch Euler"]', "samplers: the sd1 family does not admit"),
        ('upscaler = "x4"', 'upscaler = "x8"', "models.one: upscaler: there is no [upscalers.x8]"),
        ("scale = 4", "scale = 0", "upscalers.x4: scale: Expected `int` >= 1"),
        ("[models.one]", '[models."One two"]', "models.One two: a name is up to 64 of a-z"),
        ('default = "one"', 'default = "two"', "default: must name one of one, not 'two'"),
        ('default = "one"', "", "default: must name one of one, not None"),
        ('default = "one"', 'default = "one"\nmodel = 3', "model: no such field"),
        ('default = "one"', 'default = "one', "is not TOML"),
    ],
)
def test_a_wrong_catalogue_is_refused_in_one_line_with_file_entry_and_field(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(CatalogError) as refused:
        catalog.load(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_catalogue_without_models_and_a_missing_one_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="names no model"):
        catalog.load(written(tmp_path, 'default = "one"'))
    with pytest.raises(CatalogError, match="set EASEL_MODELS"):
        catalog.load(tmp_path / "nowhere.toml")
