"""/loras: a member's own LoRAs, shared, renamed, taken along, deleted; and for moderators those of their server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import discord
from discord import app_commands, ui

from bot import cards, forms
from bot.admission import admission_of
from bot.commands import Fields, Form, Slice
from bot.custom_ids import OfWord, number_in
from bot.database import written
from bot.errors import MemberError
from bot.loras.kept import Loras
from bot.loras.lora import MemberLora, ShareState
from bot.loras.sharing import Sharing
from bot.panels import loras as panel
from bot.panels.page import show
from bot.speaking import tell
from bot.training.states import Share
from bot.words import N_, say
from inference.protocol import because
from inference.protocol.limits import training as limits

NAME = "loras"
WHAT = "a LoRA"
GONE = N_("This LoRA is gone, or is not yours to look after: send /loras again.")
NO_ROOM = N_("This file has {size} MB, and Discord takes {most} MB here: whoever runs this bot can hand it to you.")
SHARES: dict[str, Share] = {"own": "own", "server": "server", "all": "all"}
DECISIONS: dict[str, ShareState] = {"usable": "usable", "refused": "refused"}


@app_commands.command(name=NAME, description=N_("Your own LoRAs: share, rename, download or delete them"))
async def loras(interaction: discord.Interaction) -> None:
    """/loras."""
    await _home(interaction)


async def open_home(interaction: discord.Interaction, _: OfWord, __: Sequence[str]) -> None:
    """The button Back."""
    await admission_of(interaction).access.require(interaction, NAME)
    await _home(interaction)


async def pick(interaction: discord.Interaction, target: OfWord, values: Sequence[str]) -> None:
    """The menus: one of one's own, or of the server; and the button of a training, which names its own."""
    await admission_of(interaction).access.require(interaction, NAME)
    await _show(interaction, _looked_after(interaction, values[0] if values else target.word))


async def share(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons that say with whom it is shared."""
    await admission_of(interaction).access.require(interaction, NAME)
    wanted, _colon, number = target.word.partition(":")
    lora = _own(interaction, number)
    if wanted not in SHARES:
        raise MemberError(GONE)
    moderates = _moderates(interaction)
    with written(WHAT):
        changed = await _sharing(interaction).share(lora, SHARES[wanted], interaction.guild_id, moderates=moderates)
    await _show(interaction, _there(changed))


async def decide(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons of moderators, here and in the log channel."""
    await admission_of(interaction).access.require(interaction, NAME)
    decision, _colon, number = target.word.partition(":")
    lora = _numbered(interaction, number)
    if decision not in DECISIONS or not _is_moderated(interaction, lora):
        raise MemberError(GONE)
    with written(WHAT):
        await _loras(interaction).decide(lora.id, DECISIONS[decision], interaction.user.id)
    now = _there(_loras(interaction).find(lora.id))
    if interaction.message is not None and not interaction.message.flags.ephemeral:
        # The question is shown anew to all of them by whoever posted it.
        await tell(interaction, f"{cards.plain(now.name)}: {panel.state(now, interaction.guild_id)}")
    else:
        await _show(interaction, now)


async def open_rename(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Rename."""
    await admission_of(interaction).access.require(interaction, NAME)
    lora = _own(interaction, target.word)
    form = forms.form(say("Rename {lora}", lora=lora.name), "loraname", OfWord(str(lora.id)))
    field: ui.TextInput[Any] = ui.TextInput(custom_id="name", default=lora.name, max_length=limits.MAX_NAME_CHARS)
    forms.ask(form, say("Its new name"), field)
    await interaction.response.send_modal(form)


async def rename(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    await admission_of(interaction).access.require(interaction, NAME)
    lora = _own(interaction, target.word)
    with written(WHAT):
        renamed = await _sharing(interaction).rename(lora, fields.get("name", ""))
    await _show(interaction, _there(renamed))


async def download(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Download: both layouts, for its owner alone."""
    await admission_of(interaction).access.require(interaction, NAME)
    lora = _own(interaction, target.word)
    store, file = _loras(interaction).store, await _loras(interaction).file_of(lora)
    if file is None:
        raise MemberError(GONE)
    await interaction.response.defer(ephemeral=True, thinking=True)
    layouts = {
        f"{lora.name}.safetensors": (store.path(file.sha256), say("As diffusers and Easel read it")),
        f"{lora.name}.kohya.safetensors": (store.path(file.kohya_sha256), say("As most other tools read it")),
    }
    for name, (path, said) in layouts.items():
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError as error:
            raise MemberError.of(because("lora_file_gone", lora=lora.name)) from error
        if size > interaction.filesize_limit:
            most = interaction.filesize_limit // 10**6
            raise MemberError(NO_ROOM, size=round(size / 1e6, 1), most=most)
        await interaction.followup.send(said, file=discord.File(path, filename=name), ephemeral=True)


async def ask_to_remove(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Delete: asks once more."""
    await admission_of(interaction).access.require(interaction, NAME)
    await show(interaction, panel.sure(_looked_after(interaction, target.word)))


async def remove(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button that does it."""
    await admission_of(interaction).access.require(interaction, NAME)
    lora = _looked_after(interaction, target.word)
    by = None if lora.member_id == interaction.user.id else interaction.user.id
    with written(WHAT):
        await _loras(interaction).delete(lora.id, by)
    await _home(interaction)


def _sharing(interaction: discord.Interaction) -> Sharing:
    """What says whether LoRAs may be shared."""
    admission = admission_of(interaction)
    return Sharing(admission.jobs.loras, admission.policies, lambda: admission.ready)


def _loras(interaction: discord.Interaction) -> Loras:
    return admission_of(interaction).jobs.loras


def _there(lora: MemberLora | None) -> MemberLora:
    if lora is None:
        raise MemberError(GONE)
    return lora


def _numbered(interaction: discord.Interaction, number: str) -> MemberLora:
    """The LoRA of a number, which anybody can forge."""
    return _there(_loras(interaction).find(number_in(number) or 0))


def _own(interaction: discord.Interaction, number: str) -> MemberLora:
    lora = _numbered(interaction, number)
    if lora.member_id != interaction.user.id:
        raise MemberError(GONE)
    return lora


def _looked_after(interaction: discord.Interaction, number: str) -> MemberLora:
    """One of this member's own, or of the server that they look after."""
    lora = _numbered(interaction, number)
    if lora.member_id != interaction.user.id and not _is_moderated(interaction, lora):
        raise MemberError(GONE)
    return lora


def _moderates(interaction: discord.Interaction) -> bool:
    """Whether this member looks after this server, and not only after one of its channels."""
    member = interaction.user
    return isinstance(member, discord.Member) and member.guild_permissions.manage_messages


def _is_moderated(interaction: discord.Interaction, lora: MemberLora) -> bool:
    return lora.guild_id is not None and lora.guild_id == interaction.guild_id and _moderates(interaction)


async def _home(interaction: discord.Interaction) -> None:
    kept = _loras(interaction)
    moderates = _moderates(interaction)
    of_server = kept.of_guild(interaction.guild_id) if moderates and interaction.guild_id is not None else []
    own = kept.of_member(interaction.user.id)
    view = panel.home(own, of_server, interaction.guild_id, moderates=moderates)
    await show(interaction, view)


async def _show(interaction: discord.Interaction, lora: MemberLora) -> None:
    kept = _loras(interaction)
    file = await kept.file_of(lora)
    view, files = panel.card(
        lora,
        file,
        await kept.preview_of(file),
        interaction.guild_id,
        owner=lora.member_id == interaction.user.id,
        moderates=_is_moderated(interaction, lora),
    )
    await show(interaction, view, files)


SLICE = Slice(
    commands=[loras],
    panel={
        "loras": open_home,
        "lorapick": pick,
        "lorashare": share,
        "loradecide": decide,
        "lorarename": open_rename,
        "loraload": download,
        "loraremove": ask_to_remove,
        "loradelete": remove,
    },
    forms={"loraname": Form((OfWord,), rename)},
)
