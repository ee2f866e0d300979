"""When is a bot's answer final? Discord does not say; this rule needs no knowledge of the bot's words."""

from __future__ import annotations

import re

import msgspec

from sandbox.platform.message import Message

QUIET_WITH_PICTURE_S = 1.0
QUIET_EPHEMERAL_S = 3.0
QUIET_OTHERWISE_S = 15.0
_PREVIEW = "preview"
_COUNTDOWN = re.compile(rb"<t:(\d{1,12}):R>")


def unsettled_for(messages: list[Message], now: float, quiet_s: float = QUIET_OTHERWISE_S) -> float | None:
    """Return for how many more seconds the messages must stay unchanged to count as final: 0 or less when they do.

    None means that waiting alone will not do: a promised reply has not been filled, or shows a preview still.
    """
    remaining_s = 0.0
    for message in messages:
        pictures = [one for one in message.attachments if one.content_type.startswith("image/")]
        previews = [one for one in pictures if one.filename.lower().startswith(_PREVIEW)]
        if message.pending or previews:
            return None
        if pictures:
            settled_at = message.changed + min(QUIET_WITH_PICTURE_S, quiet_s)
        elif message.visible_to is not None:
            settled_at = message.changed + min(QUIET_EPHEMERAL_S, quiet_s)
        else:
            settled_at = max(message.changed, _counting_down_to(message)) + quiet_s
        remaining_s = max(remaining_s, settled_at - now)
    return remaining_s


def _counting_down_to(message: Message) -> float:
    """Return the latest moment that the message counts down to (`<t:…:R>`), 0 without one."""
    return max(map(float, _COUNTDOWN.findall(msgspec.json.encode(message))), default=0.0)
