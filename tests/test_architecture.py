"""The house stands as DESIGN says: two halves that share one module, and layers that imports only go down."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from inference.families import FAMILIES

ROOT = Path(__file__).parents[1]

# From the ground up. A room is a file or a folder of its package: it imports rooms of lower layers and none beside it.
LAYERS = {
    "inference": (
        {"protocol"},
        {"errors", "families", "silence"},
        {"catalog", "device", "pictures", "settings"},
        {"marks", "networks"},
        {"exchange", "models"},
        {"gate", "recipes"},
        {"identity", "remote"},
        {"painting"},
        {"tasks", "training"},
        {"engine", "operating"},
        {"__main__"},
    ),
    "bot": (
        {"custom_ids", "environment", "measured", "ranking", "waits", "words"},
        {"errors"},
        {"background", "database", "folder", "job", "localisation", "pace", "pictures", "requests", "settings"},
        {"answered", "audit", "belongings", "costs", "credentials", "keeping", "observer", "ratings", "uses"},
        {
            "archive",
            "buttons",
            "counting",
            "engine",
            "finding",
            "forms",
            "invitation",
            "keys",
            "members",
            "policies",
            "queue",
            "room",
            "runs",
            "upgrade",
        },
        {"training"},
        {"loras"},
        {"jobs"},
        {"cards", "checking", "exchanged", "incoming", "outgoing", "retention", "taste", "till"},
        {"posting"},
        {"access", "callers", "pings", "speaking"},
        {"delivery"},
        {"lines"},
        {"endings"},
        {"dispatcher"},
        {"erasure"},
        {"admission"},
        {"permits"},
        {"gallery", "lineage", "paintings", "panels", "sources"},
        {"completions", "log_channel", "notices", "presence", "teaching"},
        {"commands"},
        {"app", "doctor"},
        {"serving", "watch"},
        {"assembly"},
        {"__main__"},
    ),
    "sandbox": (
        {"clock", "errors"},
        {"community", "storage", "testing"},
        {"limits"},
        {"client", "platform"},
        {"gateway"},
        {"state"},
        {"cdn", "member", "rest"},
        {"server"},
        {"cli"},
        {"__main__"},
    ),
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


KNOWN = {f"{package}.{name}" for package in LAYERS for name, _ in modules(package)}


def room(name: str) -> str:
    """The room of a module that is called so below its package."""
    return name.partition(".")[0]


@pytest.mark.parametrize("package", LAYERS)
def test_every_room_has_its_layer(package: str) -> None:
    assert {room(name) for name, _ in modules(package)} == set().union(*LAYERS[package])


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_only_downward(package: str) -> None:
    layer_of = {each: height for height, layer in enumerate(LAYERS[package]) for each in layer}
    wrong = [
        f"{package}.{name} imports {other}"
        for name, file in modules(package)
        for other in sorted(imported(file, KNOWN))
        if other.startswith(f"{package}.")
        and (there := room(other.removeprefix(f"{package}."))) != room(name)
        and layer_of[there] >= layer_of[room(name)]
    ]
    assert not wrong


@pytest.mark.parametrize("package", LAYERS)
def test_no_imports_go_in_circles(package: str) -> None:
    needs = {f"{package}.{name}": imported(file, KNOWN) & KNOWN for name, file in modules(package)}
    list(TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("package", ["inference", "sandbox"])
def test_a_package_has_no_more_rooms_than_one_can_remember(package: str) -> None:
    assert len({room(name) for name, _ in modules(package)}) <= 22


def test_the_bot_leaves_pictures_to_its_children() -> None:
    """What works on pixels is named where it is handed to a child, and called nowhere."""
    work = {
        "decoding": {"read", "texts", "recipe"},
        "texts": {"written"},
        "colours": {"in_srgb"},
        "profiles": {"of_file"},
        "stealth": {"found", "cleared"},
        "masks": {"prepare", "of_holes"},
        "charts": {"draw", "trace"},
        "fitting": {"fit", "parts", "small", "converted"},
        "credentials.signing": {"sign", "sign_copies", "take", "try_out"},
    }
    for name, file in modules("bot"):
        if name.removeprefix("pictures.") in work:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("PIL"), name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                module = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                module = "credentials.signing" if module == "signing" else module
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
    assert not [other for other in of_inference if not f"{other}.".startswith("inference.protocol.")]
    for name, file in modules("inference"):
        assert not [other for other in imported(file, KNOWN) if other.startswith("bot.")], name


def test_the_contract_needs_msgspec_and_nothing_else() -> None:
    for file in (ROOT / "inference" / "protocol").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
                allowed = name.split(".")[0] in {"msgspec", *sys.stdlib_module_names}
                assert allowed or name.startswith("inference.protocol."), f"{file}: {name}"


def test_only_a_familys_own_file_knows_it_by_its_name() -> None:
    """Elsewhere its record is asked: no table, no comparison and no class of diffusers that belongs to one."""
    owned = {family.pipeline for family in FAMILIES.values()}
    owned |= {family.refiner for family in FAMILIES.values() if family.refiner}
    controls = [family.control for family in FAMILIES.values() if family.control]
    owned |= {control.pipeline for control in [*controls, *(control.union for control in controls if control.union)]}
    for name, file in modules("inference"):
        if room(name) == "families":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    assert text not in FAMILIES, f"{name}:{node.lineno} names the family {text}"
                case ast.alias(name=text):
                    of_family = text in owned or text.endswith("LoraLoaderMixin")
                    assert not of_family, f"{name}:{node.lineno} imports {text}"


@pytest.mark.parametrize(
    ("module", "blocked"),
    [
        ("inference.engine", ["discord", "aiosqlite", "bot"]),
        ("inference.families", ["torch", "diffusers", "transformers", "numpy"]),
        ("inference.catalog.reading", ["torch", "diffusers", "transformers", "numpy"]),
        ("inference.catalog.weights", ["torch", "diffusers", "transformers", "numpy"]),
        ("inference.operating.commands", ["torch", "diffusers", "transformers"]),
        ("inference.remote.__main__", ["torch", "diffusers", "transformers", "discord", "bot"]),
        ("bot.pictures.child", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.pictures.masks", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.pictures.fitting", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.credentials.signing", ["discord", "aiosqlite", "aiohttp", "torch"]),
        ("bot.app", ["torch", "diffusers", "transformers", "realesrgan"]),
    ],
)
def test_each_half_imports_without_the_libraries_of_the_other(module: str, blocked: list[str]) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", LAYERS)
def test_modules_stay_small_enough_to_read(package: str) -> None:
    long = {name: lines for name, file in modules(package) if (lines := len(file.read_text().splitlines())) > 320}
    assert not long
