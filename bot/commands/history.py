"""/history: one's own jobs as a gallery, searched, filtered and turned page by page; and what one favours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands, ui
from discord.app_commands import Choice

from bot import cards, completions, forms, gallery, permits
from bot.access import may_see, where_of
from bot.admission import Admission, admission_of
from bot.buttons import PanelButton
from bot.cards import Card
from bot.commands import Fields, Form, Slice, show
from bot.custom_ids import OfWord, number_in
from bot.errors import MemberError
from bot.finding import WORDS_CHARS, Page, Search
from bot.job import Job
from bot.posting import attached
from bot.taste import NO_TASTE, Aspect, Taste, explained, of_member
from bot.words import N_, say

ROWS = 6
"""Of a page: what a phone shows without much scrolling, and well within the 40 components and 10 files of a message."""

COMMANDS = ("imagine", "edit", "grid", "upscale", "describe", "classify")

FAVOURED: dict[Aspect, str] = {
    "style": N_("the style {name}"),
    "lora": N_("the LoRA {name}"),
    "model": N_("the model {name}"),
    "size": N_("the size {name}"),
}


@app_commands.command(description=N_("Your pictures and answers of this server, newest first"))
@app_commands.describe(
    words=N_("Words of the prompt, whole or in part"),
    command=N_("Only what this command made"),
    model=N_("Only what this model made"),
    favourites=N_("Only what you starred, whoever made it"),
)
@app_commands.choices(command=[Choice(name=f"/{command}", value=command) for command in COMMANDS])
@app_commands.autocomplete(model=completions.models)
async def history(
    interaction: discord.Interaction,
    words: app_commands.Range[str, 1, WORDS_CHARS] | None = None,
    command: str | None = None,
    model: str | None = None,
    favourites: bool = False,
) -> None:
    """/history."""
    search = Search(words or "", command or "", model or "", favourites)
    await interaction.response.defer(ephemeral=True, thinking=True)
    await _turn(interaction, search, "")


async def turn(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The buttons that turn the pages: SEARCH:, SEARCH:<JOB or SEARCH:>JOB."""
    number, _colon, cursor = target.word.partition(":")
    await _again(interaction, await _search(interaction, number), cursor)


async def toggle_favourites(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button that leaves nothing but favourites, or brings the rest back."""
    search = await _search(interaction, target.word)
    await _again(interaction, replace(search, favourites=not search.favourites), "")


async def open_search(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button Search."""
    search = await _search(interaction, target.word)
    form = forms.form(say("Search your history"), "search", target)
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id="words", default=search.words or None, max_length=WORDS_CHARS, required=False
    )
    forms.ask(form, say("Words of the prompt (empty for all)"), field)
    await interaction.response.send_modal(form)


async def search_for(interaction: discord.Interaction, target: OfWord, fields: Fields) -> None:
    """Its form."""
    search = await _search(interaction, target.word)
    await _again(interaction, replace(search, words=fields["words"].strip()[:WORDS_CHARS]), "")


async def suggest(interaction: discord.Interaction, target: OfWord, _: Sequence[str]) -> None:
    """The button that switches suggestions off, or on again: on:SEARCH or off:SEARCH."""
    wanted, _colon, number = target.word.partition(":")
    search = await _search(interaction, number)
    await admission_of(interaction).jobs.finding.want_suggestions(interaction.user.id, wanted == "on")
    await _again(interaction, search, "")


async def _search(interaction: discord.Interaction, number: str) -> Search:
    """The search of a button. Raises MemberError where this member has none such."""
    admission = admission_of(interaction)
    await permits.require(interaction, "history")
    search = await admission.jobs.finding.kept(interaction.user.id, number_in(number) or 0)
    if search is None:
        raise MemberError("This page is too old: use /history again.")
    return search


async def _again(interaction: discord.Interaction, search: Search, cursor: str) -> None:
    await interaction.response.defer()
    await _turn(interaction, search, cursor)


async def _turn(interaction: discord.Interaction, search: Search, cursor: str) -> None:
    """Show a page in the place of what was there: the newest, or what comes before (<) or after (>) a job."""
    admission, member = admission_of(interaction), interaction.user.id
    finding, where = admission.jobs.finding, where_of(interaction)
    direction, job_id = cursor[:1], number_in(cursor[1:])
    page = await finding.page(
        member,
        search,
        where,
        before=job_id if direction == "<" else None,
        after=job_id if direction == ">" else None,
        limit=ROWS,
    )
    # Favourites may be somebody else's, of a channel that is closed by now.
    jobs = [job for job in await admission.jobs.all_of(page.jobs) if await may_see(interaction, job)]
    number = await finding.keep(member, search)
    wanted = await finding.wants_suggestions(member)
    taste = await of_member(admission.jobs, member, where) if wanted else NO_TASTE
    starred = await finding.starred(member, page.jobs)
    small = await gallery.thumbnails(admission, gallery.thumbnailed(jobs, starred))
    card = _card(admission, search, number, page, jobs, starred, small)
    _say_taste(admission, card, taste, number, wanted)
    card.view.stop()
    await interaction.edit_original_response(
        view=card.view, attachments=attached(card), allowed_mentions=discord.AllowedMentions.none()
    )


def _card(
    admission: Admission,
    search: Search,
    number: int,
    page: Page,
    jobs: Sequence[Job],
    starred: dict[int, list[int]],
    small: dict[int, bytes],
) -> Card:
    container: ui.Container[Any] = ui.Container()
    container.add_item(ui.TextDisplay("\n".join(_head(search, bool(jobs)))))
    files = []
    for job in jobs:
        text = gallery.line(admission, job, starred.get(job.id, ()))
        if job.id not in small:
            container.add_item(ui.TextDisplay(text))
            continue
        hidden = any(picture.flagged for picture in job.pictures)
        name = f"{cards.SPOILER * hidden}easel-{job.id}.webp"
        files.append((name, small[job.id]))
        alt = cards.shorten(gallery.plain_title(admission, job), cards.ALT_CHARS)
        thumbnail: ui.Thumbnail[Any] = ui.Thumbnail(f"attachment://{name}", description=alt, spoiler=hidden)
        container.add_item(ui.Section(text, accessory=thumbnail))
    if jobs:
        titles = {job.id: gallery.plain_title(admission, job) for job in jobs}
        container.add_item(ui.ActionRow(show.menu(admission, titles, say("Show one of these"))))
    container.add_item(ui.ActionRow(*_buttons(search, number, page)))
    view = ui.LayoutView(timeout=None)
    view.add_item(container)
    return Card(view, tuple(files))


def _head(search: Search, found: bool) -> list[str]:
    heading = say("Your favourites") if search.favourites else say("Your history")
    lines = [f"### {heading}"]
    filters = [f"“{cards.plain(search.words)}”"] * bool(search.words)
    filters += [f"/{search.command}"] * bool(search.command) + [cards.plain(search.model)] * bool(search.model)
    if filters:
        lines.append(f"-# {' · '.join(filters)}")
    if not found:
        nothing = (
            say("Nothing of that was found here: try fewer words, or another channel or server.")
            if filters or search.favourites
            else say("There is nothing yet: /imagine paints your first picture.")
        )
        lines.append(nothing)
    return lines


def _buttons(search: Search, number: int, page: Page) -> list[PanelButton]:
    first, last = (page.jobs[0], page.jobs[-1]) if page.jobs else (0, 0)
    only = say("Everything") if search.favourites else say("★ Favourites")
    return [
        PanelButton("history", f"{number}:", label=say("Newest"), disabled=not page.newer),
        PanelButton("history", f"{number}:>{first}", label=say("Newer"), disabled=not page.newer),
        PanelButton("history", f"{number}:<{last}", label=say("Older"), disabled=not page.older),
        PanelButton("favourites", str(number), label=only),
        PanelButton("search", str(number), label=say("Search")),
    ]


def _say_taste(admission: Admission, card: Card, taste: Taste, number: int, wanted: bool) -> None:
    """Say what the member favours, with one button to hear no more of it; or one to hear of it again."""
    if not wanted:
        again = PanelButton("suggestions", f"on:{number}", label=say("Suggest again"))
        line = say("What you use most is neither counted nor suggested.")
        _add(card, line, again)
        return
    said = [
        say(FAVOURED[one.aspect], name=cards.plain(one.name)) + f" ({explained(taste, one)})"
        for one in taste.best()
        if one.aspect != "model" or len(admission.ready.models) > 1
    ]
    if said:
        off = PanelButton("suggestions", f"off:{number}", label=say("Stop suggesting"))
        line = say("You favour {things}: what you use most is offered first.", things=", ".join(said))
        _add(card, line, off)


def _add(card: Card, line: str, button: PanelButton) -> None:
    card.view.add_item(ui.TextDisplay(f"-# {line}"))
    card.view.add_item(ui.ActionRow(button))


SLICE = Slice(
    commands=[history],
    panel={"history": turn, "favourites": toggle_favourites, "search": open_search, "suggestions": suggest},
    forms={"search": Form((OfWord,), search_for)},
)
