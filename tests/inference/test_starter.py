"""The starter model of this checkout through the real process: it paints, enlarged, the same bytes every time."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.catalog import reading, weights
from inference.protocol import Finished, Imagine
from tests.inference.folders import bytes_of, hashes
from tests.inference.peer import TIMEOUT_S, engine_process

MODELS = Path(__file__).parents[2] / "models.toml"


def test_the_starters_weights_are_in_this_checkout() -> None:
    known = reading.load(MODELS)
    assert "starter" in weights.available(known)


@pytest.fixture(scope="module")
def painted() -> list[Finished]:
    """One request, painted by two fresh processes that have nothing in common; in the second one beside another job."""
    known = reading.load(MODELS).info("starter", on_gpu=False)
    request = Imagine(
        job=1,
        model="starter",
        prompt="a red house on a meadow at night",
        seed=7,
        steps=known.steps,
        guidance=known.guidance,
        sampler=known.sampler,
        width=known.width,
        height=known.height,
        count=2,
    )
    ends = []
    for cold, beside in (
        (True, ()),
        (False, (Imagine(**{**{name: getattr(request, name) for name in request.__struct_fields__}, "job": 2}),)),
    ):
        with engine_process(MODELS, cold=cold) as (peer, process):
            peer.ready()
            ends.append(peer.paint(*beside, request)[1])
            peer.socket.shutdown(socket.SHUT_RDWR)
            assert process.wait(TIMEOUT_S) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
    return ends


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_beside_another_job(painted: list[Finished]) -> None:
    assert hashes(painted[0].pictures) == hashes(painted[1].pictures)
    assert painted[0].recipe == painted[1].recipe


def test_pictures_come_enlarged_and_differ_by_seed(painted: list[Finished]) -> None:
    known = reading.load(MODELS).info("starter", on_gpu=False)
    first, second = (Image.open(io.BytesIO(bytes_of(picture))) for picture in painted[0].pictures)
    assert first.size == (known.width * known.upscale, known.height * known.upscale)
    assert np.asarray(first).std() > 10
    assert not np.array_equal(np.asarray(first), np.asarray(second))
