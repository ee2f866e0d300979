"""The labels stage: a small CLIP that says which words fit a picture, in English and Chinese.

Three lessons at once: labels and captions through the text tower, as the model will be asked; every attribute from the
picture alone; and, the great accelerator, what every patch of the picture shows. The heads of the last two are
thrown away.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import CLIPImageProcessor, CLIPProcessor, CLIPTokenizer
from transformers.image_utils import PILImageResampling

from starter.labels import VALUES, label_accuracy, load_labels
from starter.render import render, silhouettes
from starter.train.export import replacing
from starter.train.label_texts import SAID, label_texts, said_texts
from starter.train.loop import Budget, autocast, train
from starter.train.pictures import render_all, sample_scenes
from starter.train.plan import Plan
from starter.train.text import POSITIONS, new_tokenizer
from starter.train.vit import Shape, new_clip
from starter.world import COLOURS, THINGS, Scene

SHAPE = Shape()
# How much each attribute's labels count: the thing is learnt last and slowest.
WEIGHTS = {"thing": 2.0}
# The share of a patch that a thing must cover to be what the patch shows, and below which it is nothing.
COVERED, BARE = 0.35, 0.05
EASY_SHARE, EASY_UNTIL = 0.6, 0.2
# The share of pictures that are made grey, and what they no longer tell. Without them the model would take the colour
# for a hint at the thing, and mistake things in the colours that were held out.
GREY = 0.2
COLOURED = ("colour", "place", "time")
# What cross-entropy leaves out.
UNTOLD = -100


class LabelsStage:
    """Renders of all kinds but held-out pairs of thing and colour; a tenth with signs, roughened, some made grey."""

    name = "labels"
    ema_decay = 0.998
    warm_steps = 200

    def __init__(
        self,
        device: torch.device,
        pictures: int = 40_000,
        batch: int = 32,
        shape: Shape = SHAPE,
        tokenizer: CLIPTokenizer | None = None,
    ) -> None:
        self.tokenizer = tokenizer or new_tokenizer()
        self.clip = new_clip(self.tokenizer, shape)
        self.shape = shape
        width = shape.width
        self.model: nn.Module = nn.ModuleDict(
            {
                "clip": self.clip,
                "whole": nn.Linear(width, sum(map(len, VALUES.values()))),
                "patch": nn.Linear(width, 1 + len(THINGS) + len(COLOURS)),
            }
        ).to(device)
        self.batch = batch
        self.scenes = sample_scenes(pictures, seed=71, word_share=0.1)
        self.pictures = render_all(self.scenes, shape.side).to(device)
        self.covered = cover_all(self.scenes, shape.side).to(device)
        self.values = values_of(self.scenes).to(device)
        easy = [number for number, scene in enumerate(self.scenes) if scene.count == 1 and scene.size != "small"]
        self.easy = torch.tensor(easy, device=device)

    def groups(self) -> list[dict[str, Any]]:
        vision = [*self.clip.vision_model.parameters(), *self.clip.visual_projection.parameters()]
        text = [*self.clip.text_model.parameters(), *self.clip.text_projection.parameters()]
        heads = [*self.model["whole"].parameters(), *self.model["patch"].parameters()]  # type: ignore[index]
        return [
            {"params": vision + heads, "lr": 1.5e-3, "weight_decay": 0.05},
            {"params": text, "lr": 1e-3},
            {"params": [self.clip.logit_scale], "lr": 3e-3, "weight_decay": 0.0},
        ]

    def loss(self, generator: torch.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = self.pictures.device
        chosen = self._choose(generator, progress)
        rng = random.Random(int(torch.randint(2**31, (1,), generator=generator, device=device)))
        pictures, covered = roughen(self.pictures[chosen].float(), self.covered[chosen], generator)
        scenes, values = [self.scenes[number] for number in chosen.tolist()], self.values[chosen]
        grey = torch.randperm(self.batch, generator=generator, device=device)[: round(GREY * self.batch)]
        pictures[grey] = greyed(pictures[grey], generator)
        for attribute in COLOURED:
            values[grey, list(VALUES).index(attribute)] = UNTOLD
        with autocast(device):
            seen = self.clip.vision_model(pixel_values=normalised(pictures))
            guesses = self.model["whole"](seen.pooler_output)  # type: ignore[index]
            patches = self.model["patch"](seen.last_hidden_state[:, 1:])  # type: ignore[index]
            image = self.clip.visual_projection(seen.pooler_output)
        image = F.normalize(image.float(), dim=-1)
        scale = self.clip.logit_scale.exp()
        asked, figures = self._labels(image * scale, values, rng)
        said = self._captions(image * scale, scenes, grey, rng)
        whole = guess_loss(guesses.float(), values)
        patch = patch_loss(patches.float(), covered, values, self.shape.patch)
        parts = {"asked": asked, "said": said, "whole": whole, "patch": patch}
        figures |= {name: float(part.detach()) for name, part in parts.items()} | {"scale": float(scale.detach())}
        return asked + said + whole + 2 * patch, figures

    def _choose(self, generator: torch.Generator, progress: float) -> torch.Tensor:
        """Scenes of all kinds; early on mostly single things of some size, which teach shapes fastest."""

        def pick(number: int, of: int) -> torch.Tensor:
            return torch.randint(of, (number,), generator=generator, device=self.pictures.device)

        early = round(EASY_SHARE * self.batch) if progress < EASY_UNTIL else 0
        chosen = torch.cat([self.easy[pick(early, len(self.easy))], pick(self.batch - early, len(self.pictures))])
        # Pictures are roughened in groups by their place in the batch.
        return chosen[torch.randperm(self.batch, generator=generator, device=chosen.device)]

    def _labels(
        self, image: torch.Tensor, values: torch.Tensor, rng: random.Random
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross-entropy of every attribute's labels in a random wording, and the shares of right answers."""
        texts: list[str] = []
        for attribute in VALUES:
            texts += label_texts(attribute, rng, chinese=rng.random() < 0.4)
        logits = image @ self._embed(texts).T
        total, shares, start = torch.zeros((), device=image.device), {}, 0
        for column, (attribute, known) in enumerate(VALUES.items()):
            own = logits[:, start : start + len(known)]
            start += len(known)
            wanted = values[:, column]
            total = total + WEIGHTS.get(attribute, 1.0) * F.cross_entropy(own, wanted)
            shares[attribute] = float((own.argmax(1) == wanted)[wanted != UNTOLD].float().mean())
        return total, shares

    def _captions(
        self, image: torch.Tensor, scenes: list[Scene], grey: torch.Tensor, rng: random.Random
    ) -> torch.Tensor:
        """Cross-entropy of the batch's captions: which of them fits each picture that has its colours."""
        texts, numbers = said_texts(scenes, rng, rng.choice(SAID))
        logits = image @ self._embed(texts).T
        fitting = torch.tensor(numbers, device=image.device)
        fitting[grey] = UNTOLD
        return F.cross_entropy(logits, fitting)

    def _embed(self, texts: list[str]) -> torch.Tensor:
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=POSITIONS, return_tensors="pt")
        device = self.pictures.device
        with autocast(device):
            features = self.clip.get_text_features(input_ids=tokens.input_ids.to(device)).pooler_output
        return F.normalize(features.float(), dim=-1)


def values_of(scenes: list[Scene]) -> torch.Tensor:
    """The scenes' attributes as numbers, (n, 7), in the order of VALUES."""
    return torch.tensor([[known.index(getattr(s, name)) for name, known in VALUES.items()] for s in scenes])


def cover_all(scenes: list[Scene], side: int) -> torch.Tensor:
    """Which pixels any of the scene's things covers: bool, (n, side, side)."""
    return torch.stack([torch.from_numpy(sum(silhouettes(scene, side)) > 0) for scene in scenes])


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures from 0 to 255 in the scale of CLIP's processor."""
    mean, std = (
        torch.tensor(v, device=pictures.device).view(3, 1, 1)
        for v in (CLIPImageProcessor.image_mean, CLIPImageProcessor.image_std)
    )
    return (pictures / 255 - mean) / std


def guess_loss(guesses: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of all attributes, named from the whole picture."""
    total, start = torch.zeros((), device=guesses.device), 0
    for column, (attribute, known) in enumerate(VALUES.items()):
        own = guesses[:, start : start + len(known)]
        total = total + WEIGHTS.get(attribute, 1.0) * F.cross_entropy(own, values[:, column])
        start += len(known)
    return total


def patch_loss(patches: torch.Tensor, covered: torch.Tensor, values: torch.Tensor, patch: int) -> torch.Tensor:
    """Which thing each patch shows, or none, and in which colour: (n, patches, logits) against (n, side, side)."""
    share = F.avg_pool2d(covered[:, None].float(), patch).flatten(1)
    kinds = len(THINGS) + 1
    thing = torch.where(share > COVERED, values[:, :1] + 1, 0)
    thing = torch.where((share > BARE) & (share <= COVERED), UNTOLD, thing)
    colour = torch.where(share > COVERED, values[:, 1:2], UNTOLD)
    by_thing = F.cross_entropy(patches[..., :kinds].flatten(0, 1), thing.flatten(), reduction="none")
    by_colour = F.cross_entropy(patches[..., kinds:].flatten(0, 1), colour.flatten(), reduction="none")
    # Bare patches are many and soon known: things and ground weigh alike.
    on, bare = thing.flatten() > 0, thing.flatten() == 0
    ground = (by_thing * bare).sum() / bare.sum().clamp(min=1)
    things = ((by_thing + 0.5 * by_colour) * on).sum() / on.sum().clamp(min=1)
    return things + ground


def roughen(
    pictures: torch.Tensor, covered: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """What painted, enlarged and shrunk pictures are like: mirrored, shifted, soft, noisy, of other brightness.

    Takes and gives pictures from 0 to 255 and what covers them; both are mirrored and shifted alike.
    """
    side, device = pictures.shape[-1], pictures.device

    def draw(low: float, high: float, *size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, device=device)

    done: list[torch.Tensor] = []
    masks: list[torch.Tensor] = []
    for group, mask in zip(pictures.chunk(8), covered.chunk(8), strict=True):
        dx, dy = (int(torch.randint(-4, 5, (1,), generator=generator, device=device)) for _ in range(2))
        group = F.pad(group, (4, 4, 4, 4), mode="replicate")[..., 4 + dy : 4 + dy + side, 4 + dx : 4 + dx + side]
        mask = F.pad(mask, (4, 4, 4, 4))[..., 4 + dy : 4 + dy + side, 4 + dx : 4 + dx + side]
        if len(done) % 2:
            group, mask = group.flip(-1), mask.flip(-1)
        if len(done) < 2:
            # As the upscaler and CLIP's processor leave a picture, or one painted without fine lines.
            between = (4 * side, int(side * draw(0.6, 0.95)))[len(done)]
            group = _resized(_resized(group, between), side)
        elif len(done) < 5:
            soft = F.avg_pool2d(F.pad(group, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
            group = torch.lerp(group, soft, float(draw(0.2, 1.0)))
        done.append(group)
        masks.append(mask)
    pictures, n = torch.cat(done), len(pictures)
    noise = torch.randn(pictures.shape, generator=generator, device=device)
    pictures = (pictures - 128) * draw(0.9, 1.08, n, 1, 1, 1) + 128 + draw(-10, 10, n, 1, 1, 1)
    return (pictures + noise * draw(0.0, 8.0, n, 1, 1, 1)).clamp(0, 255), torch.cat(masks)


def greyed(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures from 0 to 255 without their colours, each in a faint tint of its own."""
    tone = pictures.mean(1, keepdim=True)
    tint = 0.85 + 0.3 * torch.rand((len(pictures), 3, 1, 1), generator=generator, device=pictures.device)
    return (tone * tint).clamp(0, 255)


def _resized(pictures: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(pictures, (side, side), mode="bicubic", antialias=True)


def new_image_processor(side: int) -> CLIPImageProcessor:
    """CLIP's own: any picture to its middle square of `side` pixels, in CLIP's scale."""
    return CLIPImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        resample=PILImageResampling.BICUBIC,
    )


def run_labels(plan: Plan, budget: Budget, stage: LabelsStage | None = None, held_out: int = 1000) -> dict[str, Any]:
    """Train and write the labels model; its shares of right answers, Chinese ones and unseen pairs marked."""
    stage = stage or LabelsStage(plan.device, batch=32 * plan.batch_factor)
    stage.model.load_state_dict(train(stage, budget, folder=plan.build))
    clip: Any = stage.clip
    build: Any = CLIPProcessor
    with replacing(plan.models / "labels") as part:
        clip.half().save_pretrained(part)
        build(new_image_processor(stage.shape.side), stage.tokenizer).save_pretrained(part)
    return held_out_labels(plan, held_out)


def held_out_labels(plan: Plan, number: int) -> dict[str, float]:
    """The exported model's shares of right zero-shot answers on renders that the training never saw."""
    model, processor = load_labels(plan.models / "labels")
    scenes = sample_scenes(number, seed=990_071, word_share=0.1)
    pictures = [render(scene, 64) for scene in scenes]
    figures = label_accuracy(model, processor, scenes, pictures)
    chinese = label_accuracy(model, processor, scenes, pictures, chinese=True)
    pairs = label_accuracy(model, processor, sample_scenes(max(1, number // 3), seed=990_072, held_out=True))
    figures |= {f"{name}_zh": share for name, share in chinese.items()}
    return figures | {f"unseen_{name}": pairs[name] for name in ("thing", "colour")}
