"""Flux, whose latents are packed: noise, starts, masks, previews and words are those of the picture all the same."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.catalog.reading import Catalog
from inference.device import Device
from inference.families import FAMILIES
from inference.families.record import Family
from inference.families.samplers import FLOW
from inference.models.store import Store
from inference.painting import decoding, noise, samplers
from inference.protocol import Imagine, Lora, Preview
from inference.tasks import imagine
from tests.inference.conftest import Record, uploaded, with_model
from tests.inference.folders import bytes_of
from tests.inference.test_imagine import cancelling_record, for_model
from tests.inference.tiny import picture

OLD, FILES = uploaded(picture(64, 32, seed=3))
FLUX = ["flux-schnell", "flux-dev"]


def nothing() -> None:
    pass


def paint(store: Store, request: Imagine) -> Record:
    record = Record()
    record.begin(request)
    imagine.run([request], FILES, store, record.report)
    assert record.finished()
    return record


def pixels(store: Store, request: Imagine) -> bytes:
    return Image.open(io.BytesIO(bytes_of(paint(store, request).finished()[1].pictures[0]))).tobytes()


def edit(name: str, known: Catalog, **changes: object) -> Imagine:
    """A request to paint the left half of a picture anew."""
    mask = Image.new("L", (64, 32))
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 31), fill=255)
    given, data = uploaded(mask)
    FILES.update(data)
    of_entry = for_model(name, known, image=OLD, mask=given, width=64, height=32, steps=6, strength=0.7)
    return msgspec.structs.replace(of_entry, **changes)


@pytest.fixture
def finished_latents(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What is decoded into the pictures that are kept."""
    seen: list[torch.Tensor] = []
    decode = decoding.decode

    def seeing(pipeline: Any, family: Family, latents: torch.Tensor) -> list[Image.Image]:
        seen.append(latents.float())
        return decode(pipeline, family, latents)

    monkeypatch.setattr(decoding, "decode", seeing)
    return seen


def test_latents_are_packed_in_patches_of_2_by_2_and_come_back_as_they_were() -> None:
    latents = torch.arange(2 * 16 * 4 * 6.0).view(2, 16, 4, 6)
    flux = FAMILIES["flux"].latents
    packed = flux.pack(latents)
    assert packed.shape == (2, 2 * 3, 16 * 4)
    assert torch.equal(packed[1, 4].view(16, 2, 2), latents[1, :, 2:4, 2:4])
    assert torch.equal(flux.unpack(packed, 4, 6), latents)


def test_other_families_take_them_as_they_are() -> None:
    latents = torch.zeros(1, 16, 4, 6)
    other = FAMILIES["sd3"].latents
    assert other.pack(latents) is other.unpack(latents, 4, 6) is latents


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", ["sd35", *FLUX])
@pytest.mark.usefixtures("many_previews")
def test_a_perfect_model_finds_the_way_back_to_the_picture_at_every_step(
    name: str,
    masked: bool,
    known: Catalog,
    store: Store,
    finished_latents: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = edit(name, known, guidance=1.0)
    model = store.use(name, nothing)
    old = Image.open(io.BytesIO(FILES[OLD.sha256]))
    clean = decoding.encode(model.pipeline, model.family, old)
    found = model.family.latents.pack(noise.draw(request, 0, clean.shape)[0] - clean)
    monkeypatch.setattr(model.denoiser, "forward", lambda **_: (found,))
    sketched: list[torch.Tensor] = []
    sketch = decoding.sketch

    def seeing(pipeline: Any, family: Family, latents: torch.Tensor, **further: Any) -> torch.Tensor:
        sketched.append(latents)
        return sketch(pipeline, family, latents, **further)

    monkeypatch.setattr(decoding, "sketch", seeing)
    paint(store, request if masked else msgspec.structs.replace(request, mask=None))
    assert len(sketched) == request.steps_taken - 1 == 3
    assert all(torch.allclose(latents, clean, atol=1e-4) for latents in (*sketched, finished_latents[-1]))


@pytest.mark.parametrize("name", FLUX)
def test_latents_that_are_kept_end_as_they_began(
    name: str, known: Catalog, store: Store, finished_latents: list[torch.Tensor]
) -> None:
    request = edit(name, known)
    paint(store, request)
    model = store.use(name, nothing)
    clean = decoding.encode(model.pipeline, model.family, Image.open(io.BytesIO(FILES[OLD.sha256])))
    assert torch.equal(finished_latents[0][..., 4:], clean[..., 4:])
    assert not torch.isclose(finished_latents[0][..., :4], clean[..., :4]).any()


@pytest.mark.parametrize("name", ["sd35", *FLUX])
@pytest.mark.parametrize("size", [(32, 32), (64, 32)])
def test_the_steps_are_known_before_the_pipeline_sets_them(
    name: str, size: tuple[int, int], known: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, height = size
    request = for_model(name, known, width=width, height=height, steps=5)
    model = store.use(name, nothing)
    spacing = model.family.spacing(model.scheduler_config, 5, height // 8, width // 8)
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


def test_dev_spends_more_of_its_steps_on_noise_where_pictures_are_large(store: Store) -> None:
    config, spacing = store.use("flux-dev", nothing).scheduler_config, FAMILIES["flux"].spacing
    sigmas = []
    for side in (64, 128):
        scheduler = samplers.build(FLOW["FlowMatch Euler"], config, 4, spacing=spacing(config, 4, side, side))
        scheduler.set_timesteps(4)
        sigmas.append(scheduler.sigmas[1:4])
    assert (sigmas[0] < sigmas[1]).all()
    # The larger of its two shifts, 1.15, belongs to the 4096 patches of 1024 by 1024 pixels.
    assert float(sigmas[1][0]) == pytest.approx(np.exp(1.15) / (np.exp(1.15) + 1 / 0.75 - 1))


def test_schnell_reads_256_tokens_and_dev_512(store: Store) -> None:
    shapes = []
    for name in FLUX:
        encoded = store.use(name, nothing).prompts.encode("a red house", "blue", guided=True)
        assert set(encoded) == {"prompt_embeds", "pooled_prompt_embeds"}
        shapes.append(tuple(encoded["prompt_embeds"].shape))
    assert shapes == [(1, 256, 64), (1, 512, 64)]


def test_dev_is_told_its_guidance_and_schnell_has_none(known: Catalog, store: Store) -> None:
    painted = [{pixels(store, for_model(name, known, guidance=told)) for told in (0.0, 3.5)} for name in FLUX]
    assert [len(pictures) for pictures in painted] == [1, 2]


@pytest.mark.usefixtures("many_previews")
def test_a_tiny_decoder_of_its_16_channels_paints_previews(
    known: Catalog, cpu: Device, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(catalog=with_model(known, "flux-schnell", decoder="tiny-16"), device=cpu)
    record = paint(store, for_model("flux-schnell", known, steps=3, count=2))
    assert len([event for event in record if isinstance(event, Preview)]) == 4
    assert list(store.resident()) == ["model flux-schnell", "decoder tiny-16"]
    assert "another family" not in caplog.text


def test_cancelling_stops_at_the_next_step(known: Catalog, store: Store) -> None:
    record = cancelling_record(job=1, at_step=2)
    request = for_model("flux-dev", known, steps=20)
    record.begin(request)
    imagine.run([request], {}, store, record.report)
    assert not record.finished()
    assert record.failed()[1].kind == "cancelled"


@pytest.mark.parametrize("name", FLUX)
def test_loras_of_both_trainers_work_and_leave_the_base_as_it_was(name: str, known: Catalog, store: Store) -> None:
    ways: list[tuple[Lora, ...]] = [
        (),
        (Lora("flux", 1.0),),
        (Lora("flux", 0.5),),
        (Lora("flux-kohya", 1.0),),
        (Lora("flux", 1.0), Lora("flux-kohya", -1.0)),
    ]
    first = [pixels(store, for_model(name, known, loras=loras)) for loras in ways]
    assert len(set(first)) == len(ways)
    assert [pixels(store, for_model(name, known, loras=loras)) for loras in ways] == first
