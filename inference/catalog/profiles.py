"""How many pictures share a pass, as `python -m inference models profile` measured it on this machine, as it is kept.

Nothing is measured here (`inference.profiling`), and nothing changes by itself: who asked for the measuring is told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec

from inference.catalog.reading import Catalog
from inference.errors import SettingsError

log = logging.getLogger(__name__)

FILE = "profiles.json"
"""Its name in the data folder."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured of one model at its own size on one kind of device."""

    model: str
    """The name in models.toml."""
    device: str
    """As its maker calls it."""
    width: int
    height: int
    batch: Annotated[int, msgspec.Meta(ge=1, le=16)]
    """How many pictures pay in a pass."""
    seconds: dict[int, float]
    """Of a pass of so many pictures."""
    versions: dict[str, str]
    date: str

    @property
    def subject(self) -> tuple[str, str, int, int]:
        """What it is of: there is one of each."""
        return self.model, self.device, self.width, self.height


def read(data: Path) -> list[Profile]:
    """Those that are kept in this data folder. Raises SettingsError where they are not to be read."""
    file = data / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Profile])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{file} cannot be read ({error}): remove it: `models profile` measures anew") from error


def keep(data: Path, profile: Profile) -> None:
    """Keep this one, in the place of an older one of the same. Raises SettingsError where that cannot be done."""
    others = [other for other in read(data) if other.subject != profile.subject]
    file, part = data / FILE, data / f"{FILE}.part"
    try:
        part.write_bytes(msgspec.json.format(msgspec.json.encode([*others, profile])))
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SettingsError(f"{file} cannot be written: {error.strerror or error}") from error


def applied(known: Catalog, data: Path, device: str, versions: Mapping[str, str]) -> Catalog:
    """The catalogue with what was measured on such a device in the place of the models' `batch`."""
    models = dict(known.models)
    for profile in read(data):
        entry = models.get(profile.model)
        if entry is None or profile.subject != (profile.model, device, entry.width, entry.height):
            continue
        log.info("%s: %d pictures in a pass, as measured on %s", profile.model, profile.batch, profile.date)
        if profile.versions != dict(versions):
            log.warning(
                "%s was measured with other versions: `models profile %s` measures it anew",
                *[profile.model] * 2,
            )
        models[profile.model] = msgspec.structs.replace(entry, batch=profile.batch)
    return replace(known, models=models)
