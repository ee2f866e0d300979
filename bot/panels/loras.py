"""How LoRAs of members look: all of one's own, all of a server's, and the card of one with its buttons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import discord
from discord import ui

from bot import cards
from bot.buttons import PanelButton, panel_menu
from bot.loras.lora import LoraFile, MemberLora
from bot.panels.page import COLOUR, heading, small, title
from bot.panels.page import page as laid_out
from bot.words import N_, say, say_many

LISTED = 25
"""The most that Discord takes in one menu."""

LABEL_CHARS = 100
PREVIEW = "SPOILER_preview.png"
"""What nobody has looked at is hidden until somebody wants to see it."""

KINDS = {"style": N_("a style"), "subject": N_("a subject")}


def home(
    own: Sequence[MemberLora], of_server: Sequence[MemberLora], here: int | None, *, moderates: bool
) -> ui.LayoutView:
    """All of a member's own and, for moderators, all that are shared with the server that this is in, or are to be."""
    lines = [heading(say("Your LoRAs")), *(_line(one, here) for one in own[:LISTED])]
    if not own:
        lines.append(say("You have none yet: what you train lands here."))
    else:
        lines.append(small(say("Write one as `lora` in /imagine, or in a prompt as `<lora:name:0.8>`.")))
    rows: list[list[ui.Item[Any]]] = []
    if own:
        rows.append([panel_menu("lorapick", "own", _options(own[:LISTED]), placeholder=say("Choose one"))])
    if moderates:
        lines.append(title(say("Shared with this server")))
        lines += [f"{_line(one, here)} · <@{one.member_id}>" for one in of_server[:LISTED]] or [say("None.")]
        if of_server:
            menu = panel_menu("lorapick", "server", _options(of_server[:LISTED]), placeholder=say("Look after one"))
            rows.append([menu])
    return laid_out(lines, rows)


def card(
    lora: MemberLora, file: LoraFile | None, preview: Path | None, here: int | None, *, owner: bool, moderates: bool
) -> tuple[ui.LayoutView, list[discord.File]]:
    """All that is to be known of one, to whom it may concern, with what they may do, and its preview."""
    rows: list[list[ui.Item[Any]]] = []
    if owner:
        rows.append(
            [
                _button(lora, "own", say("Only for me"), disabled=lora.share == "own"),
                _button(lora, "server", say("Share with this server"), disabled=_is_asked(lora, here)),
                _button(lora, "all", say("Share with all servers"), disabled=lora.share == "all"),
            ]
        )
        rows.append(
            [
                PanelButton("lorarename", str(lora.id), label=say("Rename…"), disabled=lora.share != "own"),
                PanelButton("loraload", str(lora.id), label=say("Download")),
            ]
        )
    if moderates and lora.share == "server":
        rows.append(_decisions(lora))
    rows.append(
        [
            PanelButton("loraremove", str(lora.id), label=say("Delete…"), style=discord.ButtonStyle.danger),
            PanelButton("loras", "", label=say("Back")),
        ]
    )
    return _card(lora, file, preview, here, rows)


def notice(lora: MemberLora, file: LoraFile | None, preview: Path | None) -> tuple[ui.LayoutView, list[discord.File]]:
    """The same for the moderators of a server who are to decide about it, or who have."""
    return _card(lora, file, preview, lora.guild_id, [_decisions(lora)] if lora.state == "pending" else [])


def sure(lora: MemberLora) -> ui.LayoutView:
    """The question whether one is really to be deleted."""
    lines = [
        heading(say("Delete {lora}?", lora=cards.plain(lora.name))),
        say("Nobody can paint with it any more, what was painted with it stays. Nobody can bring it back."),
    ]
    buttons = [
        PanelButton("loradelete", str(lora.id), label=say("Delete"), style=discord.ButtonStyle.danger),
        PanelButton("loras", "", label=say("Back")),
    ]
    return laid_out(lines, [buttons])


def state(lora: MemberLora, here: int | None) -> str:
    """With whom it is shared, or is to be, for who reads it in this server."""
    match lora.share, lora.state:
        case "own", _:
            return say("only for its owner")
        case "server", "pending":
            return say("waits for the moderators") if lora.guild_id == here else say("waits for another server")
        case "server", "refused":
            return say("the moderators do not let it be shared")
        case "server", _:
            return say("shared with this server") if lora.guild_id == here else say("shared with another server")
        case _, "pending":
            return say("waits for whoever runs this bot")
        case _, "refused":
            return say("whoever runs this bot does not let it be shared")
        case _:
            return say("shared with all servers")


def _is_asked(lora: MemberLora, here: int | None) -> bool:
    """Whether it is shared with the server that this is in, or waits for that; nothing is in direct messages."""
    return here is None or (lora.share == "server" and lora.state != "refused" and lora.guild_id == here)


def _card(
    lora: MemberLora,
    file: LoraFile | None,
    preview: Path | None,
    here: int | None,
    rows: Sequence[Sequence[ui.Item[Any]]],
) -> tuple[ui.LayoutView, list[discord.File]]:
    learned = say_many("learned from {count} picture", "learned from {count} pictures", lora.pictures)
    trigger = say("say “{words}”", words=cards.plain(lora.trigger)) if lora.trigger else say("needs no word")
    size = [] if file is None else [say("{size} MB", size=round(file.bytes / 1e6, 1))]
    consent, licence = title(say("Consent")), title(say("Licence"))
    lines = [
        heading(cards.plain(lora.name)),
        f"<@{lora.member_id}> · {state(lora, here)}",
        " · ".join([say(KINDS[lora.kind]), f"`{lora.model}`", trigger]),
        " · ".join([learned, say("epoch {epoch}", epoch=lora.epoch), *size, f"<t:{lora.made_at:.0f}:d>"]),
        f"{consent}: {cards.plain(lora.consent)}",
        f"{licence}: {cards.plain(lora.license)}",
    ]
    container: ui.Container[Any] = ui.Container(accent_colour=COLOUR)
    container.add_item(ui.TextDisplay("\n".join(lines)))
    files = []
    if preview is not None:
        shows = say("What is painted with it")
        gallery: ui.MediaGallery[Any] = ui.MediaGallery()
        gallery.add_item(media=f"attachment://{PREVIEW}", description=shows, spoiler=True)
        container.add_item(gallery)
        files.append(discord.File(preview, filename=PREVIEW))
    for row in rows:
        container.add_item(ui.ActionRow(*row))
    return cards.layout(container), files


def _decisions(lora: MemberLora) -> list[ui.Item[Any]]:
    approve = PanelButton(
        "loradecide",
        f"usable:{lora.id}",
        label=say("Let it be shared"),
        style=discord.ButtonStyle.success,
        disabled=lora.state == "usable",
    )
    refuse = PanelButton(
        "loradecide", f"refused:{lora.id}", label=say("Do not share it"), disabled=lora.state == "refused"
    )
    return [approve, refuse]


def _button(lora: MemberLora, share: str, label: str, *, disabled: bool) -> ui.Item[Any]:
    return PanelButton("lorashare", f"{share}:{lora.id}", label=label, disabled=disabled)


def _line(lora: MemberLora, here: int | None) -> str:
    said = [f"**{cards.plain(lora.name)}**", f"`{lora.model}`", state(lora, here)]
    return " · ".join(said)


def _options(loras: Sequence[MemberLora]) -> list[discord.SelectOption]:
    return [discord.SelectOption(label=f"#{one.id} {one.name}"[:LABEL_CHARS], value=str(one.id)) for one in loras]
