"""What a finished PNG says of itself: to Stable Diffusion tools, and to whoever asks whether a model made it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import numpy as np
import pytest
from PIL import Image
from sd_parsers import ParserManager

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.marks import marking, watermark
from inference.marks.marking import Marks
from inference.models.store import Store
from inference.pictures import images
from inference.protocol import (
    MAX_XMP_CHARS,
    XMP_KEYWORD,
    Answer,
    Classify,
    Control,
    Describe,
    Imagine,
    Lora,
    MadeBy,
    Region,
    Upscale,
    Variation,
    xmp,
)
from inference.tasks import classify, describe, imagine, upscale
from starter.render import render
from starter.world import Scene
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, uploaded, with_model
from tests.inference.folders import bytes_of
from tests.inference.peer import engine_process

HOUSE = render(Scene("house", "red"), 256)

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def source_of(data: bytes) -> str:
    """The origin that a picture's XMP tells to a reader that is not ours."""
    found: dict[str, Any] = opened(data).getxmp()
    source: str = found["xmpmeta"]["RDF"]["Description"]["DigitalSourceType"]
    assert source.startswith(VOCABULARY)
    return source.removeprefix(VOCABULARY)


def made(task: Any, store: Store, request: Any, files: dict[str, bytes], marks: Marks = marking.ALL) -> bytes:
    """The one picture that a task makes of this request."""
    record = Record(marks)
    record.begin(request)
    task.run([request], files, store, record.report)
    (picture,) = record.finished()[1].pictures
    return bytes_of(picture)


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a red house", "blue"),
        ("a red house", ""),
        ("a \"red\" house, with: two windows, and a 'door'", 'no "fog", no: rain'),
        ("a red house\nby the sea,\nat night", "fog\nrain: heavy"),
        ("一座红色的房子，傍晚：海边“灯塔”", "雾，雨"),
        ("(a red house:1.3) {by} [the sea] <at night> \\ 100%", "café, naïve"),
        ("Steps: 4, Sampler: Euler, Seed: 1\na staircase", ""),
    ],
)
def test_another_reader_finds_in_the_parameters_what_was_asked(store: Store, prompt: str, negative: str) -> None:
    request = ask_for(prompt=prompt, negative=negative, sampler="DPM++ 2M Karras", seed=2**64 - 1, steps=3)
    read = ParserManager().parse(opened(made(imagine, store, request, {})))
    assert read is not None
    (sampler,) = read.samplers
    assert sampler.name == "DPM++ 2M Karras"
    assert sampler.parameters == {"cfg_scale": "4", "seed": str(2**64 - 1), "steps": "3"}
    assert [str(each) for each in sampler.prompts] == [prompt]
    assert [str(each) for each in sampler.negative_prompts] == [negative] * bool(negative)
    assert sampler.model is not None
    assert (sampler.model.name, len(sampler.model.hash or "")) == ("sd15", 10)
    assert read.metadata["Size"] == "32x32"


INFO = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""How AUTOMATIC1111 takes the last line apart (modules/infotext_utils.py)."""


def of_a1111(words: str) -> dict[str, str]:
    """What AUTOMATIC1111 makes of `parameters`, by its rules."""
    *lines, last = words.strip().split("\n")
    prompts: dict[str, list[str]] = {"Prompt": [], "Negative prompt": []}
    place = "Prompt"
    for line in map(str.strip, lines):
        if line.startswith("Negative prompt:"):
            place, line = "Negative prompt", line.removeprefix("Negative prompt:").strip()
        prompts[place].append(line)
    found = {name: "\n".join(lines) for name, lines in prompts.items()}
    for name, value in INFO.findall(last):
        found[name] = json.loads(value) if value.startswith('"') else value
    return found


def test_readers_find_the_model_and_the_steps_whatever_else_was_at_work(store: Store) -> None:
    image, files = uploaded(tiny.picture(32, 32))
    request = ask_for(
        prompt="a red house, Steps: 9",
        negative="fog",
        steps=4,
        image=image,
        strength=0.5,
        loras=(Lora("ink", 0.8), Lora("words", 0.5)),
        control=Control("canny", image, 0.7),
        variations=(Variation(3, 0.25),),
    )
    picture = opened(made(imagine, store, request, files))
    read = ParserManager().parse(picture)
    assert read is not None
    (sampler,) = read.samplers
    assert sampler.model is not None
    assert (sampler.model.name, sampler.model.hash) == ("sd15", json.loads(picture.info["easel"])["model"]["hash"])
    assert (sampler.parameters["steps"], sampler.parameters["seed"]) == ("4", str(request.seed))
    assert [str(each) for each in sampler.prompts] == ["a red house, Steps: 9 <lora:ink:0.8> <lora:words:0.5>"]
    found = of_a1111(picture.info["parameters"])
    assert (found["Prompt"], found["Negative prompt"]) == (
        "a red house, Steps: 9 <lora:ink:0.8> <lora:words:0.5>",
        "fog",
    )
    assert (found["Model"], found["Steps"], found["Denoising strength"]) == ("sd15", "4", "0.5")
    assert found["ControlNet 0"] == "Module: canny, Model: canny, Weight: 0.7"
    assert set(found["Lora hashes"].split()[::2]) == {"ink:", "words:"}
    assert (found["Variation seed"], found["Variation seed strength"]) == ("3", "0.25")


@pytest.mark.parametrize("negative", ["", "fog"])
def test_label_of_the_format_in_a_prompt_is_no_label(store: Store, negative: str) -> None:
    request = ask_for(prompt="a house\nNegative prompt: blue", negative=negative)
    picture = opened(made(imagine, store, request, {}))
    read = ParserManager().parse(picture)
    assert read is not None
    (sampler,) = read.samplers
    assert [str(each) for each in sampler.prompts] == ["a house\nNegative prompt\\: blue"]
    assert [str(each) for each in sampler.negative_prompts] == [negative] * bool(negative)
    found = of_a1111(picture.info["parameters"])
    assert (found["Prompt"], found["Negative prompt"]) == ("a house\nNegative prompt\\: blue", negative)


def test_file_says_whether_it_was_painted_from_words_or_from_a_picture(store: Store) -> None:
    image, files = uploaded(tiny.picture(32, 32))
    assert source_of(made(imagine, store, ask_for(), {})) == "trainedAlgorithmicMedia"
    from_picture = ask_for(image=image, strength=0.5)
    assert source_of(made(imagine, store, from_picture, files)) == "compositeWithTrainedAlgorithmicMedia"


def test_enlarging_and_drawing_change_no_picture_s_origin(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    network = store.use_describer("florence", on_load=lambda: None).network
    monkeypatch.setattr(network, "answers", lambda pictures, *_: [""] * len(pictures))
    monkeypatch.setattr(network, "regions", lambda *_: (Region("house", (1, 1, 9, 9), ()),))
    for texts, source in (
        ({}, "algorithmicallyEnhanced"),
        ({XMP_KEYWORD: xmp("trainedAlgorithmicMedia")}, "trainedAlgorithmicMedia"),
        ({XMP_KEYWORD: xmp("compositeSynthetic")}, "compositeSynthetic"),
    ):
        image, files = uploaded(tiny.picture(32, 32), texts)
        larger = Upscale(job=1, model="x4", image=image, factor=2)
        assert source_of(made(upscale, store, larger, files)) == source
        found = Describe(job=1, model="florence", image=image, task="detect objects")
        assert source_of(made(describe, store, found, files)) == source


IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


def told_by(packet: str) -> dict[str, str]:
    """What IPTC's properties in an XMP packet say, read as XML; Pillow reads the same of them."""
    (description,) = defusedxml.ElementTree.fromstring(packet).iter(
        "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
    )
    found = {name.removeprefix(IPTC): text for name, text in description.items() if name.startswith(IPTC)}
    picture = opened(images.png(tiny.picture(), {XMP_KEYWORD: packet}))
    by_pillow: dict[str, Any] = picture.getxmp()["xmpmeta"]["RDF"]["Description"]
    assert {name: by_pillow[name] for name in found} == found
    return found


def test_file_tells_the_system_its_version_and_the_prompt_as_iptc_has_it(store: Store) -> None:
    prompt = 'a "red" house\n& <b>\'tea\'</b> "/><evil a="1" ]]> 一座红色的房子 🦊'
    first, again = (made(imagine, store, ask_for(prompt=prompt, negative="fog"), {}) for _ in range(2))
    assert first == again
    recipe = json.loads(opened(first).info["easel"])
    told = told_by(opened(first).info["xmp"].decode())
    assert told.pop("DigitalSourceType").endswith("/trainedAlgorithmicMedia")
    assert told == {
        "AISystemUsed": "Easel, sd15",
        "AISystemVersionUsed": f"Easel {recipe['versions']['easel']}, sd15 {recipe['model']['hash']}",
        "AIPromptInformation": f"{prompt}\nNegative prompt: fog",
    }


def test_only_of_what_a_model_made_a_file_names_a_system(store: Store) -> None:
    for texts, system in (({}, None), ({XMP_KEYWORD: xmp("compositeSynthetic")}, "Easel, x4")):
        image, files = uploaded(tiny.picture(32, 32), texts)
        larger = made(upscale, store, Upscale(job=1, model="x4", image=image, factor=2), files)
        told = told_by(opened(larger).info["xmp"].decode())
        assert (told.get("AISystemUsed"), "AIPromptInformation" in told) == (system, False)


@pytest.mark.parametrize("text", ["\0\x1b\ufffe\ud800 fox \x7f", '"' * 99_999, "&" * 8001, "🦊" * 9000, "\t\r\n x"])
def test_no_prompt_breaks_the_packet_or_outgrows_a_jpeg(text: str) -> None:
    packet = xmp("trainedAlgorithmicMedia", MadeBy(system="Easel", version="1", prompt=text))
    prompt = told_by(packet)["AIPromptInformation"]
    assert len(prompt) <= MAX_XMP_CHARS
    assert prompt.rstrip("…") in text or prompt == " fox \x7f"
    stream = io.BytesIO()
    tiny.picture().save(stream, format="JPEG", xmp=packet.encode())
    assert b"AIPromptInformation" in stream.getvalue()


def test_chart_is_no_picture_of_a_model(store: Store) -> None:
    image, files = uploaded(tiny.picture(32, 32))
    labels = tuple(f"a thing {number}" for number in range(8))
    request = Classify(job=1, model="clip", image=image, labels=labels, templates=("{}",))
    assert source_of(made(classify, store, request, files)) == "dataDrivenMedia"


def ask_large(**changes: object) -> Imagine:
    """A picture that is just large enough for the watermark."""
    return ask_for(width=256, height=256, steps=1, **changes)


def roomy(known: Catalog, cpu: Device) -> Store:
    """Models that paint larger than they do in other tests."""
    return Store(catalog=with_model(known, max_size=256, max_pixels=256 * 256), device=cpu)


def test_painted_picture_bears_the_watermark_and_its_recipe_says_so(known: Catalog, cpu: Device) -> None:
    store = roomy(known, cpu)
    first, second = (made(imagine, store, ask_large(), {}) for _ in range(2))
    assert first == second
    assert watermark.found(opened(first))
    assert json.loads(opened(first).info["easel"])["watermark"] == watermark.AS_RECIPE
    without = made(imagine, store, ask_large(), {}, Marks(watermark=False))
    assert not watermark.found(opened(without))
    assert json.loads(opened(without).info["easel"])["watermark"] is None
    assert watermark.embed(opened(without)).tobytes() == opened(first).tobytes()
    assert source_of(without) == "trainedAlgorithmicMedia"


def test_small_picture_bears_none(store: Store) -> None:
    assert json.loads(opened(made(imagine, store, ask_for(), {})).info["easel"])["watermark"] is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_masked_part_alone_is_marked_and_the_recipe_says_so(store: Store, mode: str) -> None:
    plain = HOUSE.convert(mode)
    image, files = uploaded(plain)
    for box, large in (((20, 10, 230, 240), True), ((20, 10, 80, 70), False)):
        mask = Image.new("L", plain.size)
        mask.paste(255, box)
        given, of_mask = uploaded(mask)
        request = ask_for(image=image, mask=given, strength=0.5)
        first, again = (made(imagine, store, request, files | of_mask) for _ in range(2))
        assert first == again
        picture, outside = opened(first), np.array(mask) == 0
        assert picture.mode == mode
        assert np.array_equal(np.array(picture)[outside], np.array(plain)[outside])
        assert watermark.found(picture) is large
        expected = {**watermark.AS_RECIPE, "within": "painted"} if large else None
        assert json.loads(picture.info["easel"])["watermark"] == expected
        without = opened(made(imagine, store, request, files | of_mask, Marks(watermark=False)))
        assert (watermark.embed(without, mask).tobytes() == picture.tobytes()) is large
        assert (without.tobytes() == picture.tobytes()) is not large


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_enlargement_of_a_marked_picture_is_marked_anew(store: Store, mode: str) -> None:
    plain = HOUSE.convert(mode)
    for picture, ours in ((watermark.embed(plain), True), (plain, False)):
        image, files = uploaded(picture)
        data = made(upscale, store, Upscale(job=1, model="x2", image=image, factor=2), files)
        assert opened(data).mode == mode
        assert watermark.found(opened(data)) is ours
        assert (json.loads(opened(data).info["easel"])["watermark"] is not None) is ours
        assert source_of(data) == ("trainedAlgorithmicMedia" if ours else "algorithmicallyEnhanced")


def test_operator_can_leave_the_watermark_out(models_toml: Path) -> None:
    image, files = uploaded(watermark.embed(HOUSE))
    request = Upscale(job=1, model="x2", image=image, factor=2)
    with engine_process(models_toml, EASEL_WATERMARK="off") as (peer, _):
        peer.ready()
        finished = peer.paint(request, files=files)[1]
    assert finished.recipe["watermark"] is None
    assert not watermark.found(opened(bytes_of(finished.pictures[0])))
    assert source_of(bytes_of(finished.pictures[0])) == "trainedAlgorithmicMedia"


def test_describing_tells_who_made_the_picture(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    network = store.use_describer("florence", on_load=lambda: None).network
    monkeypatch.setattr(network, "answers", lambda pictures, *_: ["a house"] * len(pictures))
    said = {XMP_KEYWORD: xmp("trainedAlgorithmicMedia")}
    for picture, texts, origin in (
        (HOUSE, {}, "unknown"),
        (HOUSE, {XMP_KEYWORD: xmp("algorithmicallyEnhanced")}, "unknown"),
        (HOUSE, said, "model"),
        (watermark.embed(HOUSE), {}, "easel"),
        (watermark.embed(HOUSE), said, "easel"),
    ):
        image, files = uploaded(picture, texts)
        record = Record()
        request = Describe(job=1, model="florence", image=image, task="caption")
        record.begin(request)
        describe.run([request], files, store, record.report)
        assert record.finished()[1].answer == Answer(text="a house", origin=origin)
