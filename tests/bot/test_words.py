"""Every word that members read goes through the catalogues."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.words import N_, catalogues, say, say_many, speaking, why
from bot.words.catalogues import PSEUDO
from bot.words.reasons import TEXTS
from inference.protocol import Reason, because

ROOT = Path(__file__).parents[2]

MAKERS = {"because", "MemberError", "WorkFailed", "TaskError", "InvalidInput", "UnavailableModel", "OutOfMemory"} | {
    "Unsafe",
    "NotFinite",
    "NotKept",
    "say",
}
"""What a text or the name of a reason is given to first, with its facts."""


def facts_of(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def said() -> Iterator[tuple[str, str, set[str]]]:
    """Where, which text or reason, and which facts it is given, as far as that stands in the source as it is."""
    for file in sorted([*(ROOT / "bot").rglob("*.py"), *(ROOT / "inference").rglob("*.py")]):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS):
                continue
            match node.args:
                case [ast.Constant(value=str(text)), *_] if all(keyword.arg for keyword in node.keywords):
                    yield f"{file.name}:{node.lineno}", text, {str(keyword.arg) for keyword in node.keywords}


def test_every_text_has_the_facts_that_it_names() -> None:
    found = list(said())
    assert len(found) > 100
    for where, text, facts in found:
        if " " not in text and text.islower():
            assert text in TEXTS, f"{where}: no text for {text}"
            text = TEXTS[text]
        assert facts_of(text) <= facts, where


def test_texts_of_reasons_say_what_to_do() -> None:
    for name, text in TEXTS.items():
        assert text[0].isupper() or text.startswith("{"), name
        assert text.endswith("."), name


def test_facts_take_the_place_of_their_names() -> None:
    assert say("{width}x{height} is {what} {here}", width=64, height=32.5, what="large") == "64x32.5 is large {here}"
    assert say("a {b} c") == "a {b} c"
    assert why(because("no_model", typed="sdx\nl", choices=("starter", "sdxl"))) == (
        "There is no model called 'sdx l': choose one of starter, sdxl."
    )


def test_text_of_somebody_else_is_filled_with_facts_and_nothing_more() -> None:
    hostile = Reason("{a.__class__} {a!r} {a:>9999999999}", {"a": "b"})
    assert why(hostile) == hostile.name


def test_sentence_of_an_older_version_stays_as_it_is() -> None:
    assert (
        why("The weights were left out.")
        == why(Reason("The weights were left out.", {}))
        == "The weights were left out."
    )


def test_numbers_choose_their_text() -> None:
    assert say_many("{count} picture", "{count} pictures", 1) == "1 picture"
    assert say_many("{count} picture", "{count} pictures", 3) == "3 pictures"


def test_language_nobody_speaks_accents_every_letter_and_keeps_what_is_no_word() -> None:
    with speaking(PSEUDO):
        shown = why(because("no_lora", typed="oil", choices=("ink",)))
        assert not re.search(r"[A-Za-z]", shown.replace("'oil'", "").replace("ink", ""))
        assert say("Give {name} as `image` to /imagine", name="one").endswith("`image` ţó /imagine".replace("ţ", "ť"))
    assert say("Delete") == "Delete"


def test_catalogue_of_a_language_is_read_with_its_plural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pl.po").write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 ? 1 : 2);\\n"\n\n'
        'msgid "Delete"\nmsgstr "Usuń"\n\n'
        'msgid "{count} picture"\nmsgid_plural "{count} pictures"\n'
        'msgstr[0] "{count} obraz"\nmsgstr[1] "{count} obrazy"\nmsgstr[2] "{count} obrazów"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(catalogues, "FOLDER", tmp_path)
    assert catalogues.languages() == ("en", PSEUDO, "pl")
    catalogues.catalogue.cache_clear()
    with speaking("pl"):
        assert say("Delete") == "Usuń"
        assert say("Cancel") == "Cancel"
        counted = [say_many("{count} picture", "{count} pictures", count) for count in (1, 2, 5)]
    assert counted == ["1 obraz", "2 obrazy", "5 obrazów"]
    catalogues.catalogue.cache_clear()


def test_marked_text_is_the_text() -> None:
    assert N_("Delete") == "Delete"
