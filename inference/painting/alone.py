"""Painting for nobody: what a model makes of words by itself, for who measures it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inference.catalog.entries import ModelEntry
from inference.families import FAMILIES
from inference.models.store import Store
from inference.painting import session
from inference.painting.callbacks import Alone
from inference.painting.session import Failure, Painting
from inference.protocol import Imagine


def paints_from_words(entry: ModelEntry) -> bool:
    """Whether a model of this entry paints without a picture."""
    family = FAMILIES[entry.family]
    return not (family.fills or (family.references is not None and family.references.without is not None))


def request(name: str, entry: ModelEntry, job: int, prompt: str, seed: int) -> Imagine:
    """One picture at the model's own size and settings."""
    return Imagine(
        job=job,
        model=name,
        prompt=prompt,
        seed=seed,
        steps=entry.steps,
        guidance=entry.guidance,
        sampler=entry.sampler,
        width=entry.width,
        height=entry.height,
    )


def paint(requests: Sequence[Imagine], store: Store) -> Iterator[Painting]:
    """The pictures of requests of one pass key. Call it within a lease.

    Raises TaskError where one of them cannot be painted, and as `store` does.
    """
    for made in session.paint(requests, {}, store, Alone()):
        if isinstance(made, Failure):
            raise made.error
        yield made
    store.device.settle()
