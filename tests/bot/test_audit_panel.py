"""How pages of the audit look: within what Discord takes, whatever stands in the rows."""

from __future__ import annotations

import csv
import inspect
import io
import re
from typing import Any

import pytest

from bot.audit import Entry
from bot.database import MIGRATIONS
from bot.loras import kept as loras
from bot.panels import audit as panel
from bot.policies import kept
from bot.words import speaking
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form

COMMANDS = {"imagine": "imagine", "mask": "edit"}
ID = 2**63 - 1


def entry(what: str = "refused", **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "id": ID,
        "at": 4_000_000_000.0,
        "guild_id": ID,
        "channel_id": ID,
        "member_id": ID,
        "by_id": ID,
        "job_id": ID,
        "kind": "mask",
        "hashes": ("f" * 64,) * 4,
        "details": {},
    }
    return Entry(what=what, **(values | changes))


def shown(*entries: Entry, **changes: Any) -> str:
    options: dict[str, Any] = {"first": True, "more": True, "days": 90, "export": True}
    components = panel.page(entries, COMMANDS, None, **(options | changes)).to_components()
    form = Form()
    check_components(form, {"components": components}, set(), version_2=True)
    form.close()
    return str(components)


@pytest.mark.parametrize("language", ["en", "zh-CN", "en-XA"])
def test_longest_page_is_what_discord_takes(language: str) -> None:
    long = {"rule": "x" * 5000, "facts": {"number": 10**30}}
    changed = {"name": "commands", "from": ["y" * 100] * 100, "to": ["`z`" * 100] * 100, "role": ID}
    with speaking(language):
        said = shown(*[entry(details=long)] * panel.ROWS)
        assert "/edit" in said
        shown(*[entry("set", details=changed)] * panel.ROWS)
        shown(entry("words blocked", details={"numbers": list(range(500))}))
        shown()


def test_row_says_the_rule_with_its_numbers_and_a_gap_for_what_is_not_kept() -> None:
    stored = {"rule": "The LoRA {lora} cannot be used with {model} here: leave it out.", "facts": {"model": "sdxl"}}
    assert "The LoRA … cannot be used with sdxl here" in shown(entry(details=stored))
    counted = {"rule": "policy_steps", "facts": {"steps": 60, "most": 40}}
    assert "60 steps are more than are allowed here, 40 is the most" in shown(entry(details=counted))


def test_row_of_a_key_says_which_and_not_what_it_is_called() -> None:
    assert "**has a new key for programs**" in shown(entry("key made", details={"key": 7}))
    assert "key 7" in shown(entry("key made", details={"key": 7}))


def test_row_that_nobody_knows_any_more_is_shown_all_the_same() -> None:
    said = shown(entry("unheard of", kind="gone", details={"name": "gone", "from": None, "to": 1}))
    assert "unheard of" in said
    assert "/gone" in said
    assert "gone: – → `1`" in said


def test_what_the_database_writes_down_has_words() -> None:
    script = "".join(next(MIGRATIONS.glob(name)).read_text() for name in ("0012*", "0013*"))
    written = set(re.findall(r"'(accepted|finished|flagged|withheld|withdrawn|deleted|let go|key \w+)'", script))
    written |= {"failed", "cancelled", "refused"}
    written |= set(re.findall(r'"(set|words \w+|member blocked|member let in)"', inspect.getsource(kept)))
    written |= set(re.findall(r'"(lora (?:shared|approved|refused|removed))"', inspect.getsource(loras)))
    assert written == panel.WHAT.keys()


def test_table_is_read_by_programs_and_has_every_hash() -> None:
    made = panel.table([entry(details={"rule": 'a "b", c\nd', "facts": {}}), entry("let go", details={})], COMMANDS)
    first, second = csv.DictReader(io.StringIO(made.decode()))
    assert first["hashes"] == " ".join(["f" * 64] * 4)
    assert first["command"] == "edit"
    assert first["at"] == "2096-10-02T07:06:40+00:00"
    assert "\n" not in first["details"]
    assert (second["what"], second["details"], second["member_id"]) == ("let go", "", str(ID))
    assert not any(value.startswith(("=", "+", "-", "@")) for row in (first, second) for value in row.values())
