"""What the next set is asked, and how its answers are counted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageFilter

from starter.evaluate import Scale
from starter.next import figures, sheet
from starter.next.judge import Found, Seen
from starter.next.prompts import KINDS, Prompt, fixed_prompts, is_right
from starter.next.render import render_tableau
from starter.next.tableau import HELD_OUT, Subject, Tableau
from starter.next.vae import held_out_fidelity, new_vae
from starter.render import render
from starter.sheet import CELL, draw_from_words
from starter.train.export import replacing


def test_prompts_are_the_same_every_time_and_of_their_kind() -> None:
    for kind in KINDS:
        prompts = fixed_prompts(kind, 20)
        assert prompts == fixed_prompts(kind, 20)
        assert prompts[:5] == fixed_prompts(kind, 5)
        number = {"two": 2, "two-chinese": 2, "three": 3}.get(kind, 1)
        assert {len(prompt.tableau.subjects) for prompt in prompts} == {number}
        first = {(p.tableau.subjects[0].thing, p.tableau.subjects[0].colour) for p in prompts}
        assert first <= HELD_OUT if kind == "unseen" else not first & HELD_OUT


@pytest.mark.parametrize(("english", "chinese"), [("plain", "chinese"), ("two", "two-chinese")])
def test_both_languages_ask_for_the_same_pictures(english: str, chinese: str) -> None:
    ours, theirs = fixed_prompts(english, 20), fixed_prompts(chinese, 20)
    assert [prompt.tableau for prompt in ours] == [prompt.tableau for prompt in theirs]
    assert all(prompt.text.isascii() for prompt in ours)
    assert not any(prompt.text.isascii() for prompt in theirs)


def test_a_picture_is_right_where_its_largest_thing_is() -> None:
    prompt = Prompt("", Tableau((Subject("cat", "red", count=2),), weather="rain"), 0)
    whole: dict[str, str | int] = {"place": "meadow", "time": "day", "style": "flat", "weather": "fog"}
    whole |= {"season": "summer", "count": 2}
    seen = Seen((Found("cat", "red", 0.5, 20), Found("dog", "blue", 0.9, 3)), whole)
    right = {name: is_right(name, prompt, seen) for name in ("thing", "colour", *figures.WHOLE)}
    assert right == dict.fromkeys(right, True) | {"weather": False}
    assert not is_right("thing", prompt, Seen((), whole))


def test_pictures_are_counted_by_language_and_by_how_many_things_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paint(pipeline: object, prompts: list[Prompt]) -> list[Prompt]:
        return prompts

    def look(judge: object, painted: list[Prompt]) -> list[Seen]:
        # A painter that knows English and one thing at a time.
        seen = []
        for prompt in painted:
            t = prompt.tableau
            known = t.subjects[:1] if prompt.text.isascii() else ()
            things = tuple(Found(s.thing, s.colour, 0.5, 9) for s in known)
            whole = {"place": t.place, "time": t.time, "style": t.style, "weather": t.weather}
            whole["season"] = t.season
            seen.append(Seen(things, whole | {"count": t.subjects[0].count}))
        return seen

    for name, double in (("paint", paint), ("look", look), ("load_judge", Path), ("load_picture", Path)):
        monkeypatch.setattr(figures, name, double)
    rows = {row.what: row for row in figures.pictures(Scale(tmp_path, 0.05))}
    assert rows["picture: thing"].value == rows["picture: place"].value == 1
    assert rows["picture: most that Chinese prompts lose"].value == 1
    assert rows["picture: unseen, every thing right in its own colour"].value == 1
    assert rows["picture: two, every thing right in its own colour"].value == 0
    assert rows["picture: thing"].n == 2 * 13


def test_painted_pictures_are_as_crisp_as_what_is_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def paint(pipeline: object, prompts: list[Any]) -> list[Image.Image]:
        # A painter that draws as the renderer does, but softens cartoons.
        drawn = []
        for prompt in prompts:
            if isinstance(prompt, Prompt):
                soft = prompt.tableau.style == "cartoon"
                picture = render_tableau(prompt.tableau, 128)
                drawn.append(picture.filter(ImageFilter.GaussianBlur(1)) if soft else picture)
            else:
                drawn.append(render(prompt.scene, 64))
        return drawn

    monkeypatch.setattr(figures, "paint", paint)
    monkeypatch.setattr(figures, "load_picture", lambda path=None: path)
    whole, cartoon, today = figures.crisp(Scale(tmp_path, 12 / 96))
    assert cartoon.value < 0.6
    assert cartoon.value < whole.value < 1
    assert cartoon.n < whole.n == today.n == 12
    assert 0.7 < today.value < 1.1


@torch.no_grad()
def test_todays_path_is_softer_than_what_it_was_given() -> None:
    kept = held_out_fidelity(figures.todays_path(), 4)
    assert 20 < kept["db"] < 35
    assert kept["cartoon_crisp"] < 0.9


def test_figures_of_models_that_lack_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    with replacing(tmp_path / "vae") as part:
        new_vae((8, 8, 8, 8)).half().save_pretrained(part)
    monkeypatch.setattr(sys, "argv", ["figures", "--share", "0.05"])
    figures.figures_from_words("x", None, figures.SECTIONS, tmp_path, tmp_path / "next.json")
    told = capsys.readouterr().out
    assert "picture is left out" in told
    assert "VAE round trip at 128 px" in told
    written = json.loads((tmp_path / "next.json").read_text())
    assert {row["what"] for row in written["figures"]} >= {"VAE: cartoon", "today's path: gradient energy"}


def test_sheets_show_what_the_vae_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    with replacing(tmp_path / "vae") as part:
        new_vae((8, 8, 8, 8)).half().save_pretrained(part)
    monkeypatch.setattr(sys, "argv", ["sheet"])
    draw_from_words("x", None, sheet.KINDS, tmp_path, tmp_path / "sheets")
    with Image.open(tmp_path / "sheets" / "kept.png") as drawn:
        assert drawn.width == 6 * CELL
    assert not (tmp_path / "sheets" / "pictures.png").exists()
