"""What there is beside models: LoRAs, ControlNets and embeddings of the catalogue, and the LoRAs of members."""

from __future__ import annotations

from typing import Annotated

import msgspec


class OwnLora(msgspec.Struct, frozen=True, kw_only=True):
    """What a member's own LoRA is to a request that names it: the catalogue does not know it, its file is known by its
    hash (`files.lora_file`)."""

    name: str
    """By which the request means it; one of the catalogue that is called so as well is not meant."""
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    """Of its file."""
    family: str
    """Of the models that it was trained for."""
    weight: float = 1.0
    """Where nobody says another."""


class AddOnInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a LoRA, a ControlNet or an embedding is called, and which models it goes with."""

    name: str
    """The key in models.toml, which members type."""
    title: str
    models: tuple[str, ...]
    weight: float
    """Where the member names none; 1 for an embedding."""
    trigger: str
    """Words that a LoRA was trained to answer to; none for others."""
    sampler: str | None
    """What a LoRA wants instead of the model's own, for who does not say; so for the next two."""
    steps: int | None
    guidance: float | None
    beside: tuple[str, ...]
    """The ControlNets that can be followed at the same time as this one, itself among them; none where its models
    follow one picture alone, and none for a LoRA."""
    own: OwnLora | None
    """Where a member has trained it: no engine has it of itself, requests bring it (`Ready.with_own`)."""

    def is_called(self, typed: str) -> bool:
        """Whether a member means it by this, in capitals or not."""
        return typed.strip().lower() in (self.name.lower(), self.title.lower())
