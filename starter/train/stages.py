"""The stages in their order, each a function that trains one model and writes it where the product looks.

judge (needs nothing), vae, decoder (more of the vae's), text, picture (needs vae and text), upscaler (needs vae).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from starter.captions import vocabulary
from starter.judge import Judge
from starter.train.control import run_control
from starter.train.describing import run_caption
from starter.train.diffusing import exported_tokenizer, exported_vae, exported_weights
from starter.train.export import export_network, export_picture, export_upscaler
from starter.train.eyes import run_eyes
from starter.train.judging import JudgeStage, held_out_accuracy
from starter.train.labels import run_labels
from starter.train.latents import keep_latents
from starter.train.loop import Budget, train
from starter.train.picture import PictureStage, ask, make_scenes, new_unet
from starter.train.pictures import things_mask
from starter.train.plan import Plan, averaged
from starter.train.safety import run_safety
from starter.train.style import run_style
from starter.train.text import TextStage, new_text_encoder, new_tokenizer
from starter.train.tiny import run_tiny
from starter.train.upscaling import UpscalerStage, held_out_gain, renders
from starter.train.vae import DecoderStage, Vae, VaeStage, held_out_psnr, new_vae
from starter.upscaler import FILES, Arch

EASY, FULL, LARGE = 10_000, 22_000, 3_000
# What every line of a log says beside the figures of its stage.
FIXED = frozenset({"stage", "step", "spent_s", "rate"})


def run_judge(plan: Plan, budget: Budget) -> dict[str, Any]:
    stage = JudgeStage(plan.device, batch=64 * plan.batch_factor)
    weights = train(stage, budget, folder=plan.build)
    export_network(plan.models / "judge" / "judge.safetensors", weights)
    judge = Judge().to(plan.device)
    judge.load_state_dict(weights)
    return held_out_accuracy(judge.eval())


def run_vae(plan: Plan, budget: Budget) -> dict[str, Any]:
    stage = VaeStage(plan.device, batch=8 * plan.batch_factor)
    stage.vae.load_state_dict(train(stage, budget, folder=plan.build))
    return {"held_out_db": held_out_psnr(stage.vae.eval())}


def run_decoder(plan: Plan, budget: Budget) -> dict[str, Any]:
    stage = DecoderStage(plan.device, load_vae(plan), batch=8 * plan.batch_factor)
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    return {"held_out_db": held_out_psnr(stage.vae.eval())}


def run_text(plan: Plan, budget: Budget) -> dict[str, Any]:
    train(TextStage(plan.device), budget, folder=plan.build)
    return {}


def run_picture(plan: Plan, budget: Budget) -> dict[str, Any]:
    easy, full, large = make_scenes(EASY, FULL, LARGE)
    vae = exported_vae(plan) if plan.onward else load_vae(plan)
    weights = vae.cpu().state_dict()
    kept = keep_latents(plan.build / "latents.pt", easy + full, weights, plan.device)
    kept_large = keep_latents(plan.build / "latents-large.pt", large, weights, plan.device, side=128, scale=kept.scale)
    # Words are numbers to the text encoder: it goes on with those that it knows.
    tokenizer = exported_tokenizer(plan) if plan.onward else new_tokenizer()
    text_encoder = new_text_encoder(tokenizer)
    start = exported_weights(plan) if plan.onward else None
    if not plan.onward:
        schooled = averaged(plan.build / "text.pt")
        text_encoder.load_state_dict(
            {name.removeprefix("encoder."): w for name, w in schooled.items() if name.startswith("encoder.")}
        )
    stage = PictureStage(
        plan.device,
        new_unet(),
        text_encoder,
        tokenizer,
        (easy, kept.values[:EASY]),
        (full, kept.values[EASY:]),
        (large, kept_large.values),
        batch=32 * plan.batch_factor,
        say=ask,
        cover=things_mask,
    )
    if plan.onward:
        # It has seen the easy ones.
        stage.mix_from = stage.enlarge_from = 0.0
    shadow, words = new_unet(), new_text_encoder(tokenizer)

    def export(weights: dict[str, torch.Tensor], step: int) -> None:
        for module, prefix in ((shadow, "unet."), (words, "text_encoder.")):
            own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
            module.load_state_dict(own)
        # The decoder may have been trained for longer meanwhile.
        vae = (exported_vae(plan) if plan.onward else load_vae(plan)).cpu()
        vae.register_to_config(scaling_factor=kept.scale)
        export_picture(plan.models / "picture", vae, shadow, words, tokenizer, vocabulary())

    train(stage, budget, folder=plan.build, save_every_s=300, on_save=export, start=start)
    return {"latent_scale": kept.scale}


def run_upscaler(plan: Plan, budget: Budget, arch: Arch = "srvgg") -> dict[str, Any]:
    vae = exported_vae(plan)
    stage = UpscalerStage(plan.device, vae, renders(), arch, batch=(8 if arch == "srvgg" else 4) * plan.batch_factor)
    weights = train(stage, budget, folder=plan.build)
    export_upscaler(plan.models / "upscaler" / FILES[arch], weights)
    stage.model.load_state_dict(weights)
    return held_out_gain(stage.model.eval(), vae)


def load_vae(plan: Plan) -> Vae:
    """The VAE with its trained, averaged weights; with the longer trained decoder where there is one."""
    vae = new_vae().to(plan.device)
    vae.load_state_dict(averaged(plan.build / "vae.pt"))
    longer = plan.build / "decoder.pt"
    if longer.exists():
        vae.load_state_dict(vae.state_dict() | averaged(longer))
    return vae


Stages = Mapping[str, tuple[Callable[[Plan, Budget], dict[str, Any]], float]]
"""What trains each stage, and its budget in minutes on one CPU core."""
STAGES: Stages = {
    "judge": (run_judge, 9),
    "vae": (run_vae, 45),
    "decoder": (run_decoder, 20),
    "text": (run_text, 2),
    "picture": (run_picture, 180),
    "upscaler": (run_upscaler, 12),
    "upscaler-rrdb": (partial(run_upscaler, arch="rrdb"), 25),
    "tiny": (run_tiny, 8),
    "control": (run_control, 30),
    "style": (run_style, 12),
    "eyes": (run_eyes, 30),
    "caption": (run_caption, 70),
    "labels": (run_labels, 28),
    "safety": (run_safety, 3),
}


def run_stage(
    name: str, plan: Plan, minutes: float | None = None, steps: int | None = None, stages: Stages = STAGES
) -> dict[str, Any]:
    """Train one stage, from its checkpoint if there is one; note its figures in the record beside the weights."""
    run, usual = stages[name]
    seconds = None if steps is not None else 60 * (minutes if minutes is not None else usual)
    figures = run(plan, Budget(steps=steps, seconds=seconds))
    state = torch.load(plan.build / f"{name}.pt", map_location="cpu", weights_only=True)
    entry = {"steps": state["step"], "minutes": round(state["spent_s"] / 60, 1), "device": plan.device.type}
    curve = read_curve(plan.build / f"{name}.jsonl")
    record_path = plan.models / "training.json"
    record = json.loads(record_path.read_text()) if record_path.exists() else {}
    before = record.get(name)
    record[name] = (
        entry | {"finished": time.strftime("%Y-%m-%d")} | {key: round(value, 4) for key, value in figures.items()}
    )
    record[name]["curve"] = curve
    if plan.onward and before:
        kept = ("steps", "minutes", "finished", "went_on_from")
        record[name]["went_on_from"] = {key: before[key] for key in kept if key in before}
    plan.models.mkdir(parents=True, exist_ok=True)
    record_path.write_text(json.dumps(record, indent=1) + "\n")
    return figures


def read_curve(log: Path, points: int = 24) -> list[dict[str, float]]:
    """A stage's log thinned to about that many lines, each the mean of those lines that it stands for that say it."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    width = max(1, -(-len(lines) // points))
    curve = []
    for start in range(0, len(lines), width):
        group = lines[start : start + width]
        names = dict.fromkeys(name for line in group for name in line if name not in FIXED)
        told = {name: [line[name] for line in group if name in line] for name in names}
        means = {name: round(sum(values) / len(values), 4) for name, values in told.items()}
        curve.append({"step": group[-1]["step"], "minutes": round(group[-1]["spent_s"] / 60, 1)} | means)
    return curve
