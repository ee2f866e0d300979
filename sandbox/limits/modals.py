"""The limits of forms (Discord's modals), with text inputs in action rows or with any field in labels."""

from __future__ import annotations

from sandbox.limits.components import ACTION_ROW, TEXT_DISPLAY, TEXT_INPUT, Identities
from sandbox.limits.forms import Form, Json, Path
from sandbox.limits.selects import SELECTS, check_options, check_select

LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23
_LABELLED = (TEXT_INPUT, *SELECTS, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX)


def check_modal(form: Form, body: Json, path: Path) -> Json:
    """Return `{"title", "custom_id", "components"}` with its components numbered."""
    identities = Identities(form)
    title = form.text(body, "title", path, least=1, most=45, required=True)
    custom_id = form.text(body, "custom_id", path, least=1, most=100, required=True)
    components: list[Json] = []
    for place, part in form.objects(body, "components", path, least=1, most=5, required=True):
        kind = form.choice(part, "type", place, (ACTION_ROW, TEXT_DISPLAY, LABEL), required=True)
        identities.reserve(part, place)
        kept: Json = {"type": kind, "id": part.get("id") or 0}
        if kind == ACTION_ROW:
            inner = form.objects(part, "components", place, least=1, most=1, required=True)
            kept["components"] = [_check_field(form, identities, field, where, (TEXT_INPUT,)) for where, field in inner]
            for where, field in inner:
                form.text(field, "label", where, least=1, most=45, required=True)
        elif kind == TEXT_DISPLAY:
            kept["content"] = form.text(part, "content", place, least=1, most=4000, required=True)
        elif kind == LABEL:
            kept["label"] = form.text(part, "label", place, least=1, most=45, required=True)
            description = form.text(part, "description", place, least=1, most=100)
            if description:
                kept["description"] = description
            field = form.mapping(part, "component", place, required=True) or {}
            if field:
                where = (*place, "component")
                kept["component"] = _check_field(form, identities, field, where, _LABELLED)
        components.append(kept)
    identities.number(components)
    return {"title": title, "custom_id": custom_id, "components": components}


def _check_field(form: Form, identities: Identities, field: Json, path: Path, allowed: tuple[int, ...]) -> Json:
    kind = form.choice(field, "type", path, allowed, required=True)
    identities.reserve(field, path)
    kept: Json = {
        "type": kind,
        "id": field.get("id") or 0,
        "custom_id": identities.custom_id(field, path),
        "required": field.get("required") is None or form.flag(field, "required", path),
    }
    if kind == TEXT_INPUT:
        kept |= _check_text_input(form, field, path)
    elif kind in SELECTS:
        kept |= check_select(form, field, path)
    elif kind == RADIO_GROUP:
        kept["options"] = check_options(form, field, path, least=2, most=10)
    elif kind == CHECKBOX_GROUP:
        kept["options"] = check_options(form, field, path, least=1, most=10)
        kept |= _check_counts(form, field, path, default_most=len(kept["options"]))
    elif kind == FILE_UPLOAD:
        kept |= _check_counts(form, field, path, default_most=1)
    elif kind == CHECKBOX:
        kept["default"] = form.flag(field, "default", path)
    return kept


def _check_text_input(form: Form, field: Json, path: Path) -> Json:
    kept: Json = {"style": form.choice(field, "style", path, (1, 2), required=True)}
    least = form.number(field, "min_length", path, least=0, most=4000)
    most = form.number(field, "max_length", path, least=1, most=4000)
    value = form.text(field, "value", path, most=4000)
    label = form.text(field, "label", path, most=45)
    placeholder = form.text(field, "placeholder", path, most=100)
    if least is not None and most is not None and least > most:
        form.error(
            (*path, "min_length"),
            "TEXT_INPUT_COMPONENT_MIN_LENGTH_TOO_LARGE",
            "The minimum length cannot exceed the maximum length",
        )
    if value and (len(value) > (most or 4000) or len(value) < (least or 0)):
        form.error(
            (*path, "value"),
            "BASE_TYPE_BAD_LENGTH",
            f"Must be between {least or 0} and {most or 4000} in length.",
        )
    named = {
        "min_length": least,
        "max_length": most,
        "value": value,
        "label": label,
        "placeholder": placeholder,
    }
    return kept | {key: found for key, found in named.items() if found is not None}


def _check_counts(form: Form, field: Json, path: Path, *, default_most: int) -> Json:
    least = form.number(field, "min_values", path, least=0, most=10)
    most = form.number(field, "max_values", path, least=1, most=10)
    return {
        "min_values": 1 if least is None else least,
        "max_values": default_most if most is None else most,
    }
