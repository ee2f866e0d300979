"""What members ask for becomes a request here: from words and options to what the engine can run."""

from __future__ import annotations

from bot.requests import grids, painting, tools
from inference.protocol import Classify, Compare, Describe, Grid, Imagine, Mask, Ready, Request, Upscale


def require_possible(request: Request, ready: Ready) -> None:
    """Raise MemberError where the engine, as it is now, cannot run this request: models come and go."""
    match request:
        case Imagine():
            painting.check(request, ready)
        case Grid():
            grids.check(request, ready)
        case Upscale() | Describe() | Classify() | Compare() | Mask():
            tools.check(request, ready)
