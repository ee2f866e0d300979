"""The house stands as DESIGN says: two halves that share one module, and floors that imports only go down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. A module may import those before it, and none after it.
FLOORS = {
    "inference": [
        "protocol.files",
        "protocol.words",
        "protocol.origins",
        "protocol.task",
        "protocol.pictures",
        "protocol.requests",
        "protocol.events",
        "protocol.frames",
        "protocol",
        "errors",
        "settings",
        "inputs",
        "quiet",
        "images",
        "entries",
        "headers",
        "hashes",
        "layouts",
        "tables",
        "styles",
        "catalog",
        "channel",
        "inbox",
        "device",
        "weights",
        "downloading",
        "fetching",
        "noise",
        "policy",
        "placement",
        "weighing",
        "prompts",
        "adapters",
        "finite",
        "annotating",
        "packing",
        "samplers",
        "tiles",
        "upscaling",
        "describing",
        "classifying",
        "checking",
        "drawing",
        "masking",
        "patching",
        "decoding",
        "loaded",
        "controlling",
        "loading",
        "pipelines",
        "store",
        "signing",
        "watermark",
        "marking",
        "outputs",
        "reports",
        "provenance",
        "passes",
        "painting",
        "tasks",
        "tasks.classify",
        "tasks.compare",
        "tasks.describe",
        "tasks.grid",
        "tasks.imagine",
        "tasks.mask",
        "tasks.upscale",
        "engine",
        "__main__",
    ],
    "bot": [
        "errors",
        "settings",
        "waits",
        "environment",
        "folder",
        "background",
        "database",
        "pictures",
        "job",
        "jobs",
        "choices",
        "numbers",
        "add_ons",
        "wishes",
        "axes",
        "tools",
        "queue",
        "pace",
        "engine",
        "containers",
        "decoding",
        "masks",
        "fitting",
        "calls",
        "child",
        "workers",
        "attachments",
        "buttons",
        "cards",
        "posting",
        "speaking",
        "access",
        "delivery",
        "dispatcher",
        "admission",
        "sources",
        "commands",
        "commands.classify",
        "commands.compare",
        "commands.compose",
        "commands.describe",
        "commands.edit",
        "commands.grid",
        "commands.imagine",
        "commands.ownership",
        "commands.recipe",
        "commands.reroll",
        "commands.upscale",
        "app",
        "__main__",
    ],
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Every module of a package below the package's own name, with its file."""
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT / package).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            yield name, file


def imported(file: Path, known: set[str]) -> set[str]:
    """The known modules (by full name) that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            of_names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= of_names & known or {str(node.module)} & known
    return found


KNOWN = {f"{package}.{name}" for package in FLOORS for name, _ in modules(package)}


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_has_its_floor(package: str) -> None:
    assert {name for name, _ in modules(package)} == set(FLOORS[package])


@pytest.mark.parametrize("package", FLOORS)
def test_imports_go_only_downward(package: str) -> None:
    floors = FLOORS[package]
    wrong = [
        f"{package}.{name} imports {other}"
        for name, file in modules(package)
        for other in sorted(imported(file, KNOWN))
        if other.startswith(f"{package}.") and floors.index(other.removeprefix(f"{package}.")) >= floors.index(name)
    ]
    assert not wrong


def test_the_bot_leaves_pictures_to_its_children() -> None:
    """What works on pixels is named where it is handed to a child, and called nowhere."""
    work = {"decoding": {"read", "texts"}, "masks": {"prepare"}, "fitting": {"fit", "parts"}}
    for name, file in modules("bot"):
        if name in work:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("PIL"), name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                module = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                assert node.func.attr not in work.get(module, ()), f"{name} calls {module}.{node.func.attr}"


def test_nobody_sets_what_belongs_to_a_library() -> None:
    setting = re.compile(r"(MAX_IMAGE_PIXELS|LOAD_TRUNCATED_IMAGES|MAX_TEXT_CHUNK|MAX_TEXT_MEMORY)\s*=[^=]")
    for package in ("bot", "inference", "sandbox", "starter", "benchmarks"):
        for name, file in modules(package):
            assert not setting.search(file.read_text(encoding="utf-8")), f"{package}.{name}"


def test_tasks_never_import_each_other() -> None:
    for name, file in modules("inference"):
        if name.startswith("tasks."):
            assert not [other for other in imported(file, KNOWN) if other.startswith("inference.tasks.")]


def test_the_bot_knows_only_the_contract_and_the_inference_process_knows_no_bot() -> None:
    of_inference = {
        other for _, file in modules("bot") for other in imported(file, KNOWN) if other.startswith("inference.")
    }
    assert of_inference <= {"inference.protocol"}
    for name, file in modules("inference"):
        assert not [other for other in imported(file, KNOWN) if other.startswith("bot.")], name


def test_the_contract_needs_msgspec_and_nothing_else() -> None:
    for file in (ROOT / "inference" / "protocol").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
                allowed = name.split(".")[0] in {"msgspec", *sys.stdlib_module_names}
                assert allowed or name.startswith("inference.protocol."), f"{file}: {name}"


@pytest.mark.parametrize(
    ("module", "blocked"),
    [
        ("inference.engine", ["discord", "aiosqlite", "bot"]),
        ("bot.child", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.masks", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.fitting", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.app", ["torch", "diffusers", "transformers", "realesrgan"]),
    ],
)
def test_each_half_imports_without_the_libraries_of_the_other(module: str, blocked: list[str]) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", FLOORS)
def test_modules_stay_small_enough_to_read(package: str) -> None:
    long = {name: lines for name, file in modules(package) if (lines := len(file.read_text().splitlines())) > 320}
    assert not long
