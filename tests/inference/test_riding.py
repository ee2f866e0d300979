"""On a CPU small jobs share passes, and no picture is different for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.catalog import reading
from inference.device import Device
from inference.models import neighbours
from inference.models.store import Store
from inference.painting import setups
from inference.protocol import Imagine, Lora
from tests.inference.test_session import Onlooker, paint
from tests.inference.test_threads import starters


@pytest.fixture(scope="module")
def starter(cpu: Device) -> Store:
    return Store(catalog=reading.load(Path("models.toml")), device=cpu)


@contextmanager
def runs_of(store: Store) -> Iterator[list[int]]:
    """How many rows each run of the denoiser had: one for each side of each picture."""
    rows: list[int] = []
    denoiser = store.use("starter", lambda: None).denoiser

    def watch(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        rows.append(len(args[0]))

    handle = denoiser.register_forward_pre_hook(watch)
    try:
        yield rows
    finally:
        handle.remove()


def painted(store: Store, *requests: Imagine) -> dict[int, list[bytes]]:
    pictures: dict[int, list[bytes]] = {}
    for made in paint(store, Onlooker(), *requests):
        pictures.setdefault(made.request.job, []).append(made.image.tobytes())
        assert made.recipe["batch"] == 1, "for it tells how many decide its bits"
    return pictures


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": "DPM++ 2M"},
        {"sampler": "Euler a", "width": 48},
        {"sampler": "DPM++ 2M", "width": 32, "height": 48, "loras": (Lora("neon", 0.8),)},
    ],
    ids=["default size", "noise on the way", "a LoRA"],
)
def test_jobs_share_passes_and_have_the_bytes_of_being_alone(starter: Store, changes: dict[str, Any]) -> None:
    values = {"width": 64, "height": 64, "steps": 2, **changes}
    prompts = ["a red house", "two (blue:1.3) boats at night", "a cat"]
    asked = [starters(job=number, prompt=prompt, seed=9 * number, **values) for number, prompt in enumerate(prompts)]
    alone = {job: pictures for one in asked for job, pictures in painted(starter, one).items()}
    with runs_of(starter) as rows:
        assert painted(starter, *asked) == alone
        assert rows == [2 * len(asked)] * 2
    assert painted(starter, *asked[::-1][:2]) == {job: alone[job] for job in (2, 1)}


def test_a_full_pass_has_the_bytes_of_pictures_alone(starter: Store) -> None:
    places = starter.catalog.models["starter"].cpu_batch
    assert 2 * places > neighbours.FEW, "with both sides of each picture, more than torch computes alike"
    asked = [starters(job=number, width=64, height=64, steps=1, seed=number) for number in range(places)]
    alone = {job: pictures for one in asked for job, pictures in painted(starter, one).items()}
    with runs_of(starter) as rows:
        assert painted(starter, *asked) == alone
    assert rows == [2 * places]


def test_only_what_is_small_and_guided_shares_a_pass_on_a_cpu(starter: Store, cpu: Device) -> None:
    known = starter.catalog
    assert setups.canonical_batch(known, "starter", 64, 64, cpu) == known.models["starter"].cpu_batch > 1
    assert setups.canonical_batch(known, "starter", 128, 64, cpu) == 1
    assert setups.canonical_batch(known, "sd15", 64, 64, cpu) == 1, "of which nobody has shown the same"
    unguided = [starters(job=number, width=64, height=64, guidance=1.0, seed=number) for number in (1, 2)]
    with runs_of(starter) as rows:
        painted(starter, *unguided)
    assert set(rows) == {1}


def test_rows_that_stand_for_pictures_are_computed_picture_by_picture() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(384, 128))
    rows = torch.randn(2, 5, 384, generator=torch.Generator().manual_seed(0))
    expected = [network(rows[:, picture]) for picture in range(5)]
    neighbours.independent(network)
    with neighbours.sharing(5):
        together = network(rows.flatten(0, 1)).unflatten(0, (2, 5))
    assert all(torch.equal(together[:, picture], expected[picture]) for picture in range(5))


def test_pictures_at_other_steps_in_one_run_of_the_denoiser_have_the_bits_of_being_alone(starter: Store) -> None:
    """What joining a pass between its steps would need; what it is worth is in docs/performance.md."""
    model = starter.use("starter", lambda: None)
    places, side = 8, 64 // model.latent_factor
    drawn = torch.Generator().manual_seed(0)
    latents = torch.randn(2 * places, model.latent_channels, side, side, generator=drawn)
    words = torch.randn(2 * places, 16, model.denoiser.config.cross_attention_dim, generator=drawn)
    steps = torch.arange(places) * 100 + 7
    with torch.no_grad():
        with neighbours.sharing(places):
            together = model.denoiser(latents, steps.repeat(2), encoder_hidden_states=words).sample
        for place in range(places):
            sides = [place, places + place]
            alone = model.denoiser(latents[sides], steps[place], encoder_hidden_states=words[sides]).sample
            assert torch.equal(together[sides], alone)
