"""What Discord has shown: every card of every job, from the sandbox's own events. What it should have is `judge`'s."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.client.member import buttons_of, media_of, text_of
from sandbox.community.people import EASEL_ID
from sandbox.platform.hub import Hub

Json = dict[str, Any]

_BUTTON = re.compile(r"easel:([a-z]+):(\d+)")
_NUMBER = re.compile(r"^-# #(\d+)\b", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """One message that shows a job, as it is now."""

    job: int
    message: int
    channel: int
    ended: bool
    """Whether it shows an end: what can be deleted is no longer waited for."""
    pictures: int
    text: str


class Witness:
    """Sees what every member can see."""

    def __init__(self, hub: Hub) -> None:
        self.told: set[int] = set()
        """The jobs of which somebody has been told."""
        self.shown: dict[int, Shown] = {}
        """The messages that show a job and have not been deleted."""
        self.answers: dict[int, set[int]] = {}
        """Of each job, the interactions in whose replies it was shown."""
        self.interactions: list[int] = []
        """Every interaction that there was."""
        hub.attach_bot(self._see)

    def of(self, job: int) -> list[Shown]:
        """The messages that show this job now."""
        return [one for one in self.shown.values() if one.job == job]

    def _see(self, event: str, data: Json) -> None:
        match event:
            case "MESSAGE_CREATE" | "MESSAGE_UPDATE" if int(data["author"]["id"]) == EASEL_ID:
                if (card := shown(data)) is not None:
                    self.told.add(card.job)
                    self.shown[card.message] = card
                    if data.get("interaction_metadata"):
                        self.answers.setdefault(card.job, set()).add(int(data["interaction_metadata"]["id"]))
            case "INTERACTION_CREATE":
                self.interactions.append(int(data["id"]))
            case "MESSAGE_DELETE":
                self._gone([data["id"]])
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self._gone([one.message for one in self.shown.values() if one.channel == int(data["id"])])
            case "MESSAGE_DELETE_BULK":
                self._gone(data["ids"])

    def _gone(self, ids: Iterable[str | int]) -> None:
        for message in map(int, ids):
            self.shown.pop(message, None)


def shown(message: Json) -> Shown | None:
    """The card that a message is; None where it shows no job."""
    text = text_of(message)
    named = [_BUTTON.match(str(button.get("custom_id"))) for button in buttons_of(message)]
    found = [match for match in named if match is not None]
    number = int(found[0][2]) if found else next((int(one) for one in _NUMBER.findall(text)), None)
    if number is None:
        return None
    ended = any(match[1] == "delete" for match in found)
    pictures = len(media_of(message)) if ended else 0
    return Shown(number, int(message["id"]), int(message["channel_id"]), ended, pictures, text)
