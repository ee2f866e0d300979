"""Pictures that members upload, brought here from Discord: only its attachments are read, never a link.

What they hold is for `decoding` to read, in another process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from pathlib import Path

import aiohttp
import discord

from bot.errors import MemberError
from bot.pictures import decoding
from bot.pictures.decoding import Upload
from bot.pictures.workers import Workers

log = logging.getLogger(__name__)

MAX_BYTES = 50 * 2**20
FETCH_WITHIN_S = 60.0
PIECE_BYTES = 256 * 2**10


def first_picture(message: discord.Message) -> discord.Attachment:
    """The first attachment of a message that says it is a picture. Raises MemberError where there is none."""
    for attachment in message.attachments:
        if (attachment.content_type or "").startswith("image/"):
            return attachment
    raise MemberError("This message has no picture attached: links and stickers are not read.")


async def read(uploads: Workers, attachment: discord.Attachment, folder: Path) -> Upload:
    """Fetch an attachment and read its picture, which is left in the folder.

    Takes seconds; raises MemberError with what is wrong with it.
    """
    file = await fetch(attachment, folder)
    try:
        return await uploads.run(decoding.read, file, folder)
    finally:
        file.unlink()


async def fetch(attachment: discord.Attachment, folder: Path) -> Path:
    """A file in the folder with the bytes of an attachment that says it is a picture. Raises MemberError."""
    declared = (attachment.content_type or "").partition(";")[0]
    if declared and not declared.startswith("image/"):
        raise MemberError(f"{_named(attachment)} is no picture: upload one as {decoding.choices()}.")
    if attachment.size > MAX_BYTES:
        raise MemberError(_too_large(attachment, f"has {attachment.size / 2**20:.0f} MiB"))
    file = folder / f"{secrets.token_hex(8)}.upload"
    try:
        await _stream(attachment, file)
    except (aiohttp.ClientError, TimeoutError) as error:
        if isinstance(error, aiohttp.ClientResponseError) and error.status in (403, 404):
            raise MemberError(f"{_named(attachment)} is gone from Discord: upload it again.") from error
        raise MemberError(f"{_named(attachment)} could not be fetched from Discord: try again in a moment.") from error
    except OSError as error:
        log.error("an upload cannot be kept in %s: %s", folder, error.strerror)
        raise MemberError("There is no room for uploads at the moment: try again later.") from error
    return file


async def _stream(attachment: discord.Attachment, file: Path) -> None:
    """Write what Discord sends, as far as it may be. Whatever it says about its length is not believed."""
    # As it is: what is packed could be a bomb.
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_WITHIN_S),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    )
    async with session, session.get(attachment.url, allow_redirects=False) as response:
        if response.status != 200:
            raise aiohttp.ClientResponseError(response.request_info, (), status=response.status)
        written = 0
        with await asyncio.to_thread(open, file, "xb") as sink:
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                written += len(piece)
                if written > MAX_BYTES:
                    raise MemberError(_too_large(attachment, "is larger than it says"))
                await asyncio.to_thread(sink.write, piece)


def _too_large(attachment: discord.Attachment, how: str) -> str:
    return f"{_named(attachment)} {how} and {MAX_BYTES // 2**20} MiB is the most: make it smaller."


def _named(attachment: discord.Attachment) -> str:
    return discord.utils.escape_mentions(discord.utils.escape_markdown(attachment.filename[:80]))
