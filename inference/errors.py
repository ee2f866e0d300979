"""What can go wrong in the inference process, as one tree.

Exception
├── OperatorError          the one who runs Easel must act: one line on stderr, exit status 2
│   ├── SettingsError      an EASEL_ variable
│   ├── CatalogError       models.toml
│   ├── DeviceError        the processor asked for is not there
│   ├── WeightsError       weights that are not on this machine, or that do not load
│   └── TrainingError      a folder to train on, or a run, that cannot be gone on with
├── TaskError              one job ends badly, the engine goes on; `kind` and reason go into `protocol.Failed`
│   ├── InvalidInput
│   ├── UnavailableModel
│   ├── OutOfMemory
│   ├── Unsafe
│   ├── NotFinite          what a network made is no number, so it is no picture
│   └── NotKept            what was made cannot be written to disk; `__cause__` says why
├── PeerGone               the bot has hung up: there is nobody left to paint for
├── PeerBroken             what came through the socket is not our protocol: the engine ends
└── DeviceLost             the accelerator answers no more: the engine ends, the bot starts another

Anything else that is raised is a bug: the job fails as `internal` and the traceback goes to the log.
"""

from __future__ import annotations

from typing import ClassVar, Self

from inference.protocol import Fact, FailureKind, Reason, because


class OperatorError(Exception):
    """The one who runs Easel must act. The text is one line that says what to do."""


class SettingsError(OperatorError):
    """An EASEL_ variable has a value that means nothing."""


class CatalogError(OperatorError):
    """models.toml is missing or ill-formed; the text names file, entry and field."""


class DeviceError(OperatorError):
    """The processor that was asked for is not in this machine."""


class WeightsError(OperatorError):
    """Weights are not on this machine, or are not what the catalogue says."""


class TrainingError(OperatorError):
    """What a LoRA shall be trained on, or a run of training, is not what it must be; the text names the file."""

    def __init__(self, text: str, reason: Reason | None = None) -> None:
        """`reason` is the same for the member whose training it is, where there is more to say than that it broke."""
        super().__init__(text)
        self.reason = reason


class TaskError(Exception):
    """One job ends here. Why is for the member, who is told it in words of theirs."""

    kind: ClassVar[FailureKind] = "internal"

    def __init__(self, name: str, /, **facts: Fact) -> None:
        """`name` and facts of a `protocol.Reason`."""
        self.reason = because(name, **facts)
        super().__init__(f"{name} {facts}" if facts else name)

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """The error of a reason that is known already."""
        return cls(reason.name, **reason.facts)


class InvalidInput(TaskError):
    """The request asks for what the model cannot do."""

    kind: ClassVar[FailureKind] = "invalid_input"


class UnavailableModel(TaskError):
    """The catalogue knows the model, but its weights are not on this machine."""

    kind: ClassVar[FailureKind] = "unavailable_model"


class OutOfMemory(TaskError):
    """The picture does not fit into the device's memory."""

    kind: ClassVar[FailureKind] = "out_of_memory"


class Unsafe(TaskError):
    """A safety checker flagged what was painted, or what it was to be made of; nothing of it may be shown."""

    kind: ClassVar[FailureKind] = "unsafe"


class NotFinite(TaskError):
    """What a network made is no number (NaN or infinite), so it is no picture. Who raises it has told the operator."""


class NotKept(TaskError):
    """What was made cannot be written to disk; its cause is the error of the system."""


class PeerGone(Exception):
    """The bot has hung up."""


class PeerBroken(Exception):
    """The bot sent bytes that are not our protocol."""


class DeviceLost(Exception):
    """The accelerator answers no more; only a new process can use it again."""
