"""What `deploy/` and the documents tell operators to write and run exists: settings, commands, paths, units, images."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import __main__ as bot_program
from bot import assembly, dispatcher, environment
from bot.engine import link
from bot.settings import Settings
from inference import __main__ as inference_program

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
TOLD = [
    *(ROOT / name for name in ("README.md", ".env.example", "models.toml", "Makefile", "CONTRIBUTING.md", ".ci/run")),
    *sorted((ROOT / "docs").rglob("*.md")),
    DEPLOY / "Containerfile",
    DEPLOY / "compose.yaml",
    *UNITS,
]

OF_INFERENCE = set(re.findall(r'"(EASEL_\w+)"', (ROOT / "inference" / "settings.py").read_text()))
OF_BOT = {name.upper() for name in Settings.model_fields}
HOME = "/srv/easel"
"""Where units and image have the checkout."""

CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Of the Containerfile, each with what is said to it."""
    lines = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(line.split()[0], " ".join(line.split()[1:])) for line in lines if line.strip()]


def told(file: Path) -> str:
    return file.read_text(encoding="utf-8").replace("\\\n", " ")


@pytest.mark.parametrize("file", TOLD, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_setting_that_is_told_is_read(file: Path) -> None:
    assert set(re.findall(r"\bEASEL_[A-Z0-9]+(?:_[A-Z0-9]+)*\b", told(file))) <= OF_INFERENCE | OF_BOT


def test_every_setting_is_told() -> None:
    table = told(ROOT / "docs" / "deployment.md").split("## Settings")[1]
    example = told(ROOT / ".env.example")
    for name in OF_INFERENCE | OF_BOT:
        assert f"`{name}`" in table, name
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name


def test_what_the_engine_reads_of_the_environment_reaches_it() -> None:
    # The bot reads its engines' lines, and so says itself in which form they come.
    wanted = OF_INFERENCE - {"EASEL_LOG_FORMAT"}
    assert set(environment.of_engine(dict.fromkeys(OF_INFERENCE, "1"))) == wanted


@cache
def helped(main: Callable[[list[str]], int], *words: str) -> str:
    """What `--help` says of a command; empty where there is none."""
    reading, writing = os.pipe()
    before = os.dup(1)
    sys.stdout.flush()
    os.dup2(writing, 1)
    try:
        main([*words, "--help"])
    except SystemExit as ended:
        sys.stdout.flush()
        status = ended.code
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    return said if status == 0 else ""


def commands(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Every `python -m bot …` and `python -m inference …` in it: whose, and the words behind."""
    for program, rest in re.findall(r"python -m (bot|inference)\b(?!\.)([^\n`\"'|;&#)]*)", told(file)):
        yield program, rest.replace(",", " ").split()


@pytest.mark.parametrize("file", TOLD, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_that_is_told_exists(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for program, words in commands(file):
        main: Any = bot_program.main if program == "bot" else inference_program.main
        named = []
        for word in words[: 1 if program == "bot" else 2]:
            if not re.fullmatch("[a-z]+", word):
                break
            named.append(word)
        if program == "bot" and not named:
            continue
        with capfd.disabled():
            said = helped(main, *named)
        assert said, f"python -m {program} {' '.join(words)}"
        for flag in re.findall(r"(?<!\S)--[a-z]+", " ".join(words)):
            assert flag in said, f"python -m {program} {' '.join(words)}"


@pytest.mark.parametrize("file", TOLD, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_make_target_that_is_told_exists(file: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ {4}|&& )make ([a-z-]+)", told(file), re.MULTILINE)) <= targets


def test_the_image_installs_as_everybody_does_and_carries_no_secret() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    arguments = dict(said.split("=", 1) for word, said in instructions() if word == "ARG")
    assert set(arguments["EXTRAS"].split(",")) <= extras.keys()
    assert arguments["PYTHON"] in ("3.11", "3.12")
    [installing] = [said for word, said in instructions() if word == "RUN" and "make setup" in said]
    assert 'EXTRAS="$EXTRAS"' in installing
    assert not re.search(r"pip install", CONTAINERFILE)
    for word, said in instructions():
        assert not (word in ("ARG", "ENV") and re.search("TOKEN|SECRET|PASSWORD|KEY", said)), said
        # What is copied is named, so that nothing comes along by chance.
        if word in ("COPY", "ADD") and not said.startswith("--from"):
            *sources, _ = said.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in (ROOT / ".dockerignore").read_text().splitlines(), source
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    user = [number for number, (word, _) in enumerate(instructions()) if word == "USER"]
    runs = [number for number, (word, _) in enumerate(instructions()) if word == "RUN"]
    assert user
    assert user[-1] > runs[-1]
    assert ("CMD", '["python", "-m", "bot"]') in instructions()


def test_what_the_image_carries_is_all_that_easel_needs(tmp_path: Path) -> None:
    """The second stage's copies, in a folder of their own, with the catalogue where a volume has it."""
    stage = instructions()[[word for word, _ in instructions()].index("USER") - 12 :]
    for word, said in stage:
        if word == "COPY" and not said.startswith("--from"):
            *sources, target = said.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    (tmp_path / target).symlink_to(ROOT / source)
                else:
                    shutil.copy(ROOT / source, tmp_path)
    models = tmp_path / "models"
    models.mkdir()
    for name in ("models.toml", "styles.toml"):
        shutil.copy(tmp_path / name, models)
    (models / "starter").symlink_to(tmp_path / "starter")
    environ = {"PATH": os.environ["PATH"], "EASEL_MODELS": str(models / "models.toml"), "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "inference", "models", "check"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok      [models.starter]" in done.stdout
    carried, here = ({path.name for path in folder.iterdir()} for folder in (tmp_path, ROOT))
    for package in ("bot", "inference"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                assert {name.partition(".")[0] for name in names} & here <= carried, file


COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_is_confined_and_its_places_are_the_images(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert f"--uid {service['user'].split(':')[0]} " in CONTAINERFILE
    volumes = dict(volume.split(":")[:2] for volume in service["volumes"])
    assert volumes.keys() <= COMPOSE["volumes"].keys()
    for place in volumes.values():
        # A new volume has the rights of the folder that the image has there.
        assert re.search(rf"install -d -o easel .*{place}\b", CONTAINERFILE), place
    for variable, place in service["environment"].items():
        assert re.search(rf"\b{variable}={place}\b", CONTAINERFILE)
        assert variable in OF_BOT | OF_INFERENCE | {"HF_HOME"}
    if "build" in service:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
        assert service["env_file"] == "../.env"
        # What is painted goes back into the queue, what is told is told.
        # Nothing of it is encrypted.
        assert [port for port in service["ports"] if not port.startswith("127.0.0.1:")] == []
        needed = dispatcher.OUTLAST_S + 2 * (assembly.CLOSE_WITHIN_S + link.STOP_WITHIN_S)
        assert int(service["stop_grace_period"].removesuffix("s")) >= needed


def test_a_backup_that_fails_is_a_container_that_fails(tmp_path: Path) -> None:
    """Else it would end as if all were well, and nobody would start it again."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@" >> asked\ntest $(wc -l < asked) -lt 3 || exit 2\n')
    python.chmod(0o755)
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = COMPOSE["services"]["backup"]["command"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert (tmp_path / "asked").read_text().splitlines() == ["-m bot backup /backups --keep 7"] * 3


def options(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, _, value in (line.partition("=") for line in told(unit).splitlines() if re.match(r"\w+=", line)):
        found.setdefault(name, []).append(value)
    return found


def placed(folder: Path) -> Path:
    """The units, as they would be for this checkout."""
    python = f"{HOME}/.venv/bin/python"
    for unit in UNITS:
        text = unit.read_text().replace(python, sys.executable).replace(HOME, str(ROOT))
        (folder / unit.name).write_text(text)
    return folder


def test_the_service_starts_again_what_fails_and_not_what_somebody_has_to_mend() -> None:
    service = options(DEPLOY / "systemd" / "easel.service")
    assert service["ExecStart"] == [f"{HOME}/.venv/bin/python -m bot"]
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == ["2"]
    # Its engines have a job to give back first, and are not to be killed beside it.
    assert service["KillMode"] == ["mixed"]
    needed = dispatcher.OUTLAST_S + 2 * (assembly.CLOSE_WITHIN_S + link.STOP_WITHIN_S)
    assert int(service["TimeoutStopSec"][0]) >= needed
    data = Settings.model_fields["easel_data"].default
    assert service["ReadWritePaths"] == [f"{HOME}/{data}"]
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    for unit in UNITS:
        if "OnFailure" in (found := options(unit)):
            assert found["OnFailure"] == ["easel-tell@%n.service"]
        if unit.suffix == ".timer":
            assert unit.with_suffix(".service") in UNITS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_takes_every_unit_and_finds_little_exposed(tmp_path: Path) -> None:
    folder = placed(tmp_path)
    units = [str(folder / unit.name) for unit in UNITS]
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    for unit in units:
        if unit.endswith(".service"):
            exposed = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", unit]
            done = subprocess.run(exposed, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout[-300:]
