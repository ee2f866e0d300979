"""How the end-to-end tests ask for pictures and read what comes back."""

from __future__ import annotations

import asyncio
import io
import re

import pytest
from PIL import Image

from bot.pictures import manifests
from sandbox.client.member import Json, Member, Refused, Reply, buttons_of, text_of
from starter.world import Scene

BOATS = Scene("boat", "blue", 2, "large", "sea", seed=5)
"""What the pictures show that members upload."""

QUICK = "steps:4"
"""Few steps, for tests that look at anything but how well the picture is painted."""


def has_button(message: Json, label: str) -> bool:
    """Whether a button of this label stands under the message."""
    return any(button.get("label") == label for button in buttons_of(message))


async def finished(member: Member, reply: Reply) -> Json:
    """The reply's message once its job has ended, well or badly: then it can be deleted."""
    return await member.wait_for(reply.message, lambda message: has_button(message, "Delete"), timeout_s=120)


async def painted(member: Member, reply: Reply) -> tuple[Json, list[bytes]]:
    """The message and the unsigned pictures of a job that ends well."""
    message = await finished(member, reply)
    assert has_button(message, "U1"), text_of(message)
    return message, await unsigned(member, message)


async def unsigned(member: Member, message: Json) -> list[bytes]:
    """The pictures of a message without their manifests, which are others where a picture is made anew."""
    return [manifests.bare(data) for data in await member.pictures(message)]


def picture(data: bytes) -> Image.Image:
    """The picture in these bytes, with its PNG texts in `info`."""
    opened = Image.open(io.BytesIO(data))
    opened.load()
    return opened


def png(image: Image.Image) -> bytes:
    """The picture as a PNG."""
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def is_private(reply: Reply) -> bool:
    """Whether the answer is shown to the member alone."""
    return bool(reply.message["flags"] & 64)


async def said(member: Member, reply: Reply) -> tuple[Json, str]:
    """The message of a job that ends well without having to paint, and its text."""
    message = await finished(member, reply)
    assert not has_button(message, "Try again"), text_of(message)
    return message, text_of(message)


async def refusal(member: Member, reply: Reply) -> str:
    """The sentence, shown to the member alone, with which a command that was acknowledged is refused after all."""
    async with asyncio.timeout(30):
        while True:
            shown = (await member.settled(reply, quiet_s=0.5)).messages
            # First the card says that the picture is read, then for a moment there is no message at all.
            if [message["flags"] & 64 for message in shown] == [64]:
                return text_of(shown[0])
            await asyncio.sleep(0.05)


def number(message: Json) -> int:
    """The job's number, which stands in its card."""
    found = re.search(r"#(\d+)", text_of(message))
    assert found is not None
    return int(found[1])


async def forgotten(member: Member, message: Json) -> None:
    """Delete a job, so that what is asked for again is made again, and not taken from the disk."""
    await member.click(message, "Delete", until="acknowledged")
    await gone(member, message)


async def gone(member: Member, message: Json) -> None:
    """Wait until the message is deleted."""
    with pytest.raises(Refused):
        await member.wait_for(message, lambda _: False)
