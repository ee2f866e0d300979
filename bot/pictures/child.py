"""`python -m bot.pictures.child LIMITS`: a process that works on pictures for the bot, confined, until its input ends.

Files of members are decoded here and nowhere else, so nothing of the bot's is to be found here: no Discord, no
database, no environment. Started by `workers` alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

import msgspec

from bot.errors import MemberError
from bot.pictures.calls import MAX_FRAME_BYTES, Answer, Done, Fault, Fell, Limits, Refused, pack, perform

PR_SET_PDEATHSIG = 1
OPEN_FILES = 32
CAUSE_CHARS = 200
FAULTS: dict[int, Fault] = {
    errno.EFBIG: "size",
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.EROFS: "disk",
    errno.EACCES: "disk",
}


def main() -> None:
    """Answer call after call."""
    limits = msgspec.json.decode(sys.argv[1], type=Limits)
    _confine(limits)
    # This process is ours alone, and nobody reads what a library has to say about a hostile file.
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    _silence_libraries()
    while (payload := _next(sys.stdin.buffer)) is not None:
        _allow_seconds(limits.cpu_s)
        answers.write(_packed(_answer(payload)))
        answers.flush()


def _confine(limits: Limits) -> None:
    """Give up whatever this work does not need."""
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    os.umask(0o077)
    # What members wait for at the card goes first.
    os.nice(10)
    if sys.platform == "linux":
        # Ends with the bot in the middle of a call as well; between two calls it ends with its input.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _silence_libraries() -> None:
    """What they print is no answer, and what a hostile file makes them print is nobody's to read in the bot's log.
    Python's own last words go there as before."""
    sys.stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    with Path(os.devnull).open("wb") as nowhere:
        for printed in (1, 2):
            os.dup2(nowhere.fileno(), printed)


def _allow_seconds(more_s: int) -> None:
    """Let this call use so many seconds of the processor; after them the system ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (round(used.ru_utime + used.ru_stime) + more_s, resource.RLIM_INFINITY))


def _next(calls: BinaryIO) -> bytes | None:
    header = calls.read(4)
    length = int.from_bytes(header, "big")
    return calls.read(length) if len(header) == 4 and length <= MAX_FRAME_BYTES else None


def _answer(payload: bytes) -> Answer:
    try:
        return Done(perform(payload))
    except MemberError as error:
        return Refused(error.reason, _in_a_line(error.__cause__))
    except MemoryError as error:
        return Fell("memory", _in_a_line(error))
    except OSError as error:
        return Fell(FAULTS.get(error.errno or 0, "damaged"), _in_a_line(error))
    except Exception as error:
        return Fell("damaged", _in_a_line(error))


def _packed(answer: Answer) -> bytes:
    try:
        return pack(answer)
    except ValueError as error:
        return pack(Fell("size", _in_a_line(error)))


def _in_a_line(error: BaseException | None) -> str:
    return "" if error is None else " ".join(f"{type(error).__name__}: {error}".split())[:CAUSE_CHARS]


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
