"""The check against Discord's description finds what it is there to find."""

from __future__ import annotations

from typing import Any

import pytest

from tests import openapi
from tests.sandbox.rawbot import PICTURES

pytestmark = pytest.mark.skipif(not openapi.AVAILABLE, reason="Discord's description is not beside this checkout")
ERROR = {"message": "m", "code": 1}


def entry(request: Any, **more: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "path": f"/channels/{PICTURES}/messages",
        "request": request,
        "status": 400,
        "response": ERROR,
    } | more


def test_sound_entry_has_no_problems() -> None:
    assert openapi.problems([entry({"content": "x", "tts": False, "attachments": [{"id": 0}]})]) == []


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (entry({"contents": "x"}), "request body: Additional properties"),
        (
            entry({"components": [{"type": 1, "components": [{"type": 2}]}]}),
            "components.0.components.0: 'style'",
        ),
        (entry({"embeds": [{"title": 3}]}), "request embeds.0.title"),
        (entry({}, response={"message": "m"}), "response 400 body: 'code' is a required property"),
        (entry({}, status=200, response={"id": 1}), "response 200"),
        (entry({}, path="/nowhere"), "no such route"),
        (entry({}, method="DELETE", path=f"/channels/{PICTURES}/messages/1"), "expects no body"),
    ],
)
def test_problems_name_their_place(found: dict[str, Any], problem: str) -> None:
    assert any(problem in sentence for sentence in openapi.problems([found]))
