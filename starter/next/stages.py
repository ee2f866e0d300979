"""The next set's stages in their order, each a function that trains one model and writes it to the plan's folder.

vae (grows from today's), decoder (more of the vae's).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL

from starter.next.pictures import keep_pictures, paint_all, sample_tableaux
from starter.next.vae import DecoderStage, VaeStage, held_out_fidelity, new_vae, through, vae_tableaux
from starter.train.diffusing import exported_vae
from starter.train.export import replacing
from starter.train.loop import BUILD, Budget, train
from starter.train.plan import Plan, averaged
from starter.train.stages import Stages
from starter.train.vae import Vae, measure_scale

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


def trained_vae(plan: Plan) -> Vae:
    """The VAE with its trained, averaged weights, as its stage left it."""
    vae = new_vae().to(plan.device)
    vae.load_state_dict(averaged(plan.build / "vae.pt"))
    return vae.eval()


def load_next_vae(models: Path = NEXT_MODELS) -> Vae:
    """The VAE as written, in float32."""
    untyped: Any = AutoencoderKL
    vae: Vae = untyped.from_pretrained(models / "vae").float()
    return vae.eval()


def _export_vae(plan: Plan, vae: Vae, held_out: int) -> dict[str, Any]:
    # The same pictures at every export, so that more of the decoder's training never changes the scale.
    vae.register_to_config(scaling_factor=measure_scale(vae.eval(), paint_all(sample_tableaux(48, seed=102))))
    with replacing(plan.models / "vae") as part:
        copy.deepcopy(vae).half().save_pretrained(part)
    return held_out_fidelity(through(load_next_vae(plan.models)), held_out)


# Each stage with its budget in minutes on one CPU core.
STAGES: Stages = {
    "vae": (run_vae, 90),
    "decoder": (run_decoder, 60),
}
