"""`python -m bot.words.updating`, which is `make words`: every text that members read, as `build/words.pot`, of which
catalogues are made; and those that there are, brought up to date with it.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from bot.words.catalogues import FOLDER, babel_name
from bot.words.template import ROOT, template

TEMPLATE = ROOT / "build" / "words.pot"

WIDTH = 120


def write() -> None:
    """Write the texts where `pybabel init` is told to look."""
    TEMPLATE.parent.mkdir(exist_ok=True)
    with TEMPLATE.open("wb") as file:
        write_po(file, template(), width=WIDTH)


def update(catalogue: Path) -> list[str]:
    """Bring a catalogue up to date: new texts come in to be translated, those that are gone go with their translations.

    A text that has changed is a new one: nothing is guessed from what it was. Returns those that are said in English.
    """
    with catalogue.open("rb") as file:
        messages = read_po(file, locale=babel_name(catalogue.stem), abort_invalid=True)
    messages.update(template(), no_fuzzy_matching=True, update_creation_date=False)
    with catalogue.open("wb") as file:
        # Without lines: they change with every change of the source, and nothing with them.
        write_po(file, messages, width=WIDTH, ignore_obsolete=True, include_lineno=False)
    return untranslated(messages)


def untranslated(catalogue: Catalog) -> list[str]:
    """The texts of a catalogue that are said in English: those without a translation, or with a doubtful one."""
    return [str(message.id) for message in catalogue if message.id and (message.fuzzy or not _whole(message.string))]


def _whole(text: str | tuple[str, ...] | list[str] | None) -> bool:
    return all(text) if isinstance(text, tuple | list) else bool(text)


if __name__ == "__main__":
    write()
    for each in sorted(FOLDER.glob("*.po")):
        print(f"{each.relative_to(ROOT)}: {len(update(each))} texts to translate")
