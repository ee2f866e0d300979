"""What a folder to train on must be, and what hostile ones are told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from inference.errors import TrainingError
from inference.training import datasets
from inference.training.batches import Batches, generator
from tests.inference.training import made


def test_captions_begin_with_the_trigger_unless_they_have_it(tmp_path: Path) -> None:
    folder = made.folder(tmp_path)
    (folder / "2.txt").write_text("a house,\n in ZQX ")
    dataset = datasets.read(folder)
    captions = [item.caption for item in dataset.items]
    assert captions[:3] == ["zqx", "zqx, picture 1 of a red house", "a house, in ZQX"]
    assert dataset.uncaptioned == 1
    renamed = tmp_path / "renamed"
    shutil.copytree(folder, renamed, ignore=lambda *_: {"renamed"})
    (renamed / "4.png").rename(renamed / "9.png")
    (renamed / "4.txt").rename(renamed / "9.txt")
    assert datasets.read(renamed).digest == dataset.digest
    (renamed / "9.txt").write_text("another")
    assert datasets.read(renamed).digest != dataset.digest


def test_pictures_are_looked_at_upright_and_on_white(tmp_path: Path) -> None:
    turned = Image.new("RGB", (40, 20), "red")
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert datasets.picture(tmp_path / "turned.jpg").size == (20, 40)
    assert datasets.picture(tmp_path / "clear.png").getpixel((3, 3)) == (255, 255, 255)


def cut(folder: Path) -> None:
    whole = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(whole[: len(whole) // 2])


def card(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "card.toml"
        file.write_text(file.read_text().replace(old, new))

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "3.png"),
        (lambda folder: (folder / "3.png").write_text("<html>"), "3.png is no picture"),
        (lambda folder: shutil.copy(folder / "1.png", folder / "3.png"), "the same picture as"),
        (lambda folder: (folder / "3.png").unlink(), "has 4 pictures"),
        (lambda folder: shutil.copy(folder / "3.png", folder / "3.jpg"), "share one caption"),
        (lambda folder: (folder / "3.txt").write_bytes(b"\xff\xfe\x00"), "3.txt cannot be read"),
        (lambda folder: (folder / "3.txt").write_text("x" * 3000), "3.txt has more than"),
        (lambda folder: (folder / "3.txt").write_text("a \x1b[2J house"), "3.txt has more than"),
        (lambda folder: Image.new("1", (10000, 8000)).save(folder / "3.png"), "3.png is larger"),
        (lambda folder: Image.new("RGB", (2, 900)).save(folder / "3.png"), "3.png is too small"),
        (lambda folder: (folder / "card.toml").unlink(), "card.toml is not there"),
        (lambda folder: (folder / "card.toml").write_text("name = "), "no data card"),
        (card("spotted", "../../etc"), "name"),
        (card('"style"', '"person"'), "kind"),
        (card('consent = "made by this test"\n', ""), "consent"),
        (card('"MIT"', '" "'), "license"),
        (card('"zqx"', '""'), "0.png has no words"),
        (card("trigger", "tigger"), "tigger"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(spoil: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    folder = made.folder(tmp_path / "pictures")
    spoil(folder)
    with pytest.raises(TrainingError) as raised:
        datasets.read(folder)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_each_round_has_all_pictures_once_and_only_those_of_one_shape_together() -> None:
    shapes = [(1, 4, 8, 8)] * 7 + [(1, 4, 8, 6)] * 4
    batches = Batches(shapes, 3, seed=5)
    assert batches.in_a_round == 5
    rounds = [[batches.of(number) for number in range(start, start + 5)] for start in (0, 5)]
    for each in rounds:
        assert sorted(place for batch in each for place in batch) == [*range(11)]
        assert all(len({shapes[place] for place in batch}) == 1 for batch in each)
    assert rounds[0] != rounds[1]
    again = Batches(shapes, 3, seed=5)
    assert [again.of(number) for number in (7, 2)] == [rounds[1][2], rounds[0][2]]
    assert generator(5, "batch", 1).initial_seed() != generator(5, "order", 1).initial_seed()
