"""The training loop that every stage shares: budget, learning rate, averaged weights, checkpoints, log.

All chance in a step comes from a generator seeded by (seed, step), so a run resumed from a checkpoint goes on
bit for bit as if it had never stopped (when its budget is counted in steps; in seconds, as near as clocks go).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn

BUILD = Path("build/starter")
LOG_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a stage trains over all resumptions: in steps, or in seconds, on a CPU those of its own work."""

    steps: int | None = None
    seconds: float | None = None

    def progress(self, step: int, spent_s: float) -> float:
        """The share of the budget that is used up, 0 to 1."""
        if self.steps is not None:
            return 1.0 if step >= self.steps else step / self.steps
        if self.seconds is not None:
            return 1.0 if spent_s >= self.seconds else spent_s / self.seconds
        raise ValueError("a budget needs steps or seconds")


class Stage(Protocol):
    """One thing to train. `loss` must draw all its chance from the generator."""

    name: str
    model: nn.Module
    ema_decay: float
    warm_steps: int

    def groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups, each with its peak `lr`."""

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of one batch, and the figures to log."""


def choose_device() -> torch.device:
    """CUDA where there is one, else the CPU with one thread's settings that make training fast there."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_flush_denormal(True)
    return torch.device("cpu")


def autocast(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where that is faster: on a GPU, and on a CPU whose processor knows it.

    There it trains up to three times as fast, and no worse. A processor without it is made to imitate it, which takes
    ten times as long as float32.
    """
    knows = device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=knows)


class Average:
    """The exponential moving average of a model's weights: what is exported and judged."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        # Early on the plain decay would hold the random start for too long.
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.detach(), 1 - decay)
            else:
                self.weights[name].copy_(value)


def rate_at(progress: float, step: int, warm_steps: int, flat_until: float = 0.5) -> float:
    """The share of the peak learning rate: a short warm-up, flat, then a cosine to nothing at the end."""
    warm = min(1.0, (step + 1) / max(1, warm_steps))
    if progress <= flat_until:
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * (progress - flat_until) / (1 - flat_until)))


def train(
    stage: Stage,
    budget: Budget,
    *,
    seed: int = 0,
    folder: Path = BUILD,
    save_every_s: float = 240.0,
    stop_after: int | None = None,
    on_save: Callable[[dict[str, torch.Tensor], int], None] | None = None,
    start: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Train the stage to the end of its budget, from its checkpoint in `folder` if there is one, else from `start`.

    Give the averaged weights. `stop_after` ends early after that many steps with a checkpoint (a planned stop);
    `on_save` is called with the averaged weights and the step whenever a checkpoint is written.
    """
    rank, world = _join_workers()
    model = stage.model
    if start is not None:
        model.load_state_dict(start)
    groups = stage.groups()
    peaks = [float(group["lr"]) for group in groups]
    on_cuda = next(model.parameters()).is_cuda
    # A training that yields to all other work on its machine waits for most of the time.
    clock = time.monotonic if on_cuda else time.process_time
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    average = Average(model, stage.ema_decay)
    path = folder / f"{stage.name}.pt"
    step, spent_s = 0, 0.0
    if path.exists():
        state = torch.load(path, map_location="cuda" if on_cuda else "cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights = state["average"]
        step, spent_s = int(state["step"]), float(state["spent_s"])
    folder.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        if rank == 0:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average.weights,
                "step": step,
                "spent_s": spent_s,
            }
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
            if on_save is not None:
                on_save(average.weights, step)

    model.train()
    first, saved, logged = step, time.monotonic(), time.monotonic()
    tick = clock()
    totals: dict[str, list[float]] = {}
    device = next(model.parameters()).device
    while True:
        progress = budget.progress(step, spent_s)
        if world > 1:
            # One worker's clock decides for all, or they would stop at different steps and hang.
            shared = torch.tensor([progress], dtype=torch.float64)
            dist.broadcast(shared, 0)
            progress = float(shared)
        if progress >= 1.0 or (stop_after is not None and step - first >= stop_after):
            break
        rate = rate_at(progress, step, stage.warm_steps)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * rate
        generator = torch.Generator(device=device).manual_seed((seed * 1_000_003 + step) * 64 + rank)
        loss, figures = stage.loss(generator, progress)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if world > 1:
            _share_gradients(model, world)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        average.update(model, step)
        now, worked = time.monotonic(), clock()
        spent_s, tick = spent_s + worked - tick, worked
        for name, value in figures.items():
            totals.setdefault(name, []).append(value)
        if now - logged > LOG_EVERY_S and rank == 0:
            line = {"stage": stage.name, "step": step, "spent_s": round(spent_s, 1), "rate": round(rate, 4)}
            means = {name: round(sum(values) / len(values), 5) for name, values in totals.items()}
            with (folder / f"{stage.name}.jsonl").open("a") as log:
                log.write(json.dumps(line | means) + "\n")
            totals, logged = {}, now
        if now - saved > save_every_s:
            save()
            # What saving (and exporting) costs is no training time.
            saved, tick = time.monotonic(), clock()
    save()
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()
    if rank > 0:
        # The first worker alone judges and exports; under torchrun a run is one stage.
        raise SystemExit
    return average.weights


def _join_workers() -> tuple[int, int]:
    """Under torchrun: join the other workers (gloo). Give this worker's rank and how many there are."""
    if "RANK" not in os.environ:
        return 0, 1
    dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size()


def _share_gradients(model: nn.Module, world: int) -> None:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
