"""Trainings: prepared by their members, once submitted unchanged, and gone with all their files."""

from __future__ import annotations

import asyncio
import json
import tomllib
import zipfile
from pathlib import Path

import msgspec
import pytest

from bot import archive
from bot.database import Database
from bot.errors import MemberError
from bot.jobs import Jobs
from bot.panels import audit
from bot.policies.policy import Policy
from bot.training import store
from bot.training.progress import Progress
from bot.training.states import Training
from bot.training.store import Trainings
from inference.protocol import (
    ModelInfo,
    Ready,
    TrainingInfo,
    TrainingOptions,
    TrainingOrder,
    because,
    sha256_of,
)
from inference.protocol.limits import training as limits
from tests.bot.conftest import ready

ADA, GRACE, GUILD = 101, 102, 5

ORDER = TrainingOrder(
    name="hatched",
    kind="style",
    trigger="hatched",
    consent='Drawn by me, "Ada", and nobody else.',
    license="CC0 \\ 1.0",
    model="starter",
    options=TrainingOptions(steps=20, epochs=2),
)


def able() -> Ready:
    """An engine with one model that can be taught, and one that cannot."""
    info = TrainingInfo(rank=8, rate=1e-3, steps=100, epochs=4, resolution=64, encoders=False)

    def taught(model: ModelInfo) -> ModelInfo:
        return msgspec.structs.replace(model, training=info) if model.name == "starter" else model

    return msgspec.structs.replace(ready(), models=tuple(map(taught, ready().models)))


@pytest.fixture
def trainings(database: Database, tmp_path: Path) -> Trainings:
    return Trainings(database, tmp_path)


@pytest.fixture
def progress(database: Database, trainings: Trainings) -> Progress:
    return Progress(database, trainings)


def uploads(folder: Path, count: int, begin: int = 0) -> dict[str, Path]:
    """So many files of different bytes, by their hashes."""
    files = {}
    for number in range(begin, begin + count):
        data = f"picture {number}".encode()
        files[sha256_of(data)] = folder / f"upload {number}.png"
        files[sha256_of(data)].write_bytes(data)
    return files


async def drafted(trainings: Trainings, tmp_path: Path, pictures: int = 5, order: TrainingOrder = ORDER) -> Training:
    draft = await trainings.add(order, member_id=ADA, guild_id=GUILD, channel_id=6, language="en")
    await trainings.add_pictures(draft.id, uploads(tmp_path, pictures), {})
    return draft


async def submitted(trainings: Trainings, tmp_path: Path) -> Training:
    draft = await drafted(trainings, tmp_path)
    waiting = await trainings.submit(draft.id, able())
    assert waiting is not None
    return waiting


async def test_a_draft_has_its_pictures_and_words_once(trainings: Trainings, tmp_path: Path) -> None:
    heard: list[int] = []
    trainings.listen(heard.append)
    draft = await trainings.add(ORDER, member_id=ADA, guild_id=GUILD, channel_id=6, language="en")
    assert (draft.state, draft.order, draft.chosen) == ("draft", ORDER, None)
    files = uploads(tmp_path, 3)
    gone = {sha256_of(b"gone"): tmp_path / "gone.png"}
    first, *_ = files
    both = await asyncio.gather(
        trainings.add_pictures(draft.id, files, {first: "  a\n house "}), trainings.add_pictures(draft.id, files, {})
    )
    assert sorted(both) == [0, 3]
    assert await trainings.add_pictures(draft.id, gone, {}) == 0
    pictures = await trainings.pictures(draft.id)
    assert {picture.sha256 for picture in pictures} == set(files)
    assert await trainings.set_captions(draft.id, {1: "a \t house", 2: "two trees", 77: "nothing"}) == 2
    assert [picture.caption for picture in await trainings.pictures(draft.id)] == ["a house", "two trees", ""]
    assert await trainings.remove_picture(draft.id, 2)
    assert not await trainings.remove_picture(draft.id, 2)
    assert not trainings.folders.picture(draft.id, 2).exists()
    assert trainings.folders.picture(draft.id, 1).read_bytes() == files[first].read_bytes()
    assert set(heard) == {draft.id}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Not a name"}, "training_name"),
        ({"name": "../escape"}, "training_name"),
        ({"consent": " \n "}, "training_unsaid"),
        ({"license": "x" * 301}, "training_chars"),
        ({"trigger": "a\x00b"}, "training_line"),
        ({"trigger": "\ud800"}, "training_line"),
        ({"options": TrainingOptions(steps=10**9)}, "training_number"),
        ({"options": TrainingOptions(seed=2**63)}, "training_number"),
        ({"options": TrainingOptions(rate=float("nan"))}, "training_rate"),
        ({"options": TrainingOptions(steps=2, epochs=3)}, "training_epochs"),
        ({"options": TrainingOptions(priors=3)}, "training_prior"),
        ({"options": TrainingOptions(previews=("x",) * 10)}, "training_previews"),
        ({"options": TrainingOptions(previews=("x\ny",))}, "training_words"),
    ],
)
async def test_what_cannot_be_is_not_kept(trainings: Trainings, changes: dict[str, object], reason: str) -> None:
    wanted = msgspec.structs.replace(ORDER, **changes)
    with pytest.raises(MemberError) as refused:
        await trainings.add(wanted, member_id=ADA, guild_id=GUILD, channel_id=6)
    assert refused.value.reason.name == reason
    assert str(refused.value).isprintable()
    assert await trainings.of_member(ADA) == []


async def test_a_member_has_so_many_and_no_more(trainings: Trainings) -> None:
    async def add() -> Training:
        return await trainings.add(ORDER, member_id=ADA, guild_id=GUILD, channel_id=6)

    made = await asyncio.gather(*(add() for _ in range(store.MOST_KEPT + 1)), return_exceptions=True)
    assert sum(isinstance(one, MemberError) for one in made) == 1
    assert len(await trainings.of_member(ADA)) == store.MOST_KEPT


async def test_more_pictures_than_may_be_are_refused_as_a_whole(trainings: Trainings, tmp_path: Path) -> None:
    draft = await drafted(trainings, tmp_path, limits.MOST_PICTURES)
    with pytest.raises(MemberError, match="201"):
        await trainings.add_pictures(draft.id, uploads(tmp_path, 1, 500), {})
    assert len(await trainings.pictures(draft.id)) == limits.MOST_PICTURES


async def test_what_is_submitted_is_changed_no_more_and_waits_once(trainings: Trainings, tmp_path: Path) -> None:
    draft = await drafted(trainings, tmp_path)
    both = await asyncio.gather(
        *(trainings.submit(draft.id, able(), Policy(trainings=1)) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(one, Training) for one in both) == 1
    assert await trainings.edit(draft.id, ORDER) is None
    assert await trainings.set_captions(draft.id, {1: "other"}) == 0
    assert not await trainings.remove_picture(draft.id, 1)
    assert await trainings.add_pictures(draft.id, uploads(tmp_path, 1, 70), {}) == 0
    assert not trainings.folders.picture(draft.id, 6).exists()
    assert await trainings.place(draft.id) == 0


async def test_a_limit_of_trainings_outlives_them(trainings: Trainings, tmp_path: Path) -> None:
    first = await drafted(trainings, tmp_path)
    assert await trainings.submit(first.id, able(), Policy(trainings=1)) is not None
    await trainings.erase(first.id)
    second = await drafted(trainings, tmp_path)
    with pytest.raises(MemberError, match="30 days"):
        await trainings.submit(second.id, able(), Policy(trainings=1))
    assert await trainings.submit(second.id, able(), Policy(trainings=2)) is not None


async def test_a_server_bounds_steps_and_pictures(trainings: Trainings, tmp_path: Path) -> None:
    draft = await drafted(trainings, tmp_path, 7)
    for policy, said in ((Policy(training_pictures=6), "7 pictures"), (Policy(training_steps=19), "20 steps")):
        with pytest.raises(MemberError, match=said):
            await trainings.submit(draft.id, able(), policy)
    plain = await trainings.edit(draft.id, msgspec.structs.replace(ORDER, options=TrainingOptions()))
    assert plain is not None
    made_to_fit = await trainings.submit(draft.id, able(), Policy(training_steps=19))
    assert made_to_fit is not None
    assert made_to_fit.options == TrainingOptions(steps=19)


@pytest.mark.parametrize(
    ("model", "pictures", "reason"),
    [("starter", 4, "few_pictures"), ("turbo", 5, "not_trained"), ("nobody", 5, "no_model"), ("sdxl", 5, "no_weights")],
)
async def test_what_cannot_be_trained_here_does_not_wait(
    trainings: Trainings, tmp_path: Path, model: str, pictures: int, reason: str
) -> None:
    draft = await drafted(trainings, tmp_path, pictures, msgspec.structs.replace(ORDER, model=model))
    with pytest.raises(MemberError) as refused:
        await trainings.submit(draft.id, able())
    assert refused.value.reason.name == reason


async def test_turns_go_in_the_order_of_submission_one_at_a_time(
    trainings: Trainings, progress: Progress, tmp_path: Path
) -> None:
    first, second = await submitted(trainings, tmp_path), await submitted(trainings, tmp_path)
    begun = [one for one in await asyncio.gather(*(progress.begin_next() for _ in range(3))) if one is not None]
    assert [one.id for one in begun] == [first.id]
    assert await trainings.stop(first.id) is not None
    assert await trainings.stop(first.id) is None
    following = await progress.begin_next()
    assert following is not None
    assert following.id == second.id
    # What goes on is behind the others; what a stopped bot had at work is before them.
    assert await trainings.go_on(first.id) is not None
    third = await submitted(trainings, tmp_path)
    await progress.resume()
    assert [one.id for one in await trainings.line()] == [second.id, first.id, third.id]


async def test_steps_are_known_at_once_and_kept_with_the_next_change(
    database: Database, trainings: Trainings, progress: Progress, tmp_path: Path
) -> None:
    training = await submitted(trainings, tmp_path)
    await progress.begin_next()
    await progress.planned(training.id, 0, 20, 2)
    trainings.note(training.id, 7, 0.25)
    found = await trainings.find(training.id)
    assert found is not None
    assert (found.state, found.step, found.steps, found.loss) == ("training", 7, 20, 0.25)
    stopped = await trainings.stop(training.id)
    assert stopped is not None
    assert (stopped.state, stopped.step, stopped.loss) == ("stopped", 7, 0.25)
    await trainings.go_on(training.id)
    await progress.begin_next()
    trainings.note(training.id, 9, 0.125)
    [gone, *_] = await trainings.pictures(training.id)
    await trainings.withdraw(gone.sha256)
    withdrawn = await trainings.find(training.id)
    assert withdrawn is not None
    assert (withdrawn.state, withdrawn.step, withdrawn.loss) == ("failed", 9, 0.125)


async def test_an_epoch_is_chosen_once_it_has_ended(trainings: Trainings, progress: Progress, tmp_path: Path) -> None:
    training = await submitted(trainings, tmp_path)
    await progress.begin_next()
    await progress.planned(training.id, 0, 20, 2)
    assert await trainings.choose(training.id, 1) is None
    for _ in range(2):  # as after a death
        await progress.epoch_ended(training.id, 1, 10, 0.5)
    chosen = await trainings.choose(training.id, 1)
    assert chosen is not None
    await progress.epoch_ended(training.id, 2, 20, 0.25)
    ended = await progress.ended(training.id)
    assert ended is not None
    assert (ended.state, ended.step, ended.epoch, ended.chosen) == ("ended", 20, 2, 1)
    assert [(one.epoch, one.loss) for one in await trainings.epochs(training.id)] == [(1, 0.5), (2, 0.25)]
    assert await trainings.fail(training.id, because("training_broke")) is None
    assert await trainings.go_on(training.id) is None


async def test_a_failure_is_said_and_can_be_gone_on_with(
    trainings: Trainings, progress: Progress, tmp_path: Path
) -> None:
    training = await submitted(trainings, tmp_path)
    await progress.begin_next()
    failed = await trainings.fail(training.id, because("training_diverged", step=3))
    assert failed is not None
    assert failed.reason == because("training_diverged", step=3)
    again = await trainings.go_on(training.id)
    assert again is not None
    assert (again.state, again.reason) == ("waiting", None)


async def test_what_is_laid_out_is_what_was_said_and_nothing_else(trainings: Trainings, tmp_path: Path) -> None:
    training = await submitted(trainings, tmp_path)
    folder = trainings.folders.pictures(training.id)
    (folder / "0099.png").write_bytes(b"left by a kill")
    for _ in range(2):
        trainings.folders.write(training, await trainings.pictures(training.id))
    assert sorted(file.name for file in folder.glob("*.png")) == [f"{number:04}.png" for number in range(1, 6)]
    card = tomllib.loads((folder / "card.toml").read_text())
    assert card == {field: getattr(ORDER, field) for field in ("name", "kind", "trigger", "consent", "license")}
    trainings.folders.picture(training.id, 3).unlink()
    with pytest.raises(FileNotFoundError):
        trainings.folders.write(training, await trainings.pictures(training.id))


async def test_whoever_is_erased_leaves_no_training_and_no_file(jobs: Jobs, tmp_path: Path) -> None:
    of_ada = await drafted(jobs.trainings, tmp_path)
    of_grace = await jobs.trainings.add(ORDER, member_id=GRACE, guild_id=GUILD, channel_id=6)
    await jobs.trainings.add_pictures(of_grace.id, uploads(tmp_path, 5), {})
    await jobs.trainings.submit(of_ada.id, able())
    let_go: list[int] = []

    async def note(training_id: int) -> None:
        assert jobs.trainings.folders.pictures(training_id).is_dir(), "the process ends before its files go"
        let_go.append(training_id)

    jobs.trainings.let_go = note
    kept = await jobs.belongings.beside_jobs(ADA)
    assert [row["name"] for row in kept["training"]] == ["hatched"]
    assert len(kept["training_picture"]) == 5
    for _ in range(2):
        await jobs.erase(ADA, 0)
    assert let_go == [of_ada.id]
    assert await jobs.trainings.of_member(ADA) == []
    assert not trainings_folder(tmp_path, of_ada).exists()
    assert len(await jobs.trainings.pictures(of_grace.id)) == 5
    assert jobs.trainings.folders.picture(of_grace.id, 5).is_file()


async def test_the_audit_is_told_who_began_one_and_how_it_ended(jobs: Jobs, tmp_path: Path) -> None:
    trainings, progress = jobs.trainings, Progress(jobs._database, jobs.trainings)
    training = await submitted(trainings, tmp_path)
    await progress.begin_next()
    await trainings.stop(training.id)
    await trainings.go_on(training.id)
    await progress.begin_next()
    await trainings.fail(training.id, because("training_diverged", step=3, typed="a member's word"))
    await trainings.erase(training.id)
    await trainings.erase((await drafted(trainings, tmp_path)).id)
    deleted, failed, accepted = await jobs.audit.page(GUILD, limit=9)
    assert [one.what for one in (accepted, failed, deleted)] == ["accepted", "failed", "deleted"]
    assert {(one.kind, one.member_id, one.job_id) for one in (accepted, failed, deleted)} == {("train", ADA, None)}
    assert len(accepted.hashes) == 5
    assert failed.details == {"rule": "training_diverged", "facts": {"step": 3}}
    assert deleted.details == {"training": training.id}
    said = audit.page([deleted, failed, accepted], {}, None, first=True, more=False, days=9, export=False)
    assert f"`/train` · **was accepted** · <#6> · training {training.id}" in str(said.to_components())
    assert "At step 3" in str(said.to_components())


async def test_pictures_and_words_are_taken_along_in_parts(trainings: Trainings, tmp_path: Path) -> None:
    for _ in range(2):
        draft = await drafted(trainings, tmp_path)
        await trainings.set_captions(draft.id, {5: "the last one"})
    elsewhere = await trainings.add(ORDER, member_id=GRACE, guild_id=GUILD, channel_id=6)
    await trainings.add_pictures(elsewhere.id, uploads(tmp_path, 1, 99), {})
    before, found = 2**63 - 1, dict[str, bytes]()
    for expected in (4, 4, 2):
        rows = await trainings.taken_along(ADA, before, 4)
        made = archive.write(tmp_path, {}, rows, trainings.folders.taken_along, 2**20)
        with zipfile.ZipFile(made.parts[0]) as part:
            pictures = {name: part.read(name) for name in part.namelist() if name.endswith(".png")}
            said = {row["id"]: row["caption"] for row in json.loads(part.read("jobs.json"))}
        assert len(pictures) == len(said) == expected
        found |= pictures
        before = min(said)
    assert await trainings.taken_along(ADA, before, 4) == []
    assert sorted(found.values()) == sorted([f"picture {number}".encode() for number in range(5)] * 2)


async def test_what_a_kill_has_left_is_removed_at_the_start(trainings: Trainings, tmp_path: Path) -> None:
    training = await drafted(trainings, tmp_path)
    for stray in ("99/pictures", "bad name", "-1"):
        (tmp_path / "trainings" / stray).mkdir(parents=True)
    await trainings.tidy()
    assert [folder.name for folder in (tmp_path / "trainings").iterdir()] == [str(training.id)]


def trainings_folder(data: Path, training: Training) -> Path:
    return data / "trainings" / str(training.id)
