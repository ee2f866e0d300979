"""Every request to Discord, as seen at the HTTP client: how it was answered, and when the first answer to what a member
did had arrived. Nothing is asked of discord.py but its `http_trace`.
"""

from __future__ import annotations

import re
import time
from typing import Any

import aiohttp

from bot.watch.metrics import Metrics

TOO_MANY = 429
OK = range(200, 300)

CALLBACK = re.compile(r"/interactions/(\d{1,20})/[^/]+/callback")

SCOPE = "X-RateLimit-Scope"
"""Says of what there were too many."""


def trace(metrics: Metrics) -> aiohttp.TraceConfig:
    """What a client is given that counts its requests."""

    async def ended(_: aiohttp.ClientSession, __: Any, request: aiohttp.TraceRequestEndParams) -> None:
        status, headers = request.response.status, request.response.headers
        metrics.requested(request.method, str(status), headers.get(SCOPE, "") if status == TOO_MANY else None)
        if status in OK and (callback := CALLBACK.search(request.url.path)) is not None:
            metrics.answered(int(callback[1]), time.time())

    async def broke(_: aiohttp.ClientSession, __: Any, request: aiohttp.TraceRequestExceptionParams) -> None:
        metrics.requested(request.method, "none")

    config = aiohttp.TraceConfig()
    config.on_request_end.append(ended)
    config.on_request_exception.append(broke)
    return config
