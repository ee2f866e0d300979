"""What goes wrong, and for whom.

Exception
├── DiscordError     a bot's request is refused, in Discord's own words and codes
├── MemberError      a member's action is refused, as the Discord client would refuse it
└── OperatorError    the sandbox cannot start: one sentence for the person at the terminal
"""

from __future__ import annotations

from typing import Any


class DiscordError(Exception):
    """A refusal as Discord's REST API answers it."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        errors: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, "code": code} | (extra or {})
        if errors:
            self.body["errors"] = errors


class MemberError(Exception):
    """A refusal as the member API answers it: `{"error": sentence}`."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class OperatorError(Exception):
    """The sandbox cannot do what the command line asks. The message is one sentence."""


_UNKNOWN = {
    "Application": 10002,
    "Channel": 10003,
    "Guild": 10004,
    "Member": 10007,
    "Message": 10008,
    "Role": 10011,
    "User": 10013,
    "Webhook": 10015,
    "Interaction": 10062,
    "application command": 10063,
    "application command permissions": 10066,
}


def unauthorized() -> DiscordError:
    return DiscordError(401, 0, "401: Unauthorized")


def not_found() -> DiscordError:
    return DiscordError(404, 0, "404: Not Found")


def method_not_allowed() -> DiscordError:
    return DiscordError(405, 0, "405: Method Not Allowed")


def unknown(what: str) -> DiscordError:
    """Return Discord's error for an id that names nothing: `what` is one of the keys below."""
    return DiscordError(404, _UNKNOWN[what], f"Unknown {what}")


def already_acknowledged() -> DiscordError:
    return DiscordError(400, 40060, "Interaction has already been acknowledged.")


def invalid_webhook_token() -> DiscordError:
    return DiscordError(401, 50027, "Invalid Webhook Token")


def missing_access() -> DiscordError:
    return DiscordError(403, 50001, "Missing Access")


def missing_permissions() -> DiscordError:
    return DiscordError(403, 50013, "Missing Permissions")


def empty_message() -> DiscordError:
    return DiscordError(400, 50006, "Cannot send an empty message")


def too_large() -> DiscordError:
    return DiscordError(413, 40005, "Request entity too large")


def cannot_message() -> DiscordError:
    return DiscordError(403, 50007, "Cannot send messages to this user")


def planned(status: int, code: int) -> DiscordError:
    """Return the error that a test has asked for, in Discord's words where its code is known here."""
    known = (
        unauthorized(),
        already_acknowledged(),
        invalid_webhook_token(),
        missing_access(),
        missing_permissions(),
        empty_message(),
        too_large(),
        cannot_message(),
        *map(unknown, _UNKNOWN),
    )
    said = next((str(one) for one in known if (one.status, one.body["code"]) == (status, code)), None)
    return DiscordError(status, code, said or f"{status}: as asked for by a planned failure")


def too_many_requests(retry_after_s: float, *, for_all: bool = False) -> DiscordError:
    extra = {"retry_after": round(retry_after_s, 3), "global": for_all}
    return DiscordError(429, 0, "You are being rate limited.", extra=extra)


def invalid_json() -> DiscordError:
    return DiscordError(400, 50109, "The request body contains invalid JSON.")
