"""The server on which the bot is looked at: who is let in, and what a browser may do with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bot.settings import Address, read
from bot.watch import probe, server
from bot.watch.server import is_ours


def free_address() -> Address:
    """An address that nobody has at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Address("127.0.0.1", sock.getsockname()[1])


async def page(_: web.Request) -> web.Response:
    return web.Response(text="well\n")


async def ill(_: web.Request) -> web.Response:
    return web.Response(text="WRONG  disk\n", status=503)


@contextlib.asynccontextmanager
async def served(*routes: web.RouteDef) -> AsyncIterator[Address]:
    address = free_address()
    async with server.serving(address, routes):
        yield address


async def ask(address: Address, method: str = "GET", path: str = "/page", **headers: str) -> aiohttp.ClientResponse:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{address}{path}", headers=headers) as got,
    ):
        await got.read()
        return got


async def test_what_is_shown_is_read_and_nothing_else_is_done() -> None:
    async with served(web.get("/page", page)) as address:
        assert (await ask(address)).status == 200
        assert (await ask(address, "HEAD")).status == 200
        assert (await ask(address, path="/elsewhere")).status == 404
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            for path in ("/page", "/elsewhere"):
                assert (await ask(address, method, path)).status == 405, method


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:1234", 200),
        ("easel:32735", 200),
        ("10.0.0.7:32735", 200),
        ("[::1]:32735", 200),
        ("evil.example", 421),
        ("evil.example.:80", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:32735", 421),
        ("", 421),
        ("[::1", 421),
        ("a:b:c", 421),
        (":32735", 421),
    ],
)
async def test_who_asks_by_a_strangers_name_is_told_nothing(host: str, status: int) -> None:
    async with served(web.get("/page", page)) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(f"GET /page HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
    assert int(answer.split()[1]) == status, answer
    assert ("well" in answer) is (status == 200)


def test_the_operators_own_name_is_ours() -> None:
    assert is_ours("easel.example.org:80", Address("easel.example.org", 32735))
    assert is_ours("Easel.Example.org.", Address("easel.example.org", 32735))
    assert not is_ours("other.example.org", Address("easel.example.org", 32735))


async def test_a_browser_shows_it_to_nobody_elses_page() -> None:
    async with served(web.get("/page", page)) as address:
        for got in (
            await ask(address, Origin="https://evil.example"),
            await ask(address, "OPTIONS", Origin="https://evil.example"),
            await ask(address, path="/elsewhere"),
        ):
            assert not [name for name in got.headers if name.lower().startswith("access-control")]
            assert got.headers["X-Content-Type-Options"] == "nosniff"
            assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert got.headers["X-Frame-Options"] == "DENY"
            assert got.headers["Cache-Control"] == "no-store"
            assert got.headers["Content-Security-Policy"] == "default-src 'self'"


async def test_address_that_is_taken_is_a_line_and_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with served(web.get("/page", page)) as address:
        with caplog.at_level(logging.INFO):
            async with server.serving(address, [web.get("/page", ill)]):
                assert (await ask(address)).status == 200
        [record] = [record for record in caplog.records if record.name == "bot.watch.server"]
        assert record.levelname == "WARNING"
        assert f"EASEL_WATCH: nothing can be looked at on {address}" in record.message
        assert (await ask(address)).status == 200
    for nowhere in (Address("203.0.113.7", 1), Address("no-such-host.invalid", 1)):
        async with server.serving(nowhere, []):
            assert f"nothing can be looked at on {nowhere}" in caplog.text


async def test_it_ends_although_somebody_looks_on() -> None:
    begun = asyncio.Event()

    async def endless(_: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async with served(web.get("/page", endless)) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await begun.wait()
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_nothing_is_served_where_it_is_off() -> None:
    async with server.serving(None, [web.get("/page", page)]):
        pass


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("", Address("127.0.0.1", 32735)),
        ("off", None),
        (" OFF ", None),
        ("9000", Address("127.0.0.1", 9000)),
        ("0.0.0.0:9000", Address("0.0.0.0", 9000)),
        ("[::1]:9000", Address("::1", 9000)),
        ("easel.example.org:80", Address("easel.example.org", 80)),
    ],
)
def test_where_it_is_looked_at_is_the_operators_word(given: str, address: Address | None) -> None:
    assert read({"DISCORD_TOKEN": "t", "EASEL_WATCH": given}).easel_watch == address


async def test_probe_says_what_the_bot_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    async with served(web.get("/healthz", page)) as address:
        assert await asyncio.to_thread(probe.ask, address) == 0
        assert capsys.readouterr().out == "well\n"
    assert probe.ask(address) == 1
    assert f"no bot can be looked at on {address}" in capsys.readouterr().out
    async with served(web.get("/healthz", ill)) as address:
        assert await asyncio.to_thread(probe.ask, address) == 1
        assert capsys.readouterr().out == "WRONG  disk\n"
    assert probe.ask(None) == 1
    assert "EASEL_WATCH is off" in capsys.readouterr().out
