"""`python -m bot lora`, and what the doctor says of files that are gone."""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from bot import doctor
from bot.commands import loras as commands
from bot.custom_ids import OfWord
from bot.errors import MemberError, OperatorError
from bot.loras import operating
from tests.bot.loras.test_kept import ADA, GRACE, HERE, THERE, House
from tests.bot.loras.test_kept import house as house
from tests.bot.test_admission import interaction


def do(data: Path, *words: str) -> None:
    """What a shell would do."""
    parser = argparse.ArgumentParser()
    operating.add_command(parser.add_subparsers(dest="what"))
    operating.do(parser.parse_args([operating.COMMAND, *words]), data)


async def test_its_operator_decides_what_all_may_have(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    do(house.data, "list")
    assert capsys.readouterr().out == "there are none\n"
    mine, theirs = await house.landed(), await house.landed(GRACE)
    asked = house.asked("ink", ADA, HERE)
    with pytest.raises(OperatorError, match="nothing to decide"):
        do(house.data, "approve", str(mine.id))
    for lora in (mine, theirs):
        if lora is theirs:
            await house.loras.decide(mine.id, "refused", 0)
        await house.sharing.share(lora, "all", None)
    do(house.data, "list")
    first, second = capsys.readouterr().out.splitlines()
    assert f"member {GRACE}" in first
    assert "(all, pending)" in first
    assert "(all, refused)" in second
    do(house.data, "approve", str(theirs.id))
    with pytest.raises(OperatorError, match="another LoRA"):
        do(house.data, "approve", str(mine.id))
    await house.loras.look()
    [shared] = [one for one in house.loras.all() if one.shared == "all"]
    assert (shared.member_id, shared.told, shared.decided_by) == (GRACE, False, None)
    assert house.refused(house.asked("ink", 99, THERE), 99, THERE) is None
    do(house.data, "remove", str(theirs.id))
    await house.loras.look()
    assert house.loras.all() == [house.loras.find(mine.id)]
    assert len(house.files()) == 3
    assert house.refused(asked, ADA, HERE) is None
    told = await house.jobs.audit.page(HERE, limit=9)
    said = [entry.what for entry in told if entry.what.startswith("lora ")]
    assert said == ["lora removed", "lora approved", "lora refused"]
    with pytest.raises(OperatorError, match="there is no LoRA"):
        do(house.data, "refuse", str(theirs.id))


async def test_files_are_handed_out_and_those_that_are_gone_are_told(house: House, tmp_path: Path) -> None:
    assert doctor._loras(house.data).well
    lora = await house.landed()
    do(house.data, "export", str(lora.id), str(tmp_path / "out"))
    there = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert there == {
        "ink.safetensors": b"11 ink 2 .safetensors",
        "ink.kohya.safetensors": b"11 ink 2 .kohya.safetensors",
    }
    owner = interaction(ADA)
    owner.client.admission.jobs.loras, owner.client.admission.access.require = house.loras, AsyncMock()
    await commands.download(owner, OfWord(str(lora.id)), ())
    sent = [call.kwargs["file"] for call in owner.followup.send.await_args_list]
    assert {file.filename: file.fp.read() for file in sent} == there
    for file in sent:
        file.close()
    owner.filesize_limit = 1
    with pytest.raises(MemberError, match="whoever runs this bot can hand it to you"):
        await commands.download(owner, OfWord(str(lora.id)), ())
    assert doctor._loras(house.data).well
    house.loras.store.path(lora.sha256).unlink()
    finding = doctor._loras(house.data)
    assert not finding.well
    assert f"LoRA {lora.id} (ink)" in finding.said
    with pytest.raises(OperatorError, match="no such file"):
        do(house.data, "export", str(lora.id), str(tmp_path / "out"))
    assert doctor._loras(tmp_path / "nothing").well
    with pytest.raises(OperatorError, match="start the bot once"):
        do(tmp_path / "nothing", "list")
