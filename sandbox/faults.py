"""What a test has asked to go wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.errors import MemberError

Json = dict[str, Any]
DEFAULT_SIZE_LIMIT = 10 * 1024 * 1024
DROPS = ("close", "reconnect", "invalid_session", "silent")


@dataclass
class PlannedFailure:
    """The next `times` requests like this one fail."""

    method: str
    route: str
    status: int
    times: int = 1
    code: int = 0
    retry_after: float = 0.5

    def matches(self, method: str, path: str) -> bool:
        wanted, given = self.route.strip("/").split("/"), path.strip("/").split("/")
        return (
            self.times > 0
            and self.method.upper() in (method, "*")
            and len(wanted) == len(given)
            and all(part in ("{}", actual) for part, actual in zip(wanted, given, strict=True))
        )


@dataclass
class Faults:
    """The current state of `POST /sandbox/faults`."""

    rate_limits: bool = False
    latency_s: float = 0.0
    attachment_size_limit: int = DEFAULT_SIZE_LIMIT
    attachment_size_announced: int | None = None
    bot_permissions: str | None = None
    fail_next: PlannedFailure | None = None
    _kinds: dict[str, tuple[type, ...]] = field(
        default_factory=lambda: {
            "rate_limits": (bool,),
            "latency_s": (int, float),
            "attachment_size_limit": (int,),
            "attachment_size_announced": (int, type(None)),
            "bot_permissions": (str, type(None)),
        },
        repr=False,
    )

    def change(self, body: Json) -> None:
        """Take over the fields of a request; raise MemberError for one that makes no sense."""
        for key, value in body.items():
            if key == "drop_gateway":
                if value not in DROPS:
                    raise MemberError(f"drop_gateway is one of {', '.join(DROPS)}.")
            elif key == "fail_next":
                self.fail_next = None if value is None else _planned(value)
            elif key not in self._kinds:
                raise MemberError(f"There is no fault “{key}”.")
            elif not isinstance(value, self._kinds[key]):
                raise MemberError(f"The fault {key} can't be {value!r}.")
            else:
                setattr(self, key, value)

    def take_failure(self, method: str, path: str) -> PlannedFailure | None:
        """Return the failure planned for this request, and count it."""
        planned = self.fail_next
        if planned is None or not planned.matches(method, path):
            return None
        planned.times -= 1
        return planned

    @property
    def announced_size_limit(self) -> int:
        if self.attachment_size_announced is None:
            return self.attachment_size_limit
        return self.attachment_size_announced

    def json(self) -> Json:
        return {key: value for key, value in asdict(self).items() if not key.startswith("_")}


def _planned(value: object) -> PlannedFailure:
    try:
        planned = PlannedFailure(**value)  # type: ignore[arg-type]
        planned.status, planned.times, planned.code = int(planned.status), int(planned.times), int(planned.code)
    except (TypeError, ValueError) as error:
        raise MemberError('fail_next is {"method", "route", "status", "times"}.') from error
    return planned
