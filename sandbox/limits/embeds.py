"""The limits of embeds: https://discord.com/developers/docs/resources/message#embed-object-embed-limits"""

from __future__ import annotations

from datetime import datetime

from sandbox.limits.forms import Form, Json, Path

MOST_EMBEDS = 10
MOST_CHARACTERS = 6000
PICTURES = ("image", "thumbnail")
_PICTURE_SCHEMES = ("http", "https", "attachment")
_LINK_SCHEMES = ("http", "https", "discord")


def check_embeds(form: Form, body: Json, filenames: set[str]) -> list[Json]:
    """Return the embeds of a message without what Discord ignores. `attachment://` may name `filenames` only."""
    total = 0
    kept: list[Json] = []
    for path, embed in form.objects(body, "embeds", (), most=MOST_EMBEDS):
        checked, characters = _check_embed(form, embed, path, filenames)
        kept.append(checked)
        total += characters
    if total > MOST_CHARACTERS:
        form.error(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MOST_CHARACTERS}")
    return kept


def _check_embed(form: Form, embed: Json, path: Path, filenames: set[str]) -> tuple[Json, int]:
    kept: Json = {"type": "rich"}
    characters = 0

    def text(source: Json, target: Json, key: str, place: Path, most: int, *, needed: bool = False) -> None:
        nonlocal characters
        value = form.text(source, key, place, least=int(needed), most=most, required=needed)
        if value and value.strip():
            target[key] = value
            characters += len(value)

    text(embed, kept, "title", path, 256)
    text(embed, kept, "description", path, 4096)
    form.url(embed, "url", path, schemes=_LINK_SCHEMES)
    form.number(embed, "color", path, least=0, most=0xFFFFFF)
    kept |= {key: embed[key] for key in ("url", "color") if embed.get(key) is not None}
    if embed.get("timestamp") is not None:
        kept["timestamp"] = _check_time(form, embed["timestamp"], (*path, "timestamp"))
    for key, name, most in (("author", "name", 256), ("footer", "text", 2048)):
        part = form.mapping(embed, key, path)
        if part is not None:
            place = (*path, key)
            kept[key] = {}
            text(part, kept[key], name, place, most, needed=True)
            if key == "author":
                form.url(part, "url", place, schemes=_LINK_SCHEMES)
            _check_picture(form, part, "icon_url", place, filenames)
            kept[key] |= {other: part[other] for other in ("url", "icon_url") if part.get(other)}
    for key in PICTURES:
        part = form.mapping(embed, key, path)
        if part is not None and part.get("url"):
            _check_picture(form, part, "url", (*path, key), filenames)
            kept[key] = {"url": part["url"]}
    fields: list[Json] = []
    for place, field in form.objects(embed, "fields", path, most=25):
        shown: Json = {"inline": form.flag(field, "inline", place)}
        text(field, shown, "name", place, 256, needed=True)
        text(field, shown, "value", place, 1024, needed=True)
        fields.append({"name": "", "value": ""} | shown)
    if fields:
        kept["fields"] = fields
    return kept, characters


def _check_picture(form: Form, part: Json, key: str, path: Path, filenames: set[str]) -> None:
    form.url(part, key, path, schemes=_PICTURE_SCHEMES)
    url = part.get(key)
    if isinstance(url, str) and url.startswith("attachment://") and url[13:] not in filenames:
        # Discord shows such an embed without its picture. That is never what a bot wants, so it is refused here.
        form.error(
            (*path, key),
            "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
            f"The referenced attachment {url} was not found.",
        )


def _check_time(form: Form, value: object, path: Path) -> str | None:
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        form.error(path, "DATE_TIME_TYPE_PARSE", f"Could not parse {value}. Should be ISO8601.")
        return None
