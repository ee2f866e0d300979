"""What cards say of how a picture was painted: its settings, its LoRAs, what its wildcards drew."""

from __future__ import annotations

from bot import cards
from bot.job import Job
from bot.words import say, say_many
from inference.protocol import Drawn, Imagine, Lora


def drawn(request: Imagine, job: Job) -> list[str]:
    """What the wildcards of a finished job came to, picture by picture; nothing where there are none."""
    lines = []
    for index in range(len(job.pictures)):
        own = job.answer.drawn[index] if job.answer.drawn else Drawn(*request.drawn(request.seed_of(index)))
        loras = [lora_of(lora) for lora in own.loras if lora not in request.loras]
        if (own.prompt, own.negative) != request.styled or loras:
            without = [say("without {words}", words=cards.plain(own.negative))] if own.negative else []
            said = " · ".join([cards.plain(own.prompt), *without, *loras])
            lines.append(f"{index + 1}. {said}" if request.count > 1 else said)
    return lines


def lora_of(lora: Lora) -> str:
    """A LoRA and how strongly it works."""
    if lora.words is None:
        return f"{lora.name} {lora.weight:g}"
    return say("{lora} {weight}, in the words {words}", lora=lora.name, weight=lora.weight, words=lora.words)


def facts(request: Imagine) -> str:
    """What a Stable Diffusion user wants to know of a picture, in a line."""
    hires, refiner = request.hires, request.refiner
    said = [
        # Another server shows neither seeds nor steps.
        request.sampler and _seed(request),
        f"{request.width}x{request.height}",
        request.sampler and say_many("{count} step", "{count} steps", request.steps),
        request.sampler,
        request.sampler and say("guidance {guidance}", guidance=request.guidance),
        request.model,
        refiner and say("refined by {refiner}", refiner=refiner.name),
        request.style and cards.plain(request.style.title),
        *map(lora_of, request.loras),
        request.clip_skip and say("clip skip {layer}", layer=request.clip_skip),
        *(say("follows {control} {weight}", control=one.name, weight=one.weight) for one in request.controls),
        request.image and request.sampler and say("from a picture, strength {strength}", strength=request.strength),
        request.references
        and say_many("looks at {count} picture", "looks at {count} pictures", len(request.references)),
        hires
        and say(
            "again at {width}x{height}, strength {strength}",
            width=hires.width,
            height=hires.height,
            strength=hires.strength,
        ),
    ]
    return " · ".join(fact for fact in said if fact)


def _seed(request: Imagine) -> str:
    if not request.variations:
        return say("seed {seed}", seed=request.seed)
    return say("seed {seed} varied {count}×", seed=request.seed, count=len(request.variations))
