"""The next set's reader of signs: what it makes of its readings, that it learns, and how painted words are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

from starter.evaluate import Scale
from starter.next import figures
from starter.next.pictures import paint_all
from starter.next.prompts import Prompt, fixed_prompts
from starter.next.reader import COLUMNS, LETTERS, SIDE, Reader, misspelt, read
from starter.next.reading import ReaderStage, held_out_reading, signed
from starter.next.signs import sign_box
from starter.next.stages import run_reader
from starter.next.tableau import HELD_OUT_WORDS, WORDS
from starter.train.loop import Budget
from starter.train.plan import Plan


class Spelling(Reader):
    """Reads the same columns in every picture."""

    def __init__(self, columns: str) -> None:
        super().__init__()
        self.said = torch.tensor([LETTERS.index(letter) for letter in columns.ljust(COLUMNS)])

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(self.said, len(LETTERS)).T[None].repeat(len(pictures), 1, 1) * 20.0


@pytest.mark.parametrize(
    ("columns", "word"),
    [("  CC A  FFF E", "CAFE"), ("ZZOO O", "ZOO"), ("ZZOO", "ZO"), ("", ""), (" 2 00 0266", "20026")],
)
def test_columns_spell_a_word(columns: str, word: str) -> None:
    reader = Spelling(columns)
    assert read(reader, [Image.new("RGB", (SIDE, SIDE)), Image.new("RGB", (300, 300))]) == [word, word]
    right, wrong = (float(misspelt(reader(torch.zeros(1, 3, SIDE, SIDE)), [said])) for said in (word, word + "X"))
    assert right < 0.1
    assert wrong > 1


def test_every_sign_stands_where_the_reader_looks_and_can_be_spelt() -> None:
    assert set("".join(WORDS)) < set(LETTERS)
    for tableau in signed(300, seed=1):
        if tableau.word:
            _, top, _, _ = sign_box(tableau.word, SIDE)
            assert top >= SIDE - 32
            assert tableau.word not in HELD_OUT_WORDS
    assert not all(tableau.word for tableau in signed(300, seed=1))
    # Whoever knows all real words could still not guess most of these.
    assert sum(tableau.word not in WORDS for tableau in signed(300, seed=1) if tableau.word) > 240


def test_reader_learns_to_spell() -> None:
    torch.manual_seed(0)
    tableaux = signed(8, seed=2)
    stage = ReaderStage(torch.device("cpu"), tableaux, batch=8)

    def unlikely() -> float:
        with torch.no_grad():
            return float(stage.loss(torch.Generator().manual_seed(1), 0.0)[0])

    optimizer = torch.optim.AdamW(stage.groups(), lr=2e-3)
    for number in range(400):
        optimizer.zero_grad()
        stage.loss(torch.Generator().manual_seed(number), 0.0)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    # Who knows how long words are and no letter stays at three.
    assert unlikely() < 1
    # It has looked where signs are: whole pictures are read, not corners that happened to be known again.
    told = read(stage.model.eval(), [to_pil_image(picture) for picture in paint_all(tableaux)])
    assert sum(one == word for one, word in zip(told, stage.words, strict=True)) >= 6


def test_reader_is_written_and_measured(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(torch.device("cpu"), build=tmp_path / "build", models=tmp_path / "models")
    told = run_reader(plan, Budget(steps=1), pictures=6, held_out=8)
    assert told.keys() == {"usual", "held_out", "none"}
    # Who never reads anything is right about every picture without a sign.
    assert held_out_reading(Spelling(""), 8) == {"usual": 0, "held_out": 0, "none": 1}


def test_painted_words_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = fixed_prompts("sign", 20)
    assert {prompt.tableau.word for prompt in prompts} == HELD_OUT_WORDS
    assert all(f'a sign that says "{prompt.tableau.word}"' in prompt.text for prompt in prompts)

    def paint(pipeline: object, asked: list[Prompt]) -> list[Image.Image]:
        # A painter who knows how to draw, and forgets every second sign.
        tableaux = [prompt.tableau for prompt in asked]
        return [to_pil_image(picture) for picture in paint_all(tableaux)]

    def spell(reader: object, pictures: list[Image.Image]) -> list[str]:
        return [p.tableau.word or "" if n % 2 else "" for n, p in enumerate(prompts[: len(pictures)])]

    for name, double in (("paint", paint), ("read", spell), ("load_reader", Path), ("load_picture", Path)):
        monkeypatch.setattr(figures, name, double)
    (row,) = figures.signs(Scale(tmp_path, 20 / 64))
    assert (row.n, row.value, row.must) == (20, 0.5, 0.6)
