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
from msgspec import structs
from PIL import Image, ImageDraw

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import CatalogError
from inference.families import FAMILIES
from inference.models import placement
from inference.models.policy import Policy
from inference.models.store import Store
from inference.painting import decoding, setups
from inference.protocol import Finished, Hires, Imagine, Preview
from inference.tasks import imagine
from tests.inference.conftest import Record, ask_for, paint_from, uploaded
from tests.inference.families import aura, making
from tests.inference.folders import bytes_of, hashes
from tests.inference.serving import Serving
from tests.inference.tiny import picture

MADE_UP = {"aura": aura.FAMILY}
SAMPLERS = [(name, sampler) for name, family in MADE_UP.items() for sampler in family.samplers]
OLD, FILES = uploaded(picture(128, 64, seed=3))

each = pytest.mark.parametrize("name", MADE_UP)
paint = partial(paint_from, FILES)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, family in MADE_UP.items():
            patch.setitem(FAMILIES, name, family)
        yield


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return making.write(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="module")
def catalog(toml: Path) -> Catalog:
    return reading.load(toml)


@pytest.fixture(scope="module")
def store(catalog: Catalog, cpu: Device) -> Store:
    return Store(catalog=catalog, device=cpu)


def ask(name: str, job: int = 1, **changes: Any) -> Imagine:
    (sampler, *_) = MADE_UP[name].samplers
    defaults = {"model": name, "sampler": sampler, "steps": 4, "guidance": 3.5, "width": 128, "height": 64}
    return ask_for(job, **{**defaults, **changes})


def pixels(finished: Finished) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))))


def test_the_engine_offers_them_and_paints_with_them(catalog: Catalog, store: Store) -> None:
    serving = Serving(catalog, store)
    offered = {model.family: (model.samplers, model.negative) for model in serving.peer.ready().models}
    assert offered == {"aura": (("FlowMatch Euler",), True)}
    for name in MADE_UP:
        first, again, other = (serving.peer.paint(ask(name, seed=seed))[1] for seed in (7, 7, 8))
        assert hashes(first.pictures) == hashes(again.pictures) != hashes(other.pictures)
        assert pixels(first).shape == (64, 128, 3)
        assert pixels(first).std() > 1
        assert first.recipe["model"]["hash"] == first.recipe["model"]["components"]["transformer"]
    serving.peer.socket.close()
    assert serving.ended()


@each
@pytest.mark.parametrize("guidance", [1.0, 3.5])
def test_the_engine_paints_what_the_bare_pipeline_paints(name: str, guidance: float, store: Store) -> None:
    request = ask(name, negative="blue", guidance=guidance)
    ours = pixels(paint(store, request)[1])
    own: dict[str, dict[str, Any]] = {
        "aura": {"guidance_scale": guidance},
    }
    bare = store.use(name, lambda: None).pipeline(
        prompt=request.prompt,
        negative_prompt="blue",
        width=128,
        height=64,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(request.seed),
        **own[name],
    )
    assert np.array_equal(ours, np.asarray(bare.images[0]))


@pytest.mark.parametrize(("name", "sampler"), SAMPLERS)
def test_they_start_from_a_picture_and_go_as_far_as_they_are_asked(name: str, sampler: str, store: Store) -> None:
    model, start = store.use(name, lambda: None), Image.open(io.BytesIO(FILES[OLD.sha256]))
    latents = decoding.encode(model.pipeline, model.family, start)
    # All that an autoencoder whose weights are chance leaves of it.
    old = np.asarray(decoding.decode(model.pipeline, model.family, latents)[0]).astype(int)

    def painted(strength: float) -> Finished:
        return paint(store, ask(name, sampler=sampler, image=OLD, strength=strength, steps=20))[1]

    near, far = (abs(pixels(painted(strength)) - old).mean() for strength in (0.1, 0.9))
    assert near < far
    assert hashes(painted(0.5).pictures) == hashes(painted(0.5).pictures)


@each
def test_what_is_not_masked_stays_bit_for_bit(name: str, store: Store) -> None:
    mask = Image.new("L", (128, 64))
    ImageDraw.Draw(mask).rectangle((0, 0, 63, 63), fill=255)
    given, data = uploaded(mask)
    request = ask(name, image=OLD, mask=given, strength=0.8)
    first, second = (paint_from({**FILES, **data}, store, request)[1] for _ in range(2))
    assert hashes(first.pictures) == hashes(second.pictures)
    old = np.asarray(Image.open(io.BytesIO(FILES[OLD.sha256])))
    assert np.array_equal(pixels(first)[:, 64:], old[:, 64:])
    assert (pixels(first)[:, :48] != old[:, :48]).any()


@each
@pytest.mark.usefixtures("many_previews")
def test_they_show_previews_no_larger_than_their_autoencoder_paints_cheaply(name: str, store: Store) -> None:
    record = Record()
    request = ask(name, width=256, height=128, count=2)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    assert record.finished()
    shown = [Image.open(io.BytesIO(event.image)) for event in record if isinstance(event, Preview)]
    assert len(shown) == 2 * (request.steps - 1)
    assert np.asarray(shown[-1]).std() > 1
    model = store.use(name, lambda: None)
    sketch = decoding.sketch(model.pipeline, model.family, torch.zeros((1, model.latent_channels, 64, 64)))
    side = MADE_UP[name].latents.preview * model.pipeline.vae_scale_factor
    assert decoding.pictures(model.pipeline, sketch)[0].size == (side, side) == (256, 256)


@each
def test_words_of_other_lengths_beside_a_picture_leave_it_its_bytes(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    alone = paint(store, ask(name, seed=8))[1]
    for words in ({"prompt": "a blue boat"}, {"prompt": "a boat at sea"}, {"negative": "red and green"}):
        beside = paint(store, ask(name, 2, seed=100, **words), ask(name, seed=8))
        assert hashes(beside[1].pictures) == hashes(alone.pictures), words


@each
def test_they_look_away_from_words_and_weigh_none(name: str, store: Store) -> None:
    plain = paint(store, ask(name))[1]
    assert hashes(paint(store, ask(name, negative="a blue boat"))[1].pictures) != hashes(plain.pictures)
    weighed = paint(store, ask(name, prompt="a (red:1.3) house"))[1]
    assert np.array_equal(pixels(weighed), pixels(plain))
    assert weighed.answer.notes[0].name == "weights_left_out"


@each
def test_a_second_pass_paints_larger(name: str, store: Store) -> None:
    finished = paint(store, ask(name, hires=Hires(width=192, height=96, strength=0.5)))[1]
    assert pixels(finished).shape == (96, 192, 3)


@each
def test_tiles_are_a_switch(name: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.models.policy.TILE", 64)
    model = store.use(name, lambda: None)
    whole = paint(store, ask(name, width=256))[1]
    placement.tile(model.pipeline, model.family, Policy(vae_tiling=True))
    tiled = paint(store, ask(name, width=256))[1]
    placement.tile(model.pipeline, model.family, Policy())
    assert not np.array_equal(pixels(tiled), pixels(whole))
    assert hashes(paint(store, ask(name, width=256))[1].pictures) == hashes(whole.pictures)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size_multiple = 8", "models.aura: size_multiple: the aura family needs 16 or a multiple of it"),
        ('samplers = ["Euler"]', "models.aura: samplers: the aura family does not admit 'Euler'"),
        ("channels_last = true", "models.aura: channels_last: the aura family has no convolutions that gain from it"),
        ('attention = "sliced"', "models.aura: attention: attention cannot be sliced in the aura family"),
        ('attention = "flash"', "models.aura: attention: the aura family takes no other kernels"),
        ("compile = true", "models.aura: compile: diffusers names no repeated blocks in the aura family"),
        ('refiner = "aura"', "models.aura: refiner: the aura family has none"),
        (
            '[controls.edges]\ntitle = "Edges"\npath = "edges"\nmodels = ["aura"]\nannotator = "canny"',
            "controls.edges: models: no ControlNet can be used with the aura family",
        ),
    ],
)
def test_what_a_family_cannot_is_told_at_the_start(line: str, message: str, tmp_path: Path) -> None:
    kept = [other for other in making.CATALOG.splitlines() if other.split(" =")[0] != line.split(" =")[0]]
    path = tmp_path / "models.toml"
    path.write_text("\n".join([*kept, line]))
    with pytest.raises(CatalogError) as refused:
        reading.load(path)
    assert str(refused.value).startswith(f"{path}: {message}")


@each
def test_styles_may_speak_to_them(name: str, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(making.CATALOG)
    (tmp_path / "styles.toml").write_text(
        f'[styles.ink]\ntitle = "Ink"\nprompt = "{{prompt}}"\n[styles.ink.for.{name}]\nprompt = "ink of {{prompt}}"'
    )
    (style,) = reading.load(tmp_path / "models.toml").info(name, on_gpu=False).styles
    assert style.prompt == "ink of {prompt}"


def test_who_has_not_registered_one_is_told_what_there_is(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MADE_UP:
        monkeypatch.delitem(FAMILIES, name)
    known = ", ".join(name for name in FAMILIES if name not in MADE_UP)
    with pytest.raises(CatalogError, match=f"models.aura: family: must be one of {known}, not 'aura'"):
        reading.load(toml)


@pytest.mark.parametrize(
    ("family", "dtype"),
    [("sd1", torch.float16), ("sdxl", torch.float16), ("sd3", torch.bfloat16), ("flux", torch.bfloat16)]
    + [(name, torch.float16) for name in MADE_UP],
)
def test_weights_are_kept_on_a_card_in_what_the_family_bears(
    family: str, dtype: torch.dtype, catalog: Catalog, cpu: Device
) -> None:
    gpu = replace(cpu, where=torch.device("cuda"))
    entry = catalog.models["aura"]
    assert placement.dtype(structs.replace(entry, family=family), gpu) == dtype
    assert placement.dtype(structs.replace(entry, family=family), cpu) == torch.float32
