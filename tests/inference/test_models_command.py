"""`python -m inference models …` as an operator uses it: what breaks off goes on, what is wrong is found and mended."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.hf_api import RepoSibling

from benchmarks.architectures import ARCHITECTURES, pipeline
from inference import __main__ as program
from inference import device
from inference.catalog import hub as hub_files
from inference.catalog import reading, weights
from inference.families import FAMILIES
from inference.operating import commands, needs
from inference.operating.needs import Card
from tests.inference.hub import COMMIT, digest, hub
from tests.inference.peer import TIMEOUT_S, environment
from tests.inference.test_fetching import listed, run

ROOT = Path(__file__).parents[2]
WEIGHTS = "model.safetensors"


@pytest.fixture
def toml(models_toml: Path, tmp_path: Path) -> Path:
    """A catalogue whose describer comes from the hub, pinned."""
    text = models_toml.read_text().replace(
        'path = "florence"', f'repo = "somebody/florence"\nrevision = "{COMMIT}"\ndownload_gb = 0.5'
    )
    toml = tmp_path / "models.toml"
    toml.write_text(text)
    return toml


@pytest.fixture
def published(models_toml: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    shutil.copytree(models_toml.parent / "florence", folder)
    return folder


def answer(handler: BaseHTTPRequestHandler, content: bytes, announced: int, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(announced))
    handler.send_header("X-Repo-Commit", COMMIT)
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


@contextmanager
def fetching(toml: Path, endpoint: str, *names: str) -> Iterator[subprocess.Popen[str]]:
    """`models fetch` at work."""
    child = subprocess.Popen(
        [sys.executable, "-m", "inference", "models", "fetch", *names],
        env=environment(toml, HF_HOME=str(toml.parent / "hf"), HF_ENDPOINT=endpoint),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def checked(
    toml: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[int, str]]:
    """`models check florence`: its exit status, and what it says."""
    monkeypatch.setenv("EASEL_MODELS", str(toml))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(toml.parent / "hf" / "hub"))

    def check() -> tuple[int, str]:
        with monkeypatch.context() as here:
            # It is set for what is imported later, and not for the fetches here.
            here.setenv("HF_HUB_OFFLINE", "1")
            status = program.main(["models", "check", "florence"])
        said, errors = capsys.readouterr()
        assert not errors
        return status, said.strip()

    return check


def test_a_stopped_fetch_goes_on_where_it_ended_and_nobody_fetches_the_same_meanwhile(
    toml: Path, published: Path, checked: Callable[[], tuple[int, str]]
) -> None:
    content = (published / WEIGHTS).read_bytes()
    half = len(content) // 2
    arrived, stopped = threading.Event(), threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, content[:half], len(content))
        arrived.set()
        stopped.wait(TIMEOUT_S)

    with hub("somebody/florence", published, hang, of=WEIGHTS) as (endpoint, downloaded):
        with fetching(toml, endpoint, "florence") as child:
            assert arrived.wait(TIMEOUT_S)
            part = toml.parent / f"hf/hub/models--somebody--florence/blobs/{digest(published / WEIGHTS)}.part"
            while not part.exists() or part.stat().st_size < half:
                assert child.poll() is None
            second = run(toml, endpoint, "models", "fetch", "florence")
            assert second.returncode == 2
            assert "is being fetched by somebody else: wait for that" in second.stderr
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=TIMEOUT_S)
            stopped.set()
        assert (child.returncode, errors) == (130, "easel: stopped; the same command goes on where it was\n")
        status, line = checked()
        assert status == 1
        assert line.startswith("BROKEN  [describers.florence] its download broke off after 0.000 GB of a file: python")
        done = run(toml, endpoint, "models", "fetch", "florence")
        assert (done.returncode, done.stderr) == (0, "")
    assert downloaded[-1] == f"{WEIGHTS} {half}", "from the byte at which it broke off"
    assert checked()[0] == 0
    assert "files have the hashes that they should" in checked()[1]
    # A pinned commit that is here and right needs no hub.
    assert run(toml, "http://127.0.0.1:9", "models", "fetch", "florence").returncode == 0


def test_other_bytes_than_the_hub_named_are_refused_and_a_busy_hub_is_asked_again(toml: Path, published: Path) -> None:
    content = (published / WEIGHTS).read_bytes()
    faults = (
        lambda handler: answer(handler, b"\0" * len(content), len(content)),
        lambda handler: answer(handler, b"", 0, status=503),
        lambda handler: answer(handler, content[:1000], len(content)),
    )
    with hub("somebody/florence", published, *faults, of=WEIGHTS) as (endpoint, downloaded):
        refused = run(toml, endpoint, "models", "fetch", "florence")
        assert refused.returncode == 2
        assert "is another file than the hub says: its own is " in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert not list(toml.parent.rglob("*.part"))
        done = run(toml, endpoint, "models", "fetch", "florence")
        assert (done.returncode, done.stderr) == (0, "")
    assert [name for name in downloaded if name.startswith(WEIGHTS)] == [WEIGHTS] * 3 + [f"{WEIGHTS} 1000"]


def test_what_rots_on_the_disk_is_found_by_check_and_mended_by_fetch(
    toml: Path, published: Path, checked: Callable[[], tuple[int, str]]
) -> None:
    with hub("somebody/florence", published) as (endpoint, downloaded):
        # What nobody can have does not keep the others away.
        both = run(toml, endpoint, "models", "fetch", "dall-e", "florence", "florence")
        assert both.returncode == 2
        [line] = both.stderr.splitlines()
        assert line.startswith("easel: there is no model dall-e")
        assert checked()[0] == 0
        blob = (toml.parent / f"hf/hub/models--somebody--florence/snapshots/{COMMIT}" / WEIGHTS).resolve()
        rotten = bytearray(blob.read_bytes())
        rotten[-1] ^= 1
        blob.write_bytes(rotten)
        assert ["florence", "describer", "yes", f"somebody/florence@{COMMIT}"] in listed(toml, endpoint)
        status, line = checked()
        assert status == 1
        assert line.startswith("BROKEN  [describers.florence] ")
        assert line.endswith(": python -m inference models fetch florence")
        assert "is not what it was" in line
        downloaded.clear()
        assert run(toml, endpoint, "models", "fetch", "florence").returncode == 0
        assert downloaded == [WEIGHTS], "and nothing that was right"
        assert checked()[0] == 0
        blob.write_bytes(bytes(rotten[:-10]))
        status, line = checked()
        assert (status, "is no whole safetensors file" in line) == (1, True)
        assert run(toml, endpoint, "models", "fetch", "florence").returncode == 0
        (toml.parent / f"hf/hub/models--somebody--florence/snapshots/{COMMIT}" / WEIGHTS).unlink()
        status, line = checked()
        assert (status, f"it has no {WEIGHTS}" in line) == (1, True)


def test_every_entry_that_is_here_is_read_and_compared_with_its_hash(
    models_toml: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    assert program.main(["models", "check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok      [models.sd15] ") for line in lines)
    assert not any("absent" in line for line in lines)
    # Of the one entry that has a hash it is another's.
    [line] = [line for line in lines if line.startswith("BROKEN")]
    assert line.startswith("BROKEN  [loras.forged] ")
    assert "ink.safetensors is not what it was: its SHA is " in line
    assert line.endswith(": bring it here again")
    assert program.main(["models", "check", "absent"]) == 0
    assert capsys.readouterr().out == "ok      [models.absent] it is not here\n"
    assert program.main(["models", "check", "nobody"]) == 2


def test_the_list_says_what_card_each_model_needs_without_torch(models_toml: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules.update(dict.fromkeys(['torch', 'diffusers', 'transformers']));"
    code += "from inference.__main__ import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "list", "--memory", "8GB"],
        env=environment(ROOT / "models.toml", EASEL_DEVICE="auto", HF_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line for line in reversed(done.stdout.splitlines()) if " models fetch " not in line}
    assert "ON 8.0GB" in rows["NAME"]
    assert "whole" in rows["sd15"]
    assert "in parts" in rows["sdxl"]
    assert "by layers" in rows["flux-dev"]
    assert "~6.9GB" in rows["sdxl"]


def test_a_card_that_cannot_hold_a_model_by_any_way_is_told() -> None:
    known = reading.load(ROOT / "models.toml")
    entry = known.models["flux-dev"]
    needed = needs.of_model(known, "flux-dev")
    assert needed is not None
    smallest = [least for least in needs.smallest_cards(entry, needed) if least is not None]
    cards = [Card(least, math.ceil(least * 0.7)) for least in (*smallest, smallest[-1] - 10)]
    said = [needs.verdict(entry, needed, card) for card in cards]
    assert said == ["whole", "in parts", "by layers", "too small"]


def test_what_is_here_is_measured_and_not_believed(models_toml: Path, tmp_path: Path) -> None:
    """The catalogue's sizes are for who has not fetched a model yet."""
    toml = tmp_path / "models.toml"
    text = models_toml.read_text().replace(
        'path = "sd15"', f'path = "{models_toml.parent}/sd15"\nsizes = {{ unet = 900 }}'
    )
    toml.write_text(text)
    known = reading.load(toml)
    assert weights.locate(known, "model", "sd15") is not None
    needed = needs.of_model(known, "sd15")
    assert needed is not None
    assert sum(needed.parts.values()) < 10**9


@pytest.mark.parametrize("flag", ["--list", "--fetch", "--fetch=sdxl", "--add", "--convert", "--profile"])
def test_commands_as_they_were_called_before_say_how_they_are_called_now(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([flag]) == 2
    said = flag.partition("=")[0]
    now = f"python -m inference models {said.removeprefix('--')}"
    assert capsys.readouterr().err == f"easel: {said} is written `{now}` now\n"


def test_models_are_looked_for_where_the_bots_engine_will(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("DISCORD_TOKEN=secret\nHF_HOME=/models\nHF_TOKEN=hf_own\nEASEL_MODELS=own.toml\nEASEL_THREADS=\n")
    environ = {"HF_HOME": "/elsewhere", "PATH": os.environ["PATH"]}
    assert commands.environment(environ, dotenv) == {
        **environ,
        "HF_TOKEN": "hf_own",
        "EASEL_MODELS": "own.toml",
    }


def test_a_hubs_names_that_lead_out_of_the_cache_are_left_alone(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = ["../../../../models.toml", "/etc/passwd.json", "a/../../b.json", "a\\b.json", ""]
    siblings = [RepoSibling(rfilename=name, size=1, blob_id="0" * 40) for name in [*evil, "config.json"]]
    info = SimpleNamespace(siblings=siblings, sha=COMMIT)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: info)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    before = toml.read_text()
    ordered = hub_files.order(reading.load(toml).describers["florence"], ["*"])
    assert [*ordered.missing] == ["config.json"]
    assert toml.read_text() == before


def test_a_commit_that_the_disk_has_no_room_for_is_not_begun(
    toml: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    siblings = [RepoSibling(rfilename=WEIGHTS, size=7 * 10**15, blob_id="0" * 40)]
    monkeypatch.setattr(
        "huggingface_hub.HfApi.model_info", lambda *_, **__: SimpleNamespace(siblings=siblings, sha=COMMIT)
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(toml.parent / "hub"))
    monkeypatch.setenv("EASEL_MODELS", str(toml))
    assert program.main(["models", "fetch", "florence"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("easel: 7000000.0 GB are to come into ")
    assert "make room for them and 1 GB more" in line
    assert not (toml.parent / "hub").exists()


@pytest.mark.parametrize("name", ["sd21", "sdxl", "flux2-klein", "sana"])
def test_the_catalogues_sizes_are_those_of_the_published_architectures(name: str) -> None:
    known = reading.load(ROOT / "models.toml")
    made = pipeline(ARCHITECTURES[name], FAMILIES[known.models[name].family], torch.device("meta"), torch.bfloat16)
    networks = {part: network for part, network in made.components.items() if isinstance(network, torch.nn.Module)}
    counted = {part: sum(each.numel() for each in network.parameters()) for part, network in networks.items()}
    assert {part: round(2 * numbers / 1e9, 2) for part, numbers in counted.items()} == known.models[name].sizes


def test_the_card_that_is_here_is_asked_unless_models_run_on_the_cpu(
    models_toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = device.Device(where=torch.device("cuda"), name="a card", memory_bytes=24 * 10**9)
    monkeypatch.setattr(device, "choose", lambda *_: here)
    monkeypatch.setattr(commands, "DRIVERS", ("/nowhere", "/"))
    monkeypatch.setenv("EASEL_MODELS", str(models_toml))
    for wanted, is_asked in (("auto", True), ("cpu", False)):
        monkeypatch.setenv("EASEL_DEVICE", wanted)
        program.main(["models", "list"])
        assert ("ON 24.0GB" in capsys.readouterr().out.splitlines()[0]) == is_asked
    monkeypatch.setenv("EASEL_DEVICE", "auto")
    monkeypatch.setattr(commands, "DRIVERS", ("/nowhere",))
    program.main(["models", "list"])
    assert "ON " not in capsys.readouterr().out.splitlines()[0]


def test_smaller_weights_need_less(models_toml: Path, tmp_path: Path) -> None:
    toml = tmp_path / "models.toml"

    def held(words: str) -> int:
        toml.write_text(models_toml.read_text().replace('path = "sd15"', f'path = "{models_toml.parent}/sd15"{words}'))
        needed = needs.of_model(reading.load(toml), "sd15")
        assert needed is not None
        return needed.parts["unet"]

    assert held('\nweights = "8bit"') < held("") < held('\ndtype = "float32"')
