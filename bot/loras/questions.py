"""The questions that moderators were asked about LoRAs: in which message each stands, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from bot.database import Database
from bot.loras.lora import MemberLora


@dataclass(frozen=True, slots=True)
class Question:
    """A message in the log channel of a server."""

    lora_id: int
    guild_id: int
    channel_id: int
    message_id: int
    shown: str
    """What it says of the LoRA (`saying`)."""


def saying(lora: MemberLora) -> str:
    """What a question says of a LoRA that may change."""
    return f"{lora.share} {lora.state} {lora.guild_id} {lora.epoch}"


class Questions:
    """The table `lora_question`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[int, Question]:
        """All of them, by their LoRAs; some of those may be gone."""
        rows = await self._database.rows("SELECT * FROM lora_question")
        return {row["lora_id"]: Question(*(row[name] for name in Question.__slots__)) for row in rows}

    async def put(self, question: Question) -> None:
        """Write down that it stands there and says that."""
        values = tuple(getattr(question, name) for name in Question.__slots__)
        await self._database.change("INSERT OR REPLACE INTO lora_question VALUES (?, ?, ?, ?, ?)", values)

    async def forget(self, lora_id: int) -> None:
        """It was taken away."""
        await self._database.change("DELETE FROM lora_question WHERE lora_id = ?", (lora_id,))
