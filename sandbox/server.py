"""The sandbox as a whole: makes its parts, serves them on one port, and takes them down again."""

from __future__ import annotations

import errno
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from sandbox import cdn
from sandbox.clock import Clock
from sandbox.community.world import World
from sandbox.errors import DiscordError, OperatorError, not_found
from sandbox.gateway.serving import Gateway
from sandbox.member import api
from sandbox.platform.building import Building
from sandbox.platform.command_permissions import CommandPermissions
from sandbox.platform.commands import Commands
from sandbox.platform.hub import Hub
from sandbox.platform.interactions import Interactions
from sandbox.platform.messages import Messages
from sandbox.rest.payload import MOST_BYTES
from sandbox.rest.routes import rest_application
from sandbox.rest.serving import PREFIX, answer
from sandbox.state import STATE, State
from sandbox.storage.attachments import Files
from sandbox.storage.database import Storage
from sandbox.storage.snowflakes import Snowflakes
from sandbox.testing.faults import Faults, Settings
from sandbox.testing.journal import Journal

Json = dict[str, Any]
DEFAULT_TOKEN = "MTEwMDAwMDAwMDAwMDAwMDEwMA.GEasel.opens-nothing-but-a-sandbox-on-this-m"  # in the shape of Discord's
DEFAULT_PORT = 8080
HEARTBEAT_INTERVAL_S = 41.25
_LAST_ANSWERS_WITHIN_S = 0.5  # at the end, for requests that are still waiting for something to happen
_PAGE = Path(__file__).parent / "page"


class Sandbox:
    """Discord on a local port while the `async with` block lasts. Port 0 takes a free one; see `url`."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: Path | None = None,
        token: str = DEFAULT_TOKEN,
        clock: Clock | None = None,
        members: int = 0,
        privileged_intents: bool = False,
        heartbeat_interval_s: float = HEARTBEAT_INTERVAL_S,
    ) -> None:
        """Raise OperatorError where `data` can't be written. Without `data` nothing outlives the block.

        `members` more members than the named ones (`member-1`, `member-2`…) are in the first server. Only with
        `privileged_intents` may a bot ask for those intents.
        """
        self._host = host
        self._port = port
        clock = clock or Clock()
        storage = Storage(data)
        ids = Snowflakes(clock, after=storage.highest_id())
        hub = Hub()
        files = Files(storage, clock)
        faults = Faults(Settings(privileged_intents=privileged_intents))
        world = World(members=members)
        messages = Messages(world, clock, ids, storage, files, hub)
        command_permissions = CommandPermissions(world, storage, hub)
        self.state = State(
            clock=clock,
            world=world,
            building=Building(world, messages, clock, storage, hub),
            ids=ids,
            storage=storage,
            files=files,
            hub=hub,
            messages=messages,
            interactions=Interactions(world, clock, ids, storage, messages, hub),
            commands=Commands(world, command_permissions, ids, storage, hub),
            command_permissions=command_permissions,
            gateway=Gateway(world, clock, hub, token, heartbeat_interval_s, faults, self._direct_messages),
            faults=faults,
            journal=Journal(clock),
            token=token,
        )
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_LAST_ANSWERS_WITHIN_S)

    @property
    def url(self) -> str:
        """The address of the page, without a slash at its end."""
        return self.state.files.origin

    @property
    def api_url(self) -> str:
        return self.url + PREFIX

    @property
    def token(self) -> str:
        return self.state.token

    async def __aenter__(self) -> Self:
        """Start serving; raise OperatorError where the port can't be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._close()
            taken = error.errno == errno.EADDRINUSE
            reason = "is in use by another program" if taken else f"can't be opened ({error.strerror})"
            raise OperatorError(
                f"Port {self._port} on {self._host} {reason}; choose another one with --port."
            ) from error
        port = self._runner.addresses[0][1]
        self.state.files.origin = f"http://{self._host}:{port}"
        self.state.gateway.url = f"ws://{self._host}:{port}/"
        self.state.interactions.load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self.state.interactions.close()
        await self.state.gateway.close()
        await self._runner.cleanup()
        self.state.files.close()
        self.state.storage.close()

    def _direct_messages(self) -> list[Json]:
        """Return the direct message channels that hold messages."""
        channels = map(self.state.world.direct, self.state.world.members)
        return [one.json() for one in channels if self.state.messages.in_channel(one.id)]

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MOST_BYTES)
        application[STATE] = self.state
        application.add_subapp(PREFIX, rest_application(self.state.clock))
        application.router.add_route("*", "/api/{rest:.*}", _refuse_version)
        application.add_subapp("/sandbox", api.application())
        application.router.add_routes(cdn.routes)
        application.router.add_get("/", self._page_or_gateway)
        application.router.add_get("/gateway", self.state.gateway.handle)
        application.router.add_static("/page/", _PAGE)
        return application

    async def _page_or_gateway(self, request: web.Request) -> web.StreamResponse:
        """Serve the gateway to who asks for a WebSocket, the page to browsers."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.state.gateway.handle(request)
        return web.FileResponse(_PAGE / "index.html", headers={"Cache-Control": "no-cache"})


async def _refuse_version(request: web.Request) -> web.Response:
    version = request.match_info["rest"].partition("/")[0]
    if version.startswith("v") and version[1:].isdigit():
        error = DiscordError(400, 50041, "Invalid API version provided.")
        return answer(error.body, error.status)
    return answer(not_found().body, 404)
