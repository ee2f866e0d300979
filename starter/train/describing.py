"""The caption stage: the whole Florence-2 learns its tasks, the eyes schooled before it.

Every picture is looked at once and asked about twice or so; what takes most of the time, long answers, is packed by
length. The eyes' heads learn on, so that the tower forgets nothing while the language model is still coarse.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import Florence2Processor

from starter.answers import BOXING, OUTLINING, PHRASED, SIDE, TELLING, Question, Truth, answer, ask_about
from starter.describer import Describer
from starter.describer_scores import held_out_scores
from starter.train.eyes import Heads, Pictures, Readings, roughen, show, to_device, training_scenes
from starter.train.florence import (
    SEEN,
    Florence,
    export_florence,
    new_florence,
    new_processor,
    place_ids,
    prepare,
    question,
)
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import to_signed
from starter.train.plan import Plan, averaged

# How often each task is asked, within its kind.
TELLING_SHARES = (0.3, 0.3, 0.12, 0.28)
BOXING_SHARES = (0.45, 0.15, 0.2, 0.2)
PACKS = 3
Lesson = tuple[int, str, str]
"""A picture's number in its batch, a question about it, and the answer."""
# Of what the heads read, this is logged.
READ = frozenset({"thing", "count", "word", "letters", "mask_iou", "box_px"})


class DescribeStage:
    """Teacher forcing on answers; a place's target is spread over the pixels beside it."""

    name = "caption"
    ema_decay = 0.998
    warm_steps = 200

    def __init__(
        self,
        device: torch.device,
        florence: Florence,
        tokenizer: Any,
        heads: Readings,
        shown: Pictures,
        batch: int = 32,
        *,
        ask: Callable[[list[Any], random.Random], list[Lesson]],
    ) -> None:
        """`ask` makes lessons of what is true of pictures."""
        prepare(florence, device)
        self.florence, self.tokenizer, self.heads, self.ask = florence, tokenizer, heads, ask
        self.model: nn.Module = nn.ModuleDict({"florence": florence, "heads": heads}).to(device)
        self.shown = to_device(shown, device)
        self.batch = batch
        self.places = place_ids(tokenizer).to(device)
        # From a token's number to its pixel edge, -1 for words.
        self.edges = torch.full((len(tokenizer),), -1, dtype=torch.long, device=device)
        self.edges[self.places] = torch.arange(SIDE + 1, device=device)

    def groups(self) -> list[dict[str, Any]]:
        eyes = [*self.florence.model.vision_tower.parameters(), *self.heads.parameters()]
        known = {id(parameter) for parameter in eyes}
        words = [parameter for parameter in self.florence.parameters() if id(parameter) not in known]
        return [{"params": eyes, "lr": 6e-4}, {"params": words, "lr": 1.5e-3}]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.shown.pictures.device
        chosen = torch.randint(len(self.shown.pictures), (self.batch,), generator=generator, device=device)
        rng = random.Random(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        pictures = roughen(to_signed(self.shown.pictures[chosen]), generator)
        with autocast(device):
            tokens = self.florence.get_image_features(pictures).pooler_output
        tokens = tokens.float()
        seen, readings = self.heads.loss(tokens, self.shown, chosen)
        lessons = self.ask([self.shown.truths[number] for number in chosen.tolist()], rng)
        said, figures = self._say(tokens, lessons, spread=1.2 - 0.9 * progress)
        figures |= {name: value for name, value in readings.items() if name in READ}
        return said + 0.1 * (1 - 0.5 * progress) * seen, figures

    def _say(self, tokens: torch.Tensor, lessons: list[Lesson], spread: float) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of all answers given the pictures' tokens, and how many words and places are right."""
        asked = self.tokenizer([text for _, text, _ in lessons]).input_ids
        told = self.tokenizer([text for _, _, text in lessons]).input_ids
        by_length = sorted(range(len(lessons)), key=lambda number: len(told[number]))
        device = tokens.device
        table = self._spread_table(spread)
        total, weight = torch.zeros((), device=device), 0.0
        right = {"words": [0, 0], "places": [0, 0]}
        for pack in range(PACKS):
            numbers = by_length[pack * len(lessons) // PACKS : (pack + 1) * len(lessons) // PACKS]
            questions, asked_mask = _pad([asked[n] for n in numbers], self.tokenizer.pad_token_id, device)
            labels, told_mask = _pad([told[n] for n in numbers], self.tokenizer.pad_token_id, device)
            pictures = torch.tensor([lessons[n][0] for n in numbers], device=device)
            logits = self._logits(tokens[pictures], questions, asked_mask, labels)[told_mask]
            labels = labels[told_mask]
            logs = F.log_softmax(logits.float(), dim=-1)
            edges = self.edges[labels]
            is_place = edges >= 0
            words = -logs[~is_place].gather(1, labels[~is_place, None]).sum()
            near = -(logs[is_place][:, self.places] * table[edges[is_place]]).sum()
            places = int(is_place.sum())
            total = total + words + 0.5 * near
            weight += len(labels) - 0.5 * places
            best = logits.argmax(-1)
            right["words"][0] += int((best == labels)[~is_place].sum())
            right["words"][1] += len(labels) - places
            right["places"][0] += int(((self.edges[best[is_place]] - edges[is_place]).abs() <= 1).sum())
            right["places"][1] += places
        return total / weight, {name: hits / max(1, number) for name, (hits, number) in right.items()}

    def _logits(
        self, tokens: torch.Tensor, questions: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """What the model says next after every token of the right answers: (n, length, words)."""
        start = torch.full_like(labels[:, :1], self.florence.config.text_config.decoder_start_token_id)
        seen = torch.ones((len(tokens), SEEN), dtype=mask.dtype, device=mask.device)
        with autocast(tokens.device):
            words = self.florence.get_input_embeddings()(questions)
            logits: torch.Tensor = self.florence(
                inputs_embeds=torch.cat([tokens, words], dim=1),
                attention_mask=torch.cat([seen, mask], dim=1),
                decoder_input_ids=torch.cat([start, labels[:, :-1]], dim=1),
                use_cache=False,
            ).logits
        return logits

    def _spread_table(self, spread: float) -> torch.Tensor:
        """For every pixel edge how the target is shared among all edges: (65, 65), rows sum to one."""
        edges = torch.arange(SIDE + 1, device=self.places.device, dtype=torch.float32)
        return torch.softmax(-((edges[:, None] - edges) ** 2) / (2 * spread**2), dim=1)


def make_lessons(truths: list[Truth], rng: random.Random) -> list[Lesson]:
    """What to ask about a batch of pictures.

    Each picture is told about; half of them have boxes drawn, the other half outlines.
    """
    lessons = []
    for number, truth in enumerate(truths):
        kinds = [rng.choices(TELLING, TELLING_SHARES)[0]]
        kinds.append(rng.choices(BOXING, BOXING_SHARES)[0] if number % 2 else OUTLINING[0])
        for task in kinds:
            asked = ask_about(task, truth, rng) if task in PHRASED else Question()
            said = answer(task, truth, asked.phrase, asked.things, asked.sign)
            lessons.append((number, question(task, asked.words), said))
    return lessons


def _pad(rows: list[list[int]], filler: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows as one tensor, filled up at their ends, and where they are: bool."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [filler] * (longest - len(row)) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device) < lengths[:, None]


def run_caption(plan: Plan, budget: Budget, pictures: int = 24_000) -> dict[str, Any]:
    """Train the stage from the schooled eyes, write the model; give its figures on held-out renders."""
    processor = new_processor()
    florence = new_florence(processor)
    heads = Heads(florence.config.text_config.d_model)
    load_eyes(florence, heads, averaged(plan.build / "eyes.pt"))
    shown, batch = show(training_scenes(pictures)), 32 * plan.batch_factor
    stage = DescribeStage(plan.device, florence, processor.tokenizer, heads, shown, batch, ask=make_lessons)
    return held_out_scores(taught(stage, processor, plan, budget))


def taught(stage: DescribeStage, processor: Florence2Processor, plan: Plan, budget: Budget) -> Describer:
    """Train the stage, writing its model at every checkpoint; the model as it was written last."""
    shadow = new_florence(processor)

    def export(weights: dict[str, torch.Tensor], step: int) -> None:
        prefix = "florence."
        shadow.load_state_dict({n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)})
        export_florence(plan.models / "caption", shadow, processor)

    train(stage, budget, folder=plan.build, save_every_s=300, on_save=export)
    return Describer(shadow.to(plan.device).eval(), processor)


def load_eyes(florence: Florence, heads: Readings, weights: dict[str, torch.Tensor]) -> None:
    """Put the eyes stage's weights into the model and the heads."""
    parts: dict[str, nn.Module] = {
        "tower.": florence.model.vision_tower,
        "projector.": florence.model.multi_modal_projector,
        "heads.": heads,
    }
    for prefix, module in parts.items():
        module.load_state_dict({n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)})
