"""Painting along given edges: the edges of a picture, how well two pictures' edges agree, and the ControlNet itself.

Edges are Canny's, with the thresholds that the published ControlNets on canny edges were trained and are used with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from PIL import Image

from starter.captions import Shares, caption
from starter.judge import MODELS
from starter.painter import GUIDANCE, STEPS, Asked, Pipeline
from starter.prompts import Prompt, fixed_prompts

CONTROL = MODELS / "control"
LOW, HIGH = 100, 200


def edges_of(picture: Image.Image) -> Image.Image:
    """The picture's edges: white lines on black, RGB, of the picture's size."""
    lines = cv2.Canny(np.array(picture.convert("RGB")), LOW, HIGH)
    return Image.fromarray(lines).convert("RGB")


def edge_f1(asked: Image.Image, made: Image.Image, tolerance: int = 0) -> float:
    """How well the edges agree, 0 to 1: an edge pixel counts as met by one at most `tolerance` pixels from it.

    A tenth of a 64 px picture is edges: with a tolerance of one pixel those of any two scenes agree by 0.4, with
    none by 0.15. So none is the measure.
    """
    one, two = (np.asarray(edges.convert("L")) > 127 for edges in (asked, made))
    if not one.any() or not two.any():
        return float(one.any() == two.any())
    reach = np.ones((2 * tolerance + 1, 2 * tolerance + 1), np.uint8)
    wide_one, wide_two = (cv2.dilate(edges.astype(np.uint8), reach) > 0 for edges in (one, two))
    precision, recall = float(wide_one[two].mean()), float(wide_two[one].mean())
    return 2 * precision * recall / max(1e-9, precision + recall)


def load_control(path: Path = CONTROL) -> Any:
    """The trained ControlNet, in float32."""
    untyped: Any = ControlNetModel
    return untyped.from_pretrained(path).eval()


def controlled(pipeline: Pipeline, control: Any) -> Pipeline:
    """The picture model's pipeline with the ControlNet beside its UNet; both share their parts."""
    untyped: Any = StableDiffusionControlNetPipeline
    parts = pipeline.components | {"controlnet": control.to(pipeline.device)}
    together: Pipeline = untyped(**parts, requires_safety_checker=False)
    together.set_progress_bar_config(disable=True)
    return together


def paint_along(
    pipeline: Pipeline, prompts: Sequence[Asked], edges: list[Image.Image], weight: float
) -> list[Image.Image]:
    """One picture a prompt, along its edges; at weight 0 they change nothing."""
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), 8):
        batch = prompts[start : start + 8]
        pictures += pipeline(
            [prompt.text for prompt in batch],
            image=edges[start : start + 8],
            controlnet_conditioning_scale=weight,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator("cpu").manual_seed(prompt.seed) for prompt in batch],
        ).images
    return pictures


def control_prompts(number: int) -> list[Prompt]:
    """The plain prompts, with words for the thing and its colour alone: the edges are to say all else."""
    rng = random.Random("starter prompts, control")
    bare = Shares(1, place=0, time=0, style=0, size=0, count=1)
    return [replace(prompt, text=caption(prompt.scene, rng, bare)) for prompt in fixed_prompts("plain", number)]


def edge_gain(pipeline: Pipeline, prompts: Sequence[Asked], renders: list[Image.Image]) -> dict[str, float]:
    """Mean F1 of the painted edges with the asked ones, with control and without, and how many times the first is more.

    Both paint the same prompts from the same seeds, along the edges of `renders`, what each asks for as it is drawn.
    `ceiling` is what the VAE alone leaves of the asked edges.
    `pipeline` is one of `controlled`.
    """
    asked = [edges_of(picture) for picture in renders]
    pixels = pipeline.image_processor.preprocess(renders).to(pipeline.device)
    with torch.no_grad():
        again = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mode()).sample
    made = {
        "with": paint_along(pipeline, prompts, asked, 1.0),
        "without": paint_along(pipeline, prompts, asked, 0.0),
        "ceiling": pipeline.image_processor.postprocess(again),
    }
    figures = {}
    for name, pictures in made.items():
        for tolerance, ending in ((0, ""), (1, "_1px")):
            scores = [edge_f1(a, edges_of(p), tolerance) for a, p in zip(asked, pictures, strict=True)]
            figures[name + ending] = sum(scores) / len(scores)
    return figures | {"gain": figures["with"] / max(1e-9, figures["without"])}
