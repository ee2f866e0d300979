"""What was measured of models, as it stands in /stats: read from whatever lies there, beside what members think."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot import measured
from bot.counting import Counted
from bot.measured import Figure, Measured
from bot.panels import stats as panel
from bot.ratings import Mean, OfModel
from bot.words import speaking
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form

COUNTED = Counted(3, 3, 2, 0, None, None, None, [3], {"b": 2, "unheard": 1}, {}, {})


def write(data: Path, folder: str, **changes: Any) -> Path:
    """A report as `evaluate` writes it."""
    file = data / "quality" / folder / "figures.json"
    file.parent.mkdir(parents=True)
    figures = [
        {"name": "CLIP score", "n": 40, "value": 0.3141, "error": 0.0123, "comparable": True, "unit": "", "note": ""},
        {"name": "FID", "n": 0, "value": None, "error": None, "comparable": True},
        {"name": "weights", "n": 1, "value": 31.2, "error": None, "comparable": True},
    ]
    told = {"date": "2026-11-30", "model": "b", "prompts": "easel-1", "policy": {}, "figures": figures}
    file.write_text(json.dumps(told | changes))
    return file


def test_of_a_model_the_newest_counts_and_of_figures_those_that_have_a_value(tmp_path: Path) -> None:
    assert measured.read(tmp_path) == {}
    write(tmp_path, "1", date="2026-12-01", figures=[{"name": "FID", "n": 5000, "value": 4.0}])
    write(tmp_path, "2")
    write(tmp_path, "3", model="a")
    write(tmp_path, "4", model="nothing", figures=[])
    write(tmp_path, "0", model="a", date="2026-01-01", figures=[{"name": "FID", "n": 1, "value": 1.0}])
    assert measured.read(tmp_path) == {
        "b": Measured("2026-12-01", "easel-1", (Figure("FID", 5000, 4.0),)),
        "a": Measured("2026-11-30", "easel-1", (Figure("CLIP score", 40, 0.3141, 0.0123),)),
    }


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"date": "2026-11-30"}', b"\xff" * 9, b"[" * 9999, b" " * (measured.MOST_BYTES + 1), b"{}", None],
)
def test_file_that_is_none_is_left_out_and_told(
    content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path, "broken")
    if content is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(content)
    write(tmp_path, "later", model="a")
    assert [*measured.read(tmp_path)] == ["a"]
    assert [str(file) in record.getMessage() for record in caplog.records] == [True] * (content != b"{}")


def test_more_than_are_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measured, "MOST_FILES", 2)
    for number in range(3):
        write(tmp_path, str(number), model=str(number))
    assert [*measured.read(tmp_path)] == ["0", "1"]
    assert "of 3 evaluations" in caplog.text


@pytest.mark.parametrize("wrong", [{"date": "@everyone"}, {"figures": [{"name": "FID", "n": 1, "value": "4"}]}])
def test_what_does_not_say_what_it_should_is_left_out(wrong: Any, tmp_path: Path) -> None:
    write(tmp_path, "1", **wrong)
    assert measured.read(tmp_path) == {}


def shown(thought: dict[str, OfModel], found: dict[str, Measured], *, language: str = "en") -> str:
    with speaking(language):
        card = panel.card(COUNTED, "week", None, moderates=False, thought=thought, measured=found)
    components = card.view.to_components()
    form = Form()
    check_components(form, {"components": components}, set(), version_2=True)
    form.close()
    return str(components)


def test_members_and_measures_stand_side_by_side_with_their_numbers() -> None:
    clip = Figure("CLIP score", 40, 0.3141, 0.0123)
    found = {"b": Measured("2026-11-30", "easel-1", (clip,)), "other": Measured("2026-11-30", "easel-1", (clip,))}
    told = shown({"b": OfModel(Mean(4.25, 0.31, 17, 6), Mean(0.625, 0.12, 1, 1), {"*c*": (3, 1)})}, found)
    assert (
        "- b: 4.2 ± 0.3 of 5 stars (17 ratings, 6 members) · won 62 ± 12 % of comparisons (1 vote, only 1 member)"
        " · 3 : 1 against \\\\*c\\\\* · CLIP score 0.314 ± 0.012 (n 40) · measured on 2026-11-30"
    ) in told
    assert "± is the standard error" in told
    assert "What only few members say tells little." in told
    # What this server has never used is none of its business.
    assert "other" not in told
    alone = shown({"b": OfModel(Mean(3.0, None, 1, 1), None)}, {})
    assert "- b: 3.0 of 5 stars (1 rating, only 1 member)" in alone
    assert "±" not in alone
    own = Figure("CLIP score", 40, 0.6, None, comparable=False)
    assert "CLIP score 0.6 (n 40), by a measure of its own" in shown({}, {"b": Measured("2026-11-30", "x", (own,))})


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert "good" not in shown({}, {})
    assert "good" not in shown({}, {"other": Measured("2026-11-30", "x", (Figure("FID", 1, 1.0),))})


@pytest.mark.parametrize("language", ["en", "zh-CN", "en-XA"])
def test_longest_list_is_what_discord_takes(language: str) -> None:
    figures = tuple(Figure(name, 10**9, 1 / 3, 1 / 7, comparable=False) for name in measured.SHOWN)
    mean = Mean(1 / 3, 1 / 7, 10**9, 2)
    names = ["*_`" * 30 + str(number) for number in range(20)]
    thought, found = {name: OfModel(mean, mean, dict.fromkeys(names, (10**9, 10**9))) for name in names}, {}
    for name in names:
        found[name] = Measured("2026-11-30", "easel-1", figures)
    shown(thought, found, language=language)
