"""From trainings to LoRAs: whatever epoch of one is chosen lands by itself, once, also after a kill or a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

import msgspec

from bot.database import UNWRITTEN, Database
from bot.errors import MemberError, Starting
from bot.loras.kept import Landed, Loras
from bot.loras.sharing import Sharing
from bot.policies.kept import Policies
from bot.training.states import Training
from bot.training.store import Trainings
from bot.words import N_
from inference.protocol import Ready, Reason, because

log = logging.getLogger(__name__)

RETRY_AFTER_S, STARTING_S = 30.0, 1.0
"""Where the disk does not take one, and where the engine has not said yet what it has."""

MEGABYTE = 10**6

NO_MODEL = N_("The model {model} that it was trained on is not here any more, so nothing can be painted with it.")
NO_FILES = N_("The files of this epoch are not there any more: choose another one, or train it again.")

_LANDED = (
    # Of one that was erased meanwhile nothing is written down.
    "INSERT INTO landing SELECT id, member_id, ?2, ?3 FROM training WHERE id = ?1"
    " ON CONFLICT (training_id) DO UPDATE SET epoch = excluded.epoch, problem = excluded.problem"
)


class Landings:
    """`keep` it for as long as the bot runs."""

    def __init__(
        self,
        database: Database,
        trainings: Trainings,
        loras: Loras,
        policies: Policies,
        sharing: Sharing,
        ready: Callable[[], Ready],
    ) -> None:
        """`ready` says what the engine can do, or raises Starting."""
        self._database = database
        self._trainings = trainings
        self._loras = loras
        self._policies = policies
        self._sharing = sharing
        self._ready = ready
        self._heard: set[int] = set()
        self._something = asyncio.Event()
        trainings.listen(self._hear)

    async def keep(self) -> NoReturn:
        """Land what was chosen before the start, then whatever is chosen."""
        rows = await self._database.rows("SELECT id FROM training WHERE chosen IS NOT NULL ORDER BY id")
        self._heard.update(row["id"] for row in rows)
        while True:
            waits = None
            for training_id in sorted(self._heard):
                self._heard.discard(training_id)
                try:
                    await self.land(training_id)
                except Starting:
                    self._heard.add(training_id)
                    waits = waits or STARTING_S
                except UNWRITTEN as error:
                    log.warning("what training %d made cannot be kept yet: %s", training_id, error)
                    self._heard.add(training_id)
                    waits = RETRY_AFTER_S
                except Exception:
                    # Of one of them nobody else shall suffer.
                    log.exception("what training %d made could not be kept", training_id)
            if waits is None and self._heard:
                continue
            try:
                async with asyncio.timeout(waits):
                    await self._something.wait()
            except TimeoutError:
                continue
            self._something.clear()

    async def land(self, training_id: int) -> None:
        """Land what is chosen of a training, where that has not landed. Raises Starting, and OSError or sqlite3.Error
        where it cannot be kept at the moment."""
        training = await self._trainings.find(training_id)
        if training is None or training.chosen is None:
            return
        row = await self._database.row("SELECT epoch, problem FROM landing WHERE training_id = ?", (training_id,))
        if row is not None and row["epoch"] == training.chosen and row["problem"] is None:
            return
        problem = await self._land(training, training.chosen)
        said = None if problem is None else msgspec.json.encode(problem).decode()
        await self._database.change(_LANDED, (training.id, training.chosen, said))
        if problem is None and training.share != "own" and (lora := self._loras.of_training(training.id)) is not None:
            try:
                await self._sharing.share(lora, training.share, training.guild_id)
            except MemberError as error:
                log.info("what training %d made is not shared: %s", training.id, error.reason.name)

    async def _land(self, training: Training, epoch: int) -> Reason | None:
        """Land this epoch; why that cannot be, where it cannot."""
        known = self._loras.of_training(training.id)
        if (trained := self._ready().model(training.model) or known) is None:
            return because(NO_MODEL, model=training.model)
        folder, preview = self._trainings.folders.epoch(training.id, epoch), None
        if await asyncio.to_thread(self._trainings.folders.preview(training.id, epoch).is_file):
            preview = self._trainings.folders.preview(training.id, epoch)
        landed = Landed(
            epoch=epoch,
            lora=folder / f"{training.name}.safetensors",
            kohya=folder / f"{training.name}.kohya.safetensors",
            preview=preview,
        )
        try:
            if (full := await self._full(training, landed, new=known is None)) is not None:
                return full
            pictures = len(await self._trainings.pictures(training.id))
            lora = await self._loras.land(training, pictures, trained.family, landed)
        except FileNotFoundError:
            return because(NO_FILES)
        log.info("epoch %d of training %d is the LoRA %d", epoch, training.id, lora.id)
        return None

    async def _full(self, training: Training, landed: Landed, *, new: bool) -> Reason | None:
        """Why its member, or its server, can keep no more. Raises FileNotFoundError."""
        most = self._policies.of_server(training.guild_id, "loras")
        count = len(self._loras.of_member(training.member_id))
        if new and isinstance(most, int) and count >= most:
            return because("loras_kept", count=count, most=most)
        room = self._policies.of_server(training.guild_id, "lora_megabytes")
        if not isinstance(room, int) or training.guild_id is None:
            return None
        files = [file for file in (landed.lora, landed.kohya, landed.preview) if file is not None]
        size = sum(await asyncio.to_thread(lambda: [file.stat().st_size for file in files]))
        if await self._loras.bytes_of(training.guild_id) + size > room * MEGABYTE:
            return because("loras_full", most=room)
        return None

    def _hear(self, training_id: int) -> None:
        self._heard.add(training_id)
        self._something.set()
