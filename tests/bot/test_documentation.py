"""What members and operators can use stands in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from discord import app_commands

from bot import commands
from bot.settings import Settings
from bot.words import say, speaking
from bot.words.catalogues import ENGLISH
from inference import settings

ROOT = Path(__file__).parents[2]


GUIDES = {"docs/commands.md": ("Any message: Apps", ENGLISH), "docs/zh/commands.md": ("任何消息：应用", "zh-CN")}
"""Those for members, with what each calls the menu of a message, and in which language it calls what stands there."""


def sections(guide: str) -> dict[str, str]:
    """The parts of a guide by their headings."""
    parts = (ROOT / guide).read_text(encoding="utf-8").split("\n## ")
    return {part.partition("\n")[0]: part for part in parts}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_and_each_of_its_options_is_documented(guide: str) -> None:
    found, known = list(commands.load().commands.values()), sections(guide)
    menus, language = GUIDES[guide]
    assert {command.name for command in found} >= {"imagine", "reroll", "upscale", "describe", "classify"}
    for command in found:
        if isinstance(command, app_commands.ContextMenu):
            with speaking(language):
                assert {command.name, say(command.name)} <= set(re.split(r"[^\w ]+ ?| ?\| ?", known[menus])), (
                    command.name
                )
            continue
        section = known[f"/{command.name}"]
        for parameter in command.parameters:
            assert f"`{parameter.display_name}`" in section, f"/{command.name} {parameter.name}"
            assert parameter.description != "…", f"/{command.name} {parameter.name} has no description"
            with speaking(language):
                for choice in parameter.choices:
                    assert str(choice.value) in section or say(choice.name) in section, f"/{command.name} {choice.name}"


def options(guide: str) -> dict[str, list[str]]:
    """What the table of each command's options names first."""
    found = {}
    for heading, part in sections(guide).items():
        if heading.startswith("/"):
            # A row may be about several.
            rows = part.split("\n### ")[0].split("\n| --- | --- | --- |\n")
            names = [row.split(" | ")[0] for row in (rows[1].split("\n\n")[0].splitlines() if len(rows) > 1 else ())]
            found[heading] = re.findall(r"`([a-z_0-9]+)`", " ".join(names))
    return found


def test_both_guides_say_the_same_of_the_same_commands() -> None:
    english, chinese = (options(guide) for guide in GUIDES)
    assert list(english.items()) == list(chinese.items())
    assert len(english["/imagine"]) > 20


def test_chinese_guide_calls_buttons_as_they_are_called() -> None:
    text = (ROOT / "docs/zh/commands.md").read_text(encoding="utf-8")
    with speaking("zh-CN"):
        for label in ("Cancel", "Re-roll", "Show edges", "Edit", "Try again", "Delete", "Original", "Go", "Invert"):
            assert f"| {say(label)} |" in text, label
        rows = {
            name for line in text.splitlines() for name in re.split("、", line.removeprefix("| ").partition(" |")[0])
        }
        for label in ("★ Favourite", "Same seed", "Show another one of these", "Show one of these", "Newer", "Older"):
            assert say(label) in rows, label
        for label in (
            "★ Favourites",
            "Everything",
            "Search",
            "Stop suggesting",
            "Suggest again",
            "Refresh",
            "Previous",
        ):
            assert say(label) in rows, label
        for label in ("Imagine this", "Other labels"):
            assert f"**{say(label)}**" in text, label
        for place in (1, 4):
            assert say("U{number}", number=place) in text
            assert say("V{number}", number=place) in text


def test_what_is_in_both_languages_leads_to_the_other() -> None:
    for english, chinese in (("README.md", "docs/zh/README.md"), ("docs/commands.md", "docs/zh/commands.md")):
        for page, other in ((ROOT / english, ROOT / chinese), (ROOT / chinese, ROOT / english)):
            links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
            assert other in {(page.parent / link).resolve() for link in links if "://" not in link}, page


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


PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])


def headings(page: Path) -> list[str]:
    """Those of a page as links name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_no_part_stands_twice(page: Path) -> None:
    assert len(set(headings(page))) == len(headings(page))
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link
