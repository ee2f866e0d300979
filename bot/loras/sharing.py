"""Whether a LoRA may be shared as its owner wants: by the rule of the server, by its words, and by who decides."""

from __future__ import annotations

from collections.abc import Callable

from bot.errors import MemberError
from bot.job import Reply
from bot.loras.kept import NAME_TAKEN, Loras
from bot.loras.lora import MemberLora, ShareState
from bot.policies import minors
from bot.policies.kept import Policies
from bot.policies.problem import MINORS, of_words
from bot.training.states import Share
from bot.words import N_
from inference.protocol import Ready

OFF = N_("In this server nobody shares LoRAs: its moderators have set it so.")
NOWHERE = N_("In direct messages there is nobody to share it with: do that in a server.")

SHARED = N_("It is shared, or is to be: press Only for me first, then rename it.")


class Sharing:
    """What owners and moderators want of LoRAs, as far as it may be."""

    def __init__(self, loras: Loras, policies: Policies, ready: Callable[[], Ready]) -> None:
        self._loras = loras
        self._policies = policies
        self._ready = ready

    async def share(
        self, lora: MemberLora, share: Share, guild_id: int | None, *, moderates: bool = False
    ) -> MemberLora | None:
        """Share it so, at once or once somebody has decided; None where it is gone. `moderates` where its owner may
        decide that themselves. Raises MemberError where it may not be."""
        if (now := self._loras.find(lora.id)) is None:
            return None
        lora = now
        wanted = (share, guild_id if share == "server" else lora.guild_id)
        if wanted == (lora.share, lora.guild_id) and lora.state != "refused":
            # Pressed twice.
            return lora
        if share == "own":
            return await self._loras.share(lora.id, share, "usable", None, lora.member_id)
        if guild_id is None and share == "server":
            raise MemberError(NOWHERE)
        self.require_words(lora.name, lora.trigger, guild_id if share == "server" else None)
        others = [
            one for one in self._loras.all() if one.id != lora.id and one.share != "own" and one.state != "refused"
        ]
        # Of those of the same server, or of all, the database lets only one be called so.
        seen = {one.name for one in others if "all" in (share, one.share)} | {one.name for one in self._ready().loras}
        if lora.name in seen:
            raise MemberError(NAME_TAKEN, lora=lora.name)
        if share == "all":
            # For its operator alone to decide.
            return await self._loras.share(lora.id, share, "pending", None, lora.member_id)
        assert guild_id is not None
        if (barred := self._policies.of(_reply(lora.member_id, guild_id)).barred) is not None:
            raise MemberError.of(barred)
        how = self._policies.of_server(guild_id, "sharing") or "moderators"
        if how == "off":
            raise MemberError(OFF)
        state: ShareState = "usable" if how == "free" or moderates else "pending"
        return await self._loras.share(lora.id, share, state, guild_id, lora.member_id)

    async def rename(self, lora: MemberLora, name: str) -> MemberLora | None:
        """Call it otherwise; None where it is gone. Raises MemberError where it cannot be called so."""
        if lora.share != "own":
            # Who decided about it knew it by its name.
            raise MemberError(SHARED)
        return await self._loras.rename(lora.id, name.strip().lower())

    def require_words(self, name: str, trigger: str, guild_id: int | None) -> None:
        """Raise MemberError where others are not to read what it is called, or its trigger, in this server; or where it
        says what is painted nowhere."""
        texts = [name, *name.replace("-", " ").replace("_", " ").replace(".", " ").split(), trigger]
        if minors.refused([name, trigger], ()):
            raise MemberError(MINORS)
        if (reason := of_words(texts, self._policies.of(_reply(0, guild_id)))) is not None:
            raise MemberError.of(reason)


def _reply(member_id: int, guild_id: int | None) -> Reply:
    """Somebody in a server, for whoever asks what is set there for them."""
    return Reply(member_id, guild_id, 0, None, "", 0.0, 0)
