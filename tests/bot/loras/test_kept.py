"""Members' LoRAs as they are kept: landed once, whose they are, with whom shared, gone with all their files."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from bot.audit import Audit
from bot.database import Database
from bot.errors import MemberError, Starting
from bot.job import Reply
from bot.jobs import Jobs
from bot.loras import landings
from bot.loras.kept import GONE, NOT_SHARED, Loras
from bot.loras.landings import Landings
from bot.loras.lora import MemberLora
from bot.loras.sharing import Sharing
from bot.policies.kept import Place, Policies
from bot.requests import painting
from bot.requests.painting import Options
from bot.training.progress import Progress
from bot.training.states import Training
from inference.protocol import LORAS, Grid, Imagine, Ready, TrainingOptions, TrainingOrder, limits
from tests.bot.conftest import add_on, queued, ready

ADA, GRACE, LINUS = 11, 12, 13
HERE, THERE = 5, 6

TOLD = ready(max_loras=3, loras=(add_on("neon", "Neon", ("starter",)),))


@dataclasses.dataclass
class House:
    """What a bot has of LoRAs."""

    data: Path
    database: Database
    jobs: Jobs
    policies: Policies
    told: Ready = TOLD

    def __post_init__(self) -> None:
        self.loras = self.jobs.loras
        self.sharing = Sharing(self.loras, self.policies, lambda: self.told)
        self.landings = Landings(
            self.database, self.jobs.trainings, self.loras, self.policies, self.sharing, lambda: self.told
        )

    async def trained(
        self, member_id: int = ADA, name: str = "ink", epochs: int = 2, guild_id: int | None = HERE
    ) -> Training:
        """A training that has come to its end, with the files of so many epochs."""
        trainings, progress = self.jobs.trainings, Progress(self.database, self.jobs.trainings)
        order = TrainingOrder(
            name=name,
            kind="style",
            trigger=f"{name}style",
            consent="mine",
            license="CC0",
            model="starter",
            options=TrainingOptions(),
        )
        training = await trainings.add(order, member_id=member_id, guild_id=guild_id, channel_id=9)
        await self.database.change("UPDATE training SET state = 'training' WHERE id = ?", (training.id,))
        await progress.planned(training.id, 0, 10 * epochs, epochs)
        for epoch in range(1, epochs + 1):
            folder = trainings.folders.epoch(training.id, epoch)
            folder.mkdir(parents=True)
            for end in (".safetensors", ".kohya.safetensors"):
                (folder / f"{name}{end}").write_bytes(f"{member_id} {name} {epoch} {end}".encode())
            trainings.folders.preview(training.id, epoch).write_bytes(f"preview {member_id} {name} {epoch}".encode())
            await progress.epoch_ended(training.id, epoch, 10 * epoch, 0.1)
        ended = await progress.ended(training.id)
        assert ended is not None
        return ended

    async def landed(self, member_id: int = ADA, name: str = "ink", guild_id: int | None = HERE) -> MemberLora:
        """A LoRA of a member's."""
        training = await self.trained(member_id, name, guild_id=guild_id)
        await self.landings.land(training.id)
        lora = self.loras.of_training(training.id)
        assert lora is not None
        return lora

    def asked(self, lora: str, member_id: int, guild_id: int | None) -> Imagine:
        """What a member asks for there."""
        return painting.resolve(
            Options(prompt="a red house", loras=lora), self.loras.offered(self.told, member_id, guild_id)
        )

    def refused(self, request: Imagine, member_id: int, guild_id: int | None) -> str | None:
        """By which rule a request is refused to a member there."""
        reason = self.loras.problem(request, Reply(member_id, guild_id, 9, None, "", 0.0, 0))
        return None if reason is None else reason.name

    def files(self) -> list[bytes]:
        """All that lies in the folder."""
        return sorted(file.read_bytes() for file in (self.data / LORAS).rglob("*") if file.is_file())


@pytest.fixture
async def house(tmp_path: Path, database: Database, jobs: Jobs) -> House:
    await jobs.loras.load()
    policies = Policies(database, {"imagine": "imagine", "grid": "grid"}, own_loras=jobs.loras.problem)
    return House(tmp_path, database, jobs, policies)


async def test_what_was_chosen_lands_once_and_another_epoch_takes_its_place_while_the_first_stays(house: House) -> None:
    training = await house.trained()
    await asyncio.gather(*(house.landings.land(training.id) for _ in range(3)))
    [lora] = house.loras.all()
    assert (lora.name, lora.epoch, lora.trigger, lora.family, lora.pictures) == ("ink", 2, "inkstyle", "sd1", 0)
    assert len(house.files()) == 3
    before = house.asked("ink:0.5", ADA, HERE)
    assert limits.problem(before, house.told) is None
    assert [own.sha256 for own in before.own_loras] == [lora.sha256]
    await house.jobs.trainings.choose(training.id, 1)
    await house.landings.land(training.id)
    [other] = house.loras.all()
    assert (other.id, other.epoch) == (lora.id, 1)
    assert other.sha256 != lora.sha256
    assert house.asked("ink", ADA, HERE).own_loras[0].sha256 == other.sha256
    # What was painted with the first is painted again with it.
    assert house.refused(before, ADA, HERE) is None
    assert house.loras.store.path(lora.sha256).read_bytes() == b"11 ink 2 .safetensors"
    assert [file.epoch for file in await house.loras.files_of(lora.id)] == [1, 2]


async def test_what_was_deleted_does_not_land_again_by_itself(house: House) -> None:
    lora = await house.landed()
    assert await house.loras.delete(lora.id)
    assert not await house.loras.delete(lora.id)
    assert house.files() == []
    assert lora.training_id is not None
    await house.landings.land(lora.training_id)
    assert house.loras.all() == []
    # Unless its owner chooses anew.
    await house.jobs.trainings.choose(lora.training_id, 1)
    await house.landings.land(lora.training_id)
    assert [one.epoch for one in house.loras.all()] == [1]


async def test_what_cannot_land_yet_lands_as_soon_as_it_can(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landings, "STARTING_S", 0)
    monkeypatch.setattr(landings, "RETRY_AFTER_S", 0)
    await house.trained()
    wrong: list[Exception] = [OSError("full"), Starting()]

    def told() -> Ready:
        if wrong:
            raise wrong.pop()
        return house.told

    late = Landings(house.database, house.jobs.trainings, house.loras, house.policies, house.sharing, told)
    keeping = asyncio.create_task(late.keep())
    async with asyncio.timeout(30):
        while not house.loras.all():  # noqa: ASYNC110 — nobody else tells of it
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert not wrong


async def test_its_owner_paints_with_it_everywhere_and_others_only_where_it_is_shared(house: House) -> None:
    lora = await house.landed()
    for place in (HERE, THERE, None):
        assert house.refused(house.asked("ink", ADA, place), ADA, place) is None
    with pytest.raises(MemberError, match="no LoRA called"):
        house.asked("ink", GRACE, HERE)
    asked = house.asked("ink", ADA, HERE)
    assert house.refused(asked, GRACE, HERE) == NOT_SHARED
    # By the rule of the server somebody has to decide.
    pending = await house.sharing.share(lora, "server", HERE)
    assert pending is not None
    assert pending.state == "pending"
    assert house.refused(asked, GRACE, HERE) == NOT_SHARED
    decided = [await house.loras.decide(lora.id, "usable", LINUS) for _ in range(2)]
    assert [one is None for one in decided] == [False, True]
    assert house.refused(house.asked("ink:0.5", GRACE, HERE), GRACE, HERE) is None
    assert house.refused(asked, GRACE, THERE) == NOT_SHARED
    assert house.refused(asked, GRACE, None) == NOT_SHARED
    # Taken back.
    await house.loras.decide(lora.id, "refused", LINUS)
    assert house.refused(asked, GRACE, HERE) == NOT_SHARED
    assert house.refused(asked, ADA, HERE) is None
    told = await house.jobs.audit.page(HERE, limit=9)
    said = [entry.what for entry in told if entry.what.startswith("lora ")]
    assert said == ["lora refused", "lora approved"]
    # The operator alone decides what all may have.
    for_all = await house.sharing.share(lora, "all", None, moderates=True)
    assert for_all is not None
    assert for_all.state == "pending"
    assert house.refused(asked, GRACE, THERE) == NOT_SHARED
    await house.loras.decide(lora.id, "usable", 0)
    for place in (HERE, THERE, None):
        assert house.refused(asked, GRACE, place) is None
    await house.loras.delete(lora.id, LINUS)
    assert house.refused(asked, ADA, HERE) == GONE


async def test_the_rule_is_asked_when_a_job_comes_in_and_again_when_its_turn_has_come(house: House) -> None:
    await house.policies.put(Place(HERE), "sharing", "free")
    lora = await house.landed()
    of_grace = Reply(GRACE, HERE, 9, 100, "token", 4e9, 0)
    asked = house.asked("ink", ADA, HERE)
    refused = await house.policies.problem(asked, of_grace)
    assert refused is not None
    assert refused.name == NOT_SHARED
    lora = await house.sharing.share(lora, "server", HERE) or lora
    assert await house.policies.problem(asked, of_grace) is None
    job = await queued(house.jobs, asked, of_grace)
    assert await house.policies.problem_of(job) is None
    # A grid is painted with it as well, and by who knows no rule nobody is let.
    grid = Grid(job=0, model="starter", cells=(asked, asked), columns=("1", "2"))
    await house.sharing.share(lora, "own", HERE)
    for refused in (await house.policies.problem_of(job), await house.policies.problem(grid, of_grace)):
        assert refused is not None
        assert refused.name == NOT_SHARED
    assert await Policies(house.database, {"imagine": "imagine"}).problem(asked, of_grace) is not None


async def test_rules_of_a_server_say_who_shares(house: House) -> None:
    lora = await house.landed()
    await house.policies.put(Place(HERE), "sharing", "off")
    with pytest.raises(MemberError, match="nobody shares"):
        await house.sharing.share(lora, "server", HERE, moderates=True)
    await house.policies.put(Place(HERE), "sharing", "free")
    shared = await house.sharing.share(lora, "server", HERE)
    assert shared is not None
    assert shared.shared == "server"
    # Pressed twice it stays so, whatever is set since.
    await house.policies.put(Place(HERE), "sharing", "moderators")
    assert await house.sharing.share(shared, "server", HERE) == shared
    with pytest.raises(MemberError, match="It is shared"):
        await house.sharing.rename(shared, "other")
    for_owner = await house.sharing.share(shared, "own", HERE)
    assert for_owner is not None
    assert for_owner.shared == "own"
    by_moderator = await house.sharing.share(for_owner, "server", THERE, moderates=True)
    assert by_moderator is not None
    assert (by_moderator.shared, by_moderator.guild_id) == ("server", THERE)
    with pytest.raises(MemberError, match="direct messages"):
        await house.sharing.share(for_owner, "server", None)
    # Moderators are shown first what waits for them, and nothing that is its owner's alone.
    older = await house.sharing.share(await house.landed(GRACE), "server", HERE)
    assert older is not None
    await house.loras.decide(older.id, "refused", 7)
    waits = await house.sharing.share(await house.landed(LINUS), "server", HERE)
    newest = await house.sharing.share(await house.landed(LINUS, "newest"), "server", HERE, moderates=True)
    assert waits is not None
    assert newest is not None
    await house.landed(LINUS, "private")
    assert [one.id for one in house.loras.of_guild(HERE)] == [waits.id, newest.id, older.id]
    await house.policies.block(HERE, ADA, blocked=True)
    with pytest.raises(MemberError, match="blocked you"):
        await house.sharing.share(for_owner, "server", HERE)


async def test_one_name_means_one_lora_to_whoever_sees_it(house: House) -> None:
    await house.policies.put(Place(HERE), "sharing", "free")
    mine, theirs, third = [await house.landed(member) for member in (ADA, GRACE, LINUS)]
    await house.sharing.share(mine, "server", HERE)
    with pytest.raises(MemberError, match="another LoRA called"):
        await house.sharing.share(theirs, "server", HERE)
    # One's own goes before.
    assert house.asked("ink", GRACE, HERE).own_loras[0].sha256 == theirs.sha256
    assert house.asked("ink", 99, HERE).own_loras[0].sha256 == mine.sha256
    await house.sharing.share(theirs, "server", THERE, moderates=True)
    with pytest.raises(MemberError, match="another LoRA called"):
        await house.sharing.share(third, "all", None)
    await house.sharing.share(theirs, "own", None)
    await house.sharing.share(mine, "own", None)
    assert await house.sharing.share(third, "all", None) is not None
    with pytest.raises(MemberError, match="another LoRA called"):
        await house.sharing.share(mine, "server", HERE)
    neon = await house.landed(ADA, "neon")
    with pytest.raises(MemberError, match="another LoRA called"):
        await house.sharing.share(neon, "server", HERE)
    assert house.asked("neon", ADA, HERE).own_loras[0].sha256 == neon.sha256
    assert house.asked("neon", GRACE, HERE).own_loras == ()
    again = await house.landed(ADA, "ink")
    assert again.name == "ink-2"
    with pytest.raises(MemberError, match="another LoRA called"):
        await house.sharing.rename(again, "ink")
    for wrong in ("", "Ä", "a:b", "x" * 65, "../x"):
        with pytest.raises(MemberError, match="no name for a LoRA"):
            await house.sharing.rename(again, wrong)
    renamed = await house.sharing.rename(again, " Ink-Old ")
    assert renamed is not None
    assert renamed.name == "ink-old"


async def test_words_that_others_may_not_read_are_shared_with_nobody(house: House) -> None:
    await house.policies.put(Place(HERE), "sharing", "free")
    await house.policies.block_words(Place(HERE), ["clown"])
    lora = await house.landed(name="sad-clown")
    with pytest.raises(MemberError, match="Word"):
        await house.sharing.share(lora, "server", HERE)
    assert (await house.sharing.share(lora, "server", THERE, moderates=True)) is not None
    awful = await house.landed(name="nude-schoolgirl")
    with pytest.raises(MemberError, match="minors"):
        await house.sharing.share(awful, "server", THERE, moderates=True)


async def test_limits_of_a_server_bound_what_is_kept_and_say_so(house: House) -> None:
    await house.policies.put(Place(HERE), "loras", 1)
    await house.landed()
    over = await house.trained(name="more")
    await house.landings.land(over.id)
    reason = await house.jobs.trainings.unlanded(over.id)
    assert reason is not None
    assert reason.name == "loras_kept"
    assert len(house.loras.all()) == 1
    await house.policies.put(Place(HERE), "loras", 2)
    await house.policies.put(Place(HERE), "lora_megabytes", 0)
    await house.landings.land(over.id)
    reason = await house.jobs.trainings.unlanded(over.id)
    assert reason is not None
    assert reason.name == "loras_full"
    await house.policies.put(Place(HERE), "lora_megabytes", 1)
    await house.landings.land(over.id)
    assert await house.jobs.trainings.unlanded(over.id) is None
    assert len(house.loras.all()) == 2


async def test_files_that_are_gone_and_a_model_that_is_gone_are_told(house: House) -> None:
    training = await house.trained()
    (house.jobs.trainings.folders.epoch(training.id, 2) / "ink.kohya.safetensors").unlink()
    await house.landings.land(training.id)
    reason = await house.jobs.trainings.unlanded(training.id)
    assert reason is not None
    assert "not there any more" in reason.name
    assert house.loras.all() == []
    await house.loras.tidy()
    assert house.files() == []
    house.told = ready(models=())
    await house.jobs.trainings.choose(training.id, 1)
    await house.landings.land(training.id)
    reason = await house.jobs.trainings.unlanded(training.id)
    assert reason is not None
    assert "model {model}" in reason.name


async def test_the_erased_have_nothing_left_and_what_others_painted_with_it_says_so(house: House) -> None:
    await house.policies.put(Place(HERE), "sharing", "free")
    lora, kept = await house.landed(), await house.landed(GRACE, "hers")
    await house.sharing.share(lora, "server", HERE)
    await house.sharing.share(kept, "all", None)
    await house.loras.decide(kept.id, "usable", ADA)
    asked = house.asked("ink", GRACE, HERE)
    beside = await house.jobs.belongings.beside_jobs(ADA)
    assert [row["name"] for row in beside["lora"]] == ["ink"]
    assert [row["sha256"] for row in beside["lora_file"]] == [lora.sha256]
    await house.jobs.erase(ADA, 0)
    [left] = house.loras.all()
    assert (left.id, left.shared, left.decided_by) == (kept.id, "all", None)
    assert house.refused(asked, GRACE, HERE) == GONE
    assert all(b"11 ink" not in data for data in house.files())
    assert len(house.files()) == 3
    for table in ("lora", "lora_file", "landing"):
        [row] = await house.database.rows(f"SELECT count(*) AS count FROM {table} WHERE member_id = {ADA}")
        assert row["count"] == 0


async def test_what_is_erased_while_it_lands_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    training = await house.trained()
    take, erased = house.loras.store.take, asyncio.Event()

    def slow(source: Path) -> tuple[str, int]:
        taken = take(source)
        asyncio.run_coroutine_threadsafe(house.jobs.trainings.erase_of(ADA), loop).result()
        erased.set()
        return taken

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(house.loras.store, "take", slow)
    await house.landings.land(training.id)
    assert erased.is_set()
    await house.jobs.erase(ADA, 0)
    assert house.loras.all() == []
    for table in ("lora", "lora_file", "landing", "training"):
        assert await house.database.rows(f"SELECT 1 FROM {table}") == []
    await house.loras.tidy()
    assert house.files() == []


async def test_edited_and_varied_jobs_keep_what_they_were_painted_with(house: House) -> None:
    lora, other = await house.landed(), await house.landed(name="other")
    there = house.loras.offered(house.told, ADA, HERE)
    before = house.asked("ink:0.5", ADA, HERE)
    assert lora.training_id is not None
    await house.jobs.trainings.choose(lora.training_id, 1)
    await house.landings.land(lora.training_id)
    form = {"prompt": "a boat", "negative": "", "seed": "7", "steps": "", "size": ""}
    again = painting.edited(before, form, house.loras.offered(house.told, ADA, HERE))
    assert (again.loras, again.own_loras) == (before.loras, before.own_loras)
    assert painting.rerolled(before).own_loras == before.own_loras
    assert painting.varied(before, 0, 9, 2).own_loras == before.own_loras
    anew = painting.edited(before, form | {"prompt": "a boat <lora:other>"}, there)
    assert [own.sha256 for own in anew.own_loras] == [other.sha256]
    drawn = painting.edited(before, form | {"prompt": "a {boat <lora:other>|house}"}, there)
    assert [own.name for own in drawn.own_loras] == ["ink", "other"]
    assert drawn.own_loras[0].sha256 == lora.sha256


async def test_same_bytes_of_two_members_stay_while_one_of_them_has_them(house: House) -> None:
    mine, theirs = await house.trained(), await house.trained(GRACE)
    for training in (mine, theirs):
        for file in house.jobs.trainings.folders.epoch(training.id, 2).iterdir():
            file.write_bytes(b"the same")
        await house.landings.land(training.id)
    [first, second] = house.loras.all()
    assert first.sha256 == second.sha256
    await house.loras.delete(first.id)
    assert house.loras.store.path(second.sha256).is_file()
    assert house.refused(house.asked("ink", GRACE, HERE), GRACE, HERE) is None
    assert house.refused(house.asked("ink", GRACE, HERE), ADA, HERE) == NOT_SHARED


async def test_what_a_kill_left_is_tidied_and_what_the_operator_changed_is_seen(house: House) -> None:
    lora = await house.landed()
    folder = house.data / LORAS
    (folder / "abc.part").write_bytes(b"half")
    (folder / "ab").mkdir(exist_ok=True)
    (folder / "ab" / f"{'ab' * 32}.safetensors").write_bytes(b"nobody's")
    await house.loras.tidy()
    assert len(house.files()) == 3
    kept = [file.stem for file in folder.rglob("*") if file.is_file()]
    assert house.loras.store.missing(kept) == []
    house.loras.store.path(lora.sha256).unlink()
    assert house.loras.store.missing(kept) == [lora.sha256]
    await house.database.change("UPDATE lora SET share = 'all', state = 'usable' WHERE id = ?", (lora.id,))
    assert house.refused(house.asked("ink", ADA, HERE), GRACE, THERE) == NOT_SHARED
    await house.loras.look()
    assert house.refused(house.asked("ink", ADA, HERE), GRACE, THERE) is None


async def test_after_a_restart_all_is_as_it_was(house: House) -> None:
    lora = await house.landed()
    again = Loras(house.database, house.data, Audit(house.database))
    await again.load()
    assert again.all() == [lora]
    assert again.find(lora.id) == lora
