"""What members do with trainings: within the rules of where they are, on nothing but what is theirs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from bot.commands import train as acts
from bot.commands import train_course as course
from bot.custom_ids import OfWord
from bot.errors import MemberError
from bot.jobs import Jobs
from bot.pictures.posted import Posted
from bot.policies.kept import Place
from bot.teaching import bringing, seeing
from bot.teaching.captioning import Captioning
from bot.training.states import Training
from starter.render import render
from starter.world import Scene
from tests.bot.conftest import finished, queued, reply, request
from tests.bot.teaching.conftest import drafted
from tests.bot.test_admission import Gate, interaction
from tests.bot.training.test_store import ADA, GRACE, GUILD, able
from tests.e2e.asking import png


@pytest.fixture
def ada(gate: Gate) -> Any:
    """An interaction of Ada's with what the client has."""
    return by(gate, ADA)


def by(gate: Gate, member_id: int, **permissions: bool) -> Any:
    gate.dispatcher._engine.ready = able()
    made = interaction(member_id)
    made.client.admission, made.client.captioning = gate.admission, Captioning(gate.admission, gate.background)
    made.followup.send = AsyncMock(return_value=MagicMock(id=9))
    made.permissions.manage_messages = permissions.get("manage_messages", False)
    return made


async def now(jobs: Jobs, training: Training) -> Training:
    found = await jobs.trainings.find(training.id)
    assert found is not None
    return found


async def test_captions_that_may_not_be_painted_are_not_learned_from(
    gate: Gate, ada: Any, jobs: Jobs, tmp_path: Path
) -> None:
    training = await drafted(jobs, tmp_path)
    await gate.admission.policies.block_words(Place(GUILD), ["clown"])
    for words in ("a Clown at sea", "a naked child"):
        await jobs.trainings.set_captions(training.id, {2: words})
        with pytest.raises(MemberError):
            await course.start(ada, OfWord(str(training.id)), ())
        assert (await now(jobs, training)).state == "draft"
    await jobs.trainings.set_captions(training.id, {2: "a boat"})
    await course.start(ada, OfWord(str(training.id)), ())
    assert (await now(jobs, training)).state == "waiting"
    with pytest.raises(MemberError, match="started"):
        await course.start(ada, OfWord(str(training.id)), ())


async def test_bounds_of_the_server_hold_at_the_start(gate: Gate, ada: Any, jobs: Jobs, tmp_path: Path) -> None:
    training = await drafted(jobs, tmp_path)
    for name, most in (("training_steps", 5), ("trainings", 0)):
        await gate.admission.policies.put(Place(GUILD), name, most)
        with pytest.raises(MemberError):
            await course.start(ada, OfWord(str(training.id)), ())
        await gate.admission.policies.put(Place(GUILD), name, None)
    await gate.admission.policies.put(Place(GUILD), "models", frozenset({"other"}))
    with pytest.raises(MemberError):
        await course.start(ada, OfWord(str(training.id)), ())
    assert (await now(jobs, training)).state == "draft"


async def test_only_its_owner_does_anything_and_moderators_look_stop_and_delete(
    gate: Gate, jobs: Jobs, tmp_path: Path
) -> None:
    training = await drafted(jobs, tmp_path)
    word = OfWord(str(training.id))
    stranger, moderator = by(gate, GRACE), by(gate, GRACE, manage_messages=True)
    for act in (course.start, course.stop, course.go_on, course.look, course.delete, acts.open_panel, acts.open_more):
        with pytest.raises(MemberError, match="somebody else's"):
            await act(stranger, word, ())
    for act in (course.start, course.go_on, course.look, acts.open_more, acts.open_details):
        with pytest.raises(MemberError, match="somebody else's"):
            await act(moderator, word, ())
    await seeing.looked_after(moderator, word.word)
    moderator.guild_id = 77
    with pytest.raises(MemberError, match="somebody else's"):
        await seeing.looked_after(moderator, word.word)
    for forged in ("", "x", "9" * 30, "-1", "٣"):
        with pytest.raises(MemberError, match="deleted"):
            await seeing.own(by(gate, ADA), forged)


async def test_favourites_are_ones_own_with_the_words_that_they_were_painted_from(
    gate: Gate, ada: Any, jobs: Jobs, tmp_path: Path
) -> None:
    training = await jobs.trainings.add(
        (await drafted(jobs, tmp_path, 1)).order, member_id=ADA, guild_id=GUILD, channel_id=7
    )
    for number, member_id in enumerate((ADA, GRACE, ADA)):
        job = await queued(jobs, request(f"boat {number}"), reply(member_id, 200 + number))
        await jobs.start([job.id])
        picture = png(render(Scene("boat", "red", 1, "large", "sea", seed=number)))
        await jobs.finish(finished(tmp_path, job.id, picture))
        assert await jobs.finding.star(ADA, job.id, 0)
    said = await bringing.painted(ada, training, "favourites")
    assert {one.caption for one in await jobs.trainings.pictures(training.id)} == {"boat 0", "boat 2"}
    [sentence] = said
    assert "1 of your favourites" in sentence


async def test_what_was_painted_in_a_thread_is_learned_from_by_whoever_painted_it(
    gate: Gate, ada: Any, jobs: Jobs, tmp_path: Path
) -> None:
    training = await jobs.trainings.add(
        (await drafted(jobs, tmp_path, 1)).order, member_id=ADA, guild_id=GUILD, channel_id=7
    )
    assert await bringing.painted(ada, training, "here") == [
        "You have painted nothing in this channel or thread: add pictures."
    ]
    for number, (member_id, channel_id) in enumerate(((ADA, ada.channel_id), (GRACE, ada.channel_id), (ADA, 12345))):
        where = replace(reply(member_id, 200 + number), channel_id=channel_id)
        job = await queued(jobs, request(f"boat {number}"), where)
        await jobs.start([job.id])
        await jobs.finish(finished(tmp_path, job.id, png(render(Scene("boat", "red", 1, "large", "sea", seed=number)))))
    assert await bringing.painted(ada, training, "here") == []
    assert [one.caption for one in await jobs.trainings.pictures(training.id)] == ["boat 0"]


async def test_what_is_no_picture_to_learn_from_is_told_and_the_rest_is_kept(
    ada: Any, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene("boat", "red", 1, "large", "sea", seed=1)
    lying = {"good.png": png(render(scene)), "small.png": png(render(scene).resize((12, 12))), "`bad`.png": b"\x89PNG"}

    async def fetch(picture: Posted, folder: Path) -> Path:
        (folder / "fetched").write_bytes(lying[picture.name])
        return folder / "fetched"

    monkeypatch.setattr("bot.pictures.downloads.fetch", fetch)
    training = await drafted(jobs, tmp_path, 0)
    problems = await bringing.posted(ada, training, [Posted("https://x", name) for name in (*lying, "good.png")])
    assert len(await jobs.trainings.pictures(training.id)) == 1
    assert [problem.split(":")[0] for problem in problems] == ["`small.png`", "`bad.png`"]
    assert "16" in problems[0]


async def test_name_is_made_one_and_what_cannot_be_is_refused(gate: Gate, ada: Any, jobs: Jobs) -> None:
    fields = {"name": "  My Étchings! ", "trigger": "x", "consent": "me", "license": "CC0"}
    ada.data = {}
    await acts.add(ada, OfWord("style:starter:"), fields)
    [training] = await jobs.trainings.of_member(ADA)
    assert training.name == "my-etchings"
    await acts.add(by(gate, ADA), OfWord("subject:starter:"), fields | {"name": "猫"})
    assert [one.name for one in await jobs.trainings.of_member(ADA)] == ["subject", "my-etchings"]
    nothing = fields | {"consent": " "}
    for wrong, word in ((nothing, "style:starter:"), (fields, "x:starter:"), (fields, "style:nothing:")):
        with pytest.raises(MemberError):
            await acts.add(by(gate, ADA), OfWord(word), wrong)
    assert len(await jobs.trainings.of_member(ADA)) == 2


async def test_where_nothing_is_trained_nothing_is_begun(gate: Gate, ada: Any, jobs: Jobs) -> None:
    jobs.trainings.is_offered = False
    with pytest.raises(MemberError, match="taught"):
        await acts.open_new(ada, OfWord(""), ())
