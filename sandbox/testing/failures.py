"""Failures that a test plans for the bot's requests: which requests, how many, and what becomes of them.

Nothing here knows HTTP; `sandbox.rest.serving` does to a request what its failure says.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from sandbox.errors import MemberError

Json = dict[str, Any]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Failure(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of requests like this one: first the waiting (`delay_s`, `hang`), then the end (`cut`, `status`)."""

    method: str = "*"
    route: str | None = None
    after: _Count = 0
    times: _Count | None = 1
    delay_s: _Seconds = 0.0
    hang: bool = False
    cut: Literal["before", "after"] | None = None
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] | None = None
    code: int = 0
    retry_after: _Seconds = 0.5
    for_all: bool = msgspec.field(default=False, name="global")
    seen: _Count = 0

    def takes(self, method: str, path: str) -> bool:
        """Say whether this request fails, and count it."""
        if self.method.upper() not in (method, "*") or not self._names(path):
            return False
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.seen <= self.after + self.times)

    def _names(self, path: str) -> bool:
        if self.route is None:
            return True
        wanted, given = self.route.strip("/").split("/"), path.strip("/").split("/")
        return len(wanted) == len(given) and all(
            part in ("{}", actual) for part, actual in zip(wanted, given, strict=True)
        )


def planned(value: object) -> Failure:
    """Read one failure; raise MemberError where it makes no sense."""
    try:
        failure = msgspec.convert(value, Failure)
    except msgspec.ValidationError as error:
        raise MemberError(f"This is not a failure: {error}.") from error
    if not (failure.status or failure.cut or failure.delay_s or failure.hang):
        raise MemberError("A failure needs a status, cut, delay_s or hang.")
    return failure
