"""How the pages of /audit look, and its rows as CSV: what each row says, in words."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from discord import ui

from bot import cards
from bot.audit import Entry
from bot.buttons import PanelButton
from bot.panels import page as panels
from bot.policies.policy import SETTINGS
from bot.words import N_, say, why
from inference.protocol import Reason

ROWS = 10
"""Of a page."""

HASH_CHARS = 12
"""What a page shows of a hash: the whole of it stands in the CSV."""

SAID_CHARS = 300
"""Of a rule."""

WHAT: Mapping[str, str] = {
    "accepted": N_("was accepted"),
    "refused": N_("was refused"),
    "finished": N_("finished"),
    "flagged": N_("finished, and the checker flagged it"),
    "withheld": N_("was held back"),
    "failed": N_("failed"),
    "cancelled": N_("was cancelled"),
    "withdrawn": N_("was withdrawn before it began"),
    "deleted": N_("was deleted"),
    "let go": N_("is old: its pictures were removed"),
    "set": N_("a setting was changed"),
    "words blocked": N_("words were blocked"),
    "words allowed": N_("words were allowed again"),
    "member blocked": N_("was blocked"),
    "member let in": N_("was let in again"),
    "lora shared": N_("shared a LoRA"),
    "lora approved": N_("was allowed to share a LoRA"),
    "lora refused": N_("was not allowed to share a LoRA"),
    "lora removed": N_("had a LoRA removed"),
    "key made": N_("has a new key for programs"),
    "key revoked": N_("has lost a key for programs"),
}

COLUMNS = (
    "id",
    "at",
    "what",
    "guild_id",
    "channel_id",
    "member_id",
    "by_id",
    "job_id",
    "command",
    "hashes",
    "details",
)
"""Of the CSV; its words are not translated, so that programs read it."""


def page(
    entries: Sequence[Entry],
    commands: Mapping[str, str],
    member_id: int | None,
    *,
    first: bool,
    more: bool,
    days: int,
    export: bool,
) -> ui.LayoutView:
    """A page of what happened, newest first; `commands` are those of the kinds of requests, `more` whether there is
    anything older, `export` whether this moderator may have all of it."""
    head = say("Audit of this server")
    if member_id is not None:
        head = say("Audit of {member}", member=f"<@{member_id}>")
    lines = [f"## {head}"] + [_line(one, commands) for one in entries]
    if not entries:
        lines.append(say("Nothing happened here yet."))
    kept = say("Kept for {days} days; nobody can take a row out before.", days=days)
    lines.append(f"-# {kept}")
    whose = 0 if member_id is None else member_id
    last = entries[-1].id if entries else 0
    buttons = [
        PanelButton("audit", f"{whose}:0:newest", label=say("Newest"), disabled=first),
        PanelButton("audit", f"{whose}:{last}:older", label=say("Older"), disabled=not more),
    ]
    if export:
        buttons.append(PanelButton("auditcsv", str(whose), label=say("As CSV")))
    return panels.page(lines, [buttons])


def table(entries: Iterable[Entry], commands: Mapping[str, str]) -> bytes:
    """The rows as CSV in UTF-8. All in them is numbers and words of ours: no cell begins a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for one in entries:
        when = datetime.fromtimestamp(one.at, UTC).isoformat(timespec="seconds")
        said = re.sub(r"\s+", " ", str(dict(one.details))) if one.details else ""
        command = "" if one.kind is None else commands.get(one.kind, one.kind)
        ids = (one.guild_id, one.channel_id, one.member_id, one.by_id, one.job_id)
        writer.writerow((one.id, when, one.what, *ids, command, " ".join(one.hashes), said))
    return stream.getvalue().encode()


def _line(one: Entry, commands: Mapping[str, str]) -> str:
    parts = [f"<t:{one.at:.0f}:f>"]
    if one.member_id is not None:
        parts.append(f"<@{one.member_id}>")
    if one.kind is not None:
        parts.append(f"`/{commands.get(one.kind, one.kind)}`")
    if one.job_id is not None:
        parts.append(f"#{one.job_id}")
    parts.append(f"**{say(WHAT.get(one.what, one.what))}**")
    if one.by_id is not None:
        parts.append(say("by {member}", member=f"<@{one.by_id}>"))
    if one.channel_id is not None:
        parts.append(f"<#{one.channel_id}>")
    if said := _details(one):
        parts.append(said)
    if one.hashes:
        more = f" +{len(one.hashes) - 1}" if len(one.hashes) > 1 else ""
        parts.append(f"`{one.hashes[0][:HASH_CHARS]}`{more}")
    return "- " + " · ".join(parts)


def _details(one: Entry) -> str:
    details = one.details
    if "rule" in details:
        # What is not kept has no place in it.
        said = why(Reason(str(details["rule"]), dict(details.get("facts", {}))))
        return cards.plain(cards.shorten(re.sub(r"\{\w+\}", "…", said), SAID_CHARS))
    if "training" in details:
        return say("training {number}", number=details["training"])
    if "lora" in details:
        # Its name is a member's word.
        return f"LoRA {details['lora']}"
    if "numbers" in details:
        return ", ".join(map(str, details["numbers"]))
    if "key" in details:
        return say("key {number}", number=details["key"])
    if "name" in details:
        setting = SETTINGS.get(str(details["name"]))
        title = str(details["name"]) if setting is None else say(setting.title)
        role = f" <@&{details['role']}>" if "role" in details else ""
        return f"{title}{role}: {_value(details.get('from'))} → {_value(details.get('to'))}"
    return ""


def _value(value: Any) -> str:
    if value is None:
        return "–"
    # Names of commands and models, and numbers: no words of ours.
    said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"`{cards.shorten(said, 100).replace('`', '')}`" if said else "–"
