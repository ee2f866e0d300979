"""An engine that a test can take apart: on a thread of this process, with the bot's end of its socket."""

from __future__ import annotations

import socket
import threading

from inference import engine
from inference.catalog import weights
from inference.catalog.reading import Catalog
from inference.device import Device
from inference.errors import DeviceLost, PeerBroken
from inference.exchange.channel import Channel
from inference.models.store import Store
from inference.protocol import Ready
from tests.inference.folders import data_folder
from tests.inference.peer import TIMEOUT_S, Peer

_SAID: dict[tuple[int, Device], tuple[Catalog, Ready]] = {}


def said(known: Catalog, device: Device) -> Ready:
    """What an engine says of itself, asked once for each catalogue and device: it reads the head of every file."""
    key = id(known), device
    if key not in _SAID:
        _SAID[key] = known, engine.readiness(known, weights.inventory(known), device)
    return _SAID[key][1]


class Serving:
    """An engine on a thread of this process, so that a test can break its parts."""

    def __init__(self, known: Catalog, store: Store) -> None:
        ours, theirs = socket.socketpair()
        self.peer = Peer(ours)
        self.raised: BaseException | None = None
        self._channel = Channel(theirs)
        self.known = known
        self.engine = engine.Engine(known, store, self._channel, data_folder())
        self._ready = said(known, store.device)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self.engine.serve(self._ready)
        except (PeerBroken, DeviceLost) as error:
            self.raised = error

    def ended(self) -> bool:
        self._thread.join(TIMEOUT_S)
        self.peer.socket.close()
        self._channel.close()
        return not self._thread.is_alive()
