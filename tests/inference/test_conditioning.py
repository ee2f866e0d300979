"""Words over the steps of a run: editing and alternation, AND, BREAK, earlier layers; and what a family cannot do."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.models.prompts import PromptEncoder
from inference.models.store import Store
from inference.painting import setups
from inference.protocol import Control, Drawn, Finished, Hires, Imagine, Lora, Reason, Style, because
from inference.tasks import imagine
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, paint_from, uploaded
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_imagine import for_model

WEIGHED = ["sd15", "sd21", "sdxl"]
PICTURE, FILES = uploaded(tiny.picture(64, 64))


def done(store: Store, request: Imagine) -> Finished:
    return paint_from(FILES, store, request)[1]


def pixels(store: Store, request: Imagine, index: int = 0) -> bytes:
    return Image.open(io.BytesIO(bytes_of(done(store, request).pictures[index]))).tobytes()


def parameters(finished: Finished, index: int = 0) -> str:
    return str(Image.open(io.BytesIO(bytes_of(finished.pictures[index]))).info["parameters"])


@pytest.mark.parametrize("model", [*WEIGHED, "sd35", "flux-schnell"])
def test_words_change_at_their_step_and_at_no_other(model: str, known: Catalog, store: Store) -> None:
    def painted(prompt: str) -> bytes:
        return pixels(store, for_model(model, known, prompt=prompt, steps=4))

    cat, dog = painted("a cat here"), painted("a dog here")
    changed = painted("a [cat:dog:0.5] here")
    assert len({cat, dog, changed, painted("a [cat:dog:0.25] here"), painted("a [cat|dog] here")}) == 5
    assert painted("a [cat:dog:0] here") == dog
    assert painted("a [cat:dog:4] here") == cat
    assert painted("a [cat:dog:2] here") == changed


def test_each_step_is_told_its_own_words(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the denoiser hears is what the words of that step come to alone, also where they need more windows."""
    heard: list[torch.Tensor] = []
    model = store.use("sd15", lambda: None)
    hook = model.pipeline.unet.register_forward_pre_hook(
        lambda _, __, kwargs: heard.append(kwargs["encoder_hidden_states"].clone()), with_kwargs=True
    )
    long = "word " * 8
    try:
        done(store, ask_for(prompt=f"[a:{long}:1] [b|c]", negative="[d::2]", steps=3))
    finally:
        hook.remove()
    encoder = PromptEncoder(model.pipeline, model.family.words)
    words = [("a b", "d"), (f"{long} c", "d"), (f"{long} b", "")]
    assert len(heard) == 3
    for told, (prompt, negative) in zip(heard, words, strict=True):
        encoded = encoder.encode(prompt, negative, guided=True)
        assert torch.equal(told, torch.cat([encoded["negative_prompt_embeds"], encoded["prompt_embeds"]])), prompt


def test_in_a_second_pass_and_from_a_picture_and_with_a_refiner_words_change_too(known: Catalog, store: Store) -> None:
    ways: dict[str, dict[str, Any]] = {
        "from a picture": {"image": PICTURE, "strength": 0.5, "steps": 4},
        "along a picture": {"control": Control("canny", PICTURE), "steps": 4},
    }
    for way, options in ways.items():
        cat, changed = (pixels(store, ask_for(prompt=words, **options)) for words in ("a cat", "a [cat:dog:0.5]"))
        assert cat != changed, way
    twice = {"hires": Hires(48, 48, 0.9), "steps": 4}
    first = pixels(store, ask_for(prompt="a [cat:dog:1.5]", **twice))
    assert first != pixels(store, ask_for(prompt="a cat", **twice))
    refined = for_model("sdxl", known, steps=4, refiner=imagine_refiner(known))
    cat, changed = (
        pixels(store, refined.__class__(**{**_fields(refined), "prompt": words}))
        for words in ("a cat", "a [cat:dog:0.9]")
    )
    assert cat != changed


def imagine_refiner(known: Catalog) -> Any:
    return known.info("sdxl", on_gpu=False).refiner


def _fields(request: Imagine) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}


@pytest.mark.parametrize("model", WEIGHED)
def test_and_adds_up_how_far_each_prompt_leads_away_from_the_negative(model: str, known: Catalog, store: Store) -> None:
    def painted(prompt: str, **options: Any) -> bytes:
        return pixels(store, for_model(model, known, prompt=prompt, **options))

    cat, dog, both = painted("a cat"), painted("a dog"), painted("a cat AND a dog")
    assert len({cat, dog, both, painted("a cat, a dog"), painted("a cat AND a dog :0.4")}) == 5
    assert painted("a cat AND a dog") == both
    # Twice the half of the same is the same, but for rounding; at 0 there is nothing of it.
    assert painted("a dog :0 AND a cat") == painted("a cat :1 AND a dog :0")
    assert apart(painted("a cat :0.5 AND a cat :0.5"), cat) < 2
    assert apart(painted("a cat AND a dog :0"), cat) < 2
    assert apart(both, cat) > 2


def apart(first: bytes, second: bytes) -> int:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def test_joined_prompts_go_with_control_and_with_changes(store: Store) -> None:
    prompts = ("a cat AND a dog", "a [cat:fish:0.5] AND a dog", "a cat AND a [dog|cow] :0.7", "a cat")
    options = {"control": Control("canny", PICTURE), "steps": 4}
    assert len({pixels(store, ask_for(prompt=prompt, **options)) for prompt in prompts}) == 4
    assert len({pixels(store, ask_for(prompt=prompt, steps=4)) for prompt in prompts}) == 4


@pytest.mark.parametrize("model", ["sd15", "sdxl"])
def test_changing_and_joined_words_have_the_same_bytes_alone_and_beside_others(
    model: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 4)
    prompts = {
        1: "a [cat:dog:0.5]",
        2: "a cat",
        3: "a [fox:cow:0.5]",
        4: "a cat AND a dog",
        5: "a cow AND a fox :0.5",
        6: "a [cat|dog]",
        7: "a cat BREAK a dog",
        8: "a dog",
    }

    def request(job: int, prompt: str) -> Imagine:
        return for_model(model, known, job=job, prompt=prompt, count=2, steps=4)

    alone = {job: hashes(paint_from({}, store, request(job, prompt))[job].pictures) for job, prompt in prompts.items()}
    together = paint_from({}, store, *(request(job, prompt) for job, prompt in prompts.items()))
    assert {job: hashes(finished.pictures) for job, finished in together.items()} == alone


@pytest.mark.parametrize("model", WEIGHED)
def test_break_begins_a_window_of_its_own(model: str, store: Store) -> None:
    encoder = PromptEncoder(store.use(model, lambda: None).pipeline, store.use(model, lambda: None).family.words)

    def states(prompt: str) -> torch.Tensor:
        return encoder.encode(prompt, "", guided=True)["prompt_embeds"]

    broken, first, second = states("red hat BREAK blue"), states("red hat"), states("blue")
    assert torch.allclose(broken, torch.cat([first, second], dim=1), atol=1e-5)
    assert states("red hat BREAK (blue:1.2)").shape == broken.shape
    assert torch.equal(
        states("red hat BREAK"), torch.cat([first, encoder.encode("", "", True)["prompt_embeds"]], dim=1)
    )
    assert encoder.encode("red BREAK blue", "x", guided=True)["negative_prompt_embeds"].shape == broken.shape


@pytest.mark.parametrize("model", WEIGHED)
def test_an_earlier_layer_is_read_where_that_is_asked_for(model: str, known: Catalog, store: Store) -> None:
    loaded = store.use(model, lambda: None)
    usual = known.info(model, on_gpu=False).usual_layer
    assert usual is not None
    plain = for_model(model, known)
    skipped = for_model(model, known, clip_skip=usual + 1)
    assert pixels(store, skipped) != pixels(store, plain)
    assert f"Clip skip: {usual + 1}" in parameters(done(store, skipped))
    assert "Clip skip" not in parameters(done(store, plain))
    encoder = PromptEncoder(loaded.pipeline, loaded.family.words)
    tokens = loaded.pipeline.tokenizer("a cat", padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        hidden = loaded.pipeline.text_encoder(tokens, output_hidden_states=True).hidden_states[-1 - usual]
        if model != "sdxl":
            hidden = loaded.pipeline.text_encoder.final_layer_norm(hidden)
    read = encoder.encode("a cat", "", guided=True, skipped=1)
    assert torch.allclose(read["prompt_embeds"][..., : hidden.shape[-1]], hidden, atol=1e-5)
    # Both sides, but for what stands for no words.
    assert bool(read["negative_prompt_embeds"].any()) == (model != "sdxl")
    weighed = encoder.encode("a (cat:1.2)", "", guided=True, skipped=1)["prompt_embeds"]
    assert torch.equal(weighed[:, :2], read["prompt_embeds"][:, :2])
    assert not torch.equal(weighed, read["prompt_embeds"])


@pytest.mark.parametrize(
    ("model", "prompt", "plain", "note"),
    [
        ("sd35", "a cat BREAK a dog", "a cat a dog", "words_not_broken"),
        ("sd35", "a cat AND a dog :1.2", "a cat, a dog", "words_not_joined"),
        ("flux-schnell", "a cat AND a dog", "a cat, a dog", "words_not_joined"),
        ("flux-dev", "a (cat:1.2) here", "a cat here", "weights_left_out"),
        ("sdxl-turbo", "a cat AND a dog", "a cat, a dog", "words_not_joined"),
    ],
)
def test_what_a_model_cannot_do_is_told_and_never_painted_as_words(
    model: str, prompt: str, plain: str, note: str, known: Catalog, store: Store
) -> None:
    told = done(store, for_model(model, known, prompt=prompt))
    assert told.answer.notes == (because(note, model=known.models[model].title),)
    assert pixels(store, for_model(model, known, prompt=prompt)) == pixels(store, for_model(model, known, prompt=plain))
    assert done(store, for_model(model, known, prompt=plain)).answer.notes == ()


def test_a_family_whose_words_stay_paints_those_of_the_first_step(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    model = store.use("sd15", lambda: None)
    family = replace(model.family, words=replace(model.family.words, between=None))
    store._resident["model sd15"].model = replace(model, family=family)
    told = done(store, ask_for(prompt="a [cat:dog:0.5]"))
    assert told.answer.notes == (because("words_not_changed", model="Tiny 1.5"),)
    assert pixels(store, ask_for(prompt="a [cat:dog:0.5]")) == pixels(store, ask_for(prompt="a cat"))


WILD_LORA = "{<lora:ink:1>|<lora:words:0.5>|} a red house"


def test_of_the_loras_in_a_wildcard_those_work_that_were_drawn(store: Store) -> None:
    request = ask_for(prompt=WILD_LORA, count=4, seed=3)
    finished = done(store, request)
    drawn = finished.answer.drawn
    assert len({each.loras for each in drawn}) > 1
    for index, each in enumerate(drawn):
        alone = ask_for(prompt=each.prompt, seed=3 + index, loras=each.loras)
        assert Image.open(io.BytesIO(bytes_of(finished.pictures[index]))).tobytes() == pixels(store, alone)
        first = parameters(finished, index).splitlines()[0]
        assert first == " ".join(["a red house", *(f"<lora:{lora.name}:{lora.weight:g}>" for lora in each.loras)])
        assert ("Lora hashes" in parameters(finished, index)) == bool(each.loras)
        assert [one["name"] for one in finished.recipe["words"][index]["loras"]] == [one.name for one in each.loras]


def test_a_style_brings_its_lora_and_what_is_asked_for_outright_counts(store: Store) -> None:
    style = Style("glow", "Glow", "{prompt}, neon style <lora:ink:0.8>")
    styled = done(store, ask_for(style=style))
    assert parameters(styled).splitlines()[0] == "a red house, neon style <lora:ink:0.8>"
    written = ask_for(prompt="a red house, neon style", loras=(Lora("ink", 0.8),))
    assert Image.open(io.BytesIO(bytes_of(styled.pictures[0]))).tobytes() == pixels(store, written)
    asked = done(store, ask_for(style=style, loras=(Lora("ink", 0.3),)))
    assert parameters(asked).splitlines()[0] == "a red house, neon style <lora:ink:0.3>"


@pytest.mark.parametrize(
    ("prompt", "notes"),
    [
        ("{<lora:nobody:1>|<lora:nobody:1>} a", [because("lora_not_drawn", typed="nobody", model="Tiny 1.5")]),
        ("{<lora:xl:1>|<lora:xl:1>} a", [because("lora_not_drawn", typed="xl", model="Tiny 1.5")]),
        ("{<lora:ink:9>|<lora:ink:9>} a", [because("lora_not_drawn", typed="ink", model="Tiny 1.5")]),
        ("{<lora:ink:lbw=X>|<lora:ink:lbw=X>} a", [because("lora_setting", lora="ink", typed="lbw=X")]),
        ("__nobody__ a", [because("no_such_wildcard", typed="nobody")]),
    ],
)
def test_what_cannot_be_drawn_is_left_out_and_told(prompt: str, notes: list[Reason], store: Store) -> None:
    finished = done(store, ask_for(prompt=prompt))
    assert list(finished.answer.notes) == notes
    assert "Lora hashes" not in parameters(finished)
    assert parameters(finished).splitlines()[0] == "a"


def test_lines_of_files_are_drawn_by_the_seed_and_kept_in_the_recipe(
    known: Catalog, cpu: Device, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "colours.txt").write_text("# colours\nred\n\nblue <lora:ink:0.7>\n(green:1.2)\n", encoding="utf-8-sig")
    (tmp_path / "deep" / "Things.txt").write_text("__colours__ house\n__colours__ boat\n")
    store = Store(catalog=replace(known, wildcards=tmp_path), device=cpu)
    request = ask_for(prompt="a __deep/things__", negative="__COLOURS__", count=4, seed=5)
    finished = done(store, request)
    assert hashes(finished.pictures) == hashes(done(store, request).pictures)
    drawn = finished.answer.drawn
    assert len(set(drawn)) > 1
    for index, each in enumerate(drawn):
        assert finished.recipe["words"][index]["prompt"] == each.prompt
        assert each.prompt.split()[1] in ("red", "blue", "(green:1.2)")
        assert ("blue" in each.prompt) == (each.loras == (Lora("ink", 0.7),))
        assert parameters(finished, index).startswith(each.prompt)
    assert {each.prompt.split()[-1] for each in drawn} <= {"house", "boat"}
    # Nothing outside of the folder, whatever it is called.
    for name in ("../secret", "/etc/passwd", "deep/../colours", "deep"):
        assert done(store, ask_for(prompt=f"a __{name}__ cat")).recipe["words"][0]["prompt"].split()[-1] == "cat"


def test_a_line_that_cannot_be_painted_fails_its_own_job_alone(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("(red:99)\n")
    store = Store(catalog=replace(known, wildcards=tmp_path), device=cpu)
    record = Record()
    requests = [ask_for(1, prompt="a __bad__ house"), ask_for(2)]
    record.begin(*requests)
    imagine.run(requests, {}, store, record.report)
    assert [*record.finished()] == [2]
    assert record.failed()[1].reason == because("word_weight", value=99.0, typed="red", most=10.0)
    (tmp_path / "bad.txt").write_text("long " * 1000)
    again = Record()
    again.begin(requests[0])
    imagine.run(requests[:1], {}, store, again.report)
    again.report.close()
    assert again.failed()[1].reason == because("styled_chars", chars=5007, most=4000)


def test_what_was_not_left_to_chance_is_not_kept_twice(store: Store) -> None:
    assert done(store, ask_for(prompt="a [cat:dog:0.5] (house:1.2)")).answer.drawn == ()
    [drawn] = done(store, ask_for(prompt="{a|b} house")).answer.drawn
    assert drawn in (Drawn("a house", ""), Drawn("b house", ""))
