"""What an operator sees of a cluster: nodes, engines, the queue. For a process of its own, not for the bot's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.engine.cluster.engine import LOOPBACK
from bot.engine.cluster.host import Described
from bot.engine.cluster.joining import AUTH_MODE, LOCAL, NAMESPACE, join
from bot.engine.cluster.places import MEETING
from bot.errors import OperatorError

ANSWER_WITHIN_S = 5.0

NODES = ("NODE", "MACHINE", "STATE", "CARDS", "PROCESSORS")
ENGINES = ("ENGINE", "NODE", "DEVICE", "MODELS", "AT WORK ON")

JOBS = ("JOBS", "RUNNING", "WAITING")

NODE_CHARS = 8
"""Of a node's id, which tell it from the others."""


def tables(address: str, data: Path) -> Iterator[str]:
    """The lines of two tables: of nodes, and of engines. `data` is the bot's folder.

    Raises OperatorError where the cluster cannot be joined.
    """
    if address == LOCAL:
        os.environ.update(LOOPBACK)
        os.environ.setdefault(AUTH_MODE, "token")
        try:
            address = (data / MEETING).read_text()
        except OSError as error:
            raise OperatorError(f"no bot with {data} has a Ray cluster of its own now: it ends with the bot") from error
    ray = join(address, heard=False)
    try:
        yield from _table(NODES, (_node(each) for each in ray.nodes()))
        yield ""
        yield from _table(ENGINES, (_engine(name, said) for name, said in _engines(ray)))
    finally:
        ray.shutdown()


def queue(database: Path) -> Iterator[str]:
    """The lines of a table of the jobs that have not ended, by their kinds. It only reads, also while the bot runs."""
    counts: list[Sequence[str]] = []
    if database.exists():
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT kind, sum(state = 'running'), sum(state <> 'running') FROM job"
                " WHERE state IN ('arriving', 'reading', 'queued', 'running') GROUP BY kind ORDER BY kind"
            )
            counts = [[str(cell) for cell in row] for row in found]
    yield from _table(JOBS, counts)


def _engines(ray: Any) -> Iterator[tuple[str, Described | None]]:
    """Every engine with what it says of itself, None where it does not answer."""
    named = [one["name"] for one in ray.util.list_named_actors(all_namespaces=True) if one["namespace"] == NAMESPACE]
    for name in sorted(named):
        try:
            host = ray.get_actor(name, namespace=NAMESPACE)
            yield name, ray.get(host.described.remote(), timeout=ANSWER_WITHIN_S)
        except (ray.exceptions.RayError, ValueError):
            yield name, None


def _node(node: Mapping[str, Any]) -> Sequence[str]:
    resources = node["Resources"]
    return (
        node["NodeID"][:NODE_CHARS],
        node["NodeManagerAddress"],
        "here" if node["Alive"] else "gone",
        f"{resources.get('GPU', 0):g}",
        f"{resources.get('CPU', 0):g}",
    )


def _engine(name: str, said: Described | None) -> Sequence[str]:
    if said is None:
        return (name, "", "", "", "does not answer")
    jobs = ", ".join(f"#{job}" for job in said.jobs) or ("nothing" if said.device else "starts")
    return (name, said.node[:NODE_CHARS], said.device, ", ".join(said.models), jobs)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
