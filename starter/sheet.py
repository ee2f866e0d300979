"""`python -m starter.sheet [NAME ...]`: contact sheets of what the starter models do, to be looked at: build/sheets.

pictures: prompts, painted and enlarged. control: edges, and what is painted along them with and without control.
style: the same prompt and seed at weights 0, 0.5 and 1 of the LoRA. upscale: bicubic, both upscalers and the truth.
found: what the caption model says, finds, reads and outlines in renders.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from starter.control import control_prompts, controlled, edges_of, load_control, paint_along
from starter.describer import load_describer
from starter.judge import MODELS
from starter.painter import load_picture, paint
from starter.prompts import fixed_prompts
from starter.render import render
from starter.style import load_style, style_prompts
from starter.train.pictures import sample_scenes
from starter.upscaler import FILES, enlarge, load_upscaler

SHEETS = Path("build/sheets")
CELL, FOOT = 256, 40
Cell = tuple[Image.Image, str]
"""A picture and what stands beneath it."""


def pictures(models: Path) -> tuple[int, list[Cell]]:
    """Forty prompts in all kinds of words, eight in colours never trained; enlarged as the product does."""
    prompts = fixed_prompts("paraphrased", 40) + fixed_prompts("unseen", 8)
    upscaler = load_upscaler(models / "upscaler" / FILES["srvgg"])
    painted = paint(load_picture(models / "picture"), prompts)
    return 8, [(enlarge(upscaler, picture), prompt.text) for picture, prompt in zip(painted, prompts, strict=True)]


def control(models: Path) -> tuple[int, list[Cell]]:
    """Edges of a render, what is painted along them, and what without them, from the same seed."""
    prompts = control_prompts(16)
    pipeline = controlled(load_picture(models / "picture"), load_control(models / "control"))
    edges = [edges_of(render(prompt.scene, 64)) for prompt in prompts]
    along, freely = (paint_along(pipeline, prompts, edges, weight) for weight in (1.0, 0.0))
    cells: list[Cell] = []
    for prompt, asked, made, without in zip(prompts, edges, along, freely, strict=True):
        cells += [(asked, prompt.text), (made, "along the edges"), (without, "without them")]
    return 6, cells


def style(models: Path) -> tuple[int, list[Cell]]:
    """Each prompt from the same seed at three weights of the LoRA."""
    prompts, pipeline = style_prompts(16), load_picture(models / "picture")
    load_style(pipeline, models / "style")
    rows = []
    for weight in (0.0, 0.5, 1.0):
        pipeline.set_adapters("style", weight)
        rows.append(paint(pipeline, prompts))
    cells: list[Cell] = []
    for prompt, *shown in zip(prompts, *rows, strict=True):
        cells += [(one, f"{prompt.text} · {weight}") for one, weight in zip(shown, ("0", "0.5", "1"), strict=True)]
    return 6, cells


def upscale(models: Path) -> tuple[int, list[Cell]]:
    """A render at 64 px enlarged four times in three ways, and the same scene as the renderer draws it at 256."""
    networks = {arch: load_upscaler(models / "upscaler" / file) for arch, file in FILES.items()}
    cells: list[Cell] = []
    for scene in sample_scenes(8, seed=990_006, word_share=0.3):
        small = render(scene, 64)
        cells.append((small.resize((CELL, CELL), Image.Resampling.BICUBIC), "bicubic"))
        cells += [(enlarge(network, small), arch) for arch, network in networks.items()]
        cells.append((render(scene, CELL), "as drawn"))
    return 8, cells


def found(models: Path) -> tuple[int, list[Cell]]:
    """Renders with the boxes and outlines found in them, and what was said and read."""
    describer = load_describer(models / "caption")
    scenes = sample_scenes(24, seed=990_007, word_share=0.4)
    shown = [render(scene, CELL) for scene in scenes]
    said, read, boxes = (describer.ask(task, shown) for task in ("<DETAILED_CAPTION>", "<OCR>", "<OD>"))
    words = [f"the {scene.colour} {scene.thing}" for scene in scenes]
    outlines = describer.ask("<REFERRING_EXPRESSION_SEGMENTATION>", shown, words)
    cells: list[Cell] = []
    for picture, text, word, box, outline in zip(shown, said, read, boxes, outlines, strict=True):
        draw = ImageDraw.Draw(picture, "RGBA")
        for polygons in outline["polygons"]:
            for polygon in polygons:
                if len(polygon) >= 6:
                    draw.polygon(polygon, fill=(255, 0, 255, 90), outline=(255, 0, 255))
        for label, corners in zip(box["labels"], box["bboxes"], strict=True):
            draw.rectangle(corners, outline=(255, 230, 0), width=2)
            draw.text((corners[0] + 3, corners[1] + 2), label, fill=(255, 230, 0), stroke_width=2, stroke_fill="black")
        cells.append((picture, f"{text} [{word}]"))
    return 8, cells


Kinds = Mapping[str, tuple[Callable[[Path], tuple[int, list[Cell]]], str]]
"""What draws each sheet (how many cells stand side by side, and the cells), and a model that it needs."""
KINDS: Kinds = {
    "pictures": (pictures, "picture"),
    "control": (control, "control"),
    "style": (style, "style"),
    "upscale": (upscale, f"upscaler/{FILES['rrdb']}"),
    "found": (found, "caption"),
}


def compose(across: int, cells: Iterable[Cell]) -> Image.Image:
    """The cells in rows of `across` pictures with their texts beneath."""
    cells = list(cells)
    rows = -(-len(cells) // across)
    sheet = Image.new("RGB", (across * CELL, rows * (CELL + FOOT)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (picture, text) in enumerate(cells):
        x, y = number % across * CELL, number // across * (CELL + FOOT)
        sheet.paste(picture.resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (x + 2, y + 2))
        draw.multiline_text((x + 4, y + CELL), "\n".join(textwrap.wrap(text, 36)[:2]), fill="black", font=font)
    return sheet


def draw_from_words(program: str, about: str | None, kinds: Kinds, models: Path, folder: Path) -> None:
    """Draw the sheets that the words of the command line name, or all; those whose models lack are left out."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(kinds))
    parser.add_argument("--models", type=Path, default=models)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(kinds):
        parser.error(f"no such sheet: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or kinds:
        draw, needed = kinds[name]
        if not (arguments.models / needed).exists():
            print(f"{name} is left out: there is no {arguments.models / needed}, which training makes")
            continue
        path = folder / f"{name}.png"
        compose(*draw(arguments.models)).save(path)
        print(path)


if __name__ == "__main__":
    draw_from_words("starter.sheet", __doc__, KINDS, MODELS, SHEETS)
