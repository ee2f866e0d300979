"""Every word that members read goes through the catalogues."""

from __future__ import annotations

import ast
import asyncio
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from bot import commands
from bot.localisation import SAID_CHARS
from bot.words import N_, catalogues, say, say_many, speaking, template, updating, why
from bot.words.catalogues import PSEUDO
from bot.words.facts import DESCRIBER_TASKS
from bot.words.marks import Many
from bot.words.reasons import TEXTS
from inference.protocol import DescribeTask, Reason, because

ROOT = Path(__file__).parents[2]

MAKERS = {"because", "MemberError", "WorkFailed", "TaskError", "InvalidInput", "UnavailableModel", "OutOfMemory"} | {
    "Unsafe",
    "NotFinite",
    "NotKept",
    "say",
    "say_many",
}
"""What a text or the name of a reason is given to first, with its facts."""


def facts_of(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def calls(*folders: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Where something is called by its bare name, by which, and the call."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node.func.id, node


def said() -> Iterator[tuple[str, str, set[str]]]:
    """Where, which text or reason, and which facts it is given, as far as that stands in the source as it is."""
    for where, name, call in calls("bot", "inference"):
        match call.args:
            case [ast.Constant(value=str(text)), *_] if name in MAKERS and all(word.arg for word in call.keywords):
                facts = {str(word.arg) for word in call.keywords} | ({"count"} if name == "say_many" else set())
                yield where, text, facts


def texts_of(message: Message) -> tuple[str, ...]:
    """The text of a catalogue's entry, or both where it depends on a number."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def extracted() -> set[str]:
    """What Babel finds in the source."""
    return {text for message in template.template() for text in texts_of(message)}


def test_every_text_has_the_facts_that_it_names() -> None:
    found = list(said())
    assert len(found) > 200
    for where, text, facts in found:
        texts: tuple[str, ...] = (text,)
        if re.fullmatch("[a-z_]+", text) and text in TEXTS:
            known = TEXTS[text]
            texts = (known,) if isinstance(known, str) else known
        for one in texts:
            assert facts_of(one) <= facts, where


def test_every_reason_has_a_text() -> None:
    for where, name, call in calls("bot", "inference"):
        match call.args:
            case [ast.Constant(value=str(reason)), *_] if name in MAKERS - {
                "MemberError",
                "WorkFailed",
                "say",
                "say_many",
            }:
                assert reason in TEXTS, where


def test_texts_of_reasons_say_what_to_do() -> None:
    for name, known in TEXTS.items():
        for text in (known,) if isinstance(known, str) else known[:2]:
            assert text[0].isupper() or text.startswith("{"), name
            assert text.endswith("."), name


def test_what_depends_on_a_number_names_it() -> None:
    for name, text in TEXTS.items():
        if isinstance(text, Many):
            assert text.by in facts_of(text.one) & facts_of(text.many), name


def test_every_text_in_the_source_is_extracted_and_nothing_else() -> None:
    found = extracted()
    marked: set[str] = set()
    for where, name, call in calls("bot"):
        if name not in template.KEYWORDS:
            continue
        for place in template.KEYWORDS[name] or (1,):
            given = call.args[place - 1]
            # What is marked elsewhere comes as a name.
            assert not isinstance(given, ast.JoinedStr | ast.BinOp), f"{where}: no text that could be extracted"
            if isinstance(given, ast.Constant):
                assert given.value in found, where
                marked.add(str(given.value))
    # Babel adds the header, which is called by nothing.
    assert found - {""} == marked
    assert len(found) > 350
    assert not found & set(TEXTS)


SHOWN = {"label", "title", "placeholder", "description"}
"""What Discord's library calls what it shows."""


def test_nothing_is_written_straight_into_what_is_shown() -> None:
    seen = 0
    for file in sorted((ROOT / "bot").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == "ArgumentParser":  # what the operator reads
                continue
            given = [one.value for one in node.keywords if one.arg in SHOWN or called == "describe"]
            given += node.args[1:2] if called in ("tell", "bare") else []
            seen += len(given)
            for value in given:
                for part in value.values if isinstance(value, ast.JoinedStr) else [value]:
                    written = part.value if isinstance(part, ast.Constant) else None
                    assert not re.search("[A-Za-z]{2}", str(written or "")), f"{file.name}:{node.lineno}: {written}"
    assert seen > 100


def test_facts_take_the_place_of_their_names() -> None:
    assert say("{width}x{height} is {what} {here}", width=64, height=32.5, what="large") == "64x32.5 is large {here}"
    assert say("a {b} c") == "a {b} c"
    assert why(because("no_model", typed="sdx\nl", choices=("starter", "sdxl"))) == (
        "There is no model called 'sdx l': choose one of starter, sdxl."
    )


def test_text_of_somebody_else_is_filled_with_facts_and_nothing_more() -> None:
    hostile = Reason("{a.__class__} {a!r} {a:>9999999999}", {"a": "b"})
    assert why(hostile) == hostile.name


def test_facts_from_anywhere_are_cut_and_missing_ones_do_no_harm() -> None:
    assert why(because("no_text_there", more="x" * 4000)) == "There is no text to be read."
    assert len(why(because("no_negative", model="x" * 4000))) < 200
    bare = "The prompt has {chars} characters and {most} is the most: shorten it."
    assert why(Reason("prompt_chars", {})) == bare


def test_sentence_of_an_older_version_stays_as_it_is() -> None:
    assert (
        why("The weights were left out.")
        == why(Reason("The weights were left out.", {}))
        == "The weights were left out."
    )


def test_numbers_choose_their_text() -> None:
    assert say_many("{count} picture", "{count} pictures", 1) == "1 picture"
    assert say_many("{count} picture", "{count} pictures", 3) == "3 pictures"
    assert why(because("no_such_picture", job=7, count=1, number=2)) == "Job 7 has 1 picture: there is no number 2."
    assert why(because("no_such_picture", job=7, count=3, number=4)) == "Job 7 has 3 pictures: there is no number 4."


def test_tasks_are_called_as_they_are_offered() -> None:
    assert set(DESCRIBER_TASKS) == set(get_args(DescribeTask))
    wrong = because("no_task", model="Florence", task="read text", tasks=("find", "caption"))
    assert why(wrong) == "Florence cannot do 'read text': choose one of find, caption."
    with speaking(PSEUDO):
        assert not re.search(r"[A-Za-z]", why(wrong).replace("Florence", ""))


def test_language_nobody_speaks_accents_every_letter_and_keeps_what_is_no_word() -> None:
    with speaking(PSEUDO):
        shown = why(because("no_lora", typed="oil", choices=("ink",)))
        assert not re.search(r"[A-Za-z]", shown.replace("'oil'", "").replace("ink", ""))
        assert "`image`" in say("Strength says how far to go from a picture: give one as `image`, or leave it out.")
        assert say("Delete") != "Delete"
        # A translator would never see it.
        assert say("Nothing in the source says this.") == "Nothing in the source says this."
    assert say("Delete") == "Delete"


def test_every_reason_is_said_in_every_language() -> None:
    with speaking(PSEUDO):
        for name, text in TEXTS.items():
            facts = facts_of(text if isinstance(text, str) else text.many)
            for number in (1, 2):
                said = why(Reason(name, dict.fromkeys(facts, number)))
                words = re.sub(r"`[^`]*`|/[a-z]+\b", "", said)
                assert not re.search("[A-Za-z{}]", words), name


async def test_tasks_threads_and_callbacks_speak_as_who_began_them() -> None:
    heard: list[str] = []
    with speaking(PSEUDO):
        expected = say("Delete")

        async def task() -> None:
            heard.append(say("Delete"))

        begun = asyncio.create_task(task())
        asyncio.get_running_loop().call_soon(lambda: heard.append(say("Delete")))
        in_thread = await asyncio.to_thread(say, "Delete")
        begun.add_done_callback(lambda _: heard.append(say("Delete")))
        later = asyncio.create_task(asyncio.sleep(0.01))
        later.add_done_callback(lambda _: heard.append(say("Delete")))
    await asyncio.gather(begun, later)
    await asyncio.sleep(0)
    assert expected != "Delete"
    assert [*heard, in_thread] == [expected] * 5


POLISH = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    '"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 ? 1 : 2);\\n"\n\n'
    'msgid "Delete"\nmsgstr "Usuń"\n\n'
    'msgid "{count} picture"\nmsgid_plural "{count} pictures"\n'
    'msgstr[0] "{count} obraz"\nmsgstr[1] "{count} obrazy"\nmsgstr[2] "{count} obrazów"\n'
)


def test_catalogue_of_a_language_is_read_with_its_plural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pl.po").write_text(POLISH, encoding="utf-8")
    monkeypatch.setattr(catalogues, "FOLDER", tmp_path)
    assert catalogues.languages() == ("en", PSEUDO, "pl")
    catalogues.catalogue.cache_clear()
    with speaking("pl"):
        assert say("Delete") == "Usuń"
        assert say("Cancel") == "Cancel"
        counted = [say_many("{count} picture", "{count} pictures", count) for count in (1, 2, 5)]
    assert counted == ["1 obraz", "2 obrazy", "5 obrazów"]
    catalogues.catalogue.cache_clear()


def problems(folder: Path) -> list[str]:
    """What is wrong with the catalogues in a folder."""
    descriptions = {text for command in commands.load().commands.values() for text in described(command)}
    return [problem for file in sorted(folder.glob("*.po")) for problem in problems_of(file, descriptions)]


def described(command: commands.Command) -> Iterator[str]:
    """What Discord shows of a command before it is used."""
    yield str(getattr(command, "description", ""))
    for parameter in getattr(command, "parameters", ()):
        yield str(parameter.description)
        yield from (choice.name for choice in parameter.choices)


def problems_of(file: Path, descriptions: set[str]) -> Iterator[str]:
    for message in read(file):
        if not message.id:
            continue
        translated = [message.string] if isinstance(message.string, str) else list(message.string)
        known = set().union(*(facts_of(text) for text in texts_of(message)))
        foreign = False
        for text in filter(None, translated):
            if foreign := not facts_of(text) <= known:
                yield f"{file.name}: {text!r} has facts that {message.id!r} has not"
            if message.id in descriptions and len(text) > SAID_CHARS:
                yield f"{file.name}: {text!r} is longer than the {SAID_CHARS} characters that Discord takes there"
        # The last is said of most numbers.
        if not foreign and translated[-1] and facts_of(translated[-1]) != facts_of(texts_of(message)[-1]):
            yield f"{file.name}: {translated[-1]!r} says not all that {message.id!r} says"
        if translated[-1] and as_typed(translated[-1]) != as_typed(texts_of(message)[-1]):
            yield f"{file.name}: {translated[-1]!r} has other code or commands than {message.id!r}"


def read(file: Path) -> Catalog:
    """A language's catalogue."""
    with file.open("rb") as opened:
        return read_po(opened, locale=catalogues.babel_name(file.stem), abort_invalid=True)


def as_typed(text: str) -> set[str]:
    """What of a text is the same in every language: code, and the names of commands."""
    return set(re.findall(r"`[^`]*`|/[a-z]+(?![A-Za-z])", text))


def test_every_catalogue_keeps_to_the_facts_and_lengths_of_the_texts() -> None:
    assert problems(catalogues.FOLDER) == []


def test_what_is_wrong_with_a_catalogue_is_found(tmp_path: Path) -> None:
    (tmp_path / "pl.po").write_text(POLISH, encoding="utf-8")
    assert problems(tmp_path) == []
    (tmp_path / "pl.po").write_text(POLISH.replace('"Usuń"', '"Usuń {zdjecie}"'), encoding="utf-8")
    assert len(problems(tmp_path)) == 1
    for wrong in (
        '\nmsgid "Which model paints"\nmsgstr "' + "x" * 101 + '"\n',
        '\nmsgid "Picture {number}"\nmsgstr "Obraz"\n',
        '\nmsgid "Use /edit."\nmsgstr "Użyj /popraw."\n',
        '\nmsgid "Leave `lora` out."\nmsgstr "Pomiń lora."\n',
    ):
        (tmp_path / "pl.po").write_text(POLISH + wrong, encoding="utf-8")
        assert len(problems(tmp_path)) == 1, wrong


KEPT_COMPLETE = ["zh-CN"]
"""The languages that are spoken throughout."""


@functools.cache
def all_texts() -> frozenset[str]:
    """All that there is to be said."""
    return frozenset(str(message.id) for message in template.template() if message.id)


def gaps(catalogue: Catalog) -> Iterator[str]:
    """What a catalogue lacks, and what it has too much, of all that there is to be said."""
    wanted, there = all_texts(), {str(message.id) for message in catalogue if message.id}
    lacking = (wanted - there) | set(updating.untranslated(catalogue))
    yield from (f"no translation: {text}" for text in sorted(lacking))
    yield from (f"said no more: {text}" for text in sorted((there - wanted) | set(map(str, catalogue.obsolete))))


@pytest.mark.parametrize("language", KEPT_COMPLETE)
def test_no_text_lacks_its_translation(language: str) -> None:
    """Where this fails: `make words` puts new texts into the catalogue, to be translated there."""
    found = read(catalogues.FOLDER / f"{language}.po")
    assert list(gaps(found)) == []
    # As the bot reads it, which passes over what is fuzzy.
    with speaking(language):
        for message in found:
            one, *many = texts_of(message)
            if one and not many:
                assert catalogues.catalogue(language).gettext(one) == message.string


def test_translation_that_lacks_is_found_and_so_is_one_too_many(tmp_path: Path) -> None:
    [language] = KEPT_COMPLETE
    whole = (catalogues.FOLDER / f"{language}.po").read_text(encoding="utf-8")
    [removed] = re.findall(r'\n#: [^\n]+\nmsgid "Delete"\nmsgstr "[^"]+"\n', whole)
    for changed, wrong in (
        (whole.replace(removed, "\n"), "no translation: Delete"),
        (whole.replace(removed, '\nmsgid "Delete"\nmsgstr ""\n'), "no translation: Delete"),
        (whole.replace(removed, "\n#, fuzzy" + removed), "no translation: Delete"),
        (whole + '\nmsgid "Deleted"\nmsgstr "x"\n', "said no more: Deleted"),
        (whole + '\n#~ msgid "Deleted"\n#~ msgstr "x"\n', "said no more: Deleted"),
    ):
        (tmp_path / f"{language}.po").write_text(changed, encoding="utf-8")
        assert list(gaps(read(tmp_path / f"{language}.po"))) == [wrong]
        # And `make words` leaves nothing to do but to translate.
        assert updating.update(tmp_path / f"{language}.po") == ["Delete"] * wrong.startswith("no")
        assert list(gaps(read(tmp_path / f"{language}.po"))) in ([], [wrong])
    (tmp_path / f"{language}.po").write_text(whole, encoding="utf-8")
    assert updating.update(tmp_path / f"{language}.po") == []
    # Nothing comes of doing it twice.
    once = (tmp_path / f"{language}.po").read_bytes()
    assert updating.update(tmp_path / f"{language}.po") == []
    assert (tmp_path / f"{language}.po").read_bytes() == once


def test_marked_text_is_the_text() -> None:
    assert N_("Delete") == "Delete"
