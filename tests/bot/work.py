"""What tests let a child process do: each function here is called there, by its name."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from PIL import Image

from bot.errors import MemberError


def describe(folder: Path) -> dict[str, str]:
    """What this process has: its variables, its open files, the modules that it has read."""
    open_files = [str(link.resolve()) for link in Path("/proc/self/fd").iterdir()]
    return {
        "pid": str(os.getpid()),
        "variables": " ".join(sorted(os.environ)),
        "files": " ".join(name for name in open_files if name.startswith(str(folder))),
        "modules": " ".join(sorted(sys.modules)),
    }


def number(value: int) -> int:
    return value


def refuse() -> None:
    raise MemberError("Give another one.")


def stumble(kind: str) -> None:
    errors = {
        "RuntimeError": RuntimeError("a"),
        "TypeError": TypeError("b"),
        "RecursionError": RecursionError("c"),
        "OverflowError": OverflowError("d"),
        "ENOSPC": OSError(28, "No space left on device"),
    }
    raise errors[kind]


def take_memory(size_bytes: int) -> int:
    return len(bytearray(size_bytes))


def write(file: Path, size_bytes: int) -> None:
    with file.open("wb") as sink:
        for _ in range(size_bytes // 2**20):
            sink.write(bytes(2**20))


def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def spin(seconds: float) -> None:
    """Use the processor, where no signal of Python's can come between."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10**6))


def sleep(seconds: float, mark: Path) -> None:
    mark.write_text(str(os.getpid()))
    time.sleep(seconds)


def talk() -> int:
    """Print where a library might, and answer all the same."""
    print("a library's remark")
    return 1


def lie() -> int:
    return "no number"  # type: ignore[return-value]


def hang_up() -> None:
    """Close every file and stay."""
    os.closerange(0, 32)
    time.sleep(600)


def most_pixels() -> int | None:
    return Image.MAX_IMAGE_PIXELS


def chatter() -> str:
    """Print, as C libraries do, to whatever they find."""
    for printed in (1, 2):
        os.write(printed, b"a library's own words, of a stranger's file\n")
    return "done"
