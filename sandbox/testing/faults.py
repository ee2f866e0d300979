"""What a test has asked to go wrong: the state behind `POST /sandbox/faults`. Whoever serves the bot looks here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from sandbox.clock import Clock
from sandbox.errors import MemberError
from sandbox.testing.failures import Failure, planned

Json = dict[str, Any]
Drop = Literal["close", "reconnect", "invalid_session", "silent"]
_MAY_ASK_FOR_PRIVILEGED = 1 << 13 | 1 << 15 | 1 << 19  # presences, members and content, of a bot in few servers
DEFAULT_SIZE_LIMIT = 10 * 1024 * 1024


class Settings(msgspec.Struct, kw_only=True):
    """What keeps its value until it is changed."""

    rate_limits: bool = False
    session_starts: int = 1000
    privileged_intents: bool = False
    direct_messages_closed: list[str] = []
    latency_s: float = 0.0
    attachment_size_limit: int = DEFAULT_SIZE_LIMIT
    attachment_size_announced: int | None = None
    bot_permissions: str | None = None
    outage: bool = False
    refuse_identify: Literal["invalid_session", "close", "silent"] | None = None
    fail_next: Failure | None = None
    failures: list[Failure] = []


class Once(msgspec.Struct, kw_only=True):
    """What is done at once and then over."""

    drop_gateway: Drop | None = None
    forget_sessions: bool = False
    release: bool = False


_FIELDS = {one.name: one.type for kind in (Settings, Once) for one in msgspec.structs.fields(kind)}


@dataclass
class Faults:
    """The settings of the moment, and the requests that hang."""

    settings: Settings = field(default_factory=Settings)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, body: Json) -> Once:
        """Take over the fields of a request, return what is to be done once; for nonsense raise, and change nothing."""
        changed = {name: _read(name, value) for name, value in body.items()}
        once = Once(**{name: changed.pop(name) for name in Once.__struct_fields__ if name in changed})
        self.settings = msgspec.structs.replace(self.settings, **changed)
        if once.release or self.settings.outage:
            self._released.set()
            self._released = asyncio.Event()
        return once

    def take_failure(self, method: str, path: str) -> Failure | None:
        """Return the first failure planned for this request, and count it."""
        listed = [self.settings.fail_next] if self.settings.fail_next else []
        return next((one for one in (*listed, *self.settings.failures) if one.takes(method, path)), None)

    async def hold(self, failure: Failure, clock: Clock) -> None:
        """Return when a failing request has waited as long as its failure says."""
        if failure.delay_s:
            await clock.sleep(failure.delay_s)
        if failure.hang:
            await self._released.wait()

    @property
    def application_flags(self) -> int:
        """What the bot's application says of the privileged intents that it may have."""
        return _MAY_ASK_FOR_PRIVILEGED if self.settings.privileged_intents else 0

    @property
    def announced_size_limit(self) -> int:
        announced = self.settings.attachment_size_announced
        return self.settings.attachment_size_limit if announced is None else announced

    def json(self) -> Json:
        shown: Json = msgspec.to_builtins(self.settings)
        return shown


def _read(name: str, value: object) -> Any:
    if name not in _FIELDS:
        raise MemberError(f"There is no fault “{name}”.")
    if name == "fail_next":
        return None if value is None else planned(value)
    if name == "failures":
        return [planned(one) for one in value] if isinstance(value, list) else [planned(value)]
    try:
        return msgspec.convert(value, _FIELDS[name])
    except msgspec.ValidationError as error:
        raise MemberError(f"The fault {name} can't be {value!r}: {error}.") from error
