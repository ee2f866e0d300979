"""The texts of reasons that have to do with models of other servers."""

from __future__ import annotations

from bot.words.marks import N_, Many

ELSEWHERE: dict[str, str | Many] = {
    # What they cannot be asked for.
    "away": N_("{typed} is painted with on another server, which is not ready yet: try again in a moment."),
    "no_samplers": N_("{model} takes no sampler, its server chooses: leave `sampler` out."),
    "no_steps": N_("{model} takes no steps, its server chooses: leave `steps` out."),
    "no_hires": N_("{model} has no second pass: leave `hires` out, or enlarge what it has painted."),
    "no_variations": N_("{model} is painted with on another server and makes no variations: use Re-roll or Edit."),
    "no_edits": N_("{model} paints from words alone: leave the picture out, or choose another model."),
    "no_start": N_("{model} cannot start from a picture: change one by /edit, without `strength`."),
    "no_grid": N_("{model} is painted with on another server, and in no /grid: choose another model."),
    "listed_size": N_("{width}x{height} is no size that {model} paints: choose one of {choices}."),
    "remote_count": N_("{model} paints {most} at a time, and {count} were asked for: ask for fewer."),
    # How it ended.
    "remote_unsafe": N_("The server of {model} refused that as unsafe: say it in other words."),
    "remote_rejected": N_("The server of {model} did not take that ({said}): ask in another way."),
    "remote_locked": N_(
        "The server of {model} does not let this bot in: tell whoever runs it, or choose another model."
    ),
    "remote_unknown": N_(
        "The server of {model} does not know it: tell whoever runs this bot, or choose another model."
    ),
    "remote_busy": N_("The server of {model} has too much to do: try again in a few minutes, or choose another model."),
    "remote_failed": N_("The server of {model} is out of order: try again in a few minutes, or choose another model."),
    "remote_away": N_("The server of {model} cannot be reached: try again in a few minutes, or choose another model."),
    "remote_late": N_(
        "The server of {model} took too long. It may have been paid all the same: try again if you like."
    ),
    "remote_lost": N_(
        "The connection to the server of {model} broke. It may have been paid all the same: try again if you like."
    ),
    "remote_twice": N_(
        "Easel was stopped while the server of {model} painted this. It may have been paid, so it is not asked again by"
        " itself: try again if you like."
    ),
    "remote_broken": N_("The server sent no picture that can be read: try again, or choose another model."),
    # What cards say beside a picture.
    "not_repeatable": N_("This cannot be repeated: {host} takes no seed."),
    "remote_size": N_("Its server painted {width}x{height}, and not the size that was asked for."),
    "remote_price": N_("It cost {amount} {currency}."),
}
