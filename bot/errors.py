"""What can go wrong, by who has to hear of it.

EaselError
├── MemberError      one sentence for the member who asked, shown to them alone
│   ├── WorkFailed   a child process could not do it; where it was no member's file, it is the caller's to go on
│   └── Starting     what the engine can do is not known yet
├── OperatorError    one line on stderr for whoever runs the bot; the process ends with status 2
└── EngineDied       what ran some jobs is gone; they go back to the queue
"""

from __future__ import annotations

from typing import Self

from bot import words
from bot.words import N_
from inference.protocol import Fact, Reason


class EaselError(Exception):
    """The root; never raised itself."""


class MemberError(EaselError):
    """The request cannot be met; the text says what the member can do."""

    def __init__(self, text: str, /, **facts: Fact) -> None:
        """A text of the source, with the names of its facts in braces. Those of `words.reasons` come by `of`."""
        self.reason = Reason(text, facts)
        super().__init__(text)

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """The error of a reason that is known already."""
        return cls(reason.name, **reason.facts)

    def __str__(self) -> str:
        """The sentence, in the language that is spoken here."""
        return words.why(self.reason)


class WorkFailed(MemberError):
    """A child process was over a limit or crashed; the message is for whoever gave the picture."""

    cause: str = ""
    """What the process had to say of it, for the operator."""


class Starting(MemberError):
    """Nobody can tell yet what can be asked for: the engine is being started, and is not what it was before."""

    def __init__(self) -> None:
        super().__init__(N_("Easel is just being started: try again in a minute."))


class OperatorError(EaselError):
    """The bot cannot run; the message says what the operator can do."""


class EngineDied(EaselError):
    """What ran some jobs is gone. `at_work` are those that it was working on: one of them may have ended it.
    `last_words` are lines that it said before."""

    def __init__(self, message: str, at_work: frozenset[int] = frozenset(), last_words: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.at_work = at_work
        self.last_words = last_words
