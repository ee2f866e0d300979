"""The places for engines in a cluster, and how they are told from one process to another. Imports no Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from inference.protocol import AUTO

MEETING = "ray.address"
"""The file of the data folder with the address of the cluster that the bot has made for itself, while it runs."""


class Place(msgspec.Struct, frozen=True):
    """Room for one engine."""

    node: str
    """The node's id, as 40 or more hex digits."""
    host: str
    """The address of its machine."""
    number: int
    """Of the places on that node, counted from 0."""
    card: bool
    """Whether it is a card, or a processor."""


class Seen(msgspec.Struct, frozen=True):
    """What `watch` has found."""

    address: str
    """Where others join this cluster."""
    auth_mode: str | None
    """RAY_AUTH_MODE for them; None where it need not be set."""
    places: tuple[Place, ...]


def of_nodes(nodes: Iterable[Mapping[str, Any]], device: str) -> tuple[Place, ...]:
    """One place for each card of the nodes that are alive (as `ray.nodes` has them), or, where the device is the
    processor, one for each of them that has one to give."""
    places = []
    for node in nodes:
        if not node["Alive"]:
            continue
        resources = node["Resources"]
        count = int(resources.get("GPU", 0)) if is_card(device) else min(int(resources.get("CPU", 0)), 1)
        where = node["NodeID"], node["NodeManagerAddress"]
        places += [Place(*where, number, is_card(device)) for number in range(count)]
    return tuple(sorted(places, key=lambda place: (place.host, place.node, place.number)))


def is_card(device: str) -> bool:
    """Whether engines on this device have a card each."""
    return device in (AUTO, "cuda")
