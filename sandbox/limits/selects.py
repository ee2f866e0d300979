"""The limits of select menus, wherever they stand: in a message or in a form."""

from __future__ import annotations

from sandbox.limits.commands import CHANNEL_TYPES
from sandbox.limits.forms import Form, Json, Path

OPTION_SELECT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT = 3, 5, 6, 7, 8
SELECTS = (OPTION_SELECT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT)


def check_select(form: Form, select: Json, path: Path) -> Json:
    """Return a select menu as Discord stores it, but for its type, id and custom_id."""
    least = form.number(select, "min_values", path, least=0, most=25)
    most = form.number(select, "max_values", path, least=1, most=25)
    kept: Json = {"min_values": 1 if least is None else least, "max_values": 1 if most is None else most}
    if kept["min_values"] > kept["max_values"]:
        form.error(
            (*path, "min_values"),
            "SELECT_COMPONENT_MIN_VALUES_TOO_LARGE",
            "The minimum number of values cannot exceed the maximum",
        )
    placeholder = form.text(select, "placeholder", path, most=150)
    if placeholder:
        kept["placeholder"] = placeholder
    if form.flag(select, "disabled", path):
        kept["disabled"] = True
    if select.get("required") is not None:
        kept["required"] = form.flag(select, "required", path)
    if select["type"] == OPTION_SELECT:
        kept["options"] = check_options(form, select, path, least=1, most=25)
        if kept["max_values"] > len(kept["options"]) and not form.failed:
            form.error(
                (*path, "max_values"),
                "SELECT_COMPONENT_MAX_VALUES_TOO_LARGE",
                "The maximum number of values cannot exceed the number of options",
            )
        if sum(option.get("default", False) for option in kept["options"]) > kept["max_values"]:
            form.error(
                (*path, "options"),
                "SELECT_COMPONENT_TOO_MANY_DEFAULTS",
                "More options are selected by default than may be selected",
            )
    else:
        if select["type"] == CHANNEL_SELECT and (
            types := form.choices(select, "channel_types", path, CHANNEL_TYPES, least=0)
        ):
            kept["channel_types"] = types
        if select.get("default_values"):
            kept["default_values"] = select["default_values"]
    return kept


def check_options(form: Form, holder: Json, path: Path, *, least: int, most: int) -> list[Json]:
    """Return the options of a string select, a radio group or a checkbox group."""
    seen: set[str] = set()
    kept: list[Json] = []
    for place, option in form.objects(holder, "options", path, least=least, most=most, required=True):
        label = form.text(option, "label", place, least=1, most=100, required=True)
        value = form.text(option, "value", place, least=1, most=100, required=True)
        description = form.text(option, "description", place, most=100)
        if value is not None and value in seen:
            form.error(
                (*place, "value"),
                "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                "The specified option value is already used",
            )
        seen.add(value or "")
        shown: Json = {"label": label, "value": value}
        if description:
            shown["description"] = description
        if form.flag(option, "default", place):
            shown["default"] = True
        kept.append(shown)
    return kept
