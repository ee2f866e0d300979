"""The one rule: what of a request is not allowed. It is asked when a job comes in, and again when its turn has come."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from bot.policies import minors
from bot.policies.policy import Policy
from bot.policies.texts import avoided, painted, paintings, written
from bot.policies.wordlists import Texts
from bot.words import N_
from inference.protocol import Reason, Request, because

MINORS = N_(
    "Sexual words together with words for minors are painted nowhere, and no setting changes that: leave one of them"
    " out, and call adults women and men."
)
BARRED_MEMBER = N_(
    "You cannot ask for anything in this server, its moderators have blocked you: ask them to let you in again."
)
BARRED_EVERYWHERE = N_(
    "You cannot ask for anything here, whoever runs this bot has blocked you: ask them to let you in again."
)
BARRED_SERVER = N_("Nothing can be asked for in this server, whoever runs this bot has blocked it: use another one.")
COMMAND = N_("/{command} is not allowed here: ask the moderators of this server where it is.")
MODEL = N_("The model {model} is not allowed here: choose one of {choices}.")
NO_MODEL = N_("No model is allowed here: ask the moderators of this server where one is.")
SIZE = N_("{width}x{height} is larger than is allowed here: choose a size of up to {most} pixels in all.")
WORDS = {
    "operator": N_("Word {number} of the list of whoever runs this bot is not allowed: say it in other words."),
    "server": N_("Word {number} of this server's list is not allowed: say it in other words."),
    "channel": N_("Word {number} of this channel's list is not allowed here: say it in other words."),
}


SHORT_CHARS = 1000
"""Prompts that are no longer are read at once. Long ones that change at every step of many pictures take seconds."""


@dataclass(frozen=True)
class Usage:
    """How many jobs of a member in this server came before one: those that failed, or were cancelled before they ran,
    do not count."""

    waiting: int = 0
    hour: int = 0
    day: int = 0


@dataclass(frozen=True)
class Asked:
    """A request, the command by which it is asked for, and the requests that made the pictures that it works on."""

    request: Request
    command: str
    before: Collection[Request] = ()


def problem(asked: Asked, policy: Policy, usage: Usage) -> Reason | None:
    """Why this may not be done for this member in this place; None where it may."""
    return (
        of_minors(asked)
        or policy.barred
        or of_command(asked.command, policy)
        or _of_painting(asked.request, policy)
        or of_words(written(asked.request), policy)
        or _of_usage(policy, usage)
    )


async def problem_of_any(asked: Asked, policy: Policy, usage: Usage) -> Reason | None:
    """The same, of a request of any length: nobody else waits for it."""
    if sum(len(painting.prompt) for painting in paintings(asked.request)) < SHORT_CHARS:
        return problem(asked, policy, usage)
    return await asyncio.to_thread(problem, asked, policy, usage)


def of_minors(asked: Asked) -> Reason | None:
    """What no policy changes."""
    own = painted(asked.request)
    if not own:
        return None
    before = [text for request in asked.before for text in painted(request)]
    return because(MINORS) if minors.refused([*own, *before], avoided(asked.request)) else None


def of_drawn(prompts: Collection[str], before: Collection[Request], policy: Policy) -> Reason | None:
    """What is wrong with words that came out of wildcards, of which only the engine knows the files."""
    made_from = [text for request in before for text in painted(request)]
    if prompts and minors.refused([*prompts, *made_from], ()):
        return because(MINORS)
    return of_words(prompts, policy)


def of_command(command: str, policy: Policy) -> Reason | None:
    """What is wrong with the command."""
    return None if policy.has(command) else because(COMMAND, command=command)


def of_words(texts: Collection[str], policy: Policy) -> Reason | None:
    """What is wrong with texts: the number of a word, and whose list has it. The word itself is said to nobody."""
    if not any(listed.words for listed in policy.words.values()):
        return None
    ready = Texts.of(texts)
    for whose, listed in policy.words.items():
        if (number := listed.found(ready)) is not None:
            return because(WORDS[whose], number=number)
    return None


def _of_painting(request: Request, policy: Policy) -> Reason | None:
    """What is wrong with what is painted: how much of it, and by what."""
    if paintings(request) and policy.count is not None and request.places > policy.count:
        return because("policy_count", count=request.places, most=policy.count)
    for painting in paintings(request):
        if not policy.admits(painting.model):
            choices = tuple(sorted(policy.models or ()))
            return because(MODEL, model=painting.model, choices=choices) if choices else because(NO_MODEL)
        for one in filter(None, (painting, painting.second)):
            if policy.pixels is not None and one.width * one.height > policy.pixels:
                return because(SIZE, width=one.width, height=one.height, most=policy.pixels)
        if policy.steps is not None and painting.steps > policy.steps:
            return because("policy_steps", steps=painting.steps, most=policy.steps)
    return None


def _of_usage(policy: Policy, usage: Usage) -> Reason | None:
    if policy.waiting is not None and usage.waiting >= policy.waiting:
        return because("policy_waiting", most=policy.waiting)
    if policy.hour is not None and usage.hour >= policy.hour:
        return because("policy_hour", most=policy.hour)
    if policy.day is not None and usage.day >= policy.day:
        return because("policy_day", most=policy.day)
    return None
