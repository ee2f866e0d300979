"""The list of words beside a model: what of a prompt is none of them, when that is told, and which files are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference.catalog import reading
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import WeightsError
from inference.models.store import Store
from inference.models.vocabulary import FILE, MAX_BYTES, Vocabulary
from inference.painting.wording import gathered
from inference.protocol import Imagine, Lora, Reason, because
from starter import captions
from starter.judge import MODELS
from starter.next.captions import vocabulary as next_vocabulary
from tests.inference.conftest import ask_for, paint_from

KNOWN = Vocabulary(frozenset({"a", "red", "house", "8-bit", "art", "一", "只", "红色", "红色的", "猫"}))
SPELLS = Vocabulary(KNOWN.words | {"sign", "that", "says", "with"})


@pytest.mark.parametrize(
    ("text", "unseen"),
    [
        ("a red house", ()),
        ("A RED House, 8-bit art!", ()),
        ("a Zebra and a zebra and a Ünicorn", ("Zebra", "and", "Ünicorn")),
        ("一只红色的猫", ()),
        ("一只斑马和红色猫", ("斑马和",)),
        ("猫 and red 马house", ("and", "马")),
        ("a \0mood\0 house", ()),
        ("it's - ' a", ("it's",)),
        ("дом 2 a_b", ("дом", "2", "a_b")),
        ('a house with a sign that says "CAFE"', ("with", "sign", "that", "says", "CAFE")),
        ("", ()),
    ],
)
def test_words_that_are_not_listed_are_found_once_as_they_were_written(text: str, unseen: tuple[str, ...]) -> None:
    assert KNOWN.unseen([text, text.upper() if text.isascii() else text]) == unseen


def test_who_spells_signs_must_not_have_seen_what_stands_on_them() -> None:
    assert SPELLS.unseen(['a house with a sign that says "CAFE"', "猫“斑马”", "「马」 a"]) == ()
    assert SPELLS.unseen(['a house with a sign that says CAFE"']) == ("CAFE",)


def test_file_is_read_as_a_word_a_line_and_no_other_file_is_one(tmp_path: Path) -> None:
    assert Vocabulary.beside(tmp_path) is None
    (tmp_path / FILE).write_text("Red\n\n house \r\n猫\n", encoding="utf-8")
    assert Vocabulary.beside(tmp_path) == Vocabulary(frozenset({"red", "house", "猫"}))
    for wrong in (b"red\xff\xfe", b"a\n" * MAX_BYTES):
        (tmp_path / FILE).write_bytes(wrong)
        with pytest.raises(WeightsError, match="list of words"):
            Vocabulary.beside(tmp_path)


def test_what_a_model_has_never_seen_is_told_with_its_picture(known: Catalog, cpu: Device) -> None:
    store = Store(catalog=known, device=cpu)
    model = store.use("sd15", lambda: None)

    def notes(**asked: object) -> list[object]:
        request: Imagine = ask_for(**asked)
        return [*paint_from({}, store, request)[request.job].answer.notes]

    assert notes(prompt="a zebra") == []
    store._resident["model sd15"].model = replace(model, vocabulary=KNOWN)
    told = because("never_seen", words=("zebra", "blurry"), model="Tiny 1.5")
    assert notes(prompt="a (zebra:1.2) [red:house:0.5]", negative="blurry", guidance=4.0) == [told]
    assert notes(prompt="a red house") == []
    # A LoRA has seen words of its own.
    assert notes(prompt="a zebra", loras=(Lora("ink", 1.0),)) == []


def test_what_several_pictures_lack_is_told_at_once() -> None:
    def unseen(*words: str, model: str = "Small") -> Reason:
        return because("never_seen", words=words, model=model)

    other = because("no_faces")
    notes = gathered([unseen("zebra"), other, unseen("lion", "zebra"), unseen("zebra", model="Tiny"), other])
    assert notes == (other, unseen("zebra", "lion"), unseen("zebra", model="Tiny"))
    assert gathered([]) == ()


def test_list_beside_a_model_is_read_with_it(known: Catalog, cpu: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def beside(folder: Path) -> Vocabulary:
        asked.append(folder)
        return KNOWN

    monkeypatch.setattr(Vocabulary, "beside", beside)
    assert Store(catalog=known, device=cpu).use("sd15", lambda: None).vocabulary == KNOWN
    assert asked == [known.folder / "sd15"]


def test_starters_list_is_what_its_captions_are_made_of_and_its_styles_stay_within_it() -> None:
    words = Vocabulary.beside(MODELS / "picture")
    assert words == Vocabulary(frozenset(captions.vocabulary()))
    assert words is not None
    offered = reading.load(Path(__file__).parents[2] / "models.toml").styles["starter"]
    assert offered
    for style in offered:
        assert words.unseen([style.prompt.replace("{prompt}", ""), style.negative]) == (), style


def test_next_starter_has_seen_every_caption_in_both_languages() -> None:
    words = Vocabulary(frozenset(next_vocabulary()))
    assert words.unseen(["a black cat to the left of a red house in the city in winter", "春天的草地上的一只狗"]) == ()
    assert words.unseen(["一只斑马"]) == ("斑马",)
