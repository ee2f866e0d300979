"""How one LoRA is trained: all that its bytes depend on besides the pictures, and where it begins. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from inference.catalog.entries import ModelEntry
from inference.errors import SettingsError, TrainingError
from inference.families.training import Training
from inference.training.cards import Card

FILE = "plan.json"

ROOM_FOR_ALL = 3.0
"""So many times as large as its weights what is left beside them must be, or what a step needs of a denoiser is
computed again on the way back, a fifth to a third slower, and one picture is looked at at a time. An estimate, on the
safe side."""
ROOM_FOR_ONE = 0.25
"""With less than this share of the weights left beside them, resolution is halved and rank too."""
WARM = 0.05
"""The share of the steps in which the rate rises: AdamW knows nothing of how far its first ones should go."""
SNR_GAMMA = 5.0
"""Hang et al., Efficient Diffusion Training via Min-SNR Weighting Strategy, 2023. None where noise ends in nothing else
(Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed, 2024): a picture begins there, with its
layout, and the ratio of signal to noise, by which the strategy weighs, is nought."""

PREVIEWS = 4
"""So many prompts a preview shows unless others are said."""

Positive = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Few = Annotated[int, msgspec.Meta(ge=1, le=256)]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is trained, on what, and how."""

    model: str
    hashes: dict[str, str]
    """Of the model's components, as its recipes have them."""
    dataset: str
    """Its digest."""
    card: Card
    pixels: Annotated[int, msgspec.Meta(ge=256, le=2**24)]
    """About so many a picture has that is learned from, whatever its proportions."""
    rank: Few
    rate: Annotated[float, msgspec.Meta(gt=0, le=0.1)]
    steps: Positive
    epochs: Annotated[int, msgspec.Meta(ge=1, le=100)]
    """Into so many parts of equally many steps it is divided: each ends with a file, its loss and a preview."""
    batch: Few
    """Pictures at once."""
    accumulate: Few
    """Batches of one step."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    warm: Annotated[int, msgspec.Meta(ge=0)]
    snr_gamma: Annotated[float, msgspec.Meta(ge=0, le=100)]
    """0 for none."""
    unsaid: Annotated[float, msgspec.Meta(ge=0, le=1)]
    textures: bool
    encoders: bool
    checkpointing: bool
    """Whether what a step needs of the denoiser is computed again on the way back instead of kept."""
    prior: str = ""
    """What all pictures of its kind show, in words: the model's own of that are learned beside, so that it does not
    forget them (Ruiz et al., DreamBooth, 2023). Empty for none."""
    priors: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    prior_weight: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.0
    previews: tuple[str, ...]
    preview_seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    weight: Annotated[float, msgspec.Meta(gt=0, le=2)] = 1.0
    """At which it is to be used: what works while it learns, and in previews, is so much of it."""

    def end(self, epoch: int) -> int:
        """After how many steps this epoch, counted from 1, ends."""
        return -(-self.steps * epoch // self.epochs)

    def ends(self, step: int) -> int | None:
        """Which epoch has ended after so many steps, counted from 1; None where none has."""
        ended = [epoch for epoch in range(1, self.epochs + 1) if step == self.end(epoch)]
        return ended[-1] if ended else None


def begin(
    entry: ModelEntry,
    training: Training,
    kind: str,
    room: tuple[int, int] | None,
    scheduler: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Where a plan begins that nobody says more about, for a model published with a scheduler so configured.

    `room` is what the denoiser's weights take of a card's memory, and what is left of it beside the whole model, in
    bytes; None on a CPU, whose memory is not so small and whose time is not so large that it would be spent twice.
    """
    pixels, rank, batch = entry.width * entry.height, training.rank, training.together
    checkpointing = False
    if room is not None:
        weights, left = room
        checkpointing = left < ROOM_FOR_ALL * weights
        batch = 1 if checkpointing else training.together
        if left < ROOM_FOR_ONE * weights:
            pixels, rank = pixels // 4, max(4, rank // 2)
    return {
        "pixels": pixels,
        "rank": rank,
        "rate": training.rate,
        "steps": training.steps,
        "epochs": training.epochs,
        "batch": batch,
        "accumulate": training.together // batch,
        "seed": 0,
        "snr_gamma": 0.0 if scheduler.get("rescale_betas_zero_snr") else SNR_GAMMA,
        "unsaid": training.unsaid,
        "textures": kind == "style" and bool(training.textures),
        "encoders": False,
        "checkpointing": checkpointing,
        "preview_seed": 0,
    }


def make(values: Mapping[str, Any]) -> Plan:
    """The plan of these values. Raises SettingsError, in one line, where one of them cannot be."""
    try:
        plan = msgspec.convert({"warm": round(WARM * values["steps"]), **values}, Plan)
    except msgspec.ValidationError as error:
        raise SettingsError(f"this cannot be trained so: {' '.join(str(error).split())[:200]}") from error
    if plan.epochs > plan.steps:
        raise SettingsError(f"{plan.steps} steps cannot be {plan.epochs} epochs")
    if bool(plan.prior) != bool(plan.priors):
        raise SettingsError("pictures of the model's own need their number and what they show: --prior and --priors")
    return plan


def kept(folder: Path) -> Plan | None:
    """The plan of the run in this folder; None where there is none yet. Raises TrainingError where it is broken."""
    file = folder / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Plan)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(f"{file} cannot be gone on with ({' '.join(str(error).split())[:200]})") from error


def require_same(folder: Path, began: Plan, wanted: Plan) -> None:
    """Raise TrainingError, naming what differs, where the run in this folder was begun by another plan."""
    for field in began.__struct_fields__:
        if getattr(began, field) != getattr(wanted, field):
            raise TrainingError(
                f"{folder} was begun with another {field}: say as before, or name another folder with --to"
            )
