"""Everything that the request handlers share. Made once, in `sandbox.server`."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from sandbox.attachments import Files
from sandbox.building import Building
from sandbox.clock import Clock
from sandbox.command_permissions import CommandPermissions
from sandbox.commands import Commands
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.hub import Hub
from sandbox.interaction import Terms
from sandbox.interactions import Interactions
from sandbox.journal import Journal
from sandbox.messages import Messages
from sandbox.people import EASEL
from sandbox.places import Channel
from sandbox.snowflakes import Snowflakes
from sandbox.storage import Storage
from sandbox.world import World


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
