"""`python -m starter.sheet`: a contact sheet of 64 fixed prompts, painted, enlarged four times: build/sheet.png."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from starter.judge import MODELS
from starter.painter import load_picture, paint
from starter.prompts import Prompt, fixed_prompts
from starter.upscaler import UPSCALER, enlarge, load_upscaler

SHEET = Path("build/sheet.png")
ACROSS, CELL, FOOT = 8, 256, 40


def sheet_prompts() -> list[Prompt]:
    """Forty single things, sixteen counted, eight in colours never trained."""
    return fixed_prompts("paraphrased", 40) + fixed_prompts("counted", 16) + fixed_prompts("unseen", 8)


def compose(pictures: list[Image.Image], texts: list[str]) -> Image.Image:
    """The pictures in rows with their texts beneath."""
    rows = -(-len(pictures) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * CELL, rows * (CELL + FOOT)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        x, y = number % ACROSS * CELL, number // ACROSS * (CELL + FOOT)
        sheet.paste(picture.resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (x + 2, y + 2))
        draw.multiline_text((x + 4, y + CELL), "\n".join(textwrap.wrap(text, 36)[:2]), fill="black", font=font)
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m starter.sheet", description=__doc__)
    parser.add_argument("--picture", type=Path, default=MODELS / "picture")
    parser.add_argument("--upscaler", type=Path, default=UPSCALER)
    parser.add_argument("--out", type=Path, default=SHEET)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    prompts = sheet_prompts()
    pictures = paint(load_picture(arguments.picture), prompts)
    if arguments.upscaler.exists():
        upscaler = load_upscaler(arguments.upscaler)
        pictures = [enlarge(upscaler, picture) for picture in pictures]
    arguments.out.parent.mkdir(exist_ok=True)
    compose(pictures, [prompt.text for prompt in prompts]).save(arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    main()
