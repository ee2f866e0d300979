"""`python -m starter.next.figures [SECTION ...]`: the next set's figures beside their bars; build/starter/next.json."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor  # type: ignore[import-untyped]

from starter.describer import load_describer
from starter.evaluate import Figure, Scale, Sections, figures_from_words, share_of
from starter.next.describing import held_out_scores
from starter.next.judge import load_judge, look
from starter.next.labelling import SIDE, WORLD
from starter.next.pictures import paint_all, sample_tableaux
from starter.next.prompts import KINDS, Prompt, fixed_prompts, is_right
from starter.next.reader import load_reader, read
from starter.next.render import render_tableau
from starter.next.stages import NEXT_MODELS, load_next_vae
from starter.next.vae import RoundTrip, edge_energy, held_out_fidelity, through
from starter.painter import load_picture, paint
from starter.prompts import fixed_prompts as todays_prompts
from starter.render import render
from starter.train.diffusing import decode, encode
from starter.train.labels import held_out_labels
from starter.train.pictures import to_signed
from starter.train.plan import Plan
from starter.train.tiny import match
from starter.upscaler import load_upscaler
from starter.world import STYLES

RESULT = Path("build/starter/next.json")
WHOLE = ("place", "time", "style", "weather", "season", "count")


def todays_path() -> RoundTrip:
    """What today's set leaves of a picture: through its VAE at 64 px, enlarged by its upscaler, and back to 128 px."""
    vae, upscaler = load_picture().vae, load_upscaler()

    def trip(pictures: torch.Tensor) -> torch.Tensor:
        small = F.avg_pool2d(pictures, 2).add(1).mul(127.5).round().to(torch.uint8)
        large = upscaler(decode(vae, encode(vae, small)).cpu().float() / 255).clamp(0, 1)
        return F.avg_pool2d(large, 2).mul(2).sub(1)

    return trip


def vae(scale: Scale) -> list[Figure]:
    """What the VAE keeps of held-out tableaux, and of their gradients' energy; today's path beside it."""
    number = max(len(STYLES), scale.of(48))
    kept = held_out_fidelity(through(load_next_vae(scale.models)), number)
    before = held_out_fidelity(todays_path(), number)
    rows = [
        Figure("VAE round trip at 128 px", number, kept["db"], " dB", 31, 34),
        Figure("VAE: gradient energy of it over the render's", number, kept["crisp"], "", 0.85, 0.95),
    ]
    for style in STYLES:
        of_style = number // len(STYLES)
        rows.append(Figure(f"VAE: {style}", of_style, kept[f"{style}_db"], " dB"))
        rows.append(Figure(f"VAE: {style}, gradient energy", of_style, kept[f"{style}_crisp"]))
    return [
        *rows,
        Figure("today's path to 128 px", number, before["db"], " dB"),
        Figure("today's path: gradient energy", number, before["crisp"]),
        Figure("today's path: cartoon, gradient energy", number // len(STYLES), before["cartoon_crisp"]),
    ]


def tiny(scale: Scale) -> list[Figure]:
    """The tiny decoder against the VAE's own."""
    untyped: Any = AutoencoderTiny
    number = scale.of(48)
    decoder = untyped.from_pretrained(scale.models / "tiny").eval()
    figures = match(decoder, load_next_vae(scale.models), paint_all(sample_tableaux(number, seed=990_161)))
    return [
        Figure("tiny decoder against the VAE's", number, figures["held_out_db"], " dB", 24, 28),
        Figure("tiny decoder's share of the VAE's time", 50, figures["time_share"], "", 0.1, 0.1, less_is_better=True),
    ]


def pictures(scale: Scale) -> list[Figure]:
    """Share of prompts whose picture the judge reads as asked, at 8 steps, one fixed seed a prompt."""
    judge, pipeline = load_judge(scale.models / "judge" / "judge.safetensors"), load_picture(scale.models / "picture")
    asked = {kind: fixed_prompts(kind, scale.of(full)) for kind, full in KINDS.items() if kind != "sign"}
    seen = {kind: look(judge, paint(pipeline, prompts)) for kind, prompts in asked.items()}
    english = [pair for kind in ("plain", "paraphrased") for pair in zip(asked[kind], seen[kind], strict=True)]
    chinese = list(zip(asked["chinese"], seen["chinese"], strict=True))
    rows, lost = [], []
    bars: dict[str, tuple[float | None, float | None]] = {"weather": (None, None), "season": (None, None)}
    bars |= {"thing": (0.97, 0.99), "colour": (0.98, 0.99), "style": (0.95, 0.98)}
    for name in ("thing", "colour", *WHOLE):
        must, goal = bars.get(name, (0.99, 1.0))
        right, right_zh = ([is_right(name, prompt, one) for prompt, one in pairs] for pairs in (english, chinese))
        rows.append(share_of(f"picture: {name}", right, must, goal))
        lost.append(sum(right) / len(right) - sum(right_zh) / len(right_zh))
    rows.append(
        Figure("picture: most that Chinese prompts lose", len(chinese), max(lost), "", 0.02, 0.02, less_is_better=True)
    )
    for kind, must, goal in (
        ("unseen", 0.9, 0.97),
        ("two", 0.75, 0.92),
        ("two-chinese", None, None),
        ("three", None, None),
    ):
        shown = [one.shows(prompt.tableau) for prompt, one in zip(asked[kind], seen[kind], strict=True)]
        rows.append(share_of(f"picture: {kind}, every thing right in its own colour", shown, must, goal))
    return rows


@torch.no_grad()
def crisp(scale: Scale) -> list[Figure]:
    """The gradient energy of painted pictures over that of renders of what was asked for; today's path beside it.

    Each stands elsewhere in its picture, so only the means of many can be compared.
    """
    number = scale.of(96)
    asked, known = fixed_prompts("plain", number), todays_prompts("plain", number)
    painted = _signed(paint(load_picture(scale.models / "picture"), asked))
    small = torch.stack([pil_to_tensor(picture) for picture in paint(load_picture(), known)])
    large = F.avg_pool2d(load_upscaler()(small.float() / 255).clamp(0, 1), 2).mul(2).sub(1)
    cartoons = torch.tensor([prompt.tableau.style == "cartoon" for prompt in asked])
    drawn, before = (_signed(some) for some in (map(_drawn, asked), [render(p.scene, 128) for p in known]))
    return [
        Figure("painted: gradient energy over renders'", number, _over(painted, drawn), "", 0.85, 0.95),
        Figure("painted: cartoon, gradient energy", int(cartoons.sum()), _over(painted[cartoons], drawn[cartoons])),
        Figure("today's painted and enlarged: gradient energy", number, _over(large, before)),
    ]


def _signed(pictures: Iterable[Image.Image]) -> torch.Tensor:
    return to_signed(torch.stack([pil_to_tensor(picture) for picture in pictures]))


def _drawn(prompt: Prompt) -> Image.Image:
    return render_tableau(prompt.tableau, 128)


def _over(pictures: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(edge_energy(pictures).mean() / edge_energy(wanted).mean())


def signs(scale: Scale) -> list[Figure]:
    """Share of words, none of them ever painted in training, that stand on their sign as they were asked for."""
    reader, prompts = load_reader(scale.models / "judge" / "reader.safetensors"), fixed_prompts("sign", scale.of(64))
    told = read(reader, paint(load_picture(scale.models / "picture"), prompts))
    right = [one == prompt.tableau.word for one, prompt in zip(told, prompts, strict=True)]
    return [share_of("picture: words spelt rightly", right, 0.6, 0.9)]


def caption(scale: Scale) -> list[Figure]:
    """What the caption model tells in both languages, reads and finds, on tableaux that were in no training."""
    number = scale.of(300)
    right = held_out_scores(load_describer(scale.models / "caption"), number)
    lost = max(right[name] - right[f"{name}_zh"] for name in ("brief", "detailed"))
    return [
        Figure("captions: brief, right to the word", number, right["brief"]),
        Figure("captions: detailed, right to the word", number, right["detailed"]),
        Figure("captions: most that Chinese loses", number, lost, "", 0.02, 0.02, less_is_better=True),
        Figure("captions: objects, mAP at IoU 0.5", number, right["od_map50"]),
        Figure("captions: words read exactly", number, right["ocr_exact"]),
        Figure("captions: segmentation, IoU", number, right["segmentation_iou"]),
        Figure("captions: unseen pairs, brief", max(1, number // 3), right["unseen_brief"]),
    ]


def labels(scale: Scale) -> list[Figure]:
    """Zero-shot labels in both languages, on tableaux that were in no training."""
    number = scale.of(1000)
    right = held_out_labels(Plan(torch.device("cpu"), models=scale.models), number, WORLD, SIDE)
    known = list(WORLD.naming.values)
    lost = max(right[name] - right[f"{name}_zh"] for name in known)
    return [
        *(Figure(f"labels: {name}", number, right[name]) for name in known),
        Figure("labels: most that Chinese loses", number, lost, "", 0.02, 0.02, less_is_better=True),
        Figure("labels: unseen pairs, thing", max(1, number // 3), right["unseen_thing"]),
    ]


def speed(scale: Scale) -> list[Figure]:
    """Seconds of one picture at 8 steps on one thread, without enlarging it."""
    pipeline, prompts = load_picture(scale.models / "picture").to("cpu"), fixed_prompts("plain", 12)
    paint(pipeline, prompts[:2])
    seconds = []
    for prompt in prompts[2:]:
        begin = time.perf_counter()
        paint(pipeline, [prompt])
        seconds.append(time.perf_counter() - begin)
    middle = sorted(seconds)[len(seconds) // 2]
    return [Figure("one picture, 8 steps, one thread", len(seconds), middle, " s", 1.0, 0.3, less_is_better=True)]


SECTIONS: Sections = {
    "vae": (vae, ("vae",)),
    "tiny": (tiny, ("vae", "tiny")),
    "picture": (pictures, ("judge", "picture")),
    "crisp": (crisp, ("picture",)),
    "sign": (signs, ("judge/reader.safetensors", "picture")),
    "caption": (caption, ("caption",)),
    "labels": (labels, ("labels",)),
    "speed": (speed, ("picture",)),
}

if __name__ == "__main__":
    figures_from_words("starter.next.figures", __doc__, SECTIONS, NEXT_MODELS, RESULT)
