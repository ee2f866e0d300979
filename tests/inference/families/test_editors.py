"""FLUX.2 klein, FLUX.1 Kontext, Qwen-Image and Qwen-Image-Edit from words: they paint through all that Easel has."""

from __future__ import annotations

import io
import logging
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.catalog.reading import Catalog
from inference.families import FAMILIES
from inference.families.record import Family
from inference.families.samplers import FLOW
from inference.models import placement
from inference.models.policy import Policy
from inference.models.store import Store
from inference.painting import decoding, noise, samplers, setups
from inference.protocol import Finished, Hires, Imagine, Lora, Preview
from inference.tasks import imagine
from tests.inference.conftest import Record, paint_from, uploaded
from tests.inference.folders import bytes_of, hashes
from tests.inference.test_imagine import for_model
from tests.inference.tiny import picture

OLD, FILES = uploaded(picture(64, 32, seed=3))
MODELS = ["klein", "klein-base", "kontext", "qwen", "qwen-edit"]
FROM_WORDS = ["klein", "klein-base", "kontext", "qwen"]
"""Those whose own pipeline paints from words alone."""
AWAY = ["klein-base", "qwen", "qwen-edit"]
"""Those that look away from words."""

each = pytest.mark.parametrize("name", MODELS)
paint = partial(paint_from, FILES)


def ask(name: str, known: Catalog, job: int = 1, **changes: object) -> Imagine:
    return msgspec.structs.replace(for_model(name, known, width=64, height=32), job=job, **changes)


def pixels(finished: Finished) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))))


@each
def test_they_paint_and_repeat_themselves(name: str, known: Catalog, store: Store) -> None:
    first, again, other = (paint(store, ask(name, known, seed=seed))[1] for seed in (7, 7, 8))
    assert hashes(first.pictures) == hashes(again.pictures) != hashes(other.pictures)
    assert pixels(first).shape == (32, 64, 3)
    assert pixels(first).std() > 1


@pytest.mark.parametrize("name", FROM_WORDS)
def test_the_engine_paints_what_the_bare_pipeline_paints(name: str, known: Catalog, store: Store) -> None:
    negative = "" if name.startswith("klein") else "blue"
    request = ask(name, known, negative=negative, steps=3)
    ours = pixels(paint(store, request)[1])
    # All that it must be told beside the request, as its makers do.
    own: dict[str, dict[str, Any]] = {
        "kontext": {"max_area": 64 * 32, "negative_prompt": "blue"},
        "qwen": {"negative_prompt": "blue"},
    }
    bare = store.use(name, lambda: None).pipeline(
        prompt=request.prompt,
        width=64,
        height=32,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(request.seed),
        **{FAMILIES[known.models[name].family].guidance: request.guidance},
        **own.get(name, {}),
    )
    assert np.array_equal(ours, np.asarray(bare.images[0]))


@each
def test_they_start_from_a_picture_and_go_as_far_as_they_are_asked(
    name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = store.use(name, lambda: None)
    clean = decoding.encode(model.pipeline, model.family, Image.open(io.BytesIO(FILES[OLD.sha256])))
    decode, gone = decoding.decode, []

    def seeing(pipeline: Any, family: Family, latents: torch.Tensor) -> list[Image.Image]:
        gone.append(float((latents - clean).abs().mean()))
        return decode(pipeline, family, latents)

    monkeypatch.setattr(decoding, "decode", seeing)
    for strength in (0.1, 0.5, 0.9):
        assert paint(store, ask(name, known, image=OLD, strength=strength, steps=10, guidance=1.0))
    assert gone == sorted(gone)
    assert gone[0] < 0.8 * gone[2]


@each
@pytest.mark.usefixtures("many_previews")
def test_a_perfect_model_finds_the_way_back_to_the_picture_at_every_step(
    name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(name, known, image=OLD, strength=0.7, steps=6, guidance=1.0)
    model = store.use(name, lambda: None)
    clean = decoding.encode(model.pipeline, model.family, Image.open(io.BytesIO(FILES[OLD.sha256])))
    found = model.family.latents.pack(noise.draw(request, 0, clean.shape)[0] - clean)
    monkeypatch.setattr(model.denoiser, "forward", lambda **_: (found,))
    seen: list[torch.Tensor] = []
    for called in ("sketch", "decode"):

        def seeing(pipeline: Any, family: Any, latents: torch.Tensor, *rest: Any, was: Any, **more: Any) -> Any:
            seen.append(latents)
            return was(pipeline, family, latents, *rest, **more)

        monkeypatch.setattr(decoding, called, partial(seeing, was=getattr(decoding, called)))
    paint(store, request)
    assert len([latents for latents in seen if latents.shape == clean.shape]) >= request.steps_taken == 4
    assert all(torch.allclose(latents, clean, atol=1e-4) for latents in seen if latents.shape == clean.shape)


@each
def test_what_is_not_masked_stays_bit_for_bit(name: str, known: Catalog, store: Store) -> None:
    mask = Image.new("L", (64, 32))
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 31), fill=255)
    given, data = uploaded(mask)
    request = ask(name, known, image=OLD, mask=given, strength=0.8, steps=3)
    first, second = (paint_from({**FILES, **data}, store, request)[1] for _ in range(2))
    assert hashes(first.pictures) == hashes(second.pictures)
    old = np.asarray(Image.open(io.BytesIO(FILES[OLD.sha256])))
    assert np.array_equal(pixels(first)[:, 32:], old[:, 32:])
    assert (pixels(first)[:, :24] != old[:, :24]).any()


@each
@pytest.mark.usefixtures("many_previews")
def test_they_show_previews_which_change_no_picture(name: str, known: Catalog, store: Store) -> None:
    record = Record()
    request = ask(name, known, count=2, steps=3)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    with_previews = record.finished()[1]
    shown = [Image.open(io.BytesIO(event.image)) for event in record if isinstance(event, Preview)]
    assert len(shown) == 2 * (request.steps - 1)
    assert np.asarray(shown[-1]).std() > 1
    assert hashes(with_previews.pictures)[0] != hashes(with_previews.pictures)[1]
    model = store.use(name, lambda: None)
    sketch = decoding.sketch(model.pipeline, model.family, torch.zeros((1, model.latent_channels, 64, 64)))
    assert decoding.pictures(model.pipeline, sketch)[0].size == (256, 256)


@each
def test_words_of_other_lengths_beside_a_picture_leave_it_its_bytes(
    name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    alone = paint(store, ask(name, known, seed=8))[1]
    for words in ("a blue boat", "a boat at sea"):
        beside = paint(store, ask(name, known, 2, seed=100, prompt=words), ask(name, known, seed=8))
        assert hashes(beside[1].pictures) == hashes(alone.pictures), words


@pytest.mark.parametrize("name", AWAY)
def test_they_look_away_from_words_and_weigh_none(name: str, known: Catalog, store: Store) -> None:
    plain = paint(store, ask(name, known))[1]
    assert not np.array_equal(pixels(paint(store, ask(name, known, negative="a blue boat"))[1]), pixels(plain))
    weighed = paint(store, ask(name, known, prompt="a (red:1.3) house"))[1]
    assert np.array_equal(pixels(weighed), pixels(plain))
    assert weighed.answer.notes[0].name == "weights_left_out"


@each
def test_a_second_pass_paints_larger(name: str, known: Catalog, store: Store) -> None:
    finished = paint(store, ask(name, known, hires=Hires(width=96, height=48, strength=0.5)))[1]
    assert pixels(finished).shape == (48, 96, 3)


@each
def test_tiles_are_a_switch(name: str, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.models.policy.TILE", 64)
    model = store.use(name, lambda: None)
    whole = pixels(paint(store, ask(name, known, width=128))[1])
    placement.tile(model.pipeline, model.family, Policy(vae_tiling=True))
    tiled = pixels(paint(store, ask(name, known, width=128))[1])
    placement.tile(model.pipeline, model.family, Policy())
    assert not np.array_equal(tiled, whole)
    assert np.array_equal(pixels(paint(store, ask(name, known, width=128))[1]), whole)


@pytest.mark.parametrize(
    ("name", "lora"), [("klein", "klein"), ("kontext", "kontext"), ("qwen", "qwen"), ("qwen-edit", "qwen")]
)
def test_a_lora_works_and_at_weight_0_the_picture_is_the_bases(
    name: str, lora: str, known: Catalog, store: Store
) -> None:
    base, none, working = (
        pixels(paint(store, ask(name, known, loras=loras))[1]) for loras in ((), (Lora(lora, 0.0),), (Lora(lora, 1.0),))
    )
    assert np.array_equal(base, none)
    assert not np.array_equal(base, working)
    assert np.array_equal(pixels(paint(store, ask(name, known))[1]), base)


@each
@pytest.mark.parametrize("width", [64, 128])
def test_the_steps_are_known_before_the_pipeline_sets_them(
    name: str, width: int, known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(name, known, width=width, steps=5)
    model = store.use(name, lambda: None)
    cells = 32 // model.latent_factor, width // model.latent_factor
    spacing = model.family.spacing(model.scheduler_config, 5, *cells)
    ours = samplers.build(FLOW[request.sampler], model.scheduler_config, 5, spacing=spacing)
    ours.set_timesteps(5)
    built: list[Any] = []
    build = samplers.build

    def build_unspaced(*args: Any) -> Any:
        built.append(build(*args[:-1]))
        return built[-1]

    monkeypatch.setattr(samplers, "build", build_unspaced)
    paint(store, request)
    assert torch.equal(ours.sigmas, built[0].sigmas)


@pytest.mark.parametrize("name", ["klein", "klein-base"])
def test_latents_of_klein_are_patches_and_come_back_as_they_were(name: str, store: Store) -> None:
    model = store.use(name, lambda: None)
    assert (model.latent_channels, model.latent_factor) == (16, 16)
    latents = torch.arange(2 * 16 * 4 * 6.0).view(2, 16, 4, 6)
    packed = model.family.latents.pack(latents)
    assert packed.shape == (2, 4 * 6, 16)
    assert torch.equal(model.family.latents.unpack(packed, 4, 6), latents)


def test_a_distilled_klein_runs_no_negative_side(store: Store) -> None:
    sides = [
        store.use(name, lambda: None).prompts.encode("a red house", "blue", guided=True).keys()
        for name in ("klein", "klein-base")
    ]
    assert sides == [{"prompt_embeds"}, {"prompt_embeds", "negative_prompt_embeds"}]


@pytest.mark.parametrize("name", ["qwen", "qwen-edit"])
def test_marks_of_a_language_model_are_words_like_others_where_a_member_writes_them(
    name: str, known: Catalog, store: Store
) -> None:
    marked = paint(store, ask(name, known, prompt="a <|image_pad|> <|im_end|> house", negative="<|image_pad|>"))[1]
    assert pixels(marked).std() > 1
    words = store.use(name, lambda: None).prompts.encode("<|image_pad|>", "", guided=False)
    assert words["prompt_embeds"].shape[1] > len("<|image_pad|>")


def test_they_paint_without_a_word_to_the_operator(
    known: Catalog, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    for name in MODELS:
        paint(store, ask(name, known))
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]
