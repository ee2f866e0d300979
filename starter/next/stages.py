"""The next set's stages in their order, each a function that trains one model and writes it to the plan's folder.

judge and reader (need nothing), vae (grows from today's), decoder (more of the vae's), tiny and the upscalers (need
vae), picture (needs vae, and grows from today's), control and style (need picture, and the judge looks at style),
eyes (need nothing), caption (needs eyes), labels (need nothing), safety (needs labels).
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from starter.next.beside import run_control, run_style
from starter.next.captions import vocabulary
from starter.next.cells import Readings, keep_cells
from starter.next.describing import run_caption, run_eyes
from starter.next.judge import load_judge
from starter.next.judging import JudgeStage, held_out_judgement, judge_tableaux
from starter.next.labelling import run_labels, run_safety
from starter.next.picture import grown_unet, keep_latents, picture_tableaux
from starter.next.pictures import keep_pictures, paint_all, sample_tableaux, shown_mask
from starter.next.reader import load_reader
from starter.next.reading import ReaderStage, held_out_reading, signed
from starter.next.upscaling import held_out_gain, shown
from starter.next.vae import SIDE, DecoderStage, VaeStage, held_out_fidelity, new_vae, through, vae_tableaux
from starter.next.words import Binding, Spelling, grown_text_encoder, new_tokenizer, say
from starter.painter import load_picture
from starter.train.diffusing import exported_vae, load_vae_as_new
from starter.train.export import export_network, export_picture, export_upscaler, replacing
from starter.train.loop import BUILD, Budget, train
from starter.train.picture import PictureStage
from starter.train.plan import Plan, averaged
from starter.train.stages import Stages
from starter.train.tiny import TinyStage, export_tiny, match
from starter.train.upscaling import UpscalerStage
from starter.train.vae import Vae, measure_scale
from starter.upscaler import FILES, Arch

NEXT_BUILD = BUILD / "next"
NEXT_MODELS = NEXT_BUILD / "models"
PICTURES = 8000


def run_vae(plan: Plan, budget: Budget, pictures: int = PICTURES, held_out: int = 48) -> dict[str, Any]:
    """Train and write the VAE; what it keeps of tableaux that it never saw."""
    tableaux = vae_tableaux(pictures)
    painted = keep_pictures(plan.build / "vae-pictures.pt", tableaux)
    stage = VaeStage(plan.device, exported_vae(Plan(plan.device)), painted, tableaux, batch=8 * plan.batch_factor)
    stage.vae.load_state_dict(train(stage, budget, folder=plan.build))
    return _export_vae(plan, stage.vae, held_out)


def run_decoder(plan: Plan, budget: Budget, pictures: int = PICTURES, held_out: int = 48) -> dict[str, Any]:
    """Train the VAE's second half for longer and write the VAE again, its latents as before."""
    painted = keep_pictures(plan.build / "vae-pictures.pt", vae_tableaux(pictures))
    stage = DecoderStage(plan.device, trained_vae(plan), painted, batch=3 * plan.batch_factor)
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    return _export_vae(plan, stage.vae, held_out)


def run_judge(plan: Plan, budget: Budget, pictures: int = 30_000, held_out: int = 400) -> dict[str, Any]:
    """Train and write the judge; how often it is right about tableaux that it never saw."""
    stage = JudgeStage(plan.device, judge_tableaux(pictures), batch=32 * plan.batch_factor)
    weights = train(stage, budget, folder=plan.build)
    export_network(plan.models / "judge" / "judge.safetensors", weights)
    return held_out_judgement(load_judge(plan.models / "judge" / "judge.safetensors"), held_out)


def run_reader(plan: Plan, budget: Budget, pictures: int = 20_000, held_out: int = 400) -> dict[str, Any]:
    """Train and write the reader of signs; how often it is right about tableaux that it never saw."""
    stage = ReaderStage(plan.device, signed(pictures, seed=151), batch=32 * plan.batch_factor)
    weights = train(stage, budget, folder=plan.build)
    export_network(plan.models / "judge" / "reader.safetensors", weights)
    return held_out_reading(load_reader(plan.models / "judge" / "reader.safetensors"), held_out)


def run_picture(
    plan: Plan, budget: Budget, easy: int = 4000, full: int = 20_000, signed: int = 6000, large: int = 1500
) -> dict[str, Any]:
    """Train UNet and text tower on the VAE's latents, and write the picture model at every checkpoint.

    A longer training may be given more pictures: those that it began with stay.
    """
    vae = load_next_vae(plan.models).to(plan.device)
    lessons = picture_tableaux(easy, full, signed, large)
    latents = {
        name: keep_latents(plan.build / f"latents-{name}.pt", vae, some, 2 * SIDE if name == "large" else SIDE)
        for name, some in lessons.items()
    }
    # What goes on does so from the words as they are today, whichever it was taught before.
    known = load_picture(plan.models / "picture") if plan.onward else load_picture()
    tokenizer = new_tokenizer()
    tower = grown_text_encoder(tokenizer, known.text_encoder, known.tokenizer)
    unet, shown = grown_unet(known.unet), lessons["easy"] + lessons["full"] + lessons["signed"]
    stage = PictureStage(
        plan.device,
        unet,
        tower,
        tokenizer,
        (lessons["easy"], latents["easy"]),
        (lessons["full"] + lessons["signed"], torch.cat([latents["full"], latents["signed"]])),
        (lessons["large"], latents["large"]),
        batch=32 * plan.batch_factor,
        say=say,
        cover=shown_mask,
        spelling=Spelling(tokenizer, tower.config.hidden_size, plan.device),
        binding=Binding(tokenizer, tower.config.hidden_size, plan.device),
        readings=Readings(keep_cells(plan.build / "cells.pt", shown), unet.config.block_out_channels[1]),
    )
    if plan.device.type == "cpu":
        # The way back through fused attention takes a sixth of a step there.
        stage.unet.set_attn_processor(AttnProcessor())
    # What it grew from knows single things, and what goes on knows them all.
    stage.mix_from = 0.0 if plan.onward else 0.05
    unet, words = copy.deepcopy(unet), copy.deepcopy(tower)
    painter = nn.ModuleDict({"unet": unet, "text_encoder": words})

    def export(weights: dict[str, torch.Tensor], step: int) -> None:
        painter.load_state_dict({name: weights[name] for name in painter.state_dict()})
        # The decoder may have been trained for longer meanwhile.
        export_picture(plan.models / "picture", load_next_vae(plan.models), unet, words, tokenizer, vocabulary())

    train(stage, budget, folder=plan.build, save_every_s=300, on_save=export)
    return {"latent_scale": float(vae.config.scaling_factor)}


def run_tiny(plan: Plan, budget: Budget, pictures: int = 4000, held_out: int = 48) -> dict[str, Any]:
    """Train and write the tiny decoder for previews; how near it comes to the VAE's."""
    vae = load_next_vae(plan.models).to(plan.device)
    painted = paint_all(sample_tableaux(pictures, seed=161, word_share=0.1))
    stage = TinyStage(plan.device, vae, painted, batch=4 * plan.batch_factor)
    stage.tiny.load_state_dict(train(stage, budget, folder=plan.build))
    export_tiny(plan.models / "tiny", stage.tiny)
    return match(stage.tiny.eval(), vae, paint_all(sample_tableaux(held_out, seed=990_161)))


def run_upscaler(
    plan: Plan, budget: Budget, arch: Arch = "srvgg", drawn: int = 600, photographs: int = 200, held_out: int = 24
) -> dict[str, Any]:
    """Train and write an upscaler from 128 to 512 px; what it gains over bicubic."""
    vae = load_next_vae(plan.models).to(plan.device)
    batch = (8 if arch == "srvgg" else 4) * plan.batch_factor
    stage = UpscalerStage(plan.device, vae, shown(drawn, photographs), arch, batch)
    weights = train(stage, budget, folder=plan.build)
    export_upscaler(plan.models / "upscaler" / FILES[arch], weights)
    stage.model.load_state_dict(weights)
    return held_out_gain(stage.model.eval(), vae, held_out)


def trained_vae(plan: Plan) -> Vae:
    """The VAE with its trained, averaged weights, as its stage left it."""
    vae = new_vae().to(plan.device)
    vae.load_state_dict(averaged(plan.build / "vae.pt"))
    return vae.eval()


def load_next_vae(models: Path = NEXT_MODELS) -> Vae:
    """The VAE as written, in float32."""
    return load_vae_as_new(models / "vae")


def _export_vae(plan: Plan, vae: Vae, held_out: int) -> dict[str, Any]:
    # The same pictures at every export, so that more of the decoder's training never changes the scale.
    vae.register_to_config(scaling_factor=measure_scale(vae.eval(), paint_all(sample_tableaux(32, seed=102))))
    with replacing(plan.models / "vae") as part:
        copy.deepcopy(vae).half().save_pretrained(part)
    return held_out_fidelity(through(load_next_vae(plan.models)), held_out)


# Each stage with its budget in minutes on one CPU core.
STAGES: Stages = {
    "judge": (run_judge, 25),
    "reader": (run_reader, 25),
    "vae": (run_vae, 90),
    "decoder": (run_decoder, 60),
    "tiny": (run_tiny, 20),
    "upscaler": (run_upscaler, 25),
    "upscaler-rrdb": (partial(run_upscaler, arch="rrdb"), 50),
    "picture": (run_picture, 360),
    "control": (run_control, 40),
    "style": (run_style, 15),
    "eyes": (run_eyes, 40),
    "caption": (run_caption, 90),
    "labels": (run_labels, 45),
    "safety": (run_safety, 5),
}
