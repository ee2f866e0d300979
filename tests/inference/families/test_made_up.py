"""A family in one file and one line: it paints through everything that Easel has, and nothing else knows of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel
from PIL import Image, ImageDraw
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.models import placement, policy
from inference.models.store import Store
from inference.painting import decoding
from inference.protocol import Finished, Hires, Imagine, Preview
from inference.tasks import imagine
from tests.inference.cards import card
from tests.inference.conftest import Record, ask_for, paint_from, uploaded
from tests.inference.families import sana
from tests.inference.folders import bytes_of, hashes
from tests.inference.serving import Serving
from tests.inference.tiny import picture

WIDTH = 16
ENTRY = """
default = "sana"

[models.sana]
title = "Tiny Sana"
family = "sana"
path = "sana"
width = 128
height = 128
size_multiple = 32
min_size = 64
max_size = 256
max_pixels = 65536
steps = 4
guidance = 4.5
sampler = "DPM++ 2M"
"""
OLD, FILES = uploaded(picture(128, 64, seed=3))


def write(folder: Path) -> None:
    """A tiny Sana with random weights, in the layout of the published ones."""
    torch.manual_seed(0)
    letters = " abcdefghijklmnopqrstuvwxyz0123456789.,"
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(letter.replace(" ", "▁") for letter in letters)]
    tokenizer = GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    words = Gemma2Config(
        vocab_size=len(pieces),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    blocks: dict[str, Any] = {"layers_per_block": (1,) * 6, "qkv_multiscales": ((),) * 5 + ((5,),)}
    kinds = ("ResBlock",) * 5 + ("EfficientViTBlock",)
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_types=kinds,
        decoder_block_types=kinds,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in blocks.items()},
        encoder_block_out_channels=(8,) * 6,
        decoder_block_out_channels=(8,) * 6,
        scaling_factor=0.41407,
    )
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=WIDTH,
        caption_channels=WIDTH,
        sample_size=4,
    )
    scheduler = DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    SanaPipeline(tokenizer, Gemma2Model(words), vae, transformer, scheduler).save_pretrained(folder)


@pytest.fixture(scope="module")
def sana_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sana")
    write(folder / "sana")
    (folder / "models.toml").write_text(ENTRY)
    return folder / "models.toml"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "sana", sana.FAMILY)
        yield


@pytest.fixture(scope="module")
def catalog(sana_toml: Path) -> Catalog:
    return reading.load(sana_toml)


@pytest.fixture(scope="module")
def store(catalog: Catalog, cpu: Device) -> Store:
    return Store(catalog=catalog, device=cpu)


paint = partial(paint_from, FILES)


def ask(job: int = 1, **changes: Any) -> Imagine:
    defaults = {"model": "sana", "steps": 4, "guidance": 4.5, "width": 128, "height": 64}
    return ask_for(job, **{**defaults, **changes})


def pixels(finished: Finished, index: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[index]))))


def test_the_engine_offers_it_and_paints_with_it(catalog: Catalog, store: Store) -> None:
    serving = Serving(catalog, store)
    (offered,) = serving.peer.ready().models
    assert (offered.family, offered.samplers, offered.negative) == ("sana", ("DPM++ 2M", "UniPC"), True)
    first = serving.peer.paint(ask(1))[1]
    assert hashes(serving.peer.paint(ask(2))[2].pictures) == hashes(first.pictures)
    assert hashes(serving.peer.paint(ask(3, seed=8))[3].pictures) != hashes(first.pictures)
    serving.peer.socket.close()
    assert serving.ended()
    assert pixels(first).shape == (64, 128, 3)
    assert pixels(first).std() > 1
    assert first.recipe["model"]["hash"] == first.recipe["model"]["components"]["transformer"]
    assert first.recipe["scheduler"]["config"]["use_flow_sigmas"] is True


@pytest.mark.parametrize("guidance", [1.0, 4.5])
def test_the_engine_paints_what_the_bare_pipeline_paints(guidance: float, store: Store) -> None:
    request = ask(negative="blue", guidance=guidance)
    ours = pixels(paint(store, request)[1])
    bare = store.use("sana", lambda: None).pipeline(
        prompt=request.prompt,
        negative_prompt="blue",
        width=128,
        height=64,
        num_inference_steps=4,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(request.seed),
        use_resolution_binning=False,
        complex_human_instruction=None,
    )
    assert np.array_equal(ours, np.asarray(bare.images[0]))


@pytest.mark.parametrize("sampler", sana.FAMILY.samplers)
def test_it_starts_from_a_picture_and_goes_as_far_as_it_is_asked(sampler: str, store: Store) -> None:
    model, start = store.use("sana", lambda: None), Image.open(io.BytesIO(FILES[OLD.sha256]))
    latents = decoding.encode(model.pipeline, model.family, start)
    # All that its autoencoder, whose weights are chance, leaves of it.
    (old,) = (np.asarray(each).astype(int) for each in decoding.decode(model.pipeline, model.family, latents))

    def painted(strength: float) -> Finished:
        return paint(store, ask(sampler=sampler, image=OLD, strength=strength, steps=20))[1]

    near, far = (abs(pixels(painted(strength)) - old).mean() for strength in (0.1, 0.9))
    assert near < far
    assert hashes(painted(0.5).pictures) == hashes(painted(0.5).pictures)


def test_what_is_not_masked_stays_bit_for_bit(store: Store) -> None:
    mask = Image.new("L", (128, 64))
    ImageDraw.Draw(mask).rectangle((0, 0, 63, 63), fill=255)
    given, data = uploaded(mask)
    files = {**FILES, **data}
    request = ask(image=OLD, mask=given, strength=0.8)
    first, second = (paint_from(files, store, request)[1] for _ in range(2))
    assert hashes(first.pictures) == hashes(second.pictures)
    old = np.asarray(Image.open(io.BytesIO(FILES[OLD.sha256])))
    assert np.array_equal(pixels(first)[:, 64:], old[:, 64:])
    assert (pixels(first)[:, :48] != old[:, :48]).any()


@pytest.mark.usefixtures("many_previews")
def test_it_shows_previews_of_its_own_size(store: Store) -> None:
    record = Record()
    request = ask(width=256, height=128, count=2)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    assert record.finished()
    previews = [event for event in record if isinstance(event, Preview)]
    assert len(previews) == 2 * (request.steps - 1)
    assert np.asarray(Image.open(io.BytesIO(previews[-1].image))).std() > 1


def test_pictures_are_the_same_alone_and_beside_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagine, "canonical_batch", lambda *_: 2)
    alone = paint(store, ask(seed=8))[1]
    beside = paint(store, ask(2, seed=100, prompt="a blue boat", negative="red"), ask(1, seed=8))[1]
    assert hashes(alone.pictures) == hashes(beside.pictures)


def test_it_looks_away_from_words_and_weighs_none(store: Store) -> None:
    plain = paint(store, ask())[1]
    assert hashes(paint(store, ask(negative="a blue boat"))[1].pictures) != hashes(plain.pictures)
    weighed = paint(store, ask(prompt="a (red:1.3) house"))[1]
    assert np.array_equal(pixels(weighed), pixels(plain))
    assert weighed.answer.notes == ("Tiny Sana does not weigh words: the weights were left out.",)


def test_a_second_pass_paints_it_larger(store: Store) -> None:
    finished = paint(store, ask(hires=Hires(width=192, height=96, strength=0.5)))[1]
    assert pixels(finished).shape == (96, 192, 3)


def test_tiles_follow_one_another_and_whole_pictures_come_back(
    sana_toml: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "TILE", 64)
    known = reading.load(sana_toml)
    model = store.use("sana", lambda: None)
    whole = paint(store, ask(width=256))[1]
    placement.tile(model.pipeline, model.family, policy.Policy(vae_tiling=True))
    tiled = paint(store, ask(width=256))[1]
    assert not np.array_equal(pixels(tiled), pixels(whole))
    placement.tile(model.pipeline, model.family, policy.Policy())
    assert hashes(paint(store, ask(width=256))[1].pictures) == hashes(whole.pictures)
    on_card = Store(catalog=known, device=card())
    assert np.array_equal(pixels(paint(on_card, ask(width=256))[1]), pixels(whole))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size_multiple = 8", "models.sana: size_multiple: the sana family needs 32 or a multiple of it"),
        ('samplers = ["Euler"]', "models.sana: samplers: the sana family does not admit 'Euler'"),
        ("channels_last = true", "models.sana: channels_last: the sana family has no convolutions that gain from it"),
        ('attention = "sliced"', "models.sana: attention: attention cannot be sliced in the sana family"),
        ('attention = "flash"', "models.sana: attention: the sana family takes no other kernels"),
        ("compile = true", "models.sana: compile: diffusers names no repeated blocks in the sana family"),
        ('refiner = "sana"', "models.sana: refiner: the sana family has none"),
        (
            '[controls.edges]\ntitle = "Edges"\npath = "edges"\nmodels = ["sana"]\nannotator = "canny"',
            "controls.edges: models: no ControlNet can be used with the sana family",
        ),
    ],
)
def test_what_it_cannot_is_told_at_the_start(line: str, message: str, tmp_path: Path) -> None:
    kept = [other for other in ENTRY.splitlines() if other.split(" =")[0] != line.split(" =")[0]]
    path = tmp_path / "models.toml"
    path.write_text("\n".join([*kept, line]))
    with pytest.raises(CatalogError) as refused:
        reading.load(path)
    assert str(refused.value).startswith(f"{path}: {message}")


def test_styles_may_speak_to_it(sana_toml: Path, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(ENTRY)
    (tmp_path / "styles.toml").write_text(
        '[styles.ink]\ntitle = "Ink"\nprompt = "{prompt}"\n[styles.ink.for.sana]\nprompt = "ink of {prompt}"'
    )
    (style,) = reading.load(tmp_path / "models.toml").info("sana").styles
    assert style.prompt == "ink of {prompt}"


def test_who_has_not_registered_it_is_told_what_there_is(sana_toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FAMILIES, "sana")
    known = "sd1, sd2, sdxl, sd3, flux"
    with pytest.raises(CatalogError, match=f"models.sana: family: must be one of {known}, not 'sana'"):
        reading.load(sana_toml)


def test_its_type_on_a_card_is_its_own(cpu: Device) -> None:
    gpu = replace(cpu, where=torch.device("cuda"))
    assert gpu.dtype("auto", sana.FAMILY.dtype) == torch.bfloat16
