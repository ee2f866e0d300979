"""`python -m starter.train [STAGE ...]`: train the starter models, all stages in order or only those named.

Stopped at any time, the same command goes on from the checkpoints in build/starter.
"""

from __future__ import annotations

import argparse

import torch

from starter.train.loop import choose_device
from starter.train.plan import Plan
from starter.train.stages import STAGES, run_stage


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m starter.train", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--minutes", type=float, help="each stage's budget by the clock")
    parser.add_argument("--steps", type=int, help="each stage's budget in steps, the same on every machine")
    parser.add_argument("--batch-factor", type=int, help="batches this much larger (a GPU likes 8)")
    parser.add_argument("--onward", action="store_true", help="go on from the exported picture model (picture)")
    arguments = parser.parse_args()
    unknown = set(arguments.stages) - set(STAGES)
    if unknown:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    # Two threads on a shared CPU train slower than one.
    torch.set_num_threads(1)
    device = choose_device()
    factor = arguments.batch_factor or (8 if device.type == "cuda" else 1)
    for name in arguments.stages or STAGES:
        torch.manual_seed(0)
        figures = run_stage(name, Plan(device, factor, onward=arguments.onward), arguments.minutes, arguments.steps)
        print(name, {key: round(value, 4) for key, value in figures.items()}, flush=True)


if __name__ == "__main__":
    main()
