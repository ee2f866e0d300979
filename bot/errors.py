"""What can go wrong, by who has to hear of it.

EaselError
├── MemberError      one sentence for the member who asked, shown to them alone
│   └── WorkFailed   a child process could not do it; where it was no member's file, it is the caller's to go on
├── OperatorError    one line on stderr for whoever runs the bot; the process ends with status 2
└── EngineDied       what ran some jobs is gone; they go back to the queue
"""

from __future__ import annotations


class EaselError(Exception):
    """The root; never raised itself."""


class MemberError(EaselError):
    """The request cannot be met; the message says what the member can do."""


class WorkFailed(MemberError):
    """A child process was over a limit or crashed; the message is for whoever gave the picture."""


class OperatorError(EaselError):
    """The bot cannot run; the message says what the operator can do."""


class EngineDied(EaselError):
    """What ran some jobs is gone. `at_work` are those that it was working on: one of them may have ended it."""

    def __init__(self, message: str, at_work: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.at_work = at_work
