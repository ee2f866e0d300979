"""A trainer that trains nothing: run as a process, it does what a script says of its next start.

Started as `python -m tests.bot.training.scripted --fd N`; SCRIPT names a file of lines, one for each start.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path

from inference.protocol import (
    Crowded,
    EpochEnded,
    Go,
    Held,
    Hold,
    Planned,
    Stepped,
    Stop,
    Train,
    TrainerEvent,
    TrainerMessage,
    TrainingEnded,
    TrainingFailed,
    TrainingStopped,
    Woke,
    because,
    frame_bytes,
    pack,
    unpack_trainer_message,
)

STEPS, EPOCHS = 4, 2


class Bot:
    """The other end."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._reading = self._socket.makefile("rb")

    def hear(self) -> TrainerMessage | None:
        header = self._reading.read(4)
        return unpack_trainer_message(self._reading.read(frame_bytes(header))) if len(header) == 4 else None

    def say(self, event: TrainerEvent) -> None:
        self._socket.sendall(pack(event))

    def garble(self) -> None:
        self._socket.sendall(b"\0\0\0\1x")


def main() -> int:
    bot = Bot(int(sys.argv[sys.argv.index("--fd") + 1]))
    order = bot.hear()
    assert isinstance(order, Train)
    assert (Path(order.pictures) / "card.toml").is_file()
    script = Path(os.environ["SCRIPT"])
    does, _, rest = script.read_text().partition("\n")
    script.write_text(rest)
    what, _, number = does.partition(" ")
    if what == "refuse":
        print("easel: EASEL_DEVICE=moon: there is none", file=sys.stderr)
        return 2
    bot.say(Woke(card=what in ("deaf", "away")))
    bot.say(Planned(step=0, steps=STEPS, epochs=EPOCHS))
    match what:
        case "end" | "die":
            for step in range(1, STEPS + 1):
                if what == "die" and step > int(number):
                    os.kill(os.getpid(), signal.SIGKILL)
                bot.say(Stepped(step, 1 / step))
                if step % 2 == 0:
                    bot.say(EpochEnded(step // 2, step, 1 / step))
            bot.say(TrainingEnded())
        case "crowded":
            for step in range(1, int(number) + 1):
                bot.say(Stepped(step, 1.0))
            bot.say(Crowded())
        case "fail":
            bot.say(TrainingFailed(because("training_diverged", step=3)))
        case "garble":
            bot.garble()
        case "deaf":
            threading.Event().wait()
        case "polite" | "away":
            while (message := bot.hear()) is not None and not isinstance(message, Stop):
                if isinstance(message, Hold):
                    bot.say(Held(away=what == "away"))
                if isinstance(message, Go):
                    bot.say(Stepped(1, 0.5))
            bot.say(TrainingStopped())
    return 0


if __name__ == "__main__":
    sys.exit(main())
