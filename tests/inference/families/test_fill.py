"""FLUX.1 Fill: what it is shown of a picture and its mask, and that it is asked for nothing else."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.errors import CatalogError
from inference.models.store import Store
from inference.protocol import Control, Finished, Grid, Imagine, Input, Mask, Ready, because, limits
from tests.inference import tiny_families
from tests.inference.conftest import ask_for, paint_from, uploaded
from tests.inference.folders import bytes_of, hashes
from tests.inference.tiny import picture

OLD = picture(32, 32, seed=3)
GIVEN, FILES = uploaded(OLD)
ALL = Image.new("L", (32, 32), "white")
HOLE = Image.new("L", (32, 32))
ImageDraw.Draw(HOLE).rectangle((8, 8, 23, 23), fill=255)
WHOLE, _ALL = uploaded(ALL)
PART, _HOLE = uploaded(HOLE)
FILES |= _ALL | _HOLE


def fill(**changes: Any) -> Imagine:
    told = {"model": "flux-fill-dev", "sampler": "FlowMatch Euler", "guidance": 30.0, "steps": 3}
    return ask_for(**{**told, "image": GIVEN, "mask": PART, **changes})


def pixels(finished: Finished) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(bytes_of(finished.pictures[0]))))


def paint(store: Store, request: Imagine) -> Finished:
    return paint_from(FILES, store, request)[1]


@pytest.mark.parametrize(("given", "mask"), [(WHOLE, ALL), (PART, HOLE)])
def test_it_paints_what_the_bare_pipeline_paints(
    given: Input, mask: Image.Image, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = pixels(paint(store, fill(mask=given)))
    pipeline = store.use("flux-fill-dev", lambda: None).pipeline
    # The one thing that it would leave to chance.
    kind = "diffusers.models.autoencoders.vae.DiagonalGaussianDistribution"
    monkeypatch.setattr(f"{kind}.sample", lambda self, generator=None: self.mode())
    bare = pipeline(
        prompt="a red house",
        image=OLD,
        mask_image=mask,
        width=32,
        height=32,
        num_inference_steps=3,
        guidance_scale=30.0,
        generator=torch.Generator().manual_seed(7),
    ).images[0]
    # Deep enough inside for the feather to be over.
    inside = np.s_[12:20, 12:20] if given is PART else np.s_[:, :]
    assert np.array_equal(ours[inside], np.asarray(bare)[inside])


def test_it_sees_what_is_kept_and_nothing_of_what_is_replaced(store: Store) -> None:
    painted = paint(store, fill())
    inside, outside = OLD.copy(), OLD.copy()
    inside.paste("blue", (8, 8, 24, 24))
    outside.paste("blue", (0, 0, 32, 4))
    seen = {}
    for name, changed in (("inside", inside), ("outside", outside)):
        given, data = uploaded(changed)
        FILES.update(data)
        seen[name] = pixels(paint(store, fill(image=given)))[8:24, 8:24]
    old = pixels(painted)[8:24, 8:24]
    assert np.array_equal(seen["inside"][4:12, 4:12], old[4:12, 4:12])
    assert not np.array_equal(seen["outside"], old)
    assert hashes(paint(store, fill()).pictures) == hashes(painted.pictures)


def test_whoever_asks_it_for_more_than_a_part_is_told_where_it_is_used(ready: Ready) -> None:
    needs = because("needs_mask", model="Tiny FLUX Fill")
    assert limits.problem(fill(), ready) is None
    for request in (
        fill(mask=None),
        fill(mask=None, image=None),
        Grid(job=1, model="flux-fill-dev", cells=(fill(mask=None, image=None),), columns=("",)),
    ):
        assert limits.problem(request, ready) == needs
    assert limits.problem(fill(control=Control("canny", GIVEN)), ready) is not None
    assert limits.problem(fill(negative="blue"), ready) == because("no_negative", model="Tiny FLUX Fill")
    info = {model.name: model.fills for model in ready.models}
    assert info.pop("flux-fill-dev")
    assert not any(info.values())


def test_what_it_fills_may_be_looked_for_first(ready: Ready) -> None:
    edit = fill(mask=None)
    asked = Mask(job=1, model="florence", image=GIVEN, text="the house", edit=edit)
    assert limits.problem(asked, ready) is None
    nothing = msgspec.structs.replace(asked, edit=msgspec.structs.replace(edit, image=None))
    assert limits.problem(nothing, ready) == because("needs_mask", model="Tiny FLUX Fill")


def test_it_cannot_be_what_everybody_gets(known: Catalog, tmp_path: Any) -> None:
    path = tmp_path / "models.toml"
    path.write_text('default = "flux-fill-dev"\n' + tiny_families.MODELS["flux-fill-dev"])
    with pytest.raises(CatalogError, match="default: flux-fill-dev only fills masked parts of pictures"):
        reading.load(path)
