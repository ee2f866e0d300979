"""The rules for application commands: https://discord.com/developers/docs/interactions/application-commands"""

from __future__ import annotations

import unicodedata

from sandbox.errors import DiscordError
from sandbox.limits.forms import Form, Json, Path

CHAT_INPUT, USER_COMMAND, MESSAGE_COMMAND = 1, 2, 3
SUB_COMMAND, SUB_COMMAND_GROUP, STRING, INTEGER, BOOLEAN = 1, 2, 3, 4, 5
USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = 6, 7, 8, 9, 10, 11
_VALUE_OPTIONS = (STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT)
_WITH_CHOICES = (STRING, INTEGER, NUMBER)
_FLAGS = ("nsfw", "dm_permission")
CONTEXTS = (0, 1, 2)
INTEGRATION_TYPES = (0, 1)
CHANNEL_TYPES = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16)
_LOCALES = (
    "ar bg cs da de el en-GB en-US es-419 es-ES fi fr he hi hr hu id it ja ko lt nl no pl pt-BR ro ru sv-SE th tr uk "
    "vi zh-CN zh-TW"
)
LOCALES = frozenset(_LOCALES.split())
MOST_CHARACTERS = 8000
SAFE_INTEGER = 2**53 - 1


def check_commands(listed: list[Json]) -> list[Json]:
    """Return commands as Discord stores them, but for ids; raise Discord's error 50035 for what it refuses."""
    form = Form()
    kept: list[Json] = []
    seen: set[tuple[int, str]] = set()
    for index, command in enumerate(listed):
        checked = _check_command(form, command, (index,))
        key = (checked["type"], str(checked["name"]))
        if key in seen:
            form.error(
                (index, "name"),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            )
        seen.add(key)
        kept.append(checked)
    form.close()
    for kind, most in ((CHAT_INPUT, 100), (USER_COMMAND, 15), (MESSAGE_COMMAND, 15)):
        if sum(command["type"] == kind for command in kept) > most:
            raise DiscordError(400, 30032, f"Maximum number of application commands reached ({most}).")
    return kept


def check_command(command: Json) -> Json:
    """Return one command as Discord stores it; its errors stand at the top of the form."""
    form = Form()
    checked = _check_command(form, command, ())
    form.close()
    return checked


def _check_command(form: Form, command: Json, path: Path) -> Json:
    kind = form.choice(command, "type", path, (CHAT_INPUT, USER_COMMAND, MESSAGE_COMMAND)) or CHAT_INPUT
    kept: Json = {
        "type": kind,
        "name": _check_name(form, command, path, chat_input=kind == CHAT_INPUT),
        "name_localizations": _check_translations(form, command, "name_localizations", path, 32),
        "description": "",
        "description_localizations": _check_translations(form, command, "description_localizations", path, 100),
        "default_member_permissions": None,
        "dm_permission": True,
        "contexts": form.choices(command, "contexts", path, CONTEXTS),
        "integration_types": form.choices(command, "integration_types", path, INTEGRATION_TYPES) or [0],
        "nsfw": False,
    }
    bits = form.number(command, "default_member_permissions", path, least=0)
    if bits is not None:
        kept["default_member_permissions"] = str(bits)
    for key in _FLAGS:
        if command.get(key) is not None:
            kept[key] = form.flag(command, key, path)
    if kind == CHAT_INPUT:
        kept["description"] = form.text(command, "description", path, least=1, most=100, required=True)
        options = _check_options(form, command, path, depth=0)
        if options:
            kept["options"] = options
        if _characters(kept) > MOST_CHARACTERS:
            form.error(
                path,
                "APPLICATION_COMMAND_TOO_LARGE",
                f"Command exceeds maximum size ({MOST_CHARACTERS})",
            )
    else:
        for key in ("description", "options"):
            if command.get(key):
                form.error(
                    (*path, key),
                    "APPLICATION_COMMAND_INVALID_FIELD",
                    f"Context menu commands cannot have {key}",
                )
    return kept


def _check_name(form: Form, holder: Json, path: Path, *, chat_input: bool) -> str:
    name = form.text(holder, "name", path, least=1, most=32, required=True) or ""
    if name and chat_input and not _is_command_name(name):
        form.error((*path, "name"), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    return name


def _is_command_name(name: str) -> bool:
    """Say whether a name is made of lower-case letters, digits, marks of Indic scripts, `-`, `_` and `'`."""
    return name == name.lower() and all(
        character in "-_'" or unicodedata.category(character)[0] in "LNM" for character in name
    )


def _check_translations(form: Form, holder: Json, key: str, path: Path, most: int) -> Json | None:
    translations = form.mapping(holder, key, path)
    for language in translations or {}:
        if language not in LOCALES:
            listed = ", ".join(f"'{one}'" for one in sorted(LOCALES))
            form.error((*path, key, language), "ENUM_TYPE_COERCE", f"Value must be one of ({listed}).")
        form.text(translations or {}, language, (*path, key), least=1, most=most)
    return translations


def _check_options(form: Form, holder: Json, path: Path, *, depth: int) -> list[Json]:
    kept: list[Json] = []
    seen: set[str] = set()
    optional_before = False
    kinds: set[int] = set()
    for place, option in form.objects(holder, "options", path, most=25):
        kind = form.choice(option, "type", place, range(1, 12), required=True)
        if kind is None:
            continue
        kinds.add(kind)
        checked: Json = {
            "type": kind,
            "name": _check_name(form, option, place, chat_input=True),
            "description": form.text(option, "description", place, least=1, most=100, required=True),
        }
        for key, most in (("name_localizations", 32), ("description_localizations", 100)):
            if option.get(key) is not None:
                checked[key] = _check_translations(form, option, key, place, most)
        if checked["name"] in seen:
            form.error(
                (*place, "name"),
                "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS",
                "The name of the option already exists",
            )
        seen.add(checked["name"])
        if kind in (SUB_COMMAND, SUB_COMMAND_GROUP):
            if depth + (kind == SUB_COMMAND_GROUP) > 1:
                form.error(
                    (*place, "type"),
                    "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                    "Sub-command option types are invalid",
                )
            checked["options"] = _check_options(form, option, place, depth=depth + 1)
        else:
            checked |= _check_value_option(form, option, place, kind)
            if checked["required"] and optional_before:
                form.error(
                    place,
                    "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                    "Required options must be placed before non-required options",
                )
            optional_before = optional_before or not checked["required"]
        kept.append(checked)
    if kinds & {SUB_COMMAND, SUB_COMMAND_GROUP} and kinds & set(_VALUE_OPTIONS):
        form.error(
            (*path, "options"),
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
            "Sub-command and sub-command group option types are mutually exclusive to all other types",
        )
    return kept


def _check_value_option(form: Form, option: Json, path: Path, kind: int) -> Json:
    kept: Json = {"required": form.flag(option, "required", path)}
    if form.flag(option, "autocomplete", path):
        kept["autocomplete"] = True
        if kind not in _WITH_CHOICES or option.get("choices"):
            form.error(
                (*path, "autocomplete"),
                "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID",
                "Autocomplete cannot be combined with choices or with this type of option",
            )
    if kind in _WITH_CHOICES:
        choices = check_choices(form, option, path, kind)
        if len({choice["name"] for choice in choices}) < len(choices):
            form.error(
                (*path, "choices"),
                "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_ALREADY_EXISTS",
                "The specified choice name already exists in the option",
            )
        if choices:
            kept["choices"] = choices
    limits = {STRING: (("min_length", 0), ("max_length", 1)), INTEGER: (), NUMBER: ()}.get(kind)
    for key, least in limits or ():
        number = form.number(option, key, path, least=least, most=6000)
        if number is not None:
            kept[key] = number
    if kind in (INTEGER, NUMBER):
        for key in ("min_value", "max_value"):
            number = form.number(option, key, path, least=-SAFE_INTEGER, most=SAFE_INTEGER, whole=kind == INTEGER)
            if number is not None:
                kept[key] = number
    if kind == CHANNEL and (types := form.choices(option, "channel_types", path, CHANNEL_TYPES, least=0)):
        kept["channel_types"] = types
    for low, high in (("min_length", "max_length"), ("min_value", "max_value")):
        if low in kept and high in kept and kept[low] > kept[high]:
            form.error(
                (*path, low),
                "APPLICATION_COMMAND_OPTIONS_RANGE_INVALID",
                "The minimum cannot exceed the maximum",
            )
    return kept


def check_choices(form: Form, holder: Json, path: Path, kind: int = STRING) -> list[Json]:
    """Return the choices of an option, or those that answer an autocompletion."""
    kept: list[Json] = []
    for place, choice in form.objects(holder, "choices", path, most=25):
        name = form.text(choice, "name", place, least=1, most=100, required=True)
        value: object
        if kind == STRING:
            value = form.text(choice, "value", place, most=100, required=True)
        else:
            value = form.number(choice, "value", place, required=True, whole=kind == INTEGER)
        kept.append({"name": name, "value": value})
        if choice.get("name_localizations") is not None:
            kept[-1]["name_localizations"] = _check_translations(form, choice, "name_localizations", place, 100)
    return kept


def _characters(part: Json) -> int:
    """Count what Discord's limit of 8000 characters for a whole command counts."""
    own = len(part.get("name") or "") + len(part.get("description") or "")
    own += sum(len(choice["name"] or "") + len(str(choice["value"])) for choice in part.get("choices", ()))
    return own + sum(_characters(option) for option in part.get("options", ()))
