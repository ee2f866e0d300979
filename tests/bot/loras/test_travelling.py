"""How a LoRA reaches an engine on another machine: as uploads do, with the job, and it goes with that."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import pytest

from bot.engine.cluster.bridge import Bridge
from bot.engine.cluster.host import Host
from bot.engine.link import Link
from inference.protocol import LORAS, Batch, Failed, Lora, OwnLora, because, lora_file, pack, sha256_of
from tests.bot.conftest import request

DATA = b"what was trained"
OWN = OwnLora(name="ink", sha256=sha256_of(DATA), family="sd1")


@pytest.fixture
def host() -> Host:
    made = Host({}, "cpu")
    made._link = create_autospec(Link, instance=True)
    return made


async def test_it_travels_with_the_job_and_goes_when_the_last_that_wants_it_has_ended(
    tmp_path: Path, host: Host
) -> None:
    kept = lora_file(tmp_path / LORAS, OWN.sha256)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(DATA)
    there = lora_file(host._data / LORAS, OWN.sha256)
    for job in (1, 2):
        payload = pack(Batch((request(job=job, loras=(Lora("ink", 1.0),), own_loras=(OWN,)),)))[4:]
        inputs, loras = Bridge(None, tmp_path)._inputs(payload)
        assert (inputs, loras) == ({}, {OWN.sha256: DATA})
        there.parent.parent.mkdir(exist_ok=True)
        await host.send(payload, inputs, loras)
        assert there.read_bytes() == DATA
    for job, stays in ((1, True), (2, False)):
        host._link.receive.return_value = pack(Failed(job, "cancelled", because("cancelled")))[4:]  # type: ignore[attr-defined]
        await host.receive()
        assert there.exists() is stays


async def test_one_that_is_gone_is_left_to_the_engine_to_say(tmp_path: Path, host: Host) -> None:
    payload = pack(Batch((request(job=1, loras=(Lora("ink", 1.0),), own_loras=(OWN,)),)))[4:]
    assert Bridge(None, tmp_path)._inputs(payload) == ({}, {})
    await host.send(payload, {}, {})
    assert not lora_file(host._data / LORAS, OWN.sha256).exists()
