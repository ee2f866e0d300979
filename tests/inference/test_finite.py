"""What is no number is no picture: said to the member, told to the operator, and made again where that helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import NotFinite
from inference.models.store import Store
from inference.networks.upscaler import Upscaler
from inference.painting import decoding, setups
from inference.protocol import Failed, Finished, Lora, Preview, Upscale, because
from inference.tasks import imagine, upscale
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, uploaded, with_model

NAN = float("nan")
CPU = torch.device("cpu")


@pytest.fixture
def own(known: Catalog, cpu: Device) -> Store:
    """A store whose models a test can break."""
    return Store(catalog=known, device=cpu)


def painted(store: Store, *requests: Any) -> Record:
    record = Record()
    record.begin(*requests)
    imagine.run(requests, {}, store, record.report)
    record.finished()
    return record


def ends(record: Record) -> dict[int, Finished | Failed]:
    return {event.job: event for event in record if isinstance(event, Finished | Failed)}


def test_latents_that_are_no_numbers_end_their_own_job_with_a_sentence(
    own: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    unet = own.use("sd15", lambda: None).pipeline.unet
    forward = unet.forward

    def second_is_broken(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        made = forward(sample, *args, **kwargs)
        made[0][1::2] = NAN  # of both halves, which guidance needs
        return made

    monkeypatch.setattr(unet, "forward", second_is_broken)
    record = painted(own, ask_for(1), ask_for(2, seed=8))
    assert isinstance(ends(record)[1], Finished)
    assert ends(record)[2] == Failed(2, "internal", because("no_numbers"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "job 2: steps of sd15 in torch.float32 led to no number: DPM++ 2M, 2 steps, guidance 4"


def test_a_lora_of_what_is_no_number_is_named(known: Catalog, cpu: Device, tmp_path: Path) -> None:
    tensors = load_file(known.folder / known.loras["ink"].place)
    save_file({name: torch.full_like(tensor, NAN) for name, tensor in tensors.items()}, tmp_path / "nan.safetensors")
    broken = msgspec.structs.replace(known.loras["ink"], path=str(tmp_path / "nan.safetensors"), sha256=None)
    store = Store(catalog=replace(known, loras={**known.loras, "nan": broken}), device=cpu)
    with_nan = ask_for(loras=(Lora("ink", 0.7), Lora("nan", 1.0)))
    end = ends(painted(store, with_nan))[1]
    assert end == Failed(1, "internal", because("lora_broken", lora="nan"))
    assert isinstance(ends(painted(store, ask_for()))[1], Finished), "the base is as it was"


def largest(layer: torch.nn.Module) -> float:
    return max(each.detach().abs().max().item() for each in layer.parameters())


def overflow_in_half(vae: Any) -> None:
    """Let numbers inside this VAE grow too large for half precision, though not its weights. Norms bring them back."""
    for part in (vae.encoder, vae.decoder):
        factor = 3e4 / largest(part.conv_in)
        part.conv_in.weight.data.mul_(factor)
        part.conv_in.bias.data.mul_(factor)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "flux-schnell"])
def test_a_vae_that_overflows_in_half_precision_works_in_float32_and_goes_back(
    name: str, own: Store, caplog: pytest.LogCaptureFixture
) -> None:
    model = own.use(name, lambda: None)
    pipeline, family = model.pipeline, model.family
    overflow_in_half(pipeline.vae.to(torch.float16))
    kept = {key: value.clone() for key, value in pipeline.vae.state_dict().items()}
    latents = decoding.encode(pipeline, family, tiny.picture(32, 32))
    (made,) = decoding.decode(pipeline, family, latents)
    assert pipeline.vae.dtype == torch.float16
    assert all(torch.equal(value, kept[key]) for key, value in pipeline.vae.state_dict().items())
    # SDXL's is known for it and works in float32 to begin with.
    assert ("makes what is no number in torch.float16" in caplog.text) == (name != "sdxl")
    pipeline.vae.to(torch.float32)
    assert torch.equal(latents, decoding.encode(pipeline, family, tiny.picture(32, 32)))
    assert made.tobytes() == decoding.decode(pipeline, family, latents)[0].tobytes()
    assert np.asarray(made).std() > 0


def test_a_vae_without_numbers_fails_the_job_and_previews_do_not(
    own: Store, many_previews: None, caplog: pytest.LogCaptureFixture
) -> None:
    model = own.use("sd15", lambda: None)
    model.pipeline.vae.decoder.conv_in.bias.data[0] = NAN
    record = painted(own, ask_for(steps=3))
    end = ends(record)[1]
    assert end == Failed(1, "internal", because("no_numbers"))
    assert "makes what is no number, in float32 too" in caplog.text
    assert not [event for event in record if isinstance(event, Preview)]


def test_a_preview_without_numbers_fails_nothing(known: Catalog, cpu: Device, many_previews: None) -> None:
    store = Store(catalog=with_model(known, decoder="tiny"), device=cpu)
    decoder = store.use_decoder("tiny", lambda: None)
    assert decoder is not None
    next(decoder.network.decoder.parameters()).data[0] = NAN
    record = painted(store, ask_for(steps=3))
    assert isinstance(ends(record)[1], Finished)
    assert not [event for event in record if isinstance(event, Preview)]


def test_an_upscaler_that_overflows_in_half_precision_makes_such_tiles_in_float32(
    known: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    entry = known.upscalers["x2"]
    files = [known.folder / file.place for file in entry.files]
    picture = tiny.picture(90, 40)
    upscaler = Upscaler(entry, files, CPU, torch.float16)
    network: Any = upscaler.network
    in_half = upscaler.enlarge(picture, tile=64)
    assert not caplog.records
    overflow_between(network.conv_up1, network.conv_up2)
    by_hand = Upscaler(entry, files, CPU, torch.float32)
    by_hand.network.load_state_dict(network.state_dict())
    made = upscaler.enlarge(picture, tile=64)
    assert network.conv_first.weight.dtype == torch.float16
    difference = np.abs(np.asarray(made).astype(int) - np.asarray(by_hand.enlarge(picture, tile=64)))
    assert difference.max() <= 1, "the tiles come back to a picture in half precision"
    assert np.abs(np.asarray(made).astype(int) - np.asarray(in_half)).mean() < 5
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "Tiny x2 makes what is no number in torch.float16: such tiles are made again in float32"


def overflow_between(one: Any, other: Any) -> None:
    """Let what passes from one layer to the other be too large for half precision, and come out the same."""
    factor = 3e4 / largest(one)
    one.weight.data.mul_(factor)
    one.bias.data.mul_(factor)
    other.weight.data.div_(factor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_upscaler_computes_in_the_precision_of_its_entry(known: Catalog, dtype: torch.dtype) -> None:
    entry = known.upscalers["x4"]
    upscaler = Upscaler(entry, [known.folder / file.place for file in entry.files], CPU, dtype)
    seen: list[torch.dtype] = []
    upscaler.network.register_forward_hook(lambda _, given, made: seen.extend((given[0].dtype, made.dtype)))
    for tile in (0, 64):
        upscaler.enlarge(tiny.picture(90, 40), tile=tile, denoise=0.5)
    assert set(seen) == {dtype}


def test_an_upscaler_whose_weights_are_no_numbers_ends_in_a_sentence(
    own: Store, caplog: pytest.LogCaptureFixture
) -> None:
    network: Any = own.use_upscaler("x2", lambda: None).network.network
    network.conv_last.bias.data[0] = NAN
    image, files = uploaded(tiny.picture(40, 30))
    request, record = Upscale(job=1, model="x2", image=image, factor=2), Record()
    record.begin(request)
    with pytest.raises(NotFinite) as refused:
        upscale.run([request], files, own, record.report)
    assert refused.value.reason == because("upscaler_makes_nothing", model="Tiny x2")
    assert "Tiny x2 makes what is no number, in float32 too" in caplog.text


def test_the_upscaler_behind_a_model_fails_its_job_alone(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=with_model(known, upscaler="x2"), device=cpu)
    network: Any = store.use_upscaler("x2", lambda: None).network.network
    network.conv_last.bias.data[0] = NAN
    end = ends(painted(store, ask_for()))[1]
    assert end == Failed(1, "internal", because("upscaler_makes_nothing", model="Tiny x2"))


def test_the_entry_of_an_upscaler_says_what_it_computes_in(models_toml: Path, tmp_path: Path, cpu: Device) -> None:
    toml = tmp_path / "models.toml"
    toml.write_text(models_toml.read_text().replace('arch = "rrdb"', 'arch = "rrdb"\ndtype = "bfloat16"'))
    entry = reading.load(toml).upscalers["x2"]
    gpu = replace(cpu, where=torch.device("cuda"))
    assert (cpu.dtype(entry.dtype), gpu.dtype(entry.dtype)) == (torch.float32, torch.bfloat16)
