"""The rule for what another server paints, beside that for whatever is painted: what it cannot be asked for."""

from __future__ import annotations

from collections.abc import Iterator

from inference.protocol.events import ModelInfo
from inference.protocol.pictures import Imagine
from inference.protocol.reasons import Reason, because
from inference.protocol.remote import Remote


def of_remote(request: Imagine, model: ModelInfo, remote: Remote) -> Iterator[Reason]:
    """Why this server cannot paint it. Nothing that a member asked for is left out in silence."""
    if request.steps > 1:
        yield because("no_steps", model=model.title)
    if request.hires is not None:
        yield because("no_hires", model=model.title)
    if request.variations:
        yield because("no_variations", model=model.title)
    if (request.image is not None or request.references) and not remote.edits:
        yield because("no_edits", model=model.title)
    if request.image is not None and (request.mask is None or request.strength != 1):
        yield because("no_start", model=model.title)
    if request.count > remote.most:
        yield because("remote_count", model=model.title, count=request.count, most=remote.most)
