"""What a server's errors mean: to the member in a reason, to the operator in a line of the log.

Of what a server says, nothing is passed on that may hold its key.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import httpx2
import openai

from inference.catalog.remotes import RemoteEntry
from inference.errors import InvalidInput, TaskError, UnavailableModel, Unsafe
from inference.protocol import logs
from inference.remote.bounds import TooMuch

log = logging.getLogger(__name__)

REFUSED = ("moderation_blocked", "content_policy", "content_filter", "safety", "image_generation_user_error")
"""What codes and kinds of errors have in them by which a server refuses what was asked for, or what it painted."""

SAID_CHARS = 200
"""Of what a server says."""


@dataclass(frozen=True)
class Refusal:
    """How a request ended that came to nothing."""

    error: TaskError
    paid: bool
    """Whether it may have cost something all the same: nobody can tell what became of it."""


def of(error: Exception, entry: RemoteEntry, key: str | None) -> Refusal:
    """What this error means; logs what the operator must know."""
    title, host = entry.title, entry.host
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        where = f"set {entry.key} to one that is valid" if entry.key else "name the variable with its key as `key`"
        log.error("%s takes no request for %s (status %d): %s", host, title, error.status_code, where)
        return Refusal(UnavailableModel("remote_locked", model=title), paid=False)
    if isinstance(error, openai.APIStatusError):
        said = _said(error, key)
        log.warning("%s refused a request for %s (status %d): %s", host, title, error.status_code, said)
        if _is_of_safety(error):
            return Refusal(Unsafe("remote_unsafe", model=title), paid=False)
        if isinstance(error, openai.NotFoundError):
            log.error("%s has no model %s, or no such address: see base_url and model", host, entry.model)
            return Refusal(UnavailableModel("remote_unknown", model=title), paid=False)
        if isinstance(error, openai.RateLimitError):
            return Refusal(TaskError("remote_busy", model=title), paid=False)
        if error.status_code >= 500:
            return Refusal(TaskError("remote_failed", model=title), paid=False)
        return Refusal(InvalidInput("remote_rejected", model=title, said=said), paid=False)
    if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):
        # Nothing of the request has reached the server.
        log.warning("%s cannot be reached: %s", host, _hidden(str(error.__cause__), key))
        return Refusal(TaskError("remote_away", model=title), paid=False)
    if isinstance(error, TimeoutError):
        log.warning("%s did not answer for %s within %g s", host, title, entry.timeout_s)
        return Refusal(TaskError("remote_late", model=title), paid=True)
    if isinstance(error, TooMuch) or isinstance(error.__cause__, TooMuch):
        log.error("%s sent what is too large for a picture of %s", host, title)
        return Refusal(TaskError("remote_broken"), paid=True)
    if isinstance(error, TaskError):
        log.error("%s sent no picture that can be read for %s", host, title)
        return Refusal(error, paid=True)
    if isinstance(error, openai.APIConnectionError):
        log.warning("%s hung up before it had answered for %s", host, title)
        return Refusal(TaskError("remote_lost", model=title), paid=True)
    if isinstance(error, openai.APIError) and _is_of_safety(error):
        # In the middle of a stream there is no status.
        log.warning("%s refused a request for %s", host, title)
        return Refusal(Unsafe("remote_unsafe", model=title), paid=False)
    log.error("%s answered for %s what nobody can read (%s)", host, title, type(error).__name__)
    return Refusal(TaskError("remote_broken"), paid=True)


def _is_of_safety(error: openai.APIError) -> bool:
    told = f"{error.code} {error.type} {getattr(error, 'body', '')}".lower()
    return getattr(error, "status_code", 400) in (400, 403, 422) and any(word in told for word in REFUSED)


def _said(error: openai.APIStatusError, key: str | None) -> str:
    """What a server said of it, in one line."""
    body = error.body
    text = body.get("message") if isinstance(body, dict) else None
    if not isinstance(text, str):
        text = body if isinstance(body, str) else json.dumps(body, default=str)
    return logs.cut(_hidden(" ".join(text.split()), key), SAID_CHARS)


def _hidden(text: str, key: str | None) -> str:
    return text.replace(key, "…") if key else text
