"""Pictures and files inside embeds and components: `attachment://name` comes in, full media objects go out.

In between, a stored message names its files by id alone, because their addresses expire.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.limits.components import FILE, walk
from sandbox.storage.attachments import Attachment, Files, attachment_id_in

Json = dict[str, Any]
_BY_ID = "attachment-id:"


def bind(
    embeds: list[Json], components: list[Json], named: dict[str, Attachment], known: dict[int, Attachment]
) -> None:
    """Replace, in place, every address of a file that is kept here by the file's id."""

    def bound(url: str) -> str:
        if url.startswith("attachment://"):
            return f"{_BY_ID}{named[url[13:]].id}"
        attachment_id = attachment_id_in(url)
        return f"{_BY_ID}{attachment_id}" if attachment_id in known else url

    for holder, key in _addresses(embeds, components):
        holder[key] = bound(holder[key])


def ids_in(embeds: list[Json], components: list[Json]) -> set[int]:
    """Return the ids of the files that stored embeds and components show."""
    urls = (holder[key] for holder, key in _addresses(embeds, components))
    return {int(url.removeprefix(_BY_ID)) for url in urls if url.startswith(_BY_ID)}


def moved(embeds: list[Json], components: list[Json], ids: dict[int, int]) -> tuple[list[Json], list[Json]]:
    """Return stored embeds and components that show other files, by the ids of those that they show."""
    embeds, components = copy.deepcopy(embeds), copy.deepcopy(components)
    for holder, key in _addresses(embeds, components):
        if holder[key].startswith(_BY_ID):
            holder[key] = f"{_BY_ID}{ids[int(holder[key].removeprefix(_BY_ID))]}"
    return embeds, components


def show(
    embeds: list[Json], components: list[Json], files: Files, known: dict[int, Attachment]
) -> tuple[list[Json], list[Json]]:
    """Return stored embeds and components as Discord shows them, with addresses that work now."""
    embeds, components = copy.deepcopy(embeds), copy.deepcopy(components)

    def found(url: str) -> Attachment | None:
        return known.get(int(url.removeprefix(_BY_ID))) if url.startswith(_BY_ID) else None

    for embed in embeds:
        for part in ("author", "footer"):
            if "icon_url" in embed.get(part, {}):
                icon = found(embed[part]["icon_url"])
                url = files.url(icon) if icon else embed[part]["icon_url"]
                embed[part] |= {"icon_url": url, "proxy_icon_url": url}
        for part in ("image", "thumbnail"):
            if part in embed:
                embed[part] = _embedded(embed[part]["url"], files, found)
    for component in walk(components):
        if component["type"] == FILE:
            attachment = found(component["file"]["url"])
            component["name"] = attachment.filename if attachment else "unknown"
            component["size"] = attachment.size if attachment else 0
        for holder, key in _media_holders(component):
            url = holder[key]["url"]
            attachment = found(url)
            holder[key] = files.media_json(attachment) if attachment else _foreign(url)
    return embeds, components


def _embedded(url: str, files: Files, found: Callable[[str], Attachment | None]) -> Json:
    attachment = found(url)
    if attachment is None:
        return {"url": url, "proxy_url": url}
    shown = files.media_json(attachment, reference=False)
    return shown | {"content_type": attachment.content_type}


def _foreign(url: str) -> Json:
    address = "" if url.startswith(_BY_ID) else url  # the file has been deleted since
    return {"id": "0", "url": address, "proxy_url": address}


def _addresses(embeds: list[Json], components: list[Json]) -> Iterator[tuple[Json, str]]:
    for embed in embeds:
        for part, key in (("author", "icon_url"), ("footer", "icon_url"), ("image", "url"), ("thumbnail", "url")):
            if embed.get(part, {}).get(key):
                yield embed[part], key
    for component in walk(components):
        for holder, key in _media_holders(component):
            yield holder[key], "url"


def _media_holders(component: Json) -> Iterator[tuple[Json, str]]:
    for item in component.get("items") or []:
        yield item, "media"
    for key in ("media", "file"):
        if key in component:
            yield component, key
