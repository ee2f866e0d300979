"""A mask that somebody drew is shown on its picture, changed as they ask, and kept as what is painted by."""

from __future__ import annotations

import io

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from inference.models.store import Store
from inference.protocol import Answer, Finished, Mask, because
from inference.tasks import mask
from tests.inference import tiny
from tests.inference.conftest import Record, ask_for, uploaded
from tests.inference.folders import bytes_of

OLD = tiny.picture(64, 48)


def asked(box: tuple[int, int, int, int], **changes: object) -> tuple[Mask, dict[str, bytes]]:
    """A request on a mask that is white in this box."""
    drawn = Image.new("L", OLD.size)
    drawn.paste(255, box)
    image, files = uploaded(OLD)
    given, more = uploaded(drawn)
    request = Mask(job=1, model="sd15", image=image, drawn=given, edit=ask_for(image=image))
    return replace(request, **changes), files | more


def answer(store: Store, request: Mask, files: dict[str, bytes]) -> Finished:
    record = Record()
    record.begin(request)
    mask.run([request], files, store, record.report)
    return record.finished()[1]


def shown_and_kept(store: Store, request: Mask, files: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels are tinted in what is looked at, and which are marked in the mask."""
    shown, kept = (Image.open(io.BytesIO(bytes_of(each))) for each in answer(store, request, files).pictures)
    tinted = (np.asarray(shown.convert("RGB")) != np.asarray(OLD.convert("RGB"))).any(2)
    return tinted, np.asarray(kept.convert("L")) > 0


def test_what_is_marked_is_tinted_and_kept_as_it_was_drawn(store: Store) -> None:
    tinted, kept = shown_and_kept(store, *asked((8, 8, 40, 30)))
    assert kept.sum() == 32 * 22
    assert kept[8:30, 8:40].all()
    assert tinted[kept].mean() > 0.9
    tinted[6:32, 6:42] = False
    assert not tinted.any(), "all but an outline is as it was"


def test_drawn_mask_is_turned_round_grown_and_shrunk(store: Store) -> None:
    _, plain = shown_and_kept(store, *asked((8, 8, 40, 30)))
    _, inverse = shown_and_kept(store, *asked((8, 8, 40, 30), invert=True))
    assert np.array_equal(inverse, ~plain)
    _, larger = shown_and_kept(store, *asked((8, 8, 40, 30), grow=2))
    _, smaller = shown_and_kept(store, *asked((8, 8, 40, 30), grow=-2))
    assert larger.sum() > plain.sum() > smaller.sum()
    assert larger[plain].all()
    assert plain[smaller].all()


@pytest.mark.parametrize("changes", [{"grow": -20}, {"invert": True}])
def test_mask_of_which_nothing_is_left_is_said_to_be_empty(store: Store, changes: dict[str, object]) -> None:
    box = (8, 8, 20, 20) if "grow" in changes else (0, 0, 64, 48)
    finished = answer(store, *asked(box, **changes))
    assert finished.pictures == ()
    assert finished.answer == Answer(nothing=because("nothing_marked"))


def test_no_describer_is_needed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a describer was asked for")

    monkeypatch.setattr(store, "use_describer", refuse)
    assert len(answer(store, *asked((8, 8, 40, 30))).pictures) == 2
