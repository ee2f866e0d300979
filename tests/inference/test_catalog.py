"""models.toml: what is read from it, and what the operator is told where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.catalog import reading
from inference.catalog.fields import Kind
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.protocol import DescribeTask, ToolInfo

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
decoder = "taesd"
checker = "safe"
[upscalers.x4]
title = "Four"
arch = "srvgg"
path = "x4.pth"
scale = 4
[upscalers.dn]
title = "With grain"
arch = "srvgg"
url = "https://example.org/v1/dn.pth"
scale = 4
grain = { url = "https://example.org/v1/wdn.pth" }
[describers.florence]
title = "Florence"
path = "florence"
tasks = ["caption", "find"]
[classifiers.clip]
title = "CLIP"
repo = "somebody/clip"
[decoders.taesd]
title = "TAESD"
repo = "somebody/taesd"
[checkers.safe]
title = "Safe"
path = "safe"
[label_sets]
colours = ["red", "blue"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text)
    return path


def test_a_good_catalogue_says_what_members_may_ask(tmp_path: Path) -> None:
    known = reading.load(written(tmp_path, GOOD))
    info = known.info("one", on_gpu=False)
    assert (info.width, info.upscale, info.guidance, info.negative) == (64, 4, 4.0, True)
    assert "Euler a" in info.samplers
    assert "FlowMatch Euler" not in info.samplers
    assert known.folder == tmp_path


def test_tools_say_what_members_may_ask(tmp_path: Path) -> None:
    known = reading.load(written(tmp_path, GOOD))
    tasks: tuple[DescribeTask, ...] = ("caption", "find")
    for kind, name, title, scale, denoise, asked in (
        ("upscaler", "x4", "Four", 4, False, ()),
        ("upscaler", "dn", "With grain", 4, True, ()),
        ("describer", "florence", "Florence", 1, False, tasks),
        ("classifier", "clip", "CLIP", 1, False, ()),
    ):
        told = ToolInfo(name=name, title=title, scale=scale, denoise=denoise, tasks=asked, languages=(), batch=1)
        assert known.tool_info(kind, name, on_gpu=False) == told
    batches: dict[tuple[Kind, str], int] = {
        ("describer", "florence"): 8,
        ("classifier", "clip"): 32,
        ("upscaler", "x4"): 1,
    }
    for (kind, name), batch in batches.items():
        assert known.tool_info(kind, name, on_gpu=True).batch == batch
    assert [file.place for file in known.upscalers["dn"].files] == ["weights/dn.pth", "weights/wdn.pth"]
    assert known.label_sets == {"colours": ("red", "blue")}


def test_a_catalogue_needs_nothing_but_a_model(tmp_path: Path) -> None:
    text = GOOD.split("[upscalers.x4]")[0]
    text = text.replace('upscaler = "x4"', "").replace('decoder = "taesd"', "").replace('checker = "safe"', "")
    known = reading.load(written(tmp_path, text))
    assert not any(known.entries(kind) for kind in reading.KINDS if kind != "model")


def test_a_model_needs_the_partners_that_decide_what_is_delivered(tmp_path: Path) -> None:
    model = reading.load(written(tmp_path, GOOD)).models["one"]
    assert model.partners == {"upscaler": "x4", "checker": "safe", "decoder": "taesd"}
    assert model.needed_partners == {"upscaler": "x4", "checker": "safe"}


def test_the_catalogue_of_this_checkout_is_good() -> None:
    known = reading.load(Path(__file__).parents[2] / "models.toml")
    assert known.default == "starter"
    assert {"sd15", "sd21", "sdxl", "sdxl-turbo", "sd35-large-turbo"} < set(known.models)
    files = [file for upscaler in known.upscalers.values() for file in upscaler.files if file.url]
    assert all(file.sha256 for file in files)
    assert [file.place for file in files] == [
        "weights/RealESRGAN_x4plus.pth",
        "weights/RealESRGAN_x2plus.pth",
        "weights/RealESRGAN_x4plus_anime_6B.pth",
        "weights/realesr-general-x4v3.pth",
        "weights/realesr-general-wdn-x4v3.pth",
        "weights/realesr-animevideov3.pth",
    ]
    assert {entry.repo for entry in (*known.describers.values(), *known.classifiers.values())} == {
        "florence-community/Florence-2-base",
        "florence-community/Florence-2-large",
        "openai/clip-vit-base-patch32",
        "openai/clip-vit-large-patch14",
        None,
    }
    assert {name: model.decoder for name, model in known.models.items()} == {
        "starter": "starter",
        "sd15": "taesd",
        "sd21": "taesd",
        "sdxl": "taesdxl",
        "sdxl-turbo": "taesdxl",
        "sd35-medium": "taesd3",
        "sd35-large": "taesd3",
        "sd35-large-turbo": "taesd3",
        "flux-schnell": "taef1",
        "flux-dev": "taef1",
        "flux-fill": "taef1",
        "chroma-hd": "taef1",
        "z-image-turbo": "taef1",
        "z-image": "taef1",
        "flux-kontext": "taef1",
        "flux2-klein": None,
        "flux2-klein-base": None,
        "qwen-image": None,
        "qwen-image-edit": None,
        "sana": None,
    }
    assert set(known.checkers) == {"nsfw", "stable-diffusion", "starter"}
    assert {name for name, model in known.models.items() if model.checker != "nsfw"} == {"starter"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 8", 'steps = "8"', "models.one: steps: Expected `int`, got `str`"),
        ("steps = 8", "steps = 8\npace = 9", "models.one: Object contains unknown field `pace`"),
        (
            "steps = 8",
            "steps = 8\nsize_multiple = 4",
            "models.one: size_multiple: the sd1 family needs 8 or",
        ),
        (
            '"sd1"',
            '"flux"\nsize_multiple = 16',
            "models.one: negative: must be false, the flux family",
        ),
        ("steps = 8", 'steps = 4\nspeed = "draft"', "models.one: speed: a draft leaves out none of 4 steps"),
        ("steps = 8", 'steps = 8\noffload = "disk"', "models.one: offload: Invalid enum value 'disk'"),
        ("steps = 8", 'steps = 8\nattention = "flash"', "models.one: attention: the sd1 family takes no other kernels"),
        ("steps = 8\n", "", "models.one: Object missing required field `steps`"),
        ("steps = 8", "steps = 200", "models.one: steps: 200 is over max_steps (150)"),
        ('family = "sd1"', 'family = "sd9"', f"models.one: family: must be one of {', '.join(FAMILIES)}, not 'sd9'"),
        ("width = 64", "width = 60", "models.one: width: 60 must be a multiple of size_multiple (8)"),
        ("max_pixels = 16384", "max_pixels = 64", "models.one: max_pixels: 64 is less than width times height"),
        ("guidance = 4", "guidance = 40", "models.one: guidance: 40.0 is over max_guidance (30.0)"),
        (
            'path = "weights"\n',
            "",
            "models.one: path: give either a folder or a file as path, or a url",
        ),
        (
            'path = "weights"',
            'path = "weights"\nrepo = "a/b"',
            "one: path: give either a folder or a file as path",
        ),
        (
            'path = "weights"',
            'path = "weights"\nfile = "a.safetensors"',
            "one: file: is the name of a file of a repo",
        ),
        (
            'path = "weights"',
            'repo = "a/b"\nfile = "a.ckpt"',
            "one: file: one file of a model is a .safe",
        ),
        (
            'path = "weights"',
            'url = "https://example.org/a.ckpt"',
            "one: url: one file of a model is a .safe",
        ),
        ("steps = 8", 'steps = 8\nbase = "two"', "models.one: base: there is no [models.two]"),
        ("steps = 8", 'steps = 8\nbase = "one"', "models.one: base: must be a model whose weights are a folder"),
        ("steps = 8", 'steps = 8\nparts = { vae = "a" }', "models.one: parts: write vae beside it, and not in it"),
        ("steps = 8", "steps = 8\nguidance_rescale = 2", "models.one: guidance_rescale: Expected `float` <= 1"),
        ("steps = 8", 'steps = 8\nprediction = "v"', "models.one: prediction: Invalid enum value 'v'"),
        ('"DPM++ 2M"', '"FlowMatch Euler"', "models.one: sampler: 'FlowMatch Euler' is not one of DPM++ 2M,"),
        ('"DPM++ 2M"', '"DDIM"\nsamplers = ["FlowMatch Euler"]', "samplers: the sd1 family does not admit"),
        ('upscaler = "x4"', 'upscaler = "x8"', "models.one: upscaler: there is no [upscalers.x8]"),
        ('decoder = "taesd"', 'decoder = "safe"', "models.one: decoder: there is no [decoders.safe]"),
        ('checker = "safe"', 'checker = "taesd"', "models.one: checker: there is no [checkers.taesd]"),
        ('repo = "somebody/taesd"', "", "decoders.taesd: path: give either a folder as path or a hub repository"),
        ('path = "safe"', 'path = "safe"\nrepo = "a/b"', "checkers.safe: path: give either a folder as path or a hub"),
        ("scale = 4", "scale = 0", "upscalers.x4: scale: Expected `int` >= 1"),
        (
            'upscaler = "x4"',
            'upscaler = "x4"\nweights = "nf4"\noffload = "group"',
            "models.one: offload: layers of nf4 weights cannot come and go",
        ),
        ('upscaler = "x4"', 'upscaler = "x4"\nweights = "int2"', "models.one: weights: Invalid enum value 'int2'"),
        ("[models.one]", '[models."One two"]', "models.One two: a name is up to 64 of a-z"),
        ('default = "one"', 'default = "two"', "default: must name one of one, not 'two'"),
        ('default = "one"', "", "default: must name one of one, not None"),
        ('default = "one"', 'default = "one"\nmodel = 3', "model: no such field"),
        ('path = "x4.pth"\n', "", "upscalers.x4: path: give a file as path, or a url to fetch it from, or both"),
        ('"https://example.org/v1/dn.pth"', '"ftp://example.org/dn.pth"', "upscalers.dn: url: Expected `str` matching"),
        ('"https://example.org/v1/wdn.pth"', '"https://example.org/"', "upscalers.dn: grain.url: Expected `str`"),
        ("scale = 4\ngrain", 'sha256 = "x"\nscale = 4\ngrain', "upscalers.dn: sha256: Expected `str` matching"),
        ('grain = { url = "https://example.org/v1/wdn.pth" }', "grain = {}", "upscalers.dn: grain: path: give a file"),
        ('["caption", "find"]', '["caption", "sing"]', "describers.florence: tasks[1]: Invalid enum value 'sing'"),
        ('["caption", "find"]', "[]", "describers.florence: tasks: name at least one"),
        (
            '["caption", "find"]',
            '["caption"]\nquestions.zh-CN.find = "?"',
            "describers.florence: Invalid enum value 'find'",
        ),
        ('path = "florence"', 'speed = "florence"', "describers.florence: Object contains unknown field `speed`"),
        ('repo = "somebody/clip"', "", "classifiers.clip: path: give either a folder as path or a hub repository"),
        ('["red", "blue"]', '["red"]', "label_sets.colours: Expected `array` of length >= 2"),
        ('["red", "blue"]', '["red", ""]', "label_sets.colours: [1]: Expected `str` of length >= 1"),
        ('["red", "blue"]', '["red", "red"]', "label_sets.colours: a label comes twice"),
        ('default = "one"', 'default = "one', "is not TOML"),
    ],
)
def test_a_wrong_catalogue_is_refused_in_one_line_with_file_entry_and_field(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(CatalogError) as refused:
        reading.load(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_catalogue_without_models_and_a_missing_one_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="names no model"):
        reading.load(written(tmp_path, 'default = "one"'))
    with pytest.raises(CatalogError, match="set EASEL_MODELS"):
        reading.load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("channels_last = true", "channels_last: the sd3 family has no convolutions"),
        ('attention = "sliced"', "attention: attention cannot be sliced in the sd3 family"),
        ("guidance_rescale = 0.5", "guidance_rescale: pipelines of the sd3 family take none"),
        ('prediction = "epsilon"', "prediction: the sd3 family knows no other than its own"),
        ("compile = true", "compile: diffusers names no repeated blocks in the sd3 family"),
    ],
)
def test_what_diffusers_cannot_do_for_a_family_is_told_at_the_start(line: str, message: str, tmp_path: Path) -> None:
    text = GOOD.replace('family = "sd1"', 'family = "sd3"').replace(
        'sampler = "DPM++ 2M"', 'sampler = "FlowMatch Euler"'
    )
    with pytest.raises(CatalogError, match=f"models.one: {message}"):
        reading.load(written(tmp_path, text.replace("steps = 8", f"steps = 8\nsize_multiple = 16\n{line}")))
