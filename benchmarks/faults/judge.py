"""Holds what Discord shows and what the data folder has against what members were told, and counts what is wrong."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.faults.trial import Trial
from benchmarks.faults.witness import Shown
from bot.pictures.kept import BESIDE

ENDS = ("finished", "failed", "cancelled")
BROKEN = "Something went wrong inside Easel"
"""What no member should ever read."""


@dataclass
class Verdict:
    """What came of one run, or of many together."""

    tried: int = 0
    """Faults that really happened."""
    told: int = 0
    """Jobs of which members were told."""
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    orphans: int = 0
    wrong: int = 0
    """Jobs nobody was told of, cancellations that were ignored, ends of the bot that nobody wanted."""
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.stuck or self.orphans or self.wrong)

    def add(self, other: Verdict) -> None:
        """Count another run's as well."""
        for name in ("tried", "told", "lost", "doubled", "stuck", "orphans", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += other.notes


def judge(trial: Trial, tried: int | None = None) -> Verdict:
    """Look at everything, once all is quiet."""
    verdict = Verdict(tried=trial.kills if tried is None else tried, told=len(trial.witness.told))
    rows = {row[0]: row for row in trial.rows("SELECT id, state, request, failure, delivered_at FROM job")}
    made: Counter[int] = Counter(dict(trial.rows("SELECT job_id, count(*) FROM picture GROUP BY job_id")))
    for job in sorted(trial.witness.told):
        fault, words = _of_job(trial, job, rows.get(job), made[job])
        if fault:
            setattr(verdict, fault, getattr(verdict, fault) + 1)
            verdict.notes.append(f"job {job} {fault}: {words}")
    for job in sorted(rows.keys() - trial.witness.told):
        verdict.wrong += 1
        verdict.notes.append(f"job {job} wrong: nobody was told of it, it is {rows[job][1]}")
    _of_interactions(trial, verdict)
    _of_files(trial, verdict)
    for crash in trial.crashes:
        verdict.wrong += 1
        verdict.notes.append(f"the bot {crash}")
    if not verdict.clean:
        verdict.notes.append(f"the bot's log is in {trial.keep_log()}")
    return verdict


def _of_job(trial: Trial, job: int, row: Any, made: int) -> tuple[str, str]:
    """What is wrong with a job of which somebody was told; nothing where all is well."""
    cards = [card for card in trial.witness.of(job) if card.ended or not trial.reply_closed]
    ends = [card for card in cards if card.ended]
    if len(ends) > 1:
        return "doubled", f"{len(ends)} ends: {[card.message for card in ends]}"
    if row is None:
        if job in trial.deleted:
            return (
                ("stuck", f"deleted, and shown in {[(one.message, one.text[-60:]) for one in cards]}")
                if cards
                else ("", "")
            )
        if not cards and _has_sentence(trial, job):
            return "", ""
        return "lost", f"it has no row; cards: {[card.text[-60:] for card in cards]}"
    _, state, request, failure, delivered_at = row
    if state not in ENDS or delivered_at is None:
        return "stuck", f"its row is {state}, delivered at {delivered_at}"
    if not ends:
        if cards:
            return "stuck", f"its row is {state}, its card says {cards[0].text[-80:]!r}"
        if job in trial.deleted and trial.kills:
            # Nobody tells a bot what was deleted while it was dead.
            return "", ""
        return "lost", f"its row is {state}, and it is shown nowhere"
    if len(cards) > 1:
        return "stuck", "another card of it is still open"
    return _of_end(trial, job, ends[0], (state, json.loads(request), failure), made)


def _of_end(trial: Trial, job: int, end: Shown, row: tuple[str, Any, str | None], made: int) -> tuple[str, str]:
    state, request, failure = row
    if state == "cancelled":
        return ("", "") if job in trial.pressed_cancel else ("lost", "cancelled, and nobody wanted that")
    if job in trial.cancelled:
        return "wrong", f"its cancellation was said and ignored: it is {state}"
    if state == "failed":
        if job in trial.may_fail or any(words in str(failure) for words in trial.excuses):
            return "", ""
        return "lost", f"failed: {failure}"
    wanted = {"imagine": request.get("count", 1), "upscale": 1}.get(request["type"], 0)
    if end.pictures < wanted or made != wanted:
        return "lost", f"{end.pictures} of {wanted} pictures are shown, {made} are kept: {end.text[-100:]!r}"
    if end.pictures > wanted:
        return "doubled", f"{end.pictures} pictures instead of {wanted}"
    return "", ""


def _has_sentence(trial: Trial, job: int) -> bool:
    """Whether the member whose job was withdrawn was told why, for themselves alone."""
    interactions = trial.sandbox.state.interactions
    for number in trial.witness.answers.get(job, ()):
        interaction = interactions.get(number)
        if interaction is not None and any(one.visible_to is not None for one in interactions.messages_of(interaction)):
            return True
    return False


def _of_interactions(trial: Trial, verdict: Verdict) -> None:
    for interaction in trial.interactions():
        promised = interaction.state == "deferred" and not interaction.silent
        if promised or (interaction.state == "sent" and not interaction.acknowledged):
            verdict.stuck += 1
            verdict.notes.append(f"interaction {interaction.id} is only {interaction.state}")
        said = [one.content for one in trial.sandbox.state.interactions.messages_of(interaction)]
        if any(BROKEN in words for words in said):
            verdict.wrong += 1
            verdict.notes.append(f"interaction {interaction.id} was answered {said}")


def _of_files(trial: Trial, verdict: Verdict) -> None:
    used = {row[0] for row in trial.rows("SELECT DISTINCT sha256 FROM file_use")}
    kept = {}
    for file in (trial.data / "pictures").rglob("*"):
        # A manifest belongs to the picture beside it.
        if file.is_file() and not (file.suffix in BESIDE and file.with_suffix(".png").is_file()):
            kept[file.name.removesuffix(".png")] = file
    for sha256 in sorted(used - kept.keys()):
        verdict.orphans += 1
        verdict.notes.append(f"picture {sha256[:12]} has a row and no file")
    for name in sorted(kept.keys() - used):
        verdict.orphans += 1
        verdict.notes.append(f"file {kept[name].name[:20]} is used by no job")
    for name in sorted(used & kept.keys()):
        if hashlib.sha256(kept[name].read_bytes()).hexdigest() != name:
            verdict.orphans += 1
            verdict.notes.append(f"file {name[:12]} is damaged")
    for file in (trial.data / "incoming").iterdir():
        verdict.orphans += 1
        verdict.notes.append(f"{file.name} is still in incoming")
