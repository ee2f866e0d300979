"""The texts of reasons that have to do with trainings."""

from __future__ import annotations

from bot.words.marks import N_, Many

TRAININGS: dict[str, str | Many] = {
    # What cannot be asked for.
    "few_pictures": Many(
        "There is {count} picture and {least} are the least to learn from: add some.",
        "There are {count} pictures and {least} are the least to learn from: add some.",
        "count",
    ),
    "many_pictures": Many(
        "That would be {count} picture and {most} are the most to learn from: leave some out.",
        "That would be {count} pictures and {most} are the most to learn from: leave some out.",
        "count",
    ),
    "not_trained": N_("Nothing can be trained for {model}: choose another model."),
    "encoders_not_trained": N_("The text encoders of {model} cannot be trained: leave `encoders` out."),
    "training_name": N_(
        "{typed} is no name for a LoRA: take small letters, digits, dots, hyphens and underscores, 64 at most."
    ),
    "training_unsaid": N_("Nothing stands in `{field}`: say it in a line."),
    "training_chars": Many(
        "What stands in `{field}` has {chars} character and {most} is the most: shorten it.",
        "What stands in `{field}` has {chars} characters and {most} is the most: shorten it.",
        "chars",
    ),
    "training_line": N_("What stands in `{field}` has something in it that is no letter: write it in one line."),
    "training_number": N_("{value} does not fit `{field}`: choose {least} to {most}."),
    "training_rate": N_("{value} does not fit `rate`: choose a number above 0, up to {most}."),
    "training_epochs": N_("{steps} steps cannot be {epochs} epochs: choose fewer epochs."),
    "training_prior": N_(
        "The options `prior` and `priors` belong together: say what the model's own pictures show, and how many."
    ),
    "training_previews": Many(
        "{count} preview is asked for and {most} is the most: ask for fewer.",
        "{count} previews are asked for and {most} is the most: ask for fewer.",
        "count",
    ),
    "training_words": N_("A prompt of a preview, or `prior`, is longer than {most} characters or not in one line."),
    "caption_chars": Many(
        "A caption has {chars} character and {most} is the most: shorten it.",
        "A caption has {chars} characters and {most} is the most: shorten it.",
        "chars",
    ),
    "trainings_of_member": Many(
        "You had {count} training in the last 30 days and {most} is the most here: wait until the oldest is older.",
        "You had {count} trainings in the last 30 days and {most} is the most here: wait until the oldest is older.",
        "count",
    ),
    "training_pictures_allowed": Many(
        "This training has {count} picture and {most} are the most here: leave some out.",
        "This training has {count} pictures and {most} are the most here: leave some out.",
        "count",
    ),
    "training_steps_allowed": Many(
        "This training has {count} step and {most} are the most here: take fewer.",
        "This training has {count} steps and {most} are the most here: take fewer.",
        "count",
    ),
    # How it failed.
    "training_model": N_("The model {model} is not on this machine any more: tell whoever runs this bot."),
    "training_changed": N_(
        "The model {model} or the pictures are not what this training was begun with, so it cannot go on: begin anew."
    ),
    "training_memory": N_(
        "The memory does not hold this: begin anew with a smaller resolution or rank, or choose another model."
    ),
    "training_disk": N_(
        "The disk is full, so nothing more can be kept: tell whoever runs this bot, then let it go on."
    ),
    "training_diverged": N_("At step {step} it came to no number: begin anew with a smaller rate."),
    "training_flagged": N_(
        "The safety checker holds back what the model paints of `prior`: begin anew with other words."
    ),
    "training_withdrawn": N_("One of its pictures was withdrawn by whose it was: begin anew with the others."),
    "training_pictures": N_("Its pictures cannot be read any more: begin anew with them."),
    "training_deaths": Many(
        "It ended its process {times} time without getting on, and is set aside: tell whoever runs this bot.",
        "It ended its process {times} times without getting on, and is set aside: tell whoever runs this bot.",
        "times",
    ),
    "training_off": N_("Nothing is trained here at the moment: ask whoever runs this bot."),
    "training_broke": N_("Something went wrong inside Easel: let it go on, or tell whoever runs this bot."),
}
