"""What all tests of the starter share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    # Two threads on a busy machine are slower than one.
    torch.set_num_threads(1)
