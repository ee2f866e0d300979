"""The forms of /train: what is asked of a new training, of one that is prepared, and of its captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import ui

from bot import cards, forms
from bot.buttons import MENU_CHARS, OFFERED
from bot.custom_ids import OfWord
from bot.panels.train import KINDS
from bot.requests import captions
from bot.training.states import Training, TrainingPicture
from bot.words import say
from inference.protocol import ModelInfo, TrainingInfo
from inference.protocol.limits import training as limits

TYPED_CHARS = 4000
"""The most that Discord takes in one field."""

NUMBERS = ("steps", "rank", "rate", "epochs", "resolution")
"""What can be said under Advanced."""


def new(word: str, *, needs_pictures: bool) -> ui.Modal:
    """The form of a new training; the word says what else is known of it. Its pictures may come from elsewhere."""
    form = forms.form(say("New training"), "trainnew", OfWord(word))
    forms.ask(
        form,
        say("Name"),
        _line("name", limits.MAX_NAME_CHARS, example="etchings-of-mei"),
        say("Small letters, digits, dots and dashes: by it the LoRA is called in prompts."),
    )
    _ask_trigger(form, "")
    _ask_of_rights(form, "", "")
    forms.ask(form, say("Pictures"), _pictures(required=needs_pictures), _of_pictures(0))
    return form


def more(training: Training, count: int) -> ui.Modal:
    """The form that brings more pictures to so many."""
    form = forms.form(say("Add pictures"), "trainadd", OfWord(str(training.id)))
    left = min(limits.MOST_PICTURES - count, forms.UPLOADS)
    forms.ask(form, say("Pictures"), _pictures(required=True, most=max(left, 1)), _of_pictures(count))
    return form


def details(training: Training, models: Sequence[ModelInfo]) -> ui.Modal:
    """The form of what is said of a training."""
    form = forms.form(say("Details"), "traindetails", OfWord(str(training.id)))
    forms.ask(form, say("Name"), _line("name", limits.MAX_NAME_CHARS, training.name))
    _ask_trigger(form, training.trigger)
    options = [
        discord.SelectOption(
            label=cards.shorten(f"{one.title} · {say(title)}", MENU_CHARS),
            value=f"{kind}:{one.name}",
            default=(kind, one.name) == (training.kind, training.model),
        )
        for one in models[: OFFERED // len(KINDS)]
        for kind, title in KINDS.items()
    ]
    chosen: ui.Select[Any] = ui.Select(custom_id="what", options=options, required=True)
    forms.ask(form, say("Model and kind"), chosen, say("A style is how pictures look, a subject what is in them."))
    _ask_of_rights(form, training.consent, training.license)
    return form


def numbers(training: Training, begins: TrainingInfo) -> ui.Modal:
    """The form of how it is trained, for who wants it otherwise than its model's family begins."""
    form = forms.form(say("Advanced"), "trainnumbers", OfWord(str(training.id)))
    asked = {
        "steps": (say("Steps"), say("How long it learns. Twice as many learn more of the pictures, and by heart.")),
        "rank": (say("Rank"), say("How much it can hold: 4 for a simple subject, 64 for a style of many details.")),
        "rate": (
            say("Learning rate"),
            say("Of AdamW. Guides' 1e-5 is for whole models; a LoRA bears ten times as much."),
        ),
        "epochs": (
            say("Epochs"),
            say("So many parts: after each you see what it paints, and can take it as it is then."),
        ),
        "resolution": (say("Resolution"), say("About N x N pixels of each picture; more takes more memory and time.")),
    }
    for name, (label, why) in asked.items():
        value = getattr(training.options, name)
        begin = getattr(begins, name)
        field = _line(
            name,
            20,
            None if value is None else f"{value:g}",
            example=say("Empty: {number}", number=f"{begin:g}"),
            required=False,
        )
        forms.ask(form, label, field, why)
    return form


def caption(training: Training, picture: TrainingPicture, page: int) -> ui.Modal:
    """The form of one picture's words."""
    word = f"{training.id}:{picture.number}:{page}"
    form = forms.form(say("Picture {number}", number=picture.number), "traincaption", OfWord(word))
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id="words",
        style=discord.TextStyle.paragraph,
        default=picture.caption or None,
        max_length=limits.MAX_CAPTION_CHARS,
        required=False,
    )
    forms.ask(form, say("What it shows"), field)
    return form


def all_captions(training: Training, known: Mapping[int, str], page: int) -> ui.Modal:
    """The form of the words of as many pictures as fit, from the first of these on."""
    form = forms.form(say("Change many at once"), "trainall", OfWord(f"{training.id}:{page}"))
    text = captions.together(known, TYPED_CHARS)
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id="words", style=discord.TextStyle.paragraph, default=text, max_length=TYPED_CHARS, required=False
    )
    forms.ask(form, say("A line of each"), field, say("Pictures that stand in no line keep their words."))
    return form


def replace(training: Training, page: int) -> ui.Modal:
    """The form that puts a text in another's place, in all captions."""
    form = forms.form(say("Find and replace"), "trainreplace", OfWord(f"{training.id}:{page}"))
    forms.ask(form, say("Find"), _line("old", 100))
    forms.ask(form, say("Put in its place"), _line("new", 300, required=False), say("In all captions, however spelt."))
    return form


def _ask_trigger(form: ui.Modal, value: str) -> None:
    forms.ask(
        form,
        say("Trigger words"),
        _line("trigger", limits.MAX_TRIGGER_CHARS, value, required=False),
        say("What it answers to in a prompt, best a word that says nothing yet. Empty: it is always at work."),
    )


def _ask_of_rights(form: ui.Modal, consent: str, license_: str) -> None:
    forms.ask(
        form,
        say("Who made them or is in them, and agreed?"),
        _line("consent", limits.MAX_LINE_CHARS, consent, example=say("Drawn by me; the woman is Mei, who agreed")),
        say("Train on nothing without the leave of whoever made it and is in it. This goes into the file."),
    )
    forms.ask(
        form,
        say("Licence"),
        _line("license", limits.MAX_LINE_CHARS, license_, example="CC BY 4.0"),
        say("What others may do with the LoRA. This goes into the file too."),
    )


def _line(
    name: str, most: int, value: str | None = None, *, example: str | None = None, required: bool = True
) -> ui.TextInput[Any]:
    return ui.TextInput(
        custom_id=name,
        default=value or None,
        placeholder=None if example is None else example[: forms.PLACEHOLDER_CHARS],
        max_length=most,
        required=required,
    )


def _pictures(*, required: bool, most: int = forms.UPLOADS) -> ui.FileUpload[Any]:
    return ui.FileUpload(custom_id="pictures", required=required, min_values=int(required), max_values=most)


def _of_pictures(count: int) -> str:
    return say(
        "Up to {most} at once, {least} to {all} in all; there are {count}. More can be added afterwards.",
        most=forms.UPLOADS,
        count=count,
        least=limits.LEAST_PICTURES,
        all=limits.MOST_PICTURES,
    )
