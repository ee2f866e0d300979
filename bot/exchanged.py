"""Whether a picture goes on from the seed of one that other weights painted: the seed cannot give that one again."""

from __future__ import annotations

from typing import Any

import msgspec

from bot.jobs import Jobs
from inference.protocol import Finished, Imagine, Request, because


async def told(jobs: Jobs, made: Finished, request: Request) -> Finished:
    """What was made, with a note of the weights that its model had when the picture was painted that it comes from,
    where those were others and the seed is the same."""
    if not isinstance(request, Imagine):
        return made
    for before in await jobs.all_of((await jobs.finding.ancestors(made.job))[:1]):
        asked = before.request
        if isinstance(asked, Imagine) and (asked.model, asked.seed) == (request.model, request.seed):
            then, now = _weights(await jobs.recipe(before.id)), _weights(made.recipe)
            if then is not None and now is not None and then != now:
                note = because("other_weights", weights=then)
                return msgspec.structs.replace(
                    made, answer=msgspec.structs.replace(made.answer, notes=(*made.answer.notes, note))
                )
    return made


def _weights(recipe: dict[str, Any] | None) -> str | None:
    """What a recipe calls the weights of its model, if it knows."""
    model = (recipe or {}).get("model")
    return model.get("hash") if isinstance(model, dict) else None
