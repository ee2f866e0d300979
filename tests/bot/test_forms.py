"""Forms: they are cut to what Discord takes, and what is uploaded in one is known as it is sent."""

from __future__ import annotations

from discord import ui

from bot import forms
from bot.custom_ids import OfWord
from sandbox.limits.forms import Form
from sandbox.limits.modals import check_modal
from tests.bot.test_admission import interaction


def test_longest_words_of_any_language_are_taken() -> None:
    made = forms.form("t" * 99, "x", OfWord(""))
    forms.ask(made, "l" * 99, ui.FileUpload(custom_id="pictures", max_values=forms.UPLOADS), "d" * 999)
    checked = Form()
    kept = check_modal(checked, made.to_dict(), ())
    checked.close()
    [label] = kept["components"]
    assert (label["component"]["max_values"], len(label["description"])) == (10, 100)


def test_uploads_of_a_field_are_those_that_it_names() -> None:
    sent = interaction()
    told = {"filename": "a.png", "size": 5, "url": "https://cdn.discordapp.com/attachments/1/2/a.png"}
    field = {"type": 19, "custom_id": "pictures", "values": ["7", "9", "8"]}
    sent.data = {
        "components": [
            {"type": 18, "component": field},
            {"type": 10},
            {"type": 18, "component": {"custom_id": "other"}},
        ],
        "resolved": {"attachments": {"6": told, "7": told, "8": {**told, "filename": "b.png", "width": 3}}},
    }
    assert [(one.name, one.width, one.size_bytes) for one in forms.uploads(sent, "pictures")] == [
        ("a.png", None, 5),
        ("b.png", 3, 5),
    ]
    assert forms.uploads(sent, "other") == []
    sent.data = {}
    assert forms.uploads(sent, "pictures") == []
