"""The words of one picture: what of them was drawn, which LoRAs and embeddings they name, what changes at which step.

Whatever a model cannot do of that is left out of its words, and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.catalog import weights
from inference.catalog.reading import Catalog
from inference.catalog.wildcards import Wildcards
from inference.errors import InvalidInput, WeightsError
from inference.models.embeddings import Embedding
from inference.models.handles import PictureModel, PictureRefiner
from inference.models.prompts import Beside
from inference.painting.conditioning import Stretch
from inference.protocol import (
    Drawn,
    Fact,
    Imagine,
    Lora,
    Reason,
    Tag,
    at_steps,
    because,
    breaks,
    changes,
    joined,
    limits,
    parts,
    plain_words,
    unbroken,
    weigh_words,
    without_tags,
)

NEVER_SEEN = "never_seen"

MAX_LORAS = 3
"""Of one picture."""


@dataclass(frozen=True)
class Wording:
    """What a picture is painted from."""

    drawn: Drawn
    """Without tags; with all LoRAs that work."""
    by_chance: bool
    """Whether it is another than was asked for."""
    notes: tuple[Reason, ...]


@dataclass(frozen=True)
class Reading:
    """The same as a model reads it."""

    stretches: tuple[Stretch, ...]
    embeddings: tuple[Embedding, ...]
    notes: tuple[Reason, ...]


def draw(request: Imagine, index: int, catalog: Catalog) -> Wording:
    """What the picture `index` of a request is painted from. Raises InvalidInput where nothing can be painted from what
    was drawn."""
    missing: dict[str, None] = {}
    files = Wildcards(catalog.wildcards)

    def lines(name: str) -> Sequence[str]:
        found = files.lines(name)
        if not found:
            missing[name] = None
        return found

    (prompt, tags), (negative, lost) = (without_tags(text) for text in request.drawn(request.seed_of(index), lines))
    notes = [because("no_such_wildcard", typed=name) for name in missing]
    loras = [*request.loras]
    title = catalog.models[request.model].title
    for tag in tags:
        meant = _meant(tag, request, catalog)
        if meant is None:
            notes.append(tag.problem or because("lora_not_drawn", typed=tag.name, model=title))
        elif meant.name in (one.name for one in loras):
            continue  # what was asked for outright counts, or what came first
        elif len(loras) >= MAX_LORAS:
            notes.append(because("lora_left_out", typed=tag.name, most=MAX_LORAS))
        else:
            loras.append(meant)
    if lost:
        notes.append(because("tags_in_negative"))
    for text, reason in ((prompt, "styled_chars"), (negative, "negative_chars")):
        # With what files have led to; what is varied from it holds it as its own.
        if len(text) > limits.MAX_PROMPT_CHARS:
            raise InvalidInput(reason, chars=len(text), most=limits.MAX_PROMPT_CHARS)
        if (wrong := limits.words_problem(text, request.steps)) is not None:
            raise InvalidInput.of(wrong)
    drawn = Drawn(prompt.strip(), negative.strip(), tuple(loras))
    by_chance = (drawn.prompt, drawn.negative) != tuple(text.strip() for text in request.styled)
    return Wording(drawn, by_chance or drawn.loras != request.loras, tuple(notes))


def gathered(notes: Iterable[Reason]) -> tuple[Reason, ...]:
    """The notes of several pictures, each once; what a model has never seen of the words of any is one note."""
    once: list[Reason] = []
    unseen: dict[Fact, dict[str, None]] = {}
    for note in notes:
        if note.name == NEVER_SEEN:
            words = note.facts["words"]
            assert isinstance(words, tuple)
            unseen.setdefault(note.facts["model"], {}).update(dict.fromkeys(words))
        elif note not in once:
            once.append(note)
    return *once, *(because(NEVER_SEEN, words=tuple(words), model=model) for model, words in unseen.items())


def read(
    wording: Wording,
    request: Imagine,
    model: PictureModel,
    refiner: PictureRefiner | None,
    second: bool,
    beside: Beside | None,
) -> Reading:
    """The words of a picture as its model reads them, `beside` pictures where there are any, or its refiner; `second`
    says whether in a second pass.

    Call it while the LoRAs of the picture work. Raises UnavailableModel where an embedding cannot be used.
    """
    spelled = model.embeddings.spell((wording.drawn.prompt, wording.drawn.negative), model.adapters.embeddings)
    notes = [because("no_such_embedding", typed=name, model=model.entry.title) for name in spelled.unknown]
    prompt, negative = spelled.texts
    guided = request.guidance > 1
    able = model.family
    prompt_parts = parts(prompt)
    if len(prompt_parts) > 1 and not (able.denoiser.composes and guided):
        notes.append(because("words_not_joined", model=model.entry.title))
        prompt_parts = parts(joined(prompt))
    if (plain := joined(negative)) != negative:
        negative, not_joined = plain, because("words_not_joined", model=model.entry.title)
        notes += [] if not_joined in notes else [not_joined]
    texts = [*(part.text for part in prompt_parts), negative]
    if able.words.weighing is None and any(breaks(text) for text in texts):
        notes.append(because("words_not_broken", model=model.entry.title))
        texts = [unbroken(text) for text in texts]
    steps = request.steps_taken
    over = [at_steps(text, steps, second) for text in texts]
    if able.words.between is None and any(changes(text) for text in texts):
        notes.append(because("words_not_changed", model=model.entry.title))
        over = [of_text[:1] for of_text in over]
    # LoRAs teach words of their own.
    if model.vocabulary is not None and not wording.drawn.loras:
        unseen = model.vocabulary.unseen(plain_words(text) for of_text in over for _, text in of_text)
        notes += [because(NEVER_SEEN, words=unseen, model=model.entry.title)] if unseen else []
    reader = model.prompts if refiner is None else refiner.prompts
    adapters = model.adapters.active if refiner is None else ()
    weighing = able.words.weighing
    skipped = 0 if request.clip_skip is None or weighing is None else request.clip_skip - weighing.layer
    vectors = tuple(one.vectors for one in spelled.used)

    def encoded(step: int) -> Stretch:
        *said, without = (_at(of_text, step) for of_text in over)
        both = [reader.encode(words, without, guided, adapters, vectors, skipped, beside) for words in said]
        return Stretch(step, tuple(both), tuple(part.weight for part in prompt_parts))

    weighed = any(part.weight != 1 for of_text in over for _, text in of_text for part in weigh_words(text))
    if weighing is None and weighed:
        notes.append(because("weights_left_out", model=model.entry.title))
    begins = sorted({begin for of_text in over for begin, _ in of_text})
    return Reading(tuple(encoded(step) for step in begins), spelled.used, tuple(notes))


def _at(of_text: Sequence[tuple[int, str]], step: int) -> str:
    return next(text for begin, text in reversed(of_text) if begin <= step)


def _meant(tag: Tag, request: Imagine, catalog: Catalog) -> Lora | None:
    """The LoRA that a tag means; None where it can be none."""
    called = tag.name.strip().lower()
    family = catalog.models[request.model].family
    for own in request.own_loras:
        if called == own.name.lower() and own.family == family:
            return _as_strong(tag, own.name, own.weight)
    for name, entry in catalog.loras.items():
        if called in (name.lower(), entry.title.lower()) and request.model in entry.models:
            return _as_strong(tag, name, entry.weight) if _is_here(catalog, name) else None
    return None


def _as_strong(tag: Tag, name: str, usual: float) -> Lora | None:
    """The LoRA of this name as strongly as a tag says; None where that cannot be."""
    weight = usual if tag.weight is None else tag.weight
    strongest = max(abs(weight), abs(tag.words or 0))
    return None if tag.problem or strongest > limits.MAX_LORA_WEIGHT else Lora(name, weight, tag.words)


def _is_here(catalog: Catalog, name: str) -> bool:
    try:
        return weights.locate(catalog, "lora", name) is not None
    except WeightsError:
        return False
