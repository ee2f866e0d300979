"""What /audit gives to whom: the whole of it, in parts, to owners alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from bot.commands import audit as command
from bot.custom_ids import OfWord
from bot.errors import MemberError
from bot.jobs import Jobs
from tests.bot.conftest import reply, request
from tests.bot.test_admission import Gate, interaction


async def test_owner_has_every_row_once_as_far_as_a_file_holds_them(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(jobs, tmp_path)
    monkeypatch.setattr(command, "ROWS_AT_ONCE", 3)
    for _ in range(7):
        await jobs.arrive(request(), reply())
    owner = interaction()
    owner.client.admission = gate.admission
    owner.guild_id, owner.guild.owner_id, owner.filesize_limit = 5, owner.user.id, 10**7
    await command.export(owner, OfWord("0"), ())
    file = owner.followup.send.await_args.kwargs["file"]
    numbers = [row["id"] for row in csv.DictReader(io.StringIO(file.fp.read().decode()))]
    assert numbers == [str(number) for number in range(7, 0, -1)]
    owner.filesize_limit = 600
    await command.export(owner, OfWord("0"), ())
    content = owner.followup.send.await_args.kwargs["file"].fp.read()
    assert len(content) <= 600
    assert content.count(b"\n") < 8
    owner.guild.owner_id, owner.permissions.administrator = owner.user.id + 1, False
    with pytest.raises(MemberError, match="Only who owns"):
        await command.export(owner, OfWord("0"), ())
    await gate.background.close()
