"""Pictures that stand in Discord, brought here: bounded, whatever is said of them, and from nowhere else.

What they hold is for `decoding` to read, in another process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import discord

from bot.errors import MemberError
from bot.pictures import decoding
from bot.pictures.decoding import Upload
from bot.pictures.posted import Posted
from bot.pictures.workers import Workers

log = logging.getLogger(__name__)

MAX_BYTES = 50 * 2**20
FETCH_WITHIN_S = 60.0
PIECE_BYTES = 256 * 2**10


Also = Callable[[Path, Upload, Path], Awaitable[Upload]]
"""Makes more of an upload, as long as there is the file that it was read from, in the folder where it was left."""


async def read(uploads: Workers, picture: Posted, folder: Path, also: Also | None = None) -> Upload:
    """Fetch a picture and read it; it is left in the folder.

    Takes seconds; raises MemberError with what is wrong with it.
    """
    file = await fetch(picture, folder)
    try:
        upload = await uploads.run(decoding.read, file, folder)
        return upload if also is None else await also(file, upload, folder)
    finally:
        file.unlink()


async def fetch(picture: Posted, folder: Path) -> Path:
    """A file in the folder with the bytes of what says it is a picture. Raises MemberError."""
    declared = (picture.content_type or "").partition(";")[0]
    if declared and not declared.startswith("image/"):
        raise MemberError(
            "{name} is no picture: upload a picture as one of {formats}.",
            name=_named(picture),
            formats=tuple(decoding.FORMATS.values()),
        )
    if picture.size_bytes is not None and picture.size_bytes > MAX_BYTES:
        raise MemberError(
            "{name} has {size} MiB and {most} MiB is the most: make it smaller.",
            name=_named(picture),
            size=round(picture.size_bytes / 2**20),
            most=MAX_BYTES // 2**20,
        )
    file = folder / f"{secrets.token_hex(8)}.upload"
    try:
        await _stream(picture, file)
    except (aiohttp.ClientError, TimeoutError) as error:
        if isinstance(error, aiohttp.ClientResponseError) and error.status in (403, 404):
            raise MemberError("{name} is gone from Discord: upload it again.", name=_named(picture)) from error
        raise MemberError(
            "{name} could not be fetched from Discord: try again in a moment.", name=_named(picture)
        ) from error
    except OSError as error:
        log.error("an upload cannot be kept in %s: %s", folder, error.strerror)
        raise MemberError("There is no room for uploads at the moment: try again later.") from error
    return file


async def _stream(picture: Posted, file: Path) -> None:
    """Write what Discord sends, as far as it may be. Whatever it says about its length is not believed."""
    # As it is: what is packed could be a bomb.
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_WITHIN_S),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    )
    async with session, session.get(picture.url, allow_redirects=False) as response:
        if response.status != 200:
            raise aiohttp.ClientResponseError(response.request_info, (), status=response.status)
        written = 0
        with await asyncio.to_thread(open, file, "xb") as sink:
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                written += len(piece)
                if written > MAX_BYTES:
                    raise MemberError(
                        "{name} is larger than it says and {most} MiB is the most: make it smaller.",
                        name=_named(picture),
                        most=MAX_BYTES // 2**20,
                    )
                await asyncio.to_thread(sink.write, piece)


def _named(picture: Posted) -> str:
    return discord.utils.escape_mentions(discord.utils.escape_markdown(picture.name[:80]))
