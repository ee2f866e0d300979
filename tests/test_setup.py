"""`make setup` takes PyTorch from where the operator says, and nothing else from there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]


def steps(*variables: str) -> list[str]:
    """The commands of a setup from nothing."""
    command = ["make", "--dry-run", "--always-make", "setup", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_another_index_is_asked_for_pytorch_alone() -> None:
    asked = [line for line in steps("TORCH_INDEX=http://index.test/cpu") if "http://index.test" in line]
    [line] = asked
    assert " --extra-index-url 'http://index.test/cpu' " in line
    assert line.endswith(" torch torchvision")
    assert not [line for line in steps() if "index-url" in line]


def test_who_has_no_card_is_told_how_to_need_less() -> None:
    [hint] = [line for line in steps() if "nvidia-smi" in line]
    page, heading = re.findall(r"(docs/\w+\.md) \((.+)\)", hint)[0]
    assert f"## {heading}\n" in (ROOT / page).read_text()
    assert not [line for line in steps("TORCH_INDEX=http://index.test") if "nvidia-smi" in line]


def test_pip_prefers_the_build_for_the_cpu_and_the_constraints_admit_it(tmp_path: Path) -> None:
    [constraint] = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    exact = constraint.removeprefix("torch==")
    for name, version in (("main", exact), ("main", "99.0"), ("cpu", f"{exact}+cpu")):
        wheel(tmp_path / name / "torch", version)
    [line] = [line for line in steps("TORCH_INDEX=CPU") if "'CPU'" in line]
    with served(tmp_path) as address:
        given = line.partition("pip ")[2].partition(" setuptools")[0].replace("'CPU'", f"{address}/cpu").split()
        command = [sys.executable, "-m", "pip", *given, "--dry-run", "--ignore-installed", "--no-cache-dir"]
        command += ["--index-url", f"{address}/main", "--report", "-", "torch"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [chosen] = json.loads(said)["install"]
    assert chosen["metadata"]["version"] == f"{exact}+cpu"


def wheel(folder: Path, version: str) -> None:
    """A package called torch, of which this page of an index tells."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"torch-{version}.dist-info"
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address where this folder is served, as lists of its files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()
