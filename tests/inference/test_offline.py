"""A serving engine and `models list` use no network and need no token: only `models fetch` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference.protocol import Batch, Control, Lora
from starter.render import render
from starter.world import Scene
from tests.inference.conftest import ask_for, uploaded
from tests.inference.folders import put
from tests.inference.peer import TIMEOUT_S, engine_process, environment

WATCH = """
import os, sys
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
def refuse(event, arguments):
    if event in NETWORK:
        with open(os.environ["EASEL_TEST_CALLS"], "a") as calls:
            print(event, arguments, file=calls)
        raise OSError(f"no {event} here")
    if event == "open" and str(arguments[0]).endswith("huggingface/token"):
        with open(os.environ["EASEL_TEST_CALLS"], "a") as calls:
            print(event, arguments, file=calls)
sys.addaudithook(refuse)
"""
"""Notes every way into the network before any other code of the process runs, and closes it."""


@pytest.fixture
def cut_off(models_toml: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A catalogue whose models lie in the hub's cache, and the environment of a process without a network."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    home = tmp_path / "home" / ".cache" / "huggingface"
    text = models_toml.read_text().replace('path = "', f'path = "{models_toml.parent}/')
    for name in ("sd15", "clip", "canny"):
        repo = home / "hub" / f"models--somebody--{name}"
        (repo / "refs").mkdir(parents=True)
        (repo / "refs" / "main").write_text("a" * 40)
        (repo / "snapshots").mkdir()
        (repo / "snapshots" / ("a" * 40)).symlink_to(models_toml.parent / name)
        text = text.replace(f'path = "{models_toml.parent}/{name}"', f'repo = "somebody/{name}"')
    (home / "token").write_text("hf_secret")
    toml = tmp_path / "models.toml"
    toml.write_text(text)
    return toml, {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
        "HOME": str(tmp_path / "home"),
        "EASEL_TEST_CALLS": str(tmp_path / "calls"),
    }


def test_an_engine_loads_and_paints_without_a_network_or_a_token(cut_off: tuple[Path, dict[str, str]]) -> None:
    toml, changes = cut_off
    house, files = uploaded(render(Scene("house", "red", size="large", seed=4), 64))
    with engine_process(toml, cold=True, **changes) as (peer, process):
        assert {"sd15", "sdxl"} <= {model.name for model in peer.ready().models}
        request = ask_for(loras=(Lora("ink", 0.5),), control=Control("canny", house))
        put(files)
        peer.send(Batch((request, ask_for(job=2))))
        ended = peer.ends(2)
        assert not [end for end in ended.values() if hasattr(end, "kind")], ended
        environ = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"HF_TOKEN" not in environ
    assert not Path(changes["EASEL_TEST_CALLS"]).exists(), Path(changes["EASEL_TEST_CALLS"]).read_text()


def test_the_list_needs_neither_and_passes_on_no_token(cut_off: tuple[Path, dict[str, str]]) -> None:
    toml, changes = cut_off
    done = subprocess.run(
        [sys.executable, "-m", "inference", "models", "list"],
        env=environment(toml, **changes, HF_TOKEN="hf_secret"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert ["sd15", "sd1", "yes", f"somebody/sd15@{'a' * 40}"] in [
        [*row[:3], row[-1]] for row in map(str.split, done.stdout.splitlines())
    ]
    assert not Path(changes["EASEL_TEST_CALLS"]).exists()


def test_only_a_fetch_keeps_the_token(monkeypatch: pytest.MonkeyPatch, models_toml: Path) -> None:
    from inference import __main__ as program

    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for arguments, kept in ((["models", "fetch", "nobody"], True), (["models", "list"], False)):
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.setenv(name, "hf_secret")
        program.main(arguments)
        assert [name in os.environ for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")] == [kept, kept]
