"""One job for a model of any family, painted as the engine does and as the bare pipeline of diffusers does.

Nothing here takes the time.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from inference.catalog.entries import ModelEntry
from inference.exchange.outputs import Files
from inference.exchange.reports import Reporter
from inference.families import FAMILIES
from inference.families.record import Family, load_class
from inference.models.store import Store
from inference.pictures import images
from inference.protocol import Event, Failed, Finished, Imagine, Input, sha256_of
from inference.silence import silenced
from inference.tasks import imagine

PROMPT = "a red house"
"""Short enough for vocabularies of letters."""


class Bare:
    """What one would write with diffusers alone: a call for each picture, and no file."""

    def __init__(self, pipeline: Any, family: Family, entry: ModelEntry) -> None:
        if family.references is not None and family.references.without is not None:
            # It paints nothing but beside pictures: another one does with its parts.
            kind = load_class(family.references.without)
            wanted = inspect.signature(kind.__init__).parameters
            pipeline = kind(**{name: part for name, part in pipeline.components.items() if name in wanted})
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline, self._family, self._entry = pipeline, family, entry
        sampler = family.samplers[entry.sampler]
        self._sampler, self._config = sampler, pipeline.scheduler.config

    def __call__(self, requests: Sequence[Imagine]) -> list[Image.Image]:
        """Paint them one by one; what they warn of is not Easel's."""
        with silenced("diffusers", "transformers"):
            return [self._paint(request) for request in requests]

    def _paint(self, request: Imagine) -> Image.Image:
        family, pipeline = self._family, self._pipeline
        further = {} if self._sampler.changes_for is None else self._sampler.changes_for(request.steps)
        kind = load_class(self._sampler.scheduler)
        pipeline.scheduler = kind.from_config(self._config, **self._sampler.changes, **further)
        told: dict[str, Any] = {**family.sized(request.width, request.height), **family.arguments}
        told[family.guidance] = request.guidance + family.guidance_offset
        takes = inspect.signature(pipeline.__call__).parameters
        if self._entry.negative and request.guidance > 1 and "negative_prompt" in takes:
            told["negative_prompt"] = " "
        if family.fills:
            told["image"], told["mask_image"] = _middle(request.width, request.height)
        generator = torch.Generator().manual_seed(request.seed)
        # torch's switches as they are where nobody asks for repeatable results.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
            made = pipeline(prompt=request.prompt, num_inference_steps=request.steps, generator=generator, **told)
        picture: Image.Image = made.images[0]
        return picture


def request(entry: ModelEntry, name: str, number: int, steps: int) -> Imagine:
    """The job of this number, with words of its own."""
    image = mask = None
    if FAMILIES[entry.family].fills:
        image, mask = (Input(sha256, entry.width, entry.height) for sha256 in filled(entry))
    return Imagine(
        job=number,
        model=name,
        prompt=f"{PROMPT}, {number}",
        seed=number,
        steps=steps,
        guidance=entry.guidance,
        sampler=entry.sampler,
        width=entry.width,
        height=entry.height,
        image=image,
        mask=mask,
    )


def paint(requests: Sequence[Imagine], batch: int, store: Store, incoming: Path) -> list[bytes]:
    """As the engine does, up to the files, so many in a pass; returns the pixels of each, in order.

    Raises RuntimeError where one is not painted.
    """
    events: list[Event] = []
    report = Reporter(events.append, Files(incoming))
    entry = store.catalog.models[requests[0].model]
    files = filled(entry) if FAMILIES[entry.family].fills else {}
    for begin in range(0, len(requests), batch):
        group = requests[begin : begin + batch]
        for each in group:
            report.accept(each.job)
            report.begin(each.job)
        with store.lease():
            imagine.run(group, files, store, report)
    report.close()
    if failed := [event for event in events if isinstance(event, Failed)]:
        raise RuntimeError(f"it was not painted: {failed[0].reason}")
    kept = {event.job: event.pictures[0].file for event in events if isinstance(event, Finished)}
    return [_taken(incoming / kept[each.job]) for each in requests]


def filled(entry: ModelEntry) -> dict[str, bytes]:
    """A picture of the model's size and a mask of its middle, by their hashes: for a model that does nothing else."""
    pictures = [images.png(image, {}) for image in _middle(entry.width, entry.height)]
    return {sha256_of(data): data for data in pictures}


def _middle(width: int, height: int) -> tuple[Image.Image, Image.Image]:
    mask = Image.new("L", (width, height))
    mask.paste(255, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    return Image.new("RGB", (width, height), "grey"), mask


def _taken(file: Path) -> bytes:
    data = file.read_bytes()
    file.unlink()
    return data
