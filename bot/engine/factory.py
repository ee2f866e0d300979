"""Which engine the operator's settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from bot.engine.interface import Engine
from bot.engine.local import LocalEngine
from bot.settings import Settings


def build(settings: Settings, environ: Mapping[str, str]) -> Engine:
    """The engine of EASEL_ENGINE, not started yet; `environ` is what the bot itself was given."""
    match settings.easel_engine:
        case "local":
            return LocalEngine(environ, settings.easel_data, settings.easel_engine_silence_s)
    assert_never(settings.easel_engine)
