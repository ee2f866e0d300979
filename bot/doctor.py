"""`python -m bot doctor`: whether everything is there that Easel needs, one line for each, and what to do where not.

It looks, and changes nothing. How things are done in earnest is known to those who do them: they are asked here. Every
start looks at what of it takes no more than a moment (`at_start`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import discord
import msgspec

from bot import folder, invitation, words
from bot.credentials import certificates
from bot.engine import factory
from bot.errors import EaselError, OperatorError
from bot.keeping import soundness
from bot.loras import operating
from bot.pictures.kept import Pictures
from bot.requests import painting
from bot.settings import Settings
from inference.protocol import Failed, Finished

log = logging.getLogger(__name__)

CLOCK_WITHIN_S = 10.0
"""A clock that is further from Discord's lets replies end too soon or too late."""

CERTIFICATE_DAYS = 14
"""So long before the end of the operator's own certificate that is said."""

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
        return f"{'ok   ' if self.well else 'WRONG'}  {self.what}: {self.line}"

    @property
    def line(self) -> str:
        """What is said, in one line, whatever somebody else's words in it are."""
        return " ".join(self.said.split())


async def examine(read: Settings, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Look at everything in turn, the dear things last."""
    yield _data_folder(read.easel_data)
    yield _disk(read.easel_data)
    known = _database(read.easel_data)
    yield known
    if known.well:
        # Which files should be there is said by it alone.
        yield _loras(read.easel_data)
    yield _certificate(read)
    yield _programs(read)
    async for finding in _discord(read):
        yield finding
    if read.cluster is not None:
        yield Finding("models", True, "the engines are in a Ray cluster: `python -m bot cluster` shows them")
        return
    yield await _models(environ)
    yield await _picture(read, environ)


async def at_start(read: Settings, client: discord.Client) -> None:
    """Look at what can be looked at beside a bot that begins to work, once its client is connected, and say in the log
    what is wrong, or that all is well.

    What a start looks at by itself is not repeated: it has checked the database and used the token, and the weights are
    looked at by the engine, which says so.
    """
    await client.wait_until_ready()
    assert client.application_id is not None, "a login tells it"
    [link, *_] = invitation.links(client.application_id, read.easel_member_install)
    found = [
        await asyncio.to_thread(_data_folder, read.easel_data),
        await asyncio.to_thread(_disk, read.easel_data),
        *([_programs(read)] if read.easel_serve is not None else []),
        await _clock(read.discord_api_base),
        *await _permitted(client, link),
    ]
    wrong = [finding for finding in found if not finding.well]
    for finding in wrong:
        log.warning("%s: %s", finding.what, finding.line)
    if not wrong:
        log.info("all is well: database, token, %s", ", ".join(finding.what for finding in found))


def _data_folder(data: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder.nearest(data)):
            return Finding("data folder", True, f"{data} can be written")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Finding("data folder", False, f"{data} cannot be written ({reason}): set EASEL_DATA to one that can be")


def _disk(data: Path) -> Finding:
    try:
        free = folder.free_bytes(data) / 1e9
    except OSError as error:
        return Finding("disk", False, f"how much is free for {data} cannot be told: {error}")
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


def _loras(data: Path) -> Finding:
    """Whether the files of what members have trained are there."""
    try:
        lost = operating.missing(data)
    except OperatorError as error:
        return Finding("LoRAs", False, str(error))
    if lost:
        return Finding("LoRAs", False, f"files of {', '.join(lost)} are gone: bring them back from a backup")
    return Finding("LoRAs", True, "all files of those that members have trained are there")


def _certificate(read: Settings) -> Finding:
    """By whose certificate pictures are signed; nothing is made or renewed here."""
    if not read.easel_c2pa:
        return Finding("certificate", True, "pictures are not signed: EASEL_C2PA=off")
    try:
        found = certificates.look(read)
    except OperatorError as error:
        return Finding("certificate", False, str(error))
    if found is None:
        return Finding("certificate", True, "none yet: the first start makes it")
    until, days = f"{found.ends:%Y-%m-%d}", (found.ends - datetime.now(UTC)).days
    if not found.is_own:
        return Finding("certificate", True, f"made by Easel, which nobody else vouches for, until {until}")
    whose = f"your own, {found.subject}, issued by {found.issuer}, until {until}"
    well = days >= CERTIFICATE_DAYS
    return Finding("certificate", well, whose if well else f"{whose}: renew it, and start the bot anew")


def _programs(read: Settings) -> Finding:
    """Whether keys and pictures go over a network that others can read, by the address that programs are to use."""
    if read.easel_serve is None:
        return Finding("programs", True, "none are served: EASEL_SERVE is not set")
    url = urlsplit(read.served_at or "")
    if url.scheme == "https" or _is_of_this_machine(url.hostname):
        return Finding("programs", True, f"served on {read.easel_serve}, and reached at {read.served_at}/v1")
    return Finding(
        "programs",
        False,
        f"served on {read.easel_serve} and reached at {read.served_at}/v1, where keys and pictures go unencrypted: let"
        " a proxy with TLS stand before it, and set EASEL_SERVE_URL to its address (docs/serving.md)",
    )


def _is_of_this_machine(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


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
    async with discord.Client(intents=discord.Intents.none()) as client:
        for finding in await _permitted(client, link, token):
            yield finding


async def _permitted(client: discord.Client, link: str, token: str | None = None) -> list[Finding]:
    """Whether Easel may do in each of its servers what it needs to, which the link asks for. With a token the client
    logs in first."""
    try:
        if token is not None:
            await client.login(token)
        servers = await _servers(client)
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        return [Finding("servers", False, f"Discord does not say which servers there are: {error}")]
    if not servers:
        return [Finding("servers", False, f"it is in none: open {link}")]
    return [_permitted_in(server, link) for server in servers]


def _permitted_in(server: Mapping[str, Any], link: str) -> Finding:
    what, has = f"server {server['name']}", discord.Permissions(int(server["permissions"]))
    lacking = [name for name, needed in invitation.PERMISSIONS if needed and not getattr(has, name)]
    if not lacking or has.administrator:
        return Finding(what, True, "all permissions that it needs, where no channel denies them")
    named = ", ".join(name.replace("_", " ") for name in lacking)
    return Finding(what, False, f"lacks the permissions {named}: give them to its role, or open {link} again")


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


async def _servers(client: discord.Client) -> list[Mapping[str, Any]]:
    """Every server that the bot is in, as Discord says to a client that is logged in."""
    found: list[Mapping[str, Any]] = []
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
