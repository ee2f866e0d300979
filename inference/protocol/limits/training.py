"""The rule for trainings: what can be asked for, whatever the machine, and which models can be taught here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from inference.protocol.events import Ready
from inference.protocol.limits.bounds import unknown_model
from inference.protocol.reasons import Reason, because
from inference.protocol.training import TrainingOptions, TrainingOrder

LEAST_PICTURES, MOST_PICTURES = 5, 200
"""Of fewer a LoRA learns the pictures themselves."""

LEAST_SIDE, MAX_FILE_BYTES = 16, 2**26
"""Of a picture, in pixels, and of its file."""

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Of a LoRA: it becomes the name of files, and of an entry of models.toml."""

MAX_NAME_CHARS = 64
MAX_TRIGGER_CHARS = 100
MAX_LINE_CHARS = 300
"""Of what is said of consent and of the licence."""

MAX_CAPTION_CHARS = 2000
MAX_STEPS = 10_000
MAX_EPOCHS = 50
MAX_RANK = 128
MAX_RATE = 0.01
LEAST_RESOLUTION, MAX_RESOLUTION = 64, 2048
MAX_PRIORS = 200
MAX_PREVIEWS, MAX_PREVIEW_CHARS = 9, 500


def problem(order: TrainingOrder, pictures: int, ready: Ready) -> Reason | None:
    """Why this cannot be trained on so many pictures with an engine that said this of itself; None where it can."""
    return next(_problems(order, pictures, ready), None)


def problem_of(order: TrainingOrder) -> Reason | None:
    """The same of what depends on no machine and on no pictures."""
    return next(_of_order(order), None)


def problem_of_caption(caption: str) -> Reason | None:
    """Why a picture cannot have these words, which stand in one line; None where it can."""
    if len(caption) > MAX_CAPTION_CHARS:
        return because("caption_chars", chars=len(caption), most=MAX_CAPTION_CHARS)
    return because("training_line", field="caption") if _controls(caption) else None


def one_line(text: str) -> str:
    """Words as they are kept: in one line, with one space between them."""
    return " ".join(text.split())


def _problems(order: TrainingOrder, pictures: int, ready: Ready) -> Iterator[Reason]:
    yield from _of_order(order)
    if pictures < LEAST_PICTURES:
        yield because("few_pictures", count=pictures, least=LEAST_PICTURES)
    if pictures > MOST_PICTURES:
        yield because("many_pictures", count=pictures, most=MOST_PICTURES)
    model = ready.model(order.model)
    if model is None:
        yield unknown_model(order.model, ready)
        return
    if model.training is None:
        yield because("not_trained", model=model.title)
    elif order.options.encoders and not model.training.encoders:
        yield because("encoders_not_trained", model=model.title)


def _of_order(order: TrainingOrder) -> Iterator[Reason]:
    if re.fullmatch(NAME, order.name) is None:
        yield because("training_name", typed=order.name[:MAX_NAME_CHARS])
    said = {"trigger": order.trigger, "consent": order.consent, "license": order.license}
    for field, text in said.items():
        if field != "trigger" and not text.strip():
            yield because("training_unsaid", field=field)
        most = MAX_TRIGGER_CHARS if field == "trigger" else MAX_LINE_CHARS
        if len(text) > most:
            yield because("training_chars", field=field, chars=len(text), most=most)
        if _controls(text):
            yield because("training_line", field=field)
    yield from _of_options(order.options)


def _of_options(options: TrainingOptions) -> Iterator[Reason]:
    bounds: dict[str, tuple[float, float]] = {
        "rank": (1, MAX_RANK),
        "steps": (1, MAX_STEPS),
        "epochs": (1, MAX_EPOCHS),
        "resolution": (LEAST_RESOLUTION, MAX_RESOLUTION),
        "priors": (0, MAX_PRIORS),
    }
    for field, (least, most) in bounds.items():
        value = getattr(options, field)
        if value is not None and not least <= value <= most:
            yield because("training_number", field=field, value=value, least=least, most=most)
    if options.rate is not None and not 0 < options.rate <= MAX_RATE:
        yield because("training_rate", value=options.rate, most=MAX_RATE)
    if options.seed is not None and not 0 <= options.seed < 2**63:
        yield because("training_number", field="seed", value=str(options.seed), least=0, most=str(2**63 - 1))
    if options.steps is not None and options.epochs is not None and options.epochs > options.steps:
        yield because("training_epochs", epochs=options.epochs, steps=options.steps)
    if bool(options.prior.strip()) != bool(options.priors):
        yield because("training_prior")
    if len(options.previews) > MAX_PREVIEWS:
        yield because("training_previews", count=len(options.previews), most=MAX_PREVIEWS)
    for text in (options.prior, *options.previews):
        if len(text) > MAX_PREVIEW_CHARS or _controls(text):
            yield because("training_words", most=MAX_PREVIEW_CHARS)


def _controls(text: str) -> bool:
    """Whether anything in it is no letter, such as the end of a line, or half of one."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
