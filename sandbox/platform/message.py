"""One message: what is kept of it. What can happen to it is in `sandbox.platform.messages`."""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox.limits.messages import Flag
from sandbox.storage.attachments import Attachment

Json = dict[str, Any]
DEFAULT, REPLY, CHAT_INPUT_COMMAND, CONTEXT_MENU_COMMAND = 0, 19, 20, 23  # message types


class Message(msgspec.Struct, kw_only=True):
    """A message as it is kept. Its `revision` grows with every change of any message."""

    id: int
    channel_id: int
    author_id: int
    created: float
    type: int = DEFAULT
    content: str = ""
    embeds: list[Json] = []
    components: list[Json] = []
    attachments: list[Attachment] = []
    flags: int = 0
    edited: float | None = None
    reference_id: int | None = None
    nonce: str | None = None
    interaction_id: int | None = None
    interaction_metadata: Json | None = None
    visible_to: int | None = None
    revision: int = 0
    changed: float = 0.0
    snapshot: Message | None = None  # what it forwards, as that was then; with copies of its files

    @property
    def pending(self) -> bool:
        return bool(self.flags & Flag.LOADING)

    @property
    def version_2(self) -> bool:
        return bool(self.flags & Flag.COMPONENTS_V2)

    @property
    def empty(self) -> bool:
        if self.version_2:
            return not self.components
        return not (self.content.strip() or self.embeds or self.attachments or self.components or self.snapshot)

    def all_attachments(self) -> list[Attachment]:
        """Return its files, and those of what it forwards."""
        return [*self.attachments, *(self.snapshot.all_attachments() if self.snapshot else ())]

    def files(self) -> dict[int, str]:
        """Return the names of its files by id."""
        return {attachment.id: attachment.filename for attachment in self.attachments}
