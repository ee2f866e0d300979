"""Places for engines in a cluster, and what engines leave there. Without Ray."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import bot.__main__
from bot import settings
from bot.engine.cluster import host, joining, places, showing
from bot.engine.cluster.places import Place
from bot.errors import OperatorError
from inference.protocol import PICTURES


def test_places_are_cards_or_one_processor_of_each_node_that_is_alive() -> None:
    def node(number: int, alive: bool = True, **resources: float) -> dict[str, object]:
        return {"NodeID": str(number), "NodeManagerAddress": "10.0.0.1", "Alive": alive, "Resources": resources}

    nodes = [node(1, CPU=8, GPU=2), node(2, CPU=4), node(3, alive=False, CPU=4, GPU=1), node(4)]
    cards = [Place("1", "10.0.0.1", number, True) for number in (0, 1)]
    assert list(places.of_nodes(nodes, "auto")) == list(places.of_nodes(nodes, "cuda")) == cards
    assert [place.node for place in places.of_nodes(nodes, "cpu")] == ["1", "2"]


def test_what_a_killed_actor_has_left_is_removed_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(host, "mkdtemp", lambda prefix: str(made(tmp_path, prefix)))
    left = tmp_path / f"{host.PREFIX}left"
    (left / PICTURES).mkdir(parents=True)
    first = host.Host({}, "cpu")
    host.Host({}, "cpu")
    assert not left.exists()
    assert first._data.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_ray_that_is_not_installed_is_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "find_spec", lambda name: None)
    with pytest.raises(OperatorError, match="pip install -c constraints.txt"):
        joining.join("auto", heard=False)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere.invalid:6379", "127.0.0.1:99999"])
def test_cluster_that_does_not_answer_is_the_operators_at_once(address: str) -> None:
    with pytest.raises(OperatorError, match="no Ray cluster answers at"):
        joining._knock(address)


def test_there_is_no_cluster_to_show_where_engines_are_local() -> None:
    with pytest.raises(OperatorError, match="names no Ray cluster"):
        bot.__main__._show_cluster(settings.read({"DISCORD_TOKEN": "t"}))


def test_cluster_of_a_bot_that_does_not_run_is_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing.os, "environ", {})
    with pytest.raises(OperatorError, match="it ends with the bot"):
        next(showing.tables("local", tmp_path))


def made(parent: Path, prefix: str) -> Path:
    folder = parent / f"{prefix}{len(list(parent.iterdir()))}{os.urandom(2).hex()}"
    folder.mkdir()
    return folder
