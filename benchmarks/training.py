"""`make training-eval`: a style that no starter model knows, taught to the starter by a LoRA; build/training.json.

Fifty pictures of the starter's world are hatched, a LoRA is trained on them by `python -m inference train run` on one
thread, and the starter paints new scenes with it through the code that paints for members. What is in the
pictures is said by the starter's judge, taught further on renders, hatched and not, as they are and as the starter's
VAE shows them: nothing painted is among them, and what it says of other such renders is the most that can be reached.
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

import msgspec
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from inference import device
from inference.catalog import reading
from inference.catalog.entries import LoraEntry
from inference.models.store import Store
from inference.painting import alone
from inference.protocol import Lora
from starter.captions import Shares, caption
from starter.judge import ATTRIBUTES, Judge, judge_pictures, load_judge
from starter.painter import load_picture
from starter.prompts import Prompt
from starter.render import render
from starter.style import style_prompts
from starter.train.judging import roughen
from starter.train.pictures import sample_scenes, to_signed
from starter.train.text import labels_of
from starter.world import LORA_STYLE, Scene

BUILD = Path("build/training")
RESULT = Path("build/training.json")
PICTURES, PROMPTS, FRESH, WEIGHT = 50, 64, 400, 0.8
PERIOD = 16
"""Of the lines, in pixels to the right and down: four of the VAE's latents. Those of lines twice as close it does not
tell apart, whatever is learned."""
TRIGGER = "hatched"
CARD = f"""name = "{TRIGGER}"
kind = "style"
trigger = "{TRIGGER}"
consent = "rendered by this checkout's own code"
license = "MIT"
"""
PLAIN = Shares(1, 1, 1, style=0, size=1, count=1)
OPTIONS = ("--weight", str(WEIGHT))
"""All else begins as models.toml says of the starter: its layers are a tenth as wide as those that its family's numbers
are for, and bear ten times the rate (Yang et al., Tensor Programs V, 2022)."""
SHARE_WANTED, MINUTES_WANTED = 0.9, 15.0
LOST = 0.1
"""So much less than without the LoRA thing, colour and place may be right at most."""


def hatched(scene: Scene, size: int = 64) -> Image.Image:
    """A scene as an etching with its colours: lines from the lower left, the wider the darker the place is."""
    picture = np.asarray(render(replace(scene, style="flat"), size)).astype(np.float32) / 255
    down, right = np.mgrid[0:size, 0:size]
    wave = np.abs(((down + right) % PERIOD) / PERIOD - 0.5) * 2
    dark = 1 - picture.mean(2)
    line = np.clip((0.3 + 0.5 * dark - wave) * 3, 0, 1)[..., None]
    paper = picture * 0.75 + np.array([1.0, 0.96, 0.86]) * 0.25
    etched = paper * (1 - line) + picture * 0.5 * line
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


@torch.no_grad()
def decoded(vae: Any, arrays: torch.Tensor) -> torch.Tensor:
    """Pictures after the round trip to latents and back: uint8, (n, 3, 64, 64), as they came."""
    parts = [vae.decode(vae.encode(to_signed(part)).latent_dist.mode()).sample for part in torch.split(arrays, 50)]
    return ((torch.cat(parts).clamp(-1, 1) + 1) * 127.5).round().byte()


def reader(vae: Any, pictures: int = 2400, steps: int = 300) -> Judge:
    """The starter's judge, taught further on renders alone, half of them hatched, half as the VAE shows them: to it
    what is hatched is of LORA_STYLE, which nothing here paints otherwise."""
    scenes = sample_scenes(pictures, seed=8102)
    scenes[::2] = [replace(scene, style=LORA_STYLE) for scene in scenes[::2]]
    arrays, labels = drawn(scenes), labels_of(scenes)
    soft = decoded(vae, arrays)
    judge = load_judge().train()
    optimiser = torch.optim.AdamW(judge.parameters(), lr=1e-3)
    chance = torch.Generator().manual_seed(8104)
    for _ in range(steps):
        chosen = torch.randint(pictures, (64,), generator=chance)
        is_soft = torch.rand(len(chosen), generator=chance) < 0.5
        shown = torch.where(is_soft[:, None, None, None], soft[chosen], arrays[chosen])
        logits = judge(roughen(to_signed(shown), chance))
        losses = [F.cross_entropy(logits[name], labels[chosen, place]) for place, name in enumerate(ATTRIBUTES)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    return judge.eval()


def drawn(scenes: list[Scene]) -> torch.Tensor:
    """The scenes as tensors, those of LORA_STYLE hatched: uint8, (n, 3, 64, 64)."""
    pictures = [hatched(scene) if scene.style == LORA_STYLE else render(scene) for scene in scenes]
    return torch.from_numpy(np.stack([np.asarray(each) for each in pictures])).permute(0, 3, 1, 2)


def pictures_of(arrays: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray(each) for each in arrays.permute(0, 2, 3, 1).numpy()]


def read(judge: Judge, scenes: list[Scene], pictures: list[Image.Image]) -> dict[str, float]:
    """The shares of pictures that are hatched, and that show what was asked for."""
    seen = judge_pictures(judge, pictures)
    shares = {"hatched": sum(each["style"] == LORA_STYLE for each in seen) / len(seen)}
    for name in ("thing", "colour", "place"):
        shares[name] = sum(s[name] == getattr(one, name) for s, one in zip(seen, scenes, strict=True)) / len(seen)
    return shares


def painted(store: Store, prompts: list[Prompt], weight: float) -> list[Image.Image]:
    """A picture of each prompt, as members get them, with the LoRA at this weight."""
    entry = store.catalog.models["starter"]
    loras = (Lora(TRIGGER, weight),) if weight else ()
    pictures = []
    for prompt in prompts:
        plain = alone.request("starter", entry, 0, f"{TRIGGER}, {prompt.text}", prompt.seed)
        with store.lease():
            pictures += [made.image for made in alone.paint([msgspec.structs.replace(plain, loras=loras)], store)]
    return pictures


def train() -> float:
    """Make the LoRA; how many minutes of one thread that took."""
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
    return (used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime) / 60


def main() -> int:
    """Train, judge, print; 1 where a bar is missed."""
    minutes = train()
    vae = load_picture().vae
    judge, fresh = reader(vae), sample_scenes(FRESH, seed=8105)
    rows: dict[str, dict[str, float]] = {}
    for kind, scenes in (("", fresh), ("hatched ", [replace(scene, style=LORA_STYLE) for scene in fresh])):
        arrays = drawn(scenes)
        rows[f"{kind}renders, n={FRESH}"] = read(judge, fresh, pictures_of(arrays))
        rows[f"{kind}renders, decoded, n={FRESH}"] = read(judge, fresh, pictures_of(decoded(vae, arrays)))
    known = reading.load(Path("models.toml"))
    lora = LoraEntry(title=TRIGGER, models=("starter",), path=str((BUILD / "run" / f"{TRIGGER}.safetensors").resolve()))
    known = replace(known, loras={**known.loras, TRIGGER: lora})
    store = Store(catalog=known, device=device.choose("cpu", 1))
    prompts = style_prompts(PROMPTS)
    scenes = [prompt.scene for prompt in prompts]
    pictures: list[Image.Image] = []
    for weight in (0.0, WEIGHT):
        pictures = painted(store, prompts, weight)
        rows[f"painted at {weight:g}, n={PROMPTS}"] = read(judge, scenes, pictures)
    without, with_it = [*rows.values()][-2:]
    kept = all(with_it[name] >= without[name] - LOST for name in ("thing", "colour", "place"))
    sheet = Image.new("RGB", (8 * 64, 8 * 64))
    for number, picture in enumerate(pictures):
        sheet.paste(picture.resize((64, 64)), (number % 8 * 64, number // 8 * 64))
    sheet.save(BUILD / "sheet.png")
    print(f"trained in {minutes:.1f} minutes of one thread, at most {MINUTES_WANTED:.0f}")
    print(f"at {WEIGHT} {SHARE_WANTED} or more hatched, and at most {LOST} less of all else right than without it")
    for title, row in rows.items():
        print(f"{title:32}", "  ".join(f"{name} {share:.3f}" for name, share in row.items()))
    result = {"minutes": minutes, "pictures": PICTURES, "options": OPTIONS, "rows": rows, "torch": torch.__version__}
    RESULT.write_text(json.dumps(result, indent=1))
    return int(with_it["hatched"] < SHARE_WANTED or not kept or minutes > MINUTES_WANTED)


if __name__ == "__main__":
    sys.exit(main())
