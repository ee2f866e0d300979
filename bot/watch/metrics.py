"""What is counted and timed as it happens, for Prometheus. How things stand at the moment is `standings`' affair.

No label is anybody's word, name or number: there are as many series as Easel has commands, actions and reasons.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from discord.utils import snowflake_time
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bot.job import Job
from bot.keeping.manifest import easel
from bot.observer import Kind, Observer
from bot.words.reasons import TEXTS
from inference.protocol import Preview, Progress, Reason

OTHER = "other"
"""In the place of a name that is none of Easel's own."""

UNANSWERED = 1000
"""So many interactions are remembered at most that Discord has seen no answer to."""

ANSWER_S = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 5)
"""Discord gives three seconds."""

STAGE_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)
TOGETHER = (1, 2, 3, 4, 6, 8, 16, 32)

OUTCOMES = ("finished", "cancelled", "refused", "failed")
"""How a job ends. It is refused for what was asked for, and failed for a fault of ours."""

SCOPES = ("user", "global", "shared")
"""Of what Discord says that there were too many: this bot's, all that it does, everybody's there."""

OURS = ("out_of_memory", "internal")
"""The kinds of failures that are no fault of who asked."""


@dataclass
class _Times:
    """When a job did what, by a clock that is never set."""

    accepted_s: float
    finishing_s: float | None = None
    ended_s: float | None = None


class Metrics(Observer, Collector):
    """Counts, in a registry of its own."""

    def __init__(
        self, commands: Mapping[str, str], names: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`commands` names the command of each kind of request, `names` are all commands and actions that there are."""
        self.registry = CollectorRegistry()
        self._commands = commands
        self._names = frozenset(names)
        self._clock = clock
        self._times: dict[int, _Times] = {}
        """Of jobs that are not delivered yet."""
        self._unanswered: dict[int, tuple[Kind, str]] = {}
        self.members: dict[int, float] = {}
        """When each member was served last, in seconds since 1970."""

        def counter(name: str, said: str, *labels: str) -> Counter:
            return Counter(f"easel_{name}", said, labels, registry=self.registry)

        def histogram(name: str, said: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"easel_{name}", said, labels, buckets=buckets, registry=self.registry)

        self._interactions = counter(
            "interactions", "What members did: commands, completions, buttons, forms", "kind", "name"
        )
        self._answered = histogram(
            "acknowledgement_seconds",
            "From a member's click to the first answer that Discord has",
            ANSWER_S,
            "kind",
            "name",
        )
        self._late = counter("late_answers", "Interactions to which Discord took no answer any more")
        self._errors = counter("errors", "Interactions that broke by a fault of ours")
        self._refusals = counter("refusals", "What was refused to members, with or without a job", "name", "reason")
        self._jobs = counter("jobs", "Jobs that have ended", "command", "outcome")
        self._failures = counter("failures", "Jobs that failed by a fault of ours", "command", "reason")
        self._stages = histogram(
            "stage_seconds",
            "What jobs that finished spent waiting, painting, encoding, and until delivered",
            STAGE_S,
            "command",
            "stage",
        )
        self._whole = histogram(
            "job_seconds", "From the acceptance of a job that finished to its delivery", STAGE_S, "command"
        )
        self._passes = histogram("pass_jobs", "How many jobs shared a pass of the engine", TOGETHER, "command")
        self._before = counter("made_before", "Jobs answered with what an earlier one had made", "command")
        self._pictures = counter("pictures", "Pictures brought to members", "command")
        self._spent = counter("spent", "What finished jobs of models of other servers have cost", "currency")
        self._connections = counter("discord_connections", "How often Discord took the bot or had it back")
        self._requests = counter("discord_requests", "Requests to Discord, by its answer", "method", "status")
        self._limited = counter("discord_rate_limited", "Requests that Discord refused as too many", "scope")
        self._lag = histogram("event_loop_lag_seconds", "How much later than asked for the event loop came back", LAG_S)
        Info("easel_build", "What runs", registry=self.registry).info(
            {"version": easel(), "python": platform.python_version(), "discord_py": version("discord.py")}
        )
        ProcessCollector(registry=self.registry)
        for command in set(commands.values()):
            # What begins at nothing shows its first rise.
            for outcome in OUTCOMES:
                self._jobs.labels(command, outcome)
            self._failures.labels(command, OTHER)
            self._before.labels(command)
            self._pictures.labels(command)
        for scope in SCOPES:
            self._limited.labels(scope)

    def collect(self) -> Iterator[Metric]:
        """All of the registry, on any thread, except when each series began: they would be as many again."""
        for family in self.registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family

    def connected(self) -> None:
        self._connections.inc()

    def interacted(self, interaction_id: int, kind: Kind, name: str) -> None:
        about = kind, self._name(name)
        self._interactions.labels(*about).inc()
        self._unanswered[interaction_id] = about
        if len(self._unanswered) > UNANSWERED:
            del self._unanswered[next(iter(self._unanswered))]

    def answered(self, interaction_id: int, at: float) -> None:
        """Discord has the first answer to an interaction since then, in seconds since 1970."""
        if (about := self._unanswered.pop(interaction_id, None)) is not None:
            self._answered.labels(*about).observe(max(0.0, at - snowflake_time(interaction_id).timestamp()))

    def requested(self, method: str, status: str, scope: str | None = None) -> None:
        """Discord has answered a request so, or not at all; `scope` says of what there were too many."""
        self._requests.labels(method, status).inc()
        if scope is not None:
            self._limited.labels(scope if scope in SCOPES else OTHER).inc()

    def lagged(self, seconds: float) -> None:
        """The event loop came back so much later than it was asked to."""
        self._lag.observe(max(0.0, seconds))

    def refused(self, name: str, reason: Reason) -> None:
        self._refusals.labels(self._name(name), _why(reason)).inc()

    def broke(self) -> None:
        self._errors.inc()

    def late(self) -> None:
        self._late.inc()

    def accepted(self, job: Job) -> None:
        # One that waits again after its engine died has waited all along.
        self._times.setdefault(job.id, _Times(self._clock())).finishing_s = None

    def departed(self, jobs: Sequence[Job]) -> None:
        self._passes.labels(self._command(jobs[0])).observe(len(jobs))

    def got_on(self, event: Progress | Preview) -> None:
        if isinstance(event, Progress) and event.stage == "finishing" and (times := self._times.get(event.job)):
            times.finishing_s = times.finishing_s or self._clock()

    def made_before(self, job: Job) -> None:
        command = self._command(job)
        self._before.labels(command).inc()
        self._jobs.labels(command, "finished").inc()

    def ended(self, job: Job) -> None:
        command, outcome = self._command(job), _outcome(job)
        self._jobs.labels(command, outcome).inc()
        if job.failure is not None and outcome == "refused":
            self._refusals.labels(command, _why(job.failure)).inc()
        if job.failure is not None and outcome == "failed":
            self._failures.labels(command, _why(job.failure)).inc()
        for note in job.answer.notes if outcome == "finished" else ():
            if isinstance(note, Reason) and note.name == "remote_price":
                self._spent.labels(str(note.facts["currency"])).inc(float(str(note.facts["amount"])))
        if (times := self._times.get(job.id)) is None:
            return
        times.ended_s = self._clock()
        if outcome == "finished":
            engine_s = job.seconds or 0.0
            encoding_s = min(times.ended_s - (times.finishing_s or times.ended_s), engine_s)
            waiting_s = max(0.0, times.ended_s - times.accepted_s - engine_s)
            for stage, seconds in (
                ("waiting", waiting_s),
                ("painting", engine_s - encoding_s),
                ("encoding", encoding_s),
            ):
                self._stages.labels(command, stage).observe(seconds)

    def delivered(self, job: Job) -> None:
        command, times = self._command(job), self._times.pop(job.id, None)
        if job.state != "finished":
            return
        self.members[job.reply.member_id] = time.time()
        self._pictures.labels(command).inc(len(job.pictures))
        if times is not None and times.ended_s is not None:
            self._stages.labels(command, "delivery").observe(self._clock() - times.ended_s)
            self._whole.labels(command).observe(self._clock() - times.accepted_s)

    def forgotten(self, job_id: int) -> None:
        self._times.pop(job_id, None)

    def _command(self, job: Job) -> str:
        return self._commands.get(job.request.kind, OTHER)

    def _name(self, name: str) -> str:
        return name if name in self._names else OTHER


def _outcome(job: Job) -> str:
    if job.state in ("finished", "cancelled"):
        return job.state
    return "failed" if job.failure_kind in OURS else "refused"


def _why(reason: Reason) -> str:
    """The reason's name; those that the bot alone knows are sentences, and have none."""
    return reason.name if reason.name in TEXTS else OTHER
