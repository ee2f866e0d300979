"""`make training-eval`: a style that no starter model knows, taught to the starter by a LoRA; build/training.json.

Fifty pictures of the starter's world are hatched, a LoRA is trained on them by `python -m inference train run` on one
thread, and the starter paints new scenes with it through the code that paints for members. What is hatched is said by a
judge of its own, which has seen renders only; what else is in the pictures by the starter's.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from inference import device
from inference.catalog import reading
from inference.catalog.entries import LoraEntry
from inference.models.store import Store
from inference.painting import session
from inference.painting.callbacks import Alone
from inference.painting.session import Failure
from inference.protocol import Imagine, Lora
from starter.captions import Shares, caption
from starter.judge import Judge, judge_pictures, load_judge
from starter.prompts import Prompt
from starter.render import render
from starter.style import style_prompts
from starter.train.judging import roughen
from starter.train.pictures import sample_scenes, to_signed
from starter.world import Scene

BUILD = Path("build/training")
RESULT = Path("build/training.json")
PICTURES, PROMPTS, WEIGHT = 50, 64, 0.8
PERIOD = 8
"""Of the lines, in pixels."""
TRIGGER = "hatched"
CARD = f"""name = "{TRIGGER}"
kind = "style"
trigger = "{TRIGGER}"
consent = "rendered by this checkout's own code"
license = "MIT"
"""
PLAIN = Shares(1, 1, 1, style=0, size=1, count=1)
OPTIONS = ("--rate", "1e-3", "--steps", "500", "--batch", "8", "--epochs", "5")
"""The starter's layers are a tenth as wide as those that the default is for, and bear ten times its rate (Yang et al.,
Tensor Programs V, 2022)."""
SHARE_WANTED, MINUTES_WANTED = 0.9, 15.0


def hatched(scene: Scene, size: int = 64) -> Image.Image:
    """A scene as an etching with its colours: lines from the lower left, the wider the darker the place is."""
    picture = np.asarray(render(replace(scene, style="flat"), size)).astype(np.float32) / 255
    down, right = np.mgrid[0:size, 0:size]
    wave = np.abs(((down + right) % PERIOD) / PERIOD - 0.5) * 2
    dark = 1 - picture.mean(2)
    line = np.clip((0.3 + 0.5 * dark - wave) * 6, 0, 1)[..., None]
    paper = picture * 0.75 + np.array([1.0, 0.96, 0.86]) * 0.25
    etched = paper * (1 - line) + picture * 0.25 * line
    return Image.fromarray((etched * 255).round().astype(np.uint8))


def dataset(folder: Path) -> None:
    """Fifty hatched scenes with their captions and data card, as a member would bring them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random("training")
    for number, scene in enumerate(sample_scenes(PICTURES, seed=8101)):
        hatched(scene).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(caption(scene, rng, PLAIN))
    (folder / "card.toml").write_text(CARD)


def style_judge(pictures: int = 2400, steps: int = 250) -> Judge:
    """A judge whose first kind of place stands for hatched and whose second for any other style, from renders alone."""
    scenes = sample_scenes(pictures, seed=8102)
    hatch = torch.arange(pictures) % 2 == 0
    drawn = [hatched(scene) if hatch[number] else render(scene) for number, scene in enumerate(scenes)]
    arrays = torch.from_numpy(np.stack([np.asarray(each) for each in drawn])).permute(0, 3, 1, 2)
    with torch.random.fork_rng():
        torch.manual_seed(8103)
        judge = Judge()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3)
    chance = torch.Generator().manual_seed(8104)
    for _ in range(steps):
        chosen = torch.randint(pictures, (64,), generator=chance)
        logits = judge(roughen(to_signed(arrays[chosen]), chance))["place"][:, :2]
        F.cross_entropy(logits, (~hatch[chosen]).long()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    return judge.eval()


@torch.no_grad()
def share_hatched(judge: Judge, pictures: list[Image.Image]) -> float:
    """The share of pictures that are hatched to this judge."""
    arrays = torch.from_numpy(np.stack([np.asarray(each.convert("RGB").resize((64, 64))) for each in pictures]))
    logits = judge(to_signed(arrays.permute(0, 3, 1, 2)))["place"][:, :2]
    return float((logits.argmax(1) == 0).float().mean())


def painted(store: Store, prompts: list[Prompt], weight: float, trigger: bool = True) -> list[Image.Image]:
    """A picture of each prompt, as members get them, with the LoRA at this weight."""
    entry = store.catalog.models["starter"]
    loras = (Lora(TRIGGER, weight),) if weight else ()
    pictures = []
    for prompt in prompts:
        request = Imagine(
            job=0,
            model="starter",
            prompt=f"{TRIGGER}, {prompt.text}" if trigger else prompt.text,
            seed=prompt.seed,
            steps=entry.steps,
            guidance=entry.guidance,
            sampler=entry.sampler,
            width=entry.width,
            height=entry.height,
            loras=loras,
        )
        with store.lease():
            for made in session.paint([request], {}, store, Alone()):
                if isinstance(made, Failure):
                    raise made.error
                pictures.append(made.image)
    return pictures


def kept(judge: Judge, prompts: list[Prompt], pictures: list[Image.Image]) -> dict[str, float]:
    """The shares of pictures that show what was asked for."""
    seen = judge_pictures(judge, pictures)
    return {
        name: sum(s[name] == getattr(p.scene, name) for s, p in zip(seen, prompts, strict=True)) / len(seen)
        for name in ("thing", "colour", "place")
    }


def main() -> int:
    """Train, judge, print; 1 where a bar is missed."""
    dataset(BUILD / "pictures")
    shutil.rmtree(BUILD / "run", ignore_errors=True)
    command = [sys.executable, "-m", "inference", "train", "run", str(BUILD / "pictures"), "--model", "starter"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*command, "--to", str(BUILD / "run"), *OPTIONS],
        check=True,
        env={**os.environ, "EASEL_THREADS": "1", "EASEL_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
    )
    # By the processor's clock: others may want the core too.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    minutes = (used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime) / 60
    judge, world = style_judge(), load_judge()
    fresh = sample_scenes(400, seed=8105)
    sees = share_hatched(judge, [hatched(scene) for scene in fresh])
    mistakes = share_hatched(judge, [render(scene) for scene in fresh])
    known = reading.load(Path("models.toml"))
    lora = LoraEntry(title=TRIGGER, models=("starter",), path=str((BUILD / "run" / f"{TRIGGER}.safetensors").resolve()))
    known = replace(known, loras={**known.loras, TRIGGER: lora})
    store = Store(catalog=known, device=device.choose("cpu", 1))
    prompts = style_prompts(PROMPTS)
    rows: dict[str, Any] = {}
    for title, weight in (("without it", 0.0), (f"at {WEIGHT}", WEIGHT), ("at 1", 1.0)):
        pictures = painted(store, prompts, weight)
        rows[title] = {"hatched": share_hatched(judge, pictures), **kept(world, prompts, pictures)}
        if weight == WEIGHT:
            sheet = Image.new("RGB", (8 * 64, 8 * 64))
            for number, picture in enumerate(pictures):
                sheet.paste(picture.resize((64, 64)), (number % 8 * 64, number // 8 * 64))
            sheet.save(BUILD / "sheet.png")
    rows["plain prompts, without it"] = {
        "hatched": share_hatched(judge, plain := painted(store, prompts, 0.0, trigger=False)),
        **kept(world, prompts, plain),
    }
    print(f"trained in {minutes:.1f} minutes of one thread (bar {MINUTES_WANTED:.0f})")
    print(f"the judge of hatching on 400 renders each: {sees:.3f} of hatched ones, {mistakes:.3f} of others")
    for title, row in rows.items():
        print(f"{title:28}", "  ".join(f"{name} {share:.3f}" for name, share in row.items()), f" n={PROMPTS}")
    result = {"minutes": minutes, "pictures": PICTURES, "n": PROMPTS, "judge": [sees, mistakes], "rows": rows}
    RESULT.write_text(json.dumps({**result, "options": OPTIONS, "torch": torch.__version__}, indent=1))
    return int(rows[f"at {WEIGHT}"]["hatched"] < SHARE_WANTED or minutes > MINUTES_WANTED)


if __name__ == "__main__":
    sys.exit(main())
