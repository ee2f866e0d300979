"""How trainings look: at its most it is still taken by Discord, and what cannot be done is no button."""

from __future__ import annotations

import dataclasses
from typing import Any

import discord
import msgspec
import pytest

from bot.buttons import MENU_CHARS, panel_menu
from bot.panels import train as panel
from bot.panels import train_captions, train_forms, train_list
from bot.panels.train import Seen
from bot.panels.train_captions import Course
from bot.training.states import State, Training, TrainingEpoch, TrainingPicture
from bot.words import catalogues, speaking
from inference.protocol import TrainingOptions, because
from inference.protocol.limits import training as limits
from sandbox.limits.components import check_components
from sandbox.limits.forms import Form
from sandbox.limits.modals import check_modal
from tests.bot.training.test_store import able

LONG = "*_`" * 999


def training(state: State = "draft", **changes: Any) -> Training:
    """One with the longest words that there can be."""
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Training)}
    values |= {
        **{"id": 2**62, "member_id": 2**63 - 1, "channel_id": 2**62, "name": "n" * limits.MAX_NAME_CHARS},
        **{"trigger": LONG[: limits.MAX_TRIGGER_CHARS], "consent": LONG[: limits.MAX_LINE_CHARS]},
        **{"kind": "subject", "license": LONG[: limits.MAX_LINE_CHARS], "model": "starter", "state": state},
        **{"options": TrainingOptions(), "step": 10_000, "epoch": 50, "share": "own"},
        **{"created_at": 2e9, "changed_at": 2e9},
    }
    return Training(**(values | changes))


EPOCHS = [TrainingEpoch(epoch, epoch * 200, 0.123456789, 2e9) for epoch in range(1, 51)]

SEEN = {
    "draft": Seen(training=training(), ready=able(), pictures=200, captioned=3, describes=True),
    "empty": Seen(training=training(), ready=able()),
    "unknown": Seen(training=training(), ready=None),
    "waiting": Seen(training=training("waiting"), ready=able(), place=99),
    "training": Seen(training=training("training", steps=10_000, epochs=50, loss=0.1), ready=able(), epochs=EPOCHS[:9]),
    "ended": Seen(training=training("ended", steps=10_000, epochs=50, chosen=50), ready=able(), epochs=EPOCHS),
    "stopped": Seen(training=training("stopped", steps=10_000), ready=able(), epochs=EPOCHS, looked_at=30),
    "failed": Seen(training=training("failed", reason=because("training_diverged", step=7)), ready=able()),
}


def shown(view: discord.ui.LayoutView, files: set[str]) -> list[dict[str, Any]]:
    """The components, which Discord would take."""
    components = view.to_components()
    form = Form()
    check_components(form, {"components": components}, files, version_2=True)
    form.close()
    return components


@pytest.mark.parametrize("language", [catalogues.ENGLISH, catalogues.PSEUDO, "zh-CN"])
def test_everything_at_its_most_is_still_taken_by_discord(language: str) -> None:
    names = [f"{number}.webp" for number in range(5)]
    pictures = [TrainingPicture(number, "0" * 64, LONG[: limits.MAX_CAPTION_CHARS]) for number in range(1, 201)]
    with speaking(language):
        for seen in SEEN.values():
            for own, private in ((True, True), (True, False), (False, True)):
                card = panel.card(seen, [(name, b"") for name in names], own=own, private=private)
                shown(card.view, set(names))
        for of_server in (True, False):
            many = [training(state, id=number) for number, state in enumerate([*panel.STATES] * 4)]
            shown(train_list.home(many, of_server=of_server, moderates=True, able=True), set())
        shown(train_list.home([], of_server=False, moderates=False, able=False), set())
        shown(train_list.sure(training()), set())
        course = Course(at_work=False, flagged=list(range(200)), problem=because("few_pictures", count=1, least=5))
        for number in (0, 39, 9999):
            small = {one.number: b"" for one in train_captions.paged(pictures, number)[2][:4]}
            card = train_captions.page(training(), pictures, number, small, course=course, able=True)
            shown(card.view, {name for name, _ in card.files})
        shown(train_captions.page(training(), [], 0, {}, course=None, able=False).view, set())
        assert panel_menu("trainopen", "", [], placeholder=LONG).placeholder == LONG[:MENU_CHARS]
        begins = able().models[0].training
        assert begins is not None
        many_models = [msgspec.structs.replace(able().models[0], name=f"m{n}", title=LONG) for n in range(40)]
        for form in (
            train_forms.new("subject:" + "m" * 60 + ":favourites", needs_pictures=False),
            train_forms.more(training(), 195),
            train_forms.details(training(), many_models),
            train_forms.numbers(training(options=TrainingOptions(steps=10_000, rate=1e-5)), begins),
            train_forms.caption(training(), pictures[0], 9999),
            train_forms.all_captions(training(), {one.number: one.caption for one in pictures}, 39),
            train_forms.replace(training(), 0),
        ):
            checked = Form()
            check_modal(checked, form.to_dict(), ())
            checked.close()


def buttons(seen: Seen, **how: bool) -> dict[str, bool]:
    """What can be pressed or chosen, and whether it is open."""
    found: dict[str, bool] = {}
    for row in shown(panel.card(seen, **how).view, set())[0]["components"]:
        for item in row.get("components", ()):
            found[item["custom_id"].split(":")[2]] = not item.get("disabled", False)
    return found


def test_what_cannot_be_done_is_no_button() -> None:
    assert not buttons(SEEN["empty"])["trainstart"]
    assert not buttons(SEEN["draft"])["trainstart"], "captions are being written"
    assert not buttons(SEEN["draft"])["trainadd"], "there are as many as there may be"
    ready = dataclasses.replace(SEEN["draft"], describes=False)
    assert buttons(ready)["trainstart"]
    assert {*buttons(SEEN["ended"])} == {"trainlook", "train", "traindelete"}
    assert {*buttons(SEEN["stopped"])} >= {"traingo", "trainchoose", "trainlook"}
    assert {*buttons(SEEN["stopped"], own=False)} == {"train", "traindelete"}
    assert {*buttons(SEEN["training"], private=False)} == {"trainstop", "train"}


def test_failure_says_why() -> None:
    assert "smaller rate" in str(panel.card(SEEN["failed"]).view.to_components())
