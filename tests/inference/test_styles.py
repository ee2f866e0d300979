"""styles.toml: what each model is given of it, what the operator is told where it is wrong, what comes of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.catalog import reading
from inference.errors import CatalogError
from inference.models.store import Store
from inference.protocol import Style
from starter.captions import STYLES
from tests.inference.conftest import ask_for
from tests.inference.folders import bytes_of
from tests.inference.test_imagine import paint, pixels

ROOT = Path(__file__).parents[2]

MODEL = """
[models.{name}]
title = "{name}"
family = "{family}"
path = "weights"
width = 64
height = 64
min_size = 32
max_size = 128
max_pixels = 16384
steps = 1
guidance = 1
sampler = "Euler a"
{more}
"""
MODELS = "default = 'one'\n" + "".join(
    MODEL.format(name=name, family=family, more=more)
    for name, family, more in (
        ("one", "sd1", ""),
        ("two", "sdxl", "negative = false"),
        ("three", "sdxl", 'styles = ["oil"]'),
    )
)
STYLES_TOML = """
[tags.sdxl]
prompt = "detailed"
negative = "blurry"
[tags.three]
negative = "grey"
[styles.oil]
title = "Oil painting"
prompt = "oil painting of {prompt}"
negative = "photograph"
[styles.sketch]
title = "Sketch"
prompt = "sketch of {prompt}"
[styles.sketch.for.one]
prompt = "{prompt}, sketchy"
negative = "colour"
[styles.sketch.for.sdxl]
prompt = "XL {prompt}"
"""

OIL = Style("oil", "Oil painting", "oil painting of {prompt}, big", "photo")


def written(folder: Path, styles: str | None) -> Path:
    """A catalogue of three models with these styles beside it."""
    (folder / "models.toml").write_text(MODELS)
    if styles is not None:
        (folder / "styles.toml").write_text(styles)
    return folder / "models.toml"


def test_each_model_is_given_its_own_words(tmp_path: Path) -> None:
    known = reading.load(written(tmp_path, STYLES_TOML))
    assert known.info("one", on_gpu=False).styles == (
        Style("oil", "Oil painting", "oil painting of {prompt}", "photograph"),
        Style("sketch", "Sketch", "{prompt}, sketchy", "colour"),
    )
    assert known.info("two", on_gpu=False).styles == (
        Style("oil", "Oil painting", "oil painting of {prompt}, detailed", ""),
        Style("sketch", "Sketch", "XL {prompt}, detailed", ""),
    )
    assert known.info("three", on_gpu=False).styles == (
        Style("oil", "Oil painting", "oil painting of {prompt}", "photograph, grey"),
    )


def test_without_the_file_there_are_no_styles(tmp_path: Path) -> None:
    known = reading.load(written(tmp_path, None))
    assert [known.info(name, on_gpu=False).styles for name in known.models] == [(), (), ()]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sketch of {prompt}", "sketch", "styles.sketch: prompt: write {prompt} where the member's words shall stand"),
        ('title = "Sketch"', "", "styles.sketch: .*title"),
        ('title = "Sketch"', 'title = "Sketch"\ncolour = 1', "styles.sketch: .*colour"),
        ("[styles.sketch]", "[styles.Sketch]", "a name is up to 64 of a-z"),
        ("for.one", "for.four", "styles.sketch.for.four: there is no model or family called four"),
        ("XL {prompt}", "XL", "styles.sketch.for.sdxl: prompt: write {prompt}"),
        ("[tags.three]", "[tags.sd9]", "tags.sd9: there is no model or family called sd9"),
        ("[styles.oil]", "[styles.acrylic]", r"there is no \[styles.oil\], which models.three asks for"),
        ("sketch of {prompt}", "sketch of ({prompt}:99)", "styles.sketch: no model can weigh words so: value 99.0"),
        ("oil painting of {prompt}", "{prompt} <lora:ink:1>", "styles.oil: the LoRA ink is not here: leave it out, or"),
        ("[tags.three]", "[label_sets]", "label_sets: no such field; there are styles, tags"),
        ("[tags.three]", "[tags", "is not TOML"),
    ],
)
def test_a_mistake_is_answered_with_the_file_and_the_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = written(tmp_path, STYLES_TOML.replace(old, new))
    with pytest.raises(CatalogError, match=f"styles.toml.*{words}"):
        reading.load(path)


def test_the_lora_of_a_style_goes_with_every_model_that_is_given_it(tmp_path: Path) -> None:
    lora = '[loras.ink]\ntitle = "Ink"\npath = "ink.safetensors"\nmodels = ["one"]\n'
    path = written(tmp_path, STYLES_TOML.replace("{prompt}, sketchy", "{prompt}, sketchy <LORA:Ink:0.5>"))
    path.write_text(MODELS + lora)
    assert reading.load(path).info("one", on_gpu=False).styles[1].prompt == "{prompt}, sketchy <LORA:Ink:0.5>"
    written(tmp_path, STYLES_TOML.replace("oil painting of {prompt}", "{prompt} <lora:ink>"))
    path.write_text(MODELS + lora)
    with pytest.raises(CatalogError, match="styles.oil: the LoRA ink does not go with two: leave it out, or write"):
        reading.load(path)


def test_the_styles_of_this_checkout_are_sound_and_the_starters_are_those_it_was_taught() -> None:
    known = reading.load(ROOT / "models.toml")
    taught = {words for ways in STYLES.values() for words in ways}
    for style in known.info("starter", on_gpu=False).styles:
        assert style.prompt.removeprefix("{prompt}, ") in taught
        assert style.negative == ""
    titles = {style.title for style in known.info("sdxl", on_gpu=False).styles}
    assert titles >= {
        "Watercolour",
        "Oil painting",
        "Pencil sketch",
        "Photograph",
        "Cinematic",
        "3D render",
        "Pixel art",
    }
    assert titles >= {"Anime", "Line art", "Comic"}


def test_a_style_paints_what_its_words_written_out_paint(store: Store) -> None:
    styled = paint(store, ask_for(prompt="a {red|blue} house", negative="fog", style=OIL))[1]
    prompt, negative = ask_for(prompt="oil painting of a {red|blue} house, big", negative="fog, photo").drawn(7)
    written_out = paint(store, ask_for(prompt=prompt, negative=negative))[1]
    assert np.array_equal(pixels(styled.pictures[0]), pixels(written_out.pictures[0]))
    parameters = Image.open(io.BytesIO(bytes_of(styled.pictures[0]))).info["parameters"].splitlines()
    assert parameters[:2] == [prompt, f"Negative prompt: {negative}"]
    assert styled.recipe["request"]["prompt"] == "a {red|blue} house"
    assert styled.recipe["request"]["style"]["prompt"] == OIL.prompt
