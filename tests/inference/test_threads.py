"""On a CPU, a picture's bytes are the same however many threads paint it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from inference.catalog import reading
from inference.device import Device
from inference.models import threads
from inference.models.store import Store
from inference.protocol import Imagine, Lora
from tests.inference.test_session import Onlooker, paint

THREADS = (1, 3)
"""Three share out unevenly what two can halve."""


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def painted(cpu: Device, count: int, *requests: Imagine) -> list[bytes]:
    with on_threads(count):
        store = Store(catalog=reading.load(Path("models.toml")), device=cpu)
        return [made.image.tobytes() for request in requests for made in paint(store, Onlooker(), request)]


def starters(**changes: object) -> Imagine:
    values: dict[str, object] = {
        "job": 1,
        "model": "starter",
        "prompt": "a red house on a meadow at night",
        "seed": 3,
        "steps": 3,
        "guidance": 15.0,
        "sampler": "DPM++ 2M",
        "width": 128,
        "height": 112,
    }
    return Imagine(**(values | changes))  # type: ignore[arg-type]


def test_the_starter_paints_the_same_bytes_on_any_number_of_threads(cpu: Device) -> None:
    # Much guidance and a few steps, so that a last bit grows into a pixel.
    asked = starters(), starters(width=64, height=64, loras=(Lora("neon", 0.8),))
    alone, together = [painted(cpu, count, *asked) for count in THREADS]
    assert together == alone


def test_single_pixels_and_single_numbers_are_computed_on_one_thread() -> None:
    class Watched(torch.nn.SiLU):
        __module__ = torch.nn.SiLU.__module__

        def forward(self, numbers: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_num_threads())
            return super().forward(numbers)

    seen: list[int] = []
    network = torch.nn.Sequential(torch.nn.Conv2d(96, 128, 1), Watched(), torch.nn.Conv2d(128, 96, 3, padding=1))
    given = torch.randn(2, 96, 24, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with on_threads(1):
            threads.steady(network)
            assert "forward" not in vars(network[0]), "there is nothing to do"
            expected = network(given)
        with on_threads(3):
            threads.steady(network)
            threads.steady(network)
            assert torch.equal(network(given), expected)
            assert torch.get_num_threads() == 3
    assert seen == [1, 1]
