"""Every text that members read, of which catalogues are made.

Babel finds them in the source by what they are given to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

ROOT = Path(__file__).parents[2]

KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "say": None,
    "N_": None,
    "MemberError": None,
    "WorkFailed": None,
    "say_many": (1, 2),
    "Many": (1, 2),
}
"""What a text stands in first; of what depends on a number the first two."""


def template() -> Catalog:
    """All texts of the source, with the places where they stand."""
    # Imported here: whoever speaks English needs none of it.
    from babel.messages.catalog import Catalog
    from babel.messages.extract import extract_from_dir

    found = Catalog(project="Easel", version="", copyright_holder="Easel", charset="utf-8", fuzzy=False)
    folder = ROOT / "bot"
    for file, line, text, comments, context in extract_from_dir(folder, keywords=KEYWORDS):
        found.add(text, locations=[(f"{folder.name}/{file}", line)], auto_comments=comments, context=context)
    return found
