"""Which engine the operator's settings name."""

from __future__ import annotations

from collections.abc import Mapping

from bot.engine.cluster.engine import ClusterEngine
from bot.engine.interface import Engine
from bot.engine.local import LocalEngine
from bot.settings import Settings


def build(settings: Settings, environ: Mapping[str, str]) -> Engine:
    """The engine of EASEL_ENGINE, not started yet; `environ` is what the bot itself was given."""
    data, silence_s, devices = settings.easel_data, settings.easel_engine_silence_s, settings.easel_device
    if settings.cluster is None:
        return LocalEngine(environ, data, silence_s, devices)
    return ClusterEngine(environ, data, silence_s, address=settings.cluster, device=devices[0])
