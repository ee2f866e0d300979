"""How the operator says on which devices engines run: EASEL_DEVICE, which both halves read."""

from __future__ import annotations

import re

AUTO = "auto"
"""Every card of the machine; the CPU where it has none."""


def devices(text: str) -> tuple[str, ...]:
    """The devices of this list, one engine on each; `auto` is one of itself. Raises ValueError, which says what may
    stand there."""
    named = tuple(name.strip() for name in text.split(",") if name.strip()) or (AUTO,)
    if named != (AUTO,) and not all(re.fullmatch(r"cpu|cuda(:\d+)?", name) for name in named):
        raise ValueError("names no device: set auto, cpu, cuda, or one or several such as cuda:0,cuda:1")
    return named
