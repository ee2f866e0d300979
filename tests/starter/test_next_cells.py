"""What stands in each cell of the next set's pictures, and that it is read from a UNet's features."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from starter.next.cells import LETTER, SIZES, Readings, keep_cells
from starter.next.pictures import sample_tableaux
from starter.next.reader import LETTERS
from starter.next.tableau import THINGS, Subject, Tableau
from starter.train.told import UNTOLD
from starter.world import COLOURS


def test_cells_say_what_stands_in_them(tmp_path: Path) -> None:
    signed = Tableau((Subject("cat", "black"), Subject("house", "red")), word="CAFE", aligned=True)
    blend = Tableau((Subject("boat", "red", blend="blue"),))
    cells = keep_cells(tmp_path / "cells.pt", [signed, blend])
    things, colours, letters = cells[0]
    for thing, colour in (("cat", "black"), ("house", "red")):
        own = things == THINGS.index(thing)
        assert own.sum() > 6
        assert set(colours[own].tolist()) == {COLOURS.index(colour)}
    assert things[0].tolist() == [len(THINGS)] * 16
    written = [LETTERS.index(letter) for letter in "CCAAFFEE"]
    assert letters[13].tolist() == letters[14].tolist() == [*[0] * 4, *written, *[0] * 4]
    assert set(letters[:13].flatten().tolist()) == {UNTOLD}
    assert set(cells[1, 0].flatten().tolist()) == {THINGS.index("boat"), len(THINGS)}
    assert set(cells[1, 1:].flatten().tolist()) == {UNTOLD}
    kept = keep_cells(tmp_path / "cells.pt", [signed, blend])
    assert torch.equal(kept, cells)
    assert torch.equal(keep_cells(tmp_path / "cells.pt", [blend])[0], cells[1])


def test_what_features_tell_is_learnt_to_be_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cells = keep_cells(tmp_path / "cells.pt", sample_tableaux(4, seed=1, word_share=1.0, aligned=True))
    shown = [F.one_hot(cells[:, of].long().clamp(min=0), SIZES[of]) for of in (0, 2)]
    features = torch.cat(shown, dim=-1).float().movedim(-1, 1)
    readings = Readings(cells, features.shape[1])
    chosen = torch.tensor([1])

    def lost(of: torch.Tensor) -> torch.Tensor:
        told: torch.Tensor = readings(features[of], chosen, torch.ones(1))
        return told

    optimizer = torch.optim.Adam(readings.parameters(), lr=0.1)
    before = float(lost(chosen).detach())
    for _ in range(60):
        optimizer.zero_grad()
        lost(chosen).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(lost(chosen).detach()) < 0.5 * before
    # Another picture's features say what is in that.
    assert float(lost(chosen - 1).detach()) > 2 * float(lost(chosen).detach())
    # Who knows nothing of letters loses most.
    blank = Readings(cells, features.shape[1]).requires_grad_(False)
    blank.load_state_dict({name: torch.zeros_like(value) for name, value in blank.state_dict().items()})
    things, colours, letters = (math.log(size) for size in SIZES)
    assert float(blank(features[chosen], chosen, torch.ones(1))) == pytest.approx(things + colours + LETTER * letters)
    # What is no noise at all need not be known from words.
    both, clear = torch.tensor([1, 0]), torch.tensor([1.0, 0.0])
    assert torch.allclose(readings(features[both], both, clear), lost(chosen))
    assert not torch.allclose(readings(features[both], both, 1 - clear), lost(chosen))
    assert set(readings.state_dict()) == {"read.weight", "read.bias"}
