"""What the model paints for a run, by the code that paints for members: pictures of its own to be learned beside, and a
preview of each epoch with the LoRA as its file has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
from PIL import Image

from inference.catalog.entries import LoraEntry
from inference.errors import TrainingError, Unsafe
from inference.models.handles import PictureModel
from inference.models.store import Store
from inference.painting import alone, session
from inference.painting.callbacks import Alone
from inference.painting.session import Failure
from inference.pictures import images
from inference.protocol import Imagine, Lora, because
from inference.training.plans import Plan

NAME = "training"
"""What the catalogue calls the LoRA meanwhile."""
TRIES = 8
"""So many seeds at most one of the model's own pictures is painted with until the checker has nothing against it."""


def priors(store: Store, model: PictureModel, plan: Plan, folder: Path, alive: Callable[[], None]) -> list[Image.Image]:
    """The model's own pictures that are learned beside, from the folder of a run, or painted and kept there."""
    files = [folder / "priors" / f"{number:04}.png" for number in range(plan.priors)]
    for number, file in enumerate(files):
        if not file.is_file():
            file.parent.mkdir(exist_ok=True)
            made = _prior(store, model, plan, number, alive)
            part = file.with_suffix(".part")
            part.write_bytes(images.png(made, {}))
            part.replace(file)
    pictures = []
    for file in files:
        try:
            with Image.open(file, formats=("PNG",)) as opened:
                pictures.append(opened.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise TrainingError(f"{file} is no picture any more: delete it, and it is painted again") from error
    return pictures


def _prior(store: Store, model: PictureModel, plan: Plan, number: int, alive: Callable[[], None]) -> Image.Image:
    """One of them; of another seed than others', also where the checker flags the first ones."""
    for again in range(TRIES):
        seed = (plan.seed + number + again * plan.priors) % 2**32
        if (made := _paint(store, alone.request(model.name, model.entry, 0, plan.prior, seed), alive)) is not None:
            return made
    text = f"the checker flags what {model.name} paints of {plan.prior!r}: say another --prior"
    raise TrainingError(text, because("training_flagged"))


def preview(store: Store, model: PictureModel, plan: Plan, lora: Path, alive: Callable[[], None]) -> Image.Image:
    """A grid of the plan's prompts, each with the same seed, as they are painted with a LoRA's file; grey where the
    checker flags what is.

    Other LoRAs than that worked in the model before are asleep afterwards, and so is that.
    """
    entry = LoraEntry(title=NAME, models=(model.name,), path=str(lora.resolve()))
    before = store.catalog
    store.catalog = replace(before, loras={**before.loras, NAME: entry})
    try:
        plain = [alone.request(model.name, model.entry, 0, text, plan.preview_seed) for text in plan.previews]
        wanted = (Lora(NAME, plan.weight),)
        made = [_paint(store, msgspec.structs.replace(one, loras=wanted), alive) for one in plain]
    finally:
        store.catalog = before
        store.adapt(model, (), lambda: None)
        model.prompts.forget()
    return images.grid(made, model.entry.width, model.entry.height)


def _paint(store: Store, request: Imagine, alive: Callable[[], None]) -> Image.Image | None:
    """The picture; None where the checker flags it."""
    (made,) = session.paint([request], {}, store, Alone(alive))
    if not isinstance(made, Failure):
        return made.image
    if isinstance(made.error, Unsafe):
        return None
    # The words are a member's, and this is logged.
    raise TrainingError(f"{request.model} cannot paint one of the prompts: {made.error.reason.name}")
