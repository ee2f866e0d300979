"""What members and operators can use stands in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from discord import app_commands

from bot import commands
from bot.settings import Settings
from inference import settings

ROOT = Path(__file__).parents[2]


def sections() -> dict[str, str]:
    """The parts of docs/commands.md by their headings."""
    parts = (ROOT / "docs" / "commands.md").read_text().split("\n## ")
    return {part.partition("\n")[0]: part for part in parts}


def test_every_command_and_each_of_its_options_is_documented() -> None:
    found = list(commands.load().commands.values())
    assert {command.name for command in found} >= {"imagine", "reroll", "upscale", "describe", "classify"}
    for command in found:
        if isinstance(command, app_commands.ContextMenu):
            assert command.name in sections()["Any message: Apps"], command.name
            continue
        section = sections()[f"/{command.name}"]
        for parameter in command.parameters:
            assert f"`{parameter.display_name}`" in section, f"/{command.name} {parameter.name}"
            assert parameter.description != "…", f"/{command.name} {parameter.name} has no description"


def test_both_processes_log_alike_and_it_stands_in_one_place() -> None:
    assert settings.read({}).log_level == Settings.model_fields["easel_log_level"].default == "INFO"
    rows = [line for file in (ROOT / "docs").glob("*.md") for line in file.read_text().splitlines()]
    [row] = [line for line in rows if line.startswith("| `EASEL_LOG_LEVEL`")]
    assert row.endswith("| `INFO` |")
    assert "#EASEL_LOG_LEVEL=INFO\n" in (ROOT / ".env.example").read_text()


@pytest.mark.parametrize("file", ["docs/deployment.md", ".env.example"])
def test_every_setting_is_documented(file: str) -> None:
    text = (ROOT / file).read_text()
    own = [name.upper() for name in Settings.model_fields]
    engines = re.findall(r"EASEL_[A-Z_]+", (ROOT / "inference" / "settings.py").read_text())
    for name in (*own, *engines):
        assert name in text, name


PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])


def headings(page: Path) -> list[str]:
    """Those of a page as links name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere_and_no_part_stands_twice(page: Path) -> None:
    assert len(set(headings(page))) == len(headings(page))
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link
