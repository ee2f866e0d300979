"""Checks the sandbox's log against Discord's own description of its REST API, where that file lies beside the project.

It knows the shapes only. What the description does not say (totals, references, required order) is in `sandbox.limits`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]
DESCRIPTION = Path(__file__).parents[2] / "shared" / "discord" / "openapi.json"
AVAILABLE = DESCRIPTION.is_file()
_URN = "urn:discord"
# discord.py sends these where Discord's description has no such field, and Discord takes no offence.
_TOLERATED = ("tts", "nsfw")


def problems(entries: Iterable[Json]) -> list[str]:
    """Return where requests or answers in `/sandbox/log` break the description; nothing without the file."""
    if not AVAILABLE:
        return []
    checker = _checker()
    return [problem for entry in entries for problem in checker.check(entry)]


class Checker:
    """Discord's description, ready to be asked."""

    def __init__(self, description: Json) -> None:
        self._description = description
        _know_forwards(description)
        _forbid_unknown_fields(description)
        resource = Resource.from_contents(description, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(_URN, resource)
        self._routes = [
            (re.compile("".join(_pattern(part) for part in re.split(r"({[^}]+})", path)) + "$"), path)
            for path in sorted(description["paths"], key=lambda path: path.count("{"))
        ]

    def check(self, entry: Json) -> Iterator[str]:
        """Yield one sentence for each problem of a log entry."""
        title = f"{entry['method']} {entry['path']}"
        template = next((path for pattern, path in self._routes if pattern.match(entry["path"])), None)
        operation = self._description["paths"].get(template, {}).get(entry["method"].lower())
        if template is None or operation is None:
            if entry["status"] not in (None, 404, 405):
                yield f"{title}: Discord has no such route"
            return
        place = ("paths", template, entry["method"].lower())
        content = operation.get("requestBody", {}).get("content", {})
        if entry["request"] is not None and not content:
            yield f"{title}: Discord expects no body"
        elif entry["request"] is not None:
            media_type = "application/json" if "application/json" in content else next(iter(content))
            where = (*place, "requestBody", "content", media_type, "schema")
            for problem in self._mismatches(where, _as_sent_elsewhere(entry["request"])):
                yield f"{title}: request {problem}"
        yield from self._check_response(title, place, operation, entry)

    def _check_response(self, title: str, place: tuple[str, ...], operation: Json, entry: Json) -> Iterator[str]:
        status = entry["status"]
        if status is None or status >= 500:  # None: cut before there was an answer
            return
        if status >= 400:
            name = "RatelimitedResponse" if status == 429 else "ErrorResponse"
            where: tuple[str, ...] = ("components", "schemas", name)
        else:
            described = operation["responses"].get(str(status))
            if described is None:
                yield f"{title}: Discord does not answer {status} here"
                return
            if "content" not in described:
                if entry["response"] is not None:
                    yield f"{title}: Discord answers {status} without a body"
                return
            where = (*place, "responses", str(status), "content", "application/json", "schema")
        for problem in self._mismatches(where, entry["response"]):
            yield f"{title}: response {status} {problem}"

    def _mismatches(self, where: tuple[str, ...], value: Any) -> Iterator[str]:
        pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in where)
        validator = _ByType({"$ref": f"{_URN}#/{pointer}"}, registry=self._registry)
        for error in validator.iter_errors(value):
            deepest = best_match([error])
            path = ".".join(map(str, deepest.absolute_path)) or "body"
            yield f"{path}: {deepest.message[:300]}"


@lru_cache(maxsize=1)
def _checker() -> Checker:
    return Checker(json.loads(DESCRIPTION.read_text()))


def _pattern(part: str) -> str:
    return "[^/]+" if part.startswith("{") else re.escape(part)


def _as_sent_elsewhere(body: Any) -> Any:
    """Return a request with discord.py's harmless peculiarities taken out."""
    body = copy.deepcopy(body)
    for command in body if isinstance(body, list) else [body]:
        if isinstance(command, dict):
            for holder in (command, command.get("data")):
                if isinstance(holder, dict):
                    _smooth(holder)
    return body


def _smooth(holder: Json) -> None:
    for key in _TOLERATED:
        holder.pop(key, None)
    if isinstance(holder.get("recipient_id"), int):
        holder["recipient_id"] = str(holder["recipient_id"])
    for attachment in holder.get("attachments") or ():
        if isinstance(attachment.get("id"), int):
            attachment["id"] = str(attachment["id"])
    mentions = holder.get("allowed_mentions")
    if isinstance(mentions, dict) and mentions.get("users"):
        mentions["users"] = [str(user) for user in mentions["users"]]


def _forbid_unknown_fields(description: Json) -> None:
    """Let misspelt fields in requests show, which the description as it is would allow."""
    for name, schema in description["components"]["schemas"].items():
        if "Request" in name and "properties" in schema and "allOf" not in schema:
            schema.setdefault("additionalProperties", False)


def _know_forwards(description: Json) -> None:
    """Let messages be forwarded, as Discord's documentation says in words: this description has forgotten it."""
    kinds = description["components"]["schemas"]["MessageReferenceType"]["oneOf"]
    kinds.append({"title": "FORWARD", "description": "Reference used to forward a message", "const": 1})


def _by_type(validator: Validator, choices: list[Json], value: Any, schema: Json) -> Iterator[ValidationError]:
    """Check a union: by the choice of the value's own `type` where there is one, so that errors name the field."""
    fitting = [choice for choice in choices if _has_type(validator, choice, value)]
    if len(fitting) == 1:
        yield from validator.descend(value, fitting[0])
        return
    failures: list[ValidationError] = []
    for index, choice in enumerate(choices):
        errors = list(validator.descend(value, choice, schema_path=index))
        if not errors:
            return
        failures += errors
    yield ValidationError(f"{value!r} fits none of the allowed shapes", context=failures)


def _has_type(validator: Validator, choice: Json, value: Any) -> bool:
    if not isinstance(value, dict) or "type" not in value or "$ref" not in choice:
        return False
    resolved = validator._resolver.lookup(choice["$ref"]).contents
    return value["type"] in resolved.get("properties", {}).get("type", {}).get("enum", ())


_ByType = extend(Draft202012Validator, {"oneOf": _by_type, "anyOf": _by_type})
