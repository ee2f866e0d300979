"""The texts of what a policy does not allow, where they depend on a number."""

from __future__ import annotations

from bot.words.marks import Many

POLICIES: dict[str, Many] = {
    "policy_count": Many(
        "{count} picture at once is more than is allowed here, {most} is the most: ask for fewer.",
        "{count} pictures at once are more than are allowed here, {most} is the most: ask for fewer.",
        "count",
    ),
    "policy_steps": Many(
        "{steps} step is more than is allowed here, {most} is the most: ask for fewer.",
        "{steps} steps are more than are allowed here, {most} is the most: ask for fewer.",
        "steps",
    ),
    "loras_kept": Many(
        "You keep {count} LoRA and {most} is the most here: delete one, then choose this epoch again.",
        "You keep {count} LoRAs and {most} is the most here: delete one, then choose this epoch again.",
        "count",
    ),
    "loras_full": Many(
        "The LoRAs of this server would take more than the {most} MB that are allowed: delete one, then choose this"
        " epoch again.",
        "The LoRAs of this server would take more than the {most} MB that are allowed: delete one, then choose this"
        " epoch again.",
        "most",
    ),
    "policy_waiting": Many(
        "{most} job of yours may wait in this server at a time: wait for it to start, or cancel it.",
        "{most} jobs of yours may wait in this server at a time: wait for one to start, or cancel one.",
        "most",
    ),
    "policy_hour": Many(
        "{most} job of yours an hour is allowed in this server: try again later.",
        "{most} jobs of yours an hour are allowed in this server: try again later.",
        "most",
    ),
    "policy_day": Many(
        "{most} job of yours a day is allowed in this server: try again tomorrow.",
        "{most} jobs of yours a day are allowed in this server: try again tomorrow.",
        "most",
    ),
}
