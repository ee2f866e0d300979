"""The style LoRA: that its stage teaches nothing else, how it is saved and loaded, and what the committed one does."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from starter.judge import load_judge
from starter.painter import load_picture, paint
from starter.prompts import fixed_prompts
from starter.style import load_style, style_prompts, style_share
from starter.train.diffusing import FrozenPicture
from starter.train.loop import Budget, train
from starter.train.plan import Plan
from starter.train.style import StyleStage, export_style, usual_lessons
from starter.world import Scene
from tests.starter.worlds import plan_with_a_small_picture_model


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_with_a_small_picture_model(tmp_path_factory.mktemp("style"))


@pytest.fixture(scope="module")
def stage(plan: Plan) -> StyleStage[Scene]:
    stage = StyleStage(FrozenPicture.exported(plan), usual_lessons(6), batch=4, rank=2)
    stage.model.load_state_dict(train(stage, Budget(steps=4), folder=plan.build))
    export_style(plan.models / "style", stage)
    return stage


def test_stage_teaches_the_added_weights_alone(plan: Plan, stage: StyleStage[Scene]) -> None:
    base = FrozenPicture.exported(plan).unet.state_dict()
    taught = stage.picture.unet.state_dict()
    for name, weight in base.items():
        layer, _, kind = name.rpartition(".")
        assert torch.equal(taught.get(name, taught.get(f"{layer}.base_layer.{kind}")), weight), name
    assert any(bool(weight.any()) for name, weight in taught.items() if "lora_B" in name)


def test_checkpoint_holds_the_added_weights_alone(plan: Plan, stage: StyleStage[Scene]) -> None:
    assert (plan.build / "style.pt").stat().st_size < 2_000_000
    assert len(list(stage.model.parameters())) == sum("lora_" in n for n, _ in stage.picture.unet.named_parameters())


def test_loaded_style_predicts_what_was_trained(plan: Plan, stage: StyleStage[Scene]) -> None:
    pipeline = FrozenPicture.exported(plan).pipeline
    load_style(pipeline, plan.models / "style")
    noisy, times = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([100, 900])
    words = stage.picture.words(["a red house", "two cats"])
    with torch.no_grad():
        loaded, trained = (unet(noisy, times, words).sample for unet in (pipeline.unet, stage.picture.unet))
    assert torch.allclose(loaded, trained, atol=2e-3)


def test_style_at_weight_nothing_paints_the_same_bytes(plan: Plan, stage: StyleStage[Scene]) -> None:
    pipeline, prompts = FrozenPicture.exported(plan).pipeline, style_prompts(1)
    plain = paint(pipeline, prompts, steps=2)[0].tobytes()
    load_style(pipeline, plan.models / "style")
    pipeline.set_adapters("style", 0.0)
    assert paint(pipeline, prompts, steps=2)[0].tobytes() == plain
    pipeline.unload_lora_weights()
    assert paint(pipeline, prompts, steps=2)[0].tobytes() == plain


def test_exported_style_is_in_half_precision_and_readable(plan: Plan, stage: StyleStage[Scene]) -> None:
    path = plan.models / "style" / "pytorch_lora_weights.safetensors"
    weights = load_file(path)
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert all(name.startswith("unet.") and ".lora_" in name for name in weights)
    assert path.stat().st_mode & 0o044 == 0o044


def test_style_prompts_name_no_style() -> None:
    assert not any(
        word in prompt.text for prompt in style_prompts(20) for word in ("neon", "style", "pixel", "cartoon")
    )


def test_committed_style_is_seen_at_weight_one_and_not_at_nothing() -> None:
    torch.set_num_threads(1)
    pipeline, judge, prompts = load_picture(), load_judge(), style_prompts(16)
    plain = paint(pipeline, fixed_prompts("plain", 1))[0].tobytes()
    load_style(pipeline)
    figures = style_share(pipeline, judge, prompts)
    assert figures["style"] >= 0.8, figures
    assert figures["place"] >= 0.6, figures
    pipeline.set_adapters("style", 0.0)
    assert style_share(pipeline, judge, prompts[:8])["style"] <= 0.2
    assert paint(pipeline, fixed_prompts("plain", 1))[0].tobytes() == plain
