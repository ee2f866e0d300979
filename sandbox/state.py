"""Everything that the request handlers share. Made once, in `sandbox.server`."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from sandbox.clock import Clock
from sandbox.community.people import EASEL
from sandbox.community.places import Channel
from sandbox.community.world import World
from sandbox.gateway.serving import Gateway
from sandbox.platform.building import Building
from sandbox.platform.command_permissions import CommandPermissions
from sandbox.platform.commands import Commands
from sandbox.platform.hub import Hub
from sandbox.platform.interaction import Terms
from sandbox.platform.interactions import Interactions
from sandbox.platform.messages import Messages
from sandbox.storage.attachments import Files
from sandbox.storage.database import Storage
from sandbox.storage.snowflakes import Snowflakes
from sandbox.testing.faults import Faults
from sandbox.testing.journal import Journal


@dataclass(frozen=True)
class State:
    clock: Clock
    world: World
    building: Building
    ids: Snowflakes
    storage: Storage
    files: Files
    hub: Hub
    messages: Messages
    interactions: Interactions
    commands: Commands
    command_permissions: CommandPermissions
    gateway: Gateway
    faults: Faults
    token: str
    journal: Journal

    def bot_permissions(self, channel: Channel) -> int:
        """Return what the bot may do in a channel."""
        forced = self.faults.settings.bot_permissions
        return int(self.world.permissions(EASEL, channel)) if forced is None else int(forced)

    @property
    def terms(self) -> Terms:
        forced = self.faults.settings.bot_permissions
        return Terms(self.faults.announced_size_limit, None if forced is None else int(forced))


STATE: web.AppKey[State] = web.AppKey("state", State)


def state_of(request: web.Request) -> State:
    return request.config_dict[STATE]
