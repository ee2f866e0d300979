"""What other tools leave in their files is read, wherever and however it is written; a tool is named where sure."""

from __future__ import annotations

import gzip
import html
import json
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.pictures import graphs
from bot.pictures.containers import MAX_TEXT_BYTES
from bot.pictures.recipes import told as told_of
from inference.protocol import declared_source
from tests.bot.uploads import decode, opened, picture, saved, told

WORDS = (
    'ein Häuschen, (红房子 🏠:1.2), "quoted, comma", <lora:ink:0.8>\nby the sea\nNegative prompt: blurry,\nlow: res\n'
    "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1234567890, Size: 512x768, Model: some_model"
)
ASCII = WORDS.replace("ein Häuschen, (红房子 🏠:1.2)", "a red house")


def png(texts: Mapping[str, object] | None = None, **more: str) -> bytes:
    info = PngInfo()
    for keyword, text in {**(texts or {}), **more}.items():
        info.add_text(keyword, str(text))
    return saved(picture(), "PNG", pnginfo=info)


def commented(kind: str, comment: bytes | str, place: int = 0x8769, software: str = "") -> bytes:
    """A picture with this as EXIF's user comment, in its own place or among the other fields."""
    exif = Image.Exif()
    if place:
        exif[place] = {0x9286: comment}
    else:
        exif[0x9286] = comment
    if software:
        exif[0x0131] = software
    return saved(picture(), kind, exif=exif)


ENCODED = {
    "big end first": b"UNICODE\0" + WORDS.encode("utf-16-be"),
    "little end first": b"UNICODE\0" + WORDS.encode("utf-16-le"),
    "with a mark": b"UNICODE\0" + WORDS.encode("utf-16"),
    "with the other mark": b"UNICODE\0\xfe\xff" + WORDS.encode("utf-16-be"),
    "UTF-8": b"UNICODE\0" + WORDS.encode(),
    "in small letters": b"Unicode\0" + WORDS.encode("utf-16-le"),
    "ASCII": b"ASCII\0\0\0" + WORDS.encode(),
    "zeros": bytes(8) + WORDS.encode(),
    "bare": WORDS.encode(),
    "ended with zeros": b"UNICODE\0" + WORDS.encode("utf-16-le") + bytes(4),
}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("how", ENCODED)
def test_comment_is_read_however_it_is_written(how: str, kind: str) -> None:
    recipe = told(commented(kind, ENCODED[how]))
    assert recipe is not None
    assert (recipe.tool, recipe.words) == (None, WORDS)


@pytest.mark.parametrize("comment", [b"UNICODE\0" + WORDS.encode("utf-16-be"), WORDS.encode(), ASCII])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF"])
def test_comment_is_read_wherever_it_stands(comment: bytes | str, kind: str) -> None:
    recipe = told(commented(kind, comment, place=0))
    assert recipe is not None
    assert recipe.words == (ASCII if isinstance(comment, str) else WORDS)


def test_japanese_comment_and_comment_of_a_segment_are_read() -> None:
    japanese = "赤い家\nSteps: 8, Sampler: Euler"
    for data, words in (
        (commented("JPEG", b"JIS\0\0\0\0\0" + japanese.encode("iso2022_jp")), japanese),
        (saved(picture(), "JPEG", comment=WORDS.encode()), WORDS),
        (
            commented("JPEG", b"UNICODE\0" + "赤い家が海の近くに\nSteps: 8".encode("utf-16-le")),
            "赤い家が海の近くに\nSteps: 8",
        ),
    ):
        recipe = told(data)
        assert recipe is not None
        assert recipe.words == words


@pytest.mark.parametrize(
    "comment",
    [
        "f/2.8, 1/100 s",
        "",
        "   ",
        '{"lens": "50 mm", "steps": 3}',
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        "\0" * 50,
        "9" * 5000,
    ],
)
def test_comments_of_cameras_are_no_recipes(comment: str) -> None:
    for raw in (b"ASCII\0\0\0" + comment.encode(), b"UNICODE\0" + comment.encode("utf-16-le"), comment.encode()):
        data = commented("JPEG", raw[:60_000])
        assert told(data) is None
        assert declared_source(decode(data).png) is None
    assert told(saved(picture(), "JPEG", comment=comment.encode()[:60_000])) is None
    assert told(saved(picture(), "GIF", comment=b"a GIF's own comment")) is None


GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 77,
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "model": ["10", 0],
            "positive": ["8", 0],
            "negative": ["8", 1],
            "latent_image": ["5", 0],
        },
        "is_changed": float("nan"),
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": ["11", 0], "clip": ["4", 1], "width": 4096, "height": 4096},
    },
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    # Changes the words and their opposite, and hands both on.
    "8": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["6", 0], "negative": ["7", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
    "10": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink", "model": ["4", 0]}},
    "11": {"class_type": "PrimitiveString", "inputs": {"value": "a red house"}},
}
PARTS: dict[str, Any] = {
    "1": {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {
            "noise": ["2", 0],
            "guider": ["3", 0],
            "sampler": ["4", 0],
            "sigmas": ["5", 0],
            "latent_image": ["6", 0],
        },
    },
    "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 77}},
    "3": {"class_type": "BasicGuider", "inputs": {"model": ["7", 0], "conditioning": ["8", 0]}},
    "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
    "5": {"class_type": "BasicScheduler", "inputs": {"steps": 20, "model": ["7", 0]}},
    "6": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 512, "height": 768}},
    "7": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.safetensors"}},
    "8": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red house"}},
}
WORKFLOW = {"nodes": [{"id": 3, "type": "KSampler"}], "links": []}
OF_GRAPH = (
    "a red house\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: dpmpp_2m, CFG scale: 8.0, Seed: 77, Size: 512x768, Model: dream.safetensors"
)

NOVELAI = {"prompt": "a red house", "uc": "blurry", "steps": 28, "sampler": "k_euler", "seed": 77, "scale": 5.0}
NOVELAI |= {"width": 832, "height": 1216}
OF_NOVELAI = (
    "a red house\nNegative prompt: blurry\n"
    "Steps: 28, Sampler: k_euler, CFG scale: 5.0, Seed: 77, Size: 832x1216, Model: NovelAI Diffusion V4 79F47848"
)
INVOKE_3 = {"positive_prompt": "a red house", "negative_prompt": "blurry", "steps": 30, "scheduler": "euler"}
INVOKE_3 |= {"cfg_scale": 7.5, "seed": 77, "width": 512, "height": 512, "model": {"model_name": "dream"}}
INVOKE_2 = {
    "model_weights": "stable-diffusion-1.5",
    "app_id": "invoke-ai/InvokeAI",
    "image": {
        "prompt": [{"prompt": "a red house [blurry]", "weight": 1.0}],
        **{"steps": 50, "sampler": "k_lms", "cfg_scale": 7.5, "seed": 77, "width": 512, "height": 512},
    },
}
FOOOCUS = {"prompt": "a red house", "negative_prompt": "blurry", "steps": 30, "sampler": "dpmpp_2m_sde_gpu"}
FOOOCUS |= {"guidance_scale": 4, "seed": "77", "resolution": "(896, 1152)", "base_model": "jugger"}
EASY = {"prompt": "a red house", "negative_prompt": "blurry", "seed": 77, "num_inference_steps": 25}
EASY |= {"guidance_scale": 7.5, "width": 512, "height": 512, "sampler_name": "euler_a"}
EASY |= {"use_stable_diffusion_model": "sd-v1-5"}
OLD_EASY = {"Prompt": "a red house", "Negative Prompt": "blurry", "Seed": "77", "Steps": "25", "Sampler": "euler_a"}
OLD_EASY |= {"Guidance Scale": "7.5", "Width": "512", "Height": "512", "Stable Diffusion model": "sd-v1-5"}
OF_EASY = (
    "a red house\nNegative prompt: blurry\n"
    "Steps: 25, Sampler: euler_a, CFG scale: 7.5, Seed: 77, Size: 512x512, Model: sd-v1-5"
)
SWARM = {"prompt": "a red house", "negativeprompt": "blurry", "model": "dream", "seed": 77, "steps": 20}
SWARM |= {"cfgscale": 7.0, "width": 1024, "height": 1024, "swarm_version": "0.9.5.0"}
DRAW_THINGS = {"c": "a red house <at> night", "uc": "blurry", "steps": 8, "sampler": "DPM++ 2M", "scale": 4.5}
DRAW_THINGS |= {"seed": 77, "size": "512x512", "model": "sd_v1.5.ckpt"}
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmp:CreatorTool="Draw Things">
<exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></exif:UserComment>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def named(settings: object) -> str:
    return json.dumps(settings)


def drawn(text: str) -> bytes:
    packet = XMP.format(html.escape(text))
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", packet, zip=True)
    return saved(picture(), "PNG", pnginfo=info)


def webp_of_comfyui(**labelled: object) -> bytes:
    exif = Image.Exif()
    for tag, (label, value) in zip((0x0110, 0x010F, 0x010E), labelled.items(), strict=False):
        exif[tag] = f"{label}:{json.dumps(value)}"
    return saved(picture(), "WEBP", exif=exif)


TOOLS: dict[str, tuple[bytes, str, str]] = {
    "ComfyUI": (png(prompt=named(GRAPH), workflow=named(WORKFLOW)), "ComfyUI", OF_GRAPH),
    "ComfyUI, run by a program": (png(prompt=named(GRAPH)), "ComfyUI", OF_GRAPH),
    "ComfyUI, WebP": (webp_of_comfyui(prompt=GRAPH, workflow=WORKFLOW), "ComfyUI", OF_GRAPH),
    "ComfyUI, WebP of others": (webp_of_comfyui(Workflow=WORKFLOW, Prompt=GRAPH), "ComfyUI", OF_GRAPH),
    "ComfyUI, JPEG": (
        commented("JPEG", b"UNICODE\0" + named({"prompt": GRAPH, "workflow": WORKFLOW}).encode("utf-16-le")),
        "ComfyUI",
        OF_GRAPH,
    ),
    "ComfyUI, in parts": (
        png(prompt=named(PARTS)),
        "ComfyUI",
        "a red house\nSteps: 20, Sampler: euler, Seed: 77, Size: 512x768, Model: flux.safetensors",
    ),
    "ComfyUI, drawn only": (png(workflow=named(WORKFLOW)), "ComfyUI", ""),
    "ComfyUI, and words": (png(prompt=named(GRAPH), parameters=ASCII), "ComfyUI", ASCII),
    "InvokeAI 3": (
        png(invokeai_metadata=named(INVOKE_3)),
        "InvokeAI",
        "a red house\nNegative prompt: blurry\n"
        "Steps: 30, Sampler: euler, CFG scale: 7.5, Seed: 77, Size: 512x512, Model: dream",
    ),
    "InvokeAI 2": (
        png({"sd-metadata": named(INVOKE_2), "Dream": '"other" -s 1'}),
        "InvokeAI",
        "a red house\nNegative prompt: blurry\n"
        "Steps: 50, Sampler: k_lms, CFG scale: 7.5, Seed: 77, Size: 512x512, Model: stable-diffusion-1.5",
    ),
    "InvokeAI 1": (
        png(Dream='"a "red" house [blurry, dark]" -s 50 -S 77 -W 512 -H 768 -C 7.5 -A k_lms'),
        "InvokeAI",
        'a "red" house\nNegative prompt: blurry, dark\n'
        "Steps: 50, Sampler: k_lms, CFG scale: 7.5, Seed: 77, Size: 512x768",
    ),
    "NovelAI": (
        png(Software="NovelAI", Source="NovelAI Diffusion V4 79F47848", Description="x", Comment=named(NOVELAI)),
        "NovelAI",
        OF_NOVELAI,
    ),
    "Fooocus": (
        png(parameters=named(FOOOCUS), fooocus_scheme="fooocus"),
        "Fooocus",
        "a red house\nNegative prompt: blurry\n"
        "Steps: 30, Sampler: dpmpp_2m_sde_gpu, CFG scale: 4, Seed: 77, Size: 896x1152, Model: jugger",
    ),
    "Fooocus, as AUTOMATIC1111": (
        png(parameters=f"{ASCII}, Version: Fooocus v2.5.5"),
        "Fooocus",
        f"{ASCII}, Version: Fooocus v2.5.5",
    ),
    "Fooocus, by its mark alone": (png(parameters=ASCII, fooocus_scheme="a1111"), "Fooocus", ASCII),
    "Fooocus, JPEG": (
        commented("JPEG", named(FOOOCUS), place=0, software="Fooocus v2.5.5"),
        "Fooocus",
        "a red house\nNegative prompt: blurry\n"
        "Steps: 30, Sampler: dpmpp_2m_sde_gpu, CFG scale: 4, Seed: 77, Size: 896x1152, Model: jugger",
    ),
    "SwarmUI": (
        commented("JPEG", b"UNICODE\0" + named({"sui_image_params": SWARM}).encode("utf-16-le")),
        "SwarmUI",
        "a red house\nNegative prompt: blurry\nSteps: 20, CFG scale: 7.0, Seed: 77, Size: 1024x1024, Model: dream",
    ),
    "SwarmUI, PNG": (png(parameters=named({"sui_image_params": {"prompt": "a house"}})), "SwarmUI", "a house"),
    "Easy Diffusion": (png(EASY), "Easy Diffusion", OF_EASY),
    "Easy Diffusion, old": (
        png(OLD_EASY),
        "Easy Diffusion",
        OF_EASY,
    ),
    "Easy Diffusion, JPEG": (
        commented("JPEG", b"UNICODE\0" + named(EASY).encode("utf-16-be")),
        "Easy Diffusion",
        OF_EASY,
    ),
    "Easel": (png(easel='{"request": {}}', parameters=ASCII), "Easel", ASCII),
    "Easel, without words": (png(easel='{"request": {}}'), "Easel", ""),
    "Draw Things": (
        drawn(named(DRAW_THINGS)),
        "Draw Things",
        "a red house <at> night\nNegative prompt: blurry\n"
        "Steps: 8, Sampler: DPM++ 2M, CFG scale: 4.5, Seed: 77, Size: 512x512, Model: sd_v1.5.ckpt",
    ),
}


@pytest.mark.parametrize("name", TOOLS)
def test_recipe_of_every_tool_is_read_and_tells_of_a_model(name: str) -> None:
    data, tool, words = TOOLS[name]
    recipe = told(data)
    assert recipe is not None
    assert (recipe.tool, recipe.words) == (tool, words)
    assert recipe.whole
    if recipe.suffix == "json":
        json.loads(recipe.whole)
    assert declared_source(decode(data).png) == "trainedAlgorithmicMedia"


def test_what_several_tools_write_names_none() -> None:
    for text in (ASCII, f"{ASCII}, Version: v1.9.4", named({"prompt": "a house", "steps": 4})):
        recipe = told(png(parameters=text))
        assert recipe is not None
        assert recipe.tool is None
        assert recipe.by_model
    plain = told(png(parameters="what somebody calls so"))
    assert plain is not None
    assert (plain.tool, plain.words, plain.by_model) == (None, "what somebody calls so", False)


@pytest.mark.parametrize(
    "texts",
    [
        {"Comment": "Created with GIMP"},
        {"Comment": named(NOVELAI)},
        {"Software": "NovelAI"},
        {"Software": "NovelAI", "Comment": "{"},
        {"prompt": "a red house"},
        {"workflow": "{}"},
        {"prompt": "{}"},
        {"prompt": named({"1": {"inputs": {}}})},
        {"Dream": "of a house"},
        {"Dream": '"a house" -s "'},
        {"invokeai_metadata": "[]"},
        {"sd-metadata": "x"},
        {"easel": "{}"},
        {"parameters": " "},
        {"parameters": named({"a": 1})},
        {"workflow": '{"a":' * 50_000},
        {"prompt": "9" * 10_000},
        {"prompt": '{"1": ' + "9" * 10_000 + "}"},
    ],
)
def test_what_no_tool_writes_is_no_recipe(texts: dict[str, str]) -> None:
    assert told_of(texts) is None


def test_graphs_that_lead_nowhere_or_in_circles_come_to_an_end() -> None:
    circle = {str(number): {"class_type": "X", "inputs": {"positive": [str(number + 1), 0]}} for number in range(9000)}
    circle["8999"]["inputs"] = {"positive": ["0", 0], "seed": 1}
    circle["0"]["inputs"] |= {"steps": 4}
    wide = {
        "1": {
            "class_type": "X",
            "inputs": {"positive": ["1", 0], "steps": 4} | {str(n): ["1", 0] for n in range(50_000)},
        }
    }
    for graph in (
        circle,
        wide,
        {"1": {"class_type": "X", "inputs": [["positive"]]}},
        {"1": 5, "2": {"class_type": "X"}},
    ):
        assert graphs.settings(graph).get("prompt", "") == ""
    assert graphs.settings(wide)["steps"] == 4
    assert "steps" not in graphs.settings({"1": {"class_type": "X", "inputs": {"positive": ["1", 0], "steps": {}}}})


def hidden(where: str, text: bytes, packed: bool, size: tuple[int, int] = (80, 61)) -> bytes:
    """A picture in whose lowest bits a text is hidden, column by column."""
    image = picture(*size).convert("RGBA")
    body = gzip.compress(text) if packed else text
    signature = f"stealth_{'png' if where == 'A' else 'rgb'}{'comp' if packed else 'info'}".encode()
    stream = signature + (8 * len(body)).to_bytes(4, "big") + body
    bits = [byte >> place & 1 for byte in stream for place in range(7, -1, -1)]
    channels = [3] if where == "A" else [0, 1, 2]
    places = [(x, y, channel) for x in range(size[0]) for y in range(size[1]) for channel in channels]
    pixels = image.load()
    assert pixels is not None
    for (x, y, channel), bit in zip(places, bits, strict=False):
        values = list(pixels[x, y])  # type: ignore[arg-type]
        values[channel] = values[channel] & 0xFE | bit
        pixels[x, y] = tuple(values)
    return saved(image if where == "A" else image.convert("RGB"), "PNG")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("where", ["A", "RGB"])
def test_recipe_that_is_hidden_in_pixels_is_found(where: str, packed: bool) -> None:
    data = hidden(where, WORDS.encode(), packed)
    recipe = told(data)
    assert recipe is not None
    assert (recipe.tool, recipe.words) == (None, WORDS)
    upload = decode(data)
    assert declared_source(upload.png) == "trainedAlgorithmicMedia"
    if where == "A":
        assert opened(upload.png).mode == "RGB", "nothing of it is transparent"


def test_hidden_recipe_of_novelai_names_it() -> None:
    texts = {"Software": "NovelAI", "Source": "NovelAI Diffusion V4 79F47848", "Comment": named(NOVELAI)}
    recipe = told(hidden("A", named(texts).encode(), packed=True, size=(100, 100)))
    assert recipe is not None
    assert (recipe.tool, recipe.words) == ("NovelAI", OF_NOVELAI)


def test_hidden_bombs_and_lies_are_passed_over() -> None:
    bomb = hidden("A", bytes(20 * 2**20), packed=True, size=(500, 500))
    recipe = told(bomb)
    assert recipe is None or len(recipe.words) <= MAX_TEXT_BYTES
    lie = opened(hidden("A", b"x" * 40, packed=False, size=(64, 64)))
    alpha = lie.getchannel("A").point(lambda value: 255)
    # The signature stays, the length becomes the largest there is.
    alpha.paste(lie.getchannel("A").crop((0, 0, 1, 64)), (0, 0))
    alpha.paste(lie.getchannel("A").crop((1, 0, 2, 56)), (1, 0))
    lie.putalpha(alpha)
    assert told(saved(lie, "PNG")) is None
    for size in ((8, 8), (9, 300)):
        assert told(saved(picture(*size).convert("RGBA"), "PNG")) is None


def test_texts_longer_than_any_recipe_are_passed_over() -> None:
    long = "Steps: 1, " + "x" * MAX_TEXT_BYTES
    assert told(commented("WEBP", b"ASCII\0\0\0" + long.encode())) is None
    info = PngInfo()
    info.add_text("parameters", long, zip=True)
    assert told(saved(picture(), "PNG", pnginfo=info)) is None
