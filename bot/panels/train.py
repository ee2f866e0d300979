"""How a training looks: one that is prepared, and one that waits, is trained or has ended.

Lists of them are in `train_list`, their captions in `train_captions`, their forms in `train_forms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bot import cards
from bot.buttons import MENU_CHARS, OFFERED, PanelButton, panel_menu
from bot.cards import Card, Content
from bot.loras.lora import MemberLora
from bot.panels import page
from bot.training.states import State, Training, TrainingEpoch
from bot.words import N_, say, say_many, why
from inference.protocol import Ready, Reason, TrainingInfo
from inference.protocol.limits import training as limits

SAID_CHARS = 2000
"""The most that Discord takes of a message of words alone."""

PREVIEW, LOSS = "epoch", "loss.png"
"""Files of a card."""

STATES: dict[State, str] = {
    "draft": N_("being prepared"),
    "waiting": N_("waiting"),
    "training": N_("being trained"),
    "ended": N_("finished"),
    "stopped": N_("stopped"),
    "failed": N_("failed"),
}

KINDS = {"style": N_("a style"), "subject": N_("a subject")}

_COLOURS: dict[State, discord.Colour] = {
    "draft": page.COLOUR,
    "waiting": discord.Colour(0x8A8F98),
    "training": discord.Colour(0xE8A33D),
    "ended": discord.Colour(0x4FA97A),
    "stopped": discord.Colour(0x8A8F98),
    "failed": discord.Colour(0xC9504A),
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A training as it is shown, with what else is known of it."""

    training: Training
    ready: Ready | None
    """What the engine can do; None where nobody can tell yet."""
    pictures: int = 0
    captioned: int = 0
    describes: bool = False
    """Whether captions are being written at this moment."""
    place: int | None = None
    """How many go before it, where it waits."""
    epochs: Sequence[TrainingEpoch] = ()
    looked_at: int | None = None
    """The epoch whose preview is shown."""
    lora: MemberLora | None = None
    """What it has become."""
    unlanded: Reason | None = None
    """Why what was chosen has not become a LoRA."""

    @property
    def model(self) -> str:
        """What its model is called."""
        found = None if self.ready is None else self.ready.model(self.training.model)
        return self.training.model if found is None else found.title

    @property
    def begins(self) -> TrainingInfo | None:
        """How its model is trained where its member does not say."""
        found = None if self.ready is None else self.ready.model(self.training.model)
        return None if found is None else found.training

    @property
    def problem(self) -> Reason | None:
        """Why it cannot be trained so."""
        if self.ready is None:
            return None
        return limits.problem(self.training.order, self.pictures, self.ready)


def card(seen: Seen, files: Sequence[tuple[str, Content]] = (), *, own: bool = True, private: bool = True) -> Card:
    """One training. `own` is whether its owner looks at it, `private` whether they alone do. The files are its pictures
    where it is prepared, else its preview and its loss, as far as there are."""
    training = seen.training
    container: ui.Container[Any] = ui.Container(accent_colour=_COLOURS[training.state])
    container.add_item(ui.TextDisplay(cards.cut("\n".join(_lines(seen)), page.CHARS)))
    names = [name for name, _ in files]
    # A chart beside a picture would be cut to its shape.
    for shown in filter(None, ([name for name in names if name != LOSS], [name for name in names if name == LOSS])):
        gallery: ui.MediaGallery[Any] = ui.MediaGallery()
        for name in shown:
            gallery.add_item(media=f"attachment://{name}", description=_alt(seen, name))
        container.add_item(gallery)
    for row in filter(None, _rows(seen, own=own, private=private)):
        container.add_item(ui.ActionRow(*row))
    return Card(cards.layout(container), tuple(files))


def _lines(seen: Seen) -> list[str]:
    training = seen.training
    lines = [
        page.heading(cards.plain(training.name)),
        *(_prepared(seen) if training.state == "draft" else _gone_on(seen)),
    ]
    told = cards.plain(training.trigger)
    trigger = say("answers to “{trigger}”", trigger=told) if told else say("always at work")
    small = [f"#{training.id}", say(KINDS[training.kind]), cards.plain(seen.model), trigger, f"<@{training.member_id}>"]
    return [*lines, page.small(" · ".join(small))]


def _prepared(seen: Seen) -> list[str]:
    training, begins = seen.training, seen.begins
    pictures = say(
        "{count} ({least} to {most} are wanted)",
        count=seen.pictures,
        least=limits.LEAST_PICTURES,
        most=limits.MOST_PICTURES,
    )
    captions = say("{count} of {pictures} have words", count=seen.captioned, pictures=seen.pictures)
    if seen.describes:
        captions += " · " + say("more are being written")
    lines = [
        _said(say("Pictures"), pictures),
        _said(say("Captions"), captions),
        _said(say("Consent"), cards.plain(training.consent)),
        _said(say("Licence"), cards.plain(training.license)),
    ]
    if begins is not None:
        said = training.options
        numbers = {
            say("Steps"): said.steps or begins.steps,
            say("Rank"): said.rank or begins.rank,
            say("Learning rate"): f"{said.rate or begins.rate:g}",
            say("Epochs"): said.epochs or begins.epochs,
            say("Resolution"): said.resolution or begins.resolution,
        }
        lines.append(" · ".join(f"**{name}** {value}" for name, value in numbers.items()))
    if seen.problem is not None:
        lines.append(f"⚠ {why(seen.problem)}")
    elif seen.captioned < seen.pictures:
        lines.append(say("Say in captions what each picture shows: what they leave out is what is learned."))
    return lines


def _said(name: str, what: str) -> str:
    return f"{page.title(name)}: {what}"


def _gone_on(seen: Seen) -> list[str]:
    """How far it has come."""
    training = seen.training
    line = [f"**{say(STATES[training.state])}**"]
    if training.state == "waiting" and seen.place is not None:
        line += cards.places(seen.place + 1, None)
    elif training.state == "training" and not training.steps:
        line.append(say("loading the model"))
    lines = [" · ".join(line)]
    if training.steps:
        lines.append(f"{cards.bar(training.step, training.steps)} {training.step}/{training.steps}")
    numbers = []
    if training.loss is not None:
        numbers.append(say("loss {loss}", loss=f"{training.loss:.4f}"))
    if training.epochs:
        numbers.append(say("epoch {epoch} of {epochs}", epoch=training.epoch, epochs=training.epochs))
    if training.chosen is not None:
        numbers.append(say("epoch {epoch} is what comes of it", epoch=training.chosen))
    if numbers:
        lines.append(" · ".join(numbers))
    if training.state == "failed" and training.reason is not None:
        lines.append(discord.utils.escape_markdown(why(training.reason)))
    if training.state == "stopped":
        lines.append(say("Go on takes it up where it was."))
    if seen.lora is not None:
        lines.append(say("Write it in a prompt as {lora}.", lora=f"`<lora:{seen.lora.name}:{seen.lora.weight:g}>`"))
    elif seen.unlanded is not None:
        lines.append(f"⚠ {discord.utils.escape_markdown(why(seen.unlanded))}")
    return lines


def _rows(seen: Seen, *, own: bool, private: bool) -> list[list[ui.Item[Any]]]:
    training = seen.training
    word = str(training.id)
    delete = PanelButton("traindelete", word, label=say("Delete"), style=discord.ButtonStyle.danger)
    back = PanelButton("train", label=say("Back"))
    stop = PanelButton("trainstop", word, label=say("Stop"))
    if not own:
        return [[back, *([stop] if training.state in ("waiting", "training") else []), delete]]
    if training.state == "draft":
        start = PanelButton(
            "trainstart",
            word,
            label=say("Start"),
            style=discord.ButtonStyle.primary,
            disabled=seen.problem is not None or seen.describes,
        )
        refresh = [PanelButton("train", word, label=say("Refresh"))] * seen.describes
        full = seen.pictures >= limits.MOST_PICTURES
        return [
            [
                start,
                PanelButton("trainadd", word, label=say("Add pictures"), disabled=full),
                PanelButton("traincaptions", f"{word}:0", label=say("Captions"), disabled=not seen.pictures),
            ],
            [
                PanelButton("traindetails", word, label=say("Details")),
                PanelButton("trainnumbers", word, label=say("Advanced"), disabled=seen.begins is None),
                *refresh,
                delete,
                back,
            ],
        ]
    buttons: list[ui.Item[Any]] = []
    if training.state in ("waiting", "training"):
        buttons.append(stop)
    if training.state in ("stopped", "failed"):
        buttons.append(PanelButton("traingo", word, label=say("Go on"), style=discord.ButtonStyle.primary))
    if private:
        if seen.lora is not None:
            label = say("Share or download")
            buttons.append(PanelButton("lorapick", str(seen.lora.id), label=label, style=discord.ButtonStyle.primary))
        buttons.append(PanelButton("train", word, label=say("Refresh")))
        buttons += [delete, back]
    else:
        buttons.append(PanelButton("train", word, label=say("Show what it paints")))
    return [*(_epochs(seen) if private else ()), buttons]


def _epochs(seen: Seen) -> list[list[ui.Item[Any]]]:
    """The menu of its epochs, and the button that takes the one that is looked at."""
    if not seen.epochs:
        return []
    options = [
        discord.SelectOption(
            label=cards.shorten(say("Epoch {epoch}", epoch=one.epoch), MENU_CHARS),
            value=str(one.epoch),
            description=cards.shorten(_told(one), MENU_CHARS),
            default=one.epoch == seen.looked_at,
        )
        for one in seen.epochs[-OFFERED:]
    ]
    word = str(seen.training.id)
    rows: list[list[ui.Item[Any]]] = [[panel_menu("trainlook", word, options, placeholder=say("Look at an epoch"))]]
    if seen.looked_at is not None:
        take = PanelButton(
            "trainchoose",
            f"{word}:{seen.looked_at}",
            label=say("Take epoch {epoch}", epoch=seen.looked_at),
            style=discord.ButtonStyle.primary,
            disabled=seen.looked_at == seen.training.chosen,
        )
        rows.append([take])
    return rows


def _told(epoch: TrainingEpoch) -> str:
    steps = say_many("{count} step", "{count} steps", epoch.step)
    return " · ".join((say("loss {loss}", loss=f"{epoch.loss:.4f}"), steps))


def _alt(seen: Seen, name: str) -> str:
    training = seen.training
    if name == LOSS:
        losses = ", ".join(f"{one.loss:.4f}" for one in seen.epochs)
        return cards.shorten(say("Loss of each epoch: {losses}", losses=losses), cards.ALT_CHARS)
    if name.startswith(PREVIEW):
        return cards.shorten(
            say("What {name} paints after epoch {epoch}", name=training.name, epoch=seen.looked_at or training.epoch),
            cards.ALT_CHARS,
        )
    return cards.shorten(say("A picture that {name} learns from", name=training.name), cards.ALT_CHARS)
