"""Another way to keep and compute a model than its entry says: `--policy weights=8bit,speed=draft`."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from inference.catalog.entries import ModelEntry
from inference.catalog.fields import Precision, Speed
from inference.errors import SettingsError
from inference.models.policy import Policy

WHOLE: dict[str, Any] = {
    **{"weights": "full", "speed": "full", "attention": "sdpa"},
    **{"compile": False, "channels_last": False, "vae_tiling": None, "offload": None},
}
"""As a model is kept of which nothing was taken, in the fields of its entry."""
ON_ANY_DEVICE = ("weights", "speed")
"""What makes a difference without a card: smaller weights are computed with there too, slowly."""


def changes(said: str | None) -> dict[str, Any]:
    """What of an entry these words change. `8bit` and `draft` say themselves what they are. Raises SettingsError."""
    found: dict[str, Any] = {}
    for word in (said or "").split(","):
        if not (word := word.strip()):
            continue
        field, _, value = word.partition("=") if "=" in word else (_field(word), "", word)
        if field not in Policy.__struct_fields__ or field in found:
            raise SettingsError(
                f"--policy {word}: {'said twice' if field in found else 'unknown'}; it takes"
                f" {', '.join(f'{name}=…' for name in Policy.__struct_fields__)} with commas between them"
            )
        found[field] = value
    try:
        policy = msgspec.convert(found, Policy, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"--policy {said}: {error}") from error
    return {field: getattr(policy, field) for field in found}


def require_useful(changed: dict[str, Any], has_card: bool) -> None:
    """Raise SettingsError for what would change nothing here."""
    idle = [] if has_card else [field for field in changed if field not in ON_ANY_DEVICE]
    if idle:
        raise SettingsError(f"--policy: without a card {' and '.join(idle)} would change nothing")


def is_whole(entry: ModelEntry) -> bool:
    """Whether nothing was taken from a model that is kept so."""
    free = ("vae_tiling", "offload")
    return all(getattr(entry, field) == value for field, value in WHOLE.items() if field not in free) and all(
        not getattr(entry, field) or getattr(entry, field) == "none" for field in free
    )


def in_words(entry: ModelEntry) -> str:
    """How it is kept, in a few words."""
    told = [
        f"{field} {getattr(entry, field)}"
        for field, whole in WHOLE.items()
        if getattr(entry, field) not in (whole, None)
    ]
    return ", ".join(told) or "full precision"


def _field(word: str) -> str:
    if word in get_args(Precision) and word != "full":
        return "weights"
    return "speed" if word in get_args(Speed) and word != "full" else word
