"""The limits of message components, the classic ones and Components V2: https://discord.com/developers/docs/components"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.limits.forms import Form, Json, Path
from sandbox.limits.selects import OPTION_SELECT, SELECTS, check_select

ACTION_ROW, BUTTON, TEXT_INPUT = 1, 2, 4
SECTION, TEXT_DISPLAY, THUMBNAIL, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17

MOST_ROWS = 5
MOST_COMPONENTS = 40
MOST_TEXT = 4000
_LINK, _PREMIUM = 5, 6
_TOP_LEVEL = (ACTION_ROW, SECTION, TEXT_DISPLAY, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER)
_IN_CONTAINER = (ACTION_ROW, SECTION, TEXT_DISPLAY, MEDIA_GALLERY, FILE, SEPARATOR)
# Fields that Discord always answers with, even where the bot sent none.
_DEFAULTS: dict[int, Json] = {
    SEPARATOR: {"spacing": 1, "divider": True},
    CONTAINER: {"accent_color": None, "spoiler": False},
    FILE: {"spoiler": False},
    THUMBNAIL: {"description": None, "spoiler": False},
}


def check_components(form: Form, body: Json, filenames: set[str], *, version_2: bool) -> list[Json]:
    """Return a message's components, numbered. `attachment://` may name `filenames` only."""
    return _Examination(form, filenames).message(body, version_2=version_2)


class Identities:
    """The `custom_id`s and numbers given out in one message or form; both must be unique in it."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._custom_ids: set[str] = set()
        self._numbers: set[int] = set()

    def custom_id(self, component: Json, path: Path, *, required: bool = True) -> str | None:
        value = self._form.text(component, "custom_id", path, least=1, most=100, required=required)
        if value is not None and value in self._custom_ids:
            self._form.error(
                (*path, "custom_id"),
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                "Component custom id cannot be duplicated",
            )
        if value is not None:
            self._custom_ids.add(value)
        return value

    def reserve(self, component: Json, path: Path) -> None:
        """Take note of the number that a bot chose for a component."""
        number = self._form.number(component, "id", path, least=0, most=2**31 - 1)
        if number and number in self._numbers:
            self._form.error((*path, "id"), "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated")
        if number:
            self._numbers.add(int(number))

    def number(self, components: list[Json]) -> None:
        """Number the components that have no number yet, parents before children."""
        upcoming = 1
        for component in walk(components):
            if not component.get("id"):
                while upcoming in self._numbers:
                    upcoming += 1
                self._numbers.add(upcoming)
                component["id"] = upcoming


def walk(components: list[Json]) -> list[Json]:
    """Return the components and everything nested in them, parents before children."""
    found: list[Json] = []
    for component in components:
        found.append(component)
        found += walk(component.get("components") or [])
        for key in ("accessory", "component"):
            if component.get(key):
                found += walk([component[key]])
    return found


class _Examination:
    """One message's components under examination."""

    def __init__(self, form: Form, filenames: set[str]) -> None:
        self._form = form
        self._filenames = filenames
        self._identities = Identities(form)
        self._checks: dict[int, Callable[[Json, Path], Json]] = {
            ACTION_ROW: self._action_row,
            BUTTON: self._button,
            SECTION: self._section,
            TEXT_DISPLAY: self._text_display,
            THUMBNAIL: self._thumbnail,
            MEDIA_GALLERY: self._media_gallery,
            FILE: self._file,
            SEPARATOR: self._separator,
            CONTAINER: self._container,
            **dict.fromkeys(SELECTS, self._select),
        }

    def message(self, body: Json, *, version_2: bool) -> list[Json]:
        most = MOST_COMPONENTS if version_2 else MOST_ROWS
        allowed = _TOP_LEVEL if version_2 else (ACTION_ROW,)
        listed = self._form.objects(body, "components", (), most=most)
        checked = self._several(listed, allowed)
        everything = walk(checked)
        if version_2 and len(everything) > MOST_COMPONENTS:
            self._form.error(
                ("components",),
                "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
                f"The maximum number of components is {MOST_COMPONENTS} ({len(everything)} provided)",
            )
        characters = sum(len(part.get("content") or "") for part in everything)
        if characters > MOST_TEXT:
            self._form.error(
                ("components",),
                "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
                f"The total displayable text may have at most {MOST_TEXT} characters ({characters} provided)",
            )
        self._identities.number(checked)
        return checked

    def _several(self, listed: list[tuple[Path, Json]], allowed: tuple[int, ...]) -> list[Json]:
        return [self._one(part, path, allowed) for path, part in listed]

    def _one(self, part: Json, path: Path, allowed: tuple[int, ...]) -> Json:
        kind = part.get("type")
        if kind not in allowed:
            listed = ", ".join(map(str, allowed)) + ("," if len(allowed) == 1 else "")
            self._form.error(
                (*path, "type"),
                "BASE_TYPE_REQUIRED" if kind is None else "UNION_TYPE_CHOICES",
                "This field is required" if kind is None else f'Value of field "type" must be one of ({listed}).',
            )
            return {"type": 0}
        self._identities.reserve(part, path)
        checked = {"type": kind, "id": part.get("id") or 0, **_DEFAULTS.get(kind, {})}
        return checked | self._checks[kind](part, path)

    def _action_row(self, row: Json, path: Path) -> Json:
        parts = self._form.objects(row, "components", path, least=1, most=5, required=True)
        selects = [part for _, part in parts if part.get("type") in SELECTS]
        if selects and len(parts) > 1:
            self._form.error(
                (*path, "components"),
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified component exceeds the maximum width",
            )
        return {"components": self._several(parts, (BUTTON, *SELECTS))}

    def _button(self, button: Json, path: Path) -> Json:
        form = self._form
        style = form.choice(button, "style", path, range(1, 7), required=True)
        label = form.text(button, "label", path, most=80)
        kept: Json = {"style": style}
        if style == _LINK:
            form.url(button, "url", path, schemes=("http", "https", "discord"), required=True)
        elif style == _PREMIUM:
            form.text(button, "sku_id", path, most=20, required=True)
        if style in (_LINK, _PREMIUM):
            if button.get("custom_id") is not None:
                form.error(path, "BUTTON_COMPONENT_CUSTOM_ID_FORBIDDEN", "A custom id cannot be specified")
        else:
            kept["custom_id"] = self._identities.custom_id(button, path)
            if button.get("url") is not None:
                form.error(path, "BUTTON_COMPONENT_CUSTOM_ID_AND_URL", "A custom id and url cannot both be specified")
        if style != _PREMIUM and not label and not button.get("emoji"):
            form.error(path, "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button needs a label or an emoji")
        if label:
            kept["label"] = label
        if form.flag(button, "disabled", path):
            kept["disabled"] = True
        emoji = check_emoji(form, button, path)
        if emoji:
            kept["emoji"] = emoji
        return kept | {key: button[key] for key in ("url", "sku_id") if button.get(key) is not None}

    def _select(self, select: Json, path: Path) -> Json:
        kept = check_select(self._form, select, path)
        if select["type"] == OPTION_SELECT:
            for (place, option), shown in zip(
                self._form.objects(select, "options", path, most=25), kept["options"], strict=False
            ):
                emoji = check_emoji(self._form, option, place)
                if emoji:
                    shown["emoji"] = emoji
        return {"custom_id": self._identities.custom_id(select, path)} | kept

    def _section(self, section: Json, path: Path) -> Json:
        texts = self._form.objects(section, "components", path, least=1, most=3, required=True)
        kept: Json = {"components": self._several(texts, (TEXT_DISPLAY,))}
        accessory = self._form.mapping(section, "accessory", path, required=True)
        if accessory is not None:
            kept["accessory"] = self._one(accessory, (*path, "accessory"), (BUTTON, THUMBNAIL))
        return kept

    def _text_display(self, display: Json, path: Path) -> Json:
        content = self._form.text(display, "content", path, least=1, most=MOST_TEXT, required=True)
        return {"content": content or ""}

    def _thumbnail(self, thumbnail: Json, path: Path) -> Json:
        return self._picture(thumbnail, path)

    def _media_gallery(self, gallery: Json, path: Path) -> Json:
        items = self._form.objects(gallery, "items", path, least=1, most=10, required=True)
        return {"items": [self._picture(item, place) for place, item in items]}

    def _picture(self, item: Json, path: Path) -> Json:
        media = self._media(item, "media", path, ("http", "https", "attachment"))
        description = self._form.text(item, "description", path, least=1, most=1024)
        return {"media": media, "description": description, "spoiler": self._form.flag(item, "spoiler", path)}

    def _file(self, file: Json, path: Path) -> Json:
        media = self._media(file, "file", path, ("attachment",))
        return {"file": media, "spoiler": self._form.flag(file, "spoiler", path)}

    def _separator(self, separator: Json, path: Path) -> Json:
        spacing = self._form.choice(separator, "spacing", path, (1, 2))
        divider = separator.get("divider") is None or self._form.flag(separator, "divider", path)
        return {"spacing": spacing or 1, "divider": divider}

    def _container(self, container: Json, path: Path) -> Json:
        parts = self._form.objects(container, "components", path, least=1, most=MOST_COMPONENTS, required=True)
        self._form.number(container, "accent_color", path, least=0, most=0xFFFFFF)
        return {
            "accent_color": container.get("accent_color"),
            "spoiler": self._form.flag(container, "spoiler", path),
            "components": self._several(parts, _IN_CONTAINER),
        }

    def _media(self, item: Json, key: str, path: Path, schemes: tuple[str, ...]) -> Json:
        media = self._form.mapping(item, key, path, required=True)
        if media is None:
            return {}
        place = (*path, key)
        self._form.url(media, "url", place, schemes=schemes, required=True)
        url = media.get("url")
        if isinstance(url, str) and url.startswith("attachment://") and url[13:] not in self._filenames:
            self._form.error(
                (*place, "url"),
                "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
                f"The referenced attachment {url} was not found.",
            )
        return {"url": url}


def check_emoji(form: Form, part: Json, path: Path) -> Json | None:
    """Check a button's or an option's emoji: a Unicode one by name, or a custom one by id."""
    emoji = form.mapping(part, "emoji", path)
    if not emoji:
        return None
    name, custom = emoji.get("name"), emoji.get("id")
    drawn = isinstance(name, str) and any(ord(character) > 0x7F for character in name) and len(name) <= 16
    if not custom and not drawn:
        form.error((*path, "emoji", "name"), "COMPONENT_INVALID_EMOJI", "Invalid emoji")
    return {"name": name} | ({"id": str(custom)} if custom else {})
