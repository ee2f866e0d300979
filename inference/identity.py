"""What an engine is, in one word: the same word, the same bytes for the same request.

What is exchanged on the disk while an engine runs counts from its next start.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

import torch

from inference.catalog import fingerprint
from inference.catalog.fields import Kind
from inference.catalog.reading import Catalog
from inference.device import Device


def identity(
    catalog: Catalog, here: Mapping[Kind, Sequence[str]], device: Device, marks: object, vram_budget_bytes: int | None
) -> str:
    """The word for an engine on this device, with these entries of the catalogue (`weights.inventory`), whose pictures
    are marked so and whose weights may take so much."""
    worked_on = [device.name, device.memory_bytes, vram_budget_bytes]
    if not device.is_cuda:
        worked_on += [platform.machine(), torch.get_num_threads()]
    return fingerprint.word([fingerprint.parts(catalog, here), worked_on, marks])
