"""All settings, a field each, and what they come to for one member in one place.

A new setting is one field of `Policy` with its `Setting`: by that it is kept, read from the operator's file, narrowed,
inherited and offered in /settings. What it means is for whoever asks it: `problem`, or another module.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from msgspec import structs

from bot.policies.settings import (
    SHARINGS,
    TREATMENTS,
    Among,
    Channel,
    Graded,
    Most,
    MostPixels,
    OneOf,
    Setting,
    Value,
    commands_there,
    models_there,
    sharings,
    styles_there,
    treatments,
)
from bot.policies.wordlists import WordList
from bot.words import N_
from inference.protocol import MAX_OUTPUT_PIXELS, ModelInfo, Ready, Reason, Safety, limits
from inference.protocol.limits.training import LEAST_PICTURES, MAX_STEPS, MOST_PICTURES

ALWAYS = frozenset({"settings", "privacy", "me", "help"})
"""Commands that no setting takes away: without the first nobody could give them back, and the others make nothing."""

PLAIN = "none"
"""What a member types as the style where they want none, not even the one that is set here."""

Set = Mapping[str, Value]
"""What is set in one place, by the names of settings."""


def _setting(made: Setting) -> Any:
    return field(default=None, metadata={"setting": made})


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is allowed, and what is done where a member does not say; None where nothing is set."""

    commands: frozenset[str] | None = _setting(Among(title=N_("Commands"), offers=commands_there))
    models: frozenset[str] | None = _setting(Among(title=N_("Models"), offers=models_there))
    model: str | None = _setting(OneOf(title=N_("Default model"), offers=models_there))
    style: str | None = _setting(OneOf(title=N_("Default style"), offers=styles_there))
    pixels: int | None = _setting(MostPixels(title=N_("Largest size"), most=MAX_OUTPUT_PIXELS))
    steps: int | None = _setting(Most(title=N_("Most steps"), most=1000))
    count: int | None = _setting(Most(title=N_("Most pictures per job"), most=100))
    flagged: str | None = _setting(
        Graded(
            title=N_("Flagged pictures in age-restricted channels"),
            offers=treatments,
            unset=TREATMENTS["block"],
            grades=TREATMENTS,
        )
    )
    waiting: int | None = _setting(
        Most(title=N_("Waiting jobs per member"), least=0, most=1000, of_channels=False, of_roles=True)
    )
    hour: int | None = _setting(
        Most(title=N_("Jobs per member in an hour"), least=0, most=100_000, of_channels=False, of_roles=True)
    )
    day: int | None = _setting(
        Most(title=N_("Jobs per member in a day"), least=0, most=100_000, of_channels=False, of_roles=True)
    )

    spent: int | None = _setting(
        Most(title=N_("Cents per member in a day"), least=0, most=10_000_000, of_channels=False, of_roles=True)
    )
    spent_month: int | None = _setting(
        Most(title=N_("Cents per member in 30 days"), least=0, most=10_000_000, of_channels=False, of_roles=True)
    )
    server_spent: int | None = _setting(
        Most(title=N_("Cents of all in a day"), least=0, most=10_000_000, of_channels=False)
    )
    server_spent_month: int | None = _setting(
        Most(title=N_("Cents of all in 30 days"), least=0, most=10_000_000, of_channels=False)
    )

    trainings: int | None = _setting(
        Most(title=N_("Trainings per member in 30 days"), least=0, most=1000, of_channels=False)
    )
    training_pictures: int | None = _setting(
        Most(title=N_("Most pictures of a training"), least=LEAST_PICTURES, most=MOST_PICTURES, of_channels=False)
    )
    training_steps: int | None = _setting(Most(title=N_("Most steps of a training"), most=MAX_STEPS, of_channels=False))
    sharing: str | None = _setting(
        Graded(
            title=N_("Who shares LoRAs with this server"),
            of_channels=False,
            offers=sharings,
            unset=SHARINGS["moderators"],
            grades=SHARINGS,
        )
    )
    loras: int | None = _setting(Most(title=N_("LoRAs that a member keeps"), least=0, most=1000, of_channels=False))
    lora_megabytes: int | None = _setting(
        Most(title=N_("Megabytes of LoRAs in this server"), least=0, most=100_000_000, of_channels=False)
    )

    days: int | None = _setting(Most(title=N_("Days that pictures are kept"), most=3650, of_channels=False))

    log: int | None = _setting(Channel(title=N_("Log channel"), of_channels=False))

    words: Mapping[str, WordList] = field(default_factory=dict)
    """Lists of blocked words, by whose they are: `operator`, `server`, `channel`."""
    own_model: str | None = None
    own_style: str | None = None
    own_size: tuple[int, int] | None = None
    """What the member has said once for all: it goes before what is set, as far as that allows it."""
    barred: Reason | None = None
    """Why this member can ask for nothing here at all."""

    def safety(self, age_restricted: bool) -> Safety:
        """What becomes here of pictures that a checker flags: what is set counts among adults alone."""
        return cast(Safety, self.flagged or "block") if age_restricted else "block"

    def admits(self, model: str) -> bool:
        """Whether this model may paint here."""
        return self.models is None or model in self.models

    def has(self, command: str) -> bool:
        """Whether this command may be used here."""
        return self.commands is None or command in self.commands or command in ALWAYS

    def offered(self, ready: Ready) -> Ready:
        """What the engine can do, with what is done here where a member does not say.

        What is not allowed is still there: whoever asks for it hears why they cannot have it.
        """
        allowed = [model.name for model in ready.models if self.admits(model.name)]
        wanted = [name for name in (self.own_model, self.model, ready.default_model, *allowed) if name in allowed]
        return structs.replace(
            ready,
            models=tuple(map(self._within, ready.models)),
            default_model=wanted[0] if wanted else ready.default_model,
            max_count=min(ready.max_count, self.count or ready.max_count),
        )

    def styled(self, style: str | None, model: ModelInfo) -> str | None:
        """The style for a member who wants this one: where they say none, their own or the one that is set, the first
        that the model has."""
        known = {one.name for one in model.styles}
        if style is None:
            wanted = [one for one in (self.own_style, self.style) if one in known or one == PLAIN]
            return wanted[0] if wanted and wanted[0] in known else None
        return None if style.lower() == PLAIN and style not in known else style

    def _within(self, model: ModelInfo) -> ModelInfo:
        """A model whose own steps and size are within what is allowed."""
        width, height, multiple = model.width, model.height, model.size_multiple
        if self.own_size is not None and limits.size_fits(*self.own_size, model):
            width, height = self.own_size
        if self.pixels is not None and width * height > self.pixels:
            scale = math.sqrt(self.pixels / (width * height))
            width, height = (max(int(side * scale) // multiple * multiple, model.min_size) for side in (width, height))
        if model.remote is not None and (width, height) not in (listed := model.remote.sizes) and listed:
            width, height = next((size for size in listed if size[0] * size[1] <= (self.pixels or 0)), listed[0])
        steps = min(model.steps, self.steps or model.steps)
        return structs.replace(model, steps=steps, width=width, height=height)


SETTINGS: Mapping[str, Setting] = {
    one.name: one.metadata["setting"] for one in dataclasses.fields(Policy) if "setting" in one.metadata
}
"""Every setting by its name."""


def resolved(operator: Set, server: Set, channel: Set, roles: Iterable[Set]) -> dict[str, Any]:
    """The settings that hold for a member with these roles: the channel's before the server's, of limits the most
    generous of any role's, and none beyond the operator's."""
    held: dict[str, Any] = {}
    of_roles = [*roles]
    for name, setting in SETTINGS.items():
        own = channel.get(name, server.get(name)) if setting.of_channels else server.get(name)
        if setting.of_roles:
            limits = [one for one in (own, *(role.get(name) for role in of_roles)) if isinstance(one, int)]
            own = max(limits, default=None)
        if name in operator:
            own = operator[name] if own is None else setting.together(operator[name], own)
        if own is not None:
            held[name] = own
    return held
