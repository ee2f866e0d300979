"""How things stand when somebody looks: the queue, the engines, the cards, the disk. What happens between is counted in
`metrics`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.app import Easel
from bot.delivery import Delivery
from bot.dispatcher import Dispatcher
from bot.engine.interface import Engine
from bot.watch.disk import Disk
from bot.watch.graphics import CardNow, Graphics
from bot.watch.metrics import Metrics

WINDOWS = {"1h": 3600.0, "1d": 86400.0, "7d": 7 * 86400.0, "30d": 30 * 86400.0}
"""In which members are counted."""


class Standings(Collector):
    """What is collected is what `look` has seen last."""

    def __init__(
        self,
        client: Easel,
        dispatcher: Dispatcher,
        delivery: Delivery,
        engine: Engine,
        disk: Disk,
        metrics: Metrics,
        max_waiting: int,
    ) -> None:
        """`max_waiting` is how many jobs may wait."""
        self._client = client
        self._dispatcher = dispatcher
        self._delivery = delivery
        self._engine = engine
        self._disk = disk
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._graphics = Graphics()
        self._seen: list[Metric] = []

    async def look(self) -> None:
        """See how everything stands now."""
        cards = await asyncio.to_thread(self._graphics.look)
        self._seen = [
            *self._of_discord(),
            *self._of_queue(),
            *self._of_engines(),
            *self._of_cards(cards),
            *self._of_disk(),
        ]

    def collect(self) -> Iterable[Metric]:
        """On any thread."""
        return self._seen

    def _of_discord(self) -> Iterator[Metric]:
        yield _gauge("discord_connected", "Whether what members do arrives here", float(self._client.is_online))
        yield _gauge("discord_servers", "Servers that the bot is in", len(self._client.guilds))
        if math.isfinite(latency_s := self._client.latency):
            yield _gauge("discord_heartbeat_seconds", "How long Discord took to answer the last heartbeat", latency_s)
        members = GaugeMetricFamily("easel_members", "Members who had a job finished lately", labels=["window"])
        now, served = time.time(), self._metrics.members
        for window, seconds in WINDOWS.items():
            members.add_metric([window], sum(at > now - seconds for at in served.values()))
        yield members

    def _of_queue(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("easel_queue_jobs", "Jobs that wait for their turn", labels=["line"])
        running = GaugeMetricFamily("easel_running_jobs", "Jobs in the engine's hands", labels=["line"])
        oldest = GaugeMetricFamily(
            "easel_queue_oldest_seconds", "How long the oldest waiting job waits", labels=["line"]
        )
        now = time.time()
        for name, line in zip(("slow", "quick"), self._dispatcher.lines, strict=True):
            waiting.add_metric([name], len(line.queue))
            running.add_metric([name], len(line.running))
            first = line.queue.oldest
            oldest.add_metric([name], 0.0 if first is None else max(0.0, now - first.created_at))
        yield from (waiting, running, oldest)
        yield _gauge("queue_limit_jobs", "How many jobs may wait", self._max_waiting)
        yield _gauge("deliveries", "Ends of jobs on their way to their members", self._delivery.under_way)

    def _of_engines(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("easel_engine_up", "Whether an engine is ready", labels=["engine"])
        restarts = CounterMetricFamily(
            "easel_engine_restarts", "Starts of an engine after the first", labels=["engine"]
        )
        work = CounterMetricFamily(
            "easel_engine_work_seconds", "How long an engine's device was at work", labels=["engine"]
        )
        silent = GaugeMetricFamily(
            "easel_engine_silent_seconds",
            "For how long an engine with work has given no sign of life",
            labels=["engine"],
        )
        loads = CounterMetricFamily("easel_engine_loads", "Models brought onto an engine's device", labels=["engine"])
        held = GaugeMetricFamily(
            "easel_engine_model_bytes", "Weights on an engine's device", labels=["engine", "kind", "model"]
        )
        budget = GaugeMetricFamily("easel_engine_budget_bytes", "What weights may take there", labels=["engine"])
        memory = GaugeMetricFamily("easel_engine_device_bytes", "The memory of an engine's device", labels=["engine"])
        for one in self._engine.conditions:
            up.add_metric([one.name], float(one.is_up))
            restarts.add_metric([one.name], max(0, one.starts - 1))
            work.add_metric([one.name], one.work_s)
            silent.add_metric([one.name], one.silent_s)
            if one.holding is None or not one.is_up:
                continue
            loads.add_metric([one.name], one.holding.loads)
            budget.add_metric([one.name], one.holding.budget_bytes)
            memory.add_metric([one.name], one.holding.device_bytes)
            for key, size in one.holding.models.items():
                kind, _, model = key.partition(" ")
                held.add_metric([one.name, kind, model], size)
        yield from (up, restarts, work, silent, loads, held, budget, memory)

    def _of_cards(self, cards: list[CardNow]) -> Iterator[Metric]:
        """Those on which Easel's engines are, where the driver tells processes by the numbers that they have here; else
        all."""
        ours = {one.pid for one in self._engine.conditions}
        kept = [card for card in cards if card.processes & ours] or cards
        for name, said, values in (
            ("gpu_use_ratio", "What part of the last moments a card was at work", [card.use for card in kept]),
            ("gpu_memory_used_bytes", "Memory in use of a card", [card.memory_used_bytes for card in kept]),
            ("gpu_memory_bytes", "Memory of a card", [card.memory_bytes for card in kept]),
            ("gpu_power_watts", "What a card draws", [card.watts for card in kept]),
            ("gpu_temperature_celsius", "How hot a card is", [card.celsius for card in kept]),
        ):
            family = GaugeMetricFamily(f"easel_{name}", said, labels=["gpu", "name"])
            for card, value in zip(kept, values, strict=True):
                if value is not None:
                    family.add_metric([str(card.number), card.name], value)
            yield family

    def _of_disk(self) -> Iterator[Metric]:
        if (space := self._disk.space) is None:
            return
        yield _gauge("disk_free_bytes", "What is free on the disk of the data folder", space.free)
        yield _gauge("disk_needed_bytes", "Less than this is told to the operator", space.needed)
        data = GaugeMetricFamily("easel_data_bytes", "What the data folder holds", labels=["what"])
        data.add_metric(["pictures"], space.pictures)
        data.add_metric(["database"], space.database)
        yield data
        yield _gauge("kept_pictures", "Pictures in the data folder", space.count)
        if self._disk.keep_bytes is not None:
            yield _gauge("pictures_limit_bytes", "What pictures may take before the oldest go", self._disk.keep_bytes)
        if space.backed_up_at is not None:
            yield _gauge("backup_timestamp_seconds", "When the newest backup was made", space.backed_up_at)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"easel_{name}", said, value=value)
