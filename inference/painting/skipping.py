"""Drafts: steps at which a denoiser is not run, since what it would say is foretold from what it said before.

The forecast is TaylorSeer's (Liu et al., From Reusing to Forecasting, 2025), as diffusers keeps its state, made of what
the whole denoiser says. diffusers' own hooks forecast what single blocks say: they want tensors from each,
which UNets' and the last of Stable Diffusion 3 do not give, and a `cache_context` around each call, which half of the
pipelines lack.

Which steps are left out is decided by their number (`policy.skipped`), never by what is in them, and each number is
foretold by itself: no picture depends on its neighbours. What a step caches lives as long as its run.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks.taylorseer_cache import TaylorSeerState
from torch.utils import _pytree as pytree

from inference.models.policy import FORECAST_ORDER


class Draft:
    """What one denoiser said in the steps of one run."""

    def __init__(self, skipped: Collection[int]) -> None:
        """`skipped` are the steps, counted from 0, that may be foretold."""
        self._skipped = skipped
        self._step = 0
        self._said: list[_Said] = []
        """By the calls of a step: with words that are told apart, or joined, there are several."""
        self._calls = 0
        self.left_out: list[int] = []
        """The steps that were foretold."""

    def step_done(self, words_changed: bool) -> None:
        """The next call belongs to the next step, which may follow other words than those before."""
        self._step += 1
        self._calls = 0
        if words_changed:
            self._said.clear()

    def run(self, forward: Any, *args: Any, **kwargs: Any) -> Any:
        """What the denoiser says, or would."""
        if self._calls == len(self._said):
            self._said.append(_Said())
        said = self._said[self._calls]
        self._calls += 1
        if self._step in self._skipped and said.is_enough:
            if self._step not in self.left_out:
                self.left_out.append(self._step)
            return said.foretold(self._step)
        output = forward(*args, **kwargs)
        said.hear(self._step, output)
        return output


class _Said:
    """What one of a step's calls said so far."""

    def __init__(self) -> None:
        self._state = TaylorSeerState(taylor_factors_dtype=torch.float32, max_order=FORECAST_ORDER)
        self._form: Any = None

    @property
    def is_enough(self) -> bool:
        """Whether a forecast can be made of it."""
        return FORECAST_ORDER in self._state.taylor_factors.get(0, {})

    def hear(self, step: int, output: Any) -> None:
        tensors, self._form = pytree.tree_flatten(output)
        self._state.current_step = step
        self._state.update(tuple(tensors))

    def foretold(self, step: int) -> Any:
        self._state.current_step = step
        return pytree.tree_unflatten(self._state.predict(), self._form)


@contextmanager
def drafting(denoiser: torch.nn.Module, skipped: Collection[int]) -> Iterator[Draft]:
    """Within, let the denoiser be foretold at these steps of one run; say of each when it is done."""
    draft = Draft(skipped)
    if not skipped:
        yield draft
        return
    own = vars(denoiser)
    forward, was_own = denoiser.forward, own.get("forward")
    # Pipelines ask its signature what it takes; `wraps` shows them the real one.
    own["forward"] = functools.wraps(forward)(functools.partial(draft.run, forward))
    try:
        yield draft
    finally:
        if was_own is None:
            del own["forward"]
        else:
            own["forward"] = was_own
