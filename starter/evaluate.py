"""`python -m starter.evaluate`: judge what the picture model paints; a table, and build/starter.json."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from starter.judge import MODELS, judge_pictures, load_judge
from starter.painter import GUIDANCE, STEPS, load_picture, paint
from starter.prompts import KINDS, Prompt, fixed_prompts

JUDGED = ("thing", "colour", "place", "time", "style", "count", "size")
RESULT = Path("build/starter.json")


def evaluate(picture: Path, share: float = 1.0, steps: int = STEPS, guidance: float = GUIDANCE) -> dict[str, Any]:
    """Share of prompts whose picture the judge reads as asked, by kind of prompt and attribute."""
    judge, pipeline = load_judge(), load_picture(picture)
    kinds: dict[str, dict[str, Any]] = {}
    painted, took_s = 0, 0.0
    for kind, full in KINDS.items():
        prompts = fixed_prompts(kind, max(1, round(full * share)))
        begin = time.monotonic()
        pictures = paint(pipeline, prompts, steps, guidance)
        took_s, painted = took_s + time.monotonic() - begin, painted + len(prompts)
        seen = judge_pictures(judge, pictures)
        row: dict[str, Any] = {"n": len(prompts)}
        for name in JUDGED:
            # A middling size goes without saying, so it is free: only sizes that are named are judged.
            asked = [pair for pair in zip(seen, prompts, strict=True) if name != "size" or named_size(pair[1])]
            hits = sum(s[name] == getattr(p.scene, name) for s, p in asked)
            row[name] = hits / max(1, len(asked))
        row["n_size"] = sum(named_size(prompt) for prompt in prompts)
        kinds[kind] = row
    return {
        "steps": steps,
        "guidance": guidance,
        "seconds_per_picture": round(took_s / painted, 3),
        "kinds": kinds,
    }


def named_size(prompt: Prompt) -> bool:
    """Whether the prompt says how large its things are."""
    return prompt.scene.size != "medium"


def print_table(kinds: dict[str, dict[str, Any]]) -> None:
    """The shares as a table in per cent."""
    print(f"{'prompts':<12} {'n':>4} " + " ".join(f"{name:>7}" for name in JUDGED))
    for kind, row in kinds.items():
        print(f"{kind:<12} {row['n']:>4} " + " ".join(f"{100 * row[name]:>6.0f}%" for name in JUDGED))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m starter.evaluate", description=__doc__)
    parser.add_argument("--picture", type=Path, default=MODELS / "picture")
    parser.add_argument("--share", type=float, default=1.0, help="of the prompts; 0.25 for a quick look")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = evaluate(arguments.picture, arguments.share, arguments.steps, arguments.guidance)
    print_table(result["kinds"])
    print(f"{result['seconds_per_picture']} s a picture, {arguments.steps} steps, guidance {arguments.guidance}")
    result["date"] = time.strftime("%Y-%m-%d")
    result["versions"] = {m.__name__: m.__version__ for m in (torch, diffusers, transformers)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
