"""Unmodified discord.py, with a real client, against the sandbox."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands

from sandbox.client.member import Member, Reply
from sandbox.server import Sandbox
from tests import openapi
from tests.sandbox.rawbot import GUILD

T = TypeVar("T")


class Form(discord.ui.Modal, title="Edit"):
    prompt: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Prompt", max_length=100)

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(content=f"edited to {self.prompt.value}")


class Buttons(discord.ui.View):
    @discord.ui.button(label="Again", custom_id="again")
    async def again(self, interaction: discord.Interaction, _: discord.ui.Button[Buttons]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(attachments=[discord.File(io.BytesIO(b"second"), "b.png")])

    @discord.ui.button(label="Edit", custom_id="edit")
    async def edit(self, interaction: discord.Interaction, _: discord.ui.Button[Buttons]) -> None:
        await interaction.response.send_modal(Form())


class Layout(discord.ui.LayoutView):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        gallery: discord.ui.MediaGallery[Layout] = discord.ui.MediaGallery()
        gallery.add_item(media="attachment://v2.png")
        self.add_item(discord.ui.Container(discord.ui.TextDisplay("# Version 2"), gallery))


class Painter(discord.Client):
    """A small bot with one of everything."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default(), guild_ready_timeout=0.05, enable_debug_events=True)
        self.tree = app_commands.CommandTree(self)
        self.tree.command(name="paint", description="Paint")(paint)
        self.tree.command(name="layout", description="Show")(layout)
        self.resumed = asyncio.Event()
        self.deletions: asyncio.Queue[discord.RawMessageDeleteEvent] = asyncio.Queue()
        self.answered: list[discord.Interaction] = []
        self.acknowledged = 0  # heartbeats
        self._happened = asyncio.Event()

    async def setup_hook(self) -> None:
        self.add_view(Buttons(timeout=None))
        await self.tree.sync()

    async def on_resumed(self) -> None:
        self.resumed.set()

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.deletions.put_nowait(event)

    async def on_socket_raw_receive(self, frame: str) -> None:
        self.acknowledged += json.loads(frame)["op"] == 11
        self._happened.set()

    async def wait_until(self, condition: Callable[[], T]) -> T:
        """Return what `condition` gives as soon as it is true, looking again after each event."""
        async with asyncio.timeout(10):
            while not (found := condition()):
                self._happened.clear()
                await self._happened.wait()
        return found


async def _models(_: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=f"{current}rter", value="starter")]


@app_commands.autocomplete(model=_models)
async def paint(
    interaction: discord.Interaction,
    prompt: app_commands.Range[str, 1, 100],
    seed: app_commands.Range[int, 0, 2**32] = 0,
    model: str = "",
    picture: discord.Attachment | None = None,
) -> None:
    assert isinstance(interaction.client, Painter)
    interaction.client.answered.append(interaction)
    await interaction.response.defer(thinking=True)
    data = b"first" if picture is None else await picture.read()
    message = await interaction.edit_original_response(
        content=f"{prompt} {seed}{model}",
        embed=discord.Embed(title="Done", colour=discord.Colour.green()).add_field(name="a", value="b"),
        attachments=[discord.File(io.BytesIO(data), "a.png")],
        view=Buttons(timeout=None),
    )
    await interaction.followup.send("only for you", ephemeral=True)
    assert await message.fetch() == message


async def layout(interaction: discord.Interaction) -> None:
    answer = await interaction.response.send_message(view=Layout(), file=discord.File(io.BytesIO(b"v2"), "v2.png"))
    assert isinstance(answer.resource, discord.InteractionMessage)
    assert answer.resource.flags.components_v2


def point(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Let discord.py speak to this sandbox."""
    monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_url)
    gateway = yarl.URL(sandbox.state.gateway.url)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
    monkeypatch.setattr(discord.asset.Asset, "BASE", sandbox.url)


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[Painter]:
    """Yield the bot once it is ready."""
    async with Painter() as client:
        running_client = asyncio.create_task(client.start(sandbox.token))
        async with asyncio.timeout(10):
            while not client.is_ready():
                assert not running_client.done(), running_client
                await asyncio.sleep(0.02)
        yield client
    await running_client


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A sandbox on real time, because discord.py keeps its own."""
    async with Sandbox() as sandbox:
        point(monkeypatch, sandbox)
        yield sandbox


@pytest.fixture
async def painter(running: Sandbox) -> AsyncIterator[Painter]:
    async with connected(running) as client:
        yield client


@pytest.fixture
async def ada(running: Sandbox) -> AsyncIterator[Member]:
    async with Member(running.url) as member:
        yield member


async def test_discord_py_does_all_that_a_bot_needs(painter: Painter, ada: Member) -> None:
    assert await ada.complete("paint", "model", model="sta") == [{"name": "starter", "value": "starter"}]
    reply = await ada.command("/paint prompt:a red house seed:7")
    assert reply.message["content"] == "a red house 7"
    assert await ada.pictures(reply.message) == [b"first"]
    reply = await ada.settled(reply, quiet_s=0.2)
    assert [message["content"] for message in reply.messages] == ["a red house 7", "only for you"]
    given = await ada.command("paint", {"prompt": "x"}, files={"picture": ("in.png", b"given")})
    assert await ada.pictures(given.message) == [b"given"]
    again = await ada.click(reply.message, "Again")
    assert await ada.pictures(again.message) == [b"second"]
    opened = await ada.click(reply.message, "Edit")
    assert opened.modal is not None
    field = opened.modal["components"][0]
    custom_id = (field["component"] if "component" in field else field["components"][0])["custom_id"]
    assert (await ada.submit(opened, {custom_id: "a cat"})).message["content"] == "edited to a cat"
    shown = await ada.command("/layout")
    assert await ada.pictures(shown.message) == [b"v2"]
    assert openapi.problems(await ada.log()) == []


async def test_discord_py_knows_the_server_and_sends_messages(painter: Painter, ada: Member) -> None:
    guild = painter.get_guild(int(GUILD))
    assert guild is not None
    channel = guild.text_channels[0]
    message = await channel.send("hello", file=discord.File(io.BytesIO(b"x"), "x.txt"))
    await message.edit(content="changed")
    assert [found.content async for found in channel.history()] == ["changed"]
    assert channel.permissions_for(guild.me).send_messages
    assert (await guild.fetch_member(1100000000000000101)).display_name == "Ada"
    assert (await guild.me.display_avatar.read()).startswith(b"\x89PNG")
    await message.delete()
    assert (await ada.state())["messages"] == []
    assert openapi.problems(await ada.log()) == []


async def test_discord_py_follows_threads_and_deletions(painter: Painter, ada: Member) -> None:
    studio = painter.get_guild(int(GUILD))
    assert studio is not None
    tips, back_room = sorted(studio.threads, key=lambda thread: thread.id)
    assert (back_room.is_private(), back_room.me is not None, tips.me) == (True, True, None)
    assert (await back_room.fetch_member(1100000000000000101)).id == 1100000000000000101
    with pytest.raises(discord.NotFound) as missing:
        await back_room.fetch_member(1100000000000000103)
    assert missing.value.code == 10007
    opened = await ada.create_channel("corner", type="private_thread", parent="after-dark", members=["Easel"])
    corner = await painter.wait_until(lambda: studio.get_thread(int(opened["id"])))
    assert corner.is_nsfw()
    async with Member(ada._url, "Ada", "corner") as inside:
        reply = await inside.command("/paint prompt:x")
    await ada.delete(await ada.write("one"))
    deleted = await painter.deletions.get()
    assert deleted.guild_id == studio.id
    await ada.delete_channel("after-dark")
    await painter.wait_until(lambda: studio.get_thread(corner.id) is None)
    with pytest.raises(discord.NotFound):
        await corner.fetch_message(int(reply.message["id"]))
    assert openapi.problems(await ada.log()) == []


@pytest.mark.parametrize("how", ["close", "reconnect"])
async def test_discord_py_resumes_after_a_lost_connection(painter: Painter, ada: Member, how: str) -> None:
    await ada.faults(drop_gateway=how)
    waiting = asyncio.create_task(ada.command("/paint prompt:meanwhile"))
    async with asyncio.timeout(10):
        await painter.resumed.wait()
    reply: Reply = await waiting
    assert reply.message["content"] == "meanwhile 0"


async def test_discord_py_waits_out_a_rate_limit(painter: Painter, ada: Member) -> None:
    failure = {"method": "POST", "route": "/channels/{}/messages", "status": 429, "times": 2, "retry_after": 0.05}
    await ada.faults(fail_next=failure)
    guild = painter.get_guild(int(GUILD))
    assert guild is not None
    await guild.text_channels[0].send("at last")
    assert [entry["status"] for entry in (await ada.log())[-3:]] == [429, 429, 200]


async def test_wrong_token_is_refused(running: Sandbox) -> None:
    async with Painter() as client:
        with pytest.raises(discord.LoginFailure):
            await client.start("any")


async def test_heartbeat_is_answered_after_discord_py_has_noted_that_it_sent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = asyncio.run_coroutine_threadsafe

    def run_for_a_slow_thread(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> Future[T]:
        sending = run(work, loop)
        result = sending.result

        def late_result(timeout: float | None = None) -> T:
            value = result(timeout)
            time.sleep(0.02)  # a busy machine wakes the thread no sooner
            return value

        monkeypatch.setattr(sending, "result", late_result)
        return sending

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", run_for_a_slow_thread)
    async with Sandbox(heartbeat_interval_s=1) as sandbox:
        point(monkeypatch, sandbox)
        async with connected(sandbox) as client:
            await client.wait_until(lambda: client.acknowledged > 1)
            assert client.latency < 0.9  # else the answer was taken for one to the heartbeat of a second before


async def test_discord_py_outlives_an_outage_that_forgets_its_session(
    running: Sandbox, painter: Painter, ada: Member
) -> None:
    await ada.faults(outage=True, forget_sessions=True)
    assert not running.state.gateway.online
    await ada.faults(outage=False)
    while not running.state.gateway.online:
        await running.state.hub.change(timeout_s=1)
    assert (await ada.command("/paint prompt:again")).message["content"] == "again 0"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_discord_py_reports_a_cut_answer(painter: Painter, ada: Member, when: str) -> None:
    await ada.faults(failures=[{"method": "POST", "route": "/channels/{}/messages", "cut": when}])
    guild = painter.get_guild(int(GUILD))
    assert guild is not None
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await guild.text_channels[0].send("x")
    assert len((await ada.state())["messages"]) == (when == "after")


async def test_discord_py_writes_direct_messages_with_files_and_components(painter: Painter, ada: Member) -> None:
    user = await painter.fetch_user(1100000000000000101)
    sent = await user.send(view=Layout(), file=discord.File(io.BytesIO(b"direct"), "v2.png"))
    assert await sent.channel.fetch_message(sent.id) == sent
    message = (await ada.state())["messages"][-1]
    assert (message["channel_id"], message["flags"] & 32768) == (str(sent.channel.id), 32768)
    assert await ada.pictures(message) == [b"direct"]
    await ada.faults(direct_messages_closed=["Ada"])
    with pytest.raises(discord.Forbidden) as refused:
        await user.send("x")
    assert refused.value.code == 50007
    assert openapi.problems(await ada.log()) == []


async def test_token_of_an_interaction_expires_when_the_clock_is_moved(painter: Painter, ada: Member) -> None:
    reply = await ada.command("/paint prompt:x")
    answered = painter.answered[-1]
    before = await ada.advance(0)
    assert await ada.advance(900) >= before + 900
    with pytest.raises(discord.HTTPException) as late:
        await answered.edit_original_response(content="late")
    assert (late.value.status, late.value.code) == (401, 50027)
    channel = answered.channel
    assert isinstance(channel, discord.TextChannel)
    await channel.get_partial_message(int(reply.message["id"])).edit(content="through the channel")
    again = await ada.command("/paint prompt:y")
    assert again.message["content"] == "y 0"
