"""Which pictures of a message are read: those that Discord itself serves, wherever in it they stand."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock, create_autospec

import discord
import pytest

from bot.errors import MemberError
from bot.pictures import posted
from bot.pictures.posted import Cdn, Posted, Seen

CDN = Cdn("https://discord.com/api/v10")
FILE = "https://cdn.discordapp.com/attachments/1/2/"


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.discordapp.com/attachments/1/2/a.png?ex=1",
        "https://media.discordapp.net/attachments/1/2/a.png",
        "https://images-ext-1.discordapp.net/external/x/https/example.org/a.png",
        "https://images-ext-2.discordapp.net/external/x",
    ],
)
def test_discords_own_servers_are_read(url: str) -> None:
    assert CDN.serves(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.discordapp.com/attachments/1/2/a.png",
        "https://cdn.discordapp.com.example.org/a.png",
        "https://example.org/cdn.discordapp.com/a.png",
        "https://cdn.discordapp.com@example.org/a.png",
        "https://cdn.discordapp.com:8443/a.png",
        "https://you@cdn.discordapp.com/a.png",
        "https://evilcdn.discordapp.com/a.png",
        "https://images-ext-x.discordapp.net/a.png",
        "https://example.org/a.png",
        "https://discord.com/api/v10/gateway",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "attachment://a.png",
        "https://[broken",
        "https://discord.com:99999/a.png",
        "",
    ],
)
def test_no_other_link_is_followed(url: str) -> None:
    assert not CDN.serves(url)


def test_server_that_stands_in_for_discord_serves_its_own_pictures() -> None:
    sandbox = Cdn("http://127.0.0.1:8080/api/v10")
    assert sandbox.serves("http://127.0.0.1:8080/attachments/1/2/a.png")
    assert not sandbox.serves("http://127.0.0.1:8080/api/v10/users/@me")
    assert not sandbox.serves("http://127.0.0.1:9090/attachments/1/2/a.png")
    assert not sandbox.serves("http://127.0.0.2:8080/attachments/1/2/a.png")
    assert not CDN.serves("http://127.0.0.1:8080/attachments/1/2/a.png")


def attachment(name: str, content_type: str = "image/png") -> Any:
    values: Any = {"id": "2", "filename": name, "size": 10, "url": FILE + name, "proxy_url": FILE + name}
    values |= {"content_type": content_type, "width": 40, "height": 30}
    return discord.Attachment(data=values, state=MagicMock())


def media(url: str, **more: object) -> Any:
    return {"url": url, "proxy_url": url} | more


def components(*data: Any) -> list[discord.Component]:
    made = [discord.components._component_factory(one) for one in data]
    return [one for one in made if one is not None]


def gallery(*urls: str) -> Any:
    return {"type": 12, "items": [{"media": media(url, width=8, height=9), "spoiler": False} for url in urls]}


def message(**parts: Any) -> Any:
    made = create_autospec(discord.Message, instance=True)
    made.attachments, made.embeds, made.components, made.message_snapshots = [], [], [], []
    for name, value in parts.items():
        setattr(made, name, value)
    return made


def test_pictures_are_looked_for_in_attachments_then_components_then_forwards_then_beside_links() -> None:
    snapshot = create_autospec(discord.MessageSnapshot, instance=True)
    snapshot.attachments, snapshot.embeds = [attachment("forwarded.png")], []
    snapshot.components = components(gallery(FILE + "forwarded-gallery.png"))
    section = {
        "type": 9,
        "components": [{"type": 10, "content": "words"}],
        "accessory": {"type": 11, "media": media(FILE + "thumbnail.png"), "spoiler": False},
    }
    embed = discord.Embed.from_dict({"type": "rich", "image": media(FILE + "embedded.png")})
    said = message(
        attachments=[attachment("words.txt", "text/plain"), attachment("own.png")],
        components=components({"type": 17, "components": [gallery(FILE + "gallery.png"), section]}),
        message_snapshots=[snapshot],
        embeds=[embed],
    )
    assert [picture.name for picture in CDN.pictures_of(said)] == [
        "own.png",
        "gallery.png",
        "thumbnail.png",
        "forwarded.png",
        "forwarded-gallery.png",
        "embedded.png",
    ]
    first, second, *_ = CDN.pictures_of(said)
    assert first == Posted(FILE + "own.png", "own.png", "image/png", 10, 40, 30)
    assert (second.width, second.height) == (8, 9)


def test_of_a_link_discords_copy_is_read_and_never_the_link() -> None:
    proxy = "https://images-ext-1.discordapp.net/external/x/https/example.org/a.png"
    shown = {"url": "https://example.org/a.png", "proxy_url": proxy, "width": 0, "height": 0}
    embed: Any = {"type": "image", "url": shown["url"], "thumbnail": shown}
    [picture] = CDN.pictures_of(message(embeds=[discord.Embed.from_dict(embed)]))
    assert (picture.url, picture.width) == (proxy, None)
    assert (picture.unread.width, picture.unread.sha256) == (posted.SIDE, "")
    del shown["proxy_url"]
    with pytest.raises(MemberError, match="has no picture that can be read"):
        CDN.pictures_of(message(embeds=[discord.Embed.from_dict(embed)]))


def test_films_are_no_pictures() -> None:
    film = {"type": 12, "items": [{"media": media(FILE + "a.mp4", content_type="video/mp4"), "spoiler": False}]}
    said = message(attachments=[attachment("a.mp4", "video/mp4")], components=components(film))
    with pytest.raises(MemberError, match="has no picture that can be read"):
        CDN.pictures_of(said)


def test_only_what_was_seen_lately_is_remembered() -> None:
    seen = Seen()
    for number in range(Seen.MOST + 1):
        seen.remember(number, Posted(f"{FILE}{number}.png", f"{number}.png"))
    assert seen.of(Seen.MOST).name == f"{Seen.MOST}.png"
    with pytest.raises(MemberError, match="opened too long ago"):
        seen.of(0)
