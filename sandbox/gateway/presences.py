"""What a bot wants to be shown beside its name.

https://discord.com/developers/docs/events/gateway-events#update-presence
"""

from __future__ import annotations

from typing import Any

STATUSES = ("online", "dnd", "idle", "invisible", "offline")
CUSTOM = 4
"""An activity of the bot's own words, which stand in its `state`."""
ACTIVITIES = range(6)
MOST_CHARS = 128


def custom_status(presence: object) -> str:
    """The words of a bot's own in a presence, or none. Raises ValueError where Discord would not take it."""
    if not isinstance(presence, dict) or presence.get("status") not in STATUSES:
        raise ValueError("A presence has a status.")
    # Clients that are older than `activities` call the one that they have `game`.
    game = presence.get("game")
    said = [_words(activity) for activity in presence.get("activities") or ([] if game is None else [game])]
    return next(filter(None, said), "")


def _words(activity: Any) -> str:
    if not isinstance(activity, dict) or activity.get("type") not in ACTIVITIES or not activity.get("name"):
        raise ValueError("An activity has a type and a name.")
    words = str(activity.get("state") or "") if activity["type"] == CUSTOM else ""
    if len(words) > MOST_CHARS:
        raise ValueError(f"A status has at most {MOST_CHARS} characters.")
    return words
