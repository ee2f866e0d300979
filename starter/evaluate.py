"""`python -m starter.evaluate [SECTION ...]`: every figure of the starter models beside its bar; build/starter.json."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderTiny

from starter.asked import JUDGED, UNSEEN, rights
from starter.control import control_prompts, controlled, edge_gain, load_control
from starter.describer import load_describer
from starter.describer_scores import held_out_scores
from starter.judge import MODELS, judge_pictures, load_judge
from starter.painter import GUIDANCE, STEPS, load_picture, paint
from starter.prompts import KINDS, fixed_prompts
from starter.render import render
from starter.style import load_style, style_prompts, style_share
from starter.train.labels import held_out_labels
from starter.train.plan import Plan
from starter.train.safety import held_out_safety
from starter.train.tiny import held_out_match
from starter.train.upscaling import held_out_gain
from starter.train.vae import held_out_psnr
from starter.upscaler import FILES, load_upscaler

RESULT = Path("build/starter.json")


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing measured on `n` samples; a share from 0 to 1 where no unit is named."""

    what: str
    n: int
    value: float
    unit: str = ""
    must: float | None = None
    goal: float | None = None
    less_is_better: bool = False

    @property
    def verdict(self) -> str:
        """How the figure stands to its bars: goal, must, missed, or nothing where there is no bar."""
        if self.must is None or self.goal is None:
            return ""
        sign = -1 if self.less_is_better else 1
        if sign * self.value >= sign * self.goal:
            return "goal"
        return "must" if sign * self.value >= sign * self.must else "MISSED"


@dataclass(frozen=True, slots=True)
class Scale:
    """How thorough an evaluation is: the models' folder, and the share of the full numbers of samples."""

    models: Path = MODELS
    share: float = 1.0

    def of(self, full: int) -> int:
        """That share of the full number, at least one."""
        return max(1, round(full * self.share))


def pictures(scale: Scale) -> list[Figure]:
    """Share of prompts whose picture the judge reads as asked, at 8 steps, one fixed seed a prompt."""
    judge, pipeline = load_judge(), load_picture(scale.models / "picture")
    hits: dict[str, list[bool]] = {name: [] for name in (*JUDGED, UNSEEN)}
    by_count: dict[int, list[bool]] = {}
    for kind, full in KINDS.items():
        prompts = fixed_prompts(kind, scale.of(full))
        seen = judge_pictures(judge, paint(pipeline, prompts))
        right = rights(kind, zip(prompts, seen, strict=True))
        for name, each in right.items():
            hits[name] += each
        for prompt, is_right in zip(prompts, right.get("thing", ()), strict=False):
            by_count.setdefault(prompt.scene.count, []).append(is_right)
    unseen = hits.pop(UNSEEN)
    bars: dict[str, float] = {"thing": 0.92, "colour": 0.97, "place": 0.97, "time": 0.97, "style": 0.85, "count": 0.92}
    rows = [share_of(f"picture: {name}", right, bars.get(name), 0.98) for name, right in hits.items()]
    rows += [share_of(f"picture: thing where there are {n}", right) for n, right in sorted(by_count.items())]
    return [*rows, share_of(f"picture: {UNSEEN}", unseen, 0.75, 0.95)]


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


def vae(scale: Scale) -> list[Figure]:
    """The VAE's round trip, and the tiny decoder against the VAE's own."""
    pipeline, number = load_picture(scale.models / "picture"), scale.of(128)
    tiny: Any = AutoencoderTiny
    match = held_out_match(tiny.from_pretrained(scale.models / "tiny").eval(), pipeline.vae, number)
    return [
        Figure("VAE round trip", number, held_out_psnr(pipeline.vae, number), " dB", 29, 33),
        Figure("tiny decoder against the VAE's", number, match["held_out_db"], " dB", 24, 28),
        Figure("tiny decoder's share of the VAE's time", 50, match["time_share"], "", 0.1, 0.1, less_is_better=True),
    ]


def labels(scale: Scale) -> list[Figure]:
    """Zero-shot labels on renders never trained on, in English and in Chinese."""
    number = scale.of(1000)
    right = held_out_labels(_plan(scale), number)
    bars = {"thing": 0.95, "colour": 0.97, "place": 0.98, "style": 0.92, "count": 0.95}
    rows = [Figure(f"labels: {name}", number, right[name], "", must, 0.99) for name, must in bars.items()]
    worst = max(right[name] - right[f"{name}_zh"] for name in bars)
    rows.append(Figure("labels: most that Chinese ones lose", number, worst, "", 0.03, 0.03, less_is_better=True))
    unseen = number // 3
    return rows + [
        Figure(f"labels: {name} of unseen pairs", unseen, right[f"unseen_{name}"]) for name in ("thing", "colour")
    ]


def caption(scale: Scale) -> list[Figure]:
    """What the caption model says, finds, reads and outlines."""
    number = scale.of(300)
    right = held_out_scores(load_describer(scale.models / "caption"), number)
    rows = [
        Figure(f"caption names the {name}", number, right[f"caption_{name}"], "", 0.9, 0.97)
        for name in ("thing", "colour", "count", "place")
    ]
    return [
        *rows,
        Figure("detection, mAP at IoU 0.5", number, right["od_map50"], "", 0.7, 0.9),
        Figure("OCR, exact words", right["ocr_n"], right["ocr_exact"], "", 0.8, 0.95),
        Figure("segmentation of what is named, IoU", number, right["segmentation_iou"], "", 0.6, 0.8),
        Figure("caption names an unseen pair's thing", number // 3, right["unseen_caption_thing"]),
        Figure("caption names an unseen pair's colour", number // 3, right["unseen_caption_colour"]),
    ]


def control(scale: Scale) -> list[Figure]:
    """How much of the asked edges recurs in the pictures, with the ControlNet and without it."""
    pipeline, number = load_picture(scale.models / "picture"), scale.of(96)
    prompts = control_prompts(number)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    renders = [render(prompt.scene, side) for prompt in prompts]
    figures = edge_gain(controlled(pipeline, load_control(scale.models / "control")), prompts, renders)
    return [
        Figure("control: edge F1 with the asked edges", number, figures["with"], " F1"),
        Figure("control: the same without it", number, figures["without"], " F1"),
        Figure("control: the former over the latter", number, figures["gain"], " x", 2, 4),
    ]


def style(scale: Scale) -> list[Figure]:
    """How often the LoRA's style is recognised, and what is left of the rest."""
    pipeline, prompts = load_picture(scale.models / "picture"), style_prompts(scale.of(96))
    before = [picture.tobytes() for picture in paint(pipeline, prompts[:8])]
    load_style(pipeline, scale.models / "style", 0.0)
    same = [picture.tobytes() for picture in paint(pipeline, prompts[:8])]
    pipeline.set_adapters("style", 1.0)
    shares = style_share(pipeline, load_judge(), prompts)
    return [
        Figure("style LoRA at weight 1, judged as its style", len(prompts), shares["style"], "", 0.8, 0.95),
        *(
            Figure(f"style LoRA at weight 1: {name}", len(prompts), shares[name])
            for name in ("thing", "colour", "place")
        ),
        Figure("style LoRA at weight 0, bit-identical", len(same), float(before == same), "", 1, 1),
    ]


def upscalers(scale: Scale) -> list[Figure]:
    """Decibels over bicubic on renders, clean and softened by the VAE."""
    pipeline, number = load_picture(scale.models / "picture"), scale.of(48)
    rows = []
    for arch, file in FILES.items():
        gain = held_out_gain(load_upscaler(scale.models / "upscaler" / file), pipeline.vae, number)
        better = {kind: gain[f"{kind}_upscaler_db"] - gain[f"{kind}_bicubic_db"] for kind in ("clean", "soft")}
        rows += [
            Figure(f"upscaler {arch} over bicubic", number, better["clean"], " dB", 1.5, 4),
            Figure(f"upscaler {arch} over bicubic, softened pictures", number, better["soft"], " dB"),
        ]
    return rows


def safety(scale: Scale) -> list[Figure]:
    """The safety checker's recall and specificity."""
    number = scale.of(1000)
    right = held_out_safety(_plan(scale), number)
    return [
        Figure("safety: recall", number // 2, right["recall"], "", 0.95, 0.99),
        Figure("safety: specificity", number // 2, right["specificity"], "", 0.98, 0.995),
    ]


Sections = Mapping[str, tuple[Callable[[Scale], list[Figure]], tuple[str, ...]]]
"""What each section measures, and the models that it needs."""
SECTIONS: Sections = {
    "picture": (pictures, ("judge", "picture")),
    "vae": (vae, ("picture", "tiny")),
    "labels": (labels, ("labels",)),
    "caption": (caption, ("caption",)),
    "control": (control, ("picture", "control")),
    "style": (style, ("judge", "picture", "style")),
    "upscaler": (upscalers, ("picture", "upscaler/x4.pth", "upscaler/x4_rrdb.pth")),
    "safety": (safety, ("safety",)),
    "speed": (speed, ("picture",)),
}


def _plan(scale: Scale) -> Plan:
    return Plan(torch.device("cpu"), models=scale.models)


def share_of(what: str, right: list[bool], must: float | None = None, goal: float | None = None) -> Figure:
    """The share of what is right, beside its bars."""
    return Figure(what, len(right), sum(right) / max(1, len(right)), "", must, goal if must is not None else None)


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table, shares in per cent."""
    lines = ["| what | n | figure | must | goal | reached |", "|---|---|---|---|---|---|"]
    for figure in figures:
        bars = ["" if bar is None else _number(bar, figure.unit) for bar in (figure.must, figure.goal)]
        value = _number(figure.value, figure.unit)
        lines.append(f"| {figure.what} | {figure.n} | {value} | {bars[0]} | {bars[1]} | {figure.verdict} |")
    return "\n".join(lines)


def _number(value: float, unit: str) -> str:
    return f"{value:.2f}{unit}" if unit else f"{100 * value:.1f} %"


def write_figures(path: Path, figures: list[Figure]) -> None:
    """Print the figures as a table, and write them to the file with what they were measured with."""
    print(table(figures))
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "steps": STEPS,
        "guidance": GUIDANCE,
        "versions": {m.__name__: m.__version__ for m in (torch, diffusers, transformers)},
        "figures": [asdict(figure) | {"reached": figure.verdict} for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def figures_from_words(program: str, about: str | None, sections: Sections, models: Path, result: Path) -> None:
    """Measure what the words of the command line name, all sections or some; those whose models lack are left out."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sections))
    parser.add_argument("--models", type=Path, default=models)
    parser.add_argument("--share", type=float, default=1.0, help="of the samples; 0.25 for a quick look")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(sections):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    scale = Scale(arguments.models, arguments.share)
    figures = []
    for name in arguments.sections or sections:
        measure, needed = sections[name]
        if missing := [model for model in needed if not (scale.models / model).exists()]:
            print(f"{name} is left out: there is no {scale.models / missing[0]}, which training makes")
            continue
        figures += measure(scale)
    write_figures(result, figures)


if __name__ == "__main__":
    figures_from_words("starter.evaluate", __doc__, SECTIONS, MODELS, RESULT)
