"""The data card of a folder to train on: what it is called, what it shows, and by whose leave. Imports no torch."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from inference.errors import TrainingError
from inference.protocol.limits import training as limits

FILE = "card.toml"

Line = Annotated[
    str, msgspec.Meta(min_length=1, max_length=limits.MAX_LINE_CHARS, pattern=r"^[^\r\n\x00]*\S[^\r\n\x00]*$")
]


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said of the pictures of one folder."""

    name: Annotated[str, msgspec.Meta(pattern=limits.NAME)]
    kind: Literal["style", "subject"]
    """How pictures look, or what is in them."""
    trigger: Annotated[str, msgspec.Meta(max_length=limits.MAX_TRIGGER_CHARS, pattern=r"^[^\r\n\x00]*$")] = ""
    """The words that it shall answer to; begins every caption that has not got it. None where it shall always work."""
    consent: Line
    """Who made or is in the pictures, and agreed that this is trained on them."""
    license: Line
    """What may be done with what comes of it."""
    author: Annotated[str, msgspec.Meta(max_length=limits.MAX_LINE_CHARS, pattern=r"^[^\r\n\x00]*$")] = ""


def read(folder: Path) -> Card:
    """The data card that lies in a folder. Raises TrainingError, in one line that names the field."""
    file = folder / FILE
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
        return msgspec.convert(told, Card)
    except FileNotFoundError as error:
        raise TrainingError(
            f"{file} is not there: write into it name, kind (style or subject), trigger, consent and license"
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TrainingError(f"{file} is no data card: {' '.join(str(error).split())[:300]}") from error
