"""The command line that trains a set of stages."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from starter.train.loop import choose_device
from starter.train.plan import Plan
from starter.train.stages import Stages, run_stage


def train_from_words(
    program: str, about: str | None, stages: Stages, build: Path, models: Path, words: Sequence[str] | None = None
) -> None:
    """Train what the words of the command line name: all of the stages in their order, or some.

    Checkpoints lie in `build`, results in `models`; `words` are the process's own where none are given.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(stages))
    parser.add_argument("--minutes", type=float, help="each stage's budget in minutes of work")
    parser.add_argument("--steps", type=int, help="each stage's budget in steps, the same on every machine")
    parser.add_argument("--batch-factor", type=int, help="batches this much larger (a GPU likes 8)")
    parser.add_argument("--onward", action="store_true", help="go on from the exported picture model (picture)")
    arguments = parser.parse_args(words)
    unknown = set(arguments.stages) - set(stages)
    if unknown:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    # Two threads on a shared CPU train slower than one.
    torch.set_num_threads(1)
    device = choose_device()
    factor = arguments.batch_factor or (8 if device.type == "cuda" else 1)
    plan = Plan(device, factor, build, models, onward=arguments.onward)
    for name in arguments.stages or stages:
        torch.manual_seed(0)
        figures = run_stage(name, plan, arguments.minutes, arguments.steps, stages)
        print(name, {key: round(value, 4) for key, value in figures.items()}, flush=True)
