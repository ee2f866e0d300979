"""The next set's ControlNet and LoRA: what they are taught on, what they are written as, and how they are counted."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from starter.control import controlled, load_control
from starter.next import beside
from starter.next.beside import control_prompts, run_control, run_style, style_prompts, style_share
from starter.next.judge import Found, Judge, Seen
from starter.next.prompts import Prompt
from starter.next.vae import LATENTS, new_vae
from starter.next.words import new_tokenizer
from starter.painter import load_picture, paint
from starter.style import load_style
from starter.train.export import export_network, export_picture
from starter.train.loop import Budget
from starter.train.plan import Plan
from starter.train.text import new_text_encoder
from tests.starter.worlds import small_unet


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """With a picture model and a judge as small as can be, of the next set's shapes."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("beside")
    tokenizer = new_tokenizer()
    unet = small_unet(LATENTS)
    words = new_text_encoder(tokenizer, width=16, layers=1, positions=48)
    export_picture(folder / "models" / "picture", new_vae((8, 8, 8, 8)), unet, words, tokenizer)
    export_network(folder / "models" / "judge" / "judge.safetensors", Judge().state_dict())
    return Plan(torch.device("cpu"), build=folder / "build", models=folder / "models")


def test_controlnet_is_as_fine_as_the_picture_model_and_is_loaded_beside_it(plan: Plan) -> None:
    figures = run_control(plan, Budget(steps=1), pictures=4, held_out=2)
    assert {"with", "without", "ceiling_1px", "gain"} <= figures.keys()
    pipeline = controlled(load_picture(plan.models / "picture"), load_control(plan.models / "control"))
    edges = Image.new("RGB", (128, 128))
    assert pipeline("a cat", image=edges, num_inference_steps=1).images[0].size == (128, 128)


def test_style_is_loaded_beside_the_picture_model_and_changes_what_it_paints(plan: Plan) -> None:
    figures = run_style(plan, Budget(steps=2), pictures=4, held_out=2)
    assert figures.keys() == {"style", "thing", "colour", "place"}
    weights = load_file(plan.models / "style" / "pytorch_lora_weights.safetensors")
    assert any(bool(weight.any()) for name, weight in weights.items() if "lora_B" in name)
    pipeline, prompts = load_picture(plan.models / "picture"), style_prompts(1)
    plain = paint(pipeline, prompts, steps=2)[0].tobytes()
    load_style(pipeline, plan.models / "style", 1.0)
    assert paint(pipeline, prompts, steps=2)[0].tobytes() != plain
    pipeline.set_adapters("style", 0.0)
    assert paint(pipeline, prompts, steps=2)[0].tobytes() == plain


def test_prompts_leave_to_edges_and_style_what_is_theirs() -> None:
    for prompt in control_prompts(40):
        assert prompt.tableau.subjects[0].colour.removeprefix("purple") in prompt.text.replace("scarlet", "red")
        assert not re.search("style|pixel|cartoon|night|sunset|meadow|rain|fog|winter|autumn", prompt.text), prompt.text
    assert not any(re.search("neon|style|pixel|cartoon|watercolou?r", prompt.text) for prompt in style_prompts(40))


def test_style_and_what_is_shown_are_counted_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = style_prompts(4)

    def look(judge: object, painted: list[Prompt]) -> list[Seen]:
        seen = []
        for number, prompt in enumerate(painted):
            subject = prompt.tableau.subjects[0]
            whole: dict[str, str | int] = {"style": "neon" if number else "flat", "place": prompt.tableau.place}
            seen.append(Seen((Found(subject.thing, "none" if number > 1 else subject.colour, 0.5, 9),), whole))
        return seen

    monkeypatch.setattr(beside, "look", look)
    monkeypatch.setattr(beside, "paint", lambda pipeline, asked: asked)
    assert style_share(None, Judge(), prompts) == {"style": 0.75, "thing": 1, "colour": 0.5, "place": 1}
