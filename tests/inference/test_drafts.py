"""Drafts: steps that are foretold change the picture a little, and none of what is promised of its bytes."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from inference.catalog.reading import Catalog
from inference.families import FAMILIES
from inference.families.samplers import DIFFUSION, FLOW
from inference.models.policy import Policy, skipped
from inference.models.store import Store
from inference.painting import setups, skipping
from inference.protocol import Imagine, because
from inference.tasks import imagine
from tests.inference.conftest import Record, ask_for, paint_from
from tests.inference.families.test_every import FILES, ask, paint, pixels
from tests.inference.families.test_records import OF_EACH
from tests.inference.folders import hashes
from tests.inference.test_samplers import DRAWING

STEPS = 8
LEFT_OUT = len(skipped(STEPS))


@pytest.fixture
def drafted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store whose models paint drafts, as their entries would say."""
    for name in OF_EACH.values():
        store.use(name, lambda: None)
        monkeypatch.setitem(store._chosen, name, Policy(speed="draft"))
    return store


def computed(store: Store, request: Imagine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with each run of the denoiser."""
    denoiser = store.use(request.model, lambda: None).denoiser
    forward, runs = denoiser.forward, []

    def counted(*args: Any, **kwargs: Any) -> Any:
        runs.append(len(runs))
        return forward(*args, **kwargs)

    # As it was, for pipelines ask for it.
    counted.__wrapped__ = forward  # type: ignore[attr-defined]
    monkeypatch.setitem(vars(denoiser), "forward", counted)
    return runs


@pytest.mark.parametrize("family", FAMILIES)
def test_a_draft_runs_the_denoiser_less_often_and_has_the_same_bytes_beside_whomever(
    family: str, known: Catalog, drafted: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setups, "canonical_batch", lambda *_: 2)
    request = ask(family, known, steps=STEPS, seed=8)
    runs = computed(drafted, request, monkeypatch)
    alone = paint(drafted, request)[1]
    of_draft = len(runs)
    other = ask(family, known, job=2, seed=100, steps=STEPS, prompt="a boat at sea")
    beside = paint(drafted, other, request)[1]
    assert hashes(beside.pictures) == hashes(alone.pictures) == hashes(paint(drafted, request)[1].pictures)
    assert alone.answer.notes == (because("draft", skipped=LEFT_OUT, steps=STEPS),)
    assert alone.recipe["policy"]["speed"] == "draft"
    assert alone.recipe["draft"] == {"method": "TaylorSeer", "order": 1, "whole_steps": 3, "skipped_of": 2}
    del runs[:]
    drafted._chosen[OF_EACH[family]] = Policy()
    whole = paint(drafted, request)[1]
    assert "draft" not in whole.recipe
    assert "speed" not in whole.recipe["policy"], "recipes of whole pictures are as they were"
    assert of_draft * STEPS == len(runs) * (STEPS - LEFT_OUT)
    assert hashes(whole.pictures) != hashes(alone.pictures)


@pytest.mark.parametrize("cancelled_after", [skipped(STEPS)[0], STEPS + 1])
def test_between_all_steps_of_a_draft_who_is_quick_has_its_turn_and_a_cancel_ends_it(
    cancelled_after: int, drafted: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, request, turns = Record(), ask_for(steps=STEPS), [0]

    def give_way() -> None:
        turns[0] += 1
        if turns[0] == cancelled_after:
            record.report.cancel(request.job)

    monkeypatch.setattr(record.report, "give_way", give_way)
    record.begin(request)
    imagine.run([request], FILES, drafted, record.report)
    assert bool(record.finished()) == (cancelled_after > STEPS)
    # One step more is taken before the cancel is seen.
    assert turns[0] == min(cancelled_after, STEPS)
    whole = paint_from(FILES, drafted, ask_for(steps=STEPS))[1]
    assert pixels(whole).any()
    assert not isinstance(vars(drafted.use("sd15", lambda: None).denoiser).get("forward"), functools.partial)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"sampler": "Euler a", "steps": STEPS}, because("draft_sampler", sampler="Euler a")),
        ({"steps": 4}, because("draft_steps")),
    ],
)
def test_where_no_step_can_be_left_out_the_card_says_so_and_the_picture_is_whole(
    changes: dict[str, Any], note: Any, drafted: Store
) -> None:
    request = ask_for(**changes)
    made = paint_from(FILES, drafted, request)[1]
    assert made.answer.notes == (note,)
    drafted._chosen["sd15"] = Policy()
    whole = paint_from(FILES, drafted, request)[1]
    assert made.recipe["words"] == whole.recipe["words"]
    assert (pixels(made) == pixels(whole)).all()


def test_words_that_change_are_listened_to_before_anything_is_foretold_again(drafted: Store) -> None:
    steps = 12
    plain = paint_from(FILES, drafted, ask_for(steps=steps))[1]
    assert plain.answer.notes == (because("draft", skipped=len(skipped(steps)), steps=steps),)
    changing = paint_from(FILES, drafted, ask_for(steps=steps, prompt="a [red:blue:0.5] house"))[1]
    # At the seventh step they change: that and the next are computed.
    assert changing.answer.notes == (because("draft", skipped=len(skipped(steps)) - 1, steps=steps),)


class Line(torch.nn.Module):
    """Says where it is on a line, in each of a step's calls on another one."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, begin: torch.Tensor, slope: float, step: int) -> tuple[list[torch.Tensor]]:
        self.calls += 1
        return ([begin + slope * step],)


def test_what_moves_along_a_line_is_foretold_exactly_call_by_call() -> None:
    network, begin = Line(), torch.tensor([1.0, -2.0])
    with skipping.drafting(network, skipped(10)) as draft:
        for step in range(10):
            for slope in (0.5, -3.0):
                ([said],) = network(begin, slope, step)
                assert torch.allclose(said, begin + slope * step), (step, slope)
            draft.step_done(words_changed=False)
    assert draft.left_out == [*skipped(10)] == [3, 5, 7]
    assert network.calls == 2 * 7
    assert "forward" not in vars(network)


def test_first_steps_and_the_last_are_computed() -> None:
    assert [[*skipped(steps)] for steps in (1, 4, 5, 6, 8)] == [[], [], [3], [3], [3, 5]]


def test_samplers_that_draw_noise_are_marked() -> None:
    assert {name for name, sampler in (DIFFUSION | FLOW).items() if sampler.draws} == {*DRAWING}
