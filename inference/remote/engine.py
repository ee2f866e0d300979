"""The engine of other servers: takes jobs, sends as many at once as each server is to be sent, reports what came of it.

It speaks with the bot as the engine of a card does (`inference.engine`), by the same reporter. One thread does all of
it, for all that it does is to wait; another reads what the bot sends. Requests are never run together.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from inference import recipes
from inference.catalog import fingerprint, remotes
from inference.catalog.reading import Catalog
from inference.catalog.wildcards import Wildcards
from inference.errors import PeerBroken, PeerGone, TaskError
from inference.exchange import inputs
from inference.exchange.channel import Channel
from inference.exchange.outputs import Files, Painted
from inference.exchange.reports import ALIVE_INTERVAL_S, Reporter
from inference.marks import marking
from inference.marks.marking import Marks
from inference.protocol import (
    INCOMING,
    MILLIONTHS,
    PICTURES,
    Answer,
    Batch,
    Cancel,
    Drawn,
    Imagine,
    MadeBy,
    Ready,
    Reason,
    Spare,
    Work,
    because,
    limits,
    logs,
)
from inference.remote import refusals, words
from inference.remote.asking import Server
from inference.remote.decoding import decoded
from inference.remote.recipe import recipe
from inference.remote.sent import Sent

log = logging.getLogger(__name__)

DEVICE = "other servers"


def readiness(catalog: Catalog) -> Ready:
    """What can be asked of the servers that the catalogue names."""
    return Ready(
        models=tuple(entry.info(name) for name, entry in catalog.remotes.items()),
        default_model=catalog.default,
        missing=(),
        device=DEVICE,
        cards=0,
        max_count=limits.MAX_COUNT,
        max_prompt_chars=limits.MAX_PROMPT_CHARS,
        upscalers=(),
        restorers=(),
        describers=(),
        classifiers=(),
        label_sets={},
        max_labels=limits.MAX_LABELS,
        loras=(),
        controls=(),
        embeddings=(),
        wildcards=(),
        max_loras=0,
        elsewhere=tuple(catalog.remotes),
        keys=remotes.keys(catalog.remotes),
        # Nothing is answered with it: what a server paints may be another picture each time.
        identity=fingerprint.word([catalog.remotes]),
    )


class RemoteEngine:
    """All servers of a catalogue. Build it and run `serve` once."""

    def __init__(
        self,
        catalog: Catalog,
        keys: Mapping[str, str | None],
        channel: Channel,
        data: Path,
        marks: Marks = marking.ALL,
    ) -> None:
        """`keys` has the key for each model, None where its server wants none."""
        self._entries = catalog.remotes
        self._keys = keys
        self._lines = Wildcards(catalog.wildcards).lines
        self._channel = channel
        self._pictures = data / PICTURES
        self._report = Reporter(channel.send, Files(data / INCOMING, marks))
        self._sent = Sent(data)
        self._servers = {name: Server(entry, keys[name]) for name, entry in self._entries.items()}
        self._turns = {name: asyncio.Semaphore(entry.at_once) for name, entry in self._entries.items()}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._at_work: list[int] = []
        self._said: asyncio.Queue[Batch | Cancel | PeerBroken | None] = asyncio.Queue()
        self._ready: Ready

    async def serve(self, ready: Ready) -> None:
        """Say Ready, then work until the bot sends no more and all that it asked for is answered, or it has hung up.
        Raises PeerBroken."""
        self._ready = ready
        self._sent.sweep()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="reader", daemon=True).start()
        living = asyncio.create_task(self._live())
        try:
            self._channel.send(ready)
            while isinstance(message := await self._said.get(), Batch | Cancel):
                self._take(message)
            if self._channel.peer_is_gone():
                self._give_up()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            if isinstance(message, PeerBroken):
                raise message
        except PeerGone:
            log.info("the bot has hung up")
            self._give_up()
        finally:
            living.cancel()
            await asyncio.gather(living, *self._tasks.values(), return_exceptions=True)
            await asyncio.to_thread(self._report.close)
            for server in self._servers.values():
                await server.close()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """The reader thread: everything that the bot sends, until it stops."""
        last: PeerBroken | None = None
        try:
            while (message := self._channel.receive()) is not None:
                # There is no device whose memory anybody else could need.
                if isinstance(message, Spare):
                    continue
                loop.call_soon_threadsafe(self._said.put_nowait, message)
        except PeerBroken as broken:
            last = broken
        loop.call_soon_threadsafe(self._said.put_nowait, last)

    async def _live(self) -> None:
        """Show that this thread gets on while anything is open; a server may take minutes without a sign."""
        while True:
            await asyncio.sleep(ALIVE_INTERVAL_S)
            if self._report.open_jobs():
                try:
                    self._report.alive()
                except PeerGone:
                    self._said.put_nowait(None)
                    return

    def _give_up(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _take(self, message: Batch | Cancel) -> None:
        if isinstance(message, Cancel):
            self._report.cancel(message.job)
            if (task := self._tasks.get(message.job)) is not None:
                task.cancel()
            return
        for request in message.requests:
            if not self._report.accept(request.job):
                log.error("the bot sent it twice; the second is ignored", extra=logs.of(request.job))
                continue
            task = asyncio.create_task(self._see_through(request))
            self._tasks[request.job] = task
            task.add_done_callback(functools.partial(self._forget, request.job))

    def _forget(self, job: int, _: asyncio.Task[None]) -> None:
        self._tasks.pop(job, None)

    async def _see_through(self, request: Work) -> None:
        """Bring one job to its end, whatever happens."""
        logs.turn_to(request.job)
        job = request.job
        try:
            if (reason := limits.problem(request, self._ready)) is not None:
                kind = "unavailable_model" if reason.name in limits.UNAVAILABLE else "invalid_input"
                self._report.fail(job, kind, reason)  # type: ignore[arg-type]
                return
            assert isinstance(request, Imagine), "nothing else can be asked of it"
            async with self._turns[request.model]:
                if self._report.begin(job):
                    self._at_work.append(job)
                    try:
                        self._report.took_up(tuple(self._at_work))
                        await self._paint(request)
                    finally:
                        self._at_work.remove(job)
        except asyncio.CancelledError:
            self._report.fail(job, "cancelled", because("cancelled"))
            raise
        except TaskError as error:
            self._report.fail(job, error.kind, error.reason)
        except PeerGone:
            self._said.put_nowait(None)
        except Exception:
            log.exception("it broke inside the engine")
            self._report.fail(job, "internal", because("engine_broke"))

    async def _paint(self, request: Imagine) -> None:
        entry, job = self._entries[request.model], request.job
        files = await asyncio.to_thread(inputs.read, self._pictures, request)
        drawn = words.drawn(request, self._lines)
        edit = await asyncio.to_thread(words.edit_of, request, files)
        told = await asyncio.to_thread(words.said, request, entry, drawn.prompt, files, edit)
        if not self._sent.note(request):
            raise TaskError("remote_twice", model=entry.title)
        self._report.step(job, 0, 1)
        try:
            painted = await self._ask(request, told)
        except Exception as error:
            refusal = refusals.of(error, entry, self._keys[request.model])
            if not refusal.paid:
                self._sent.forget(request)
            raise refusal.error from None
        other = next((one for one in painted if one.size != (request.width, request.height)), None)
        of_size = [] if other is None else [because("remote_size", width=other.width, height=other.height)]
        mask = None
        if edit is not None:
            painted, mask = [edit.put_back(each) for each in painted], edit.mask
        watermark = self._report.marks.watermark_of(painted[0], mask)
        made_of = recipe(request, entry, drawn, words.recorded(told), watermark)
        pictures = [self._picture(request, index, image, made_of, drawn, mask) for index, image in enumerate(painted)]
        otherwise = (drawn.prompt, drawn.negative) != request.styled
        answer = Answer(notes=(*self._notes(request), *of_size), drawn=(drawn,) * len(pictures) if otherwise else ())
        self._report.finish(job, pictures, made_of, answer)

    def _notes(self, request: Imagine) -> tuple[Reason, ...]:
        """What a card says of who painted it."""
        model = self._ready.model(request.model)
        assert model is not None, "it was asked by the one rule"
        assert model.remote is not None, "only such models are here"
        remote, notes = model.remote, []
        if not remote.seeded:
            notes.append(because("not_repeatable", host=remote.host))
        if remote.currency:
            price = remote.price_of(request.width, request.height, request.count)
            notes.append(because("remote_price", amount=price / MILLIONTHS, currency=remote.currency))
        return tuple(notes)

    async def _ask(self, request: Imagine, told: dict[str, object]) -> list[Image.Image]:
        """The pictures. Raises as `Server.paint`."""
        previews: set[asyncio.Task[None]] = set()

        def show(data: bytes) -> None:
            task = asyncio.create_task(self._preview(request, data))
            previews.add(task)
            task.add_done_callback(previews.discard)

        try:
            files = await self._servers[request.model].paint(told, request.count, show)
            return [await decoded(data) for data in files]
        finally:
            for task in previews:
                task.cancel()

    async def _preview(self, request: Imagine, data: bytes) -> None:
        try:
            image = await decoded(data)
        except TaskError:
            log.warning("there is no preview: it cannot be read")
            return
        self._report.preview(request.job, lambda: [image], request.width, request.height)

    def _picture(
        self,
        request: Imagine,
        index: int,
        image: Image.Image,
        made_of: dict[str, object],
        drawn: Drawn,
        mask: Image.Image | None,
    ) -> Painted:
        entry = self._entries[request.model]
        seed = request.seed_of(index) if entry.seed is not None else None
        version = f"Easel {recipes.versions()['easel']}, {entry.model}"
        return Painted(
            image=image,
            seed=seed,
            source=recipes.source_of(request),
            made_by=MadeBy(system=f"Easel, {entry.model} at {entry.host}", version=version, prompt=drawn.prompt),
            texts=recipes.png_texts(request, seed, index, made_of),
            watermarked=made_of["watermark"] is not None,
            within=mask,
        )
