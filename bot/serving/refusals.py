"""Errors in the shape of OpenAI's API: which status, code and parameter a reason comes to. Sentences are `words`'."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from bot import costs
from bot.errors import MemberError, Starting
from bot.job import Job
from bot.policies import problem
from bot.words import say, why
from inference.protocol import FailureKind, Reason

AGAIN_AFTER_S = 10
"""When to try again, for who found no place in the queue. Clients take no more than 60 for an answer."""

STARTING_S = 5

_PARAMS: Mapping[str, str] = {
    "no_model": "model",
    "no_weights": "model",
    problem.MODEL: "model",
    problem.NO_MODEL: "model",
    "width": "size",
    "height": "size",
    "pixels": "size",
    problem.SIZE: "size",
    "count": "n",
    "policy_count": "n",
    "steps": "steps",
    "policy_steps": "steps",
    "guidance": "guidance",
    "no_guidance": "guidance",
    "seed": "seed",
    "no_sampler": "sampler",
    "strength": "strength",
    "clip_skip": "clip_skip",
    "no_clip_skip": "clip_skip",
    "needs_mask": "mask",
    "mask_size": "mask",
    "references": "image",
    "no_references": "image",
}
"""Which parameter a reason is about."""

_UNKNOWN = frozenset({"no_model", "no_weights"})
_FULL = frozenset({"waiting_of_member", "waiting_of_all", "policy_waiting", "policy_hour", "policy_day"})
_FORBIDDEN = frozenset(
    {
        problem.BARRED_MEMBER,
        problem.BARRED_EVERYWHERE,
        problem.BARRED_SERVER,
        problem.COMMAND,
        problem.MODEL,
        problem.NO_MODEL,
    }
)
_SPENT = frozenset(costs.TOO_MUCH.values())
_PERHAPS_PAID = frozenset(
    {
        *("remote_late", "remote_lost", "remote_twice", "remote_broken", "not_checked"),
        *("set_aside", "engine_broke", "not_encoded", "disk_full", "disk_failed"),
    }
)
"""Of another server's model: clients would ask again by themselves for whatever is no fault of theirs."""

_UNSAFE = frozenset({problem.MINORS, *problem.WORDS.values()})
_OF_FAILURES: Mapping[FailureKind, int] = {"internal": 500, "unavailable_model": 404}


class Refusal(Exception):
    """An answer that is an error; `message` is in the language of the key's member."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
        final: bool = False,
    ) -> None:
        """`final` where clients are not to ask again by themselves."""
        super().__init__(message)
        self.status = status
        kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
        self.error = {"message": message, "type": kind, "param": param, "code": code}
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if final:
            self.headers["X-Should-Retry"] = "false"
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def response(self) -> web.Response:
        """It as an answer."""
        body = msgspec.json.encode({"error": self.error})
        return web.Response(status=self.status, body=body, content_type="application/json", headers=self.headers)


def of_error(error: MemberError) -> Refusal:
    """What refuses what a program asked for."""
    if isinstance(error, Starting):
        return Refusal(503, str(error), code="starting", retry_after_s=STARTING_S)
    return _of(error.reason, 400)


def of_end(job: Job | None) -> Refusal | None:
    """What is wrong with how a job ended; None where it is finished."""
    if job is None or job.state == "cancelled":
        return Refusal(400, say("This job was cancelled."), code="cancelled")
    if job.state == "finished":
        return None
    reason = job.failure or Reason(say("This job failed."), {})
    if job.failure_kind == "unsafe":
        return Refusal(400, why(reason), code="moderation_blocked", param="prompt")
    return _of(reason, _OF_FAILURES.get(job.failure_kind or "internal", 400), job.failure_kind)


def _of(reason: Reason, status: int, code: str | None = None) -> Refusal:
    name, message = reason.name, why(reason)
    param = _PARAMS.get(name)
    if name in _UNKNOWN:
        return Refusal(404, message, code="model_not_found", param=param)
    if name in _FULL:
        return Refusal(429, message, code="rate_limit_exceeded", retry_after_s=AGAIN_AFTER_S)
    if name in _FORBIDDEN:
        return Refusal(403, message, code="not_allowed", param=param)
    if name in _UNSAFE:
        return Refusal(400, message, code="moderation_blocked", param="prompt")
    if name in _SPENT:
        return Refusal(429, message, code="insufficient_quota", final=True)
    return Refusal(status, message, code=code, param=param, final=name in _PERHAPS_PAID)
