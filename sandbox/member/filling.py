"""What the Discord client does with a filled form or a used select: checks the values and names their fields."""

from __future__ import annotations

from typing import Any

from sandbox.community.world import Scene
from sandbox.errors import MemberError
from sandbox.limits.commands import CHANNEL, MENTIONABLE, ROLE, USER
from sandbox.limits.components import ACTION_ROW, BUTTON, TEXT_DISPLAY, TEXT_INPUT, walk
from sandbox.limits.modals import CHECKBOX, CHECKBOX_GROUP, FILE_UPLOAD, LABEL, RADIO_GROUP
from sandbox.limits.selects import CHANNEL_SELECT, MENTIONABLE_SELECT, OPTION_SELECT, ROLE_SELECT, USER_SELECT
from sandbox.member.commandbar import resolve

Json = dict[str, Any]
_RESOLVED_AS = {
    USER_SELECT: USER,
    ROLE_SELECT: ROLE,
    MENTIONABLE_SELECT: MENTIONABLE,
    CHANNEL_SELECT: CHANNEL,
}


def use_component(components: list[Json], custom_id: str, values: list[Any] | None, scene: Scene) -> Json:
    """Return the interaction data of a pressed button or used select; raise MemberError where it can't be used."""
    component = next((one for one in walk(components) if one.get("custom_id") == custom_id), None)
    if component is None:
        raise MemberError(f"The message has no component with the custom_id “{custom_id}”.", 404)
    label = component.get("label") or component.get("placeholder") or custom_id
    if component.get("disabled"):
        raise MemberError(f"“{label}” is disabled.")
    data = {"custom_id": custom_id, "component_type": component["type"], "id": component["id"]}
    if component["type"] == BUTTON:
        return data
    resolved: Json = {}
    data["values"] = _chosen(component, values or [], label, scene, resolved)
    return data | ({"resolved": resolved} if resolved or component["type"] != OPTION_SELECT else {})


def forge_component(custom_id: str, kind: int, values: list[Any] | None) -> Json:
    """Return the interaction data of a component that nobody has offered, as a modified client can send it."""
    data: Json = {"custom_id": custom_id, "component_type": kind, "id": 1}
    return data if values is None else data | {"values": values}


def forge_modal(custom_id: str, values: Json) -> Json:
    """Return the interaction data of a form that nobody has opened: a list is a select's, all else a text input's."""
    filled: list[Json] = [
        {"type": OPTION_SELECT, "custom_id": name, "id": 2 * number, "values": value}
        if isinstance(value, list)
        else {"type": TEXT_INPUT, "custom_id": name, "id": 2 * number, "value": str(value)}
        for number, (name, value) in enumerate(values.items(), start=1)
    ]
    labels = [{"type": LABEL, "id": field["id"] - 1, "component": field} for field in filled]
    return {"custom_id": custom_id, "components": labels}


def fill_modal(modal: Json, values: Json, files: dict[str, list[Json]], scene: Scene) -> Json:
    """Return the interaction data of a submitted form; `files` are attachment objects by custom_id."""
    fields = {one["custom_id"] for one in walk(modal["components"]) if "custom_id" in one}
    for name in (*values, *files):
        if name not in fields:
            raise MemberError(f"The form has no field “{name}”.")
    resolved: Json = {}
    filled: list[Json] = []
    for part in modal["components"]:
        answer: Json = {"type": part["type"], "id": part["id"]}
        if part["type"] == ACTION_ROW:
            field = part["components"][0]
            answer["components"] = [_fill(field, field.get("label", ""), values, files, scene, resolved)]
        elif part["type"] != TEXT_DISPLAY:
            answer["component"] = _fill(part["component"], part["label"], values, files, scene, resolved)
        filled.append(answer)
    data = {"custom_id": modal["custom_id"], "components": filled}
    return data | ({"resolved": resolved} if resolved else {})


def _fill(field: Json, label: str, values: Json, files: dict[str, list[Json]], scene: Scene, resolved: Json) -> Json:
    custom_id, kind = field["custom_id"], field["type"]
    answer: Json = {"type": kind, "id": field["id"], "custom_id": custom_id}
    value = values.get(custom_id)
    if kind == TEXT_INPUT:
        return answer | {"value": _text(field, label, value)}
    if kind == CHECKBOX:
        return answer | {"value": bool(field["default"] if value is None else value)}
    if kind == FILE_UPLOAD:
        uploaded = files.get(custom_id, [])
        _check_count(field, len(uploaded), label)
        resolved.setdefault("attachments", {}).update({one["id"]: one for one in uploaded})
        return answer | {"values": [one["id"] for one in uploaded]}
    if kind == RADIO_GROUP:
        chosen = _options(field, [] if value in (None, "") else [value], label)
        if not chosen and field["required"]:
            raise MemberError(f"“{label}” is required.")
        return answer | {"value": chosen[0] if chosen else None}
    if value is None:
        value = [option["value"] for option in field.get("options", ()) if option.get("default")]
    if kind == CHECKBOX_GROUP:
        chosen = _options(field, _list(value), label)
        _check_count(field, len(chosen), label)
        return answer | {"values": chosen}
    return answer | {"values": _chosen(field, _list(value), label, scene, resolved)}


def _text(field: Json, label: str, value: Any) -> str:
    text = str(field.get("value", "") if value is None else value)
    most, least = field.get("max_length", 4000), field.get("min_length", 0)
    if len(text) > most:
        raise MemberError(f"“{label}” may have at most {most} characters; these are {len(text)}.")
    if not text and field["required"]:
        raise MemberError(f"“{label}” is required.")
    if text and len(text) < least:
        raise MemberError(f"“{label}” needs at least {least} characters.")
    return text


def _chosen(select: Json, values: list[Any], label: str, scene: Scene, resolved: Json) -> list[str]:
    _check_count(select, len(values), label)
    if select["type"] == OPTION_SELECT:
        return _options(select, values, label)
    kind, types = _RESOLVED_AS[select["type"]], select.get("channel_types")
    return [resolve(kind, value, label, scene, resolved, types) for value in values]


def _options(field: Json, values: list[Any], label: str) -> list[str]:
    offered = [option["value"] for option in field["options"]]
    for value in values:
        if value not in offered:
            raise MemberError(f"“{label}” offers no “{value}”, only {', '.join(offered)}.")
    return [str(value) for value in values]


def _check_count(field: Json, count: int, label: str) -> None:
    if not count and not field.get("required", True):
        return
    least, most = field["min_values"], field["max_values"]
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise MemberError(f"“{label}” takes {wanted} values, not {count}.")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
