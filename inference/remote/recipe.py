"""What made a picture that another server has painted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference.catalog.remotes import RemoteEntry
from inference.catalog.versions import version_of, versions
from inference.protocol import MILLIONTHS, Drawn, Imagine
from inference.recipes import asked


def recipe(
    request: Imagine,
    entry: RemoteEntry,
    drawn: Drawn,
    said: Mapping[str, Any],
    watermark: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All that is known of how pictures were painted from these words by a server that was told this besides: no key,
    and of its address the host alone. `price` is that of one picture."""
    remote = entry.info(request.model).remote
    assert remote is not None, "it is painted elsewhere"
    each = remote.price_of(request.width, request.height, 1)
    nothing: dict[str, Any] = {"refiner": None, "upscaler": None}
    checked = entry.checker is not None and request.safety != "allow"
    return {
        "request": asked(request),
        "model": {"name": request.model, "host": entry.host, "model": entry.model},
        "parameters": dict(said),
        "words": [{"prompt": drawn.prompt, "negative": drawn.negative}],
        "price": {"amount": each / MILLIONTHS, "currency": remote.currency} if remote.currency else None,
        "checker": {"name": entry.checker} if checked else None,
        "watermark": watermark,
        **nothing,
        **{name: [] for name in ("loras", "embeddings", "controls")},
        "versions": {**{name: versions()[name] for name in ("easel", "python")}, "openai": version_of("openai")},
    }
