"""Pictures as they stand in Discord: in the options of a command, in messages. What they hold is not known yet.

Only what Discord itself serves counts: whoever posts a link decides what lies behind it, and for whom.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import discord

from bot.errors import MemberError
from inference.protocol import Input

SERVERS = re.compile(r"(cdn\.discordapp\.com|media\.discordapp\.net|images-ext-\d+\.discordapp\.net)")
"""Of Discord's: for uploads, for smaller copies of them, and for copies of what links lead to."""

UPLOADS = ("/attachments/", "/ephemeral-attachments/")
"""What it calls them, and so does a server that stands in for all of it, where the API is beside them."""

SIDE = 512
"""Of a picture of which Discord does not say how large it is."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A picture that Discord serves; None is what it does not say."""

    url: str
    name: str
    content_type: str | None = None
    size_bytes: int | None = None
    width: int | None = None
    height: int | None = None

    @classmethod
    def of(cls, attachment: discord.Attachment) -> Posted:
        """An upload."""
        of = attachment
        return cls(of.url, of.filename, of.content_type, of.size, of.width, of.height)

    @classmethod
    def of_json(cls, attachment: Mapping[str, Any]) -> Posted:
        """An upload as Discord sends it."""
        of = attachment
        return cls(of["url"], of["filename"], of.get("content_type"), of["size"], of.get("width"), of.get("height"))

    @property
    def unread(self) -> Input:
        """What stands for it in a request until it is read."""
        return Input("", self.width or SIDE, self.height or SIDE)


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture that a program sent us itself: a file of ours, of which nobody knows what it holds."""

    file: Path

    @property
    def unread(self) -> Input:
        """What stands for it in a request until it is read."""
        return Input("", SIDE, SIDE)


@dataclass(frozen=True, slots=True)
class Cdn:
    """From where pictures are fetched: Discord's servers, or the one that stands in for all of Discord."""

    api_base: str

    def serves(self, url: str) -> bool:
        """Whether what lies there was put there by Discord."""
        try:
            asked, own = urlsplit(url), urlsplit(self.api_base)
            if asked.username or asked.password:
                return False
            if (asked.scheme, asked.hostname, asked.port) == (own.scheme, own.hostname, own.port):
                return asked.path.startswith(UPLOADS)
            return asked.scheme == "https" and asked.port is None and bool(SERVERS.fullmatch(asked.hostname or ""))
        except ValueError:
            return False

    def pictures_of(self, message: discord.Message) -> list[Posted]:
        """The pictures of a message. Raises MemberError where there are none."""
        found = list(self._pictures(message))
        if not found:
            raise MemberError(
                "This message has no picture that can be read here: upload it; links and stickers are not followed."
            )
        return found

    def _pictures(self, message: discord.Message) -> Iterator[Posted]:
        """In this order: the message's own, those of what it forwards, those that Discord has put beside links."""
        yield from self._own(message.attachments, message.components)
        for snapshot in message.message_snapshots:
            yield from self._own(snapshot.attachments, snapshot.components)
            yield from self._embedded(snapshot.embeds)
        yield from self._embedded(message.embeds)

    def _own(
        self, attachments: Iterable[discord.Attachment], components: Iterable[discord.Component]
    ) -> Iterator[Posted]:
        for attachment in attachments:
            if (attachment.content_type or "").startswith("image/"):
                yield Posted.of(attachment)
        for item in _media(components):
            if (item.content_type or "image/").startswith("image/"):
                yield from self._served(item.url, item.proxy_url, item.content_type, item.width, item.height)

    def _embedded(self, embeds: Iterable[discord.Embed]) -> Iterator[Posted]:
        for embed in embeds:
            for shown in (embed.image, embed.thumbnail):
                yield from self._served(shown.url, shown.proxy_url, None, shown.width, shown.height)

    def _served(
        self, url: str | None, proxy_url: str | None, content_type: str | None, width: int | None, height: int | None
    ) -> Iterator[Posted]:
        """The picture itself, or else Discord's copy of it; nothing where Discord has neither."""
        for address in (url, proxy_url):
            if address and self.serves(address):
                name = unquote(urlsplit(address).path.rpartition("/")[2]) or "picture"
                # Of an unknown size Discord says 0.
                yield Posted(address, name, content_type, None, width or None, height or None)
                return


def _media(components: Iterable[discord.Component]) -> Iterator[discord.UnfurledMediaItem]:
    """What galleries and thumbnails show, however deep they stand."""
    for component in components:
        match component:
            case discord.Container():
                yield from _media(component.children)
            case discord.SectionComponent():
                yield from _media((component.accessory,))
            case discord.ThumbnailComponent():
                yield component.media
            case discord.MediaGalleryComponent():
                yield from (item.media for item in component.items)


class Seen:
    """What messages showed in whose menus a form was opened: Discord tells it then, and not when the form is sent."""

    MOST = 1000

    def __init__(self) -> None:
        self._pictures: OrderedDict[int, Posted] = OrderedDict()

    def remember(self, message_id: int, picture: Posted) -> None:
        """Know from now on what this message shows, and forget what was seen longest ago."""
        self._pictures[message_id] = picture
        self._pictures.move_to_end(message_id)
        if len(self._pictures) > self.MOST:
            self._pictures.popitem(last=False)

    def of(self, message_id: int) -> Posted:
        """What the message showed. Raises MemberError where that is not known any more."""
        if message_id not in self._pictures:
            raise MemberError("This form was opened too long ago: open it again from the picture's menu.")
        return self._pictures[message_id]
