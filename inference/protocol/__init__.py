"""The contract between the two halves of Easel, and its bytes.

Requests go from the bot to the inference process, events come back. Every message is a frozen, tagged struct.

This is the only part of `inference` that `bot` imports, so it imports nothing but msgspec.
"""

from __future__ import annotations

from inference.protocol.events import (
    Answer,
    Event,
    Failed,
    FailureKind,
    Finished,
    LabelShare,
    ModelInfo,
    Picture,
    Preview,
    Progress,
    Ready,
    Region,
    ToolInfo,
)
from inference.protocol.frames import (
    MAX_FRAME_BYTES,
    frame_bytes,
    pack,
    unpack_event,
    unpack_message,
)
from inference.protocol.requests import (
    FACTORS,
    MAX_OUTPUT_PIXELS,
    MAX_SEED,
    MAX_TEXT_CHARS,
    TASKS_WITH_TEXT,
    Batch,
    Cancel,
    Classify,
    Describe,
    DescribeTask,
    Imagine,
    Input,
    Message,
    Request,
    Task,
    Upscale,
    Variation,
)

__all__ = [
    "FACTORS",
    "MAX_FRAME_BYTES",
    "MAX_OUTPUT_PIXELS",
    "MAX_SEED",
    "MAX_TEXT_CHARS",
    "TASKS_WITH_TEXT",
    "Answer",
    "Batch",
    "Cancel",
    "Classify",
    "Describe",
    "DescribeTask",
    "Event",
    "Failed",
    "FailureKind",
    "Finished",
    "Imagine",
    "Input",
    "LabelShare",
    "Message",
    "ModelInfo",
    "Picture",
    "Preview",
    "Progress",
    "Ready",
    "Region",
    "Request",
    "Task",
    "ToolInfo",
    "Upscale",
    "Variation",
    "frame_bytes",
    "pack",
    "unpack_event",
    "unpack_message",
]
