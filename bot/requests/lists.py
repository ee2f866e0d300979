"""Lists as members type them: with commas between, and quotes around what has commas itself, however a phone writes
those.
"""

from __future__ import annotations

import re

QUOTES = {
    '"': '"',
    "“": "”“",
    "„": "“”",
    "”": "”",
    "«": "»",
    "»": "«",
    "‘": "’",
    "‚": "‘’",
    "「": "」",
    "『": "』",
    "＂": "＂",
}
"""What ends a quote that begins so."""

COMMAS = ",，、"

_QUOTED = "|".join(f"{re.escape(begin)}((?:[^{end}]|{begin}{begin})*)[{end}]" for begin, end in QUOTES.items())


def split(text: str, separators: str = COMMAS) -> list[str]:
    """The values of a list, without the quotes around them and the spaces at their ends."""
    value = re.compile(rf"\s*(?:(?:{_QUOTED})\s*(?=[{separators}]|$)|([^{separators}]*))(?:[{separators}]|$)")
    return [_value(match) for match in value.finditer(text)]


def _value(match: re.Match[str]) -> str:
    # As tables are written in files, a straight quote within quotes is written twice.
    if match[1] is not None:
        return match[1].replace('""', '"').strip()
    return next((group for group in match.groups() if group is not None), "").strip()
