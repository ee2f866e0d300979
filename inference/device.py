"""The processor that paints: which one, how much it holds, whether it still answers."""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import psutil
import torch

from inference.errors import DeviceError

Result = TypeVar("Result")

DtypeName = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Device:
    where: torch.device
    name: str
    """As the maker calls it; for a CPU its vector instructions, since they decide the last bits of a result."""
    memory_bytes: int

    @property
    def is_cuda(self) -> bool:
        return self.where.type == "cuda"

    def dtype(self, wanted: DtypeName, auto: Literal["float16", "bfloat16"] = "float16") -> torch.dtype:
        """What a network's weights are kept in here: float32 on a CPU; on a GPU as wanted, where that is `auto` so."""
        if not self.is_cuda:
            return torch.float32
        dtypes = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
        return dtypes[auto if wanted == "auto" else wanted]

    def free_bytes(self) -> int:
        """How much memory is there for whoever asks for it now, cached blocks of dropped tensors included."""
        if not self.is_cuda:
            return host_free_bytes()
        free, _ = torch.cuda.mem_get_info(self.where)
        return free + torch.cuda.memory_reserved(self.where) - torch.cuda.memory_allocated(self.where)

    def settle(self) -> None:
        """Wait until everything that was asked of the device is done, so that a clock can be read."""
        if self.is_cuda:
            torch.cuda.synchronize(self.where)

    def release_cache(self) -> None:
        """Give memory of dropped tensors back to the device. Call it after the last reference is gone.

        It takes a quarter of a second. What it leaves is not looked at again before the next call: half a million
        objects of the libraries stay for good, and a collection between two steps would look at all of them.
        """
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        if self.is_cuda:
            torch.cuda.empty_cache()

    def is_alive(self) -> bool:
        """Whether the device still computes. After an illegal access CUDA refuses everything until the process ends."""
        try:
            torch.ones(1, device=self.where).sum().item()
        except torch.OutOfMemoryError:
            return True
        except RuntimeError:
            return False
        return True


def choose(wanted: str, threads: int | None) -> Device:
    """The device named `auto`, `cpu`, `cuda` or `cuda:N`, set up for repeatable results.

    Call it once, before anything is loaded: it sets torch's process-wide switches.
    Raises DeviceError where the machine has no such device.
    """
    # One core is left to the bot and the system: threads that wait for a core that is taken make every operation
    # many times slower.
    torch.set_num_threads(threads or max(1, torch.get_num_threads() - 1))
    # Autotuning may choose another algorithm, with other last bits, on every start.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # What `release_cache` put aside goes with the rest: libraries take it for a leak else, and say so on stderr.
    atexit.register(gc.unfreeze)
    if wanted == "auto":
        wanted = "cuda" if cards() else "cpu"
    if wanted == "cpu":
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        name = f"CPU ({torch.backends.cpu.get_cpu_capability()})"
        return Device(where=torch.device("cpu"), name=name, memory_bytes=memory_bytes)
    here = cards()
    index = torch.device(wanted).index or 0
    if index >= here:
        raise DeviceError(f"EASEL_DEVICE={wanted}: torch sees {here} CUDA devices here; set EASEL_DEVICE=auto or cpu")
    device = torch.device("cuda", index)
    properties = torch.cuda.get_device_properties(device)
    torch.cuda.set_device(device)
    return Device(where=device, name=properties.name, memory_bytes=properties.total_memory)


def cards() -> int:
    """How many CUDA devices this machine has, as far as CUDA_VISIBLE_DEVICES lets them be seen."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def host_free_bytes() -> int:
    """How much of the machine's own memory is there for whoever asks for it now."""
    available: int = psutil.virtual_memory().available
    return available


def host_share_bytes() -> int:
    """How much of the machine's own memory one engine may fill with what left its card: a quarter, for all together."""
    total: int = psutil.virtual_memory().total
    return total // 4 // max(1, cards())


def unless_full(load: Callable[[], Result]) -> Result | None:
    """What `load` returns, or None where the memory does not hold it."""
    # Returning gives up the error, whose traceback would hold on to what was loaded in part.
    try:
        return load()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error says that the device's memory is full."""
    # The CPU allocator raises a plain RuntimeError; its text is all there is to know it by.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
