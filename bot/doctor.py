"""`python -m bot doctor`: whether everything is there that Easel needs, one line for each, and what to do where not.

It looks, and changes nothing. How things are done in earnest is known to those who do them: they are asked here.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import discord
import msgspec

from bot import folder, invitation, words
from bot.engine import factory
from bot.errors import EaselError, OperatorError
from bot.keeping import soundness
from bot.pictures.kept import Pictures
from bot.requests import painting
from bot.settings import Settings
from inference.protocol import Failed, Finished

CLOCK_WITHIN_S = 10.0
"""A clock that is further from Discord's lets replies end too soon or too late."""

SERVERS_AT_ONCE = 200
"""So many Discord names in one answer, at most."""

LIST_WITHIN_S, PICTURE_WITHIN_S = 120.0, 600.0
"""How long the models' process may take to say what it has, and to paint from its start on."""


class Finding(NamedTuple):
    """What was looked at, whether it is well, and in words how it is or what to do."""

    what: str
    well: bool
    said: str

    def __str__(self) -> str:
        """One line, whatever somebody else's words in it are."""
        return f"{'ok   ' if self.well else 'WRONG'}  {self.what}: {' '.join(self.said.split())}"


async def examine(read: Settings, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Look at everything in turn, the dear things last."""
    yield _data_folder(read.easel_data)
    yield _disk(read.easel_data)
    yield _database(read.easel_data)
    async for finding in _discord(read):
        yield finding
    if read.cluster is not None:
        yield Finding("models", True, "the engines are in a Ray cluster: `python -m bot cluster` shows them")
        return
    yield await _models(environ)
    yield await _picture(read, environ)


def _data_folder(data: Path) -> Finding:
    there = next(place for place in (data.absolute(), *data.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            return Finding("data folder", True, f"{data} can be written")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding("data folder", False, f"{data} cannot be written ({reason}): set EASEL_DATA to one that can be")


def _disk(data: Path) -> Finding:
    free = folder.free_bytes(data) / 1e9
    if free < folder.ROOM_GB:
        return Finding("disk", False, f"{free:.1f} GB are free for {data}: make room, {folder.ROOM_GB:g} GB or more")
    return Finding("disk", True, f"{free:.1f} GB are free for {data}")


def _database(data: Path) -> Finding:
    try:
        soundness.check(data)
    except OperatorError as error:
        return Finding("database", False, str(error))
    except OSError as error:
        return Finding("database", False, f"{error}: give it to the user that runs Easel")
    there = (data / folder.DATABASE).exists()
    return Finding("database", True, "nothing wrong was found" if there else "none yet: the first start makes it")


async def _discord(read: Settings) -> AsyncIterator[Finding]:
    yield await _clock(read.discord_api_base)
    token = read.discord_token.get_secret_value()
    try:
        application = await invitation.application_of(token, read.discord_api_base)
    except OperatorError as error:
        yield Finding("token", False, str(error))
        return
    yield Finding("token", True, "Discord accepts it; no privileged intent is needed")
    [link, *_] = invitation.links(application, read.easel_member_install)
    try:
        servers = await _servers(token)
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        yield Finding("servers", False, f"Discord does not say which servers there are: {error}")
        return
    if not servers:
        yield Finding("servers", False, f"it is in none: open {link}")
    for server in servers:
        has = discord.Permissions(int(server["permissions"]))
        lacking = [name for name, needed in invitation.PERMISSIONS if needed and not getattr(has, name)]
        if lacking and not has.administrator:
            named = ", ".join(name.replace("_", " ") for name in lacking)
            said = f"lacks the permissions {named}: give them to its role, or open {link} again"
            yield Finding(f"server {server['name']}", False, said)
        else:
            yield Finding(
                f"server {server['name']}", True, "all permissions that it needs, where no channel denies them"
            )


async def _clock(api_base: str) -> Finding:
    """How far this machine's clock is from Discord's."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.get(f"{api_base.rstrip('/')}/gateway") as answer,
        ):
            apart = time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (aiohttp.ClientError, OSError, KeyError, ValueError) as error:
        return Finding("clock", False, f"Discord at {api_base} does not tell the time ({error!r}): is there a network?")
    if abs(apart) > CLOCK_WITHIN_S:
        return Finding("clock", False, f"{apart:+.0f} s from Discord's: let the system keep its time (timedatectl)")
    return Finding("clock", True, f"within {CLOCK_WITHIN_S:g} s of Discord's")


async def _servers(token: str) -> list[Mapping[str, Any]]:
    """Every server that the bot is in, as Discord says. `invitation.application_of` has been asked before."""
    found: list[Mapping[str, Any]] = []
    async with discord.Client(intents=discord.Intents.none()) as client:
        await client.login(token)
        while True:
            after = int(found[-1]["id"]) if found else None
            page = await client.http.get_guilds(SERVERS_AT_ONCE, after=after, with_counts=False)
            found += page
            if len(page) < SERVERS_AT_ONCE:
                return found


async def _models(environ: Mapping[str, str]) -> Finding:
    """Whether what is there of the catalogue's weights is whole, by the process that reads them."""
    command = (sys.executable, "-m", "inference", "models", "list")
    hidden = {name: value for name, value in environ.items() if name != "DISCORD_TOKEN"}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=hidden)
    try:
        async with asyncio.timeout(LIST_WITHIN_S):
            _, errors = await child.communicate()
    except TimeoutError:
        return Finding("models", False, f"`python -m inference models list` says nothing within {LIST_WITHIN_S:g} s")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        said = errors.decode(errors="replace").replace("easel: ", "") or f"exit status {child.returncode}"
        return Finding("models", False, f"{said[-1000:]} (`python -m inference models list` shows them all)")
    return Finding("models", True, "of the weights that are here none is broken")


async def _picture(read: Settings, environ: Mapping[str, str]) -> Finding:
    """Paint one picture as a member would who names nothing, with an engine and a folder of its own."""
    if (read.easel_data / folder.LOCK).exists():
        try:
            with folder.held(read.easel_data):
                pass
        except OperatorError:
            return Finding("picture", True, "not tried: a bot works here, and its cards are its own")
    with tempfile.TemporaryDirectory() as temporary:
        Pictures(Path(temporary)).prepare()
        engine = factory.build(read.model_copy(update={"easel_data": Path(temporary)}), environ)
        try:
            async with asyncio.timeout(PICTURE_WITHIN_S):
                await engine.start()
                request = painting.resolve(painting.Options(prompt="a red house"), engine.ready)
                began = time.monotonic()
                lane = next(lane for lane in engine.lanes if lane.takes(request) and not lane.quick)
                [end] = [event async for event in lane.run([msgspec.structs.replace(request, job=1)]) if _is_end(event)]
        except TimeoutError:
            return Finding("picture", False, f"none within {PICTURE_WITHIN_S:g} s: is the default model too large?")
        except EaselError as error:
            return Finding("picture", False, str(error))
        finally:
            await engine.close()
    if isinstance(end, Failed):
        return Finding("picture", False, f"{request.model} on {engine.ready.device}: {words.why(end.reason)}")
    took = time.monotonic() - began
    return Finding("picture", True, f"{request.model} painted one on {engine.ready.device} in {took:.1f} s")


def _is_end(event: object) -> bool:
    return isinstance(event, Failed | Finished)
