"""What was followed, what was seen and what was painted, side by side."""

from __future__ import annotations

import io

import msgspec
import numpy as np
from PIL import Image

from inference.models.store import Store
from inference.networks import annotator
from inference.pictures import images
from inference.protocol import Compare
from inference.tasks import compare
from starter.render import render
from starter.world import Scene
from tests.inference.conftest import Record, uploaded
from tests.inference.folders import bytes_of

GIVEN, FILES = uploaded(render(Scene("house", "red", size="large", seed=4), 96).crop((0, 0, 96, 64)))
PAINTED, MORE = uploaded(render(Scene("house", "blue", size="large", seed=4), 128))
FILES |= MORE
REQUEST = Compare(job=1, model="canny", image=GIVEN, width=32, height=32, painted=(PAINTED, PAINTED))


def compared(store: Store, request: Compare) -> Image.Image:
    record = Record()
    record.begin(request)
    compare.run([request], FILES, store, record.report)
    return Image.open(io.BytesIO(bytes_of(record.finished()[1].pictures[0]))).convert("RGB")


def test_every_panel_stands_in_its_place_as_it_was(store: Store) -> None:
    whole = compared(store, REQUEST)
    band = whole.height - 256
    gap = (whole.width - 4 * 256) // 3
    panels = [whole.crop((left, band, left + 256, band + 256)) for left in range(0, whole.width, 256 + gap)]
    given = images.fitting(Image.open(io.BytesIO(FILES[GIVEN.sha256])), 32, 32)
    painted = Image.open(io.BytesIO(FILES[PAINTED.sha256])).convert("RGB")
    wanted = [given, annotator.canny(given), painted, painted]
    for panel, picture in zip(panels, wanted, strict=True):
        assert panel.tobytes() == picture.resize((256, 256), Image.Resampling.NEAREST).tobytes()
    assert np.asarray(whole.crop((0, 0, whole.width, band))).std() > 0


def test_maps_that_were_given_as_such_are_shown_as_such(store: Store) -> None:
    whole = compared(store, msgspec.structs.replace(REQUEST, model="map", painted=(PAINTED,)))
    band, gap = whole.height - 256, (whole.width - 3 * 256) // 2
    first, second = (whole.crop((left, band, left + 256, band + 256)) for left in (0, 256 + gap))
    assert first.tobytes() == second.tobytes()
